//! Healthy programs: whatever they do, no socket of theirs may earn a verdict above info.
//!
//! They are paced, so that dozens run side by side on one emulated processor.

use super::net::{
    answer, fill, greet, guard, hear, listener, loopback, narrow_listener, port_of, reset_on_close, say, tcp_socket,
};
use super::peer::{Peer, accept_connection};
use super::stage::{Opened, Stage};
use super::stories::thread;
use crate::truth::{Expect, Opener};
use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

/// How a control spends its time between two rounds.
const PACE: Duration = Duration::from_millis(100);

/// Connections that live as long as the program.
const STEADY: usize = 8;

/// A server that keeps its connections and answers one request after the other on each.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn keepalive_server(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = answering_server(listener)?;
    let opened = Opened::many(STEADY, || Ok(TcpStream::connect(loopback(port))?))?;
    stage.expect(opened.describe(Expect::connected("control", stage.pid(), port)));
    stage.expect(Expect::accepted("control", peer.pid(), port).count(STEADY));
    for stream in opened.streams {
        rounds(stream, PACE)?;
    }
    stage.hold()
}

/// A pool with keepalive on, each connection used only now and then.
///
/// # Errors
/// See [`keepalive_server`].
pub fn pool(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = answering_server(listener)?;
    let mut opened = Opened::many(STEADY, || Ok(TcpStream::connect(loopback(port))?))?;
    for stream in &mut opened.streams {
        guard(stream)?;
        greet(stream)?;
    }
    stage.expect(opened.describe(Expect::connected("control", stage.pid(), port)).keepalive(true));
    stage.expect(Expect::accepted("control", peer.pid(), port).count(STEADY).keepalive(true));
    // Longer than the idle limit: only keepalive keeps these from being idle and unguarded.
    let pause = stage.limits.idle * 2;
    for stream in opened.streams {
        rounds(stream, pause)?;
    }
    stage.hold()
}

/// Many short connections.
///
/// # Errors
/// See [`keepalive_server`].
pub fn churn(stage: &mut Stage) -> Result<()> {
    churn_with(stage, |_| Ok(()))
}

/// Many short connections that the client ends by a reset.
///
/// # Errors
/// See [`keepalive_server`].
pub fn churn_by_reset(stage: &mut Stage) -> Result<()> {
    churn_with(stage, reset_on_close)
}

/// Many short connections that the client shuts down in both directions before it closes.
///
/// # Errors
/// See [`keepalive_server`].
pub fn churn_by_shutdown(stage: &mut Stage) -> Result<()> {
    churn_with(stage, |stream| stream.shutdown(Shutdown::Both).context("cannot shut down"))
}

/// Many short connections whose client says that it is done, reads the rest, and closes.
///
/// # Errors
/// See [`keepalive_server`].
pub fn churn_half_closed(stage: &mut Stage) -> Result<()> {
    churn_with(stage, |mut stream| {
        stream.shutdown(Shutdown::Write).context("cannot shut down")?;
        stream.read_to_end(&mut Vec::new()).context("cannot read the rest")?;
        Ok(())
    })
}

fn churn_with(stage: &mut Stage, end: impl Fn(&TcpStream) -> Result<()> + Send + 'static) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = Peer::spawn(move |_| {
        loop {
            let mut stream = accept_connection(&listener)?;
            // The client may have reset it already.
            let _ = answer(&mut stream).and_then(|()| hear(&mut stream, 1));
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    stage.expect(Expect::connected("control", stage.pid(), port).any_state().any_holder());
    // At times one of them is in the accept queue, where no process has opened it yet.
    let accepted = Expect::accepted("control", peer.pid(), port).any_state().any_holder();
    stage.expect(accepted.opener(Opener::PerhapsUnknown));
    thread(move || {
        loop {
            for _ in 0..10 {
                let mut stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
                greet(&mut stream)?;
                end(&stream)?;
            }
            sleep(PACE);
        }
    })?;
    stage.hold()
}

/// An epoll server that echoes whatever it gets.
///
/// # Errors
/// See [`keepalive_server`].
pub fn epoll_echo(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = Peer::spawn(move |_| echo_for_ever(&listener, STEADY))?;
    let opened = Opened::many(STEADY, || Ok(TcpStream::connect(loopback(port))?))?;
    stage.expect(opened.describe(Expect::connected("control", stage.pid(), port)));
    stage.expect(Expect::accepted("control", peer.pid(), port).count(STEADY).waiters(true));
    for stream in opened.streams {
        rounds(stream, PACE)?;
    }
    stage.hold()
}

fn echo_for_ever(listener: &TcpListener, count: usize) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("cannot make an epoll")?;
    let mut streams = Vec::new();
    for index in 0..count {
        let stream = accept_connection(listener)?;
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64)).context("cannot watch a socket")?;
        streams.push(stream);
    }
    let mut events = [EpollEvent::empty(); 16];
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE).context("cannot wait")?;
        for event in events.iter().take(ready) {
            let stream = streams.get_mut(event.data() as usize).context("an event of a stranger")?;
            answer(stream)?;
        }
    }
}

/// Websockets: nothing but a ping and a pong well within the idle limit, and no keepalive.
///
/// # Errors
/// See [`keepalive_server`].
pub fn ping_pong(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = Peer::spawn(move |_| echo_for_ever(&listener, STEADY))?;
    let mut opened = Opened::many(STEADY, || Ok(TcpStream::connect(loopback(port))?))?;
    opened.streams.iter_mut().try_for_each(greet)?;
    stage.expect(opened.describe(Expect::connected("control", stage.pid(), port)).keepalive(false));
    stage.expect(Expect::accepted("control", peer.pid(), port).count(STEADY).keepalive(false));
    let pause = stage.limits.idle / 4;
    for stream in opened.streams {
        rounds(stream, pause)?;
    }
    stage.hold()
}

/// A reader that is slow but never stops: its queue is always full, and always moving.
///
/// # Errors
/// See [`keepalive_server`].
pub fn slow_reader(stage: &mut Stage) -> Result<()> {
    let listener = narrow_listener()?;
    let port = port_of(&listener)?;
    let peer = Peer::spawn(move |_| {
        let mut stream = accept_connection(&listener)?;
        loop {
            hear(&mut stream, 1_000)?;
            sleep(PACE);
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    let opened = Opened::many(1, || Ok(TcpStream::connect(loopback(port))?))?;
    stage.expect(opened.describe(Expect::connected("control", stage.pid(), port)).tolerating(&["silent-peer"]));
    stage.expect(Expect::accepted("control", peer.pid(), port).count(1));
    for mut stream in opened.streams {
        socket2::SockRef::from(&stream).set_send_buffer_size(16 << 10).context("cannot shrink the send buffer")?;
        fill(&mut stream)?;
        stream.set_nonblocking(false).context("cannot switch to blocking")?;
        thread(move || {
            loop {
                say(&mut stream, 1_000)?;
            }
        })?;
    }
    stage.hold()
}

/// Much payload in one direction.
///
/// # Errors
/// See [`keepalive_server`].
pub fn bulk(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = Peer::spawn(move |_| {
        let mut stream = accept_connection(&listener)?;
        answer(&mut stream)?;
        std::io::copy(&mut stream, &mut std::io::sink()).context("cannot receive")
    })?;
    let mut opened = Opened::many(1, || Ok(TcpStream::connect(loopback(port))?))?;
    opened.streams.iter_mut().try_for_each(greet)?;
    stage.expect(opened.describe(Expect::connected("control", stage.pid(), port)));
    stage.expect(Expect::accepted("control", peer.pid(), port).count(1));
    for mut stream in opened.streams {
        thread(move || {
            loop {
                say(&mut stream, 256 << 10)?;
                sleep(Duration::from_millis(20));
            }
        })?;
    }
    stage.hold()
}

/// Peers that pause before they read and before they answer, but for less than the limit.
///
/// # Errors
/// See [`keepalive_server`].
pub fn pausing_peer(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let pause = stage.limits.stall / 3;
    let peer = Peer::spawn(move |_| {
        let mut stream = accept_connection(&listener)?;
        // A first word, so that the client does not wait for one until the first pause is over.
        say(&mut stream, 1)?;
        loop {
            // Payload waits unread during this pause.
            sleep(pause);
            answer(&mut stream)?;
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    let mut opened = Opened::many(1, || Ok(TcpStream::connect(loopback(port))?))?;
    opened.streams.iter_mut().try_for_each(|stream| hear(stream, 1))?;
    stage.expect(opened.describe(Expect::connected("control", stage.pid(), port)));
    stage.expect(Expect::accepted("control", peer.pid(), port).count(1));
    for stream in opened.streams {
        rounds(stream, Duration::ZERO)?;
    }
    stage.hold()
}

/// A server that accepts with a delay shorter than the limit, and closes with a delay shorter than the limit.
///
/// # Errors
/// See [`keepalive_server`].
pub fn late_accepter(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let pause = stage.limits.stall / 4;
    let peer = Peer::spawn(move |_| {
        loop {
            sleep(pause);
            let mut stream = accept_connection(&listener)?;
            answer(&mut stream)?;
            anyhow::ensure!(hear(&mut stream, 1).is_err(), "payload after the end");
            // In CLOSE_WAIT meanwhile.
            sleep(pause);
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    stage.expect(Expect::connected("control", stage.pid(), port).any_state().any_holder());
    let mut accepted = Expect::accepted("control", peer.pid(), port).any_state().any_holder();
    // At times one of them is in the accept queue, where no process has opened it yet.
    accepted.opener = Opener::PerhapsUnknown;
    stage.expect(accepted);
    thread(move || {
        loop {
            let mut stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
            greet(&mut stream)?;
            sleep(PACE);
        }
    })?;
    stage.hold()
}

/// A reader that peeks before it takes, as protocol detectors do.
///
/// # Errors
/// See [`keepalive_server`].
pub fn peek_then_read(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = Peer::spawn(move |_| {
        let mut stream = accept_connection(&listener)?;
        loop {
            stream.peek(&mut [0; 1]).context("cannot peek")?;
            answer(&mut stream)?;
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    let opened = Opened::many(1, || Ok(TcpStream::connect(loopback(port))?))?;
    stage.expect(opened.describe(Expect::connected("control", stage.pid(), port)));
    stage.expect(Expect::accepted("control", peer.pid(), port).count(1));
    for stream in opened.streams {
        rounds(stream, PACE)?;
    }
    stage.hold()
}

/// Descriptors of sockets that never were connections: fresh, only bound, and refused. CLOSED is their natural state.
///
/// # Errors
/// See [`keepalive_server`].
pub fn never_connected(stage: &mut Stage) -> Result<()> {
    let closed = port_of(&listener()?)?;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let refused = tcp_socket(loopback(0))?;
        anyhow::ensure!(refused.connect(&loopback(closed).into()).is_err(), "somebody listens on {closed}");
        let bound = tcp_socket(loopback(0))?;
        bound.bind(&loopback(0).into()).context("cannot bind")?;
        kept.extend([refused, bound, tcp_socket(loopback(0))?]);
    }
    // No class to expect: that nothing of this process is accused is asked of every control.
    stage.hold()
}

/// A process that accepts connections and answers on each in a thread of its own.
fn answering_server(listener: TcpListener) -> Result<Peer> {
    Peer::spawn(move |_| {
        loop {
            let mut stream = accept_connection(&listener)?;
            guard(&stream)?;
            thread(move || {
                loop {
                    answer(&mut stream)?;
                }
            })?;
        }
        #[allow(unreachable_code)]
        Ok(())
    })
}

/// Greets in a thread, again and again with a pause in between.
fn rounds(mut stream: TcpStream, pause: Duration) -> Result<()> {
    thread(move || {
        loop {
            greet(&mut stream)?;
            sleep(pause);
        }
    })
}
