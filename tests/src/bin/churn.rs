//! `churn --seconds S [--threads N] [--port P] [--leak-every S]`: opens, uses and closes loopback connections as fast as the kernel
//! lets it, and prints how many.
//!
//! The load of `cargo xtask bench churn`. Each thread is both ends of one connection at a time: connect, accept, four bytes each
//! way, and a close that resets, so that no ports stay in TIME_WAIT. With `--leak-every` one thread more leaks a connection that
//! often, for `bench soak`; what it leaked is held until the standard input ends. It knows nothing of leaktrace.

use anyhow::{Context as _, Result, bail, ensure};
use leaktrace_tests::load;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Where it listens by default; at 0 the kernel chooses, so that two may run.
const PORT: u16 = 7000;

/// Number of the thread that leaks, for its address: behind all others.
const LEAK: usize = 201;

/// What one thread did.
#[derive(Clone, Copy, Default)]
struct Tally {
    completed: u64,
    failed: u64,
}

fn main() -> ExitCode {
    load::main("churn", run)
}

fn run() -> Result<()> {
    let mut span = Duration::from_secs(2);
    let mut threads = thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut port = PORT;
    let mut leak_every = None;
    load::options(|option, value| {
        match option {
            "--seconds" => span = Duration::try_from_secs_f64(value.parse()?)?,
            "--threads" => threads = value.parse()?,
            "--port" => port = value.parse()?,
            "--leak-every" => leak_every = Some(Duration::try_from_secs_f64(value.parse()?)?),
            _ => bail!("no option {option}; there are --seconds, --threads, --port and --leak-every"),
        }
        Ok(())
    })?;
    ensure!((1..=200).contains(&threads), "between 1 and 200 threads are possible, one address for each");
    let listeners = (1..=threads).map(|thread| listen(thread, port)).collect::<Result<Vec<_>>>()?;

    let leak = leak_every.map(|every| anyhow::Ok((listen(LEAK, port)?, every))).transpose()?;

    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    let (tallies, leaked) = thread::scope(|scope| {
        let workers: Vec<_> = listeners.iter().map(|listener| scope.spawn(|| churn(listener, &stop))).collect();
        let leaker = leak.map(|(listener, every)| scope.spawn(move || leak_until(&listener, every, begun + span)));
        thread::sleep(span);
        stop.store(true, Ordering::Relaxed);
        let tallies: Vec<Tally> = workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect();
        (tallies, leaker.and_then(|leaker| leaker.join().ok()))
    });
    let leaked = leaked.transpose().context("cannot leak")?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = load::cpu_seconds()?;

    let connections: u64 = tallies.iter().map(|tally| tally.completed).sum();
    let line = serde_json::json!({
        "connections_per_second": connections as f64 / seconds,
        "connections": connections,
        "failed": tallies.iter().map(|tally| tally.failed).sum::<u64>(),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "threads": threads,
        "leaked": leaked.as_ref().map_or(0, Vec::len),
    });
    println!("{line}");
    if leaked.is_some() {
        // An error is an end as well.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
    }
    Ok(())
}

/// A listener for each thread, on an address of its own: threads share no accept queue and no hash bucket.
fn listen(thread: usize, port: u16) -> Result<(TcpListener, SocketAddr)> {
    let address = SocketAddr::from((Ipv4Addr::new(127, 1, u8::try_from(thread)?, 1), port));
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr().context("cannot ask for an address")?;
    Ok((listener, address))
}

fn churn((listener, address): &(TcpListener, SocketAddr), stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        match one_connection(listener, *address) {
            Ok(()) => tally.completed += 1,
            Err(_) => tally.failed += 1,
        }
    }
    tally
}

fn one_connection(listener: &TcpListener, address: SocketAddr) -> io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    load::reset_on_close(&client)?;
    let (mut server, _) = listener.accept()?;
    let mut buffer = [0; 64];
    client.write_all(b"ping")?;
    let _ = server.read(&mut buffer)?;
    server.write_all(b"pong")?;
    let _ = client.read(&mut buffer)?;
    // The client goes first, as its reset is what ends the connection.
    drop(client);
    drop(server);
    Ok(())
}

/// Leaks one connection at once and then one each `every`, until `end`.
fn leak_until(
    (listener, address): &(TcpListener, SocketAddr),
    every: Duration,
    end: Instant,
) -> io::Result<Vec<(TcpStream, TcpStream)>> {
    let mut leaked = Vec::new();
    let mut next = Instant::now();
    while next < end {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        leaked.push(leak_one(listener, *address)?);
        next += every;
    }
    thread::sleep(end.saturating_duration_since(Instant::now()));
    Ok(leaked)
}

/// The place that is to be found: both ends are opened here and never closed.
#[inline(never)]
fn leak_one(listener: &TcpListener, address: SocketAddr) -> io::Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(address)?;
    let (server, _) = listener.accept()?;
    Ok((client, server))
}
