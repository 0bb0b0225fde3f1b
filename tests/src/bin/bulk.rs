//! `bulk [--seconds S]`: moves bytes over one loopback connection as fast as the kernel lets it, and prints how many.
//!
//! The load of `cargo xtask bench bulk`: one thread writes, one reads, both in pieces of 256 KiB. It knows nothing of leaktrace.

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::load;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PIECE: usize = 256 << 10;

fn main() -> ExitCode {
    load::main("bulk", run)
}

fn run() -> Result<()> {
    let mut span = Duration::from_secs(2);
    load::options(|option, value| {
        match option {
            "--seconds" => span = Duration::try_from_secs_f64(value.parse()?)?,
            _ => bail!("no option {option}; there is --seconds"),
        }
        Ok(())
    })?;
    let listener = TcpListener::bind((Ipv4Addr::new(127, 1, 0, 1), 0)).context("cannot listen")?;
    let sender = TcpStream::connect(listener.local_addr()?).context("cannot connect")?;
    let (receiver, _) = listener.accept().context("cannot accept")?;
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    let bytes = thread::scope(|scope| {
        scope.spawn(|| send(sender, &stop));
        scope.spawn(|| {
            thread::sleep(span);
            stop.store(true, Ordering::Relaxed);
        });
        receive(receiver)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = load::cpu_seconds()?;
    let line = serde_json::json!({
        "bytes_per_second": bytes as f64 / seconds, "bytes": bytes, "seconds": seconds, "cpu_seconds": cpu,
    });
    println!("{line}");
    Ok(())
}

/// Writes until told to stop; closing the connection is what ends the reader.
fn send(mut stream: TcpStream, stop: &AtomicBool) -> Result<()> {
    let piece = vec![0x5a; PIECE];
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(&piece)?;
    }
    Ok(())
}

fn receive(mut stream: TcpStream) -> Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(len) => bytes += len as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read"),
        }
    }
}
