//! Every output is byte for byte what it was: reports of recordings in every format, comparisons, plain tables.
//!
//! `formats/` holds recordings (`NAME.ltr`) and, beside them, what the program prints of them. `formats/README.md` says
//! what is in each recording and how to renew the outputs after a change that is meant to change them.
#![allow(clippy::unwrap_used)]

mod words;

use flate2::read::GzDecoder;
use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// Set to 1, the expected files are written anew before they are compared.
const RENEW: &str = "LEAKTRACE_RENEW";

/// The recordings: name, samples, FNV-1a hash. They were made by commit 3362251, `version1` before it and `odd` after it, and
/// never change: later versions must read them as that one did.
const RECORDINGS: [(&str, usize, u64); 12] = [
    ("canary", 2, 0x24fa_d220_56f5_8afc),
    ("empty", 1, 0x6001_5373_39dc_5a00),
    ("flagged", 8, 0x9fc9_01b3_22ce_a4a4),
    ("flipped", 1, 0x4728_1e2a_c5a0_d7ac),
    ("names", 4, 0x2f5f_f84b_a0bc_ac9c),
    ("odd", 1, 0xfd1e_d9e2_11cb_b7af),
    ("quiet", 2, 0xfc28_9847_ee1b_0f31),
    ("stacks", 1, 0x8f35_4b1d_6504_37da),
    ("states", 60, 0x2b85_d8c2_7541_c683),
    ("torn", 1, 0x0750_9c84_7fea_5a6c),
    ("unfinished", 2, 0x633e_0b09_d875_f82c),
    ("version1", 70, 0xe997_86b1_f943_ec02),
];

/// What is said on stderr of recordings that are cut off or damaged.
const TROUBLE: [(&str, &str); 3] = [
    (
        "unfinished",
        "the recording has no end: it was cut off, or is still being written; it was replayed up to there, 2 samples",
    ),
    ("torn", "the recording is damaged: it is cut off within a sample; it was replayed up to there, 1 sample"),
    (
        "flipped",
        "the recording is damaged: its content was changed: a checksum does not fit; it was replayed up to there, 1 sample",
    ),
];

const EVERY_FORMAT: &str = "text json csv html pprof folded svg";
const SHORT: &str = "text json csv folded";

/// Reports: name of the expected files, recording, further arguments, formats.
const REPORTS: [(&str, &str, &str, &str); 47] = [
    ("states", "states", "", "text pprof folded svg"),
    ("states.all", "states", "--all", "text json csv html pprof"),
    ("flagged", "flagged", "", "text json csv pprof folded"),
    ("quiet", "quiet", "", EVERY_FORMAT),
    ("names", "names", "", EVERY_FORMAT),
    ("stacks", "stacks", "", EVERY_FORMAT),
    ("stacks.all", "stacks", "--all", "text csv pprof"),
    ("canary", "canary", "", "text json pprof folded"),
    ("empty", "empty", "", EVERY_FORMAT),
    ("empty.all", "empty", "--all", "text json csv pprof"),
    ("version1", "version1", "", "text json csv pprof folded svg"),
    ("version1.all", "version1", "--all", "text csv"),
    ("states.pid", "states", "--pid 13,777", SHORT),
    ("states.comm", "states", "--comm worker", SHORT),
    ("states.thread", "states", "--comm worker-io --comm pool --all", "json csv"),
    ("states.port", "states", "--port 5432,8443", "text json csv pprof folded svg"),
    ("states.peer", "states", "--peer 2001:db8:2::/48 --peer 172.16.0.0/12", SHORT),
    ("states.peer-mapped", "states", "--peer ::ffff:10.0.0.0/104 --pid 777,888", SHORT),
    ("states.peer-all", "states", "--peer ::ffff:192.168.0.0/112 --all", SHORT),
    ("states.container", "states", "--container a0a0", SHORT),
    ("states.connect", "states", "--direction connect --comm worker", SHORT),
    ("states.accept", "states", "--direction accept --peer 10.1.0.0/24", SHORT),
    (
        "states.every-filter",
        "states",
        "--pid 12 --comm api --port 8080 --peer 10.1.0.7 --container 3f --direction accept",
        SHORT,
    ),
    ("states.nothing", "states", "--pid 1 --port 1", EVERY_FORMAT),
    ("states.early", "states", "--duration 30s", "text"),
    ("states.first", "states", "--duration 0s --all", "text json"),
    ("states.until", "states", "--until silent-peer", "text"),
    ("states.low-thresholds", "states", "--threshold 2s --stall 1s --idle 500ms --direction accept --pid 13", SHORT),
    ("states.high-thresholds", "states", "--threshold 2d --stall 1h --idle 3h", SHORT),
    ("states.threshold", "states", "--threshold 20s", "text"),
    ("states.stall", "states", "--stall 80s --pid 777,13", "json"),
    ("states.idle", "states", "--idle 70s --comm worker", "json"),
    ("flagged.pid", "flagged", "--pid 2001,2002,2023", SHORT),
    ("flagged.port", "flagged", "--port 20003", EVERY_FORMAT),
    ("flagged.container", "flagged", "--container b7 --direction accept", SHORT),
    ("flagged.thresholds", "flagged", "--threshold 1s --stall 1s --idle 1s --port 20003", "text json"),
    ("flagged.all-asked", "flagged", "--threshold 1s --pid 2004 --all", "text json"),
    ("flagged.early", "flagged", "--duration 20s --comm svc-7", SHORT),
    ("names.comm", "names", "--comm =SUM(A1) --comm \"q\"\u{a0}'r'", SHORT),
    ("names.container", "names", "--container </script>", "text"),
    ("stacks.pid", "stacks", "--pid 61,62", "text json csv pprof folded svg"),
    ("version1.port", "version1", "--port 5432", SHORT),
    ("odd", "odd", "", EVERY_FORMAT),
    ("odd.comm", "odd", "--comm esc\u{1b}[2J\rnext", "text json"),
    ("unfinished", "unfinished", "--direction accept", "text json"),
    ("torn", "torn", "--direction accept", "text"),
    ("flipped", "flipped", "--direction accept", "text"),
];

/// Comparisons: old report, new report. Both are expected JSON reports.
const COMPARISONS: [(&str, &str); 9] = [
    ("stacks", "canary"),
    ("canary", "stacks"),
    ("states.first", "states.all"),
    ("states.accept", "states.container"),
    ("flagged", "stacks.pid"),
    ("names", "empty"),
    ("empty", "names"),
    ("empty", "odd"),
    ("empty", "empty"),
];

/// Plain tables of `top` off a terminal: name of the expected file, recording, further arguments.
const TABLES: [(&str, &str, &str); 9] = [
    ("flagged", "flagged", ""),
    ("names", "names", ""),
    ("odd", "odd", ""),
    ("stacks", "stacks", ""),
    ("canary", "canary", ""),
    ("empty", "empty", ""),
    ("states.port", "states", "--port 6379"),
    ("flagged.accept", "flagged", "--direction accept --threshold 1s"),
    ("version1.threshold", "version1", "--threshold 30s --stall 5s --pid 1001"),
];

/// What `report --fail-on` exits with: recording, arguments, verdicts and severities that are found, and that are not.
const FAILING: [(&str, &str, &str, &str); 8] = [
    (
        "states",
        "",
        "close-wait dead-held never-read read-stalled write-stalled silent-peer connecting not-accepted idle-unguarded long-lived \
         leak suspect info any connecting,close-wait",
        "",
    ),
    ("states", "--pid 4300", "long-lived info any", "leak suspect close-wait idle-unguarded never-read,connecting"),
    ("states", "--threshold 9d --stall 9d --idle 9d", "", "any"),
    (
        "flagged",
        "--comm svc-1",
        "dead-held leak never-read,dead-held",
        "not-accepted connecting not-accepted,connecting",
    ),
    ("quiet", "", "long-lived info any", "leak suspect close-wait"),
    ("empty", "", "", "any leak suspect info close-wait long-lived"),
    ("stacks", "", "close-wait leak", "never-read dead-held connecting,long-lived"),
    // No call site counts the dead one.
    ("odd", "", "close-wait dead-held long-lived", "never-read connecting"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

/// Runs the program in a folder, with nothing of this machine or of its user in its surroundings.
fn leaktrace(folder: &Path, words: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leaktrace"))
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("LEAKTRACE_CONFIG", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The arguments of a table above; a no-break space stands for a space within one.
fn split(words: &str) -> Vec<String> {
    words.split(' ').filter(|word| !word.is_empty()).map(|word| word.replace('\u{a0}', " ")).collect()
}

fn arguments(command: &str, recording: &str, more: &str) -> Vec<String> {
    let mut words = vec![command.to_owned(), "--replay".to_owned(), format!("{recording}.ltr")];
    words.extend(split(more));
    words
}

/// A run of the program and the file that holds what it prints.
struct Case {
    file: String,
    words: Vec<String>,
}

impl Case {
    /// What it prints now; it must succeed and say nothing else.
    fn output(&self) -> Vec<u8> {
        let Self { words, .. } = self;
        let trouble = |(name, said): &(&str, &str)| {
            words.contains(&format!("{name}.ltr")).then(|| format!("leaktrace: {said}\n"))
        };
        let said = TROUBLE.iter().find_map(trouble).unwrap_or_default();
        let output = leaktrace(&folder(), words);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), said), "leaktrace {}", words.join(" "));
        output.stdout
    }

    /// How that differs from what it printed.
    fn difference(&self) -> Option<String> {
        let expected = fs::read(folder().join(&self.file)).unwrap_or_else(|error| panic!("{}: {error}", self.file));
        let difference = difference(&expected, &self.output())?;
        Some(format!("{}: {difference}\n  by leaktrace {}", self.file, self.words.join(" ")))
    }
}

/// All of them; comparisons come behind the reports that they read.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, recording, more, formats) in REPORTS {
        for format in split(formats) {
            let mut words = arguments("report", recording, more);
            words.extend(["--format".to_owned(), format.clone()]);
            let ending = match format.as_str() {
                "text" => "txt",
                "pprof" => "pb.gz",
                other => other,
            };
            cases.push(Case { file: format!("{name}.{ending}"), words });
        }
    }
    for (old, new) in COMPARISONS {
        cases
            .push(Case { file: format!("{old}-{new}.diff.txt"), words: split(&format!("diff {old}.json {new}.json")) });
        let words = split(&format!("diff --json {old}.json {new}.json"));
        cases.push(Case { file: format!("{old}-{new}.diff.json"), words });
    }
    for (name, recording, more) in TABLES {
        cases.push(Case { file: format!("{name}.top.txt"), words: arguments("top", recording, more) });
    }
    cases
}

/// Compares the outputs whose files `is_meant` picks; tells of all that differ at once.
fn check(is_meant: impl Fn(&str) -> bool) {
    renew_if_asked();
    let cases: Vec<Case> = cases().into_iter().filter(|case| is_meant(&case.file)).collect();
    assert!(!cases.is_empty());
    let different: Vec<String> = cases.iter().filter_map(Case::difference).collect();
    assert!(
        different.is_empty(),
        "{} of {} outputs are not what they were:\n{}\nIf that is on purpose: {RENEW}=1 cargo test -p leaktrace --test formats, \
         and say in the commit what differs and why.",
        different.len(),
        cases.len(),
        different.join("\n")
    );
}

/// Writes all expected files, once, while the other tests wait.
fn renew_if_asked() {
    static RENEWED: OnceLock<()> = OnceLock::new();
    RENEWED.get_or_init(|| {
        if std::env::var(RENEW).is_ok_and(|value| value == "1") {
            cases().iter().for_each(|case| fs::write(folder().join(&case.file), case.output()).unwrap());
        }
    });
}

/// The first line that differs, and both readings of it around the first difference.
fn difference(expected: &[u8], found: &[u8]) -> Option<String> {
    if expected == found {
        return None;
    }
    if let (Some(expected), Some(found)) = (unpacked(expected), unpacked(found)) {
        return Some(match difference(&expected, &found) {
            Some(difference) => format!("unpacked, {difference}"),
            None => "the same content, compressed in another way".to_owned(),
        });
    }
    let same = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    let line = expected[..same].iter().filter(|byte| **byte == b'\n').count() + 1;
    let start =
        expected[..same].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1).max(same.saturating_sub(80));
    let excerpt = |bytes: &[u8]| match bytes[start.min(bytes.len())..].split(|byte| *byte == b'\n').next() {
        _ if start >= bytes.len() => "the end".to_owned(),
        None => String::new(),
        Some(rest) => String::from_utf8_lossy(&rest[..rest.len().min(160)]).into_owned(),
    };
    Some(format!("line {line} differs\n  was: {}\n  is:  {}", excerpt(expected), excerpt(found)))
}

fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    (bytes.starts_with(&[0x1f, 0x8b]) && GzDecoder::new(bytes).read_to_end(&mut content).is_ok()).then_some(content)
}

fn is_comparison(file: &str) -> bool {
    file.ends_with(".diff.txt") || file.ends_with(".diff.json")
}

fn is_table(file: &str) -> bool {
    file.ends_with(".top.txt")
}

#[test]
fn text_reports_are_what_they_were() {
    check(|file| file.ends_with(".txt") && !is_comparison(file) && !is_table(file));
}

#[test]
fn json_reports_are_what_they_were() {
    check(|file| file.ends_with(".json") && !is_comparison(file));
}

#[test]
fn csv_reports_are_what_they_were() {
    check(|file| file.ends_with(".csv"));
}

#[test]
fn html_reports_are_what_they_were() {
    check(|file| file.ends_with(".html"));
}

#[test]
fn pprof_profiles_are_what_they_were() {
    check(|file| file.ends_with(".pb.gz"));
}

#[test]
fn folded_stacks_are_what_they_were() {
    check(|file| file.ends_with(".folded"));
}

#[test]
fn flame_graphs_are_what_they_were() {
    check(|file| file.ends_with(".svg"));
}

#[test]
fn comparisons_are_what_they_were() {
    check(is_comparison);
}

#[test]
fn plain_tables_are_what_they_were() {
    check(is_table);
}

#[test]
fn a_report_in_a_file_is_that_on_stdout() {
    renew_if_asked();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("formats-report.json");
    let mut words = arguments("report", "stacks", "--format json -o");
    words.push(path.display().to_string());
    let output = leaktrace(&folder(), &words);
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(difference(&fs::read(folder().join("stacks.json")).unwrap(), &fs::read(path).unwrap()), None);
}

#[test]
fn the_exit_status_of_a_report_tells_what_was_found() {
    for (recording, more, found, absent) in FAILING {
        for (lists, status) in [(found, 1), (absent, 0)] {
            for list in split(lists) {
                let mut words = arguments("report", recording, more);
                words.extend(["--fail-on".to_owned(), list]);
                let output = leaktrace(&folder(), &words);
                assert_eq!((output.status.code(), stderr(&output)), (Some(status), String::new()), "{words:?}");
            }
        }
    }
}

#[test]
fn the_exit_status_of_a_comparison_tells_what_was_found() {
    renew_if_asked();
    for (old, new, found, absent) in [
        ("stacks", "canary", "grown new gone shrunk new,gone", ""),
        ("empty", "names", "new", "grown gone shrunk"),
        ("names", "empty", "gone", "grown new shrunk"),
        ("stacks", "stacks", "", "grown new gone shrunk grown,new,gone,shrunk"),
    ] {
        for (lists, status) in [(found, 1), (absent, 0)] {
            for list in split(lists) {
                let words = split(&format!("diff --fail-on {list} {old}.json {new}.json"));
                let output = leaktrace(&folder(), &words);
                assert_eq!((output.status.code(), stderr(&output)), (Some(status), String::new()), "{words:?}");
            }
        }
    }
}

#[test]
fn a_recording_without_a_whole_sample_gives_no_report() {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let whole = fs::read(folder().join("canary.ltr")).unwrap();
    fs::write(tmp.join("nothing.ltr"), &whole[..whole.len() / 4]).unwrap();
    let output = leaktrace(tmp, &arguments("report", "nothing", ""));
    let said = "leaktrace: nothing.ltr holds not one whole sample: there is nothing to report\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(2), said));
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn the_recordings_are_those_that_were_made_and_are_read_whole() {
    for (name, samples, hash) in RECORDINGS {
        let bytes = fs::read(folder().join(format!("{name}.ltr"))).unwrap();
        let found = bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(format!("{found:#x}"), format!("{hash:#x}"), "{name}.ltr has changed");
        let output = leaktrace(&folder(), &arguments("top", name, ""));
        assert!(output.status.success(), "{name}: {output:?}");
        assert_eq!(output.stderr.is_empty(), TROUBLE.iter().all(|(troubled, _)| *troubled != name), "{name}");
        let tables = String::from_utf8(output.stdout).unwrap();
        // A table begins with the time.
        assert_eq!(tables.lines().filter(|line| line.starts_with("20")).count(), samples, "{name}");
    }
}

#[test]
fn every_file_belongs_to_a_case() {
    renew_if_asked();
    let recordings = RECORDINGS.iter().map(|(name, ..)| format!("{name}.ltr"));
    let known = cases().into_iter().map(|case| case.file).chain(recordings).chain(["README.md".to_owned()]);
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), known.collect::<BTreeSet<_>>());
}
