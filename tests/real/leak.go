// A Go client that neither reads nor closes its response bodies, and one that dials and waits for ever.
//
// Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes.
package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	bodies = 20
	dials  = 10
	size   = 64 << 10
)

var (
	responses []*http.Response
	streams   []net.Conn
)

//go:noinline
func leakBody(client *http.Client, url string) {
	response, err := client.Get(url)
	must(err)
	responses = append(responses, response)
}

//go:noinline
func leakDial(address string) {
	stream, err := net.Dial("tcp", address)
	must(err)
	streams = append(streams, stream)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func seconds() float64 { return float64(time.Now().UnixNano()) / 1e9 }

func listen() (net.Listener, int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	return listener, listener.Addr().(*net.TCPAddr).Port
}

func class(role, direction, port string, number, count int, verdicts []string, worst string) map[string]any {
	comm, err := os.ReadFile("/proc/self/comm")
	must(err)
	pid := os.Getpid()
	return map[string]any{
		"role": role, "direction": direction, port: number, "count": count, "pid": pid,
		"comm": strings.TrimSpace(string(comm)), "verdicts": verdicts, "severity_max": worst,
		"holders": []int{pid}, "state": "ESTABLISHED", "family": "ipv4", "keepalive": true,
	}
}

func main() {
	time.AfterFunc(120*time.Second, func() { os.Exit(4) })

	web, webPort := listen()
	body := strings.Repeat(".", size)
	go http.Serve(web, http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { io.WriteString(out, body) }))
	mute, mutePort := listen()
	greeted := make(chan net.Conn, dials)
	go func() {
		for {
			stream, err := mute.Accept()
			must(err)
			_, err = io.ReadFull(stream, make([]byte, 1))
			must(err)
			greeted <- stream
		}
	}()

	first := seconds()
	client := &http.Client{}
	for i := 0; i < bodies; i++ {
		leakBody(client, "http://"+web.Addr().String())
	}
	middle := seconds()
	for i := 0; i < dials; i++ {
		leakDial(mute.Addr().String())
	}
	last := seconds()
	kept := make([]net.Conn, 0, dials)
	for _, stream := range streams {
		_, err := stream.Write([]byte{'.'})
		must(err)
		kept = append(kept, <-greeted)
	}

	unread := class("leaker", "connect", "remote_port", webPort, bodies, []string{"read-stalled"}, "leak")
	unread["opened_unix_s"] = []float64{first, middle}
	silent := class("leaker", "connect", "remote_port", mutePort, dials, []string{"silent-peer"}, "suspect")
	silent["opened_unix_s"] = []float64{middle, last}
	silent["function"] = "leakDial"
	mutePeer := class("peer", "accept", "local_port", mutePort, dials, []string{}, "info")
	webPeer := class("peer", "accept", "local_port", webPort, bodies, []string{}, "info")
	truth := map[string]any{
		"ready": true, "program": "go-client", "pid": os.Getpid(),
		"expect": []any{unread, silent, mutePeer, webPeer},
	}
	must(json.NewEncoder(os.Stdout).Encode(truth))
	io.Copy(io.Discard, os.Stdin)
	_ = kept
}
