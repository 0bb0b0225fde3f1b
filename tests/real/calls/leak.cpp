// A C++ client that leaks connections: main → shop::Server::run → shop::Request<T>::handle → shop::Client::leak_from_cpp.
//
// Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes.
#include <arpa/inet.h>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#define CALLER __attribute__((noinline, noclone))

namespace shop {

class Client {
  public:
    explicit Client(const sockaddr_in &peer) : peer(peer) {}

    CALLER int leak_from_cpp() {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, reinterpret_cast<const sockaddr *>(&peer), sizeof peer) != 0)
            throw std::runtime_error("connect");
        kept.push_back(fd);
        return fd;
    }

    std::vector<int> kept;

  private:
    sockaddr_in peer;
};

template <typename Number> struct Request {
    CALLER Number handle(Client &client, Number number) { return client.leak_from_cpp() < 0 ? number : number + 1; }
};

struct Server {
    CALLER long run(Client &client) {
        long served = 0;
        while (served < 3)
            served = Request<long>().handle(client, served);
        return served;
    }
};

} // namespace shop

int main() {
    const char *life = std::getenv("SCENARIO_LIFE_SECONDS");
    alarm(life ? std::atoi(life) : 120);
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof peer;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, reinterpret_cast<sockaddr *>(&peer), length) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr *>(&peer), &length) != 0)
        return 3;
    shop::Client client(peer);
    shop::Server server;
    long count = server.run(client);
    std::string pid = std::to_string(getpid());
    char comm[16] = "";
    prctl(PR_GET_NAME, comm);
    std::cout << R"({"ready":true,"program":"cpp","pid":)" << pid
              << R"(,"expect":[{"role":"leaker","direction":"connect","remote_port":)" << ntohs(peer.sin_port)
              << R"(,"count":)" << count << R"(,"pid":)" << pid << R"(,"comm":")" << comm << R"(","holders":[)" << pid
              << R"(],"verdicts":["silent-peer"],"tolerated":["idle-unguarded"],"severity_max":"suspect",)"
              << R"("state":"ESTABLISHED","family":"ipv4","function":"shop::Client::leak_from_cpp",)"
              << R"("callers":["shop::Request<long>::handle","shop::Server::run","main"]}]})" << std::endl;
    while (std::cin.get() != EOF)
        ;
    return 0;
}
