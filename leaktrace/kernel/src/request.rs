//! What is asked of a sample.

use leaktrace_common::Verdicts;
use std::time::Duration;

/// What one sample should contain.
#[derive(Clone, Copy, Debug)]
pub struct SampleRequest {
    /// Age from which a socket is long-lived.
    pub threshold: Duration,
    /// How long a stuck state must last.
    pub stall: Duration,
    /// How long without payload counts as idle.
    pub idle: Duration,
    /// Which sockets to show.
    pub rows: RowChoice,
    /// Whether to look for sockets that nothing is known of.
    pub walk: Walk,
    /// Whether to look at every descriptor as well.
    pub holders: HoldersPass,
}

/// Which sockets a sample shows one by one. All are counted either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowChoice {
    /// Those with one of these verdicts.
    With(Verdicts),
    /// Every open one.
    All,
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
