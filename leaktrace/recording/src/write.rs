//! Writing a recording: each sample whole, and on disk before the next one is taken.
//!
//! What cannot be written stops the recording; what was written before stays and can be replayed.

use super::{
    frame::{self, Damage, FrameKind, MOST_UNPACKED},
    head::Head,
    limits,
    names::place_key,
    rows::{self, Now},
    table::{Step, Table},
    wire::{Item, Kind, Place, Process, Stack, Start, quality_raw},
};
use bytes::{BufMut, BytesMut};
use leaktrace_common::row_flags;
use leaktrace_model::{
    host::ProcessFacts,
    location::{Location, Role},
    resolve::Resolve,
    sample::{CallsiteStack, Sample},
    snapshot::Degradation,
};
use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    fs::File,
    hash::{Hash, Hasher},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A frame is closed when it holds this much.
const FULL: usize = 256 << 10;

/// Longest list of names of one place; more would be a compiler's bad joke.
const LONGEST_PLACE: usize = MOST_UNPACKED / 4;

/// Processes of which is remembered what was written of them.
const MOST_REMEMBERED: usize = 65_536;

/// A recording that could not be written. Paths are raw: whoever prints one makes it harmless.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No room is left.
    #[error("{path}: no space is left")]
    Full {
        /// As given.
        path: PathBuf,
        /// How many are in it.
        samples: u64,
    },
    /// The system refuses.
    #[error("cannot write the recording {path}: {reason}")]
    Refused {
        /// As given.
        path: PathBuf,
        /// How many are in it.
        samples: u64,
        /// What the system said.
        reason: io::Error,
    },
    /// This program is wrong.
    #[error("a sample cannot be put into a recording: {0}; please report this")]
    Internal(String),
}

impl WriteError {
    /// How many samples the file holds all the same; `None` where the file is not to blame.
    pub fn samples(&self) -> Option<u64> {
        match self {
            Self::Full { samples, .. } | Self::Refused { samples, .. } => Some(*samples),
            Self::Internal(_) => None,
        }
    }
}

/// How far a recording is, to look at from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    samples: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Samples written.
    pub fn samples(&self) -> u64 {
        self.0.samples.load(Ordering::Relaxed)
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

/// Where a recording goes.
pub trait Sink: Write + Send {
    /// Takes back what is behind `length`, after a write that failed.
    fn cut(&mut self, length: u64);

    /// Waits until everything is on disk.
    ///
    /// # Errors
    /// When it cannot be put there.
    fn settle(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn cut(&mut self, length: u64) {
        // What is left behind is read as cut off, which is as good.
        let _ = self.set_len(length);
        let _ = self.seek(io::SeekFrom::End(0));
    }

    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Sink for Vec<u8> {
    fn cut(&mut self, length: u64) {
        self.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    }

    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes samples.
pub struct Recorder<S = File> {
    sink: S,
    path: PathBuf,
    progress: Progress,
    sockets: Table<{ rows::SOCKET_CELLS }, 1>,
    dead: Table<{ rows::SOCKET_CELLS }, 1>,
    callsites: Table<{ rows::CALLSITE_CELLS }, 1>,
    holders: Table<{ rows::HOLDER_CELLS }, 2>,
    processes: Table<{ rows::PROCESS_CELLS }, 1>,
    /// What was last written of each process, as a hash.
    told: HashMap<u32, u64>,
    places: Places,
    degraded: Vec<Degradation>,
    out: BytesMut,
}

impl Recorder<File> {
    /// Begins a recording in a file; what was in it is gone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, start: &Start, progress: Progress) -> Result<Self, WriteError> {
        let file = File::create(path).map_err(|source| refused(path, 0, source))?;
        Self::new(file, path, start, progress)
    }
}

fn refused(path: &Path, samples: u64, reason: io::Error) -> WriteError {
    let path = path.to_owned();
    if matches!(reason.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return WriteError::Full { path, samples };
    }
    WriteError::Refused { path, samples, reason }
}

fn internal(error: &dyn std::fmt::Display) -> WriteError {
    WriteError::Internal(error.to_string())
}

impl<S: Sink> Recorder<S> {
    /// Begins a recording in a sink; `path` is what errors call it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(sink: S, path: &Path, start: &Start, progress: Progress) -> Result<Self, WriteError> {
        let mut recorder = Self {
            sink,
            path: path.to_owned(),
            progress,
            sockets: Table::new(limits::SOCKETS),
            dead: Table::new(limits::DEAD),
            callsites: Table::new(limits::CALLSITES),
            holders: Table::new(limits::HOLDERS),
            processes: Table::new(limits::PROCESSES),
            told: HashMap::new(),
            places: Places::default(),
            degraded: Vec::new(),
            out: BytesMut::new(),
        };
        recorder.out.put_slice(&frame::header());
        let start = postcard::to_stdvec(start).map_err(|error| internal(&error))?;
        frame::append(&mut recorder.out, FrameKind::Start, &start).map_err(|error| internal(&error))?;
        recorder.flush()?;
        Ok(recorder)
    }

    /// Writes a sample. `names` names its frames: this host has the files, the one that replays may not.
    ///
    /// # Errors
    /// When it cannot be written; what was written before stays.
    pub fn write(&mut self, sample: &Sample, names: &mut dyn Resolve) -> Result<(), WriteError> {
        let mut items = Items { out: &mut self.out, body: BytesMut::new() };
        for facts in &sample.processes {
            if is_news(&mut self.told, facts) {
                items.put(&Item::Process(facts.into()))?;
            }
        }
        for stack in &sample.stacks {
            put_stack(&mut items, &mut self.places, stack, names)?;
        }
        let now = Now::of(&sample.limits);
        let (dead, live): (Vec<_>, Vec<_>) =
            sample.sockets.iter().partition(|row| row.flags & row_flags::FROM_HOLDER != 0);
        let mut left_out = 0;
        let mut of_sockets = |rows: Vec<&leaktrace_common::SocketRow>, most: usize| {
            let mut cells: Vec<_> = rows.into_iter().map(|row| rows::of_socket(row, now)).collect();
            left_out += cells.len().saturating_sub(most);
            sort_up_to(&mut cells, most, 1);
            cells
        };
        let live = of_sockets(live, self.sockets.most());
        put_rows(&mut items, Kind::Socket, &mut self.sockets, live)?;
        if sample.holders.is_some() || !dead.is_empty() {
            let dead = of_sockets(dead, self.dead.most());
            put_rows(&mut items, Kind::Dead, &mut self.dead, dead)?;
        }
        let mut callsites: Vec<_> =
            sample.callsites.iter().map(|(index, site)| rows::of_callsite(*index, site, now)).collect();
        sort_up_to(&mut callsites, self.callsites.most(), 1);
        put_rows(&mut items, Kind::Callsite, &mut self.callsites, callsites)?;
        if let Some(holders) = &sample.holders {
            items.put(&Item::Holders(holders.descriptors))?;
            let mut cells: Vec<_> = holders.rows.iter().map(rows::of_holder).collect();
            left_out += cells.len().saturating_sub(self.holders.most());
            sort_up_to(&mut cells, self.holders.most(), 2);
            put_rows(&mut items, Kind::Holder, &mut self.holders, cells)?;
            let mut cells: Vec<_> = holders.processes.iter().map(rows::of_process).collect();
            left_out += cells.len().saturating_sub(self.processes.most());
            sort_up_to(&mut cells, self.processes.most(), 1);
            put_rows(&mut items, Kind::Process, &mut self.processes, cells)?;
        }
        let mut degraded = sample.degraded.clone();
        if left_out > 0 {
            degraded.push(Degradation {
                feature: "recording".to_owned(),
                reason: format!("{left_out} rows were left out of the recording: it takes a million sockets a sample"),
            });
        }
        if degraded != self.degraded {
            let pairs = degraded.iter().map(|one| (one.feature.clone(), one.reason.clone()));
            items.put(&Item::Degraded(pairs.collect()))?;
            self.degraded = degraded;
        }
        items.put(&Item::Head(Head::of(sample)))?;
        items.close(FrameKind::Sample)?;
        self.flush()?;
        self.progress.0.samples.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Says that nothing is missing, and waits until everything is on disk.
    ///
    /// # Errors
    /// When it cannot be put there.
    pub fn finish(mut self) -> Result<S, WriteError> {
        frame::append(&mut self.out, FrameKind::End, &[]).map_err(|error| internal(&error))?;
        self.flush()?;
        self.sink.settle().map_err(|source| refused(&self.path, self.progress.samples(), source))?;
        Ok(self.sink)
    }

    /// Writes what has gathered, all or nothing.
    fn flush(&mut self) -> Result<(), WriteError> {
        let before = self.progress.bytes();
        if let Err(source) = self.sink.write_all(&self.out).and_then(|()| self.sink.flush()) {
            self.sink.cut(before);
            return Err(refused(&self.path, self.progress.samples(), source));
        }
        self.progress.0.bytes.store(before + self.out.len() as u64, Ordering::Relaxed);
        self.out.clear();
        Ok(())
    }
}

/// Places that have been written.
#[derive(Default)]
struct Places {
    numbers: HashMap<(super::names::PlaceKey, Role), u32>,
    /// Memory that they and their names take on replay, in bytes.
    weight: usize,
}

/// Items on their way into frames.
struct Items<'a> {
    out: &'a mut BytesMut,
    body: BytesMut,
}

impl Items<'_> {
    fn put(&mut self, item: &Item) -> Result<(), WriteError> {
        if self.body.len() > FULL {
            self.close(FrameKind::Part)?;
        }
        postcard::to_io(item, (&mut self.body).writer()).map_err(|error| internal(&error))?;
        Ok(())
    }

    fn close(&mut self, kind: FrameKind) -> Result<(), WriteError> {
        frame::append(self.out, kind, &self.body).map_err(|error: Damage| internal(&error))?;
        self.body.clear();
        Ok(())
    }
}

/// Brings rows into the order of their keys and leaves out those beyond the limit.
fn sort_up_to<const N: usize>(rows: &mut Vec<[u64; N]>, most: usize, keys: usize) {
    rows.sort_by(|one, other| one[..keys].cmp(&other[..keys]));
    rows.truncate(most);
}

fn put_rows<const N: usize, const K: usize>(
    items: &mut Items<'_>,
    kind: Kind,
    table: &mut Table<N, K>,
    rows: Vec<[u64; N]>,
) -> Result<(), WriteError> {
    table.go_to(rows, |step: Step| items.put(&Item::Row(kind, step)))
}

/// Whether something is said of a process that was not written before.
fn is_news(told: &mut HashMap<u32, u64>, facts: &ProcessFacts) -> bool {
    let mut hasher = DefaultHasher::new();
    Process::from(facts).hash(&mut hasher);
    let hash = hasher.finish();
    if told.len() >= MOST_REMEMBERED {
        told.clear();
    }
    told.insert(facts.pid, hash) != Some(hash)
}

fn put_stack(
    items: &mut Items<'_>,
    places: &mut Places,
    stack: &CallsiteStack,
    names: &mut dyn Resolve,
) -> Result<(), WriteError> {
    let locations = &stack.locations[..stack.locations.len().min(limits::FRAMES)];
    let mut frames = Vec::with_capacity(locations.len());
    for ((depth, location), named) in locations.iter().enumerate().zip(names.resolve(locations)) {
        let role = Role::at_depth(depth);
        let number = match places.numbers.get(&(place_key(location), role)) {
            _ if location.module.is_none() || has_long_name(location) => None,
            Some(number) => Some(*number),
            None if places.numbers.len() >= limits::PLACES => None,
            None => {
                let place = place(location, role, named);
                let weight = places.weight + place.weight();
                if weight > limits::REMEMBERED {
                    None
                } else {
                    let number = places.numbers.len() as u32;
                    places.numbers.insert((place_key(location), role), number);
                    places.weight = weight;
                    items.put(&Item::Place(place))?;
                    Some(number)
                }
            }
        };
        frames.push((location.address, number));
    }
    let reason = stack.reason.clone();
    items.put(&Item::Stack(Stack { callsite: stack.callsite, quality: quality_raw(stack.quality), reason, frames }))
}

fn has_long_name(location: &Location) -> bool {
    location.name.as_ref().is_some_and(|name| name.len() > limits::NAME)
}

fn place(location: &Location, role: Role, frames: Vec<leaktrace_model::snapshot::Frame>) -> Place {
    let mut place = Place {
        module: location.module.map(|module| module.0),
        offset: location.offset,
        name: location.name.as_deref().map(str::to_owned),
        is_leaf: role == Role::Leaf,
        frames: frames.into_iter().take(limits::PLACE_FRAMES).map(Into::into).collect(),
    };
    if place.weight() > LONGEST_PLACE {
        place.frames.clear();
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::snapshot::Frame;

    #[test]
    fn no_place_is_written_that_is_not_believed() {
        let place = place(&Location::unmapped(7), Role::Leaf, vec![Frame::default(); 2 * limits::PLACE_FRAMES]);
        assert_eq!(place.frames.len(), limits::PLACE_FRAMES);
    }
}
