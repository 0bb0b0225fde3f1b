//! The names that a recording carries, in place of the files that they came from.

use leaktrace_model::{
    location::{Location, Role},
    resolve::Resolve,
    snapshot::Frame,
};
use std::collections::HashMap;

/// What tells two places apart: module, offset, name of generated code.
pub type PlaceKey = (Option<u32>, u64, Option<Box<str>>);

/// The key of a location.
pub fn place_key(location: &Location) -> PlaceKey {
    (location.module.map(|module| module.0), location.offset, location.name.clone())
}

/// A place with its names, as a recording has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPlace {
    /// Which.
    pub key: PlaceKey,
    /// Whether a thread was there or will return there.
    pub role: Role,
    /// Innermost first; addresses are those of stacks.
    pub frames: Vec<Frame>,
}

/// Names by place.
#[derive(Debug, Default)]
pub struct RecordedNames {
    frames: HashMap<(PlaceKey, Role), Vec<Frame>>,
}

impl RecordedNames {
    /// Learns the names of places. The first ones that a place had stay: by those the reader has weighed stacks.
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
