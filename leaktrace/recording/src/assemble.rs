//! Builds whole samples from the items of a recording, and refuses more than [`limits`] allow.

use super::{
    block::Damage,
    head::Head,
    limits,
    memory_use::{self, StacksInUse},
    names::{NamedPlace, PlaceKey},
    rows::{self, Now},
    table::{Growing, Step, Table},
    validate,
    wire::{Item, Place, RowKind, Stack, quality_from_raw},
};
use leaktrace_model::{
    CallsiteStack, Degradation, Holders, Location, ModuleId, NamerHealth, ProcessFacts, Role, Sample, StackReason,
};
use std::collections::HashMap;

/// What is wrong with a recording that would take more memory than [`limits::MEMORY`].
const TOO_MUCH: &str = "more processes, stacks and names than are believed (1 GiB)";

/// One sample as it was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The sample.
    pub sample: Sample,
    /// Names of places that are new with it.
    pub names: Vec<NamedPlace>,
}

/// The state after a sample. The next sample is written as its differences from this.
#[derive(Clone, Debug)]
pub(crate) struct Previous {
    sockets: Table<{ rows::SOCKET_CELLS }, 1>,
    dead: Table<{ rows::SOCKET_CELLS }, 1>,
    callsites: Table<{ rows::CALLSITE_CELLS }, 1>,
    holders: Table<{ rows::HOLDER_CELLS }, 2>,
    processes: Table<{ rows::PROCESS_CELLS }, 1>,
    degraded: Vec<Degradation>,
    namer: Option<NamerHealth>,
    places: usize,
    /// Memory for all places so far and their names, in bytes.
    names_memory: usize,
    stacks: StacksInUse,
}

impl Default for Previous {
    fn default() -> Self {
        Self {
            sockets: Table::new(limits::SOCKETS),
            dead: Table::new(limits::DEAD),
            callsites: Table::new(limits::CALLSITES),
            holders: Table::new(limits::HOLDERS),
            processes: Table::new(limits::PROCESSES),
            degraded: Vec::new(),
            namer: None,
            places: 0,
            names_memory: 0,
            stacks: StacksInUse::default(),
        }
    }
}

impl Previous {
    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        let Previous { sockets, dead, callsites, holders, processes, .. } = self;
        let sockets = sockets.rows().len() + dead.rows().len();
        sockets + callsites.rows().len() + holders.rows().len() + processes.rows().len()
    }
}

/// Builds samples. Knows everything that the recording has said so far.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    previous: Previous,
    /// Every place so far, by number.
    places: Vec<(PlaceKey, Role)>,
    /// Memory for the names of each, as it came first.
    names_of: HashMap<(PlaceKey, Role), usize>,
}

impl Assembler {
    /// The state after the last sample.
    pub(crate) fn previous(&self) -> &Previous {
        &self.previous
    }

    /// Goes back to an earlier state.
    pub(crate) fn go_back(&mut self, previous: &Previous) {
        self.previous = previous.clone();
        self.places.truncate(previous.places);
    }

    /// Adds one item to a sample.
    ///
    /// # Errors
    /// When the item is impossible, or is more than the limits allow.
    pub(crate) fn add(&mut self, parts: &mut Parts, item: Item) -> Result<(), Damage> {
        match item {
            Item::Row(kind, step) => return parts.rows.apply(&self.previous, kind, &step),
            Item::Holders(descriptors) => parts.descriptors = Some(descriptors),
            Item::Process(process) => {
                let facts = ProcessFacts::try_from(process)?;
                parts.memory += memory_use::of_facts(&facts);
                parts.processes.push(facts);
            }
            Item::Place(place) => {
                self.previous.names_memory += place.memory_use();
                let is_long = place.name.as_ref().is_some_and(|name| name.len() > limits::NAME);
                if is_long || place.frames.len() > limits::PLACE_FRAMES || self.places.len() >= limits::PLACES {
                    return Err(Damage::Nonsense("a place that no code has"));
                }
                let memory = place.memory_use();
                let named = named(place);
                self.places.push((named.key.clone(), named.role));
                self.names_of.entry((named.key.clone(), named.role)).or_insert(memory);
                parts.names.push(named);
            }
            Item::Stack(stack) => {
                let (stack, names) = self.stack(stack)?;
                let memory = memory_use::of_stack(&stack) + names;
                parts.memory += memory;
                parts.stack_memory.push((stack.callsite, memory));
                parts.stacks.push(stack);
            }
            Item::Degraded(pairs) => {
                self.previous.degraded =
                    pairs.into_iter().map(|(feature, reason)| Degradation::Recorded { feature, reason }).collect();
            }
            Item::Head(head) => parts.head = Some(head),
            Item::MoreVerdicts(counts) => parts.more_verdicts = counts,
            Item::Namer(restarts, refused_files) => {
                if refused_files.len() > limits::REFUSED_FILES {
                    return Err(Damage::Nonsense("more refused files than are kept"));
                }
                self.previous.namer = Some(NamerHealth { restarts, refused_files });
            }
        }
        // Names stay for the whole recording. Processes and stacks come and go, so the limit is for each sample.
        if self.previous.names_memory > limits::MEMORY || parts.memory > limits::MEMORY {
            return Err(Damage::Nonsense(TOO_MUCH));
        }
        Ok(())
    }

    /// A stack, and the memory that the names of its places take each time it is shown.
    fn stack(&self, stack: Stack) -> Result<(CallsiteStack, usize), Damage> {
        if stack.frames.len() > limits::FRAMES {
            return Err(Damage::Nonsense("a stack that is too deep"));
        }
        let mut names = 0;
        let mut locations = Vec::with_capacity(stack.frames.len());
        for (depth, (address, number)) in stack.frames.iter().enumerate() {
            let Some(number) = number else {
                locations.push(Location::unmapped(*address));
                continue;
            };
            let place = self.places.get(*number as usize).ok_or(Damage::Nonsense("a place that was not told"))?;
            if place.1 != Role::at_depth(depth) {
                return Err(Damage::Nonsense("a place where no stack has it"));
            }
            names += self.names_of.get(place).copied().unwrap_or(0);
            let (module, offset, name) = &place.0;
            locations.push(Location {
                address: *address,
                module: module.map(ModuleId),
                offset: *offset,
                name: name.clone(),
            });
        }
        let quality = quality_from_raw(stack.quality);
        Ok((CallsiteStack { callsite: stack.callsite, locations, quality, reason: stack.reason.map(reason) }, names))
    }

    /// The sample, after its last item.
    ///
    /// # Errors
    /// When something is missing or impossible.
    pub(crate) fn finish(&mut self, parts: Parts) -> Result<Recorded, Damage> {
        let head = parts.head.ok_or(Damage::Nonsense("a sample without its numbers"))?;
        let mut sample = head.sample(&parts.more_verdicts);
        let now = Now::of(&sample.at, &sample.pass);
        let (rows, previous) = (parts.rows, &mut self.previous);
        let has_dead = parts.descriptors.is_some() || rows.has_dead;
        rows.sockets.finish(&mut previous.sockets);
        rows.callsites.finish(&mut previous.callsites);
        sample.sockets = previous.sockets.rows().iter().map(|cells| rows::to_socket(cells, now)).collect();
        if has_dead {
            rows.dead.finish(&mut previous.dead);
            sample.sockets.extend(previous.dead.rows().iter().map(|cells| rows::to_socket(cells, now)));
            sample.sockets.sort_by_key(|row| row.sk);
        }
        sample.callsites = previous.callsites.rows().iter().map(|cells| rows::to_callsite(cells, now)).collect();
        if let Some(descriptors) = parts.descriptors {
            rows.holders.finish(&mut previous.holders);
            rows.processes.finish(&mut previous.processes);
            sample.holders = Some(Holders {
                rows: previous.holders.rows().iter().map(rows::to_holder).collect(),
                processes: previous.processes.rows().iter().map(rows::to_process).collect(),
                descriptors,
            });
        }
        sample.processes = parts.processes;
        sample.stacks = parts.stacks;
        if previous.stacks.update(parts.stack_memory, &sample.callsites) > limits::MEMORY {
            return Err(Damage::Nonsense(TOO_MUCH));
        }
        sample.degraded = previous.degraded.clone();
        sample.namer = previous.namer.clone();
        previous.places = self.places.len();
        validate::check(&sample)?;
        Ok(Recorded { sample, names: parts.names })
    }
}

/// A sample while it is read.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// See [`Item::MoreVerdicts`].
    more_verdicts: Vec<u64>,
    rows: Rows,
    descriptors: Option<u64>,
    processes: Vec<ProcessFacts>,
    stacks: Vec<CallsiteStack>,
    /// Memory for each of those with its names, by call site.
    stack_memory: Vec<(u32, usize)>,
    /// Memory for all of them and the processes.
    memory: usize,
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
    fn apply(&mut self, previous: &Previous, kind: RowKind, step: &Step) -> Result<(), Damage> {
        match kind {
            RowKind::Socket => self.sockets.apply(&previous.sockets, step),
            RowKind::Dead => {
                self.has_dead = true;
                self.dead.apply(&previous.dead, step)
            }
            RowKind::Callsite => self.callsites.apply(&previous.callsites, step),
            RowKind::Holder => self.holders.apply(&previous.holders, step),
            RowKind::Process => self.processes.apply(&previous.processes, step),
        }
    }
}

/// Version 1 has a reason as text only. The text also says whether the stack was left out on purpose.
fn reason(text: String) -> StackReason {
    let not_sampled = text.starts_with("not sampled");
    StackReason::Recorded { text, not_sampled }
}

fn named(place: Place) -> NamedPlace {
    NamedPlace {
        key: (place.module, place.offset, place.name.map(Into::into)),
        role: if place.is_leaf { Role::Leaf } else { Role::Return },
        frames: place.frames.into_iter().map(Into::into).collect(),
    }
}
