//! The ten verdicts and their severities: names, numbers and order. Which verdicts hold is decided in `judge.rs`.

/// How bad a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Probably stuck; the cause may be at the other end.
    Suspect,
    /// The application forgot the socket.
    Leak,
}

impl Severity {
    /// The name used in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Suspect => "suspect",
            Self::Leak => "leak",
        }
    }
}

/// The table of verdicts. The position of a verdict is its bit in [`Verdicts`] and its index in arrays of counts. Recordings contain
/// these numbers, so a new verdict goes to the end.
macro_rules! verdicts {
    ($( $(#[$doc:meta])* $verdict:ident $name:literal $severity:ident; )*) => {
        /// One statement about one socket. The discriminant is its bit in [`Verdicts`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Verdict { $( $(#[$doc])* $verdict, )* }

        impl Verdict {
            /// How many verdicts there are.
            pub const COUNT: usize = [$( Self::$verdict ),*].len();

            /// All verdicts, worst severity first, within one severity in the order of the table.
            pub const ALL: [Self; Self::COUNT] = worst_first([$( Self::$verdict ),*]);

            /// The name in reports, filters and the contract.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$verdict => $name, )* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $( Self::$verdict => Severity::$severity, )* }
            }
        }
    };
}

verdicts! {
    /// The peer has closed, the application has not.
    CloseWait "close-wait" Leak;
    /// TCP has finished, but a process still holds the descriptor.
    DeadHeld "dead-held" Leak;
    /// Payload waits, and the application has never read from the socket.
    NeverRead "never-read" Leak;
    /// Payload waits; the application read earlier and has stopped.
    ReadStalled "read-stalled" Leak;
    /// Bytes wait in the send queue, and the peer acknowledges nothing.
    WriteStalled "write-stalled" Suspect;
    /// Established, and the peer has never sent any payload.
    SilentPeer "silent-peer" Suspect;
    /// SYN sent and not answered.
    Connecting "connecting" Suspect;
    /// Established and still in the listener's accept queue.
    NotAccepted "not-accepted" Suspect;
    /// No payload in either direction, and nothing that would notice a dead peer.
    IdleUnguarded "idle-unguarded" Suspect;
    /// Open for at least the threshold.
    LongLived "long-lived" Info;
}

// One bit each.
const _: () = assert!(Verdict::COUNT <= u32::BITS as usize);

/// Sorts by severity. Verdicts of one severity keep their order.
const fn worst_first<const COUNT: usize>(table: [Verdict; COUNT]) -> [Verdict; COUNT] {
    let mut sorted = table;
    let (mut len, mut severity) = (0, Severity::Leak as i32);
    while severity >= Severity::Info as i32 {
        let mut at = 0;
        while at < COUNT {
            if table[at].severity() as i32 == severity {
                sorted[len] = table[at];
                len += 1;
            }
            at += 1;
        }
        severity -= 1;
    }
    sorted
}

impl Verdict {
    /// The verdict with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

/// A set of verdicts, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Verdicts(pub u32);

impl Verdicts {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// All verdicts of this severity or worse.
    pub fn at_least(severity: Severity) -> Self {
        let mut set = Self::NONE;
        for verdict in Verdict::ALL {
            if verdict.severity() >= severity {
                set.insert(verdict);
            }
        }
        set
    }

    /// Adds a verdict.
    #[inline(always)]
    pub const fn insert(&mut self, verdict: Verdict) {
        self.0 |= 1 << verdict as u8;
    }

    /// Whether a verdict is in the set.
    #[inline(always)]
    pub const fn contains(self, verdict: Verdict) -> bool {
        self.0 & (1 << verdict as u8) != 0
    }

    /// Whether the set is empty.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The intersection of two sets.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The union of two sets.
    #[inline(always)]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The verdicts in the set, worst first.
    pub fn iter(self) -> impl Iterator<Item = Verdict> {
        Verdict::ALL.into_iter().filter(move |verdict| self.contains(*verdict))
    }

    /// The worst severity in the set.
    pub fn severity(self) -> Option<Severity> {
        self.iter().map(Verdict::severity).max()
    }
}
