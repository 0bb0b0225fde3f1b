//! The processes, call sites, groups and sockets of the rich snapshot.

use super::{counts, frame, library_frame};
use crate::snapshot::*;

pub fn api_process() -> Process {
    Process {
        pid: 12,
        comm: "api".into(),
        exe: Some("/usr/bin/api".into()),
        container: Some("3f".repeat(32)),
        pod: Some("0d6f8f2e-1111-4222-8333-444455556666".into()),
        cgroup: Some("/kubepods/burstable/pod0d6f8f2e".into()),
        open: 1_240,
        flagged: 131,
        fds_open: Some(990),
        fds_limit: Some(1_024),
        fds_per_min: Some(12.0),
        fds_exhausted_s: Some(170.0),
        memory_bytes: 20 << 20,
        ..Process::default()
    }
}

pub fn worker_process() -> Process {
    Process {
        pid: 4_242,
        comm: "worker".into(),
        unit: Some("worker.service".into()),
        open: 29,
        flagged: 2,
        memory_bytes: 1 << 20,
        ..Process::default()
    }
}

pub fn leaking_site() -> Callsite {
    Callsite {
        id: 1,
        direction: "connect".into(),
        comm: "api".into(),
        exe: Some("/usr/bin/api".into()),
        pids: vec![12],
        stack: vec![
            library_frame("connect"),
            frame("std::net::tcp::TcpStream::connect", "net/tcp.rs", 164),
            Frame { inlined: true, ..frame("api::upstream::open", "upstream.rs", 42) },
            frame("api::upstream::fetch_user", "upstream.rs", 57),
            frame("api::handler::profile", "handler.rs", 118),
            frame("api::main", "main.rs", 12),
            library_frame("__libc_start_main"),
        ],
        stack_quality: StackQuality::Complete,
        open: 120,
        opened: 60,
        closed: 34,
        flagged: 118,
        oldest_s: Some(723.0),
        oldest_exact: true,
        growing: Some(true),
        growth_per_min: Some(12.3),
        lifetime_s: Some(Lifetimes {
            count: 34,
            p50: 0.02,
            p90: 1.25,
            p99: 4.0,
            max: 9.5,
            buckets: lived(&[(25, 20), (31, 13), (34, 1)]),
        }),
        rx_queue_bytes: 4_190_208,
        memory_bytes: 18 << 20,
        verdicts: counts(&[("never-read", 100), ("close-wait", 18), ("long-lived", 118)]),
        peers: vec![
            PeerCount { peer: "10.0.0.1:443".into(), open: 118 },
            PeerCount { peer: "10.0.0.2:443".into(), open: 2 },
        ],
        ..Callsite::default()
    }
}

/// Buckets that end at these powers of two of nanoseconds.
fn lived(counts: &[(i32, u64)]) -> Vec<LifetimeBucket> {
    counts.iter().map(|(power, count)| LifetimeBucket { below: 2_f64.powi(*power) / 1e9, count: *count }).collect()
}

pub fn accepting_site() -> Callsite {
    Callsite {
        id: 2,
        direction: "accept".into(),
        comm: "api".into(),
        exe: Some("/usr/bin/api".into()),
        pids: vec![12],
        stack: vec![library_frame("accept4"), frame("api::server::serve", "server.rs", 30)],
        stack_quality: StackQuality::Truncated,
        stack_reason: Some("no unwind information in /usr/bin/api".into()),
        open: 1_100,
        opened: 280,
        closed: 181,
        flagged: 13,
        oldest_s: Some(3_700.0),
        oldest_exact: false,
        growing: Some(false),
        growth_per_min: Some(-0.4),
        lifetime_s: Some(Lifetimes {
            count: 181,
            p50: 0.2,
            p90: 3.0,
            p99: 12.0,
            max: 25.0,
            buckets: lived(&[(28, 95), (32, 80), (35, 6)]),
        }),
        rx_queue_bytes: 4_096,
        memory_bytes: 3 << 20,
        verdicts: counts(&[("write-stalled", 12), ("silent-peer", 1)]),
        peers: vec![PeerCount { peer: "10.1.0.7".into(), open: 1_100 }],
    }
}

pub fn healthy_site() -> Callsite {
    Callsite {
        id: 3,
        direction: "connect".into(),
        comm: "worker".into(),
        pids: vec![4_242],
        stack: vec![Frame { address: 0x7f11_2233_4455, ..Frame::default() }, library_frame("start_thread")],
        stack_quality: StackQuality::Complete,
        open: 29,
        opened: 0,
        closed: 0,
        oldest_s: Some(2.5),
        oldest_exact: true,
        flagged: 0,
        memory_bytes: 1 << 20,
        ..Callsite::default()
    }
}

pub fn older_site() -> Callsite {
    Callsite {
        id: 4,
        direction: "unknown".into(),
        comm: "worker".into(),
        pids: vec![4_242],
        stack_reason: Some("opened before leaktrace was started".into()),
        open: 20,
        flagged: 2,
        oldest_s: Some(90_000.0),
        oldest_exact: false,
        verdicts: counts(&[("idle-unguarded", 2)]),
        ..Callsite::default()
    }
}

pub fn group(name: &str, open: u64, flagged: u64, verdicts: &[(&str, u64)]) -> Group {
    Group {
        name: name.into(),
        open,
        flagged,
        oldest_s: Some(723.0),
        oldest_exact: flagged > 2,
        growing: Some(flagged > 100),
        growth_per_min: Some(12.3),
        rx_queue_bytes: 4_190_208,
        memory_bytes: 18 << 20,
        verdicts: counts(verdicts),
    }
}

pub fn sockets() -> Vec<Socket> {
    let base = Socket {
        callsite: Some(1),
        direction: "connect".into(),
        family: "ipv4".into(),
        local: "10.0.0.9:53412".into(),
        remote: "10.0.0.1:443".into(),
        state: "ESTABLISHED".into(),
        pid: Some(12),
        tid: Some(15),
        comm: Some("api".into()),
        holders: vec![Holder { pid: 12, comm: "api".into(), fd: 7 }],
        age_s: 723.0,
        age_exact: true,
        idle_s: Some(722.5),
        bytes_received: 4_096,
        bytes_sent: 312,
        bytes_acked: 312,
        keepalive: Some(false),
        waiters: Some(false),
        memory_bytes: 9_216,
        netns: Some(4_026_531_840),
        container: Some("3f".repeat(32)),
        ..Socket::default()
    };
    let verdicts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    vec![
        Socket {
            cookie: Some(4_097),
            state: "CLOSE_WAIT".into(),
            state_s: Some(180.0),
            bytes_read: 4_096,
            verdicts: verdicts(&["close-wait", "long-lived"]),
            ..base.clone()
        },
        Socket {
            cookie: Some(4_098),
            rx_queue_bytes: 4_096,
            unread_s: Some(723.0),
            state_s: Some(722.9),
            verdicts: verdicts(&["never-read", "long-lived"]),
            ..base.clone()
        },
        Socket {
            cookie: Some(4_099),
            callsite: Some(2),
            direction: "accept".into(),
            family: "ipv6".into(),
            local: "[2001:db8::9]:8080".into(),
            remote: "[2001:db8::1]:40112".into(),
            tx_queue_bytes: 12_288,
            unacked_s: Some(31.0),
            state_s: Some(95.0),
            bytes_received: 0,
            user_timeout_ms: Some(20_000),
            keepalive: Some(true),
            waiters: Some(true),
            holders: vec![Holder { pid: 12, comm: "api".into(), fd: 9 }, Holder { pid: 13, comm: "api".into(), fd: 9 }],
            verdicts: verdicts(&["write-stalled", "silent-peer", "long-lived"]),
            ..base.clone()
        },
        Socket {
            cookie: None,
            callsite: None,
            direction: "unknown".into(),
            pid: None,
            tid: None,
            comm: None,
            holders: Vec::new(),
            age_s: 90_000.0,
            age_exact: false,
            idle_s: None,
            keepalive: None,
            waiters: None,
            netns: None,
            container: None,
            verdicts: verdicts(&["idle-unguarded"]),
            ..base
        },
    ]
}
