//! The running kernel as a source of samples. The only crate that knows what BPF is.
//!
//! It owns
//! - the kernel side: loading it, attaching hooks (`attach`), running passes (`passes`), reading call sites and stacks (`sites`);
//! - every other fact that comes from the kernel: processes and the host from `/proc`, privileges, network namespaces;
//! - closing sockets of other processes ([`destroy`]);
//! - the translation between the kernel side's rows and the model (`rows`).
//!
//! [`Tracer`] puts these together. It enters network namespaces while it samples, so it needs a thread of its own. It holds every
//! descriptor of the kernel side, so nothing stays in the kernel after the process ends, in whatever way it ends.
//!
//! It must not name functions or source lines of a stack (the caller gives a [`Place`](leaktrace_model::Place) for that), remember
//! earlier samples, or print.

#![warn(unreachable_pub)]

mod attach;
pub mod destroy;
mod error;
pub mod host;
mod maps;
mod namespaces;
mod passes;
pub mod pid_namespace;
pub mod privilege;
mod processes;
mod request;
mod rows;
mod sites;
mod tracer;
mod tree;

pub use attach::{
    btf::{BtfError, VMLINUX},
    facts::KernelFacts,
};
pub use error::StartError;
pub use namespaces::{Namespaces, namespace_name, own_namespace};
pub use passes::sampler::Adoption;
pub use request::{HoldersPass, HookChoice, SampleRequest, Stacks, Walk};
pub use rows::judge;
pub use tracer::{Tracer, TracerOptions};
