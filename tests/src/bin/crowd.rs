//! `crowd --sockets N [--seconds S]`: holds N open TCP sockets, both ends of N/2 loopback connections, until its standard input ends.
//!
//! What `cargo xtask bench` samples. Each connection has carried four bytes each way and has keepalive, so that none is stuck. A
//! process may hold a limited number of descriptors, so the sockets are held by children, each on an address of its own. Prints a line of
//! JSON when all are open; ends by itself after S seconds (600 by default), and no child outlives it.

use anyhow::{Context as _, Result, bail, ensure};
use leaktrace_tests::load;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Connections of one process at most: two descriptors each.
const MOST_CONNECTIONS: u64 = 9_500;

/// Descriptors that a process needs for itself.
const OWN_DESCRIPTORS: u64 = 64;

/// Connections that are opened in one go; then the processor is left to others for as long as that took.
const BATCH: u64 = 100;

/// More than this would take more memory than a test machine has.
const MOST_SOCKETS: u64 = 2_000_000;

fn main() -> ExitCode {
    load::main("crowd", run)
}

fn run() -> Result<()> {
    let (mut sockets, mut seconds, mut child) = (10_000, 600, None);
    load::options(|option, value| {
        match option {
            "--sockets" => sockets = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            "--child" => child = Some(value.parse()?),
            _ => bail!("no option {option}; there are --sockets and --seconds"),
        }
        Ok(())
    })?;
    ensure!((2..=MOST_SOCKETS).contains(&sockets), "between 2 and {MOST_SOCKETS} sockets are possible");
    match child {
        Some(number) => hold(number, sockets / 2),
        None => lead(sockets, Duration::from_secs(seconds)),
    }
}

/// Starts children one after the other, and stays until it is asked to end.
fn lead(sockets: u64, longest: Duration) -> Result<()> {
    let begun = Instant::now();
    let each = MOST_CONNECTIONS.min((descriptor_limit()?.saturating_sub(OWN_DESCRIPTORS)) / 2);
    ensure!(each > 0, "a process may hold too few descriptors here: raise `ulimit -n`");
    let (mut left, mut children) = (sockets / 2, Vec::new());
    while left > 0 {
        let connections = left.min(each);
        children.push(start_child(children.len(), connections)?);
        left -= connections;
    }
    let line = serde_json::json!({
        "sockets": sockets / 2 * 2, "processes": children.len(), "seconds": begun.elapsed().as_secs_f64(),
    });
    println!("{line}");
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        wait_for_end_of_input();
        ended.send(())
    });
    // Either way the crowd is over: it was asked to end, or stayed too long.
    let _ = end.recv_timeout(longest);
    for mut child in children {
        drop(child.stdin.take());
        child.wait().context("cannot wait for a child")?;
    }
    Ok(())
}

/// Starts a child and waits until it holds all its sockets. Its input is ours to close, also by dying.
fn start_child(number: usize, connections: u64) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut child = Command::new(program)
        .args(["--child", &number.to_string(), "--sockets", &(connections * 2).to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a child")?;
    let output = child.stdout.take().context("a child has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).context("cannot hear from a child")?;
    ensure!(line.trim() == "ready", "a child could not open its {connections} connections");
    Ok(child)
}

/// What a child does.
fn hold(number: u64, connections: u64) -> Result<()> {
    let listener = TcpListener::bind((address(2, number)?, 0)).context("cannot listen")?;
    let to = listener.local_addr().context("cannot ask for an address")?;
    let from = SocketAddr::from((address(3, number)?, 0));
    raise_descriptor_limit()?;
    let mut held = Vec::new();
    let mut begun = Instant::now();
    for done in 0..connections {
        held.push(connect(from, to, &listener).with_context(|| format!("connection {done}"))?);
        if done % BATCH == BATCH - 1 {
            thread::sleep(begun.elapsed());
            begun = Instant::now();
        }
    }
    println!("ready");
    wait_for_end_of_input();
    Ok(())
}

/// 127.`net`.x.y, one for each child.
fn address(net: u8, number: u64) -> Result<Ipv4Addr> {
    let [high, low] = u16::try_from(number + 1).context("too many children")?.to_be_bytes();
    Ok(Ipv4Addr::new(127, net, high, low))
}

fn connect(from: SocketAddr, to: SocketAddr, listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // The port is chosen when the peer is known: each pair of addresses has all ports.
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(&from.into())?;
    socket.connect(&to.into())?;
    let mut client = TcpStream::from(socket);
    let (mut server, _) = listener.accept()?;
    let mut buffer = [0; 4];
    client.write_all(b"ping")?;
    server.read_exact(&mut buffer)?;
    server.write_all(b"pong")?;
    client.read_exact(&mut buffer)?;
    for stream in [&client, &server] {
        load::reset_on_close(stream)?;
        SockRef::from(stream).set_keepalive(true)?;
    }
    Ok((client, server))
}

fn descriptor_limit() -> Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE).context("cannot ask for the limit of descriptors")?.1)
}

fn raise_descriptor_limit() -> Result<()> {
    let most = descriptor_limit()?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot raise the limit of descriptors")
}

fn wait_for_end_of_input() {
    // An error is an end as well.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
