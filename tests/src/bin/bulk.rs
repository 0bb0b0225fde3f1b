//! `bulk [--seconds S]`: moves bytes over one loopback connection as fast as the kernel lets it. Each line of its input asks
//! how many in the next S seconds, and what processor time they take; the answer is a line. The end of its input ends it.
//!
//! The load of `cargo xtask bench bulk`: one thread writes, one reads, both in pieces of 256 KiB. They never rest, so that
//! one answer differs from the next as little as the machine lets it. It knows nothing of leaktrace.

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::load;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PIECE: usize = 256 << 10;

fn main() -> ExitCode {
    load::main("bulk", run)
}

fn run() -> Result<()> {
    let mut span = Duration::from_secs(1);
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
    let end = sender.try_clone().context("cannot keep the connection's end at hand")?;
    let received = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| send(sender));
        let reading = scope.spawn(|| receive(receiver, &received));
        let answered = answer(span, &received);
        // Both threads end with the connection.
        let ended = end.shutdown(Shutdown::Both).context("cannot end the connection");
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        answered.and(ended)
    })
}

/// Measures once for each line of the input.
fn answer(span: Duration, received: &AtomicU64) -> Result<()> {
    for line in io::stdin().lines() {
        line.context("cannot read the input")?;
        let (begun, bytes, cpu) = (Instant::now(), received.load(Ordering::Relaxed), load::cpu_seconds()?);
        thread::sleep(span);
        let bytes = received.load(Ordering::Relaxed) - bytes;
        let cpu = load::cpu_seconds()? - cpu;
        let line = serde_json::json!({ "bytes": bytes, "seconds": begun.elapsed().as_secs_f64(), "cpu_seconds": cpu });
        println!("{line}");
    }
    Ok(())
}

/// Writes until the connection ends.
fn send(mut stream: TcpStream) -> Result<()> {
    let piece = vec![0x5a; PIECE];
    loop {
        match stream.write_all(&piece) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => return Ok(()),
            Err(error) => return Err(error).context("cannot write"),
        }
    }
}

fn receive(mut stream: TcpStream, received: &AtomicU64) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                received.fetch_add(len as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read"),
        }
    }
}
