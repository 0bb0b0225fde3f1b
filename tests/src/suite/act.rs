//! One scenario under way: its program, or why there is none.

use super::child::ScenarioChild;
use super::scenario::Scenario;
use crate::scenarios::Kind;
use crate::truth::Truth;

/// A scenario under way.
pub struct Act {
    /// What is played.
    pub scenario: Scenario,
    /// How far it is.
    pub state: State,
    /// What was true before the cue.
    before_cue: Option<Truth>,
}

/// How far a scenario is.
pub enum State {
    /// The program runs.
    Running(ScenarioChild),
    /// The program cannot run here; the truth says why.
    Missing(Truth),
    /// The program failed; with the reason.
    Broken(String),
}

impl Act {
    /// A scenario that has begun.
    pub fn new(scenario: Scenario, state: State) -> Self {
        Self { scenario, state, before_cue: None }
    }

    /// The process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        match &self.state {
            State::Running(child) => Some(child.truth.pid),
            _ => None,
        }
    }

    /// Waits until the program says that everything is as it should be.
    pub fn await_place(&mut self) {
        let State::Running(child) = &mut self.state else { return };
        if let Err(error) = child.listen() {
            self.state = State::Broken(format!("{error:#}"));
        }
    }

    /// Lets the program end without waiting for it.
    pub fn release(&mut self) {
        if let State::Running(child) = &mut self.state {
            child.release();
        }
    }

    /// What was true before the leak was mended, if this scenario mends one.
    pub fn mended(&self) -> Option<Truth> {
        self.before_cue.clone().filter(|_| self.scenario.kind == Kind::Mended)
    }

    fn cue(&mut self, word: &str) {
        let State::Running(child) = &mut self.state else { return };
        self.before_cue = Some(child.truth.clone());
        if let Err(error) = child.say(word).and_then(|()| child.listen().map(|_| ())) {
            self.state = State::Broken(format!("{error:#}"));
        }
    }
}

/// Gives a cue to every program that waits for it, and waits until each has done its part.
pub fn cue(acts: &mut [Act], word: &str) {
    acts.iter_mut().filter(|act| act.scenario.cue == Some(word)).for_each(|act| act.cue(word));
}
