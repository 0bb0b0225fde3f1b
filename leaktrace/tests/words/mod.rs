//! The recordings of the formats test hold what there is: every word, every null and every field of a report; and the model has the words
//! of recordings that other versions made.

use super::{Case, EVERY_FORMAT, cases, folder, is_comparison, renew_if_asked, split};
use leaktrace_model::{Degradation, HookKind, StackReason, WalkEnd};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZeroU32,
    time::Duration,
};

/// What the values at one place of the JSON reports are, such as `sockets[].cookie`.
#[derive(Default)]
struct Seen {
    texts: BTreeSet<String>,
    has_null: bool,
    /// Something that is neither null nor empty nor 0.
    has_value: bool,
    has_true: bool,
    has_false: bool,
}

fn gather(value: &Value, path: &str, seen: &mut BTreeMap<String, Seen>) {
    let here = seen.entry(path.to_owned()).or_default();
    match value {
        Value::Null => here.has_null = true,
        Value::Bool(true) => (here.has_true, here.has_value) = (true, true),
        Value::Bool(false) => here.has_false = true,
        Value::Number(number) => here.has_value |= number.as_f64() != Some(0.0),
        Value::String(text) => {
            here.has_value |= !text.is_empty();
            here.texts.insert(text.clone());
        }
        Value::Array(items) => {
            here.has_value |= !items.is_empty();
            items.iter().for_each(|item| gather(item, &format!("{path}[]"), seen));
        }
        Value::Object(members) => {
            here.has_value |= !members.is_empty();
            for (name, member) in members {
                let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                gather(member, &name, seen);
            }
        }
    }
}

/// What may be unknown in a report of a recording.
const NULLABLE: &str = "host.hostname host.kernel host.boot_id \
    health.holders_pass_cpu_s health.tcp_memory_bytes health.tcp_memory_gap_bytes \
    processes[].exe processes[].container processes[].pod processes[].unit processes[].cgroup processes[].fds_limit \
    processes[].fds_per_min processes[].fds_exhausted_s \
    callsites[].exe callsites[].stack_reason callsites[].oldest_s callsites[].growing callsites[].growth_per_min \
    callsites[].lifetime_s callsites[].stack[].symbol callsites[].stack[].offset callsites[].stack[].module \
    callsites[].stack[].file callsites[].stack[].line \
    peers[].growing peers[].growth_per_min listeners[].growing listeners[].growth_per_min \
    sockets[].cookie sockets[].callsite sockets[].pid sockets[].tid sockets[].comm sockets[].idle_s sockets[].unread_s \
    sockets[].unacked_s sockets[].state_s sockets[].user_timeout_ms sockets[].waiters sockets[].netns sockets[].container";

/// What is true of some and false of others.
const EITHER: &str = "callsites[].oldest_exact callsites[].growing callsites[].stack[].inlined peers[].oldest_exact peers[].growing \
    listeners[].oldest_exact listeners[].growing sockets[].age_exact sockets[].keepalive sockets[].waiters";

/// What is a word of a closed list, and that list.
const WORDS: [(&str, &str); 8] = [
    (
        "sockets[].verdicts[]",
        "close-wait dead-held never-read read-stalled write-stalled silent-peer connecting not-accepted idle-unguarded long-lived",
    ),
    (
        "sockets[].state",
        "ESTABLISHED SYN_SENT SYN_RECEIVED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED CLOSE_WAIT LAST_ACK LISTEN CLOSING UNKNOWN",
    ),
    ("sockets[].direction", "connect accept unknown"),
    ("sockets[].family", "ipv4 ipv6"),
    ("callsites[].direction", "connect accept unknown"),
    ("callsites[].stack_quality", "complete truncated missing"),
    ("health.hooks", "replay"),
    ("settings.filters.direction[]", "connect accept"),
];

/// Why a stack is not whole.
const REASONS: [&str; 22] = [
    "another reason of another version",
    "not sampled (1 in 1,000)",
    "not sampled (1 in 100)",
    "opened before leaktrace was started",
    "a reason of another version",
    "the process had exited before its mappings could be read",
    "the socket was opened by a kernel thread, such as an io_uring worker, which has no user stack",
    "the user stack could not be read",
    "the stack is longer than what was copied of it",
    "a frame lies outside the stack",
    "the unwind table needs a register that was not captured",
    "an unwind table is damaged",
    "a return address is not in executable memory",
    "a return address is not behind a call",
    "the chain of frame pointers broke before the start of the thread",
    "the function that called the C library is missing: its frame pointer was not kept",
    "code without unwind tables and without frame pointers",
    "the caller is on another stack",
    "the unwind table leads nowhere",
    "the stack has more frames than are kept",
    "unwinding by table knows x86-64 only",
    "this code keeps no frame pointers, and no copy of its stack could be taken",
];

/// What can be degraded: by the kernel, by the tracer, by the recording.
const DEGRADED: &str = "accept filters hooks interval namespaces run sockets stacks symbols thresholds words";

#[test]
fn the_reports_hold_every_word_every_null_and_every_field() {
    renew_if_asked();
    let names = leaktrace_output::ReportFormat::ALL.map(leaktrace_output::ReportFormat::name);
    assert_eq!(split(EVERY_FORMAT), names, "a format without expected files");
    let mut seen = BTreeMap::new();
    for Case { file, .. } in cases().iter().filter(|case| case.file.ends_with(".json") && !is_comparison(&case.file)) {
        let report = fs::read(folder().join(file)).unwrap();
        gather(&serde_json::from_slice(&report).unwrap(), "", &mut seen);
    }
    let at = |path: &str| seen.get(path).unwrap_or_else(|| panic!("no report has {path}"));
    for path in split(NULLABLE) {
        assert!(at(&path).has_null, "{path} is never null");
    }
    for path in split(EITHER) {
        assert!(at(&path).has_true && at(&path).has_false, "{path} is always the same");
    }
    for (path, words) in WORDS {
        assert_eq!(at(path).texts, split(words).into_iter().collect(), "{path}");
    }
    let lacks = |path: &str, text: &str| assert!(at(path).texts.contains(text), "{path} is never {text:?}");
    REASONS.iter().for_each(|reason| lacks("callsites[].stack_reason", reason));
    split(DEGRADED).iter().for_each(|feature| lacks("health.degraded[].feature", feature));
    // A replay does not say how stacks were sampled, and these recordings were made without helper processes.
    let unknown = ["settings.stack_sample", "health.namer"];
    let never: Vec<&String> = seen
        .iter()
        .filter(|(path, seen)| !seen.has_value && !unknown.contains(&path.as_str()))
        .map(|(path, _)| path)
        .collect();
    assert!(never.is_empty(), "null, 0 or empty in every report: {never:?}");
}

/// A recording has reasons as text, so a replay never prints the words of the model. Live reports do.
#[test]
fn the_model_has_the_words_of_the_recordings() {
    let one_in = |number| NonZeroU32::new(number).unwrap();
    let text = |reason: StackReason| reason.to_string();
    let walks = [
        WalkEnd::CopyTooShort,
        WalkEnd::OffStack,
        WalkEnd::UnknownRegister,
        WalkEnd::BadTable,
        WalkEnd::Unmapped,
        WalkEnd::NotBehindCall,
        WalkEnd::ChainBroken,
        WalkEnd::LeafCaller,
        WalkEnd::NoTable,
        WalkEnd::OtherStack,
        WalkEnd::NotAdvancing,
        WalkEnd::TooDeep,
        WalkEnd::OtherMachine,
    ];
    let reasons = [StackReason::Exited, StackReason::KernelThread, StackReason::Unreadable]
        .into_iter()
        .chain(walks.map(StackReason::Walk))
        .chain([StackReason::NoCopy]);
    assert_eq!(reasons.map(text).collect::<Vec<_>>(), REASONS[5..]);
    assert_eq!([1000, 100].map(|number| text(StackReason::NotSampled { one_in: one_in(number) })), REASONS[1..3]);
    // No recording has this one, and the last two below: they are as in 3362251.
    assert_eq!(text(StackReason::NoFramePointers), "this code keeps no frame pointers: callers may be missing");

    let why = |text: &str| text.to_owned();
    let degradations = [
        Degradation::NoHooks { kind: HookKind::Fentry, why: why("this kernel was built without BTF") },
        Degradation::AcceptAtEveryCall { why: why("tracepoints of system calls are missing") },
        Degradation::TreeFull { most: 16384 },
        Degradation::NamespacesMissing { refused: 2, hidden: 3 },
        Degradation::StacksSampled { one_in: one_in(1000), above_per_s: 2000 },
        Degradation::SamplesApart {
            planned: Duration::from_secs(2),
            asked: Duration::from_secs(1),
            cost: Duration::from_millis(20),
            budget_percent: why("1"),
        },
        Degradation::LongLivedNotListed { above: 50_000 },
    ];
    let report: Value = serde_json::from_slice(&fs::read(folder().join("flagged.json")).unwrap()).unwrap();
    let recorded = report["health"]["degraded"].as_array().unwrap();
    for degradation in degradations {
        assert!(recorded.contains(&serde_json::to_value(&degradation).unwrap()), "{degradation:?} has other words");
    }
    let accept = Degradation::AcceptByReturnProbe { why: why("no hook") };
    let rows = Degradation::RowsNotRecorded { rows: 7 };
    for (degradation, feature, reason) in [
        (
            accept,
            "accept",
            "no hook; a return probe is used, which misses accepts when many threads block in accept: the next pass adopts those, \
             without their stack",
        ),
        (rows, "recording", "7 rows were left out of the recording: it takes a million sockets a sample"),
    ] {
        assert_eq!((&*degradation.feature(), &*degradation.reason()), (feature, reason));
    }
}
