// A Go client that leaks connections: main.main → main.(*server).run → main.handleRequest → main.leakFromGo → net.Dial.
//
// Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

type server struct{ kept []net.Conn }

//go:noinline
func leakFromGo(address string) net.Conn {
	stream, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	return stream
}

//go:noinline
func handleRequest(address string, kept []net.Conn) []net.Conn {
	return append(kept, leakFromGo(address))
}

//go:noinline
func (s *server) run(address string) int {
	for len(s.kept) < 3 {
		s.kept = handleRequest(address, s.kept)
	}
	return len(s.kept)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &server{}
	count := s.run(listener.Addr().String())
	pid := os.Getpid()
	comm, _ := os.ReadFile("/proc/self/comm")
	fmt.Printf(`{"ready":true,"program":"go","pid":%d,"expect":[{"role":"leaker","direction":"connect","remote_port":%d,`+
		`"count":%d,"pid":%d,"comm":%q,"verdicts":["silent-peer"],"tolerated":["idle-unguarded"],"severity_max":"suspect",`+
		`"holders":[%d],"state":"ESTABLISHED","family":"ipv4","function":"main.leakFromGo",`+
		`"callers":["main.handleRequest","main.(*server).run","main.main"]}]}`+"\n",
		pid, listener.Addr().(*net.TCPAddr).Port, count, pid, strings.TrimSpace(string(comm)), pid)
	io.Copy(io.Discard, os.Stdin)
	_ = s.kept
}
