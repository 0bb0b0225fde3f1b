// A Go program whose C library leaks connections: main.main → main.handleRequest → cgo → leak_from_cgo → connect.
//
// The Go callers are on another stack than the C functions, so only these can be asked for.
//
// Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes.
package main

/*
#include <arpa/inet.h>
#include <sys/socket.h>

__attribute__((noinline)) static int open_one(int port) {
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return connect(fd, (struct sockaddr *)&peer, sizeof peer) == 0 ? fd : -1;
}

static int leak_from_cgo(int port) { return open_one(port) + 1; }
*/
import "C"

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

//go:noinline
func handleRequest(port, count int) int {
	if C.leak_from_cgo(C.int(port)) <= 0 {
		panic("connect")
	}
	return count + 1
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	count := 0
	for count < 3 {
		count = handleRequest(port, count)
	}
	pid := os.Getpid()
	comm, _ := os.ReadFile("/proc/self/comm")
	fmt.Printf(`{"ready":true,"program":"go-cgo-call","pid":%d,"expect":[{"role":"leaker","direction":"connect","remote_port":%d,`+
		`"count":%d,"pid":%d,"comm":%q,"verdicts":["silent-peer"],"tolerated":["idle-unguarded"],"severity_max":"suspect",`+
		`"holders":[%d],"state":"ESTABLISHED","family":"ipv4","function":"leak_from_cgo"}]}`+"\n",
		pid, port, count, pid, strings.TrimSpace(string(comm)), pid)
	io.Copy(io.Discard, os.Stdin)
}
