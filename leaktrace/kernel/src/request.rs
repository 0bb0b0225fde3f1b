//! What the caller asks for: hooks and stacks at the start, contents of each sample.

use leaktrace_model::{HookKind, Limits, Shown, StackSample};

/// Which kind of hooks to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HookChoice {
    /// The best kind that attaches.
    #[default]
    Auto,
    /// This kind or none.
    Only(HookKind),
}

/// Whether stacks are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stacks {
    /// At every open.
    Capture,
    /// At every open of a process that opens few sockets, at some opens of the others.
    Sample(StackSample),
    /// Not at all.
    Off,
}

/// What one sample should contain.
#[derive(Clone, Copy, Debug)]
pub struct SampleRequest {
    /// The thresholds of verdicts.
    pub limits: Limits,
    /// Which sockets to show one by one. All are counted either way.
    pub shown: Shown,
    /// Whether to look for sockets that nothing is known of.
    pub walk: Walk,
    /// Whether to look at every descriptor as well.
    pub holders: HoldersPass,
}

/// Whether a sample includes a holders pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldersPass {
    /// Yes.
    Run,
    /// No: what the last one found still stands.
    Skip,
}

/// Whether a sample walks the kernel's own tables of sockets, or may go by the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// It does: no socket is missing.
    Now,
    /// It does every now and then: a socket that no hook has heard of may be missing until then, such as one that nobody has
    /// accepted yet.
    WhenDue,
}
