//! How a scenario program says that this machine cannot run it.

/// The program cannot run on this kernel; not a failure.
#[derive(Debug)]
pub struct CannotRunHere(pub String);

impl std::fmt::Display for CannotRunHere {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for CannotRunHere {}

/// An error that makes the program report a skip.
pub fn cannot_run_here(why: impl Into<String>) -> anyhow::Error {
    CannotRunHere(why.into()).into()
}
