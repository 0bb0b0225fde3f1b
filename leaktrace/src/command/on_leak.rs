//! `--on-leak CMD`: runs a command for each call site that leaks, at most once an hour each. The command reads the
//! finding as JSON on its stdin, and runs as the caller with a clean environment.
//!
//! Commands run on threads of their own, so neither the sampler nor a view waits for one.

use super::as_caller::AsCaller;
use leaktrace_model::{Callsite, Host, Moment, Severity, Snapshot, Socket, Tool, Verdicts};
use leaktrace_output::{Caller, json_line};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Time until the command runs again for the same call site.
const REST: Duration = Duration::from_secs(3600);

/// Most commands that run at the same time. Further leaks wait for the next sample.
const MOST_RUNNING: usize = 8;

/// Most sockets in one finding; the call site has the total.
const MOST_SOCKETS: usize = 100;

/// How long leaktrace waits at its end for commands that still run.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a command reads: one call site with leaked sockets.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Alert {
    schema_version: u32,
    tool: Tool,
    host: Host,
    /// When it was found, RFC 3339.
    time: Moment,
    /// `None` for sockets whose opening was not seen.
    callsite: Option<Callsite>,
    /// Its sockets with a verdict of severity leak, the oldest first.
    sockets: Vec<Socket>,
}

/// Where the output of commands goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandOutput {
    /// To stderr, because stdout carries data only.
    Stderr,
    /// Nowhere, because the terminal shows a live view.
    Nowhere,
}

/// The command, and the call sites that it has run for.
pub(crate) struct OnLeak {
    command: String,
    output: CommandOutput,
    on_failure: Arc<dyn Fn(String) + Send + Sync>,
    reported: HashMap<Option<u64>, Instant>,
    running: Vec<JoinHandle<()>>,
}

impl OnLeak {
    /// Runs `command`: a program by its absolute path, or a line for the shell. Another thread calls `on_failure` when the command fails.
    pub(crate) fn new(
        command: String,
        output: CommandOutput,
        on_failure: impl Fn(String) + Send + Sync + 'static,
    ) -> Self {
        Self { command, output, on_failure: Arc::new(on_failure), reported: HashMap::new(), running: Vec::new() }
    }

    /// The same, with failures printed to stderr.
    pub(crate) fn to_stderr(command: String) -> Self {
        Self::new(command, CommandOutput::Stderr, |words| {
            // A closed stderr loses only this message.
            let _ = writeln!(io::stderr(), "leaktrace: {words}");
        })
    }

    /// Runs the command for each call site that leaks now and was not reported within the last hour.
    pub(crate) fn check(&mut self, snapshot: &Snapshot) {
        self.running.retain(|thread| !thread.is_finished());
        let room = MOST_RUNNING.saturating_sub(self.running.len());
        for finding in due(&mut self.reported, snapshot, Instant::now(), room) {
            let (command, output, on_failure) = (self.command.clone(), self.output, Arc::clone(&self.on_failure));
            let started = thread::Builder::new().name("on-leak".to_owned()).spawn(move || {
                if let Err(error) = run_command(&command, &Caller::of_this_process(), output, &finding) {
                    on_failure(format!("--on-leak: {error}"));
                }
            });
            match started {
                Ok(thread) => self.running.push(thread),
                Err(error) => (self.on_failure)(format!("--on-leak: no thread could be started: {error}")),
            }
        }
    }
}

impl Drop for OnLeak {
    /// Gives running commands time to end. A command that takes longer goes on without leaktrace.
    fn drop(&mut self) {
        let end = Instant::now() + LONGEST_WAIT;
        while self.running.iter().any(|thread| !thread.is_finished()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The findings to report now, at most `room`. Each is noted as reported.
fn due(reported: &mut HashMap<Option<u64>, Instant>, snapshot: &Snapshot, now: Instant, room: usize) -> Vec<Alert> {
    reported.retain(|_, at| now.saturating_duration_since(*at) < REST);
    let leak = Verdicts::at_least(Severity::Leak);
    let mut leaked: BTreeMap<Option<u64>, Vec<&Socket>> = BTreeMap::new();
    for socket in snapshot.sockets.iter().filter(|socket| !socket.observed.verdicts.and(leak).is_empty()) {
        if !reported.contains_key(&socket.callsite) {
            leaked.entry(socket.callsite).or_default().push(socket);
        }
    }
    let findings = leaked.into_iter().take(room).map(|(id, sockets)| {
        reported.insert(id, now);
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

/// Runs the command and waits for its end.
fn run_command(command: &str, caller: &Caller, output: CommandOutput, alert: &Alert) -> io::Result<()> {
    let stdio = || match output {
        CommandOutput::Stderr => io::stderr().as_fd().try_clone_to_owned().map(Stdio::from),
        CommandOutput::Nowhere => Ok(Stdio::null()),
    };
    let mut program = program(command);
    AsCaller::of(caller, |name| std::env::var_os(name))?.apply(&mut program);
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(stdio()?)
        .stderr(stdio()?)
        // A ^C is meant for leaktrace, not for the command.
        .process_group(0)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let mut text = json_line(alert)?;
        text.push(b'\n');
        match stdin.write_all(&text) {
            // The command need not read its stdin.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("`{command}` failed: {status}"))) }
}

/// The absolute path of a file is run as it is, whatever characters it has. Anything else is a line for the shell.
fn program(command: &str) -> Command {
    let path = Path::new(command);
    if path.is_absolute() && path.is_file() {
        return Command::new(path);
    }
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::{Verdict, fixtures};
    use leaktrace_skip::{Lack, skip};
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    fn first_finding() -> Alert {
        due(&mut HashMap::new(), &fixtures::rich(), Instant::now(), 1).remove(0)
    }

    /// What a command prints that writes to the file it is given.
    fn printed(command: impl Fn(&str) -> String, caller: &Caller) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let place = folder.path().join("printed");
        run_command(&command(&place.display().to_string()), caller, CommandOutput::Nowhere, &first_finding())
            .map_err(|error| error.to_string())?;
        Ok(fs::read_to_string(place).unwrap())
    }

    #[test]
    fn the_command_has_a_clean_environment() {
        let text = printed(|place| format!("env > {place}"), &Caller::of_this_process()).unwrap();
        // PWD, OLDPWD, SHLVL and _ are the shell's own.
        const EXPECTED: [&str; 11] =
            ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "PWD", "OLDPWD", "SHLVL", "_"];
        let names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert!(names.contains(&"PATH") && names.contains(&"HOME"), "{text}");
        assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO")), "cargo sets variables for its tests");
        assert!(names.iter().all(|name| EXPECTED.contains(name)), "{names:?}");
    }

    #[test]
    fn under_sudo_the_command_runs_as_the_caller() {
        if !nix::unistd::geteuid().is_root() {
            return skip(Lack::Privilege("only root can become another user"));
        }
        let by_sudo = Caller::of(0, 0, |name| Some(if name == "SUDO_UID" { "54321" } else { "54322" }.to_owned()));
        let ids =
            |place: &str| format!("{{ id -u; id -g; id -G; }} > {place}; grep -h ^CapEff /proc/self/status >> {place}");
        let text = printed(ids, &by_sudo).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), ["54321", "54322", "54322", "CapEff:\t0000000000000000"]);
        let root = Caller::of(0, 0, |_| None);
        assert_eq!(printed(|place| format!("id -u > {place}"), &root).as_deref(), Ok("0\n"));
    }

    #[test]
    fn an_absolute_path_needs_no_shell() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("it ran");
        let script = folder.path().join("a b; exit 7");
        fs::write(&script, format!("#!/bin/sh\ncat > '{}'\n", place.display())).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let caller = Caller::of_this_process();
        run_command(&script.display().to_string(), &caller, CommandOutput::Nowhere, &first_finding()).unwrap();
        assert!(fs::read_to_string(&place).unwrap().contains("schema_version"));
    }

    #[test]
    fn a_call_site_is_reported_once_an_hour() {
        let (mut reported, start, snapshot) = (HashMap::new(), Instant::now(), fixtures::rich());
        let first = due(&mut reported, &snapshot, start, 8);
        assert!(!first.is_empty() && first.iter().all(|finding| !finding.sockets.is_empty()));
        assert!(first.iter().any(|finding| finding.callsite.is_some()));
        assert_eq!(due(&mut reported, &snapshot, start + REST / 2, 8), Vec::new());
        assert_eq!(due(&mut reported, &snapshot, start + REST, 8).len(), first.len());
    }

    #[test]
    fn suspects_are_not_reported_and_what_has_no_room_is_reported_later() {
        let mut snapshot = fixtures::rich();
        let (mut reported, start) = (HashMap::new(), Instant::now());
        assert_eq!(due(&mut reported, &snapshot, start, 0), Vec::new());
        assert!(!due(&mut reported, &snapshot, start, 8).is_empty());
        let mut connecting = Verdicts::NONE;
        connecting.insert(Verdict::Connecting);
        snapshot.sockets.iter_mut().for_each(|socket| socket.observed.verdicts = connecting);
        assert_eq!(due(&mut HashMap::new(), &snapshot, start, 8), Vec::new());
    }

    #[test]
    fn the_command_reads_the_finding_and_its_failure_is_reported() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let place = folder.path().join("finding.json");
        let (finding, caller) = (first_finding(), Caller::of_this_process());
        assert!(run_command(&format!("cat > {}", place.display()), &caller, CommandOutput::Nowhere, &finding).is_ok());
        let text = std::fs::read_to_string(&place).unwrap_or_default();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(read["schema_version"], 1);
        assert!(read["sockets"][0]["verdicts"].is_array());
        let error = run_command("exit 3", &caller, CommandOutput::Nowhere, &finding).map_err(|error| error.to_string());
        assert!(error.is_err_and(|words| words.contains("exit 3") && words.contains('3')));
    }
}
