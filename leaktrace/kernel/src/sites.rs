//! Call sites as the kernel side keeps them: counters, stacks, and the indexes that are free.

pub(crate) mod callsites;
pub(crate) mod captures;
mod cpu_counters;
mod pool;
pub(crate) mod stacks;
