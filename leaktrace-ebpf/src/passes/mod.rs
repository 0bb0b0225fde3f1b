//! The passes that user space starts: over sockets, over descriptors, over records.
//!
//! Most are BPF iterators: user space reads a descriptor, the kernel runs the program for every object and hands out what the program
//! writes. aya has no macros for iterators, so each is a plain function in the section `iter/…`, and its context is a structure as the
//! kernel's BTF describes it. Passes over records also exist as programs over lists of keys ([`listed`]), for few records, and for kernels
//! that forbid iterators over maps.

mod batch;
mod holders;
mod judge;
mod listed;
mod output;
mod pause;
mod records;
pub mod row;
mod sockets;
mod sweep;
