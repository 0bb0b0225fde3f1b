//! Claims about [`evidence`](super): the words for every verdict.

use super::*;
use leaktrace_model::{Holder, Ticks};
use std::time::Duration;

/// At least this many seconds.
fn ticks(seconds: u64) -> Ticks {
    Ticks(Ticks::from_duration(Duration::from_secs(seconds)).0 + 1)
}

fn socket(verdicts: &[Verdict]) -> Socket {
    let mut set = Verdicts::NONE;
    verdicts.iter().for_each(|verdict| set.insert(*verdict));
    Socket {
        observed: Observed {
            age_ns: 800_000_000_000,
            in_state: ticks(723),
            idle: ticks(700),
            unread: Some(ticks(723)),
            unacked: Some(ticks(65)),
            rx_queue_bytes: 4096,
            tx_queue_bytes: 12_288,
            bytes_received: 6144,
            bytes_sent: 512,
            verdicts: set,
            ..Observed::default()
        },
        holders: vec![Holder { pid: 12, comm: "api".into(), fd: 7 }],
        ..Socket::default()
    }
}

#[test]
fn every_verdict_has_its_facts() {
    for (verdict, expected) in [
        (Verdict::CloseWait, "peer closed 12m 3s ago; pid 12 (api) still holds fd 7"),
        (Verdict::DeadHeld, "connection ended 12m 3s ago and is not closed; pid 12 (api) still holds fd 7"),
        (Verdict::NeverRead, "4.0 KiB have waited 12m 3s; nothing was ever read; pid 12 (api) holds fd 7"),
        (Verdict::ReadStalled, "4.0 KiB have waited 12m 3s; 2.0 KiB read before that; pid 12 (api) holds fd 7"),
        (Verdict::WriteStalled, "12.0 KiB to send; nothing acknowledged for 1m 5s; pid 12 (api) holds fd 7"),
        (
            Verdict::SilentPeer,
            "established 12m 3s; peer has never sent a byte; 512 B sent to it; pid 12 (api) holds fd 7",
        ),
        (Verdict::Connecting, "SYN sent 12m 3s ago and not answered; pid 12 (api) holds fd 7"),
        (Verdict::NotAccepted, "in the accept queue for 13m 20s; 4.0 KiB wait in it; pid 12 (api) holds fd 7"),
        (
            Verdict::IdleUnguarded,
            "no payload either way for 11m 40s; no keepalive, no user timeout; pid 12 (api) holds fd 7",
        ),
        (Verdict::LongLived, "open for 13m 20s; pid 12 (api) holds fd 7"),
    ] {
        assert_eq!(evidence_line(&socket(&[verdict]), Glyphs::Unicode), expected);
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let mut bare = socket(&Verdict::ALL);
    bare.holders.clear();
    (bare.observed.rx_queue_bytes, bare.observed.attributed) = (1, false);
    for fact in evidence(&bare, Glyphs::Unicode) {
        assert!(!fact.words.contains(" 0s"), "{}", fact.words);
    }
    assert_eq!(holders(&bare), None);
    assert_eq!(evidence_line(&socket(&[]), Glyphs::Unicode), "");
}

#[test]
fn a_socket_older_than_the_tracer_has_lower_bounds_only_where_they_are() {
    let mut old = socket(&[Verdict::CloseWait]);
    old.observed.age_exact = false;
    assert!(evidence_line(&old, Glyphs::Unicode).starts_with("peer closed 12m 3s ago"));
    old.observed.in_state = ticks(800);
    assert!(evidence_line(&old, Glyphs::Unicode).starts_with("peer closed ≥13m 20s ago"));
    assert!(evidence_line(&old, Glyphs::Ascii).starts_with("peer closed >=13m 20s ago"));
}

#[test]
fn several_holders_are_counted_and_a_hostile_name_is_harmless() {
    let mut shared = socket(&[Verdict::CloseWait]);
    shared.holders[0].comm = "a\x1b[31m".into();
    shared.holders.push(Holder { pid: 13, comm: "api".into(), fd: 7 });
    assert_eq!(holders(&shared).unwrap(), "pid 12 (a\\x1b[31m) still holds fd 7, and so does 1 more process");
    shared.holders.push(Holder { pid: 12, comm: "api".into(), fd: 8 });
    assert_eq!(holders(&shared).unwrap(), "pid 12 (a\\x1b[31m) still holds fd 7, and so do 2 more descriptors");
}

#[test]
fn age_is_named_only_when_nothing_worse_is_known() {
    let line = evidence_line(&socket(&[Verdict::NeverRead, Verdict::LongLived]), Glyphs::Unicode);
    assert!(!line.contains("open for"), "{line}");
}
