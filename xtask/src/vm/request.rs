//! What can be asked of virtual machines: which kernels, which job, what happens to the console.

use std::path::PathBuf;

use super::kernels::Index;

/// What is asked of `cargo xtask vm`.
pub struct Request {
    /// Images to boot; empty for the matrix.
    pub kernels: Vec<PathBuf>,
    /// Whether the package index is read again.
    pub index: Index,
    /// What happens to the console.
    pub console: Console,
    /// Files to copy into the machine, under their own paths.
    pub files: Vec<PathBuf>,
    /// What runs inside.
    pub job: Job,
}

/// What happens to a machine's console.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Every line is printed as it comes.
    Print,
    /// The console is kept in a file, and its end is printed where something fails.
    KeepForFailures,
}

/// Which scenarios a suite plays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// All of them.
    Full,
    /// A few of each kind.
    Short,
}

/// What a machine does once it is up.
pub enum Job {
    /// The end-to-end suite.
    Suite {
        /// Kinds of hook; empty for all.
        hooks: Vec<String>,
        /// Scenarios of this name, or whose name contains it; empty for all.
        only: Vec<String>,
        /// Which of them.
        column: Column,
    },
    /// Any command line.
    Command(Vec<String>),
}

/// The kinds of hook that the suite runs unless others are named, one part of the progress each.
pub const HOOKS: usize = 3;

impl Job {
    /// The command line inside the machine.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Command(words) => words.clone(),
            Self::Suite { hooks, only, column } => {
                let mut words = vec!["suite".to_owned(), "--in-vm".to_owned()];
                if !hooks.is_empty() {
                    words.extend(["--hooks".to_owned(), hooks.join(",")]);
                }
                words.extend(only.iter().flat_map(|only| ["--only".to_owned(), only.clone()]));
                words.extend((*column == Column::Short).then(|| "--short".to_owned()));
                words
            }
        }
    }

    /// How many parts of a run one machine is.
    pub fn parts(&self) -> usize {
        match self {
            Self::Command(_) => 1,
            Self::Suite { hooks, .. } if hooks.is_empty() => HOOKS,
            Self::Suite { hooks, .. } => hooks.len(),
        }
    }
}
