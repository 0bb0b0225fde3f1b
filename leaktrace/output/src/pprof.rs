//! The pprof profile: gzip-compressed `profile.proto`, for `go tool pprof`, speedscope and what else reads it.
//!
//! Every listed socket adds its age and its waiting bytes to the sample of its call site and labels. What a call
//! site has beyond the listed sockets is one more sample without verdict and peer, whose ages are not known and
//! count as nothing; `--all` lists every socket.

mod proto;

use super::{Format, clean, frame_name, stand_in};
use flate2::{Compression, write::GzEncoder};
use leaktrace_model::snapshot::{Callsite, Frame, Snapshot, Socket};
use prost::Message;
use proto::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

/// `--format pprof`
pub(super) struct Pprof;

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

/// Whether a sample came from a listed socket or is the rest of its call site.
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
        builder.profile.duration_nanos = nanos(snapshot.window.seconds);
        let host = snapshot.host.hostname.as_deref().unwrap_or("unknown host");
        let comment = format!("leaktrace on {}, until {}", clean(host), clean(&snapshot.window.end));
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
            let known = listed.get(&site.id).copied().unwrap_or_default();
            let rest = |total: u64, known: i64| count(total).saturating_sub(known).max(0);
            let values =
                [rest(site.open, known[0]), rest(site.flagged, known[1]), 0, rest(site.rx_queue_bytes, known[3])];
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
        let pid = socket.pid.or(holder.map(|holder| holder.pid));
        let comm = socket.comm.as_deref().or(holder.map(|holder| holder.comm.as_str()));
        let mut labels = self.labels(pid, comm);
        for verdict in &socket.verdicts {
            labels.push(self.label("verdict", verdict));
        }
        // The contract groups accepted sockets by address: a client's port says nothing.
        let peer = match socket.direction.as_str() {
            "accept" => socket.remote.rsplit_once(':').map_or(socket.remote.as_str(), |(address, _)| address),
            _ => &socket.remote,
        };
        labels.push(self.label("peer", peer));
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

    /// The locations of a stack, leaf first. Functions that the compiler put into their caller share its location.
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
            // All true: there is nothing left for pprof to look up on the machine that opens the profile.
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

fn socket_values(socket: &Socket) -> Values {
    let flagged = i64::from(!socket.verdicts.is_empty());
    [1, flagged, nanos(socket.age_s), count(socket.rx_queue_bytes)]
}

fn add(sum: &mut Values, values: Values) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum = sum.saturating_add(value);
    }
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// `as` saturates, and turns what is not a number into 0.
fn nanos(seconds: f64) -> i64 {
    (seconds.max(0.0) * 1e9) as i64
}

#[cfg(test)]
#[path = "pprof_tests.rs"]
mod tests;
