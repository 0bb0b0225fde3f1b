//! A made-up host whose sockets come, talk, rest and go: samples for tests and for measuring what recordings take.
//! Deterministic.

use super::{Progress, Recorder, WriteError, wire::Start};
use leaktrace_common::{
    CallsiteCounters, CallsiteKey, HolderRow, PassSettings, PassSums, PassTotals, ProcessRow, SocketRow, Tally, Ticks,
    Verdicts, emit, lifetime_bucket, row_flags, row_kind, span_from_ns, ticks_from_ns,
};
use leaktrace_model::{
    host::{HostFacts, Moment, Placement, ProcessFacts},
    location::{Location, ModuleId},
    resolve::Resolve,
    sample::{CallsiteStack, Cost, Holders, Sample},
    snapshot::{Frame, StackQuality},
};
use std::{path::Path, time::Duration};
use zerocopy::FromZeros as _;

/// How much happens on it.
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
    /// What fits a test.
    pub const SMALL: Self = Self { sockets: 12, callsites: 4, processes: 3, moving: 3, replaced: 1, holders_every: 3 };
    /// A busy server: of 10,000 sockets one in twenty moves each second, and ten are replaced.
    pub const SERVER: Self =
        Self { sockets: 10_000, callsites: 200, processes: 60, moving: 500, replaced: 10, holders_every: 5 };
}

/// One socket of the host: moments, not spans.
#[derive(Clone, Copy, Debug)]
struct Socket {
    row: SocketRow,
    opened_ns: u64,
    state_since: Ticks,
    payload_since: Ticks,
    unread_since: Ticks,
}

/// The host.
#[derive(Debug)]
pub struct Host {
    scale: Scale,
    /// Threshold, stall and idle.
    spans_s: [u64; 3],
    state: u64,
    now_ns: u64,
    samples: u32,
    next: u64,
    sockets: Vec<Socket>,
    sites: Vec<CallsiteCounters>,
}

const START_NS: u64 = 3_600_000_000_000;
const START_UNIX_NS: i64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

impl Host {
    /// A host at its first second.
    pub fn new(scale: Scale) -> Self {
        let sites = (1..=scale.callsites)
            .map(|index| CallsiteCounters {
                key: CallsiteKey {
                    stack_hash: u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15),
                    tgid: 1000 + index % scale.processes,
                    direction: 1 + index % 2,
                },
                first_ns: START_NS,
                tallies: 0,
                copy_wanted: 0,
                comm: comm(index % scale.processes),
                tally: Tally::new_zeroed(),
                sums: PassSums::default(),
            })
            .collect();
        let mut host = Self {
            scale,
            spans_s: [60, 10, 60],
            state: 1,
            now_ns: START_NS,
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

    /// Judges sockets by these from now on: threshold, stall and idle, in seconds.
    pub fn judge_by(&mut self, spans_s: [u64; 3]) {
        self.spans_s = spans_s;
    }

    /// Where watching begins, by `CLOCK_BOOTTIME` and since 1970.
    pub const fn started() -> (u64, i64) {
        (START_NS, START_UNIX_NS)
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
        site.tally.opened += 1;
        let (direction, tgid) = (site.key.direction as u8, site.key.tgid);
        let ticks = ticks_from_ns(self.now_ns);
        let mut remote = [0; 16];
        remote[..4].copy_from_slice(&[10, 0, (spread >> 8) as u8 & 3, spread as u8]);
        let mut local = [0; 16];
        local[..4].copy_from_slice(&[10, 1, 0, 7]);
        Socket {
            row: SocketRow {
                kind: row_kind::SOCKET,
                flags: row_flags::WAS_CONNECTED | row_flags::WAITERS_KNOWN | row_flags::WAITERS,
                sk: 0xffff_8880_0000_0000 | spread << 12 | cookie << 6 & 0xfff,
                cookie,
                local,
                remote,
                netns: 4_026_531_840,
                memory_bytes: 4352,
                callsite,
                tid: tgid + 3,
                holder_tgid: tgid,
                holder_fd: 5 + (cookie % 4096) as u32,
                family: 2,
                local_port: if direction == 1 { 32_768 + (cookie % 28_000) as u16 } else { 443 },
                remote_port: if direction == 1 { 5432 } else { 32_768 + (spread % 28_000) as u16 },
                state: 1,
                direction,
                ..SocketRow::default()
            },
            opened_ns: self.now_ns - self.random(SECOND),
            state_since: ticks,
            payload_since: ticks,
            unread_since: ticks,
        }
    }

    /// Lets a second pass and looks.
    pub fn sample(&mut self) -> Sample {
        let jitter = self.random(2_000_000);
        self.now_ns += SECOND + jitter;
        let first = self.samples == 0;
        self.samples += 1;
        for _ in 0..self.scale.replaced {
            let index = self.random(self.sockets.len() as u64) as usize;
            let old = self.sockets[index];
            let tally = &mut self.sites[old.row.callsite as usize - 1].tally;
            let lifetime = self.now_ns - old.opened_ns;
            tally.longest_ns = tally.longest_ns.max(lifetime);
            tally.lifetimes[lifetime_bucket(lifetime)] += 1;
            self.sockets[index] = self.open();
        }
        for _ in 0..self.scale.moving {
            self.move_one();
        }
        let [threshold, stall, idle] = self.spans_s.map(|seconds| seconds * SECOND);
        let limits = PassSettings {
            now_ns: self.now_ns,
            sweep_before_ns: self.now_ns - 5 * SECOND,
            threshold_ns: threshold,
            stall: span_from_ns(stall),
            idle: span_from_ns(idle),
            emit_verdicts: 0,
            emit: emit::ALL,
            pass: self.samples as u16,
            held_pass: (1 + self.samples / self.scale.holders_every) as u16,
            _pad: 0,
        };
        let mut sockets: Vec<SocketRow> = self.sockets.iter().map(|socket| socket.at(&limits)).collect();
        sockets.sort_by_key(|row| row.sk);
        sockets.dedup_by_key(|row| row.sk);
        let totals = self.sum(&sockets, &limits);
        let with_holders = first || self.samples.is_multiple_of(self.scale.holders_every);
        let holders = with_holders.then(|| self.holders(&sockets));
        Sample {
            boot_ns: self.now_ns,
            unix_ns: START_UNIX_NS + (self.now_ns - START_NS).cast_signed(),
            limits,
            totals,
            callsites: (1..).zip(self.sites.iter().copied()).collect(),
            stacks: if first { (1..=self.scale.callsites).map(stack).collect() } else { Vec::new() },
            processes: if with_holders { (0..self.scale.processes).map(facts).collect() } else { Vec::new() },
            holders,
            sockets,
            tcp_memory_bytes: Some(totals.memory_bytes + 4096 * self.random(8)),
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
        let ticks = ticks_from_ns(self.now_ns);
        let socket = &mut self.sockets[index];
        socket.row.bytes_received += received;
        socket.row.bytes_sent += sent;
        socket.row.bytes_acked += sent;
        socket.row.rx_queue_bytes = if waiting == 0 { unread } else { 0 };
        socket.row.memory_bytes = 4352 + 768 * u32::from(waiting == 0);
        socket.payload_since = ticks;
        socket.unread_since = ticks;
    }

    fn sum(&mut self, rows: &[SocketRow], limits: &PassSettings) -> PassTotals {
        let mut totals = PassTotals::default();
        for site in &mut self.sites {
            site.sums = PassSums { pass: limits.pass.into(), oldest_ns: u64::MAX, ..PassSums::default() };
        }
        for row in rows {
            let sums = &mut self.sites[row.callsite as usize - 1].sums;
            sums.open += 1;
            sums.flagged += u32::from(row.verdicts != 0);
            sums.oldest_ns = sums.oldest_ns.min(limits.now_ns - row.age_ns);
            sums.rx_queue_bytes += u64::from(row.rx_queue_bytes);
            sums.memory_bytes += u64::from(row.memory_bytes);
            totals.open += 1;
            totals.flagged += u64::from(row.verdicts != 0);
            totals.rx_queue_bytes += u64::from(row.rx_queue_bytes);
            totals.memory_bytes += u64::from(row.memory_bytes);
            for (bit, (site, all)) in sums.verdicts.iter_mut().zip(&mut totals.verdicts).enumerate() {
                *site += row.verdicts >> bit & 1;
                *all += u64::from(row.verdicts >> bit & 1);
            }
        }
        totals
    }

    fn holders(&self, rows: &[SocketRow]) -> Holders {
        let held = |row: &SocketRow| HolderRow {
            kind: row_kind::HOLDER,
            tgid: row.holder_tgid,
            sk: row.sk,
            fd: row.holder_fd,
            _pad: 0,
        };
        let process = |number: u32| {
            let own = rows.iter().filter(|row| row.holder_tgid == 1000 + number);
            let (sockets, memory) =
                own.fold((0, 0), |(count, sum), row| (count + 1, sum + u64::from(row.memory_bytes)));
            ProcessRow {
                kind: row_kind::PROCESS,
                tgid: 1000 + number,
                fds: sockets + 20,
                sockets,
                memory_bytes: memory,
                rx_queue_bytes: 0,
                comm: comm(number),
            }
        };
        let processes: Vec<ProcessRow> = (0..self.scale.processes).map(process).collect();
        let descriptors = processes.iter().map(|row| u64::from(row.fds)).sum();
        Holders { rows: rows.iter().map(held).collect(), processes, descriptors }
    }
}

impl Socket {
    /// What a pass writes of it.
    fn at(&self, limits: &PassSettings) -> SocketRow {
        let ticks = ticks_from_ns(limits.now_ns);
        let is_waiting = self.row.rx_queue_bytes > 0;
        let mut row = SocketRow {
            age_ns: limits.now_ns.saturating_sub(self.opened_ns),
            in_state: ticks.wrapping_sub(self.state_since),
            idle: ticks.wrapping_sub(self.payload_since),
            // The kernel side begins anew with every pass while nothing waits.
            unread: if is_waiting { ticks.wrapping_sub(self.unread_since) } else { 0 },
            ..self.row
        };
        row.verdicts = Verdicts::of(&row, limits).0;
        row
    }
}

fn comm(number: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    let text = format!("service-{number}");
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
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

/// Twelve frames, of which the outer ones are those of many others; each in generated code, which has its name with it.
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
        reason: callsite.is_multiple_of(5).then(|| "a caller has no table".to_owned()),
    }
}

/// A recording of `samples` samples of the made-up host, in memory.
///
/// # Errors
/// None that a sink in memory has.
pub fn recording(scale: Scale, samples: u32) -> Result<Vec<u8>, WriteError> {
    let (boot_ns, unix_ns) = Host::started();
    let host = HostFacts { hostname: Some("made-up".to_owned()), ..HostFacts::default() };
    let spans = [60, 10, 60, 1].map(Duration::from_secs);
    let start = Start::new(&host, "kprobe", spans, Moment { boot_ns, unix_ns });
    let mut recorder = Recorder::new(Vec::new(), Path::new("memory"), &start, Progress::default())?;
    let mut host = Host::new(scale);
    for _ in 0..samples {
        recorder.write(&host.sample(), &mut OwnNames)?;
    }
    recorder.finish()
}

/// The names that the made-up host's stacks have without any file: those that their locations carry.
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
