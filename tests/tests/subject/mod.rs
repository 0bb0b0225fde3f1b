//! The program under test for command-line tests: found, run, and its words judged.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used)]

use leaktrace_skip::{Lack, is_root, skip};
use leaktrace_tests::suite::tracer;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Where leaktrace is; says SKIP when it is nowhere, or when the test needs root and this is not root.
pub fn leaktrace() -> Option<PathBuf> {
    if !is_root() {
        skip(Lack::Privilege("needs root"));
        return None;
    }
    let found = tracer::find();
    assert!(found.is_some() || std::env::var_os("LEAKTRACE").is_none(), "LEAKTRACE names no file");
    if found.is_none() {
        skip(Lack::Unexplained("leaktrace is not built, set LEAKTRACE"));
    }
    found
}

/// Says SKIP where a mount namespace that a test needs could not be arranged.
pub fn skip_for_want_of_a_mount(error: &io::Error) {
    let reason = format!("nothing can be mounted: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => skip(Lack::Machine(&reason)),
        _ => skip(Lack::Unexplained(&reason)),
    }
}

/// Runs it to its end, with nothing of this process's environment that could change its answers.
pub fn run(leaktrace: &PathBuf, words: &[&str]) -> Output {
    command(leaktrace, words).output().unwrap()
}

/// The command that [`run`] runs.
pub fn command(leaktrace: &PathBuf, words: &[&str]) -> Command {
    let mut command = Command::new(leaktrace);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LEAKTRACE_") {
            command.env_remove(name);
        }
    }
    // However expensive a sample is on this machine, the next one comes when it is asked for.
    command.env("LEAKTRACE_CPU_BUDGET", "0");
    command.args(words).stdin(Stdio::null());
    tracer::as_from_a_terminal(&mut command);
    command
}

/// Runs a copy that anybody may execute, as a user without privileges.
pub fn run_as_nobody(leaktrace: &PathBuf, words: &[&str]) -> Output {
    let folder = std::env::temp_dir().join(format!("leaktrace-nobody-{}-{}", std::process::id(), words.join("-")));
    std::fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("leaktrace");
    std::fs::copy(leaktrace, &copy).unwrap();
    let output = command(&copy, words).current_dir("/").uid(65_534).gid(65_534).output();
    std::fs::remove_dir_all(&folder).unwrap();
    output.unwrap()
}

/// It refused with status 2, printed no data, and said in few plain words what was wrong.
pub fn refused(output: &Output, mentions: &[&str]) {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), None, "killed: {words}");
    assert_eq!(output.status.code(), Some(2), "stderr: {words}");
    assert!(output.stdout.is_empty(), "data in spite of a refusal: {}", String::from_utf8_lossy(&output.stdout));
    assert!(!words.trim().is_empty(), "refused without a word");
    assert!(!words.contains("panicked") && !words.contains("RUST_BACKTRACE"), "a panic is no message: {words}");
    // One sentence; the parser's hint at --help may stand below it.
    assert!(words.lines().filter(|line| !line.trim().is_empty()).count() <= 4, "too many words: {words}");
    let lower = words.to_lowercase();
    for group in mentions {
        let any = group.split('|').any(|word| lower.contains(&word.to_lowercase()));
        assert!(any, "does not mention {group}: {words}");
    }
}

/// It ended with status 0 and printed one whole JSON report.
pub fn reported(output: &Output) -> serde_json::Value {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{:?}, stderr: {words}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("no JSON: {error}, stderr: {words}"))
}

/// A fresh empty folder, gone on drop.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leaktrace-test-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
