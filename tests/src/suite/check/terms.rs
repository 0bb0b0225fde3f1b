//! The settings under which a report is judged.

/// Whether a program's sockets are older than the tracer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// Adopted: the age is a lower bound, the opener unknown.
    BeforeTracer,
    /// Opened while the tracer watched.
    AfterTracer,
}

/// Whether reports carry function names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbols {
    /// Look for the leaking function on the stack.
    Expected,
    /// The same, but only for programs that are there for their names.
    OfLanguages,
    /// Only one call site is asked for.
    Ignored,
}

/// What a report is compared with besides the truth.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When the program began.
    pub started: Started,
    /// `--threshold`
    pub threshold_s: f64,
    /// `--stall`
    pub stall_s: f64,
    /// `--idle`
    pub idle_s: f64,
    /// By how much an age may be off.
    pub age_margin_s: f64,
    /// How long after the start of the window the tracer may have seen older sockets first.
    pub adoption_s: f64,
    /// Names on stacks.
    pub symbols: Symbols,
    /// The namespace that the suite runs in.
    pub home_netns: u64,
}
