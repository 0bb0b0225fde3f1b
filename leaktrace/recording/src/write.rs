//! Writing a recording. Each sample is written as a whole before the next one is taken.
//!
//! An error ends the recording. What was written before stays and can be replayed.

use super::{
    block::{self, BlockKind, Damage, MOST_UNPACKED},
    head::{self, Head},
    limits,
    names::{PlaceKey, place_key},
    rows::{self, Now},
    table::{Step, Table},
    wire::{Item, Place, Process, RowKind, Stack, Start, quality_raw},
};
use bytes::{BufMut, BytesMut};
use leaktrace_model::{
    CallsiteStack, Degradation, Frame, Location, NamerHealth, Observed, ProcessFacts, Resolve, Role, Sample, SeenBy,
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

/// A block is closed when it holds this many bytes.
const FULL: usize = 256 << 10;

/// Most memory for the names of one place. No real code has more.
const LONGEST_PLACE: usize = MOST_UNPACKED / 4;

/// Most processes for which we remember what was written.
const MOST_REMEMBERED: usize = 65_536;

/// A recording that could not be written. Paths are raw: code that prints them must escape control characters.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full.
    #[error("{path}: no space is left")]
    Full {
        /// As given.
        path: PathBuf,
        /// How many samples the file has.
        samples: u64,
    },
    /// A system call failed.
    #[error("cannot write the recording {path}: {reason}")]
    Refused {
        /// As given.
        path: PathBuf,
        /// How many samples the file has.
        samples: u64,
        /// The error of the system.
        reason: io::Error,
    },
    /// A bug of this program.
    #[error("a sample cannot be put into a recording: {0}; please report this")]
    Internal(String),
}

impl WriteError {
    /// How many samples the file has in spite of the error. `None` when the file is not the cause.
    pub fn samples(&self) -> Option<u64> {
        match self {
            Self::Full { samples, .. } | Self::Refused { samples, .. } => Some(*samples),
            Self::Internal(_) => None,
        }
    }
}

/// How much has been recorded. A handle: clones share the counts, and other threads may read them.
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

/// Where a recording is written to.
pub trait Sink: Write + Send {
    /// Removes everything after `length`, when a write has failed.
    fn cut(&mut self, length: u64);

    /// Waits until everything is on disk.
    ///
    /// # Errors
    /// When that fails.
    fn settle(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn cut(&mut self, length: u64) {
        // If this fails, the reader takes the rest as cut off, which does no harm.
        let _ = self.set_len(length);
        let _ = self.seek(io::SeekFrom::End(0));
    }

    fn settle(&mut self) -> io::Result<()> {
        match self.sync_all() {
            // A pipe or a device has nothing to wait for.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
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
    /// Hash of what was last written of each process.
    written: HashMap<u32, u64>,
    places: Places,
    degraded: Vec<Degradation>,
    namer: Option<NamerHealth>,
    out: BytesMut,
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
    /// Begins a recording in a sink. Errors name it by `path`.
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
            written: HashMap::new(),
            places: Places::default(),
            degraded: Vec::new(),
            namer: None,
            out: BytesMut::new(),
        };
        recorder.out.put_slice(&block::header());
        let start = postcard::to_stdvec(start).map_err(|error| internal(&error))?;
        block::append(&mut recorder.out, BlockKind::Start, &start).map_err(|error| internal(&error))?;
        recorder.flush()?;
        Ok(recorder)
    }

    /// Writes a sample. `names` gives the names of its frames now, as the host that replays may not have the files.
    ///
    /// # Errors
    /// When it cannot be written; what was written before stays.
    pub fn write(&mut self, sample: &Sample, names: &mut dyn Resolve) -> Result<(), WriteError> {
        let mut items = Items { out: &mut self.out, body: BytesMut::new() };
        for facts in &sample.processes {
            if has_changed(&mut self.written, facts) {
                items.put(&Item::Process(facts.into()))?;
            }
        }
        for stack in &sample.stacks {
            put_stack(&mut items, &mut self.places, stack, names)?;
        }
        let now = Now::of(&sample.at, &sample.pass);
        let (dead, live): (Vec<_>, Vec<_>) =
            sample.sockets.iter().partition(|socket| socket.seen_by == SeenBy::Holders);
        let mut left_out = 0;
        let mut of_sockets = |sockets: Vec<&Observed>, most: usize| {
            let mut cells: Vec<_> = sockets.into_iter().map(|socket| rows::of_socket(socket, now)).collect();
            left_out += cells.len().saturating_sub(most);
            sort_up_to(&mut cells, most, 1);
            cells
        };
        let live = of_sockets(live, self.sockets.most());
        put_rows(&mut items, RowKind::Socket, &mut self.sockets, live)?;
        if sample.holders.is_some() || !dead.is_empty() {
            let dead = of_sockets(dead, self.dead.most());
            put_rows(&mut items, RowKind::Dead, &mut self.dead, dead)?;
        }
        let mut callsites: Vec<_> =
            sample.callsites.iter().map(|(index, site)| rows::of_callsite(*index, site, now)).collect();
        sort_up_to(&mut callsites, self.callsites.most(), 1);
        put_rows(&mut items, RowKind::Callsite, &mut self.callsites, callsites)?;
        if let Some(holders) = &sample.holders {
            items.put(&Item::Holders(holders.descriptors))?;
            let mut cells: Vec<_> = holders.rows.iter().map(rows::of_holder).collect();
            left_out += cells.len().saturating_sub(self.holders.most());
            sort_up_to(&mut cells, self.holders.most(), 2);
            put_rows(&mut items, RowKind::Holder, &mut self.holders, cells)?;
            let mut cells: Vec<_> = holders.processes.iter().map(rows::of_process).collect();
            left_out += cells.len().saturating_sub(self.processes.most());
            sort_up_to(&mut cells, self.processes.most(), 1);
            put_rows(&mut items, RowKind::Process, &mut self.processes, cells)?;
        }
        let mut degraded = sample.degraded.clone();
        if left_out > 0 {
            degraded.push(Degradation::RowsNotRecorded { rows: left_out });
        }
        if degraded != self.degraded {
            let words = degraded.iter().map(|one| (one.feature().into_owned(), one.reason().into_owned()));
            items.put(&Item::Degraded(words.collect()))?;
            self.degraded = degraded;
        }
        if let Some(namer) = &sample.namer
            && self.namer.as_ref() != Some(namer)
        {
            items.put(&Item::Namer(namer.restarts, namer.refused_files.clone()))?;
            self.namer = Some(namer.clone());
        }
        let more = head::more_verdicts(sample);
        if !more.is_empty() {
            items.put(&Item::MoreVerdicts(more.to_vec()))?;
        }
        items.put(&Item::Head(Head::of(sample)))?;
        items.close(BlockKind::Sample)?;
        self.flush()?;
        self.progress.0.samples.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the mark that nothing is missing, and waits until everything is on disk.
    ///
    /// # Errors
    /// When that fails.
    pub fn finish(mut self) -> Result<S, WriteError> {
        block::append(&mut self.out, BlockKind::End, &[]).map_err(|error| internal(&error))?;
        self.flush()?;
        self.sink.settle().map_err(|source| refused(&self.path, self.progress.samples(), source))?;
        Ok(self.sink)
    }

    /// Writes all of `out`, or nothing.
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

/// The places that have been written.
#[derive(Default)]
struct Places {
    numbers: HashMap<(PlaceKey, Role), u32>,
    /// Memory that they and their names take in a replay, in bytes.
    memory: usize,
}

/// Collects items and puts them into blocks.
struct Items<'a> {
    out: &'a mut BytesMut,
    body: BytesMut,
}

impl Items<'_> {
    fn put(&mut self, item: &Item) -> Result<(), WriteError> {
        if self.body.len() > FULL {
            self.close(BlockKind::Part)?;
        }
        postcard::to_io(item, (&mut self.body).writer()).map_err(|error| internal(&error))?;
        Ok(())
    }

    fn close(&mut self, kind: BlockKind) -> Result<(), WriteError> {
        block::append(self.out, kind, &self.body).map_err(|error: Damage| internal(&error))?;
        self.body.clear();
        Ok(())
    }
}

/// Sorts rows by their key, the first `keys` cells, and drops those beyond the limit.
fn sort_up_to<const N: usize>(rows: &mut Vec<[u64; N]>, most: usize, keys: usize) {
    rows.sort_by(|one, other| one[..keys].cmp(&other[..keys]));
    rows.truncate(most);
}

fn put_rows<const N: usize, const K: usize>(
    items: &mut Items<'_>,
    kind: RowKind,
    table: &mut Table<N, K>,
    rows: Vec<[u64; N]>,
) -> Result<(), WriteError> {
    table.go_to(rows, |step: Step| items.put(&Item::Row(kind, step)))
}

/// Whether a process is new or differs from what was last written of it.
fn has_changed(written: &mut HashMap<u32, u64>, facts: &ProcessFacts) -> bool {
    let mut hasher = DefaultHasher::new();
    Process::from(facts).hash(&mut hasher);
    let hash = hasher.finish();
    if written.len() >= MOST_REMEMBERED {
        written.clear();
    }
    written.insert(facts.pid, hash) != Some(hash)
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
                let memory = places.memory + place.memory_use();
                if memory > limits::MEMORY {
                    None
                } else {
                    let number = places.numbers.len() as u32;
                    places.numbers.insert((place_key(location), role), number);
                    places.memory = memory;
                    items.put(&Item::Place(place))?;
                    Some(number)
                }
            }
        };
        frames.push((location.address, number));
    }
    let reason = stack.reason.as_ref().map(ToString::to_string);
    items.put(&Item::Stack(Stack { callsite: stack.callsite, quality: quality_raw(stack.quality), reason, frames }))
}

fn has_long_name(location: &Location) -> bool {
    location.name.as_ref().is_some_and(|name| name.len() > limits::NAME)
}

fn place(location: &Location, role: Role, frames: Vec<Frame>) -> Place {
    let mut place = Place {
        module: location.module.map(|module| module.0),
        offset: location.offset,
        name: location.name.as_deref().map(str::to_owned),
        is_leaf: role == Role::Leaf,
        frames: frames.into_iter().take(limits::PLACE_FRAMES).map(Into::into).collect(),
    };
    if place.memory_use() > LONGEST_PLACE {
        place.frames.clear();
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_is_written_that_the_reader_refuses() {
        let place = place(&Location::unmapped(7), Role::Leaf, vec![Frame::default(); 2 * limits::PLACE_FRAMES]);
        assert_eq!(place.frames.len(), limits::PLACE_FRAMES);
    }
}
