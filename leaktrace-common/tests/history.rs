//! How verdicts begin and end over many passes: [`SocketRecord::observe`] and [`Verdicts::of`] together, compared with a model that
//! keeps everything it has seen.

use leaktrace_common::{
    Observed, PassSettings, SocketRecord, SocketRow, TcpState, Verdict, Verdicts, record_flags, row_flags,
};
use proptest::prelude::*;

const LIMITS: PassSettings =
    PassSettings { threshold_ns: u64::MAX, stall: 10, idle: 16, ..zerocopy::transmute!([0_u8; 48]) };

/// What the two ends did between two passes.
#[derive(Clone, Copy, Debug)]
struct Step {
    ticks: u32,
    received: u32,
    /// How much of the receive queue was read, in quarters. 5 is all of it and the end of the stream.
    read: u32,
    sent: u32,
    /// How much of the send queue was acknowledged, in quarters.
    acked: u32,
    /// The next state was reached.
    moves_on: bool,
}

/// What one pass sees of the socket, in payload: without sequence numbers, SYN and FIN.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: u32,
    state: TcpState,
    received: u32,
    read: u32,
    sent: u32,
    acked: u32,
}

/// Sequences of states. A reset may end each of them early.
const LIVES: [&[u8]; 5] = [&[2, 1, 8, 9, 7], &[2, 1, 4, 5, 7], &[1, 4, 11, 7], &[1, 8, 7], &[1, 1, 1, 1]];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let few = || prop_oneof![4 => Just(0_u32), 1 => 1..2000_u32];
    let quarters = |most: u32| prop_oneof![2 => Just(0_u32), 1 => 0..=most];
    let step = (1..8_u32, few(), quarters(5), few(), quarters(4), prop::bool::weighted(0.1)).prop_map(
        |(ticks, received, read, sent, acked, moves_on)| Step { ticks, received, read, sent, acked, moves_on },
    );
    proptest::collection::vec(step, 1..30)
}

/// The sequence numbers that the kernel would show.
fn as_the_kernel_counts(look: &Look, end_was_read: bool, start: u32) -> (Observed, u32) {
    let peer_fin = u32::from(matches!(look.state, TcpState::CloseWait | TcpState::LastAck | TcpState::Closing));
    let own_fin = u32::from(look.state.has_sent_fin() || look.state == TcpState::FinWait2);
    let own_fin_acked = u32::from(look.state == TcpState::FinWait2);
    let number = |count: u32| start.wrapping_add(count);
    if look.state == TcpState::SynSent {
        // The SYN is not acknowledged, and the peer's first sequence number is not known.
        let snd_una = start.wrapping_sub(1);
        let seen = Observed { state: raw(look.state), snd_una, write_seq: start, ..Observed::default() };
        return (seen.with_payload(0), 0);
    }
    let seen = Observed {
        state: raw(look.state),
        copied_seq: number(look.read + if end_was_read { peer_fin } else { 0 }),
        rcv_nxt: number(look.received + peer_fin),
        snd_una: number(look.acked + own_fin_acked),
        write_seq: number(look.sent + own_fin),
        ..Observed::default()
    };
    (seen.with_payload(peer_fin), peer_fin)
}

fn raw(state: TcpState) -> u8 {
    (0..16).find(|raw| TcpState::from_raw(*raw) == state).unwrap_or(u8::MAX)
}

/// How long `same` has held, backwards from the last pass.
fn lasted(looks: &[Look], same: impl Fn(&Look, &Look) -> bool) -> u32 {
    let last = looks[looks.len() - 1];
    looks.iter().rev().take_while(|look| same(look, &last)).map(|look| last.at - look.at).max().unwrap_or(0)
}

/// Which of the verdicts that depend on history hold after these passes.
fn judge(looks: &[Look]) -> Verdicts {
    let last = looks[looks.len() - 1];
    let stall = LIMITS.stall;
    let in_state = lasted(looks, |look, last| look.state == last.state);
    let unread = lasted(looks, |look, last| look.received > look.read && look.read == last.read);
    let unacked = lasted(looks, |look, last| look.sent > look.acked && look.acked == last.acked);
    let quiet =
        |look: &Look, last: &Look| look.state == last.state && (look.received, look.sent) == (last.received, last.sent);
    let is_waiting = last.received > last.read && last.state.is_connected() && unread >= stall;
    let mut verdicts = Verdicts::NONE;
    let mut insert_if = |holds: bool, verdict: Verdict| {
        if holds {
            verdicts.insert(verdict);
        }
    };
    let was_connected = looks.iter().any(|look| look.state.is_connected());
    insert_if(last.state == TcpState::CloseWait && in_state >= stall, Verdict::CloseWait);
    insert_if(last.state == TcpState::Closed && was_connected && in_state >= stall, Verdict::DeadHeld);
    insert_if(is_waiting && last.read == 0, Verdict::NeverRead);
    insert_if(is_waiting && last.read > 0, Verdict::ReadStalled);
    insert_if(last.sent > last.acked && last.state.is_connected() && unacked >= stall, Verdict::WriteStalled);
    let is_established = last.state == TcpState::Established;
    insert_if(is_established && in_state >= stall && last.received == 0, Verdict::SilentPeer);
    insert_if(last.state == TcpState::SynSent && in_state >= stall, Verdict::Connecting);
    let is_quiet = lasted(looks, quiet) >= LIMITS.idle && last.sent == last.acked;
    insert_if(is_established && is_quiet, Verdict::IdleUnguarded);
    verdicts
}

/// A row as the sampling pass joins it from a socket and its record.
fn row(seen: &Observed, record: &SocketRecord, look: &Look, peer_fin: u32) -> SocketRow {
    let connected = record.flags & record_flags::CONNECTED != 0;
    SocketRow {
        state: seen.state,
        flags: if connected { row_flags::WAS_CONNECTED } else { 0 },
        // The kernel's count includes the FIN, the pass subtracts it.
        bytes_received: u64::from(look.received + peer_fin).saturating_sub(peer_fin.into()),
        rx_queue_bytes: seen.rx_payload,
        tx_queue_bytes: seen.tx_payload,
        in_state: look.at.wrapping_sub(record.state_since),
        unread: look.at.wrapping_sub(record.unread_since),
        unacked: look.at.wrapping_sub(record.unacked_since),
        idle: look.at.wrapping_sub(record.payload_since),
        ..SocketRow::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn a_verdict_holds_for_as_long_as_its_evidence_was_seen(
        steps in steps(),
        life in prop::sample::select(&LIVES[..]),
        start in prop_oneof![Just(u32::MAX - 500), Just(i32::MAX as u32), 1..u32::MAX],
    ) {
        let mut record = SocketRecord { flags: record_flags::ADOPTED, ..SocketRecord::default() };
        let mut stage = 0;
        let mut end_was_read = false;
        let mut now = Look { at: 1, state: TcpState::from_raw(life[0]), received: 0, read: 0, sent: 0, acked: 0 };
        let mut looks = Vec::new();
        for step in steps {
            now.at += step.ticks;
            // No payload moves before the handshake, after a FIN, or after the end.
            let established = now.state == TcpState::Established;
            now.received += if established || now.state == TcpState::FinWait2 { step.received } else { 0 };
            now.sent += if established || now.state == TcpState::CloseWait { step.sent } else { 0 };
            if now.state.is_connected() {
                now.read += (now.received - now.read) / 4 * step.read.min(4);
                now.acked += (now.sent - now.acked) / 4 * step.acked;
            }
            if step.moves_on && stage + 1 < life.len() {
                stage += 1;
                now.state = TcpState::from_raw(life[stage]);
                // A FIN is acknowledged after all payload before it.
                if now.state == TcpState::FinWait2 {
                    now.acked = now.sent;
                }
            }
            if now.state == TcpState::CloseWait && step.read == 5 {
                (now.read, end_was_read) = (now.received, true);
            }
            // Bytes that a reset removes from the queues are no progress.
            looks.push(now);
            let (seen, peer_fin) = as_the_kernel_counts(&now, end_was_read, start);
            if now.state.is_connected() {
                prop_assert_eq!(seen.rx_payload, now.received - now.read, "a FIN is not unread payload");
                prop_assert_eq!(seen.tx_payload, now.sent - now.acked, "a FIN is not unsent payload");
            }
            record.observe(&seen, now.at);
            let row = row(&seen, &record, &now, peer_fin);
            if now.state.is_connected() {
                prop_assert_eq!(row.bytes_read(), u64::from(now.read), "a FIN is not read");
            }
            let names = |verdicts: Verdicts| verdicts.iter().map(Verdict::name).collect::<Vec<_>>();
            prop_assert_eq!(names(Verdicts::of(&row, &LIMITS)), names(judge(&looks)), "{:?}", looks);
        }
    }

    #[test]
    fn any_sequence_numbers_are_survived(
        seen: (u8, u32, u32, u32, u32),
        fin in 0..2_u32,
        record in proptest::collection::vec(any::<u8>(), size_of::<SocketRecord>()),
        now: u32,
    ) {
        use zerocopy::FromBytes;
        let (state, copied_seq, rcv_nxt, snd_una, write_seq) = seen;
        let seen = Observed { state, copied_seq, rcv_nxt, snd_una, write_seq, ..Observed::default() }.with_payload(fin);
        prop_assert!(seen.rx_payload.max(seen.tx_payload) <= i32::MAX as u32, "a race is not four gigabytes");
        SocketRecord::read_from_bytes(&record).unwrap().observe(&seen, now);
    }
}
