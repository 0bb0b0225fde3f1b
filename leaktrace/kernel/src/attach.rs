//! From the object in this program to attached hooks: what the running kernel is like, and how the kernel side is adapted to it.

pub(crate) mod btf;
mod call_events;
pub(crate) mod facts;
pub(crate) mod hooks;
pub(crate) mod load;
mod preemption;
mod relocations;
