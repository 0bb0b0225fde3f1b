//! The ten verdicts: which hold for a row, decided once for the kernel and for user space.

use crate::{
    PassSettings, SocketRow, States,
    conditions::{at_least, not},
    row_flags, ticks_to_ns,
};

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
    /// Listening sockets, minisocks, sockets that the application has closed and states that this version does not
    /// know earn none. A socket in an accept queue can only be [`Verdict::NotAccepted`]. Any bits may stand in a row:
    /// `tests/verdicts.rs` holds this against the contract for all of them.
    ///
    /// Written without branches, see [`crate::conditions`]: ten that each set a bit are a thousand ways through (6.1 did not finish
    /// within 100 s).
    #[inline(always)]
    pub fn of(row: &SocketRow, limits: &PassSettings) -> Self {
        let is = |states: States| states.has(row.state);
        let has = |flag: u32| at_least((row.flags & flag).into(), 1);
        let lasts = |span: u32, limit: u32| at_least(span.into(), limit.into());

        let open = is(States::OPEN) & not(has(row_flags::ORPHAN));
        let queued = open & has(row_flags::IN_ACCEPT_QUEUE);
        let held = open & not(has(row_flags::IN_ACCEPT_QUEUE));
        // Payload can wait in a queue.
        let flowing = held & is(States::CONNECTED);
        let established = held & is(States::ESTABLISHED);
        let stuck = lasts(row.in_state, limits.stall);
        let dead = held & is(States::CLOSED) & has(row_flags::WAS_CONNECTED);
        let long = at_least(row.age_ns, limits.threshold_ns);
        // In nanoseconds, for an age in ticks may not fit.
        let waiting_old = at_least(row.age_ns, ticks_to_ns(limits.stall));
        let waits = lasts(row.rx_queue_bytes, 1);
        let unread = flowing & waits & lasts(row.unread, limits.stall);
        let has_read = at_least(row.bytes_read(), 1);
        let unsent = lasts(row.tx_queue_bytes, 1);
        let guarded = has(row_flags::KEEPALIVE) | lasts(row.user_timeout_ms, 1);
        // A socket that was restored (TCP_REPAIR) may have a queue and no count.
        let never_heard = not(at_least(row.bytes_received, 1) | waits);
        let quiet = lasts(row.idle, limits.idle) & not(unsent);
        let not_half_open = held & not(is(States::CLOSED) & not(has(row_flags::WAS_CONNECTED)));

        let bit = |condition: u32, verdict: Verdict| condition << verdict as u32;
        Self(
            bit(held & is(States::CLOSE_WAIT) & stuck, Verdict::CloseWait)
                | bit(dead & stuck, Verdict::DeadHeld)
                | bit(unread & not(has_read), Verdict::NeverRead)
                | bit(unread & has_read, Verdict::ReadStalled)
                | bit(flowing & unsent & lasts(row.unacked, limits.stall), Verdict::WriteStalled)
                | bit(established & never_heard & stuck, Verdict::SilentPeer)
                | bit(held & is(States::SYN_SENT) & stuck, Verdict::Connecting)
                | bit(queued & is(States::CONNECTED) & waiting_old, Verdict::NotAccepted)
                | bit(established & quiet & not(guarded), Verdict::IdleUnguarded)
                | bit(not_half_open & long, Verdict::LongLived),
        )
    }
}
