//! `churn --seconds S [--threads N]`: opens, uses and closes loopback connections as fast as the kernel lets it, and prints how many.
//!
//! The load of `cargo xtask bench churn`. Each thread is both ends of one connection at a time: connect, accept, four bytes each
//! way, and a close that resets, so that no ports stay in TIME_WAIT. It knows nothing of leaktrace.

use anyhow::{Context as _, Result, bail, ensure};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
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
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("churn: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut span = Duration::from_secs(2);
    let mut threads = thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut words = std::env::args().skip(1);
    while let Some(option) = words.next() {
        let value = words.next().with_context(|| format!("{option} wants a number"))?;
        let no_number = || format!("{option} wants a number, not {value}");
        match option.as_str() {
            "--seconds" => {
                span = Duration::try_from_secs_f64(value.parse().with_context(no_number)?).with_context(no_number)?;
            }
            "--threads" => threads = value.parse().with_context(no_number)?,
            _ => bail!("no option {option}; there are --seconds and --threads"),
        }
    }
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
    let cpu = cpu_seconds()?;

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
    reset_on_close(&client)?;
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

/// Processor time of this process so far, in user space and in the kernel.
fn cpu_seconds() -> Result<f64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` of ours.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    ensure!(status == 0, "cannot read this process's clock: {}", io::Error::last_os_error());
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the descriptor is open, and the pointer and length are those of a `linger` that outlives the call.
    let status = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
