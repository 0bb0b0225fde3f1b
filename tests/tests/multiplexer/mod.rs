//! A terminal to run programs in and to look at: a tmux server of its own, which reads no configuration and meets no other.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How long a screen may take to show what is expected of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two readings of it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether there is a tmux to run.
pub fn is_there() -> bool {
    Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success())
}

/// One terminal with one program in it. Dropping it ends both.
pub struct Terminal {
    server: String,
}

impl Terminal {
    /// Runs a line of shell in a terminal of that many columns and rows.
    pub fn start(name: &str, (columns, rows): (u16, u16), shell: &str) -> Self {
        let terminal = Self { server: format!("leaktrace-{}-{name}", std::process::id()) };
        let size = [columns.to_string(), rows.to_string()];
        // What the line prints at its end must be seen before the terminal goes.
        let line = format!("{shell}\nexec sleep 600");
        let words = ["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1], "sh", "-c", &line];
        let output = terminal.tmux(&words);
        assert!(output.status.success(), "tmux: {}", String::from_utf8_lossy(&output.stderr));
        terminal
    }

    fn tmux(&self, words: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        command.args(["-u", "-L", &self.server]).args(words).output().unwrap()
    }

    /// Presses a key that has a name, such as `Enter`.
    pub fn press(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).status.success(), "cannot press {key}");
    }

    /// Types text.
    pub fn enter(&self, text: &str) {
        assert!(self.tmux(&["send-keys", "-l", text]).status.success(), "cannot type {text}");
    }

    /// Makes it another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let words = ["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()];
        assert!(self.tmux(&words).status.success(), "cannot resize");
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// What tmux says of the terminal, by its names: `alternate_on`, `cursor_flag`, `mouse_any_flag`.
    pub fn state(&self, names: &str) -> String {
        let output = self.tmux(&["display-message", "-p", names]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until the screen is as expected, and gives it.
    pub fn wait_until(&self, expected: &str, is_so: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(start.elapsed() < PATIENCE, "never came: {expected}; the screen is\n{screen}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until the screen shows all of these.
    pub fn wait_for(&self, texts: &[&str]) -> String {
        self.wait_until(&texts.join(", "), |screen| texts.iter().all(|text| screen.contains(text)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
