//! `leaktrace run`: the command runs as it does without leaktrace, and what its processes leave open is reported.
#![allow(clippy::unwrap_used)]

mod subject;

use leaktrace_skip::{Lack, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use subject::{Folder, command, leaktrace, run, run_as_nobody};

const LEAVER: &str = env!("CARGO_BIN_EXE_leaver");

/// A listener outside the tree of any command, and its port.
fn outside() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

/// Runs a command, gives its exit status and the report.
fn reported(leaktrace: &PathBuf, options: &[&str], words: &[&str]) -> (Option<i32>, Value) {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let folder = Folder::new(&format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed)));
    let place = folder.path("report.json");
    let line = [&["run", "--format", "json", "-o", &place], options, &["--"], words].concat();
    let output = run(leaktrace, &line);
    let text = std::fs::read_to_string(&place).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), serde_json::from_str(&text).unwrap())
}

/// The names of all functions on the stack of a socket that was left open.
fn functions<'a>(report: &'a Value, left: &Value) -> Vec<&'a str> {
    let sites = report["callsites"].as_array().unwrap();
    let site = sites.iter().find(|site| site["id"] == left["socket"]["callsite"]).unwrap();
    site["stack"].as_array().unwrap().iter().filter_map(|frame| frame["symbol"].as_str()).collect()
}

#[test]
fn the_exit_status_is_the_commands_own() {
    let Some(leaktrace) = leaktrace() else { return };
    for (words, status) in [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)] {
        let output = run(&leaktrace, &["run", "--", "sh", "-c", words]);
        assert_eq!(output.status.code(), Some(status), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_command_that_cannot_be_run_has_the_status_that_a_shell_gives() {
    let Some(leaktrace) = leaktrace() else { return };
    let cases = [("there-is-no-such-command", 127), ("/there/is/none", 127), ("/etc/passwd", 126), ("/", 126)];
    for (name, status) in cases {
        let output = run(&leaktrace, &["run", "--", name]);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{name}: {words}");
        assert!(words.contains(name) && words.lines().count() == 1, "{words}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn without_privileges_the_command_is_not_started() {
    let Some(leaktrace) = leaktrace() else { return };
    let output = run_as_nobody(&leaktrace, &["run", "--", "echo", "started"]);
    subject::refused(&output, &["root|CAP_BPF"]);
}

#[test]
fn an_output_file_that_cannot_be_written_stops_it_before_the_command() {
    let Some(leaktrace) = leaktrace() else { return };
    let output = run(&leaktrace, &["run", "-o", "/there/is/none.json", "--", "echo", "started"]);
    subject::refused(&output, &["/there/is"]);
}

#[test]
fn input_output_and_environment_pass_through_unchanged() {
    let Some(leaktrace) = leaktrace() else { return };
    let script =
        "cat; echo words >&2; pwd; env | sort; ls /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status";
    let spoken = |command: &mut Command| {
        let child = command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LEFT", "alone")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"in\0put\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let bare = spoken(Command::new("sh").args(["-c", script]));
    let watched = spoken(Command::new(&leaktrace).args(["run", "--", "sh", "-c", script]));
    let lines = |output: &[u8]| String::from_utf8_lossy(output).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&watched.stdout), lines(&bare.stdout));
    assert!(watched.stderr.starts_with(&bare.stderr), "{watched:?}");
}

/// A shell script under leaktrace that has said `ready`.
fn ready(leaktrace: &PathBuf, script: &str) -> (Child, BufReader<ChildStdout>) {
    let words = ["run", "--", "sh", "-c", script];
    let mut child = command(leaktrace, &words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, lines)
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

#[test]
fn signals_reach_the_command() {
    let Some(leaktrace) = leaktrace() else { return };
    for (name, sent) in [
        ("INT", Signal::SIGINT),
        ("TERM", Signal::SIGTERM),
        ("HUP", Signal::SIGHUP),
        ("QUIT", Signal::SIGQUIT),
        ("USR1", Signal::SIGUSR1),
        ("USR2", Signal::SIGUSR2),
        ("WINCH", Signal::SIGWINCH),
    ] {
        let script = format!("trap 'echo heard; exit 5' {name}; echo ready; while :; do sleep 0.1; done");
        let (mut child, mut lines) = ready(&leaktrace, &script);
        signal(&child, sent);
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("heard\n", Some(5)), "{name}");
    }
}

#[test]
fn a_signal_that_kills_the_command_is_its_status() {
    let Some(leaktrace) = leaktrace() else { return };
    let (mut child, _) = ready(&leaktrace, "echo ready; exec sleep 60");
    signal(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn what_the_command_sends_to_its_group_does_not_come_back() {
    let Some(leaktrace) = leaktrace() else { return };
    use std::os::unix::process::CommandExt;
    let script = "n=0; trap 'n=$((n+1))' USR1; kill -USR1 0; sleep 0.5; echo $n";
    let mut command = command(&leaktrace, &["run", "--", "sh", "-c", script]);
    let output = command.process_group(0).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
}

fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn it_stops_with_the_command_and_goes_on_with_it() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("stop");
    let go = folder.path("go");
    let script = format!("echo ready; while [ ! -e {go} ]; do sleep 0.1; done; exit 4");
    let (mut child, _lines) = ready(&leaktrace, &script);
    signal(&child, Signal::SIGTSTP);
    let start = Instant::now();
    while state(child.id()) != Some('T') {
        assert!(start.elapsed() < Duration::from_secs(60), "does not stop");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::write(&go, "").unwrap();
    signal(&child, Signal::SIGCONT);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn what_a_grandchild_leaves_open_is_found_with_its_stack() {
    let Some(leaktrace) = leaktrace() else { return };
    let (_listener, port) = outside();
    for script in [
        format!("{LEAVER} {port} 3"),
        format!("sh -c '{LEAVER} {port} 3'; true"),
        // Forked twice, in a session of its own, without a parent that waits for it.
        format!("(setsid sh -c '({LEAVER} {port} 3 &)' &); true"),
    ] {
        let (status, report) = reported(&leaktrace, &["--wait", "60s"], &["sh", "-c", &script]);
        assert_eq!(status, Some(1), "{script}: {:#}", report["run"]);
        let left = report["run"]["left_open"].as_array().unwrap();
        assert_eq!((left.len(), &report["run"]["left_open_total"]), (3, &Value::from(3)), "{script}");
        for one in left {
            assert_eq!(one["comm"], "leaver");
            assert_eq!(one["socket"]["state"], "ESTABLISHED");
            assert_eq!(one["socket"]["remote"], format!("127.0.0.1:{port}"));
            let names = functions(&report, one);
            assert!(names.iter().any(|name| name.contains("leave_connections_open")), "{script}: {names:?}");
        }
    }
}

#[test]
fn what_was_closed_is_not_left_open() {
    let Some(leaktrace) = leaktrace() else { return };
    let (_listener, port) = outside();
    let (status, report) = reported(&leaktrace, &["--fail-on", "any"], &[LEAVER, &port, "20", "close"]);
    assert_eq!((status, &report["run"]["left_open_total"]), (Some(0), &Value::from(0)), "{:#}", report["run"]);
    assert_eq!((&report["totals"]["opened"], &report["totals"]["closed"]), (&Value::from(20), &Value::from(20)));
}

#[test]
fn a_process_that_was_killed_is_excused_and_still_told_of() {
    let Some(leaktrace) = leaktrace() else { return };
    let (_listener, port) = outside();
    let script = format!("{LEAVER} {port} 2 killed; true");
    let (status, report) = reported(&leaktrace, &[], &["sh", "-c", &script]);
    assert_eq!((status, &report["run"]["left_open_total"]), (Some(0), &Value::from(2)), "{:#}", report["run"]);
    assert_eq!(report["run"]["left_open"][0]["signal"], 9);
}

#[test]
fn a_leak_fails_a_command_that_succeeds_and_leaves_a_failure_alone() {
    let Some(leaktrace) = leaktrace() else { return };
    let (_listener, port) = outside();
    let status = |list: &[&str], end: &str| {
        let script = format!("{LEAVER} {port} 1; {end}");
        let line = [&["run"], list, &["--", "sh", "-c", &script]].concat();
        run(&leaktrace, &line).status.code()
    };
    assert_eq!(status(&[], "exit 0"), Some(1));
    assert_eq!(status(&["--fail-on", "leak"], "exit 0"), Some(1));
    assert_eq!(status(&["--fail-on", "left-open"], "exit 0"), Some(1));
    assert_eq!(status(&["--fail-on", "close-wait"], "exit 0"), Some(0));
    assert_eq!(status(&["--fail-on", "none"], "exit 0"), Some(0));
    assert_eq!(status(&["--fail-on", "leak"], "exit 7"), Some(7));
}

#[test]
fn what_still_runs_is_told_and_not_waited_for() {
    let Some(leaktrace) = leaktrace() else { return };
    let (_listener, port) = outside();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; sleep 30 <&- >&- 2>&- & exec 3>&-; sleep 0.5; exit 0");
    let (status, report) = reported(&leaktrace, &["--wait", "0s"], &["bash", "-c", &script]);
    assert_eq!((status, &report["run"]["processes_running"]), (Some(0), &Value::from(1)), "{:#}", report["run"]);
    let sleeper = report["run"]["processes"].as_array().unwrap().iter().find(|one| !one["open"].is_null()).unwrap();
    assert_eq!((&sleeper["comm"], &sleeper["open"]), (&Value::from("sleep"), &Value::from(1)));
    assert_eq!(report["totals"]["open"], 1);
    kill(Pid::from_raw(sleeper["pid"].as_i64().unwrap().try_into().unwrap()), Signal::SIGKILL).unwrap();
}

const SUITE: &str = r#"
import socket, time, unittest
class Leaky(unittest.TestCase):
    def test_that_passes_and_forgets(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname())
            server.accept()[0].close()
            time.sleep(4)
            self.assertTrue(True)
            client.close()
if __name__ == "__main__":
    unittest.main()
"#;

#[test]
fn a_verdict_that_came_up_and_went_away_fails_a_test_suite() {
    let Some(leaktrace) = leaktrace() else { return };
    if Command::new("python3").arg("--version").output().is_err() {
        return skip(Lack::Program("python3"));
    }
    let folder = Folder::new("suite");
    let place = folder.path("test_leaky.py");
    std::fs::write(&place, SUITE).unwrap();
    let options = ["--stall", "500ms", "--interval", "200ms"];
    let (status, report) = reported(&leaktrace, &options, &["python3", &place]);
    assert_eq!(status, Some(1), "{:#}", report["run"]);
    assert_eq!(report["run"]["verdicts"]["close-wait"], 1, "{:#}", report["run"]);
    assert_eq!((&report["run"]["exit_status"], &report["run"]["left_open_total"]), (&Value::from(0), &Value::from(0)));
    assert_eq!(report["run"]["flagged"][0]["state"], "CLOSE_WAIT");
}
