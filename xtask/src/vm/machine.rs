//! One virtual machine: starts it, reads its console, ends it. Reports how it ended and does not judge that.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::kernels::Kernel;
use super::outcome::{END, End, Outcome, TIME_LIMIT};
use super::request::Console;
use crate::progress::{Progress, SuiteProgress};

/// `no_timer_check`: on a busy host the emulated timer is late, and the kernel gives up with "IO-APIC + timer doesn't work".
const KERNEL_ARGUMENTS: &str = "console=ttyS0 panic=-1 quiet no_timer_check";

/// Boots a kernel. A machine that dies before its job begins is booted once more, which is counted: emulation without KVM fails
/// now and then while a kernel boots. A machine that dies later is not started again.
///
/// A machine that cannot be run is an outcome too, so that the results of the other machines are kept.
pub fn boot(kernel: &Kernel, initramfs: &Path, folder: &Path, console: Console, progress: &Progress) -> Outcome {
    let mut outcome = boot_once(kernel, initramfs, folder, console, progress);
    if outcome.end == End::Died && !outcome.has_booted() {
        eprintln!("vm: {} died while it booted; booting it again (console in {})", kernel.name, outcome.log.display());
        if let Err(error) = fs::rename(&outcome.log, outcome.log.with_extension("first.log")) {
            eprintln!("vm: {}: the console of the first boot will be overwritten: {error}", kernel.name);
        }
        outcome = boot_once(kernel, initramfs, folder, console, progress);
        outcome.boots_repeated = 1;
    }
    eprintln!("vm: {}: {} after {:.0} s", kernel.name, outcome.end, outcome.seconds);
    outcome
}

fn boot_once(kernel: &Kernel, initramfs: &Path, folder: &Path, console: Console, progress: &Progress) -> Outcome {
    let log = folder.join(format!("{}.log", kernel.name));
    let start = Instant::now();
    let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()));
    let mut reader = ConsoleReader { name: &kernel.name, console, suite: SuiteProgress::new(progress, &kernel.name) };
    let read = file.and_then(|file| attend(start_qemu(kernel, initramfs)?, start, file, &mut reader));
    reader.suite.end();
    let (console, end) = read.unwrap_or_else(|error| (Vec::new(), End::Lost(format!("{error:#}"))));
    let seconds = start.elapsed().as_secs_f64();
    Outcome { kernel: kernel.name.clone(), end, console, log, boots_repeated: 0, seconds }
}

/// Reads a machine's console to the end. The machine is gone afterwards, also after an error.
fn attend(mut qemu: Child, start: Instant, log: File, reader: &mut ConsoleReader<'_>) -> Result<(Vec<String>, End)> {
    let output = qemu.stdout.take().context("QEMU has no output");
    let read = output.and_then(|output| reader.read(&follow(output), start, log));
    // Does nothing to a machine that ended by itself.
    qemu.kill().and_then(|()| qemu.wait()).context("cannot end QEMU")?;
    read
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

/// What happens to each line of a console.
struct ConsoleReader<'a> {
    name: &'a str,
    console: Console,
    suite: SuiteProgress<'a>,
}

impl ConsoleReader<'_> {
    fn read(&mut self, lines: &Receiver<String>, start: Instant, mut log: File) -> Result<(Vec<String>, End)> {
        let (mut console, mut end) = (Vec::new(), End::Died);
        loop {
            match lines.recv_timeout(TIME_LIMIT.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    writeln!(log, "{line}")?;
                    if self.console == Console::Print {
                        println!("{} │ {line}", self.name);
                    }
                    self.suite.line(&line);
                    if let Some(status) = line.strip_prefix(END).and_then(|rest| rest.trim().parse().ok()) {
                        end = End::Finished(status);
                    }
                    console.push(line);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok((console, end)),
                Err(RecvTimeoutError::Timeout) if matches!(end, End::Finished(_)) => return Ok((console, end)),
                Err(RecvTimeoutError::Timeout) => return Ok((console, End::TimedOut)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_machine_whose_console_cannot_be_kept_does_not_run_on() -> Result<()> {
        let mut command = Command::new("sh");
        let machine = command.args(["-c", "echo a; exec sleep 600"]).stdout(Stdio::piped()).spawn()?;
        let process = Path::new("/proc").join(machine.id().to_string());
        let full = File::options().write(true).open("/dev/full")?;
        let progress = Progress::new(1);
        let suite = SuiteProgress::new(&progress, "any");
        let mut reader = ConsoleReader { name: "any", console: Console::KeepForFailures, suite };
        let read = attend(machine, Instant::now(), full, &mut reader);
        assert!(read.is_err() && !process.exists(), "{read:?}");
        Ok(())
    }

    #[test]
    fn a_machine_that_cannot_be_run_is_an_outcome() {
        let kernel = Kernel { name: "any".to_owned(), image: PathBuf::new() };
        let nowhere = Path::new("/nowhere");
        let outcome = boot(&kernel, nowhere, nowhere, Console::KeepForFailures, &Progress::new(1));
        assert!(matches!(&outcome.end, End::Lost(why) if why.contains("cannot write /nowhere/any.log")), "{outcome:?}");
    }
}
