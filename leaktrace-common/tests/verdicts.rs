//! [`Verdicts::of`] for every possible row, plausible or not: compared with the contract's table, and with general rules. The durations in
//! a row are tested in `history.rs`.

use leaktrace_common::{PassSettings, SocketRow, TcpState, Verdict, Verdicts, row_flags, span_from_ns, ticks_to_ns};
use proptest::prelude::*;

/// Whether the contract says that `verdict` holds.
fn holds(verdict: Verdict, row: &SocketRow, limits: &PassSettings) -> bool {
    use TcpState::{BoundInactive, CloseWait, Closed, Established, Listen, NewSynReceived, SynSent, TimeWait, Unknown};
    let state = TcpState::from_raw(row.state);
    let flag = |flag: u32| row.flags & flag != 0;
    if flag(row_flags::ORPHAN) || matches!(state, Listen | TimeWait | NewSynReceived | BoundInactive | Unknown(_)) {
        return false;
    }
    if flag(row_flags::IN_ACCEPT_QUEUE) {
        return verdict == Verdict::NotAccepted && state.is_connected() && row.age_ns >= ticks_to_ns(limits.stall);
    }
    let connection = state != Closed || flag(row_flags::WAS_CONNECTED);
    let unread = state.is_connected() && row.rx_queue_bytes > 0 && row.unread >= limits.stall;
    let unsent = row.tx_queue_bytes > 0;
    let guarded = flag(row_flags::KEEPALIVE) || row.user_timeout_ms > 0;
    match verdict {
        Verdict::CloseWait => state == CloseWait && row.in_state >= limits.stall,
        Verdict::DeadHeld => state == Closed && connection && row.in_state >= limits.stall,
        Verdict::NeverRead => unread && row.bytes_read() == 0,
        Verdict::ReadStalled => unread && row.bytes_read() > 0,
        Verdict::WriteStalled => state.is_connected() && unsent && row.unacked >= limits.stall,
        Verdict::SilentPeer => {
            state == Established && row.in_state >= limits.stall && row.bytes_received == 0 && row.rx_queue_bytes == 0
        }
        Verdict::Connecting => state == SynSent && row.in_state >= limits.stall,
        Verdict::NotAccepted => false,
        Verdict::IdleUnguarded => state == Established && row.idle >= limits.idle && !unsent && !guarded,
        Verdict::LongLived => connection && row.age_ns >= limits.threshold_ns,
    }
}

/// Verdicts that contradict each other.
const CONTRADICTIONS: &[(Verdict, &[Verdict])] = {
    use Verdict::*;
    &[
        // Either something was read or nothing.
        (NeverRead, &[ReadStalled]),
        // The peer has never sent payload, so none can wait and none can have been read.
        (SilentPeer, &[NeverRead, ReadStalled]),
        // The handshake is not complete, so nothing that follows it can hold.
        (
            Connecting,
            &[CloseWait, DeadHeld, NeverRead, ReadStalled, WriteStalled, SilentPeer, NotAccepted, IdleUnguarded],
        ),
        // TCP has finished.
        (DeadHeld, &[CloseWait, NeverRead, ReadStalled, WriteStalled, SilentPeer, NotAccepted, IdleUnguarded]),
        // The peer has closed, so the connection is not established.
        (CloseWait, &[SilentPeer, IdleUnguarded]),
        // Either something is in flight or nothing.
        (WriteStalled, &[IdleUnguarded]),
        // For a socket in the accept queue no other verdict can hold.
        (NotAccepted, &[CloseWait, NeverRead, ReadStalled, WriteStalled, SilentPeer, IdleUnguarded, LongLived]),
    ]
};

/// Any bits at all.
fn any_row() -> impl Strategy<Value = SocketRow> {
    any::<[u64; size_of::<SocketRow>() / 8]>().prop_map(|bits| zerocopy::transmute!(bits))
}

/// Numbers near the limits, and any others.
fn span() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(0), 4 => 0..4_u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn long() -> impl Strategy<Value = u64> {
    prop_oneof![2 => Just(0), 4 => 0..4_u64, 2 => (0..4_u64).prop_map(|ticks| ticks << 24), 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

/// Rows whose fields are near the limits, so that every verdict occurs often.
fn likely_row() -> impl Strategy<Value = SocketRow> {
    let flags = prop_oneof![4 => (0..4_u32).prop_map(|bits| bits << 5 | bits & 2), 1 => 0..512_u32];
    let spans = (span(), span(), span(), span());
    let bytes = (long(), span(), span(), span());
    let state = prop_oneof![1 => Just(1), 3 => 0..15_u8];
    (any_row(), state, flags, long(), spans, bytes).prop_map(|(any, state, flags, age_ns, spans, bytes)| SocketRow {
        state,
        flags,
        age_ns,
        in_state: spans.0,
        unread: spans.1,
        unacked: spans.2,
        idle: spans.3,
        bytes_received: bytes.0,
        rx_queue_bytes: bytes.1,
        tx_queue_bytes: bytes.2,
        user_timeout_ms: bytes.3 / 4,
        ..any
    })
}

fn row() -> impl Strategy<Value = SocketRow> {
    prop_oneof![3 => likely_row(), 1 => any_row()]
}

fn limits() -> impl Strategy<Value = PassSettings> {
    (long(), span(), span()).prop_map(|(threshold_ns, stall, idle)| PassSettings {
        threshold_ns,
        stall,
        idle,
        ..PassSettings::default()
    })
}

fn is_within(less: Verdicts, more: Verdicts) -> bool {
    less.and(more) == less
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_are_those_of_the_contract(row in row(), limits in limits()) {
        let found = Verdicts::of(&row, &limits);
        for verdict in Verdict::ALL {
            prop_assert_eq!(found.contains(verdict), holds(verdict, &row, &limits), "{}", verdict.name());
        }
        prop_assert_eq!(found.0 >> Verdict::COUNT, 0, "a bit that stands for no verdict");
    }

    #[test]
    fn a_longer_time_in_the_same_condition_never_loses_a_verdict(
        row in row(),
        limits in limits(),
        more in (long(), span(), span(), span(), span()),
    ) {
        let later = SocketRow {
            age_ns: row.age_ns.saturating_add(more.0),
            in_state: row.in_state.saturating_add(more.1),
            unread: row.unread.saturating_add(more.2),
            unacked: row.unacked.saturating_add(more.3),
            idle: row.idle.saturating_add(more.4),
            ..row
        };
        prop_assert!(is_within(Verdicts::of(&row, &limits), Verdicts::of(&later, &limits)));
    }

    #[test]
    fn a_higher_threshold_never_gains_a_verdict(row in row(), limits in limits(), more in (long(), span(), span())) {
        let stricter = PassSettings {
            threshold_ns: limits.threshold_ns.saturating_add(more.0),
            stall: limits.stall.saturating_add(more.1),
            idle: limits.idle.saturating_add(more.2),
            ..limits
        };
        prop_assert!(is_within(Verdicts::of(&row, &stricter), Verdicts::of(&row, &limits)));
    }

    #[test]
    fn a_longer_option_is_never_a_shorter_limit(shorter: u64, longer: u64) {
        let (shorter, longer) = (shorter.min(longer), shorter.max(longer));
        prop_assert!(span_from_ns(shorter) <= span_from_ns(longer));
    }

    #[test]
    fn listeners_and_time_wait_earn_none(row in row(), limits in limits(), state in prop_oneof![Just(10_u8), Just(6)]) {
        let row = SocketRow { state, ..row };
        prop_assert!(Verdicts::of(&row, &limits).is_empty());
    }

    #[test]
    fn a_socket_in_the_accept_queue_can_only_be_not_accepted(row in row(), limits in limits()) {
        let queued = SocketRow { flags: row.flags | row_flags::IN_ACCEPT_QUEUE, ..row };
        let mut only = Verdicts::NONE;
        only.insert(Verdict::NotAccepted);
        prop_assert!(is_within(Verdicts::of(&queued, &limits), only));
    }

    #[test]
    fn no_two_verdicts_contradict_each_other(row in row(), limits in limits()) {
        let found = Verdicts::of(&row, &limits);
        for (verdict, others) in CONTRADICTIONS {
            for other in *others {
                let both = found.contains(*verdict) && found.contains(*other);
                prop_assert!(!both, "{} and {}", verdict.name(), other.name());
            }
        }
    }
}

/// The properties above prove nothing about verdicts that never occur.
#[test]
fn the_rows_above_meet_every_verdict_often() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut met = [0_u32; Verdict::COUNT];
    for _ in 0..4096 {
        let (row, limits) = (row(), limits()).new_tree(&mut runner).unwrap().current();
        Verdicts::of(&row, &limits).iter().for_each(|verdict| met[verdict as usize] += 1);
    }
    for verdict in Verdict::ALL {
        let times = met[verdict as usize];
        assert!(times >= 20, "{} was met {times} times", verdict.name());
    }
}
