//! Says on stderr what is running, how long each part took, and how many parts are left.
//!
//! One line for each event and no cursor movement: the same text is read on a terminal and in a log.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::results::cell::Cell;
use crate::results::count::Count;

/// A run in parts, such as one kind of hook on one kernel. Parts may run at the same time.
pub struct Progress {
    expected: AtomicUsize,
    begun: AtomicUsize,
    done: AtomicUsize,
    start: Instant,
}

impl Progress {
    /// A run that has this number of parts, as far as is known.
    pub fn new(expected: usize) -> Self {
        let (begun, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { expected: AtomicUsize::new(expected), begun, done, start: Instant::now() }
    }

    /// Begins a part and says so.
    pub fn part(&self, name: impl Into<String>) -> Part<'_> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        // A kind of hook that was not expected makes the run one part longer.
        let expected = self.expected.fetch_max(number, Ordering::Relaxed).max(number);
        let part = Part { progress: self, name: name.into(), start: Instant::now() };
        eprintln!("[{number} of {expected}] {}", part.name);
        part
    }

    fn left(&self) -> usize {
        self.expected.load(Ordering::Relaxed).saturating_sub(self.done.load(Ordering::Relaxed))
    }
}

/// A part that runs.
pub struct Part<'a> {
    progress: &'a Progress,
    name: String,
    start: Instant,
}

impl Part<'_> {
    /// Says what the part does now.
    pub fn step(&self, text: &str) {
        eprintln!("    {}: {text} ({:.0} s)", self.name, self.start.elapsed().as_secs_f64());
    }

    /// Ends the part and says how it went.
    pub fn done(self, result: &str) {
        let Self { progress, name, start } = self;
        progress.done.fetch_add(1, Ordering::Relaxed);
        let (took, so_far) = (start.elapsed().as_secs_f64(), progress.start.elapsed().as_secs_f64());
        eprintln!("    {name}: {result} in {took:.0} s; {} parts left, {so_far:.0} s so far", progress.left());
    }
}

/// Follows the lines of one suite, whose parts are its kinds of hook.
pub struct SuiteProgress<'a> {
    progress: &'a Progress,
    place: String,
    current: Option<(String, Part<'a>, Count)>,
}

impl<'a> SuiteProgress<'a> {
    /// For the suite that runs in `place`, such as `this host` or a kernel.
    pub fn new(progress: &'a Progress, place: &str) -> Self {
        Self { progress, place: place.to_owned(), current: None }
    }

    /// Takes in one line of the suite's output: `step HOOK TEXT` or a cell. Other lines change nothing.
    pub fn line(&mut self, line: &str) {
        if let Some((hook, text)) = line.strip_prefix("step ").and_then(|rest| rest.split_once(' ')) {
            self.part_of(hook).0.step(text);
        } else if let Some(cell) = Cell::parse(line) {
            self.part_of(&cell.hook).1.add(&cell);
        }
    }

    /// Ends the last part.
    pub fn end(&mut self) {
        if let Some((_, part, count)) = self.current.take() {
            part.done(&count.to_string());
        }
    }

    fn part_of(&mut self, hook: &str) -> (&Part<'a>, &mut Count) {
        if self.current.as_ref().is_some_and(|(known, ..)| known != hook) {
            self.end();
        }
        let (progress, place) = (self.progress, &self.place);
        let begin = || (hook.to_owned(), progress.part(format!("{place}, {hook}")), Count::default());
        let (_, part, count) = self.current.get_or_insert_with(begin);
        (part, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_hook_is_a_part_and_its_cells_are_counted() {
        let progress = Progress::new(3);
        let mut suite = SuiteProgress::new(&progress, "5.10");
        for line in ["step fentry starts 3 programs", "cell fentry fifty PASS", "cell kprobe fifty PASS", "in 3 s"] {
            suite.line(line);
        }
        assert_eq!((progress.begun.load(Ordering::Relaxed), progress.left()), (2, 2));
        suite.end();
        assert_eq!(progress.left(), 1);
    }

    #[test]
    fn more_parts_than_expected_leave_none_below_zero() {
        let progress = Progress::new(0);
        progress.part("checks").done("PASS 3");
        assert_eq!((progress.expected.load(Ordering::Relaxed), progress.left()), (1, 0));
    }
}
