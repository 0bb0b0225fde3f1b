/* A C client whose two callers leak through one function, while the register that code with frame pointers keeps them in is 0:
 * main → send_mail or refresh_prices → leak_from_c → connect.
 *
 * Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PRICES 3
#define MAILS 5
/* What follows the call keeps it from becoming a jump, which would leave no frame. */
#define CALLER __attribute__((noinline, noclone))

static volatile int kept[PRICES + MAILS];

CALLER int leak_from_c(const struct sockaddr_in *peer) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    /* As the counter of a loop may be: code without frame pointers uses the register like any other. */
    asm volatile("xor %%ebp, %%ebp" ::: "rbp");
    if (connect(fd, (const struct sockaddr *)peer, sizeof *peer) != 0) {
        perror("connect");
        exit(3);
    }
    return fd;
}

CALLER int refresh_prices(const struct sockaddr_in *peer) {
    for (int number = 0; number < PRICES; number++)
        kept[number] = leak_from_c(peer);
    return PRICES;
}

CALLER int send_mail(const struct sockaddr_in *peer) {
    for (int number = 0; number < MAILS; number++)
        kept[PRICES + number] = leak_from_c(peer);
    return MAILS;
}

CALLER struct sockaddr_in listen_somewhere(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("listen");
        exit(3);
    }
    return address;
}

static void expect(const struct sockaddr_in *peer, int count, const char *caller) {
    char comm[16] = "";
    prctl(PR_GET_NAME, comm);
    printf("{\"role\":\"leaker\",\"direction\":\"connect\",\"remote_port\":%d,\"count\":%d,\"pid\":%d,\"comm\":\"%s\","
           "\"verdicts\":[\"silent-peer\"],\"tolerated\":[\"idle-unguarded\"],\"severity_max\":\"suspect\",\"holders\":[%d],"
           "\"state\":\"ESTABLISHED\",\"family\":\"ipv4\",\"function\":\"leak_from_c\",\"callers\":[\"%s\",\"main\"]}",
           ntohs(peer->sin_port), count, getpid(), comm, getpid(), caller);
}

int main(void) {
    const char *life = getenv("SCENARIO_LIFE_SECONDS");
    alarm(life ? atoi(life) : 120);
    struct sockaddr_in prices = listen_somewhere(), mails = listen_somewhere();
    /* The caller that leaks most goes first: that is the connect which gdb is asked for. */
    int sent = send_mail(&mails);
    int refreshed = refresh_prices(&prices);
    printf("{\"ready\":true,\"program\":\"c-two-callers\",\"pid\":%d,\"expect\":[", getpid());
    expect(&mails, sent, "send_mail");
    printf(",");
    expect(&prices, refreshed, "refresh_prices");
    printf("]}\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
