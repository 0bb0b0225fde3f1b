//! The hooks. Three kinds (trampolines, breakpoints, tracepoints) report the same events, one file for each; user space attaches one kind.
//! Each hook carries its C prototype and the oldest kernel it works on; where none is named, that is 5.9, leaktrace's own minimum.

mod destroy;
mod fentry;
mod kprobe;
mod tracepoint;
mod tree;
