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

impl States {
    /// Connected both ways.
    pub const ESTABLISHED: Self = Self::of(&[1]);
    /// An active open that waits for an answer.
    pub const SYN_SENT: Self = Self::of(&[2]);
    /// TCP is done with the socket.
    pub const CLOSED: Self = Self::of(&[7]);
    /// The peer has closed, we have not.
    pub const CLOSE_WAIT: Self = Self::of(&[8]);
    /// The handshake is not over.
    pub const HANDSHAKE: Self = Self::of(&[2, 3]);
    /// The handshake is over and the connection not yet gone: [`TcpState::is_connected`].
    pub const CONNECTED: Self = Self::of(&[1, 4, 5, 8, 9, 11]);
    /// Our own FIN has been queued: [`TcpState::has_sent_fin`].
    pub const FIN_SENT: Self = Self::of(&[4, 9, 11]);
    /// A descriptor may refer to a connection in it: never LISTEN, TIME_WAIT or a request.
    pub const OPEN: Self = Self::of(&[1, 2, 3, 4, 5, 7, 8, 9, 11]);
    /// No connection, or less than a `struct sock` of one: TIME_WAIT, LISTEN, a request.
    pub const NO_SOCKET: Self = Self::of(&[6, 10, 12]);

    const fn of(states: &[u8]) -> Self {
        let mut set = 0;
        let mut place = 0;
        while place < states.len() {
            set |= 1 << states[place];
            place += 1;
        }
        Self(set)
    }

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
    use super::*;

    #[test]
    fn sets_hold_what_the_states_themselves_say() {
        for raw in 0..=u8::MAX {
            let state = TcpState::from_raw(raw);
            assert_eq!(States::CONNECTED.has(raw), u32::from(state.is_connected()), "{raw}");
            assert_eq!(States::FIN_SENT.has(raw), u32::from(state.has_sent_fin()), "{raw}");
            let no_socket = state.is_minisock() || state == TcpState::Listen;
            assert_eq!(States::NO_SOCKET.has(raw), u32::from(no_socket), "{raw}");
            assert_eq!(
                States::HANDSHAKE.has(raw),
                u32::from(matches!(state, TcpState::SynSent | TcpState::SynReceived)),
                "{raw}"
            );
            assert_eq!(States::CLOSED.has(raw), u32::from(state == TcpState::Closed), "{raw}");
        }
    }
}
