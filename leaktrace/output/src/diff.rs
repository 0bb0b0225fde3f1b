//! Two JSON reports compared call site by call site: the canary check.
//!
//! Call sites are matched by the names of the functions on their stacks, by direction and by program, never by addresses or ids, so
//! reports of different hosts, runs and builds can be compared. Works on files only; it watches nothing.

mod alike;
mod change;
mod comparison;
mod json;
mod matching;
mod name;
mod read;
mod signature;
mod text;

pub use change::{Change, ChangeKind, DiffOptions, Numbers};
pub use comparison::Diff;
pub use read::{ReadError, Report, read_report};

#[cfg(test)]
mod tests;
