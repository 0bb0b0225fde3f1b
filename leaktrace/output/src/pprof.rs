//! The pprof profile: gzip-compressed `profile.proto`, for `go tool pprof`, speedscope and what else reads it.
//!
//! Each listed socket adds its age and its waiting bytes to the sample of its call site and labels. The sockets of a call site that
//! are not listed are one more sample, without verdict and peer; their ages are not known and count as 0. `--all` lists every socket.

mod proto;

use crate::{callsite_name::stand_in, clean::clean, naming::frame_name, writer::Format};
use flate2::{Compression, write::GzEncoder};
use leaktrace_model::{Callsite, Direction, Frame, Snapshot, Socket, Verdict};
use prost::Message;
use proto::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    net::SocketAddr,
};

/// `--format pprof`
pub(crate) struct Pprof;

impl Format for Pprof {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        let bytes = Builder::new(snapshot).build(snapshot).encode_to_vec();
        let mut gzip = GzEncoder::new(out, Compression::default());
        gzip.write_all(&bytes)?;
        gzip.finish()?.flush()
    }
}

/// Values in the order of the sample types.
type Values = [i64; 4];

/// What sockets of one sample have in common: their call site and their labels.
type Key = (Option<u64>, Vec<Label>);

/// What makes a location: mapping, address, and the functions and lines at it.
type Place = (u64, u64, Vec<(u64, i64)>);

struct Builder {
    profile: Profile,
    strings: HashMap<String, i64>,
    mappings: HashMap<String, u64>,
    functions: HashMap<(i64, i64), u64>,
    locations: HashMap<Place, u64>,
    stacks: HashMap<Option<u64>, Vec<u64>>,
    samples: BTreeMap<Key, Values>,
}

impl Builder {
    fn new(snapshot: &Snapshot) -> Self {
        let mut builder = Self {
            profile: Profile { string_table: vec![String::new()], ..Profile::default() },
            strings: HashMap::from([(String::new(), 0)]),
            mappings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            stacks: HashMap::new(),
            samples: BTreeMap::new(),
        };
        for (name, unit) in
            [("open_sockets", "count"), ("flagged_sockets", "count"), ("age", "nanoseconds"), ("rx_queue", "bytes")]
        {
            let (name, unit) = (builder.string(name), builder.string(unit));
            builder.profile.sample_type.push(ValueType { r#type: name, unit });
        }
        builder.profile.default_sample_type = builder.string("open_sockets");
        builder.profile.duration_nanos = nanos(snapshot.window.seconds());
        let host = snapshot.host.hostname.as_deref().unwrap_or("unknown host");
        let comment = format!("leaktrace on {}, until {}", clean(host), snapshot.window.end);
        let comment = builder.string(&comment);
        builder.profile.comment.push(comment);
        builder
    }

    fn build(mut self, snapshot: &Snapshot) -> Profile {
        for site in &snapshot.callsites {
            let stack = self.stack(site);
            self.stacks.insert(Some(site.id), stack);
        }
        let unknown = self.stack(&Callsite::default());
        self.stacks.insert(None, unknown);
        let mut listed: HashMap<u64, Values> = HashMap::new();
        for socket in &snapshot.sockets {
            let id = socket.callsite.filter(|id| self.stacks.contains_key(&Some(*id)));
            let values = socket_values(socket);
            if let Some(id) = id {
                add(listed.entry(id).or_default(), values);
            }
            let labels = self.socket_labels(socket);
            add(self.samples.entry((id, labels)).or_default(), values);
        }
        for site in &snapshot.callsites {
            let sums = &site.sums;
            let known = listed.get(&site.id).copied().unwrap_or_default();
            let rest = |total: u64, known: i64| count(total).saturating_sub(known).max(0);
            let values =
                [rest(sums.open, known[0]), rest(sums.flagged, known[1]), 0, rest(sums.rx_queue_bytes, known[3])];
            if values != [0; 4] {
                let labels = self.site_labels(site);
                add(self.samples.entry((Some(site.id), labels)).or_default(), values);
            }
        }
        for ((id, label), value) in std::mem::take(&mut self.samples) {
            let location_id = self.stacks.get(&id).cloned().unwrap_or_default();
            self.profile.sample.push(Sample { location_id, value: value.to_vec(), label });
        }
        self.profile
    }

    fn socket_labels(&mut self, socket: &Socket) -> Vec<Label> {
        let holder = socket.holders.first();
        let (pid, comm) = match (&socket.opener, holder) {
            (Some(opener), _) => (Some(opener.pid), Some(opener.comm.text())),
            (None, Some(holder)) => (Some(holder.pid), Some(Cow::Borrowed(holder.comm.as_str()))),
            (None, None) => (None, None),
        };
        let mut labels = self.labels(pid, comm.as_deref());
        for verdict in socket.observed.verdicts.iter() {
            labels.push(self.label("verdict", Verdict::name(verdict)));
        }
        labels.push(self.label("peer", &peer(socket.observed.direction, socket.observed.remote)));
        labels
    }

    fn site_labels(&mut self, site: &Callsite) -> Vec<Label> {
        let pid = if let [pid] = site.pids[..] { Some(pid) } else { None };
        self.labels(pid, Some(&site.comm))
    }

    fn labels(&mut self, pid: Option<u32>, comm: Option<&str>) -> Vec<Label> {
        let mut labels = Vec::new();
        if let Some(pid) = pid {
            let key = self.string("pid");
            labels.push(Label { key, num: i64::from(pid), ..Label::default() });
        }
        if let Some(comm) = comm {
            labels.push(self.label("comm", comm));
        }
        labels
    }

    fn label(&mut self, key: &str, value: &str) -> Label {
        let key = self.string(key);
        let str = self.string(&clean(value));
        Label { key, str, ..Label::default() }
    }

    /// The locations of a stack, leaf first. Inlined functions share the location of their caller.
    fn stack(&mut self, site: &Callsite) -> Vec<u64> {
        let missing = Frame { symbol: Some(stand_in(site).to_owned()), ..Frame::default() };
        let frames = if site.stack.is_empty() { std::slice::from_ref(&missing) } else { &site.stack };
        frames.split_inclusive(|frame| !frame.inlined).map(|group| self.location(group)).collect()
    }

    fn location(&mut self, group: &[Frame]) -> u64 {
        let Some(outer) = group.last() else { return 0 };
        let mapping_id = outer.module.as_deref().map_or(0, |module| self.mapping(module));
        let lines: Vec<(u64, i64)> =
            group.iter().map(|frame| (self.function(frame), i64::from(frame.line.unwrap_or(0)))).collect();
        let next = self.locations.len() as u64 + 1;
        let key = (mapping_id, outer.address, lines);
        if let Some(id) = self.locations.get(&key) {
            return *id;
        }
        let line = key.2.iter().map(|&(function_id, line)| Line { function_id, line }).collect();
        self.profile.location.push(Location { id: next, mapping_id, address: outer.address, line });
        self.locations.insert(key, next);
        next
    }

    fn mapping(&mut self, module: &str) -> u64 {
        if let Some(id) = self.mappings.get(module) {
            return *id;
        }
        let id = self.mappings.len() as u64 + 1;
        let filename = self.string(&clean(module));
        self.profile.mapping.push(Mapping {
            id,
            filename,
            // All true, so that pprof looks up nothing on the machine that opens the profile.
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        });
        self.mappings.insert(module.to_owned(), id);
        id
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        let name = self.string(&frame_name(frame));
        let filename = self.string(&clean(frame.file.as_deref().unwrap_or("")));
        let next = self.functions.len() as u64 + 1;
        let id = *self.functions.entry((name, filename)).or_insert(next);
        if id == next {
            self.profile.function.push(Function { id, name, system_name: name, filename });
        }
        id
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }
}

/// The label of a peer: address and port of a service, only the address of a client, whose port says nothing. IPv6 addresses are
/// in brackets either way.
fn peer(direction: Direction, remote: SocketAddr) -> String {
    match (direction, remote) {
        (Direction::Accept, SocketAddr::V4(client)) => client.ip().to_string(),
        (Direction::Accept, SocketAddr::V6(client)) => format!("[{}]", client.ip()),
        (Direction::Connect | Direction::Unknown, remote) => remote.to_string(),
    }
}

fn socket_values(socket: &Socket) -> Values {
    let observed = &socket.observed;
    let flagged = i64::from(!observed.verdicts.is_empty());
    [1, flagged, nanos(observed.age_s()), observed.rx_queue_bytes.into()]
}

fn add(sum: &mut Values, values: Values) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = sum.saturating_add(value);
    }
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Seconds as nanoseconds. `as` saturates, and makes NaN a 0.
fn nanos(seconds: f64) -> i64 {
    (seconds.max(0.0) * 1e9) as i64
}

#[cfg(test)]
mod tests;
