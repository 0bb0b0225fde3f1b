"""A Python client that never reads its responses to the end and never closes them.

Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes.
"""
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time

COUNT = 20
BODY = b"." * (64 << 10)


def serve(listener, kept):
    while True:
        stream, _ = listener.accept()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        while b"\r\n\r\n" not in stream.recv(4096):
            pass
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
        kept.append(stream)


def leak_response(port, kept):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.request("GET", "/")
    kept.append((connection, connection.getresponse()))


def main():
    signal.alarm(120)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    served, kept = [], []
    threading.Thread(target=serve, args=(listener, served), daemon=True).start()
    first = time.time()
    for _ in range(COUNT):
        leak_response(port, kept)
    last = time.time()
    while len(served) < COUNT:
        time.sleep(0.01)
    pid = os.getpid()
    with open("/proc/self/comm") as name:
        comm = name.read().strip()
    everyone = {"pid": pid, "comm": comm, "count": COUNT, "state": "ESTABLISHED", "family": "ipv4", "holders": [pid]}
    leaker = everyone | {
        "role": "leaker",
        "direction": "connect",
        "remote_port": port,
        "verdicts": ["read-stalled"],
        "severity_max": "leak",
        "opened_unix_s": [first, last],
        "rx_queue_bytes": [1, len(BODY)],
    }
    peer = everyone | {
        "role": "peer",
        "direction": "accept",
        "local_port": port,
        "verdicts": [],
        "severity_max": "info",
    }
    print(json.dumps({"ready": True, "program": "python-client", "pid": pid, "expect": [leaker, peer]}), flush=True)
    sys.stdin.read()


main()
