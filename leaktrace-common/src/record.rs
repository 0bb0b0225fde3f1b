//! What the kernel side remembers about one open socket, and how that history is updated.

use crate::{
    States, Ticks,
    conditions::{at_least, at_least_zero, differs, has, not, saturating_sub, select, value_if},
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits of [`SocketRecord::flags`].
pub mod record_flags {
    /// The opening was not seen: the age is a lower bound and the opener is unknown.
    pub const ADOPTED: u8 = 1;
    /// A pass has seen it: the history fields hold values.
    pub const OBSERVED: u8 = 2;
    /// The handshake was complete at some time.
    pub const CONNECTED: u8 = 4;
    /// Payload waited in the receive queue at the last pass.
    pub const UNREAD: u8 = 16;
    /// Payload waited in the send queue at the last pass.
    pub const UNACKED: u8 = 32;
    /// A process of the followed tree opened it, or holds it if its opening was not seen.
    pub const IN_TREE: u8 = 64;
    /// The application has shut it down for writing. Set only by tracepoint hooks that follow a tree: no hook of that kind sees close.
    pub const HALF_CLOSED: u8 = 128;
}

/// Values of [`SocketRecord::opened_ns`] that are not times.
pub mod opened {
    /// The record is vacant: its socket is closed, and no other socket has been opened at that address.
    pub const VACANT: u64 = 0;
    /// The record is locked: a program is changing it.
    pub const LOCKED: u64 = 1;
}

/// One open socket, written when it opens and kept until the application closes it.
///
/// The size of 64 bytes is chosen: with the kernel's hash element (48 bytes), the key (8 bytes) and the allocator's link (8 bytes), an
/// entry fills an allocation of 128 bytes exactly.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct SocketRecord {
    /// `CLOCK_BOOTTIME` of the opening in nanoseconds, for an adopted socket of the pass that found it; or a value of [`opened`].
    pub opened_ns: u64,
    /// Low half of the socket cookie; 0 until a pass has read it. It differs when another socket has got the same address.
    pub cookie_low: u32,
    /// Index of the call site, or [`crate::UNKNOWN_CALLSITE`].
    pub callsite: u32,
    /// Thread that opened it; 0 for an adopted socket.
    pub tid: u32,
    /// [`crate::Direction`], raw.
    pub direction: u8,
    /// [`record_flags`].
    pub flags: u8,
    /// [`crate::TcpState`] at the last pass, raw.
    pub state: u8,
    /// Which program of a hook wrote the record, where the hook has several; else 0.
    pub made_by: u8,
    /// `copied_seq` at the last pass.
    pub copied_seq: u32,
    /// `snd_una` at the last pass.
    pub snd_una: u32,
    /// `rcv_nxt` and `write_seq` at the last pass, combined. It changes when payload moves in either direction.
    pub payload_mark: u32,
    /// Since when the socket is in [`SocketRecord::state`].
    pub state_since: Ticks,
    /// Since when payload waits and nothing is read.
    pub unread_since: Ticks,
    /// Since when bytes wait in the send queue and nothing is acknowledged.
    pub unacked_since: Ticks,
    /// Since when no payload moves in either direction.
    pub payload_since: Ticks,
    /// A process that held the socket at the last holders pass; 0 for none.
    pub holder_tgid: u32,
    /// The descriptor in that process.
    pub holder_fd: u32,
    /// Number of the last sampling pass that saw the socket. In a vacant record: of the pass that found it vacant, else 0.
    pub seen_pass: u16,
    /// Number of the last holders pass that found a holder.
    pub held_pass: u16,
}

const _: () = assert!(size_of::<SocketRecord>() == 64);

/// What a pass reads from a socket to update its history.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed {
    /// [`crate::TcpState`], raw.
    pub state: u8,
    /// Next byte the application will read.
    pub copied_seq: u32,
    /// Next byte expected from the peer.
    pub rcv_nxt: u32,
    /// Oldest byte the peer has not acknowledged.
    pub snd_una: u32,
    /// End of what the application has written.
    pub write_seq: u32,
    /// Payload in the receive queue.
    pub rx_payload: u32,
    /// Payload in the send queue.
    pub tx_payload: u32,
}

impl Observed {
    /// Computes the payload in both queues: the distance between sequence numbers without SYN and FIN, which take one number each.
    /// `peer_fin` is 1 once the peer's FIN has arrived, else 0.
    #[inline(always)]
    pub fn with_payload(self, peer_fin: u32) -> Self {
        let handshaken = not(States::HANDSHAKE.has(self.state));
        // In SYN_SENT the SYN itself is in the send queue. After a reset nothing in the queue can be sent.
        let sendable = not(States::HANDSHAKE.or(States::CLOSED).has(self.state));
        let own_fin = States::FIN_SENT.has(self.state);
        // The FIN leaves the receive queue with the last read, so it may have left already.
        let unread = saturating_sub(distance(self.copied_seq, self.rcv_nxt), peer_fin.into()) as u32;
        let unsent = saturating_sub(distance(self.snd_una, self.write_seq), own_fin.into()) as u32;
        Self { rx_payload: value_if(handshaken, unread), tx_payload: value_if(sendable, unsent), ..self }
    }
}

/// The distance from one sequence number to another. A negative distance comes from reading two fields that change meanwhile, and
/// counts as 0.
#[inline(always)]
fn distance(from: u32, to: u32) -> u64 {
    at_least_zero(to.wrapping_sub(from) as i32).into()
}

impl SocketRecord {
    /// Updates the history with what was seen at `now`. Each `*_since` restarts when its condition no longer holds.
    ///
    /// A condition holds from the first pass that saw it, not from earlier. The exception is a socket in SYN_SENT whose opening was
    /// seen: it has been connecting since it was opened.
    #[inline(always)]
    pub fn observe(&mut self, seen: &Observed, now: Ticks) {
        let mark = seen.rcv_nxt ^ seen.write_seq.rotate_left(16);
        let flags = self.flags;
        let has = |flag| has(flags, flag);
        let first = not(has(record_flags::OBSERVED));
        let opening = first & not(has(record_flags::ADOPTED)) & States::SYN_SENT.has(seen.state);
        let opened = crate::ticks_from_ns(self.opened_ns);
        // The socket may have been opened after the pass read the clock.
        let is_past = at_least((Ticks::MAX / 2).into(), now.wrapping_sub(opened).into());
        let in_state_since = select(opening & is_past, opened, now);
        let restart = |since: &mut Ticks, broken: u32, at: Ticks| *since = select(first | broken, at, *since);
        restart(&mut self.state_since, differs(seen.state.into(), self.state.into()), in_state_since);
        let has_read = differs(seen.copied_seq.into(), self.copied_seq.into());
        restart(&mut self.unread_since, not(has(record_flags::UNREAD)) | has_read, now);
        let was_acknowledged = differs(seen.snd_una.into(), self.snd_una.into());
        restart(&mut self.unacked_since, not(has(record_flags::UNACKED)) | was_acknowledged, now);
        restart(&mut self.payload_since, differs(mark.into(), self.payload_mark.into()), now);
        self.state = seen.state;
        self.copied_seq = seen.copied_seq;
        self.snd_una = seen.snd_una;
        self.payload_mark = mark;
        let set = |flag: u8, condition: u32| (condition << flag.trailing_zeros()) as u8;
        self.flags = flags & !(record_flags::UNREAD | record_flags::UNACKED)
            | record_flags::OBSERVED
            | set(record_flags::UNREAD, at_least(seen.rx_payload.into(), 1))
            | set(record_flags::UNACKED, at_least(seen.tx_payload.into(), 1))
            | set(record_flags::CONNECTED, States::CONNECTED.has(seen.state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn established(rx: u32, copied: u32) -> Observed {
        Observed { state: 1, copied_seq: copied, rcv_nxt: copied + rx, rx_payload: rx, ..Observed::default() }
    }

    #[test]
    fn unread_payload_waits_from_its_first_sight_until_something_is_read() {
        let mut record = SocketRecord::default();
        record.observe(&established(0, 100), 10);
        record.observe(&established(5, 100), 20);
        assert_eq!(record.unread_since, 20, "payload was first seen waiting at tick 20");
        record.observe(&established(9, 100), 30);
        assert_eq!(record.unread_since, 20, "more payload does not restart the wait");
        record.observe(&established(9, 104), 40);
        assert_eq!(record.unread_since, 40, "a read does");
    }

    #[test]
    fn a_state_is_as_old_as_its_first_sight() {
        let mut record = SocketRecord { flags: record_flags::ADOPTED, ..SocketRecord::default() };
        record.observe(&established(0, 1), 7);
        record.observe(&established(0, 1), 9);
        assert_eq!(record.state_since, 7);
        record.observe(&Observed { state: 8, ..established(0, 1) }, 11);
        assert_eq!(record.state_since, 11);
    }

    #[test]
    fn a_witnessed_connect_has_been_connecting_since_it_was_opened() {
        let mut record = SocketRecord { opened_ns: 5 << 24, ..SocketRecord::default() };
        record.observe(&Observed { state: 2, ..Observed::default() }, 60);
        assert_eq!(record.state_since, 5);
    }

    #[test]
    fn a_connect_during_the_pass_has_not_been_connecting_for_ages() {
        let mut record = SocketRecord { opened_ns: 61 << 24, ..SocketRecord::default() };
        record.observe(&Observed { state: 2, ..Observed::default() }, 60);
        assert_eq!(record.state_since, 60, "not from a tick after now, which would be 2.2 years ago");
    }
}
