//! A made-up host whose sockets open, send, rest and close: samples for tests, and to measure the size of recordings. Deterministic.
//!
//! Behind the feature `synthetic`. Must not need a kernel or files.

use super::{
    wire::Start,
    write::{Progress, Recorder, WriteError},
};
use leaktrace_model::{
    CallsiteStack, Comm, Cost, Direction, Frame, HolderProcess, Holders, HookKind, HostTotals, LIFETIME_CLASSES,
    Limits, Location, ModuleId, Moment, Observed, Pass, Placement, ProcessFacts, Resolve, Sample, Settings, Shown,
    SiteCounters, SiteKey, SocketHolder, StackQuality, StackReason, Sums, TcpState, Ticks, Verdict, Verdicts,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU32, NonZeroU64},
    path::Path,
    time::Duration,
};

/// A recording of version 1 with 70 samples. Every later version must read the same from it.
pub const VERSION_1: &[u8] = include_bytes!("fixtures/version1.ltr");

/// The size of the host, and how much happens on it.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Open sockets.
    pub sockets: u32,
    /// Call sites.
    pub callsites: u32,
    /// Processes.
    pub processes: u32,
    /// Sockets that send or receive between two samples.
    pub moving: u32,
    /// Sockets that are closed and replaced by others between two samples.
    pub replaced: u32,
    /// Samples from one holders pass to the next.
    pub holders_every: u32,
}

impl Scale {
    /// Small enough for a test.
    pub const SMALL: Self = Self { sockets: 12, callsites: 4, processes: 3, moving: 3, replaced: 1, holders_every: 3 };
    /// A busy server: of 10,000 sockets one in twenty moves each second, and ten are replaced.
    pub const SERVER: Self =
        Self { sockets: 10_000, callsites: 200, processes: 60, moving: 500, replaced: 10, holders_every: 5 };
}

/// One socket of the host. Spans are kept as the moments when they began.
#[derive(Clone, Copy, Debug)]
struct Socket {
    observed: Observed,
    opened_ns: u64,
    state_since: u32,
    payload_since: u32,
    unread_since: u32,
}

/// The host.
#[derive(Debug)]
pub struct Host {
    scale: Scale,
    limits: Limits,
    state: u64,
    now_ns: u64,
    samples: u32,
    next: u64,
    sockets: Vec<Socket>,
    sites: Vec<SiteCounters>,
}

/// When watching begins.
const START: Moment = Moment { boot_ns: 3_600_000_000_000, unix_ns: 1_700_000_000_000_000_000 };
const SECOND: u64 = 1_000_000_000;

/// The thresholds of the host at first.
const LIMITS: Limits =
    Limits { threshold: Duration::from_secs(60), stall: Duration::from_secs(10), idle: Duration::from_secs(60) };

impl Host {
    /// A host at its first second.
    pub fn new(scale: Scale) -> Self {
        let sites = (1..=scale.callsites)
            .map(|index| SiteCounters {
                key: SiteKey {
                    stack_hash: u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15),
                    pid: 1000 + index % scale.processes,
                    direction: if index % 2 == 0 { Direction::Connect } else { Direction::Accept },
                },
                comm: comm(index % scale.processes),
                ..SiteCounters::default()
            })
            .collect();
        let mut host = Self {
            scale,
            limits: LIMITS,
            state: 1,
            now_ns: START.boot_ns,
            samples: 0,
            next: 1,
            sockets: Vec::new(),
            sites,
        };
        for _ in 0..scale.sockets {
            let socket = host.open();
            host.sockets.push(socket);
        }
        host
    }

    /// Changes the thresholds of verdicts.
    pub fn judge_by(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// When watching begins.
    pub const fn started() -> Moment {
        START
    }

    /// A number below `limit`.
    fn random(&mut self, limit: u64) -> u64 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % limit.max(1)
    }

    fn open(&mut self) -> Socket {
        let callsite = 1 + self.random(self.scale.callsites.into()) as u32;
        let (cookie, spread) = (self.next, self.random(1 << 22));
        self.next += 1;
        let site = &mut self.sites[callsite as usize - 1];
        site.opened += 1;
        let SiteKey { pid, direction, .. } = site.key;
        let ticks = ticks_at(self.now_ns);
        let (local_port, remote_port) = match direction {
            Direction::Connect => (32_768 + (cookie % 28_000) as u16, 5432),
            _ => (443, 32_768 + (spread % 28_000) as u16),
        };
        let remote = Ipv4Addr::new(10, 0, (spread >> 8) as u8 & 3, spread as u8);
        Socket {
            observed: Observed {
                sk: 0xffff_8880_0000_0000 | spread << 12 | cookie << 6 & 0xfff,
                cookie: NonZeroU64::new(cookie),
                local: SocketAddr::from((Ipv4Addr::new(10, 1, 0, 7), local_port)),
                remote: SocketAddr::from((remote, remote_port)),
                netns: NonZeroU32::new(4_026_531_840),
                state: TcpState::Established,
                direction,
                callsite,
                tid: NonZeroU32::new(pid + 3),
                held_by: Some((pid, 5 + (cookie % 4096) as u32)),
                memory_bytes: 4352,
                waiters: Some(true),
                was_connected: true,
                ..Observed::default()
            },
            opened_ns: self.now_ns - self.random(SECOND),
            state_since: ticks,
            payload_since: ticks,
            unread_since: ticks,
        }
    }

    /// Takes a sample, a second after the last one.
    pub fn sample(&mut self) -> Sample {
        let jitter = self.random(2_000_000);
        self.now_ns += SECOND + jitter;
        let first = self.samples == 0;
        self.samples += 1;
        for _ in 0..self.scale.replaced {
            let index = self.random(self.sockets.len() as u64) as usize;
            let old = self.sockets[index];
            let site = &mut self.sites[old.observed.callsite as usize - 1];
            let lifetime = self.now_ns - old.opened_ns;
            site.closed += 1;
            site.longest_ns = site.longest_ns.max(lifetime);
            site.lifetimes[lifetime_class(lifetime)] += 1;
            self.sockets[index] = self.open();
        }
        for _ in 0..self.scale.moving {
            self.move_one();
        }
        let pass = Pass {
            number: self.samples as u16,
            held_pass: (1 + self.samples / self.scale.holders_every) as u16,
            now_ns: self.now_ns,
            limits: in_whole_ticks(self.limits),
            shown: Shown::All,
        };
        let mut sockets: Vec<Observed> = self.sockets.iter().map(|socket| socket.at(&pass)).collect();
        sockets.sort_by_key(|socket| socket.sk);
        sockets.dedup_by_key(|socket| socket.sk);
        let totals = self.sum(&sockets, &pass);
        let with_holders = first || self.samples.is_multiple_of(self.scale.holders_every);
        let holders = with_holders.then(|| self.holders(&sockets));
        Sample {
            at: Moment { boot_ns: self.now_ns, unix_ns: START.unix_ns + (self.now_ns - START.boot_ns).cast_signed() },
            pass,
            totals,
            callsites: (1..).zip(self.sites.iter().copied()).collect(),
            stacks: if first { (1..=self.scale.callsites).map(stack).collect() } else { Vec::new() },
            processes: if with_holders { (0..self.scale.processes).map(facts).collect() } else { Vec::new() },
            holders,
            sockets,
            tcp_memory_bytes: Some(totals.sums.memory_bytes + 4096 * self.random(8)),
            cost: Cost {
                sockets: Duration::from_nanos(9_000_000 + self.random(1_000_000)),
                sockets_cpu: Duration::from_nanos(8_000_000 + self.random(1_000_000)),
                holders: Duration::from_nanos(self.random(1_000_000)),
                cpu: Duration::from_nanos(12_000_000 * u64::from(self.samples) + self.random(1_000_000)),
                rss_bytes: (30 << 20) + 4096 * self.random(64),
                namespaces: 1,
                ..Cost::default()
            },
            ..Sample::default()
        }
    }

    fn move_one(&mut self) {
        let index = self.random(self.sockets.len() as u64) as usize;
        let (received, sent, waiting) = (self.random(4000), self.random(1500), self.random(20));
        let unread = self.random(1400) as u32;
        let ticks = ticks_at(self.now_ns);
        let socket = &mut self.sockets[index];
        socket.observed.bytes_received += received;
        socket.observed.bytes_sent += sent;
        socket.observed.bytes_acked += sent;
        socket.observed.rx_queue_bytes = if waiting == 0 { unread } else { 0 };
        socket.observed.memory_bytes = 4352 + 768 * u32::from(waiting == 0);
        socket.payload_since = ticks;
        socket.unread_since = ticks;
    }

    fn sum(&mut self, sockets: &[Observed], pass: &Pass) -> HostTotals {
        let mut totals = HostTotals::default();
        for site in &mut self.sites {
            (site.pass, site.sums) = (pass.number.into(), Sums::default());
        }
        for socket in sockets {
            self.sites[socket.callsite as usize - 1].sums.add(socket);
            totals.sums.add(socket);
        }
        totals.sums.oldest = None;
        totals
    }

    fn holders(&self, sockets: &[Observed]) -> Holders {
        let held = |socket: &Observed| {
            let (pid, fd) = socket.held_by?;
            Some(SocketHolder { sk: socket.sk, pid, fd })
        };
        let rows: Vec<SocketHolder> = sockets.iter().filter_map(held).collect();
        let process = |number: u32| {
            let own = sockets.iter().filter(|socket| socket.held_by.is_some_and(|(pid, _)| pid == 1000 + number));
            let (sockets, memory_bytes) =
                own.fold((0, 0), |(count, sum), socket| (count + 1, sum + u64::from(socket.memory_bytes)));
            HolderProcess {
                pid: 1000 + number,
                comm: comm(number),
                fds: sockets + 20,
                sockets,
                memory_bytes,
                rx_queue_bytes: 0,
            }
        };
        let processes: Vec<HolderProcess> = (0..self.scale.processes).map(process).collect();
        let descriptors = processes.iter().map(|process| u64::from(process.fds)).sum();
        Holders { rows, processes, descriptors }
    }
}

impl Socket {
    /// The socket as a pass sees it.
    fn at(&self, pass: &Pass) -> Observed {
        let ticks = ticks_at(pass.now_ns);
        let since = |moment: u32| Ticks(ticks.wrapping_sub(moment));
        let socket = Observed {
            age_ns: pass.now_ns.saturating_sub(self.opened_ns),
            in_state: since(self.state_since),
            idle: since(self.payload_since),
            unread: (self.observed.rx_queue_bytes > 0).then(|| since(self.unread_since)),
            ..self.observed
        };
        Observed { verdicts: verdicts(&socket, &pass.limits), ..socket }
    }
}

/// The verdicts of a socket. Only these are possible here: all sockets are connected, accepted and without keepalive, and their send queues
/// are empty.
fn verdicts(socket: &Observed, limits: &Limits) -> Verdicts {
    let lasts = |span: Ticks, limit: Duration| span >= Ticks::from_duration(limit);
    let is_unread = socket.unread.is_some_and(|span| lasts(span, limits.stall));
    let has_read = socket.bytes_read() > 0;
    let is_silent = socket.bytes_received == 0 && socket.rx_queue_bytes == 0;
    let table = [
        (Verdict::NeverRead, is_unread && !has_read),
        (Verdict::ReadStalled, is_unread && has_read),
        (Verdict::SilentPeer, is_silent && lasts(socket.in_state, limits.stall)),
        (Verdict::IdleUnguarded, lasts(socket.idle, limits.idle)),
        (Verdict::LongLived, u128::from(socket.age_ns) >= limits.threshold.as_nanos()),
    ];
    let mut verdicts = Verdicts::NONE;
    table.into_iter().filter(|(_, holds)| *holds).for_each(|(verdict, _)| verdicts.insert(verdict));
    verdicts
}

/// The thresholds as the passes of the kernel have them.
fn in_whole_ticks(limits: Limits) -> Limits {
    let [stall, idle] = [limits.stall, limits.idle].map(|span| Ticks::from_duration(span).duration());
    Limits { stall, idle, ..limits }
}

fn ticks_at(ns: u64) -> u32 {
    (ns >> Ticks::SHIFT) as u32
}

/// See [`SiteCounters::lifetimes`].
fn lifetime_class(ns: u64) -> usize {
    ((u64::BITS - ns.leading_zeros()).saturating_sub(10) as usize).min(LIFETIME_CLASSES - 1)
}

fn comm(number: u32) -> Comm {
    Comm::new(&format!("service-{number}"))
}

fn facts(number: u32) -> ProcessFacts {
    ProcessFacts {
        pid: 1000 + number,
        comm: format!("service-{number}"),
        exe: Some(format!("/opt/services/{number}/bin/service-{number}")),
        placement: Placement {
            cgroup: Some(format!("/system.slice/service-{number}.service")),
            unit: Some(format!("service-{number}.service")),
            ..Placement::default()
        },
        descriptor_limit: Some(65_536),
        started: 100 + u64::from(number),
    }
}

/// A stack of twelve frames. The outer ones are the same in all stacks. All are in generated code, whose names are part of the location.
fn stack(callsite: u32) -> CallsiteStack {
    let location = |depth: u32| {
        let function = if depth < 4 { callsite * 16 + depth } else { depth };
        let offset = u64::from(function) * 64;
        Location {
            address: 0x5555_0000_0000 + offset,
            module: Some(ModuleId(0)),
            offset,
            name: Some(format!("package_{}::function_{function}", function % 7).into()),
        }
    };
    CallsiteStack {
        callsite,
        locations: (0..12).map(location).collect(),
        quality: if callsite.is_multiple_of(5) { StackQuality::Truncated } else { StackQuality::Complete },
        reason: callsite
            .is_multiple_of(5)
            .then(|| StackReason::Recorded { text: "a caller has no table".to_owned(), not_sampled: false }),
    }
}

/// Records that many samples of the made-up host in memory.
///
/// # Errors
/// None: writing to memory does not fail.
pub fn recording(scale: Scale, samples: u32) -> Result<Vec<u8>, WriteError> {
    let settings = Settings { limits: LIMITS, interval: Duration::from_secs(1), ..Settings::default() };
    let host = leaktrace_model::Host { hostname: Some("made-up".to_owned()), ..Default::default() };
    let start = Start::new(&host, HookKind::Kprobe, &settings, &[], START);
    let mut recorder = Recorder::new(Vec::new(), Path::new("memory"), &start, Progress::default())?;
    let mut host = Host::new(scale);
    for _ in 0..samples {
        recorder.write(&host.sample(), &mut OwnNames)?;
    }
    recorder.finish()
}

/// Names the stacks of the made-up host: their locations have the names.
#[derive(Clone, Copy, Debug)]
pub struct OwnNames;

impl Resolve for OwnNames {
    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>> {
        let named = |place: &Location| Frame {
            address: place.address,
            symbol: place.name.as_deref().map(str::to_owned),
            module: Some("[jit]".to_owned()),
            ..Frame::default()
        };
        stack.iter().map(|place| vec![named(place)]).collect()
    }
}
