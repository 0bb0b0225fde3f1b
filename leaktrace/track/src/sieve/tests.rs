//! What the filters do not let through is in no sample, and what is let through late is whole.

use super::*;
use leaktrace_model::{Comm, HolderProcess, SocketHolder, StackQuality};

fn site(index: u32, pid: u32) -> (u32, SiteCounters) {
    let key = SiteKey { stack_hash: index.into(), pid, direction: Direction::Connect };
    (index, SiteCounters { key, comm: Comm::new(&format!("c{pid}")), opened: 5, ..SiteCounters::default() })
}

fn stack(callsite: u32) -> CallsiteStack {
    CallsiteStack { callsite, locations: Vec::new(), quality: StackQuality::Complete, reason: None }
}

fn facts(pid: u32) -> ProcessFacts {
    ProcessFacts { pid, comm: format!("c{pid}"), ..ProcessFacts::default() }
}

fn socket(sk: u64, callsite: u32, port: u16) -> Observed {
    let remote = format!("10.0.0.1:{port}").parse().unwrap();
    Observed { sk, callsite, remote, direction: Direction::Connect, ..Observed::default() }
}

fn holder(pid: u32) -> HolderProcess {
    HolderProcess { pid, ..HolderProcess::default() }
}

/// Two processes with a call site each. The socket of the first is also held by a third.
fn sample(ports: [u16; 2]) -> Sample {
    let held = |sk, pid| SocketHolder { sk, pid, fd: 3 };
    Sample {
        sockets: vec![socket(1, 1, ports[0]), socket(2, 2, ports[1])],
        callsites: vec![site(1, 101), site(2, 102)],
        stacks: vec![stack(1), stack(2)],
        processes: vec![facts(101), facts(102), facts(103)],
        holders: Some(Holders {
            rows: vec![held(1, 101), held(1, 103), held(2, 102)],
            processes: vec![holder(101), holder(102), holder(103)],
            descriptors: 3,
        }),
        ..Sample::default()
    }
}

/// Sockets, call sites, stacks, processes, holders and holding processes of a sample.
fn parts(sample: &Sample) -> [Vec<u64>; 6] {
    let holders = sample.holders.clone().unwrap_or_default();
    [
        sample.sockets.iter().map(|socket| socket.sk).collect(),
        sample.callsites.iter().map(|(index, _)| u64::from(*index)).collect(),
        sample.stacks.iter().map(|stack| u64::from(stack.callsite)).collect(),
        sample.processes.iter().map(|facts| u64::from(facts.pid)).collect(),
        holders.rows.iter().map(|holder| u64::from(holder.pid)).collect(),
        holders.processes.iter().map(|process| u64::from(process.pid)).collect(),
    ]
}

fn sifted(sieve: &mut Sieve, mut sample: Sample) -> [Vec<u64>; 6] {
    sieve.sift(&mut sample);
    parts(&sample)
}

#[test]
fn without_filters_all_is_let_through() {
    let whole = sample([80, 443]);
    assert_eq!(sifted(&mut Sieve::default(), whole.clone()), parts(&whole));
}

#[test]
fn what_does_not_match_is_left_out_with_all_that_names_it() {
    let of_first = [vec![1], vec![1], vec![1], vec![101, 103], vec![101, 103], vec![101, 103]];
    let of_second = [vec![2], vec![2], vec![2], vec![102], vec![102], vec![102]];
    let nothing = [(); 6].map(|()| Vec::new());
    let filter = Filter::default;
    for (filter, expected) in [
        (Filter { pids: vec![101], ..filter() }, &of_first),
        (Filter { ports: vec![80], ..filter() }, &of_first),
        (Filter { comms: vec!["c102".to_owned()], ..filter() }, &of_second),
        (Filter { ports: vec![443], directions: vec![Direction::Connect], ..filter() }, &of_second),
        (Filter { ports: vec![22], ..filter() }, &nothing),
        (Filter { directions: vec![Direction::Accept], ..filter() }, &nothing),
    ] {
        assert_eq!(&sifted(&mut Sieve::new(filter.clone()), sample([80, 443])), expected, "{filter:?}");
    }
    // A holder matches, so the socket does, and with it its opener.
    let by_holder = sifted(&mut Sieve::new(Filter { pids: vec![103], ..filter() }), sample([80, 443]));
    assert_eq!(by_holder, of_first);
}

#[test]
fn what_matches_later_comes_with_what_was_held_back() {
    let mut sieve = Sieve::new(Filter { ports: vec![443], ..Filter::default() });
    assert!(sifted(&mut sieve, sample([80, 80])).iter().all(Vec::is_empty));
    // Stacks and facts come once; holders come with some samples.
    let later = |ports| Sample { stacks: Vec::new(), processes: Vec::new(), holders: None, ..sample(ports) };
    let expected = [vec![1], vec![1], vec![1], vec![101, 103], vec![], vec![]];
    assert_eq!(sifted(&mut sieve, later([443, 80])), expected);
    // From then on the call site stays, and nothing is said twice.
    let again = [vec![], vec![1], vec![], vec![], vec![], vec![]];
    assert_eq!(sifted(&mut sieve, later([80, 80])), again);
    let changed = Sample { processes: vec![facts(101), facts(102)], ..later([80, 80]) };
    assert_eq!(sifted(&mut sieve, changed), [vec![], vec![1], vec![], vec![101], vec![], vec![]]);
}

#[test]
fn an_index_that_another_call_site_has_now_begins_anew() {
    let mut sieve = Sieve::new(Filter { pids: vec![101], ..Filter::default() });
    sifted(&mut sieve, sample([80, 443]));
    let reused = Sample { callsites: vec![site(1, 102)], ..Sample::default() };
    assert!(sifted(&mut sieve, reused).iter().all(Vec::is_empty));
}
