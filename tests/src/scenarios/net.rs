//! Sockets on loopback: listeners, the few options that scenario programs need, and a greeting that leaves both queues empty.

use super::refusal::cannot_run_here;
use anyhow::{Context, Result};
use nix::libc;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Enough for every program's connections at once.
const BACKLOG: i32 = 4096;

/// A listener on a port of its own.
///
/// # Errors
/// When loopback is down or no port is free.
pub fn listener() -> Result<TcpListener> {
    listener_on(loopback(0), BACKLOG)
}

/// A listener on `address` with a queue of `backlog` connections that are not accepted.
///
/// # Errors
/// When the address cannot be bound.
pub fn listener_on(address: SocketAddr, backlog: i32) -> Result<TcpListener> {
    let socket = tcp_socket(address)?;
    if address.is_ipv6() {
        socket.set_only_v6(false).context("cannot take IPv4 as well")?;
    }
    listen(socket, address, backlog)
}

/// A listener whose connections have small buffers, so that a few kilobytes fill them.
///
/// # Errors
/// When loopback is down or no port is free.
pub fn narrow_listener() -> Result<TcpListener> {
    let socket = tcp_socket(loopback(0))?;
    socket.set_recv_buffer_size(8 << 10).context("cannot shrink the receive buffer")?;
    listen(socket, loopback(0), BACKLOG)
}

/// Binds and listens.
///
/// # Errors
/// When the address cannot be bound.
pub fn listen(socket: Socket, address: SocketAddr, backlog: i32) -> Result<TcpListener> {
    socket.bind(&address.into()).with_context(|| format!("cannot bind {address}"))?;
    socket.listen(backlog).context("cannot listen")?;
    Ok(socket.into())
}

/// A TCP socket of the address's family.
///
/// # Errors
/// When the family is not there.
pub fn tcp_socket(address: SocketAddr) -> Result<Socket> {
    let kind = Type::STREAM;
    Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP)).context("cannot make a TCP socket")
}

/// 127.0.0.1 with a port.
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The port that a listener has.
///
/// # Errors
/// Never for a bound listener.
pub fn port_of(listener: &TcpListener) -> Result<u16> {
    Ok(listener.local_addr().context("a listener without an address")?.port())
}

/// Turns SO_KEEPALIVE on: a dead peer will be noticed.
///
/// # Errors
/// When it is no socket.
pub fn guard(stream: &impl AsFd) -> Result<()> {
    SockRef::from(stream).set_keepalive(true).context("cannot turn keepalive on")
}

/// Makes the next close send a reset.
///
/// # Errors
/// When it is no socket.
pub fn reset_on_close(stream: &impl AsFd) -> Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).context("cannot set SO_LINGER")
}

/// Client half of the greeting: one byte there, one byte back.
///
/// # Errors
/// When the peer is gone.
pub fn greet(stream: &mut TcpStream) -> Result<()> {
    say(stream, 1)?;
    hear(stream, 1)
}

/// Server half of the greeting.
///
/// # Errors
/// When the peer is gone.
pub fn answer(stream: &mut TcpStream) -> Result<()> {
    hear(stream, 1)?;
    say(stream, 1)
}

/// Sends this number of bytes.
///
/// # Errors
/// When the peer is gone.
pub fn say(stream: &mut impl Write, bytes: usize) -> Result<()> {
    stream.write_all(&vec![b'.'; bytes]).context("cannot send")
}

/// Reads exactly this number of bytes.
///
/// # Errors
/// When the peer is gone.
pub fn hear(stream: &mut impl Read, bytes: usize) -> Result<()> {
    stream.read_exact(&mut vec![0; bytes]).context("cannot receive")
}

/// Sends without waiting until nothing more fits.
///
/// # Errors
/// When the peer is gone.
pub fn fill(stream: &mut TcpStream) -> Result<()> {
    stream.set_nonblocking(true).context("cannot switch to non-blocking")?;
    let chunk = [b'.'; 4096];
    // Loopback delivers in the meantime: three refusals in a row mean that the window is shut as well.
    let mut refused = 0;
    while refused < 3 {
        match stream.write(&chunk) {
            Ok(_) => refused = 0,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error).context("cannot fill the send queue"),
        }
    }
    Ok(())
}

/// Sets an option of TCP.
///
/// # Errors
/// When the kernel refuses it: then the program cannot run here.
pub fn set_tcp_option(socket: &Socket, option: libc::c_int, value: libc::c_int) -> Result<()> {
    let place = (&raw const value).cast();
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the option's value is an int that outlives the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, option, place, size) };
    nix::errno::Errno::result(result)
        .map_err(|error| cannot_run_here(format!("TCP option {option} is refused: {error}")))?;
    Ok(())
}

/// Waits until the kernel has each of these connections in a state of `include/net/tcp_states.h`, such as [`CLOSE_WAIT`]. On
/// loopback the other end's FIN or reset is usually there at once, but a busy processor may deliver it later.
///
/// # Errors
/// When one is not in that state after a minute.
pub fn await_state(streams: &[TcpStream], state: u8) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    for stream in streams {
        loop {
            let now = tcp_state(stream)?;
            if now == state {
                break;
            }
            anyhow::ensure!(Instant::now() < deadline, "a connection is in state {now}, not {state}, after a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// The other end has closed its half.
pub const CLOSE_WAIT: u8 = 8;

/// TCP has finished.
pub const CLOSED: u8 = 7;

fn tcp_state(stream: &TcpStream) -> Result<u8> {
    let mut state = 0_u8;
    let mut size = size_of_val(&state) as libc::socklen_t;
    let place = (&raw mut state).cast();
    // SAFETY: the state is the first byte of tcp_info, and the kernel writes no more bytes than `size` says.
    let result =
        unsafe { libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut size) };
    nix::errno::Errno::result(result).context("cannot read TCP_INFO")?;
    Ok(state)
}
