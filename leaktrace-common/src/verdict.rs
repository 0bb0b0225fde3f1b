//! The ten verdicts: which hold for a row, decided once for the kernel and for user space.

use crate::{PassSettings, SocketRow, TcpState, row_flags, ticks_from_ns};

/// How bad a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Likely to be stuck; the other end may be at fault.
    Suspect,
    /// This end forgot the socket.
    Leak,
}

impl Severity {
    /// The word used in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Suspect => "suspect",
            Self::Leak => "leak",
        }
    }
}

/// One statement about one socket. The discriminant is its bit in [`Verdicts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// The peer has closed, the application has not.
    CloseWait = 0,
    /// TCP is finished but a process still holds the descriptor.
    DeadHeld = 1,
    /// Payload waits and the application has read nothing in the socket's life.
    NeverRead = 2,
    /// Payload waits, the application did read before and does not any more.
    ReadStalled = 3,
    /// Bytes wait in the send queue and the peer acknowledges nothing.
    WriteStalled = 4,
    /// Established, and not one byte of payload has ever come from the peer.
    SilentPeer = 5,
    /// SYN sent and unanswered.
    Connecting = 6,
    /// Established and still in the listener's accept queue.
    NotAccepted = 7,
    /// No payload either way and nothing that would notice a dead peer.
    IdleUnguarded = 8,
    /// Open for at least the threshold.
    LongLived = 9,
}

impl Verdict {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// All of them, worst first.
    pub const ALL: [Self; Self::COUNT] = [
        Self::CloseWait,
        Self::DeadHeld,
        Self::NeverRead,
        Self::ReadStalled,
        Self::WriteStalled,
        Self::SilentPeer,
        Self::Connecting,
        Self::NotAccepted,
        Self::IdleUnguarded,
        Self::LongLived,
    ];

    /// The contract's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloseWait => "close-wait",
            Self::DeadHeld => "dead-held",
            Self::NeverRead => "never-read",
            Self::ReadStalled => "read-stalled",
            Self::WriteStalled => "write-stalled",
            Self::SilentPeer => "silent-peer",
            Self::Connecting => "connecting",
            Self::NotAccepted => "not-accepted",
            Self::IdleUnguarded => "idle-unguarded",
            Self::LongLived => "long-lived",
        }
    }

    /// The verdict of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// How bad it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::CloseWait | Self::DeadHeld | Self::NeverRead | Self::ReadStalled => Severity::Leak,
            Self::WriteStalled | Self::SilentPeer | Self::Connecting | Self::NotAccepted | Self::IdleUnguarded => {
                Severity::Suspect
            }
            Self::LongLived => Severity::Info,
        }
    }
}

/// A set of verdicts, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Verdicts(pub u32);

impl Verdicts {
    /// No verdict.
    pub const NONE: Self = Self(0);

    /// Every verdict of that severity or worse.
    pub fn at_least(severity: Severity) -> Self {
        let mut set = Self::NONE;
        for verdict in Verdict::ALL {
            if verdict.severity() >= severity {
                set.insert(verdict);
            }
        }
        set
    }

    /// Adds one.
    #[inline(always)]
    pub const fn insert(&mut self, verdict: Verdict) {
        self.0 |= 1 << verdict as u8;
    }

    /// Whether it is in the set.
    #[inline(always)]
    pub const fn contains(self, verdict: Verdict) -> bool {
        self.0 & (1 << verdict as u8) != 0
    }

    /// Whether none holds.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in both sets.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those in either set.
    #[inline(always)]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members, worst first.
    pub fn iter(self) -> impl Iterator<Item = Verdict> {
        Verdict::ALL.into_iter().filter(move |verdict| self.contains(*verdict))
    }

    /// The worst severity in the set.
    pub fn severity(self) -> Option<Severity> {
        self.iter().map(Verdict::severity).max()
    }

    /// Which verdicts hold for `row` under `limits`. Pure: everything it needs is in its arguments.
    ///
    /// Listening sockets, minisocks and sockets that the application has closed earn none. A socket in an
    /// accept queue can only be [`Verdict::NotAccepted`].
    #[inline(always)]
    pub fn of(row: &SocketRow, limits: &PassSettings) -> Self {
        let mut set = Self::NONE;
        let state = TcpState::from_raw(row.state);
        let has = |flag: u32| row.flags & flag != 0;
        if state.is_minisock()
            || matches!(state, TcpState::Listen | TcpState::BoundInactive | TcpState::Unknown(_))
            || has(row_flags::ORPHAN)
        {
            return set;
        }
        if has(row_flags::IN_ACCEPT_QUEUE) {
            if state.is_connected() && ticks_from_ns(row.age_ns) >= limits.stall {
                set.insert(Verdict::NotAccepted);
            }
            return set;
        }
        match state {
            TcpState::Closed => {
                if !has(row_flags::WAS_CONNECTED) {
                    return set;
                }
                if row.in_state >= limits.stall {
                    set.insert(Verdict::DeadHeld);
                }
            }
            TcpState::SynSent => {
                if row.in_state >= limits.stall {
                    set.insert(Verdict::Connecting);
                }
            }
            TcpState::SynReceived => {}
            _ => {
                if matches!(state, TcpState::CloseWait) && row.in_state >= limits.stall {
                    set.insert(Verdict::CloseWait);
                }
                if row.rx_queue_bytes > 0 && row.unread >= limits.stall {
                    set.insert(if row.bytes_read() == 0 { Verdict::NeverRead } else { Verdict::ReadStalled });
                }
                if row.tx_queue_bytes > 0 && row.unacked >= limits.stall {
                    set.insert(Verdict::WriteStalled);
                }
                if matches!(state, TcpState::Established) {
                    if row.bytes_received == 0 && row.in_state >= limits.stall {
                        set.insert(Verdict::SilentPeer);
                    }
                    if row.tx_queue_bytes == 0
                        && row.idle >= limits.idle
                        && !has(row_flags::KEEPALIVE)
                        && row.user_timeout_ms == 0
                    {
                        set.insert(Verdict::IdleUnguarded);
                    }
                }
            }
        }
        if row.age_ns >= limits.threshold_ns {
            set.insert(Verdict::LongLived);
        }
        set
    }
}
