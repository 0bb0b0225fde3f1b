"""A Python client that leaks connections: <module> → serve → handle_request → leak_from_python → connect.

Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes.
"""
import json
import os
import signal
import socket
import sys


def leak_from_python(address):
    stream = socket.socket()
    stream.connect(address)
    return stream


def handle_request(address, kept):
    kept.append(leak_from_python(address))


def serve(address, kept):
    while len(kept) < 3:
        handle_request(address, kept)


signal.alarm(120)
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
kept = []
serve(listener.getsockname(), kept)
pid = os.getpid()
with open("/proc/self/comm") as name:
    comm = name.read().strip()
leaker = {
    "role": "leaker",
    "direction": "connect",
    "remote_port": listener.getsockname()[1],
    "count": len(kept),
    "pid": pid,
    "comm": comm,
    "verdicts": ["silent-peer"],
    "tolerated": ["idle-unguarded"],
    "severity_max": "suspect",
    "holders": [pid],
    "state": "ESTABLISHED",
    "family": "ipv4",
    "function": "leak_from_python",
    "callers": ["handle_request", "serve", "<module>"],
}
print(json.dumps({"ready": True, "program": "python-perf", "pid": pid, "expect": [leaker]}), flush=True)
sys.stdin.read()
