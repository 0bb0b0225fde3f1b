//! Reading a recording: samples until its end, or until it is cut off or damaged.
//!
//! Whatever the file says, nothing here panics, and memory stays within [`limits`].

use super::{
    belief,
    frame::{self, Damage, FrameKind, HEADER_BYTES, MAGIC, VERSION},
    head::Head,
    limits,
    names::{NamedPlace, PlaceKey},
    rows::{self, Now},
    table::{Growing, Step, Table},
    wire::{Item, Kind, Place, Stack, Start, quality_from_raw},
};
use crate::{
    host::ProcessFacts,
    report::clean,
    sample::{CallsiteStack, Holders, Sample},
    snapshot::Degradation,
    symbols::{Location, ModuleId, Role},
};
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// A file that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system does not give it.
    #[error("cannot read the recording {path}: {reason}")]
    Io {
        /// As given.
        path: String,
        /// What the system said.
        reason: io::Error,
    },
    /// A folder, a pipe, a device.
    #[error("cannot replay {path}: it is no regular file; name a file that `leaktrace record` wrote")]
    NoFile {
        /// As given.
        path: String,
    },
    /// Something else.
    #[error("{path} is no recording; name a file that `leaktrace record` wrote")]
    Foreign {
        /// As given.
        path: String,
    },
    /// A later program wrote it.
    #[error(
        "{path} is a recording of version {version}, and this leaktrace reads up to version {VERSION}: use a newer leaktrace"
    )]
    Newer {
        /// As given.
        path: String,
        /// What it says.
        version: u32,
    },
    /// Not even its beginning is whole.
    #[error("{path} is a recording, but nothing of it can be replayed: {damage}")]
    Damaged {
        /// As given.
        path: String,
        /// What is wrong.
        damage: Damage,
    },
}

/// How a recording ended.
#[derive(Debug)]
pub enum Ending {
    /// As the recorder meant it to.
    Whole,
    /// Behind a whole sample, but without the last mark: the recorder was killed, or is still at work.
    Unfinished,
    /// Something is wrong with what follows.
    Damaged(Damage),
}

/// One sample as it was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The sample.
    pub sample: Sample,
    /// Names of places that came up with it.
    pub names: Vec<NamedPlace>,
}

/// What the next sample is told in terms of.
#[derive(Clone, Debug)]
struct Before {
    sockets: Table<{ rows::SOCKET_CELLS }, 1>,
    dead: Table<{ rows::SOCKET_CELLS }, 1>,
    callsites: Table<{ rows::CALLSITE_CELLS }, 1>,
    holders: Table<{ rows::HOLDER_CELLS }, 2>,
    processes: Table<{ rows::PROCESS_CELLS }, 1>,
    degraded: Vec<Degradation>,
    places: usize,
    /// What processes, stacks and names have taken so far, in bytes.
    remembered: usize,
}

impl Default for Before {
    fn default() -> Self {
        Self {
            sockets: Table::new(limits::SOCKETS),
            dead: Table::new(limits::DEAD),
            callsites: Table::new(limits::CALLSITES),
            holders: Table::new(limits::HOLDERS),
            processes: Table::new(limits::PROCESSES),
            degraded: Vec::new(),
            places: 0,
            remembered: 0,
        }
    }
}

/// A place of the recording that a reader can go back to.
#[derive(Clone, Debug)]
pub struct Mark {
    at: u64,
    before: Before,
}

impl Mark {
    /// How many rows it holds.
    pub fn rows(&self) -> usize {
        let Before { sockets, dead, callsites, holders, processes, .. } = &self.before;
        let sockets = sockets.rows().len() + dead.rows().len();
        sockets + callsites.rows().len() + holders.rows().len() + processes.rows().len()
    }
}

/// Reads samples.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    start: Start,
    before: Before,
    /// Every place so far, by number.
    places: Vec<(PlaceKey, Role)>,
    pub(super) ending: Option<Ending>,
    buffer: Vec<u8>,
}

/// A recording in a file.
pub type FileReader = Reader<BufReader<File>>;

impl FileReader {
    /// Opens a recording.
    ///
    /// # Errors
    /// When the file is not there, is no recording, or is of a later version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let shown = clean(&path.to_string_lossy()).into_owned();
        let io = |reason| OpenError::Io { path: shown.clone(), reason };
        // Opening a pipe would wait for a writer.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(OpenError::NoFile { path: shown });
        }
        let file = File::open(path).map_err(io)?;
        Self::new(BufReader::with_capacity(1 << 16, file), &shown)
    }
}

impl<R: Read> Reader<R> {
    /// Reads from `input`, which errors call `path`.
    ///
    /// # Errors
    /// See [`FileReader::open`].
    pub fn new(mut input: R, path: &str) -> Result<Self, OpenError> {
        let shown = || path.to_owned();
        let io = |reason| OpenError::Io { path: shown(), reason };
        let mut header = [0; HEADER_BYTES];
        let length = frame::fill(&mut input, &mut header).map_err(io)?;
        if length < MAGIC.len() || header[..MAGIC.len()] != MAGIC {
            return Err(OpenError::Foreign { path: shown() });
        }
        let damaged = |damage| OpenError::Damaged { path: shown(), damage };
        if length < HEADER_BYTES {
            return Err(damaged(Damage::Cut));
        }
        let word = |at: usize| header[at..at + 4].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let (version, sum) = (word(8), word(12));
        if crc32fast::hash(&header[..12]) != sum {
            return Err(damaged(Damage::Checksum));
        }
        if version > VERSION {
            return Err(OpenError::Newer { path: shown(), version });
        }
        if version == 0 {
            return Err(damaged(Damage::Nonsense("a version that never was")));
        }
        let mut buffer = Vec::new();
        let first = frame::read(&mut input, &mut buffer).map_err(damaged)?.ok_or_else(|| damaged(Damage::Cut))?;
        if first.kind != FrameKind::Start {
            return Err(damaged(Damage::Nonsense("no beginning")));
        }
        let start = postcard::from_bytes(&first.body)
            .map_err(|_| damaged(Damage::Nonsense("a beginning that cannot be decoded")))?;
        let (before, places) = (Before::default(), Vec::new());
        Ok(Self { input, start, before, places, ending: None, buffer })
    }

    /// Who recorded, where, how.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// How it ended; `None` while there may be more.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Reads the next sample; `None` at the end, which [`Self::ending`] then describes.
    pub fn next_sample(&mut self) -> Option<Recorded> {
        if self.ending.is_some() {
            return None;
        }
        match self.read_sample() {
            Ok(Ok(recorded)) => Some(recorded),
            Ok(Err(ending)) => {
                self.ending = Some(ending);
                None
            }
            Err(damage) => {
                self.ending = Some(Ending::Damaged(damage));
                None
            }
        }
    }

    fn read_sample(&mut self) -> Result<Result<Recorded, Ending>, Damage> {
        let mut parts = Parts::default();
        let mut is_first = true;
        loop {
            let Some(frame) = frame::read(&mut self.input, &mut self.buffer)? else {
                return if is_first { Ok(Err(Ending::Unfinished)) } else { Err(Damage::Cut) };
            };
            match frame.kind {
                FrameKind::End if is_first => return Ok(Err(Ending::Whole)),
                FrameKind::Start | FrameKind::End => return Err(Damage::Nonsense("a beginning or end amidst")),
                FrameKind::Part | FrameKind::Sample => {}
            }
            is_first = false;
            let mut rest = &frame.body[..];
            while !rest.is_empty() {
                let (item, behind): (Item, _) = postcard::take_from_bytes(rest)
                    .map_err(|_| Damage::Nonsense("a part of a sample that cannot be decoded"))?;
                rest = behind;
                self.take(&mut parts, item)?;
            }
            if frame.kind == FrameKind::Sample {
                return self.finish(parts).map(Ok);
            }
        }
    }

    fn take(&mut self, parts: &mut Parts, item: Item) -> Result<(), Damage> {
        match item {
            Item::Row(kind, step) => return parts.rows.take(&self.before, kind, &step),
            Item::Holders(descriptors) => parts.descriptors = Some(descriptors),
            Item::Process(process) => {
                let facts = ProcessFacts::try_from(process)?;
                self.before.remembered += facts_weight(&facts);
                parts.processes.push(facts);
            }
            Item::Place(place) => {
                self.before.remembered += place.weight();
                let is_long = place.name.as_ref().is_some_and(|name| name.len() > limits::NAME);
                if is_long || self.places.len() >= limits::PLACES {
                    return Err(Damage::Nonsense("a place that no code has"));
                }
                let named = named(place);
                self.places.push((named.key.clone(), named.role));
                parts.names.push(named);
            }
            Item::Stack(stack) => {
                let stack = self.stack(stack)?;
                self.before.remembered += stack_weight(&stack);
                parts.stacks.push(stack);
            }
            Item::Degraded(pairs) => {
                self.before.degraded =
                    pairs.into_iter().map(|(feature, reason)| Degradation { feature, reason }).collect();
            }
            Item::Head(head) => parts.head = Some(head),
        }
        if self.before.remembered > limits::REMEMBERED {
            return Err(Damage::Nonsense("more processes, stacks and names than are believed (1 GiB)"));
        }
        Ok(())
    }

    fn stack(&self, stack: Stack) -> Result<CallsiteStack, Damage> {
        if stack.frames.len() > limits::FRAMES {
            return Err(Damage::Nonsense("a stack that is too deep"));
        }
        let location = |(address, place): &(u64, Option<u32>)| {
            let Some(number) = place else { return Ok(Location::unmapped(*address)) };
            let ((module, offset, name), _) =
                self.places.get(*number as usize).ok_or(Damage::Nonsense("a place that was not told"))?;
            Ok(Location { address: *address, module: module.map(ModuleId), offset: *offset, name: name.clone() })
        };
        Ok(CallsiteStack {
            callsite: stack.callsite,
            locations: stack.frames.iter().map(location).collect::<Result<_, Damage>>()?,
            quality: quality_from_raw(stack.quality),
            reason: stack.reason,
        })
    }

    fn finish(&mut self, parts: Parts) -> Result<Recorded, Damage> {
        let head = parts.head.ok_or(Damage::Nonsense("a sample without its numbers"))?;
        let mut sample = head.sample();
        let now = Now::of(&sample.limits);
        let (rows, before) = (parts.rows, &mut self.before);
        let has_dead = parts.descriptors.is_some() || rows.has_dead;
        rows.sockets.finish(&mut before.sockets);
        rows.callsites.finish(&mut before.callsites);
        sample.sockets = before.sockets.rows().iter().map(|cells| rows::to_socket(cells, now)).collect();
        if has_dead {
            rows.dead.finish(&mut before.dead);
            sample.sockets.extend(before.dead.rows().iter().map(|cells| rows::to_socket(cells, now)));
            sample.sockets.sort_by_key(|row| row.sk);
        }
        sample.callsites = before.callsites.rows().iter().map(|cells| rows::to_callsite(cells, now)).collect();
        if let Some(descriptors) = parts.descriptors {
            rows.holders.finish(&mut before.holders);
            rows.processes.finish(&mut before.processes);
            sample.holders = Some(Holders {
                rows: before.holders.rows().iter().map(rows::to_holder).collect(),
                processes: before.processes.rows().iter().map(rows::to_process).collect(),
                descriptors,
            });
        }
        sample.processes = parts.processes;
        sample.stacks = parts.stacks;
        sample.degraded = before.degraded.clone();
        before.places = self.places.len();
        belief::check(&sample)?;
        Ok(Recorded { sample, names: parts.names })
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Where it is now, to come back to.
    ///
    /// # Errors
    /// When the input has no such thing.
    pub fn mark(&mut self) -> io::Result<Mark> {
        Ok(Mark { at: self.input.stream_position()?, before: self.before.clone() })
    }

    /// Goes back to where it was. Names that were learned since come again.
    ///
    /// # Errors
    /// When the input cannot be read there.
    pub fn go_back(&mut self, mark: &Mark) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(mark.at))?;
        self.before = mark.before.clone();
        self.places.truncate(mark.before.places);
        self.ending = None;
        Ok(())
    }

    /// How many samples follow, as far as the file is whole. Reads no sample and stays where it is.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn count(&mut self) -> io::Result<u64> {
        let here = self.input.stream_position()?;
        let end = self.input.seek(SeekFrom::End(0))?;
        self.input.seek(SeekFrom::Start(here))?;
        let mut count = 0;
        while let Ok(Some(kind)) = frame::skip(&mut self.input) {
            // A seek leads behind the end of a file that is cut off.
            if kind == FrameKind::Sample && self.input.stream_position()? <= end {
                count += 1;
            }
        }
        self.input.seek(SeekFrom::Start(here))?;
        Ok(count)
    }
}

/// A sample while it is read.
#[derive(Debug, Default)]
struct Parts {
    rows: Rows,
    descriptors: Option<u64>,
    processes: Vec<ProcessFacts>,
    stacks: Vec<CallsiteStack>,
    names: Vec<NamedPlace>,
    head: Option<Head>,
}

#[derive(Debug, Default)]
struct Rows {
    sockets: Growing<{ rows::SOCKET_CELLS }>,
    dead: Growing<{ rows::SOCKET_CELLS }>,
    callsites: Growing<{ rows::CALLSITE_CELLS }>,
    holders: Growing<{ rows::HOLDER_CELLS }>,
    processes: Growing<{ rows::PROCESS_CELLS }>,
    has_dead: bool,
}

impl Rows {
    fn take(&mut self, before: &Before, kind: Kind, step: &Step) -> Result<(), Damage> {
        match kind {
            Kind::Socket => self.sockets.take(&before.sockets, step),
            Kind::Dead => {
                self.has_dead = true;
                self.dead.take(&before.dead, step)
            }
            Kind::Callsite => self.callsites.take(&before.callsites, step),
            Kind::Holder => self.holders.take(&before.holders, step),
            Kind::Process => self.processes.take(&before.processes, step),
        }
    }
}

fn named(place: Place) -> NamedPlace {
    NamedPlace {
        key: (place.module, place.offset, place.name.map(Into::into)),
        role: if place.is_leaf { Role::Leaf } else { Role::Return },
        frames: place.frames.into_iter().map(Into::into).collect(),
    }
}

fn facts_weight(facts: &ProcessFacts) -> usize {
    let placement = &facts.placement;
    let texts = [&facts.exe, &placement.cgroup, &placement.container, &placement.pod, &placement.unit];
    size_of::<ProcessFacts>() + facts.comm.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

fn stack_weight(stack: &CallsiteStack) -> usize {
    let location = |location: &Location| size_of::<Location>() + location.name.as_ref().map_or(0, |name| name.len());
    let reason = stack.reason.as_ref().map_or(0, String::len);
    size_of::<CallsiteStack>() + reason + stack.locations.iter().map(location).sum::<usize>()
}
