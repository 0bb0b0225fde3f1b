//! `churn --seconds S [--threads N]`: opens, uses and closes loopback connections as fast as the kernel lets it, and prints how many.
//!
//! The load of `cargo xtask bench churn`. Each thread is both ends of one connection at a time: connect, accept, four bytes each
//! way, and a close that resets, so that no ports stay in TIME_WAIT. It knows nothing of leaktrace.

use anyhow::{Context as _, Result, bail, ensure};
use leaktrace_tests::load;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PORT: u16 = 7000;

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
    load::options(|option, value| {
        match option {
            "--seconds" => span = Duration::try_from_secs_f64(value.parse()?)?,
            "--threads" => threads = value.parse()?,
            _ => bail!("no option {option}; there are --seconds and --threads"),
        }
        Ok(())
    })?;
    ensure!((1..=200).contains(&threads), "between 1 and 200 threads are possible, one address for each");
    let listeners = (1..=threads).map(listen).collect::<Result<Vec<_>>>()?;

    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let workers: Vec<_> = listeners.iter().map(|listener| scope.spawn(|| churn(listener, &stop))).collect();
        thread::sleep(span);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect()
    });
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
    });
    println!("{line}");
    Ok(())
}

/// A listener for each thread, on an address of its own: threads share no accept queue and no hash bucket.
fn listen(thread: usize) -> Result<(TcpListener, SocketAddr)> {
    let address = SocketAddr::from((Ipv4Addr::new(127, 1, u8::try_from(thread)?, 1), PORT));
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
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
