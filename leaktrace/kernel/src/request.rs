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
    /// Whether to search for sockets without a record.
    pub walk: Walk,
    /// Whether to visit every descriptor too.
    pub holders: HoldersPass,
}

/// Whether a sample includes a holders pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldersPass {
    /// Yes.
    Run,
    /// No: the result of the last one is still used.
    Skip,
}

/// Whether a sample walks the kernel's own tables of sockets, or may use the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// It walks: no socket is missing.
    Now,
    /// It walks when a walk is due. Until then a socket that no hook has seen may be missing, such as one that is not accepted yet.
    WhenDue,
}
