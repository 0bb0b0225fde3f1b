//! `leaver PORT COUNT [exit|close|killed]`: connects and ends without closing what it has opened, or after closing it, or by
//! a signal. A program for tests of `leaktrace run`.

use nix::sys::signal::{Signal, raise};
use std::net::TcpStream;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, count, rest @ ..] = words.as_slice() else { anyhow::bail!("leaver PORT COUNT [exit|close|killed]") };
    let streams = leave_connections_open(port.parse()?, count.parse()?)?;
    match rest.first().map(String::as_str) {
        Some("close") => drop(streams),
        Some("killed") => raise(Signal::SIGKILL)?,
        _ => {}
    }
    // The mappings of a process that is gone a millisecond after it began may be missed on a busy machine.
    std::thread::sleep(std::time::Duration::from_millis(500));
    // Nothing is dropped any more.
    std::process::exit(0);
}

#[inline(never)]
fn leave_connections_open(port: u16, count: usize) -> std::io::Result<Vec<TcpStream>> {
    (0..count).map(|_| TcpStream::connect(("127.0.0.1", port))).collect()
}
