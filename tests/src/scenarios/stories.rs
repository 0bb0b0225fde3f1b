//! The five leaks that users met, scaled down: who leaked, how many, and what the report must say about it.

use super::net::{CLOSE_WAIT, answer, await_state, greet, guard, hear, listener, loopback, port_of, say};
use super::peer::{Peer, accept_connection, server};
use super::stage::{Opened, Stage, complain};
use crate::truth::{Expect, ProcessTruth};
use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Story 1: a controller opens a gRPC client per loop and never closes it.
const CONTROLLER_CONNECTIONS: usize = 1_100;
/// Story 2: connections of each kind, with keepalive and without.
const SSH_CONNECTIONS: usize = 150;
/// Story 3: the descriptor limit under which a client leaks.
const SLOW_LEAK_LIMIT: u64 = 1_024;
/// Story 4: clients stuck in a handshake.
const TLS_CONNECTIONS: usize = 100;
/// Story 5: clients that ping a server which never reads.
const WEBSOCKETS: usize = 200;
/// A leak in progress: time from one leaked connection to the next.
const LEAK_EVERY_MS: u32 = 200;

/// Enough for threads that only read and write.
pub const SMALL_STACK: usize = 64 << 10;

/// A thread with a small stack that runs until the process ends.
///
/// # Errors
/// When no thread can be started.
pub fn thread(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(move || {
            if let Err(error) = work() {
                complain(&error);
            }
        })
        .context("cannot start a thread")?;
    Ok(())
}

/// Gives this process room for the descriptors of a large scenario.
///
/// # Errors
/// When the hard limit is too low.
pub fn raise_descriptor_limit(to: u64) -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the descriptor limit")?;
    setrlimit(Resource::RLIMIT_NOFILE, to.min(hard.max(to)), hard.max(to)).context("cannot raise the descriptor limit")
}

/// Story 1. The client sends the HTTP/2 preface, gets SETTINGS back, and forgets the connection.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn controller(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_client_per_reconcile(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    const PREFACE: usize = 24;
    const SETTINGS: usize = 9;
    raise_descriptor_limit(4_096)?;
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, CONTROLLER_CONNECTIONS, |mut stream| {
        guard(&stream)?;
        hear(&mut stream, PREFACE)?;
        say(&mut stream, SETTINGS)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::default();
    for _ in 0..CONTROLLER_CONNECTIONS {
        opened.one(|| leak_client_per_reconcile(port))?;
        if let Some(stream) = opened.streams.last_mut() {
            guard(stream)?;
            say(stream, PREFACE)?;
            hear(stream, SETTINGS)?;
        }
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_client_per_reconcile");
    stage.expect(opened.describe(leaker));
    stage.expect(
        Expect::accepted("starved", peer.pid(), port).count(CONTROLLER_CONNECTIONS).function("accept_connection"),
    );
    stage.hold()
}

/// Story 2. The dial has a timeout, the handshake has none; half the connections have keepalive, half have not.
///
/// # Errors
/// See [`controller`].
pub fn ssh(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_ssh_with_keepalive(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&loopback(port), Duration::from_secs(30)).context("cannot dial")?;
        Ok(stream)
    }
    #[inline(never)]
    fn leak_ssh_without_keepalive(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&loopback(port), Duration::from_secs(30)).context("cannot dial")?;
        Ok(stream)
    }
    let (probed, unprobed) = (listener()?, listener()?);
    let (probed_port, unprobed_port) = (port_of(&probed)?, port_of(&unprobed)?);
    let mut probed_peer = wordless_server(probed, SSH_CONNECTIONS)?;
    let mut unprobed_peer = wordless_server(unprobed, SSH_CONNECTIONS)?;
    let with = Opened::many(SSH_CONNECTIONS, || leak_ssh_with_keepalive(probed_port))?;
    let without = Opened::many(SSH_CONNECTIONS, || leak_ssh_without_keepalive(unprobed_port))?;
    with.streams.iter().try_for_each(guard)?;

    let leaker = Expect::connected("leaker", stage.pid(), probed_port).function("leak_ssh_with_keepalive");
    stage.expect(with.describe(leaker).verdicts(&["silent-peer"]).keepalive(true).waiters(true));
    let leaker = Expect::connected("leaker", stage.pid(), unprobed_port).function("leak_ssh_without_keepalive");
    let verdicts = ["silent-peer", "idle-unguarded"];
    stage.expect(without.describe(leaker).verdicts(&verdicts).keepalive(false).waiters(true));

    for mut stream in with.streams.into_iter().chain(without.streams) {
        say(&mut stream, BANNER)?;
        thread(move || hear(&mut stream, BANNER))?;
    }
    probed_peer.wait()?;
    unprobed_peer.wait()?;
    stage.expect(Expect::accepted("peer", probed_peer.pid(), probed_port).count(SSH_CONNECTIONS));
    stage.expect(Expect::accepted("peer", unprobed_peer.pid(), unprobed_port).count(SSH_CONNECTIONS));
    stage.hold()
}

/// Length of `SSH-2.0-dev` and a line end.
const BANNER: usize = 13;

/// Takes the client's banner and never sends its own. Accepts all first: clients write only after dialling.
fn wordless_server(listener: TcpListener, count: usize) -> Result<Peer> {
    Peer::spawn(move |_| {
        let mut streams = Vec::new();
        for _ in 0..count {
            streams.push(accept_connection(&listener)?);
        }
        for stream in &mut streams {
            guard(stream)?;
            hear(stream, BANNER)?;
        }
        Ok((listener, streams))
    })
}

/// Story 3. Every response leaves a connection behind that the server has closed, until nothing can be opened.
///
/// # Errors
/// See [`controller`].
pub fn slow_leak(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_response(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let _peer = Peer::spawn(move |_| {
        loop {
            answer(&mut accept_connection(&listener)?)?;
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    setrlimit(Resource::RLIMIT_NOFILE, SLOW_LEAK_LIMIT, SLOW_LEAK_LIMIT).context("cannot set the descriptor limit")?;
    let mut opened = Opened::default();
    while let Ok(()) = opened.one(|| leak_response(port)) {
        opened.streams.last_mut().map(greet).transpose()?;
    }
    // No descriptor is left to wait with, and none is needed.
    await_state(&opened.streams, CLOSE_WAIT)?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_response").state("CLOSE_WAIT");
    stage.expect(opened.describe(leaker).verdicts(&["close-wait"]));
    let process = ProcessTruth { pid: stage.pid(), fds_open: SLOW_LEAK_LIMIT, fds_limit: SLOW_LEAK_LIMIT };
    stage.expect_process(process);
    stage.hold()
}

/// A leak in progress: a few a second, from a client that opens and closes many more in the meantime.
///
/// # Errors
/// See [`controller`].
pub fn growth(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_now_and_then(port: u16) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        guard(&stream)?;
        greet(&mut stream)?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = Peer::spawn(move |_| {
        loop {
            let mut stream = accept_connection(&listener)?;
            guard(&stream)?;
            answer(&mut stream)?;
            // The client closes what it does not leak, and these ends go with it.
            thread(move || {
                let _ = hear(&mut stream, 1);
                Ok(())
            })?;
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    let leaker = Expect::connected("leaker", stage.pid(), port).any_state().any_holder().growing(true);
    stage.expect(leaker);
    stage.expect(Expect::accepted("peer", peer.pid(), port).any_state().any_holder());
    thread(move || {
        let (mut leaked, begin) = (Vec::new(), Instant::now());
        loop {
            // By the clock, not by pauses: on a busy processor a late round is followed by the next one at once, so that the number
            // of open sockets stays proportional to time.
            while leaked.len() as u32 > begin.elapsed().as_millis() as u32 / LEAK_EVERY_MS {
                std::thread::sleep(Duration::from_millis(20));
            }
            leaked.push(leak_now_and_then(port)?);
            for _ in 0..3 {
                drop(leak_now_and_then(port)?);
            }
        }
    })?;
    stage.hold()
}

/// Story 4. A ClientHello goes out, and no answer ever comes.
///
/// # Errors
/// See [`controller`].
pub fn tls(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_tls_handshake(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    const CLIENT_HELLO: usize = 517;
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, TLS_CONNECTIONS, |mut stream| {
        guard(&stream)?;
        hear(&mut stream, CLIENT_HELLO)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::default();
    for _ in 0..TLS_CONNECTIONS {
        opened.one(|| leak_tls_handshake(port))?;
        if let Some(stream) = opened.streams.last_mut() {
            guard(stream)?;
            say(stream, CLIENT_HELLO)?;
        }
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_tls_handshake");
    stage.expect(opened.describe(leaker).verdicts(&["silent-peer"]).waiters(true));
    stage.expect(Expect::accepted("peer", peer.pid(), port).count(TLS_CONNECTIONS).received_and_read(517, 517));
    for mut stream in opened.streams {
        thread(move || hear(&mut stream, 5))?;
    }
    stage.hold()
}

/// Story 5. The server answered the upgrade and has no read handler; clients ping, receive queues fill.
///
/// # Errors
/// See [`controller`].
pub fn websocket(stage: &mut Stage) -> Result<()> {
    const PING: usize = 6;
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut clients = Peer::spawn(move |bell| {
        let mut opened = Opened::many(WEBSOCKETS, || Ok(TcpStream::connect(loopback(port))?))?;
        for stream in &mut opened.streams {
            guard(stream)?;
            greet(stream)?;
        }
        bell.ring()?;
        loop {
            opened.streams.iter_mut().try_for_each(|stream| say(stream, PING))?;
            std::thread::sleep(Duration::from_millis(500));
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    let mut accepted = Opened::default();
    for _ in 0..WEBSOCKETS {
        accepted.one(|| accept_connection(&listener))?;
    }
    for stream in &mut accepted.streams {
        guard(stream)?;
        answer(stream)?;
    }
    clients.wait()?;
    let leaker = Expect::accepted("leaker", stage.pid(), port).function("accept_connection").count(WEBSOCKETS);
    let mut leaker = leaker.verdicts(&["read-stalled"]);
    leaker.rx_queue_bytes = Some([PING as u64, 1 << 20]);
    leaker.bytes_read = Some(1);
    stage.expect(leaker);
    stage.expect(Expect::connected("peer", clients.pid(), port).count(WEBSOCKETS));
    stage.hold()
}
