// A Node client that leaks connections: (anonymous) → serve → handleRequest → leakFromNode → net.connect.
//
// Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes.
'use strict';
const fs = require('fs');
const net = require('net');

const kept = [];

function leakFromNode(port) {
  // Node connects to an address in its own next tick, without the caller on the stack; with a lookup that answers at once
  // it connects in the call.
  const lookup = (host, options, done) => done(null, '127.0.0.1', 4);
  const stream = net.connect({ host: 'peer', port, lookup, autoSelectFamily: false });
  stream.on('connect', ready);
  return stream;
}

function handleRequest(port) {
  kept.push(leakFromNode(port));
}

function serve(port) {
  while (kept.length < 3) {
    handleRequest(port);
  }
}

let connected = 0;

function ready() {
  connected += 1;
  if (connected < kept.length) {
    return;
  }
  const leaker = {
    role: 'leaker',
    direction: 'connect',
    remote_port: listener.address().port,
    count: kept.length,
    pid: process.pid,
    comm: fs.readFileSync('/proc/self/comm', 'utf8').trim(),
    verdicts: ['silent-peer'],
    tolerated: ['idle-unguarded'],
    severity_max: 'suspect',
    holders: [process.pid],
    state: 'ESTABLISHED',
    family: 'ipv4',
    waiters: true,
    function: 'leakFromNode',
    callers: ['handleRequest', 'serve'],
  };
  console.log(JSON.stringify({ ready: true, program: 'node-perf', pid: process.pid, expect: [leaker] }));
}

setTimeout(() => process.exit(4), 120000);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
// Accepted and held, so that the client's side is what leaks.
const listener = net.createServer({ pauseOnConnect: true }, (stream) => served.push(stream));
const served = [];
listener.listen(0, '127.0.0.1', () => serve(listener.address().port));
