//! A scenario program as the suite sees it: starts it, reads what it says, gives it cues, ends it.

use crate::scenarios::stage::Limits;
use crate::truth::Truth;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long a program may take to get its sockets in place. Generous, for an emulated processor that runs dozens of others.
const PATIENCE: Duration = Duration::from_secs(600);

/// One running program.
#[derive(Debug)]
pub struct ScenarioChild {
    /// Its name in the catalogue.
    pub name: String,
    /// What it last said.
    pub truth: Truth,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl ScenarioChild {
    /// Starts a program; [`ScenarioChild::listen`] waits for its truth.
    ///
    /// # Errors
    /// When the command cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("a child without stdout")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        Ok(Self { name: name.to_owned(), truth: Truth::default(), child, stdin, lines })
    }

    /// Starts a scenario program.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn scenario(scenarios: &Path, name: &str) -> Result<Self> {
        Self::start(name, Command::new(scenarios).arg(name))
    }

    /// The same for a tracer with other limits, below which controls stay.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn within(scenarios: &Path, name: &str, limits: Limits) -> Result<Self> {
        let [stall, idle] = [limits.stall, limits.idle].map(|span| span.as_millis().to_string());
        Self::start(name, Command::new(scenarios).args([name, "--stall-ms", &stall, "--idle-ms", &idle]))
    }

    /// Waits for the next line of truth.
    ///
    /// # Errors
    /// When the program died, said something else, or took too long.
    pub fn listen(&mut self) -> Result<&Truth> {
        let line = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => bail!("{} says nothing", self.name),
            Err(RecvTimeoutError::Disconnected) => bail!("{} ended early", self.name),
        };
        self.truth = serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.name))?;
        Ok(&self.truth)
    }

    /// Lets it end without waiting for it, so that many can end at once before they are dropped.
    pub fn release(&mut self) {
        drop(self.stdin.take());
    }

    /// Gives a cue.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn say(&mut self, word: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        writeln!(stdin, "{word}").with_context(|| format!("{} does not listen", self.name))
    }
}

impl Drop for ScenarioChild {
    fn drop(&mut self) {
        // Closing stdin ends it; one that does not end by itself is killed.
        drop(self.stdin.take());
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
