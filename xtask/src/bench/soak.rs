//! `bench soak`: leaktrace for minutes or hours at full churn. Is its memory steady, is every socket counted, is a slow leak found?
//!
//! The load has a network namespace to itself, so that the kernel's own counters there are about nothing else: `ActiveOpens`
//! counts connects that sent a SYN (`tcp_connect`), `PassiveOpens` connections that a listener completed
//! (`tcp_create_openreq_child`). On loopback each connection counts once in both, and leaktrace must have seen as many.
//! leaktrace records; when it found the leak is read off the recording afterwards.

mod counts;
mod files;
mod memory;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::load;
use super::process::{Running, end_with_us};
use super::tracer::Subject;
use crate::project;
use counts::{Kernel, Seen};
use files::Files;
use memory::{Memory, Moment};

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    /// How long, such as 90s, 10m or 2h
    #[arg(long = "for", value_name = "DUR", default_value = "10m", value_parser = parse_span)]
    span: Duration,
    /// A connection is leaked every so often
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = parse_span)]
    leak_every: Duration,
}

/// How often memory is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// How often a line says how far it is.
const BETWEEN_WORDS: Duration = Duration::from_secs(60);

/// Beyond its time, the load may take this long to end, and so may leaktrace.
const PATIENCE: Duration = Duration::from_secs(60);

/// After the load's end: a sample at the default interval, and one more.
const SETTLING: Duration = Duration::from_secs(3);

/// The recording is asked this often, at least, when the leak was found.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(10);

/// However long the recording, it is asked no more often than this.
const MOST_QUESTIONS: u32 = 120;

/// Measures.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    ensure!(options.span >= Duration::from_secs(30), "--for must be 30 s at least: memory has to settle first");
    load::build(&["churn"])?;
    let files = Files::new();
    let mut tracer = start_tracer(subject, &files)?;
    let mut load = Load::start(options)?;
    let (memory, said) = watch(&mut tracer, &mut load, options.span)?;
    // While the load still has the namespace, and what it leaked.
    let kernel = Kernel::of_process(load.running.id())?;
    let cpu = tracer.cpu()?;
    thread::sleep(SETTLING);
    tracer.interrupt()?;
    let status = tracer.wait_for_end(PATIENCE)?;
    ensure!(status.success(), "leaktrace ended with {status}");
    let report = files.report()?;
    let seen = Seen::of(&report, load.running.id());
    drop(load);
    let found = when_found(subject, &files, options.span)?;
    print(&said, &kernel, &seen, &report, options);
    let memory = memory.summary()?;
    if seen.foreign > 0 {
        println!("{:<12}{} call sites of other programs were seen meanwhile, and named", "", seen.foreign);
    }
    let share = |span: Duration| 100.0 * span.as_secs_f64() / options.span.as_secs_f64();
    println!("processor  {:.2} % of a core in user space, {:.2} % in the kernel", share(cpu.user), share(cpu.system));
    print_found(found, &seen);
    Ok(json!({
        "user_cpu_percent": share(cpu.user), "system_cpu_percent": share(cpu.system),
        "seconds": options.span.as_secs_f64(), "leak_every_s": options.leak_every.as_secs_f64(), "load": said,
        "memory": memory, "kernel": kernel.to_json(), "leaktrace": seen.to_json(), "health": report["health"],
        "leak_found_after_s": found.map(|span| span.as_secs_f64()),
    }))
}

/// Starts leaktrace, and returns when its hooks are attached.
fn start_tracer(subject: &Subject, files: &Files) -> Result<Running> {
    let mut command = subject.command("record", &["--format", "json"]);
    command.arg("-o").arg(&files.recording).arg("--report").arg(&files.report);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", subject.program.display()))?;
    let words = child.stderr.take().context("leaktrace has no standard error")?;
    let running = Running::new(child, "leaktrace");
    let mut words = BufReader::new(words).lines();
    loop {
        match words.next() {
            Some(Ok(line)) if line.contains("watching with") => break,
            Some(Ok(line)) => eprintln!("{line}"),
            Some(Err(_)) | None => bail!("leaktrace ended before it watched; its words are above"),
        }
    }
    // Whatever else it says; a closed pipe would be an error to it.
    thread::spawn(move || words.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
    Ok(running)
}

/// The load in its namespace; it is ended when this is dropped.
struct Load {
    running: Running,
    line: mpsc::Receiver<String>,
}

impl Load {
    fn start(options: &Options) -> Result<Self> {
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
            .arg(project::release_program("churn"))
            .args(["--seconds", &options.span.as_secs_f64().to_string()])
            .args(["--leak-every", &options.leak_every.as_secs_f64().to_string()]);
        let mut child: Child = end_with_us(&mut command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the load: unshare(1) of util-linux and ip(8) of iproute2 are needed")?;
        let output = child.stdout.take().context("churn has no output")?;
        // Its input stays open with it: its end would end the load.
        let running = Running::new(child, "churn");
        let (tell, line) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            if BufReader::new(output).read_line(&mut text).is_ok() {
                // The run is over: no thread waits any more.
                let _ = tell.send(text);
            }
        });
        Ok(Self { running, line })
    }
}

/// Looks at memory until the load has done its work, and gives what it says of that.
fn watch(tracer: &mut Running, load: &mut Load, span: Duration) -> Result<(Memory, Value)> {
    let begun = Instant::now();
    let mut memory = Memory::over(span);
    let mut next_words = BETWEEN_WORDS;
    loop {
        match load.line.recv_timeout(BETWEEN_LOOKS) {
            Ok(line) => {
                let said = serde_json::from_str(&line).context("churn printed no JSON: it says why above")?;
                return Ok((memory, said));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("churn ended without a word"),
        }
        tracer.still_runs()?;
        let at = begun.elapsed();
        ensure!(at < span + PATIENCE, "churn has not ended in its time");
        let moment = Moment { at, resident: tracer.resident()?.now, maps: tracer.map_bytes()? };
        memory.push(moment);
        if at >= next_words {
            next_words += BETWEEN_WORDS;
            let opened = Kernel::of_process(load.running.id())?.active;
            eprintln!("{:>4} min  {opened:>12} connections  {moment}", at.as_secs() / 60);
        }
    }
}

/// How far the recording had come when the leak was `growing`; `None` if it never was.
fn when_found(subject: &Subject, files: &Files, span: Duration) -> Result<Option<Duration>> {
    let step = BETWEEN_QUESTIONS.max(span / MOST_QUESTIONS);
    let recording = files.recording.to_str().context("the temporary folder has a name that is no text")?;
    let mut at = step;
    while at <= span + step {
        let report = subject.report(&["--replay", recording, "--duration", &format!("{}ms", at.as_millis())])?;
        if counts::leak_is_growing(&report) {
            return Ok(Some(at));
        }
        at += step;
    }
    Ok(None)
}

fn print(said: &Value, kernel: &Kernel, seen: &Seen, report: &Value, options: &Options) {
    println!(
        "{:.0} s of {:.0} connections/s: {} closed, {} leaked, one every {:.0} s, {} failed",
        options.span.as_secs_f64(),
        said["connections_per_second"].as_f64().unwrap_or_default(),
        said["connections"],
        said["leaked"],
        options.leak_every.as_secs_f64(),
        said["failed"]
    );
    println!(
        "opened     leaktrace {} connects, {} accepts; the kernel {} and {}; difference {} and {}",
        seen.connects.opened,
        seen.accepts.opened,
        kernel.active,
        kernel.passive,
        signed(seen.connects.opened, kernel.active),
        signed(seen.accepts.opened, kernel.passive)
    );
    for (name, side) in [("connects", seen.connects), ("accepts", seen.accepts)] {
        println!(
            "{name:<11}{} opened = {} closed + {} open, difference {}",
            side.opened,
            side.closed,
            side.open,
            side.imbalance()
        );
    }
    println!("unknown    {} open ones of the load are of unknown origin", seen.open_unknown);
    println!("lost       {}", report["health"]["lost"]);
}

fn print_found(found: Option<Duration>, seen: &Seen) {
    match found {
        Some(span) => println!("leak       growing within {:.0} s of watching", span.as_secs_f64()),
        None => println!("leak       never growing"),
    }
    println!("           {} other call sites of the load are growing at the end", seen.others_growing);
}

/// How much more the first is than the second.
fn signed(ours: u64, theirs: u64) -> i128 {
    i128::from(ours) - i128::from(theirs)
}

/// `90s`, `10m`, `2h`.
fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no duration such as 90s, 10m or 2h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_its_unit() {
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("12m"), Ok(Duration::from_secs(720)));
        assert_eq!(parse_span("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "m", "0s", "1d", "-1s", "1µ", "99999999999999999h"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_difference_has_a_sign() {
        assert_eq!((signed(2, 5), signed(5, 2), signed(u64::MAX, 0)), (-3, 3, i128::from(u64::MAX)));
    }
}
