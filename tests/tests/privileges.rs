//! What leaktrace needs of the rights that root has: the capabilities that the README names, and no more.
#![allow(clippy::unwrap_used)]

mod subject;

use leaktrace_tests::suite::tracer::Tracer;
use nix::sys::signal::Signal;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;
use subject::leaktrace;

/// <linux/capability.h>
const CAP_PERFMON: libc::c_ulong = 38;
const CAP_BPF: libc::c_ulong = 39;
const CAP_LAST: libc::c_ulong = 63;

/// Runs `test` in a thread whose children, though they are root's, have these capabilities only.
fn with_capabilities(kept: &[libc::c_ulong], test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            for capability in (0..=CAP_LAST).filter(|capability| !kept.contains(capability)) {
                // SAFETY: takes numbers only; those above the kernel's last are refused.
                unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
            }
            test();
        });
        run.join().unwrap();
    });
}

#[test]
fn two_capabilities_suffice_to_hear_both_ends_of_a_connection() {
    const CONNECTIONS: usize = 5;
    let Some(leaktrace) = leaktrace() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    with_capabilities(&[CAP_BPF, CAP_PERFMON], || {
        let words = ["report", "--duration", "120s", "--all", "--format", "json", "--hooks", "tracepoint"];
        let mut tracer = Tracer::start(&leaktrace, &words).unwrap();
        assert!(tracer.wait_until_attached().unwrap(), "{:?}", tracer.wait());
        let pairs: Vec<_> =
            (0..CONNECTIONS).map(|_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap())).collect();
        thread::sleep(Duration::from_secs(2));
        tracer.signal(Signal::SIGINT).unwrap();
        let outcome = tracer.wait().unwrap();
        drop(pairs);
        let (report, _) = outcome.report().unwrap();
        let heard = |direction: &str| {
            let ours = |socket: &&leaktrace_tests::suite::report::Socket| {
                [socket.local_port(), socket.remote_port()].contains(&Some(address.port()))
            };
            report
                .sockets
                .iter()
                .filter(ours)
                .filter(|socket| socket.direction == direction && socket.age_exact)
                .count()
        };
        assert_eq!((heard("connect"), heard("accept")), (CONNECTIONS, CONNECTIONS), "{}", outcome.stdout);
        // Opening tracefs takes CAP_SYS_ADMIN, unless it is mounted; then every system call is looked at.
        let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let degraded = report["health"]["degraded"].as_array().unwrap();
        let said = degraded.iter().any(|one| one["reason"].as_str().unwrap().contains("tracefs"));
        let mounted = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"].map(Path::new);
        assert_eq!(said, !mounted.iter().any(|events| events.is_dir()), "{degraded:?}");
    });
}
