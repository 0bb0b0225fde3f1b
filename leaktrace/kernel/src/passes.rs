//! The passes that make a sample: which run, how each is run, and what each writes.

pub(crate) mod iterators;
mod key_cache;
mod map_entries;
mod records;
pub(crate) mod sampler;
mod walks;
