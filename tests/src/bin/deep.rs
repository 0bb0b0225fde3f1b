//! `deep --frames N [--stacks K] [--seconds S]`: connects again and again from exactly N frames deep, with frame pointers, by K
//! ways in turn, and prints how often.
//!
//! The load of `cargo xtask bench capture`. It connects to a port without a listener, so the hook on opening is nearly all that a tracer
//! does here. It knows nothing of leaktrace.

use anyhow::{Context as _, Result, bail, ensure};
use leaktrace_tests::load;
use socket2::{Domain, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    load::main("deep", run)
}

fn run() -> Result<()> {
    let (mut span, mut frames, mut stacks) = (Duration::from_secs(1), 8_u64, 1_u64);
    load::options(|option, value| {
        match option {
            "--seconds" => span = Duration::try_from_secs_f64(value.parse()?)?,
            "--frames" => frames = value.parse()?,
            "--stacks" => stacks = value.parse()?,
            _ => bail!("no option {option}; there are --frames, --stacks and --seconds"),
        }
        Ok(())
    })?;
    ensure!((2..=100).contains(&frames), "between 2 and 100 frames are possible");
    let most = 1 << (frames - 2).min(16);
    ensure!((1..=most).contains(&stacks), "between 1 and {most} ways lead that deep");
    let address = SockAddr::from(closed_port()?);
    let begun = Instant::now();
    let mut connects = 0_u64;
    while begun.elapsed() < span {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("cannot open a socket")?;
        let refused = chain::connect(frames, connects % stacks, &socket, &address)?;
        ensure!(refused == -i64::from(libc::ECONNREFUSED), "connect gave {refused}, not a refusal");
        connects += 1;
    }
    println!(
        "{}",
        serde_json::json!({ "connects": connects, "seconds": begun.elapsed().as_secs_f64(), "frames": frames })
    );
    Ok(())
}

/// A port without a listener, at an address of our own.
fn closed_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 1, 0, 2), 0)).context("cannot find a port")?;
    Ok(listener.local_addr()?)
}

/// A stack written by hand: what a compiler makes of frame pointers is up to the compiler.
#[cfg(target_arch = "x86_64")]
mod chain {
    use super::{Result, SockAddr, Socket};
    use std::arch::naked_asm;
    use std::os::fd::AsRawFd as _;

    /// Connects with `frames` frames on the stack, the first being the one that enters the kernel; gives what the kernel says.
    /// Each bit of `way` decides which of two calls leads one frame deeper.
    pub fn connect(frames: u64, way: u64, socket: &Socket, address: &SockAddr) -> Result<i64> {
        let descriptor = u64::try_from(socket.as_raw_fd())?;
        // SAFETY: the address is valid for its length during the call, and the functions keep to the C convention.
        Ok(unsafe { start(frames - 2, descriptor, address.as_ptr().cast(), u64::from(address.len()), way) })
    }

    /// Begins a chain of frame pointers, as a thread's first function does.
    #[unsafe(naked)]
    unsafe extern "C" fn start(calls: u64, descriptor: u64, address: *const u8, len: u64, way: u64) -> i64 {
        naked_asm!("push rbp", "xor ebp, ebp", "call {deeper}", "pop rbp", "ret", deeper = sym deeper)
    }

    /// Calls itself `calls` times, then connect(2), number 42.
    #[unsafe(naked)]
    unsafe extern "C" fn deeper(calls: u64, descriptor: u64, address: *const u8, len: u64, way: u64) -> i64 {
        naked_asm!(
            "push rbp",
            "mov rbp, rsp",
            "test rdi, rdi",
            "jz 2f",
            "dec rdi",
            "shr r8, 1",
            "jc 3f",
            "call {deeper}",
            "pop rbp",
            "ret",
            "3:",
            "call {deeper}",
            "pop rbp",
            "ret",
            "2:",
            "mov rdi, rsi",
            "mov rsi, rdx",
            "mov rdx, rcx",
            "mov eax, 42",
            "syscall",
            "pop rbp",
            "ret",
            deeper = sym deeper
        )
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod chain {
    use super::{Result, SockAddr, Socket, bail};

    /// See the other one.
    pub fn connect(_: u64, _: u64, _: &Socket, _: &SockAddr) -> Result<i64> {
        bail!("this program is written for x86-64 only")
    }
}
