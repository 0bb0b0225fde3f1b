//! Raw kernel codes and what they mean.

use crate::conditions::at_least;

/// A TCP state, from the kernel's number (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// Connected both ways.
    Established,
    /// An active open that waits for an answer.
    SynSent,
    /// A passive open that waits for the last part of the handshake.
    SynReceived,
    /// We have closed, our FIN is not acknowledged.
    FinWait1,
    /// We have closed and the peer knows; the peer has not closed.
    FinWait2,
    /// Both have closed; the kernel keeps the tuple for a while.
    TimeWait,
    /// TCP is done with the socket.
    Closed,
    /// The peer has closed, we have not.
    CloseWait,
    /// Both have closed, our FIN is not acknowledged, the peer closed first.
    LastAck,
    /// A listening socket.
    Listen,
    /// Both have closed at the same time.
    Closing,
    /// A request socket in a listener's SYN queue: no full socket.
    NewSynReceived,
    /// A socket that is bound and nothing else (since 6.1; kernel-internal).
    BoundInactive,
    /// A number that this version does not know.
    Unknown(u8),
}

impl TcpState {
    /// Total: every number gives a state.
    #[inline(always)]
    pub const fn from_raw(raw: u8) -> Self {
        match raw {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            12 => Self::NewSynReceived,
            13 => Self::BoundInactive,
            other => Self::Unknown(other),
        }
    }

    /// The name that RFC 9293 gives the state, in capitals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynReceived | Self::NewSynReceived => "SYN_RECEIVED",
            Self::FinWait1 => "FIN_WAIT_1",
            Self::FinWait2 => "FIN_WAIT_2",
            Self::TimeWait => "TIME_WAIT",
            Self::Closed | Self::BoundInactive => "CLOSED",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
            Self::Unknown(_) => "UNKNOWN",
        }
    }

    /// Whether the kernel keeps less than a `struct sock` for it, so that only the state may be read.
    #[inline(always)]
    pub const fn is_minisock(self) -> bool {
        matches!(self, Self::TimeWait | Self::NewSynReceived)
    }

    /// Whether the handshake is over and the connection not yet gone.
    #[inline(always)]
    pub const fn is_connected(self) -> bool {
        matches!(
            self,
            Self::Established | Self::FinWait1 | Self::FinWait2 | Self::CloseWait | Self::LastAck | Self::Closing
        )
    }

    /// Whether our own FIN has been queued, which takes one byte of sequence space.
    #[inline(always)]
    pub const fn has_sent_fin(self) -> bool {
        matches!(self, Self::FinWait1 | Self::LastAck | Self::Closing)
    }
}

/// Which end opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The socket is older than the tracer, or its opening was not seen.
    Unknown,
    /// This end called connect.
    Connect,
    /// This end called accept.
    Accept,
}

impl Direction {
    /// Total: an unknown number is an unknown direction.
    #[inline(always)]
    pub const fn from_raw(raw: u8) -> Self {
        match raw {
            1 => Self::Connect,
            2 => Self::Accept,
            _ => Self::Unknown,
        }
    }

    /// The number kept in records.
    #[inline(always)]
    pub const fn raw(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Connect => 1,
            Self::Accept => 2,
        }
    }

    /// The word used in reports and filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Connect => "connect",
            Self::Accept => "accept",
        }
    }
}

/// A set of states. Whether one is in it is told without a branch: see [`crate::conditions`].
#[derive(Clone, Copy)]
pub struct States(u32);

/// Those of which a condition holds.
macro_rules! states {
    ($state:ident => $condition:expr) => {{
        let (mut set, mut raw) = (0, 0);
        while raw < 32 {
            let $state = TcpState::from_raw(raw);
            if $condition {
                set |= 1 << raw;
            }
            raw += 1;
        }
        Self(set)
    }};
}

impl States {
    /// [`TcpState::Established`]
    pub const ESTABLISHED: Self = states!(state => matches!(state, TcpState::Established));
    /// [`TcpState::SynSent`]
    pub const SYN_SENT: Self = states!(state => matches!(state, TcpState::SynSent));
    /// [`TcpState::Closed`]
    pub const CLOSED: Self = states!(state => matches!(state, TcpState::Closed));
    /// [`TcpState::CloseWait`]
    pub const CLOSE_WAIT: Self = states!(state => matches!(state, TcpState::CloseWait));
    /// The handshake is not over.
    pub const HANDSHAKE: Self = states!(state => matches!(state, TcpState::SynSent | TcpState::SynReceived));
    /// [`TcpState::is_connected`]
    pub const CONNECTED: Self = states!(state => state.is_connected());
    /// [`TcpState::has_sent_fin`]
    pub const FIN_SENT: Self = states!(state => state.has_sent_fin());
    /// A descriptor may refer to a connection in it: never LISTEN, TIME_WAIT or a request.
    pub const OPEN: Self = Self::CONNECTED.or(Self::HANDSHAKE).or(Self::CLOSED);
    /// No connection, or less than a `struct sock` of one: TIME_WAIT, LISTEN, a request.
    pub const NO_SOCKET: Self = states!(state => state.is_minisock() || matches!(state, TcpState::Listen));

    /// Those in either.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// 1 if the state of that number is in the set, else 0.
    #[inline(always)]
    pub fn has(self, raw: u8) -> u32 {
        self.0 >> (raw & 31) & at_least(31, raw.into())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn a_set_has_its_members_and_no_number_beyond() {
        let in_set = |set: States| (0..=u8::MAX).filter(|raw| set.has(*raw) == 1).collect::<std::vec::Vec<_>>();
        assert_eq!(in_set(States::OPEN), [1, 2, 3, 4, 5, 7, 8, 9, 11]);
        assert_eq!(in_set(States::CONNECTED), [1, 4, 5, 8, 9, 11]);
        assert_eq!(in_set(States::FIN_SENT), [4, 9, 11]);
        assert_eq!(in_set(States::NO_SOCKET), [6, 10, 12]);
        assert_eq!(in_set(States::HANDSHAKE), [2, 3]);
    }
}
