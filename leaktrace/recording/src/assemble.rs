//! From what a recording tells to whole samples, and no more of it than is believed: memory stays within [`limits`].

use super::{
    belief,
    frame::Damage,
    head::Head,
    limits,
    names::{NamedPlace, PlaceKey},
    rows::{self, Now},
    table::{Growing, Step, Table},
    weight::{self, Stacks},
    wire::{Item, Kind, Place, Stack, quality_from_raw},
};
use leaktrace_model::{
    host::ProcessFacts,
    location::{Location, ModuleId, Role},
    sample::{CallsiteStack, Holders, Sample},
    snapshot::Degradation,
};
use std::collections::HashMap;

/// What is wrong with a recording that would take more than [`limits::REMEMBERED`].
const TOO_MUCH: &str = "more processes, stacks and names than are believed (1 GiB)";

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
pub struct Before {
    sockets: Table<{ rows::SOCKET_CELLS }, 1>,
    dead: Table<{ rows::SOCKET_CELLS }, 1>,
    callsites: Table<{ rows::CALLSITE_CELLS }, 1>,
    holders: Table<{ rows::HOLDER_CELLS }, 2>,
    processes: Table<{ rows::PROCESS_CELLS }, 1>,
    degraded: Vec<Degradation>,
    places: usize,
    /// What places and their names have taken so far, in bytes.
    named: usize,
    stacks: Stacks,
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
            named: 0,
            stacks: Stacks::default(),
        }
    }
}

impl Before {
    /// How many rows it holds.
    pub fn rows(&self) -> usize {
        let Before { sockets, dead, callsites, holders, processes, .. } = self;
        let sockets = sockets.rows().len() + dead.rows().len();
        sockets + callsites.rows().len() + holders.rows().len() + processes.rows().len()
    }
}

/// All that was told so far.
#[derive(Debug, Default)]
pub struct Told {
    before: Before,
    /// Every place so far, by number.
    places: Vec<(PlaceKey, Role)>,
    /// What the names of each take, where it came first.
    weights: HashMap<(PlaceKey, Role), usize>,
}

impl Told {
    /// What the next sample is told in terms of.
    pub fn before(&self) -> &Before {
        &self.before
    }

    /// Forgets what was told since.
    pub fn go_back(&mut self, before: &Before) {
        self.before = before.clone();
        self.places.truncate(before.places);
    }

    /// Takes one thing that is told of a sample.
    ///
    /// # Errors
    /// When it cannot be, or is more than is believed.
    pub fn take(&mut self, parts: &mut Parts, item: Item) -> Result<(), Damage> {
        match item {
            Item::Row(kind, step) => return parts.rows.take(&self.before, kind, &step),
            Item::Holders(descriptors) => parts.descriptors = Some(descriptors),
            Item::Process(process) => {
                let facts = ProcessFacts::try_from(process)?;
                parts.weight += weight::of_facts(&facts);
                parts.processes.push(facts);
            }
            Item::Place(place) => {
                self.before.named += place.weight();
                let is_long = place.name.as_ref().is_some_and(|name| name.len() > limits::NAME);
                if is_long || place.frames.len() > limits::PLACE_FRAMES || self.places.len() >= limits::PLACES {
                    return Err(Damage::Nonsense("a place that no code has"));
                }
                let weight = place.weight();
                let named = named(place);
                self.places.push((named.key.clone(), named.role));
                self.weights.entry((named.key.clone(), named.role)).or_insert(weight);
                parts.names.push(named);
            }
            Item::Stack(stack) => {
                let (stack, names) = self.stack(stack)?;
                let weight = weight::of_stack(&stack) + names;
                parts.weight += weight;
                parts.weights.push((stack.callsite, weight));
                parts.stacks.push(stack);
            }
            Item::Degraded(pairs) => {
                self.before.degraded =
                    pairs.into_iter().map(|(feature, reason)| Degradation { feature, reason }).collect();
            }
            Item::Head(head) => parts.head = Some(head),
        }
        // Names stay; of processes and stacks, which come and go, each sample may tell as much.
        if self.before.named > limits::REMEMBERED || parts.weight > limits::REMEMBERED {
            return Err(Damage::Nonsense(TOO_MUCH));
        }
        Ok(())
    }

    /// A stack, and what the names of its places take each time that it is shown.
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
            names += self.weights.get(place).copied().unwrap_or(0);
            let (module, offset, name) = &place.0;
            locations.push(Location {
                address: *address,
                module: module.map(ModuleId),
                offset: *offset,
                name: name.clone(),
            });
        }
        let quality = quality_from_raw(stack.quality);
        Ok((CallsiteStack { callsite: stack.callsite, locations, quality, reason: stack.reason }, names))
    }

    /// The sample, once all of it is told.
    ///
    /// # Errors
    /// When something is missing, or cannot be.
    pub fn finish(&mut self, parts: Parts) -> Result<Recorded, Damage> {
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
        if before.stacks.take(parts.weights, &sample.callsites) > limits::REMEMBERED {
            return Err(Damage::Nonsense(TOO_MUCH));
        }
        sample.degraded = before.degraded.clone();
        before.places = self.places.len();
        belief::check(&sample)?;
        Ok(Recorded { sample, names: parts.names })
    }
}

/// A sample while it is read.
#[derive(Debug, Default)]
pub struct Parts {
    rows: Rows,
    descriptors: Option<u64>,
    processes: Vec<ProcessFacts>,
    stacks: Vec<CallsiteStack>,
    /// What each of those takes with its names, by call site.
    weights: Vec<(u32, usize)>,
    /// What they and the processes take together.
    weight: usize,
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
