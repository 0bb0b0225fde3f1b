//! What the processes and stacks of a recording take in memory, in bytes, and how much of that is in use.

use leaktrace_common::CallsiteCounters;
use leaktrace_model::{host::ProcessFacts, location::Location, sample::CallsiteStack};
use std::collections::{HashMap, HashSet};

/// What is known of a process.
pub fn of_facts(facts: &ProcessFacts) -> usize {
    let placement = &facts.placement;
    let texts = [&facts.exe, &placement.cgroup, &placement.container, &placement.pod, &placement.unit];
    size_of::<ProcessFacts>() + facts.comm.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

/// A stack, without the names of its places.
pub fn of_stack(stack: &CallsiteStack) -> usize {
    let location = |location: &Location| size_of::<Location>() + location.name.as_ref().map_or(0, |name| name.len());
    let reason = stack.reason.as_ref().map_or(0, String::len);
    size_of::<CallsiteStack>() + reason + stack.locations.iter().map(location).sum::<usize>()
}

/// What the stacks of call sites in use take. A host that starts a process a second tells of as many stacks, and of few at a
/// time.
#[derive(Clone, Debug, Default)]
pub struct Stacks(HashMap<u32, usize>);

impl Stacks {
    /// Takes in what a sample tells of stacks and which call sites it has; gives what they take together.
    pub fn take(&mut self, told: Vec<(u32, usize)>, callsites: &[(u32, CallsiteCounters)]) -> usize {
        self.0.extend(told);
        let in_use: HashSet<u32> = callsites.iter().map(|(index, _)| *index).collect();
        self.0.retain(|index, _| in_use.contains(index));
        self.0.values().sum()
    }
}
