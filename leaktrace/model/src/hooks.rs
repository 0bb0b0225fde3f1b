//! The kinds of kernel hooks.

/// A kind of hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookKind {
    /// Trampolines.
    Fentry,
    /// Breakpoints.
    Kprobe,
    /// Tracepoints.
    Tracepoint,
}

impl HookKind {
    /// Best first.
    pub const ALL: [Self; 3] = [Self::Fentry, Self::Kprobe, Self::Tracepoint];

    /// The contract's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}
