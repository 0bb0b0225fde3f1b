//! One kind of hook: the README's own command first, then every scenario under one tracer.

use super::act::{Act, State, cue};
use super::cells::{Cells, Result as Outcome};
use super::check;
use super::check::terms::{Started, Symbols, Terms};
use super::child::ScenarioChild;
use super::kernel;
use super::languages;
use super::opinion;
use super::real;
use super::report::Report;
use super::samples::Samples;
use super::scenario::Scenario;
use super::skips::{Place, hook_may_be_missing, program_may_be_missing};
use super::tracer::Tracer;
use super::whole;
use super::workshop::Workshop;
use crate::scenarios::Kind;
use crate::scenarios::stage::Limits;
use crate::truth::Truth;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Everything that is the same for all hooks.
#[derive(Debug)]
pub struct Suite {
    /// The program under test.
    pub leaktrace: PathBuf,
    /// The program that has all scenarios.
    pub program: PathBuf,
    /// Where real programs are built, once for all hooks.
    pub workshop: Workshop,
    /// Host or virtual machine.
    pub place: Place,
    /// Function names on stacks.
    pub symbols: Symbols,
    /// What to run.
    pub scenarios: Vec<Scenario>,
    /// Whether whole-report scenarios and the README's own command are run as well.
    pub whole: Whole,
    /// Where the last report of each hook is kept, for reading after a failure.
    pub keep: Option<PathBuf>,
}

/// Scenarios without a program of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// All of them.
    Run,
    /// None: only named scenarios are wanted.
    Leave,
}

/// `--interval` of the common run.
const INTERVAL: Duration = Duration::from_millis(500);

/// Samples before programs are cued that wait to be sampled: one in which each process was seen, and one more.
const FIRST_SAMPLES: usize = 2;

/// Samples of programs in place. Growth is judged from 12 on; twice as many leave some for sockets that are above the threshold.
const SAMPLES: usize = 24;

/// Samples after leaks were mended: two walks over the kernel's tables, of which `--walk-every 3` makes one in three.
const LAST_SAMPLES: usize = 6;

/// How long samples are waited for: not for a slow machine, but for a tracer that hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// By how much spans are exceeded before the report is asked for.
const MARGIN: Duration = Duration::from_secs(2);

impl Suite {
    /// Runs everything on one kind of hook.
    ///
    /// # Errors
    /// When the suite itself fails; what leaktrace does wrong goes into `cells`.
    pub fn run_hook(&self, hook: &str, cells: &mut Cells) -> Result<()> {
        // A start costs an emulated processor half a minute of verifying, so there is only one.
        if self.whole == Whole::Run && self.place == Place::Host && !self.readme_command(hook, cells)? {
            return Ok(());
        }
        self.common_run(hook, cells)
    }

    /// Passes over records go by iterators, and by lists where a kernel forbids those: in virtual machines, of three kinds of
    /// hooks the last goes by lists. Kernels before 5.17 have none. On 7.2, in one of two runs that were made by lists, the kernel
    /// refused a record to three sockets, why is not known; until it is, this leaves out what came after 6.14, such as its new locks.
    fn variables(&self, hook: &str) -> &'static [(&'static str, &'static str)] {
        let by_lists =
            self.place == Place::Vm && hook == "tracepoint" && ((5, 17)..(6, 15)).contains(&kernel::version());
        if by_lists { &[("LEAKTRACE_NO_MAP_ITERATORS", "1")] } else { &[] }
    }

    /// What the tracer is set to. An emulated processor may stand still for seconds, so that on it a healthy program pauses for
    /// longer than it means to: all spans are twice as long there.
    fn limits(&self) -> Limits {
        let Limits { stall, idle } = Limits::default();
        self.slower(Limits { stall, idle }, Limits { stall: stall * 2, idle: idle * 2 })
    }

    /// `--threshold` of the common run.
    fn threshold(&self) -> Duration {
        self.limits().stall * 2
    }

    fn terms(&self, started: Started, adoption: Duration) -> Terms {
        let limits = self.limits();
        Terms {
            started,
            threshold_s: self.threshold().as_secs_f64(),
            stall_s: limits.stall.as_secs_f64(),
            idle_s: limits.idle.as_secs_f64(),
            age_margin_s: self.slower(0.5, 2.0),
            adoption_s: adoption.as_secs_f64(),
            symbols: self.symbols,
            home_netns: std::fs::metadata("/proc/self/ns/net").map(|file| file.ino()).unwrap_or_default(),
        }
    }

    /// Whether a program's names are asked for.
    fn names_of(&self, program: &str) -> Symbols {
        match self.symbols {
            Symbols::OfLanguages if languages::find(program).is_some() => Symbols::Expected,
            Symbols::OfLanguages => Symbols::Ignored,
            symbols => symbols,
        }
    }

    fn slower<T>(&self, host: T, vm: T) -> T {
        match self.place {
            Place::Host => host,
            Place::Vm => vm,
        }
    }

    /// `report --duration 5s --threshold 2s` with fifty forgotten connections; false when this kind of hook does not attach.
    fn readme_command(&self, hook: &str, cells: &mut Cells) -> Result<bool> {
        const NAME: &str = "fifty-by-the-book";
        Cells::step(hook, "report --duration 5s");
        let words = ["report", "--duration", "5s", "--threshold", "2s", "--format", "json", "--hooks", hook];
        let mut tracer = Tracer::start(&self.leaktrace, &words)?;
        let attached = tracer.wait_until_attached()?;
        let mut fifty = ScenarioChild::scenario(&self.program, "fifty")?;
        let truth = fifty.listen()?.clone();
        let outcome = tracer.wait()?;
        if !attached || outcome.status.code() == Some(2) {
            cells.add(hook, NAME, self.missing_hook(hook, &outcome.stderr));
            for scenario in &self.scenarios {
                cells.add(hook, &scenario.name, self.missing_hook(hook, &outcome.stderr));
            }
            return Ok(false);
        }
        let result = match outcome.report() {
            Ok((report, _)) => {
                let terms = self.terms(Started::AfterTracer, Duration::ZERO);
                let terms = Terms { threshold_s: 2.0, stall_s: 10.0, idle_s: 60.0, age_margin_s: 0.1, ..terms };
                let complaints = truth.expect.iter().flat_map(|class| check::class(class, &report, &terms));
                verdict(complaints.collect())
            }
            Err(error) => Outcome::Fail(vec![format!("{error:#}")]),
        };
        cells.add(hook, NAME, result);
        Ok(true)
    }

    fn missing_hook(&self, hook: &str, stderr: &str) -> Outcome {
        let words = stderr.trim();
        // A refusal without a reason is a failure anywhere.
        if words.is_empty() {
            return Outcome::Fail(vec!["leaktrace ended with status 2 and no word".into()]);
        }
        match hook_may_be_missing(hook, self.place) {
            true => Outcome::Skip(words.to_owned()),
            false => Outcome::UnexpectedSkip(words.to_owned()),
        }
    }

    /// Every scenario under one tracer.
    fn common_run(&self, hook: &str, cells: &mut Cells) -> Result<()> {
        let scenarios = &self.scenarios;
        // Before anything is started: compilers may take minutes.
        scenarios.iter().try_for_each(|scenario| real::build(&self.workshop, scenario.program))?;
        let mut acts = self.begin(hook, Started::BeforeTracer)?;
        // What the tracer adopts must have been there for a while, or its age would show nothing.
        std::thread::sleep(Duration::from_millis(300));
        Cells::step(hook, "starts leaktrace");
        let limits = self.limits();
        let words =
            [self.threshold(), limits.stall, limits.idle, INTERVAL].map(|span| format!("{}ms", span.as_millis()));
        let [threshold, stall, idle, every] = &words;
        #[rustfmt::skip]
        let words = [
            "report", "--duration", "2h", "--format", "json", "--all", "--hooks", hook, "--threshold", threshold,
            "--stall", stall, "--idle", idle, "--interval", every,
            // So that both kinds of passes take part.
            "--walk-every", "3",
        ];
        let mut tracer = Tracer::start_with(&self.leaktrace, &words, self.variables(hook))?;
        if !tracer.wait_until_attached()? {
            let outcome = tracer.wait()?;
            for scenario in scenarios {
                cells.add(hook, &scenario.name, self.missing_hook(hook, &outcome.stderr));
            }
            return Ok(());
        }
        let attached = Instant::now();
        let mut samples = Samples::of(tracer.pid(), INTERVAL)?;
        let watched = self.watch(hook, &mut samples, &mut acts, attached);
        let objects = tracer.objects();
        Cells::step(hook, "waits for the report");
        // A tracer that has ended has left its report or its error.
        let _ = tracer.signal(Signal::SIGINT);
        let outcome = tracer.wait()?;
        if let Some(folder) = &self.keep {
            let path = folder.join(format!("report-{hook}.json"));
            std::fs::write(&path, &outcome.stdout).with_context(|| format!("cannot write {}", path.display()))?;
        }
        acts.iter_mut().for_each(Act::release);
        let adoption = match watched {
            Ok(adoption) => adoption,
            Err(error) => {
                let stderr = outcome.stderr.trim();
                cells.add(hook, "samples", Outcome::Fail(vec![format!("{error:#}; stderr: {stderr}")]));
                return Ok(());
            }
        };
        match outcome.report() {
            Ok((report, missing)) => {
                if self.whole == Whole::Run {
                    cells.add(hook, "every-name-of-the-contract", verdict(missing));
                    self.judge_whole(hook, &acts, &report, cells);
                    let left = objects.that_stay();
                    let complaints = if left.is_empty() { Vec::new() } else { vec![format!("{left:?}")] };
                    cells.add(hook, "nothing-stays-in-the-kernel", verdict(complaints));
                }
                self.judge_all(hook, &acts, &report, adoption, cells)
            }
            Err(error) => {
                cells.add(hook, "report", Outcome::Fail(vec![format!("{error:#}")]));
                Ok(())
            }
        }
    }

    /// Starts what is to start beside the tracer, gives every cue, and waits for samples. Says how long after its start the tracer
    /// may have seen older sockets first.
    fn watch(&self, hook: &str, samples: &mut Samples, acts: &mut Vec<Act>, attached: Instant) -> Result<Duration> {
        let spans = self.limits().idle.max(self.threshold());
        samples.wait(1, Duration::ZERO, PATIENCE)?;
        let adoption = attached.elapsed() + MARGIN;
        acts.extend(self.begin(hook, Started::AfterTracer)?);
        cue(acts, "go");
        Cells::step(hook, &format!("watches {} programs", acts.len()));
        samples.wait(FIRST_SAMPLES, Duration::ZERO, PATIENCE)?;
        cue(acts, "sampled");
        samples.wait(SAMPLES, spans + MARGIN, PATIENCE)?;
        cue(acts, "mend");
        samples.wait(LAST_SAMPLES, MARGIN, PATIENCE)?;
        Ok(adoption)
    }

    /// What must be true of the whole report.
    fn judge_whole(&self, hook: &str, acts: &[Act], report: &Report, cells: &mut Cells) {
        cells.add(hook, "sums-add-up", verdict(whole::sums(report)));
        cells.add(hook, "listing", verdict(whole::listing(report)));
        cells.add(hook, "nothing-lost", verdict(whole::losses(report, hook)));
        let mended: Vec<Truth> = acts.iter().filter_map(Act::mended).collect();
        cells.add(hook, "resolved-are-counted", verdict(whole::resolved(report, &mended)));
        if self.symbols != Symbols::Ignored {
            let begun = acts.iter().filter(|act| {
                act.scenario.started == Started::AfterTracer && self.names_of(act.scenario.program) == Symbols::Expected
            });
            let stacks = whole::Stacks::count(report, &begun.filter_map(Act::pid).collect());
            println!("{stacks}");
            cells.add(hook, "stacks-complete", verdict(stacks.complaints()));
        }
    }

    /// What must be true of each scenario.
    fn judge_all(
        &self,
        hook: &str,
        acts: &[Act],
        report: &Report,
        adoption: Duration,
        cells: &mut Cells,
    ) -> Result<()> {
        if self.place == Place::Host && self.symbols == Symbols::Expected {
            Cells::step(hook, "compares stacks with gdb's");
            let programs = acts.iter().filter_map(|act| Some((act.scenario.program, act.pid()?)));
            let opinion = opinion::of(programs, report, self.workshop.folder())?;
            opinion.into_iter().for_each(|outcome| cells.add(hook, "gdb-agrees", outcome));
        }
        for act in acts {
            cells.add(hook, &act.scenario.name, self.judge(act, report, adoption));
        }
        Ok(())
    }

    /// Starts all programs of one time and waits until each is in place. At once on a host; one after the other on an emulated
    /// processor, which is too slow for all of them together.
    fn begin(&self, hook: &str, started: Started) -> Result<Vec<Act>> {
        let wanted: Vec<&Scenario> = self.scenarios.iter().filter(|scenario| scenario.started == started).collect();
        Cells::step(hook, &format!("starts {} programs", wanted.len()));
        let mut acts = Vec::new();
        for scenario in wanted {
            let state = match real::start(&self.workshop, &self.program, scenario.program, self.limits())? {
                real::Started::Running(child) => State::Running(child),
                real::Started::Missing(truth) => State::Missing(truth),
            };
            let mut act = Act::new(scenario.clone(), state);
            if self.place == Place::Vm {
                act.await_place();
            }
            acts.push(act);
        }
        if self.place == Place::Host {
            acts.iter_mut().for_each(Act::await_place);
        }
        Ok(acts)
    }

    fn judge(&self, act: &Act, report: &Report, adoption: Duration) -> Outcome {
        let truth = match &act.state {
            State::Running(child) => &child.truth,
            State::Missing(truth) => truth,
            State::Broken(why) => return Outcome::Fail(vec![why.clone()]),
        };
        if let Some(reason) = &truth.skip {
            return match program_may_be_missing(act.scenario.program, self.place) {
                true => Outcome::Skip(reason.clone()),
                false => Outcome::UnexpectedSkip(reason.clone()),
            };
        }
        // A listener's sockets that come after the tracer are adopted only if their accept began before it.
        let started = match act.scenario.cue {
            Some(_) => Started::AfterTracer,
            None => act.scenario.started,
        };
        let terms = Terms { symbols: self.names_of(act.scenario.program), ..self.terms(started, adoption) };
        let mut complaints: Vec<String> =
            truth.expect.iter().flat_map(|class| check::class(class, report, &terms)).collect();
        complaints.extend(truth.processes.iter().flat_map(|process| check::process(process, report)));
        if act.scenario.kind == Kind::Control {
            complaints.extend(check::innocence(truth, report));
        }
        verdict(complaints)
    }
}

fn verdict(complaints: Vec<String>) -> Outcome {
    match complaints.is_empty() {
        true => Outcome::Pass,
        false => Outcome::Fail(complaints),
    }
}
