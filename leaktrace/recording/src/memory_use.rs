//! Memory that the processes and stacks of a recording take, in bytes.

use leaktrace_model::{CallsiteStack, Location, ProcessFacts, SiteCounters, StackReason};
use std::collections::{HashMap, HashSet};

/// Memory for what is known of a process.
pub(crate) fn of_facts(facts: &ProcessFacts) -> usize {
    let placement = &facts.placement;
    let texts = [&facts.exe, &placement.cgroup, &placement.container, &placement.pod, &placement.unit];
    size_of::<ProcessFacts>() + facts.comm.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

/// Memory for a stack, without the names of its places.
pub(crate) fn of_stack(stack: &CallsiteStack) -> usize {
    let location = |location: &Location| size_of::<Location>() + location.name.as_ref().map_or(0, |name| name.len());
    let reason = match &stack.reason {
        Some(StackReason::Recorded { text, .. }) => text.len(),
        _ => 0,
    };
    size_of::<CallsiteStack>() + reason + stack.locations.iter().map(location).sum::<usize>()
}

/// Memory for the stacks of call sites in use, by call site. A host that starts a process every second has many stacks over time, but few
/// at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct StacksInUse(HashMap<u32, usize>);

impl StacksInUse {
    /// Adds the stacks of a sample, drops those of call sites that it does not have, and returns the sum.
    pub(crate) fn update(&mut self, new: Vec<(u32, usize)>, callsites: &[(u32, SiteCounters)]) -> usize {
        self.0.extend(new);
        let in_use: HashSet<u32> = callsites.iter().map(|(index, _)| *index).collect();
        self.0.retain(|index, _| in_use.contains(index));
        self.0.values().sum()
    }
}
