//! The kinds of kernel hooks, and where samples come from.

use serde::{Serialize, Serializer};

/// A kind of kernel hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookKind {
    /// BPF trampolines at functions (fentry, fexit).
    Fentry,
    /// Breakpoints at functions (kprobe, kretprobe).
    Kprobe,
    /// Tracepoints.
    Tracepoint,
}

impl HookKind {
    /// Every kind, best first.
    pub const ALL: [Self; 3] = [Self::Fentry, Self::Kprobe, Self::Tracepoint];

    /// The word on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}

/// Where samples come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hooks {
    /// This host's kernel, by hooks of this kind.
    Live(HookKind),
    /// A recording.
    #[default]
    Replay,
}

impl Hooks {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live(kind) => kind.name(),
            Self::Replay => "replay",
        }
    }
}

impl Serialize for Hooks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
