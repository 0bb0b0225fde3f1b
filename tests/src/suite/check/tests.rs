//! Every kind of wrong report is noticed, and a right one causes no complaint.

use super::terms::Symbols;
use super::*;
use crate::suite::report::{Callsite, Frame, Holder};
use crate::truth::SocketTruth;

const TERMS: Terms = Terms {
    started: Started::AfterTracer,
    threshold_s: 4.0,
    stall_s: 2.0,
    idle_s: 3.0,
    age_margin_s: 0.1,
    adoption_s: 2.0,
    symbols: Symbols::Expected,
    home_netns: 99,
};

fn truth() -> Expect {
    let mut truth = Expect::connected("leaker", 7, 80).count(1).verdicts(&["never-read"]).function("leak_it");
    truth.comm = Some("scenarios".into());
    truth.opened_unix_s = Some([95.0, 95.0]);
    truth.sockets =
        vec![SocketTruth { local: "127.0.0.1:9".into(), remote: "127.0.0.1:80".into(), opened_unix_s: [95.0, 95.0] }];
    truth.rx_queue(100).received_and_read(100, 0)
}

fn report() -> Report {
    let mut report = Report::default();
    report.window.end = "1970-01-01T00:01:40Z".into();
    report.window.seconds = 10.0;
    report.sockets = vec![Socket {
        cookie: Some(1),
        callsite: Some(5),
        direction: "connect".into(),
        family: "ipv4".into(),
        local: "127.0.0.1:9".into(),
        remote: "127.0.0.1:80".into(),
        state: "ESTABLISHED".into(),
        pid: Some(7),
        tid: Some(7),
        comm: Some("scenarios".into()),
        holders: vec![Holder { pid: 7, comm: "scenarios".into(), fd: 3 }],
        age_s: 5.0,
        age_exact: true,
        rx_queue_bytes: 100,
        bytes_received: 100,
        unread_s: Some(4.9),
        netns: Some(99),
        verdicts: vec!["never-read".into(), "long-lived".into()],
        ..Socket::default()
    }];
    report.callsites = vec![Callsite {
        id: 5,
        direction: "connect".into(),
        pids: vec![7],
        stack: vec![Frame { address: 1, symbol: Some("scenarios::leaks::leak_it".into()), inlined: false }],
        stack_quality: "complete".into(),
        open: 1,
        verdicts: [("never-read".to_owned(), 1), ("long-lived".to_owned(), 1)].into(),
        ..Callsite::default()
    }];
    report
}

fn complaint(change: impl FnOnce(&mut Report)) -> String {
    let mut report = report();
    change(&mut report);
    class(&truth(), &report, &TERMS).join("; ")
}

#[test]
fn a_report_that_tells_the_truth_earns_no_complaint() {
    assert_eq!(complaint(|_| ()), "");
}

#[test]
fn every_untruth_about_a_socket_is_noticed() {
    type Change = fn(&mut Socket);
    let untruths: [(Change, &str); 14] = [
        (|socket| socket.pid = Some(8), "pid"),
        (|socket| socket.comm = None, "comm"),
        (|socket| socket.direction = "accept".into(), "direction"),
        (|socket| socket.state = "CLOSE_WAIT".into(), "state"),
        (|socket| socket.family = "ipv6".into(), "family"),
        (|socket| socket.local = "127.0.0.1:10".into(), "addresses"),
        (|socket| socket.holders.clear(), "holders"),
        (|socket| socket.age_s = 5.3, "age"),
        (|socket| socket.age_exact = false, "age_exact"),
        (|socket| socket.rx_queue_bytes = 99, "rx_queue_bytes"),
        (|socket| socket.verdicts.push("silent-peer".into()), "accused"),
        (|socket| socket.verdicts.clear(), "lacks"),
        (|socket| socket.unread_s = Some(0.5), "without evidence"),
        (|socket| socket.netns = Some(98), "sockets, not 1"),
    ];
    for (change, word) in untruths {
        let found = complaint(|report| change(&mut report.sockets[0]));
        assert!(found.contains(word), "{word} is not in {found:?}");
    }
}

#[test]
fn every_untruth_about_a_call_site_is_noticed() {
    type Change = fn(&mut Callsite);
    let untruths: [(Change, &str); 5] = [
        (|site| site.pids = vec![8], "call site of"),
        (|site| site.open = 2, "2 open"),
        (|site| site.stack_quality = "missing".into(), "stack is missing"),
        (|site| site.verdicts.clear(), "counts 0"),
        (|site| site.stack[0].symbol = None, "not on the stack"),
    ];
    for (change, word) in untruths {
        let found = complaint(|report| change(&mut report.callsites[0]));
        assert!(found.contains(word), "{word} is not in {found:?}");
    }
}

#[test]
fn growth_that_was_not_judged_is_another_complaint_than_growth_that_was_not_seen() {
    let growing = |growing| {
        let mut report = report();
        report.callsites[0].growing = growing;
        class(&truth().growing(true), &report, &TERMS).join("; ")
    };
    assert_eq!(growing(Some(true)), "");
    assert!(growing(Some(false)).contains("no call site grows"));
    assert!(growing(None).contains("too few samples"));
}

#[test]
fn an_adopted_socket_must_not_claim_to_know_its_opener_or_its_age() {
    let terms = Terms { started: Started::BeforeTracer, ..TERMS };
    let found = class(&truth(), &report(), &terms).join("; ");
    assert!(found.contains("pid") && found.contains("age_exact"), "{found}");
}
