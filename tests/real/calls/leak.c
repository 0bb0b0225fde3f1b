/* A C client that leaks connections: main → serve_requests → handle_request → leak_from_c → connect.
 *
 * Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT 3
/* What follows the call keeps it from becoming a jump, which would leave no frame. */
#define CALLER __attribute__((noinline, noclone))

static volatile int kept[COUNT];

CALLER int leak_from_c(const struct sockaddr_in *peer) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)peer, sizeof *peer) != 0) {
        perror("connect");
        exit(3);
    }
    return fd;
}

CALLER int handle_request(const struct sockaddr_in *peer, int number) {
    kept[number] = leak_from_c(peer);
    return number + 1;
}

CALLER int serve_requests(const struct sockaddr_in *peer) {
    int served = 0;
    while (served < COUNT)
        served = handle_request(peer, served);
    return served;
}

int main(void) {
    const char *life = getenv("SCENARIO_LIFE_SECONDS");
    alarm(life ? atoi(life) : 120);
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof peer;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&peer, length) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&peer, &length) != 0) {
        perror("listen");
        return 3;
    }
    int count = serve_requests(&peer);
    char comm[16] = "";
    prctl(PR_GET_NAME, comm);
    printf("{\"ready\":true,\"program\":\"c\",\"pid\":%d,\"expect\":[{\"role\":\"leaker\",\"direction\":\"connect\","
           "\"remote_port\":%d,\"count\":%d,\"pid\":%d,\"comm\":\"%s\",\"verdicts\":[\"silent-peer\"],\"tolerated\":[\"idle-unguarded\"],"
           "\"severity_max\":\"suspect\",\"holders\":[%d],\"state\":\"ESTABLISHED\",\"family\":\"ipv4\","
           "\"function\":\"leak_from_c\",\"callers\":[\"handle_request\",\"serve_requests\",\"main\"]}]}\n",
           getpid(), ntohs(peer.sin_port), count, getpid(), comm, getpid());
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
