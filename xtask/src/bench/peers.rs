//! What people use today to see connections come and go: the programs that churn is measured with beside leaktrace.
//!
//! Each gets the options of its manual and writes to /dev/null, which is the kindest to it.

use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::bpf::RunTimes;
use super::load;
use super::process::Running;

/// Mounts tracefs for the program alone where the host has it mounted nowhere: these programs find tracepoints there.
pub const WITH_TRACEFS: &str =
    r#"[ -d /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing; exec "$0" "$@""#;

/// Those that compile at start take seconds.
const LONGEST_START: Duration = Duration::from_secs(30);

/// From the program's load to its attachment.
const SETTLING: Duration = Duration::from_millis(500);

/// As much of what it says as an error needs.
const WORDS: u64 = 64 << 10;

/// A program to compare with.
pub struct Peer {
    /// As the table shows it.
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
    command: &'static [&'static str],
}

/// What becomes of what it prints on its standard output.
enum Output {
    Lost,
    /// Some say there why they fail.
    Heard,
}

/// All that are tried.
pub const PEERS: [Peer; 6] = [
    Peer { name: "tcplife", package: "libbpf-tools", command: &["tcplife"] },
    Peer { name: "tcpstates", package: "libbpf-tools", command: &["tcpstates"] },
    Peer { name: "tcplife (bcc)", package: "bpfcc-tools", command: &["tcplife-bpfcc"] },
    Peer { name: "tcpstates (bcc)", package: "bpfcc-tools", command: &["tcpstates-bpfcc"] },
    Peer { name: "tcplife.bt", package: "bpftrace", command: &["tcplife.bt"] },
    // What comes nearest to leaktrace: opens counted by user stack, in the kernel.
    Peer {
        name: "bpftrace, stacks",
        package: "bpftrace",
        command: &[
            "bpftrace",
            "-e",
            "tracepoint:sock:inet_sock_set_state /args->newstate == 2/ { @[ustack, comm] = count(); }",
        ],
    },
];

impl Peer {
    /// Starts it; or says why it does not work here.
    pub fn start(&self) -> Result<Result<Running, String>> {
        self.start_with(Output::Lost)
    }

    fn start_with(&self, output: Output) -> Result<Result<Running, String>> {
        let (mut said, says) = io::pipe().context("cannot make a pipe")?;
        let table = match output {
            Output::Lost => Stdio::null(),
            Output::Heard => says.try_clone().context("cannot share a pipe")?.into(),
        };
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", WITH_TRACEFS])
            .args(self.command)
            .env("BPFTRACE_STRLEN", "64")
            .stdin(Stdio::null())
            .stdout(table)
            .stderr(says)
            .spawn()
            .context("cannot start unshare")?;
        let words = thread::spawn(move || {
            let mut words = Vec::new();
            let _ = said.by_ref().take(WORDS).read_to_end(&mut words);
            // A full pipe would stop it.
            let _ = io::copy(&mut said, &mut io::sink());
            String::from_utf8_lossy(&words).into_owned()
        });
        let mut running = Running::new(child, self.name);
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_START {
            if running.end()?.is_some() {
                return Ok(Err(self.reason(words)));
            }
            // What has just ended has no descriptors to look at.
            if running.programs().is_ok_and(|programs| !programs.is_empty()) {
                thread::sleep(SETTLING);
                return Ok(if running.end()?.is_some() { Err(self.reason(words)) } else { Ok(running) });
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Err(format!("loaded no program within {} s", LONGEST_START.as_secs())))
    }

    /// Why it cannot be compared with, if so: it must attach, and its programs must run when connections come and go.
    pub fn try_out(&self) -> Result<Option<String>> {
        let _run_times = RunTimes::keep()?;
        let running = match self.start_with(Output::Heard)? {
            Ok(running) => running,
            Err(reason) => return Ok(Some(reason)),
        };
        load::run("churn", &["--seconds", "0.3"])?;
        let runs: u64 = running.programs()?.iter().map(|program| program.runs).sum();
        Ok((runs == 0).then(|| "attaches, yet none of its programs runs".to_owned()))
    }

    fn reason(&self, words: JoinHandle<String>) -> String {
        let words = words.join().unwrap_or_default();
        let absent = self.command.iter().take(1).any(|program| words.contains(&format!("exec: {program}: not found")));
        if absent { format!("not installed (package {})", self.package) } else { reason(&words) }
    }
}

/// The first and the last complaint of what a program said.
fn reason(words: &str) -> String {
    let complains = |line: &&str| {
        let line = line.to_lowercase();
        let says_any_of = |words: &[&str]| words.iter().any(|word| line.contains(word));
        // bpftrace says the second whenever it may not raise a limit that no longer matters; the third is source code.
        says_any_of(&["error", "fail", "unable", "cannot"]) && !says_any_of(&["warning", "rlimit_memlock", "raise "])
    };
    let mut complaints = words.lines().map(str::trim).filter(complains);
    match (complaints.next(), complaints.next_back()) {
        (Some(first), Some(last)) => format!("{first} … {last}"),
        (Some(only), None) => only.to_owned(),
        _ => words.lines().last().map_or_else(|| "ended without a word".to_owned(), |line| line.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_the_program_complained_of() {
        let words =
            "ERROR: couldn't set RLIMIT_MEMLOCK\nAttaching 3 probes...\nERROR: Error attaching probe: 'kprobe:x'\n";
        assert_eq!(reason(words), "ERROR: Error attaching probe: 'kprobe:x'");
        assert_eq!(
            reason("Unable to find headers.\n  File x\nException: Failed to compile\n"),
            "Unable to find headers. … Exception: Failed to compile"
        );
        assert_eq!(reason("bye\n"), "bye");
        assert_eq!(reason(""), "ended without a word");
    }
}
