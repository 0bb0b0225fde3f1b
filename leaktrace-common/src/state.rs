//! TCP states: the kernel's numbers, their names, and sets of them.

use crate::conditions::at_least;

/// The table of states: number, variant and name. It is the only place that knows the numbers.
macro_rules! tcp_states {
    ($( $(#[$doc:meta])* $raw:literal $state:ident $name:literal; )*) => {
        /// A TCP state, from the kernel's number (`include/net/tcp_states.h`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum TcpState {
            $( $(#[$doc])* $state, )*
            /// A number that this version does not know.
            Unknown(u8),
        }

        impl TcpState {
            /// The state of a number. Every number gives a state.
            #[inline(always)]
            pub const fn from_raw(raw: u8) -> Self {
                match raw {
                    $( $raw => Self::$state, )*
                    other => Self::Unknown(other),
                }
            }

            /// The kernel's number.
            #[inline(always)]
            pub const fn raw(self) -> u8 {
                match self {
                    $( Self::$state => $raw, )*
                    Self::Unknown(other) => other,
                }
            }

            /// The name that RFC 9293 gives the state, in capitals.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$state => $name, )*
                    Self::Unknown(_) => "UNKNOWN",
                }
            }
        }
    };
}

tcp_states! {
    /// The handshake is complete, and neither end has closed.
    1 Established "ESTABLISHED";
    /// An active open that waits for an answer.
    2 SynSent "SYN_SENT";
    /// A passive open that waits for the last part of the handshake.
    3 SynReceived "SYN_RECEIVED";
    /// This end has closed, its FIN is not acknowledged.
    4 FinWait1 "FIN_WAIT_1";
    /// This end has closed and the peer has acknowledged it; the peer has not closed.
    5 FinWait2 "FIN_WAIT_2";
    /// Both ends have closed; the kernel keeps the addresses for a while.
    6 TimeWait "TIME_WAIT";
    /// TCP has finished with the socket.
    7 Closed "CLOSED";
    /// The peer has closed, this end has not.
    8 CloseWait "CLOSE_WAIT";
    /// Both ends have closed, the peer first; the FIN of this end is not acknowledged.
    9 LastAck "LAST_ACK";
    /// A listening socket.
    10 Listen "LISTEN";
    /// Both ends have closed at the same time.
    11 Closing "CLOSING";
    /// A request socket in a listener's SYN queue, which is not a full socket.
    12 NewSynReceived "SYN_RECEIVED";
    /// A socket that is bound and not connected, in a kernel-internal table (since 6.1).
    13 BoundInactive "CLOSED";
}

impl TcpState {
    /// Whether the kernel keeps less than a `struct sock` in this state, so that only the state may be read.
    #[inline(always)]
    pub const fn is_minisock(self) -> bool {
        matches!(self, Self::TimeWait | Self::NewSynReceived)
    }

    /// Whether the handshake is complete and TCP has not finished with the connection.
    #[inline(always)]
    pub const fn is_connected(self) -> bool {
        matches!(
            self,
            Self::Established | Self::FinWait1 | Self::FinWait2 | Self::CloseWait | Self::LastAck | Self::Closing
        )
    }

    /// Whether this end's FIN is queued and not acknowledged. It takes one byte of sequence space.
    #[inline(always)]
    pub const fn has_sent_fin(self) -> bool {
        matches!(self, Self::FinWait1 | Self::LastAck | Self::Closing)
    }
}

/// A set of states. Membership is decided without a branch, see [`crate::conditions`].
#[derive(Clone, Copy)]
pub struct States(u32);

/// The set of states for which a condition holds.
macro_rules! states {
    ($state:ident => $condition:expr) => {{
        let (mut set, mut raw) = (0, 0);
        // More than the kernel has; numbers beyond are in no set.
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
    /// States before the end of the handshake.
    pub const HANDSHAKE: Self = states!(state => matches!(state, TcpState::SynSent | TcpState::SynReceived));
    /// [`TcpState::is_connected`]
    pub const CONNECTED: Self = states!(state => state.is_connected());
    /// [`TcpState::has_sent_fin`]
    pub const FIN_SENT: Self = states!(state => state.has_sent_fin());
    /// States of a connection to which a descriptor may refer: not LISTEN, TIME_WAIT, or a request.
    pub const OPEN: Self = Self::CONNECTED.or(Self::HANDSHAKE).or(Self::CLOSED);
    /// States without a connection, or without a full `struct sock`: TIME_WAIT, LISTEN, a request.
    pub const NO_SOCKET: Self = states!(state => state.is_minisock() || matches!(state, TcpState::Listen));

    /// The union of two sets.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// 1 if the state with this number is in the set, else 0.
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
    fn a_number_and_its_state_belong_together() {
        for raw in 0..=u8::MAX {
            assert_eq!(TcpState::from_raw(raw).raw(), raw);
        }
        assert_eq!(TcpState::from_raw(12), TcpState::NewSynReceived);
        assert_eq!(TcpState::from_raw(77), TcpState::Unknown(77));
    }

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
