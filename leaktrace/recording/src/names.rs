//! The names that a recording carries. They replace the files that the names came from.

use leaktrace_model::{Frame, Location, Resolve, Role};
use std::collections::HashMap;

/// What distinguishes places in code: module, offset, name of generated code.
pub(crate) type PlaceKey = (Option<u32>, u64, Option<Box<str>>);

/// The key of a location.
pub(crate) fn place_key(location: &Location) -> PlaceKey {
    (location.module.map(|module| module.0), location.offset, location.name.clone())
}

/// A place in code with its names, as a recording has it. For [`RecordedNames::learn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPlace {
    /// Which place.
    pub(crate) key: PlaceKey,
    /// Whether a thread was there or will return there.
    pub(crate) role: Role,
    /// Innermost first. Addresses are 0: each stack has its own.
    pub(crate) frames: Vec<Frame>,
}

/// Names by place.
#[derive(Debug, Default)]
pub struct RecordedNames {
    frames: HashMap<(PlaceKey, Role), Vec<Frame>>,
}

impl RecordedNames {
    /// Adds the names of places. If a place comes again, its first names stay: the reader has counted memory by those.
    pub fn learn(&mut self, places: impl IntoIterator<Item = NamedPlace>) {
        for place in places {
            self.frames.entry((place.key, place.role)).or_insert(place.frames);
        }
    }
}

impl Resolve for RecordedNames {
    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>> {
        let named = |(depth, location): (usize, &Location)| {
            let frame = |frame: &Frame| Frame { address: location.address, ..frame.clone() };
            match self.frames.get(&(place_key(location), Role::at_depth(depth))) {
                Some(frames) => frames.iter().map(frame).collect(),
                None => vec![Frame { address: location.address, ..Frame::default() }],
            }
        };
        stack.iter().enumerate().map(named).collect()
    }
}
