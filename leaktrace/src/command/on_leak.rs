//! `--on-leak CMD`: a command that is told of leaks, as JSON on its stdin, at most once an hour for each call site.
//!
//! Commands run on threads of their own, so that neither the sampler nor a view ever waits for one.

use leaktrace_model::{Callsite, Host, Moment, Severity, Snapshot, Socket, Tool, Verdicts};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    process::{Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a call site is not told of again.
const REST: Duration = Duration::from_secs(3600);

/// Most commands that run at a time. A leak that finds no room is told at the next look.
const MOST_RUNNING: usize = 8;

/// Most sockets of one finding; the call site has the number of all.
const MOST_SOCKETS: usize = 100;

/// How long the end waits for commands that still run.
const PARTING: Duration = Duration::from_secs(10);

/// What a command reads: one call site with leaked sockets.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Alert {
    schema_version: u32,
    tool: Tool,
    host: Host,
    /// When it was found, RFC 3339.
    time: Moment,
    /// `None` for sockets whose opening nobody saw.
    callsite: Option<Callsite>,
    /// Its sockets with a verdict of severity leak, the oldest first.
    sockets: Vec<Socket>,
}

/// Where words of the commands go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// To stderr, as stdout carries data only.
    Stderr,
    /// Nowhere, as there is a live view on the terminal.
    Nowhere,
}

/// The command, and what it has been told of.
pub struct OnLeak {
    command: String,
    words: Words,
    complain: Arc<dyn Fn(String) + Send + Sync>,
    told: HashMap<Option<u64>, Instant>,
    running: Vec<JoinHandle<()>>,
}

impl OnLeak {
    /// A shell command; `complain` is told when it fails, from another thread.
    pub fn new(command: String, words: Words, complain: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self { command, words, complain: Arc::new(complain), told: HashMap::new(), running: Vec::new() }
    }

    /// The same, with failures said on stderr.
    pub fn to_stderr(command: String) -> Self {
        Self::new(command, Words::Stderr, |words| {
            // A closed stderr is nobody's loss.
            let _ = writeln!(io::stderr(), "leaktrace: {words}");
        })
    }

    /// Runs the command for whatever is leaked now and was not told of lately.
    pub fn look(&mut self, snapshot: &Snapshot) {
        self.running.retain(|thread| !thread.is_finished());
        let room = MOST_RUNNING.saturating_sub(self.running.len());
        for finding in due(&mut self.told, snapshot, Instant::now(), room) {
            let (command, words, complain) = (self.command.clone(), self.words, Arc::clone(&self.complain));
            let started = thread::Builder::new().name("on-leak".to_owned()).spawn(move || {
                if let Err(error) = tell(&command, words, &finding) {
                    complain(format!("--on-leak: {error}"));
                }
            });
            match started {
                Ok(thread) => self.running.push(thread),
                Err(error) => (self.complain)(format!("--on-leak: no thread could be started: {error}")),
            }
        }
    }
}

impl Drop for OnLeak {
    /// Gives commands the time to end; one that takes longer runs on by itself.
    fn drop(&mut self) {
        let end = Instant::now() + PARTING;
        while self.running.iter().any(|thread| !thread.is_finished()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What is to be told now, at most `room` findings, each noted as told.
fn due(told: &mut HashMap<Option<u64>, Instant>, snapshot: &Snapshot, now: Instant, room: usize) -> Vec<Alert> {
    told.retain(|_, at| now.saturating_duration_since(*at) < REST);
    let leak = Verdicts::at_least(Severity::Leak);
    let mut leaked: BTreeMap<Option<u64>, Vec<&Socket>> = BTreeMap::new();
    for socket in snapshot.sockets.iter().filter(|socket| !socket.observed.verdicts.and(leak).is_empty()) {
        if !told.contains_key(&socket.callsite) {
            leaked.entry(socket.callsite).or_default().push(socket);
        }
    }
    let findings = leaked.into_iter().take(room).map(|(id, sockets)| {
        told.insert(id, now);
        Alert {
            schema_version: snapshot.schema_version,
            tool: snapshot.tool,
            host: snapshot.host.clone(),
            time: snapshot.window.end,
            callsite: snapshot.callsites.iter().find(|site| Some(site.id) == id).cloned(),
            sockets: sockets.into_iter().take(MOST_SOCKETS).cloned().collect(),
        }
    });
    findings.collect()
}

/// Runs the command to its end.
fn tell(command: &str, words: Words, alert: &Alert) -> io::Result<()> {
    let output = || match words {
        Words::Stderr => io::stderr().as_fd().try_clone_to_owned().map(Stdio::from),
        Words::Nowhere => Ok(Stdio::null()),
    };
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(output()?)
        .stderr(output()?)
        // A ^C is meant for leaktrace.
        .process_group(0)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let mut text = serde_json::to_vec(alert)?;
        text.push(b'\n');
        match stdin.write_all(&text) {
            // It need not read what it is told.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("`{command}` failed: {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::{Verdict, fixtures};

    #[test]
    fn a_call_site_is_told_of_once_an_hour() {
        let (mut told, start, snapshot) = (HashMap::new(), Instant::now(), fixtures::rich());
        let first = due(&mut told, &snapshot, start, 8);
        assert!(!first.is_empty() && first.iter().all(|finding| !finding.sockets.is_empty()));
        assert!(first.iter().any(|finding| finding.callsite.is_some()));
        assert_eq!(due(&mut told, &snapshot, start + REST / 2, 8), Vec::new());
        assert_eq!(due(&mut told, &snapshot, start + REST, 8).len(), first.len());
    }

    #[test]
    fn suspects_are_not_told_of_and_what_finds_no_room_is_told_later() {
        let mut snapshot = fixtures::rich();
        let (mut told, start) = (HashMap::new(), Instant::now());
        assert_eq!(due(&mut told, &snapshot, start, 0), Vec::new());
        assert!(!due(&mut told, &snapshot, start, 8).is_empty());
        let mut connecting = Verdicts::NONE;
        connecting.insert(Verdict::Connecting);
        snapshot.sockets.iter_mut().for_each(|socket| socket.observed.verdicts = connecting);
        assert_eq!(due(&mut HashMap::new(), &snapshot, start, 8), Vec::new());
    }

    #[test]
    fn the_command_reads_the_finding_and_its_failure_is_told() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let place = folder.path().join("finding.json");
        let finding = due(&mut HashMap::new(), &fixtures::rich(), Instant::now(), 1).remove(0);
        assert!(tell(&format!("cat > {}", place.display()), Words::Nowhere, &finding).is_ok());
        let text = std::fs::read_to_string(&place).unwrap_or_default();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(read["schema_version"], 1);
        assert!(read["sockets"][0]["verdicts"].is_array());
        let error = tell("exit 3", Words::Nowhere, &finding).map_err(|error| error.to_string());
        assert!(error.is_err_and(|words| words.contains("exit 3") && words.contains('3')));
    }
}
