//! One virtual machine: starts it, reads its console, ends it. Says how it ended, never what that means.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{Console, Kernel};

/// Printed by the machine when its job begins, before the kernel's release.
pub const BEGIN: &str = "leaktrace-vm begins";
/// Printed by the machine when its job is done, before the exit status.
pub const END: &str = "leaktrace-vm ends";

/// For all that one machine does. A boot takes seconds, the suite minutes: 23 on a slow host with 2 cores (1,374 s for 6.12,
/// two machines at once).
const TIME_LIMIT: Duration = Duration::from_secs(3600);

/// `no_timer_check`: on a busy host the emulated timer is late, and the kernel gives up with "IO-APIC + timer doesn't work".
const KERNEL_ARGUMENTS: &str = "console=ttyS0 panic=-1 quiet no_timer_check";

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The job's exit status.
    Finished(i32),
    /// The kernel or QEMU died before the job was done.
    Died,
    /// It did not end by itself.
    TimedOut,
    /// It could not be run, or be heard to its end; with the reason.
    Lost(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished(status) => write!(f, "exit status {status}"),
            Self::Died => f.write_str("the machine died"),
            Self::TimedOut => write!(f, "not done after {} s", TIME_LIMIT.as_secs()),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

/// What came of one kernel.
#[derive(Debug)]
pub struct Outcome {
    /// The kernel's name in the matrix.
    pub kernel: String,
    /// How it ended, the second time if there was one.
    pub end: End,
    /// All that the console said.
    pub console: Vec<String>,
    /// Where the console is kept.
    pub log: PathBuf,
    /// How often the machine died and was started again.
    pub retries: u32,
    /// From power on to power off.
    pub seconds: f64,
}

impl Outcome {
    /// What the job printed.
    pub fn output(&self) -> String {
        let job = self.console.iter().skip_while(|line| !line.contains(BEGIN)).skip(1);
        job.take_while(|line| !line.starts_with(END)).map(|line| format!("{line}\n")).collect()
    }
}

/// Boots a kernel; once more if the machine dies, which emulation without KVM now and then does. What cannot be run is an
/// outcome as well: the other machines' shall not be lost with it.
pub fn boot_with_retry(kernel: &Kernel, initramfs: &Path, folder: &Path, console: Console) -> Outcome {
    let mut outcome = boot(kernel, initramfs, folder, console);
    if outcome.end == End::Died {
        eprintln!("vm: {} died, starting it once more (console in {})", kernel.name, outcome.log.display());
        if let Err(error) = fs::rename(&outcome.log, outcome.log.with_extension("first.log")) {
            eprintln!("vm: {}: its first console will be written over: {error}", kernel.name);
        }
        outcome = boot(kernel, initramfs, folder, console);
        outcome.retries = 1;
    }
    eprintln!("vm: {}: {} after {:.0} s", kernel.name, outcome.end, outcome.seconds);
    outcome
}

fn boot(kernel: &Kernel, initramfs: &Path, folder: &Path, console: Console) -> Outcome {
    let log = folder.join(format!("{}.log", kernel.name));
    let start = Instant::now();
    let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()));
    let heard = file.and_then(|file| attend(start_qemu(kernel, initramfs)?, start, &kernel.name, file, console));
    let (console, end) = heard.unwrap_or_else(|error| (Vec::new(), End::Lost(format!("{error:#}"))));
    Outcome { kernel: kernel.name.clone(), end, console, log, retries: 0, seconds: start.elapsed().as_secs_f64() }
}

/// Hears a machine to its end; whatever becomes of that, it is gone afterwards.
fn attend(mut qemu: Child, start: Instant, name: &str, log: File, console: Console) -> Result<(Vec<String>, End)> {
    let output = qemu.stdout.take().context("QEMU has no output");
    let heard = output.and_then(|output| listen(&follow(output), start, name, log, console));
    // One that ended by itself is not hurt by it.
    qemu.kill().and_then(|()| qemu.wait()).context("cannot end QEMU")?;
    heard
}

fn start_qemu(kernel: &Kernel, initramfs: &Path) -> Result<Child> {
    let mut qemu = Command::new("qemu-system-x86_64");
    // Without cx16: QEMU emulates cmpxchg16b wrongly now and then, and the kernel dies of a double fault.
    qemu.args(["-accel", "tcg", "-cpu", "max,-cx16", "-smp", "2", "-m", "1536"]);
    qemu.args(["-nographic", "-nic", "none", "-no-reboot", "-append", KERNEL_ARGUMENTS]);
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    qemu.spawn().context("cannot start qemu-system-x86_64; run `cargo xtask setup --for test`")
}

/// The console's lines, read on a thread of their own so that waiting for one can end.
fn follow(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}

fn listen(
    lines: &Receiver<String>,
    start: Instant,
    name: &str,
    mut log: File,
    console: Console,
) -> Result<(Vec<String>, End)> {
    let (mut said, mut end) = (Vec::new(), End::Died);
    loop {
        match lines.recv_timeout(TIME_LIMIT.saturating_sub(start.elapsed())) {
            Ok(line) => {
                writeln!(log, "{line}")?;
                if console == Console::Print {
                    println!("{name} │ {line}");
                }
                if let Some(status) = line.strip_prefix(END).and_then(|rest| rest.trim().parse().ok()) {
                    end = End::Finished(status);
                }
                said.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok((said, end)),
            Err(RecvTimeoutError::Timeout) if matches!(end, End::Finished(_)) => return Ok((said, end)),
            Err(RecvTimeoutError::Timeout) => return Ok((said, End::TimedOut)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_whose_console_cannot_be_kept_does_not_run_on() -> Result<()> {
        let mut command = Command::new("sh");
        let machine = command.args(["-c", "echo a; exec sleep 600"]).stdout(Stdio::piped()).spawn()?;
        let process = Path::new("/proc").join(machine.id().to_string());
        let full = File::options().write(true).open("/dev/full")?;
        let heard = attend(machine, Instant::now(), "any", full, Console::KeepForFailures);
        assert!(heard.is_err() && !process.exists(), "{heard:?}");
        Ok(())
    }

    #[test]
    fn a_machine_that_cannot_be_run_is_an_outcome() {
        let kernel = Kernel { name: "any".to_owned(), image: PathBuf::new() };
        let nowhere = Path::new("/nowhere");
        let outcome = boot_with_retry(&kernel, nowhere, nowhere, Console::KeepForFailures);
        assert!(matches!(&outcome.end, End::Lost(why) if why.contains("cannot write /nowhere/any.log")), "{outcome:?}");
    }
}
