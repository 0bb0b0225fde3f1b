//! Snapshots for tests: a rich one, an empty one, a degraded and lossy one, a hostile one, a huge one.
//!
//! Plain data, built by hand; nothing here is measured. What they are made of is in `parts`.

mod parts;

use crate::snapshot::*;
use parts::{accepting_site, api_process, group, healthy_site, leaking_site, older_site, sockets, worker_process};

/// A frame with everything known.
pub fn frame(symbol: &str, file: &str, line: u32) -> Frame {
    Frame {
        address: 0x55d0_0000_0000 + u64::from(line),
        symbol: Some(symbol.to_owned()),
        offset: Some(0x1d),
        module: Some("/usr/bin/api".to_owned()),
        file: Some(format!("/src/{file}")),
        line: Some(line),
        inlined: false,
    }
}

/// A frame of a library that has symbols and no debug information.
pub fn library_frame(symbol: &str) -> Frame {
    Frame {
        address: 0x7f00_0000_1000 + symbol.len() as u64,
        symbol: Some(symbol.to_owned()),
        offset: Some(0x4f),
        module: Some("/usr/lib/x86_64-linux-gnu/libc.so.6".to_owned()),
        ..Frame::default()
    }
}

fn counts(pairs: &[(&str, u64)]) -> VerdictCounts {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Nothing open, nothing wrong.
pub fn empty() -> Snapshot {
    Snapshot {
        schema_version: SCHEMA_VERSION,
        tool: Tool { name: "leaktrace".into(), version: "0.1.0".into() },
        host: Host {
            hostname: Some("web-1".into()),
            kernel: Some("6.18.5".into()),
            boot_id: Some("5fc1b2f4-0d52-4f0c-a0e1-3bb1c8f6f0aa".into()),
        },
        window: Window { start: "2026-11-20T20:00:00Z".into(), end: "2026-11-20T20:00:30Z".into(), seconds: 30.0 },
        settings: Settings {
            threshold_s: 60.0,
            stall_s: 10.0,
            idle_s: 60.0,
            interval_s: 1.0,
            stack_sample: None,
            filters: Filters::default(),
        },
        health: Health {
            hooks: "fentry".into(),
            cpu_s: Some(0.12),
            rss_bytes: Some(12 << 20),
            pass_s: Some(0.0015),
            pass_cpu_s: Some(0.001),
            holders_pass_cpu_s: Some(0.004),
            ..Health::default()
        },
        ..Snapshot::default()
    }
}

/// Four call sites, every kind of verdict, every kind of stack.
pub fn rich() -> Snapshot {
    Snapshot {
        totals: Totals {
            open: 1_269,
            opened: 340,
            closed: 215,
            flagged: 133,
            rx_queue_bytes: 4_194_304,
            memory_bytes: 22_020_096,
        },
        processes: vec![api_process(), worker_process()],
        callsites: vec![leaking_site(), accepting_site(), healthy_site(), older_site()],
        peers: vec![
            group("10.0.0.1:443", 118, 118, &[("never-read", 100), ("close-wait", 18)]),
            group("[2001:db8::1]:5432", 20, 2, &[("idle-unguarded", 2)]),
        ],
        listeners: vec![group("0.0.0.0:8080", 1_100, 13, &[("write-stalled", 12), ("silent-peer", 1)])],
        sockets: sockets(),
        ..empty()
    }
}

/// [`rich`], of a command that left two sockets open, one of them in a process that was killed.
pub fn run() -> Snapshot {
    let listed = sockets();
    let left = |pid: u32, signal, socket: &Socket| LeftOpen {
        pid,
        comm: "api".into(),
        signal,
        at_s: 12.5,
        socket: Socket { callsite: Some(1), holders: Vec::new(), ..socket.clone() },
    };
    let ended = RunProcess {
        pid: 12,
        parent: 11,
        comm: "api".into(),
        exe: Some("/usr/bin/api".into()),
        started_s: 0.5,
        exited_s: Some(12.5),
        exit_status: Some(0),
        signal: None,
        left_open: 1,
        open: None,
    };
    let killed = RunProcess { pid: 13, exit_status: Some(137), signal: Some(9), ..ended.clone() };
    let running = RunProcess {
        pid: 14,
        comm: "worker".into(),
        exited_s: None,
        exit_status: None,
        left_open: 0,
        open: Some(3),
        ..ended.clone()
    };
    let run = Run {
        command: vec!["pytest".into(), "-x".into()],
        exit_status: Some(0),
        signal: None,
        processes_total: 9,
        processes_running: 1,
        processes: vec![ended, killed, running],
        left_open_total: 3,
        left_open_lost: 1,
        left_open: vec![left(12, None, &listed[0]), left(13, Some(9), &listed[1])],
        verdicts: counts(&[("never-read", 1), ("close-wait", 2)]),
        flagged: listed[..2].to_vec(),
    };
    Snapshot { run: Some(run), ..rich() }
}

/// [`rich`], from a tracer that works less well than it could and has lost some.
pub fn degraded() -> Snapshot {
    let mut snapshot = rich();
    snapshot.health.hooks = "tracepoint".into();
    snapshot.settings.stack_sample = Some(StackSample { one_in: 100, above_per_s: 1000 });
    snapshot.health.degraded = vec![
        Degradation {
            feature: "hooks".into(),
            reason: "this kernel was built without kprobes and without fentry; closes are seen up to one interval late"
                .into(),
        },
        Degradation {
            feature: "symbols".into(),
            reason: "pid 4242 (java) has no perf map; start it with \
             -XX:+PreserveFramePointer and an agent that writes /tmp/perf-4242.map"
                .into(),
        },
    ];
    snapshot.health.lost = Lost { sockets_unattributed: 12, stacks: 3, samples: 1, captures: 2 };
    snapshot.health.tcp_memory_bytes = Some(64 << 20);
    snapshot.health.tcp_memory_gap_bytes = Some(43 << 20);
    snapshot.health.ignored = 7;
    snapshot.health.resolved = 4;
    snapshot.settings.filters =
        Filters { pid: vec![12, 13], port: vec![443], peer: vec!["10.0.0.0/8".into()], ..Filters::default() };
    snapshot
}

/// Names that try to break every format.
pub fn hostile() -> Snapshot {
    let evil = "</script><script>alert(1)</script>\x1b[2J\n\"',;=]]>&\u{202e}\u{0}é日本";
    let mut snapshot = rich();
    snapshot.host.hostname = Some(evil.into());
    snapshot.settings.filters.comm = vec![evil.into()];
    snapshot.health.degraded = vec![Degradation { feature: evil.into(), reason: evil.into() }];
    for process in &mut snapshot.processes {
        process.comm = evil.into();
        process.exe = Some(evil.into());
        process.unit = Some(evil.into());
        process.container = Some(evil.into());
    }
    for site in &mut snapshot.callsites {
        site.comm = evil.into();
        site.stack_reason = Some(evil.into());
        site.verdicts.insert(evil.into(), 1);
        for frame in &mut site.stack {
            frame.symbol = Some(evil.into());
            frame.file = Some(evil.into());
            frame.module = Some(evil.into());
        }
        for peer in &mut site.peers {
            peer.peer = evil.into();
        }
    }
    snapshot.run = run().run;
    if let Some(run) = &mut snapshot.run {
        run.command = vec![evil.into()];
        for process in &mut run.processes {
            process.comm = evil.into();
        }
        for left in &mut run.left_open {
            left.comm = evil.into();
            left.socket.state = evil.into();
            left.socket.remote = evil.into();
            left.socket.verdicts = vec![evil.into()];
        }
    }
    for group in snapshot.peers.iter_mut().chain(&mut snapshot.listeners) {
        group.name = evil.into();
    }
    for socket in &mut snapshot.sockets {
        socket.comm = Some(evil.into());
        socket.remote = evil.into();
        socket.state = evil.into();
        for holder in &mut socket.holders {
            holder.comm = evil.into();
        }
    }
    snapshot
}

/// [`rich`] with that many sockets listed.
pub fn many_sockets(count: usize) -> Snapshot {
    let mut snapshot = rich();
    let pattern = sockets();
    snapshot.sockets = pattern.iter().cycle().take(count).cloned().collect();
    for (index, socket) in snapshot.sockets.iter_mut().enumerate() {
        socket.cookie = Some(index as u64);
    }
    snapshot.totals.open = count as u64;
    snapshot
}
