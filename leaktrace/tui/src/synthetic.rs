//! Made-up snapshots of any size, for the benchmark, the demo and tests. Deterministic.

use leaktrace_model::snapshot::{
    Callsite, Degradation, Frame, Group, Health, Holder, Host, LifetimeBucket, Lifetimes, Lost, PeerCount, Process,
    Settings, Snapshot, Socket, StackQuality, Totals, VerdictCounts, Window,
};

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Listed sockets.
    pub sockets: usize,
    /// Call sites.
    pub callsites: usize,
    /// Processes.
    pub processes: usize,
    /// Peers.
    pub peers: usize,
}

impl Size {
    /// A busy host that fits a few screens.
    pub const SMALL: Self = Self { sockets: 48, callsites: 14, processes: 9, peers: 11 };
}

/// Verdicts that sockets of a call site have, by its place: worst first, then none.
const PROFILES: [&[&str]; 8] = [
    &["close-wait", "long-lived"],
    &["never-read"],
    &["dead-held"],
    &["read-stalled", "long-lived"],
    &["write-stalled"],
    &["idle-unguarded", "long-lived"],
    &["silent-peer"],
    &["long-lived"],
];

const COMMS: [&str; 8] = ["checkout", "api-gateway", "worker", "envoy", "python3", "java", "billing", "nginx"];

const FUNCTIONS: [(&str, &str, u32); 10] = [
    ("checkout::pool::PoolClient::acquire", "src/pool.rs", 88),
    ("main.(*Dispatcher).fetchInvoice", "dispatch/fetch.go", 214),
    ("worker::jobs::Reindexer::run::h3f2c9a7d1b0e8456", "src/jobs/reindex.rs", 41),
    ("Envoy::Network::ConnectionImpl::connect()", "source/common/network/connection_impl.cc", 1034),
    ("urlopen", "Lib/urllib/request.py", 189),
    ("com.shop.cart.CartClient.get", "CartClient.java", 57),
    ("billing::ledger::sync_once", "src/ledger.rs", 302),
    ("ngx_event_accept", "src/event/ngx_event_accept.c", 61),
    ("metrics::push::Pusher::flush", "src/push.rs", 17),
    ("main.handleWebhook", "webhook.go", 77),
];

/// The snapshot that is taken `tick` seconds after the start: open sockets of the first call sites grow with it.
pub fn snapshot(size: Size, tick: u64) -> Snapshot {
    let sockets: Vec<Socket> = (0..size.sockets).map(|nth| socket(size, nth, tick)).collect();
    let mut callsites: Vec<Callsite> = (0..size.callsites).map(|nth| callsite(size, nth, tick)).collect();
    let mut processes: Vec<Process> = (0..size.processes).map(|nth| process(nth, tick)).collect();
    let mut peers: Vec<Group> = (0..size.peers).map(|nth| Group { name: peer(nth), ..Group::default() }).collect();
    for (nth, socket) in sockets.iter().enumerate() {
        let flagged = u64::from(!socket.verdicts.is_empty());
        if let Some(site) = callsites.get_mut(nth % size.callsites.max(1)) {
            site.flagged += flagged;
            site.open += 1;
            site.rx_queue_bytes += socket.rx_queue_bytes;
            site.memory_bytes += socket.memory_bytes;
            add(&mut site.verdicts, &socket.verdicts);
        }
        if let Some(process) = processes.get_mut(nth % size.processes.max(1)) {
            process.flagged += flagged;
            process.open += 1;
            process.memory_bytes += socket.memory_bytes;
        }
        if let Some(group) = peers.get_mut(nth % size.peers.max(1)) {
            group.flagged += flagged;
            group.open += 1;
            group.rx_queue_bytes += socket.rx_queue_bytes;
            group.memory_bytes += socket.memory_bytes;
            group.oldest_s = Some(group.oldest_s.unwrap_or(0.0).max(socket.age_s));
            group.oldest_exact = true;
            add(&mut group.verdicts, &socket.verdicts);
        }
    }
    let open: u64 = callsites.iter().map(|site| site.open).sum();
    Snapshot {
        schema_version: leaktrace_model::snapshot::SCHEMA_VERSION,
        host: Host {
            hostname: Some("shop-3".to_owned()),
            kernel: Some("6.12.41".to_owned()),
            boot_id: Some("00000000-0000-0000-0000-000000000000".to_owned()),
        },
        window: window(tick),
        settings: Settings { threshold_s: 60.0, stall_s: 10.0, idle_s: 60.0, interval_s: 1.0, ..Settings::default() },
        health: Health {
            hooks: "fentry".to_owned(),
            cpu_s: Some(0.2 + tick as f64 * 0.004),
            rss_bytes: Some(43_000_000),
            pass_s: Some(0.012),
            pass_cpu_s: Some(0.011),
            holders_pass_cpu_s: Some(0.04),
            tcp_memory_bytes: Some(312_000_000),
            tcp_memory_gap_bytes: Some(4096),
            ignored: 3,
            resolved: 5,
            ..Health::default()
        },
        totals: Totals {
            open,
            opened: 4000 + 118 * tick,
            closed: 3600 + 116 * tick,
            flagged: sockets.iter().filter(|socket| !socket.verdicts.is_empty()).count() as u64,
            rx_queue_bytes: sockets.iter().map(|socket| socket.rx_queue_bytes).sum(),
            memory_bytes: sockets.iter().map(|socket| socket.memory_bytes).sum(),
        },
        listeners: vec![Group { name: "0.0.0.0:8080".to_owned(), open: 12, flagged: 1, ..Group::default() }],
        processes,
        callsites,
        peers,
        sockets,
        ..Snapshot::default()
    }
}

/// The same, with losses.
pub fn lossy(mut snapshot: Snapshot) -> Snapshot {
    snapshot.health.lost = Lost { sockets_unattributed: 1234, stacks: 17, samples: 1, captures: 2 };
    snapshot
}

/// The same, with less than could be.
pub fn degraded(mut snapshot: Snapshot) -> Snapshot {
    let degradation =
        |feature: &str, reason: &str| Degradation { feature: feature.to_owned(), reason: reason.to_owned() };
    snapshot.health.hooks = "tracepoint".to_owned();
    snapshot.health.degraded = vec![
        degradation(
            "accept",
            "this kernel was built without kprobes; accepted sockets are attributed on return from the system call",
        ),
        degradation("stacks", "python3 has no frame pointers and no unwind tables; install its debug symbols"),
    ];
    snapshot
}

fn add(counts: &mut VerdictCounts, names: &[String]) {
    for name in names {
        *counts.entry(name.clone()).or_default() += 1;
    }
}

fn window(tick: u64) -> Window {
    let time = |seconds: u64| {
        let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
        format!("2026-11-20T{hours:02}:{minutes:02}:{:02}Z", seconds % 60)
    };
    Window { start: time(43_200), end: time(43_230 + tick), seconds: 30.0 + tick as f64 }
}

fn peer(nth: usize) -> String {
    match nth % 5 {
        4 => format!("[2001:db8::{:x}]:443", nth + 1),
        _ => {
            format!("10.{}.{}.{}:{}", nth / 65_536 % 256, nth / 256 % 256, nth % 256, [443, 5432, 6379, 9092][nth % 4])
        }
    }
}

fn pid(nth: usize) -> u32 {
    1000 + 37 * nth as u32
}

fn container(nth: usize) -> Option<String> {
    (nth % 3 != 2).then(|| format!("{:064x}", 0xc0ff_ee00_0000_u64 + 7919 * (nth as u64 % 100)))
}

fn profile(callsite: usize) -> &'static [&'static str] {
    match callsite % 14 {
        place if place < PROFILES.len() => PROFILES[place],
        _ => &[],
    }
}

fn frame(nth: usize, symbol: &str, file: Option<(&str, u32)>, module: &str) -> Frame {
    Frame {
        address: 0x5555_5540_0000 + 0x1234 * nth as u64,
        symbol: Some(symbol.to_owned()),
        offset: Some(0x40 + nth as u64),
        module: Some(module.to_owned()),
        file: file.map(|file| file.0.to_owned()),
        line: file.map(|file| file.1),
        inlined: nth == 2,
    }
}

/// Most live for milliseconds, a tenth for longer than a third of a second, one in a hundred for seconds.
fn lifetimes(count: u64) -> Lifetimes {
    let share = |percent: u64| count * percent / 100;
    let counts = [(22, share(15)), (23, share(30)), (24, share(25)), (26, share(15)), (29, share(8)), (32, share(4))];
    let rest = count - counts.iter().map(|(_, count)| count).sum::<u64>();
    let buckets = counts.into_iter().chain([(36, rest)]).filter(|(_, count)| *count > 0);
    let buckets = buckets.map(|(power, count)| LifetimeBucket { below: 2_f64.powi(power) / 1e9, count }).collect();
    Lifetimes { count, p50: 0.012, p90: 0.35, p99: 4.2, max: 61.0, buckets }
}

fn stack(callsite: usize) -> Vec<Frame> {
    let (function, file, line) = FUNCTIONS[callsite % FUNCTIONS.len()];
    let module = format!("/srv/{}/bin/{}", COMMS[callsite % COMMS.len()], COMMS[callsite % COMMS.len()]);
    vec![
        frame(0, "__libc_connect", None, "/usr/lib/x86_64-linux-gnu/libc.so.6"),
        frame(1, "std::net::tcp::TcpStream::connect", Some(("library/std/src/net/tcp.rs", 180)), &module),
        frame(2, "core::ops::function::FnOnce::call_once", Some(("library/core/src/ops/function.rs", 250)), &module),
        frame(3, function, Some((file, line + (callsite / FUNCTIONS.len()) as u32)), &module),
        frame(4, "app::server::Handler::serve_request", Some(("src/server.rs", 140)), &module),
        Frame { symbol: None, ..frame(5, "", None, &module) },
        frame(6, "start_thread", None, "/usr/lib/x86_64-linux-gnu/libc.so.6"),
        frame(7, "clone3", None, "/usr/lib/x86_64-linux-gnu/libc.so.6"),
    ]
}

fn callsite(size: Size, nth: usize, tick: u64) -> Callsite {
    let comm = COMMS[nth % COMMS.len()];
    let grows = nth < 2;
    let closed = if nth == 2 { 0 } else { 90 + 31 * (nth as u64 % 9) };
    Callsite {
        id: 0x1000 + nth as u64,
        direction: if nth % 8 == 7 { "accept" } else { "connect" }.to_owned(),
        comm: comm.to_owned(),
        exe: Some(format!("/srv/{comm}/bin/{comm}")),
        pids: vec![pid(nth % size.processes.max(1))],
        stack: if nth % 14 == 12 { Vec::new() } else { stack(nth) },
        stack_quality: match nth % 14 {
            12 => StackQuality::Missing,
            11 => StackQuality::Truncated,
            _ => StackQuality::Complete,
        },
        stack_reason: (nth % 14 == 11)
            .then(|| "the frame pointer chain broke in libuv; install its debug symbols".to_owned()),
        // Sockets that are not listed come on top of the listed ones.
        open: if grows { 10 + tick * (2 - nth as u64) } else { 20 * (nth as u64 % 5) },
        opened: closed + tick,
        closed,
        oldest_s: Some(7_200.0 / (1.0 + nth as f64) + tick as f64),
        oldest_exact: nth % 4 != 3,
        growing: (nth % 14 != 13).then_some(grows),
        growth_per_min: (nth % 14 != 13).then_some(if grows {
            60.0 * (2 - nth) as f64
        } else {
            0.2 * (nth % 3) as f64
        }),
        lifetime_s: (closed > 0).then(|| lifetimes(closed)),
        peers: (0..3)
            .map(|p| PeerCount { peer: peer((nth + p) % size.peers.max(1)), open: 9 - 3 * p as u64 })
            .collect(),
        ..Callsite::default()
    }
}

fn process(nth: usize, tick: u64) -> Process {
    let comm = COMMS[nth % COMMS.len()];
    let limit = if nth == 0 { 1024 } else { 65_536 };
    Process {
        pid: pid(nth),
        comm: comm.to_owned(),
        exe: Some(format!("/srv/{comm}/bin/{comm}")),
        container: container(nth),
        unit: (nth % 3 == 2).then(|| format!("{comm}.service")),
        cgroup: Some(format!("/system.slice/{comm}.service")),
        fds_open: Some(if nth == 0 { (870 + tick).min(limit) } else { 40 + 13 * (nth as u64 % 50) }),
        fds_limit: Some(limit),
        fds_per_min: Some(if nth == 0 { 60.0 } else { 0.0 }),
        fds_exhausted_s: (nth == 0).then_some(154.0),
        ..Process::default()
    }
}

fn socket(size: Size, nth: usize, tick: u64) -> Socket {
    let site = nth % size.callsites.max(1);
    let verdicts = profile(site);
    let has = |name: &str| verdicts.contains(&name);
    let age_s = 64.0 + (nth * 7919 % 9000) as f64 + tick as f64;
    let holder = nth % size.processes.max(1);
    let state = match () {
        () if has("close-wait") => "CLOSE_WAIT",
        () if has("dead-held") => "CLOSED",
        () => "ESTABLISHED",
    };
    let rx = if has("never-read") || has("read-stalled") { 4096 + 512 * (nth as u64 % 7) } else { 0 };
    let tx = if has("write-stalled") { 66_000 } else { 0 };
    let comm = COMMS[holder % COMMS.len()].to_owned();
    Socket {
        cookie: Some(0x4000 + nth as u64),
        callsite: Some(0x1000 + site as u64),
        direction: if site % 8 == 7 { "accept" } else { "connect" }.to_owned(),
        family: if nth % size.peers.max(1) % 5 == 4 { "ipv6" } else { "ipv4" }.to_owned(),
        local: format!("10.9.0.{}:{}", nth % 4 + 1, 32_768 + nth % 28_000),
        remote: peer(nth % size.peers.max(1)),
        state: state.to_owned(),
        pid: Some(pid(holder)),
        tid: Some(pid(holder)),
        comm: Some(comm.clone()),
        holders: vec![Holder { pid: pid(holder), comm, fd: 9 + (nth / size.processes.max(1)) as u32 }],
        age_s,
        age_exact: nth % 4 != 3,
        idle_s: Some(age_s / 2.0),
        rx_queue_bytes: rx,
        tx_queue_bytes: tx,
        bytes_received: if has("silent-peer") { 0 } else { 18_000 + rx },
        bytes_read: if has("never-read") || has("silent-peer") { 0 } else { 18_000 },
        bytes_sent: 2_200 + tx,
        bytes_acked: 2_200,
        unread_s: (rx > 0).then_some(age_s / 3.0),
        unacked_s: (tx > 0).then_some(age_s / 4.0),
        state_s: Some(age_s / 2.0),
        keepalive: Some(!has("idle-unguarded")),
        user_timeout_ms: None,
        waiters: Some(nth.is_multiple_of(2)),
        memory_bytes: 4_352 + rx + tx,
        netns: Some(4_026_531_840),
        container: container(holder),
        verdicts: verdicts.iter().map(|name| (*name).to_owned()).collect(),
    }
}
