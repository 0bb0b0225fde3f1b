//! Made-up snapshots for tests, benchmarks and demos: a rich one, an empty one, a degraded and lossy one, a hostile one, a huge
//! one, and a busy host of any size.
//!
//! Plain data, built by hand; nothing here is measured. Its parts are in `parts`.

pub mod busy;
mod parts;
mod values;

pub use values::{frame, library_frame};

use crate::*;
use parts::{
    accepting_site, api_process, healthy_site, leaking_site, listener, older_site, peer, sockets, worker_process,
};
use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};
use values::{counts, moment};

/// Nothing open, nothing wrong.
pub fn empty() -> Snapshot {
    Snapshot {
        schema_version: SCHEMA_VERSION,
        tool: Tool { name: "leaktrace", version: "0.1.0" },
        host: Host {
            hostname: Some("web-1".into()),
            kernel: Some("6.18.5".into()),
            boot_id: Some("5fc1b2f4-0d52-4f0c-a0e1-3bb1c8f6f0aa".into()),
        },
        window: Window { start: moment(0), end: moment(30) },
        settings: Settings {
            limits: Limits {
                threshold: Duration::from_secs(60),
                stall: Duration::from_secs(10),
                idle: Duration::from_secs(60),
            },
            interval: Duration::from_secs(1),
            ..Settings::default()
        },
        health: Health {
            hooks: Hooks::Live(HookKind::Fentry),
            cpu: Some(Duration::from_millis(120)),
            rss_bytes: Some(12 << 20),
            pass: Some(Duration::from_micros(1500)),
            pass_cpu: Some(Duration::from_millis(1)),
            holders_pass_cpu: Some(Duration::from_millis(4)),
            ..Health::default()
        },
        ..Snapshot::default()
    }
}

/// Four call sites, every kind of verdict, every kind of stack.
pub fn rich() -> Snapshot {
    Snapshot {
        totals: Totals {
            sums: Sums {
                open: 1_269,
                flagged: 133,
                rx_queue_bytes: 4_194_304,
                memory_bytes: 22_020_096,
                ..Sums::default()
            },
            opened: 340,
            closed: 215,
        },
        processes: vec![api_process(), worker_process()],
        callsites: vec![leaking_site(), accepting_site(), healthy_site(), older_site()],
        peers: vec![
            peer("10.0.0.1:443", 118, 118, &[(Verdict::NeverRead, 100), (Verdict::CloseWait, 18)]),
            peer("[2001:db8::1]:5432", 20, 2, &[(Verdict::IdleUnguarded, 2)]),
        ],
        listeners: vec![listener("0.0.0.0:8080", 1_100, 13, &[(Verdict::WriteStalled, 12), (Verdict::SilentPeer, 1)])],
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
        verdicts: counts(&[(Verdict::NeverRead, 1), (Verdict::CloseWait, 2)]),
        flagged: listed[..2].to_vec(),
    };
    Snapshot { run: Some(run), ..rich() }
}

/// [`rich`], from a tracer that works less well than it could and has lost data.
pub fn degraded() -> Snapshot {
    let mut snapshot = rich();
    snapshot.health.hooks = Hooks::Live(HookKind::Tracepoint);
    snapshot.settings.stack_sample =
        Some(StackSample { one_in: NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN), above_per_s: 1000 });
    snapshot.health.degraded = vec![
        Degradation::Recorded {
            feature: "hooks".into(),
            reason: "this kernel was built without kprobes and without fentry; closes are seen up to one interval late"
                .into(),
        },
        Degradation::Recorded {
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
    snapshot.settings.filter = Filter {
        pids: vec![12, 13],
        ports: vec![443],
        peers: "10.0.0.0/8".parse().into_iter().collect(),
        ..Filter::default()
    };
    snapshot
}

/// Names that try to break every format.
pub fn hostile() -> Snapshot {
    let evil = "</script><script>alert(1)</script>\x1b[2J\n\"',;=]]>&\u{202e}\u{0}é日本";
    let mut snapshot = rich();
    snapshot.host.hostname = Some(evil.into());
    snapshot.settings.filter.comms = vec![evil.into()];
    snapshot.health.degraded = vec![Degradation::Recorded { feature: evil.into(), reason: evil.into() }];
    for process in &mut snapshot.processes {
        process.comm = evil.into();
        process.exe = Some(evil.into());
        process.unit = Some(evil.into());
        process.container = Some(evil.into());
    }
    for site in &mut snapshot.callsites {
        site.comm = evil.into();
        site.stack_reason = Some(StackReason::Recorded { text: evil.into(), not_sampled: false });
        for frame in &mut site.stack {
            frame.symbol = Some(evil.into());
            frame.file = Some(evil.into());
            frame.module = Some(evil.into());
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
        }
    }
    for socket in &mut snapshot.sockets {
        socket.opener = Some(Opener { pid: 12, comm: Comm::new("\x1b[2J<b>\n=\"'") });
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
        socket.observed.cookie = NonZeroU64::new(index as u64 + 1);
    }
    snapshot.totals.sums.open = count as u64;
    snapshot
}
