//! `suite`: runs every scenario on every kind of hook, here, and prints a table.
//!
//! `suite [--hooks fentry,kprobe,tracepoint] [--in-vm] [--short] [--only NAME]… [--symbols|--no-symbols] [--keep FOLDER] [--list]`
//! `suite --prepare-programs FOLDER` puts the programs of every language there, for machines without compilers, and
//! prints which files their interpreters read.
//! `$LEAKTRACE` is the program under test; the scenario programs are found beside this program. Exits with 1 when a cell failed
//! or was skipped unexpectedly, with 2 when the suite cannot run.

use anyhow::{Context, Result};
use leaktrace_tests::scenarios::stage::LIFE_VARIABLE;
use leaktrace_tests::suite::cells::Cells;
use leaktrace_tests::suite::check::terms::Symbols;
use leaktrace_tests::suite::run::{Suite, Whole};
use leaktrace_tests::suite::skips::Place;
use leaktrace_tests::suite::workshop::Workshop;
use leaktrace_tests::suite::{languages, locked_down, scenario, tracer};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("suite: {error:#}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    hooks: Vec<String>,
    place: Place,
    short: bool,
    only: Vec<String>,
    symbols: Symbols,
    keep: Option<PathBuf>,
    list: bool,
    prepare: Option<PathBuf>,
}

fn options() -> Result<Options> {
    let hooks = ["fentry", "kprobe", "tracepoint"].map(str::to_owned).to_vec();
    let (place, symbols) = (Place::Host, Symbols::Expected);
    let (only, short) = (Vec::new(), false);
    let mut options = Options { hooks, place, short, only, symbols, keep: None, list: false, prepare: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} wants a value"));
        match word.as_str() {
            "--hooks" => options.hooks = value()?.split(',').map(str::to_owned).collect(),
            // An emulated processor is too slow to place every stack before its process runs on.
            "--in-vm" => (options.place, options.symbols) = (Place::Vm, Symbols::OfLanguages),
            "--symbols" => options.symbols = Symbols::Expected,
            "--short" => options.short = true,
            "--only" => options.only.push(value()?),
            "--no-symbols" => options.symbols = Symbols::Ignored,
            "--keep" => options.keep = Some(value()?.into()),
            "--prepare-programs" => options.prepare = Some(value()?.into()),
            "--list" => options.list = true,
            _ => anyhow::bail!("no option {word}"),
        }
    }
    Ok(options)
}

fn run() -> Result<bool> {
    let options = options()?;
    if let Some(folder) = &options.prepare {
        for file in languages::prepare_all(folder)? {
            println!("{}", file.display());
        }
        return Ok(true);
    }
    let scenarios = match (options.only.is_empty(), options.short) {
        (false, _) => scenario::named(&options.only),
        (true, true) => scenario::short(),
        (true, false) => scenario::all(),
    };
    anyhow::ensure!(!scenarios.is_empty(), "no scenario's name contains {:?}", options.only);
    if options.list {
        for scenario in scenarios {
            println!("{:?} {:?} {}", scenario.kind, scenario.started, scenario.name);
        }
        return Ok(true);
    }
    anyhow::ensure!(nix::unistd::geteuid().is_root(), "only root may watch every process: run it with sudo");
    let leaktrace = tracer::find().context("no leaktrace: set LEAKTRACE to the program under test")?;
    let program = std::env::current_exe().context("which program is this?")?.with_file_name("scenarios");
    anyhow::ensure!(program.is_file(), "{} is missing", program.display());
    if options.place == Place::Vm {
        // As long as the machine itself may take (xtask, `vm::outcome::TIME_LIMIT`): what was started first must still be there when
        // all are judged.
        // SAFETY: no other thread exists yet.
        unsafe { std::env::set_var(LIFE_VARIABLE, "3600") };
    }
    let whole = if options.only.is_empty() { Whole::Run } else { Whole::Leave };
    let Options { place, symbols, ref keep, .. } = options;
    let keep = keep.clone();
    let suite = Suite { leaktrace, program, workshop: Workshop::open()?, place, symbols, scenarios, whole, keep };
    let mut cells = Cells::default();
    let begin = Instant::now();
    for hook in &options.hooks {
        suite.run_hook(hook, &mut cells).with_context(|| format!("on {hook}"))?;
    }
    if let Some(hook) = options.hooks.last().filter(|_| options.place == Place::Vm) {
        locked_down::run(&suite.leaktrace, hook, &mut cells)?;
    }
    println!("{}", cells.table());
    println!("in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(cells.good())
}
