//! How a test of any crate reports that it cannot run here: around the test harness, which would hide it, and into the file
//! that `cargo xtask test` counts. Judges by evidence whether the skip was expected; for programs, set-up's list decides.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic::Location;
use std::sync::OnceLock;

/// Names the file to which every skip adds its [`Skip`], a line each.
pub const FILE_VARIABLE: &str = "LEAKTRACE_SKIPS";

/// What a test cannot run without.
#[derive(Clone, Copy, Debug)]
pub enum Lack<'a> {
    /// A program in `PATH`.
    Program(&'a str),
    /// A privilege, for the reason given: expected unless this is root.
    Privilege(&'a str),
    /// A feature of the kernel, and the function without which a kernel does not have it.
    Kernel(&'a str, &'a str),
    /// Something that a machine may lack, as the caller has checked on this one.
    Machine(&'a str),
    /// Something that every machine should have.
    Unexplained(&'a str),
}

/// Whether a skip was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expected {
    /// It was, by evidence.
    Yes,
    /// It was not.
    No,
    /// A program is missing, named by the reason: set-up's list of packages decides.
    AsSetUp,
}

/// One skip: a line of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skip {
    /// Which test, by its path in its crate, or else the place in the source.
    pub test: String,
    /// Why; for [`Expected::AsSetUp`] the program's name and no more.
    pub reason: String,
    /// Whether it was to be expected.
    pub expected: Expected,
}

/// Reports that the calling test, or a part of it, does not run, and why.
#[track_caller]
pub fn skip(lack: Lack<'_>) {
    let (reason, expected) = lack.judged();
    // A test run without others has no thread of its own.
    let thread = std::thread::current();
    let name = thread.name().filter(|name| *name != "main");
    let test = name.map_or_else(|| Location::caller().to_string(), str::to_owned);
    let skip = Skip { test, reason: one_line(reason), expected };
    // A plain write: print macros would go through the harness. A write that fails cannot be reported anywhere.
    let _ = std::io::stderr().write_all(format!("SKIP {skip}\n").as_bytes());
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        let file = File::options().append(true).create(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(format!("{}\n", skip.to_line()).as_bytes()));
        assert!(written.is_ok(), "cannot count a skip in {}: {written:?}", path.display());
    }
}

impl<'a> Lack<'a> {
    fn judged(self) -> (&'a str, Expected) {
        let unless = |there| if there { Expected::No } else { Expected::Yes };
        match self {
            Self::Program(program) => (program, Expected::AsSetUp),
            Self::Privilege(reason) => (reason, unless(is_root())),
            Self::Kernel(reason, function) => (reason, unless(kernel_has(function))),
            Self::Machine(reason) => (reason, Expected::Yes),
            Self::Unexplained(reason) => (reason, Expected::No),
        }
    }
}

impl Expected {
    const ALL: [Self; 3] = [Self::Yes, Self::No, Self::AsSetUp];

    fn word(self) -> &'static str {
        match self {
            Self::Yes => "expected",
            Self::No => "unexpected",
            Self::AsSetUp => "program",
        }
    }
}

impl Skip {
    /// The line for the file.
    pub fn to_line(&self) -> String {
        format!("{}\t{}\t{}", self.expected.word(), self.test, self.reason)
    }

    /// Reads a line of the file; `None` when it is none.
    pub fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, '\t');
        let (word, test, reason) = (parts.next()?, parts.next()?, parts.next()?);
        let expected = Expected::ALL.into_iter().find(|expected| expected.word() == word)?;
        Some(Self { test: test.to_owned(), reason: reason.to_owned(), expected })
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = if self.expected == Expected::AsSetUp { " is not installed" } else { "" };
        write!(f, "{}: {}{missing}", self.test, self.reason)
    }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Whether the running kernel, or a module in it, has a function of that name.
pub fn kernel_has(function: &str) -> bool {
    static SYMBOLS: OnceLock<String> = OnceLock::new();
    let symbols = SYMBOLS.get_or_init(|| std::fs::read_to_string("/proc/kallsyms").unwrap_or_default());
    symbols.lines().any(|line| line.split_whitespace().nth(2) == Some(function))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was() {
        for expected in Expected::ALL {
            let skip = Skip { test: "a::b".to_owned(), reason: "no such\tthing".to_owned(), expected };
            assert_eq!(Skip::from_line(&skip.to_line()), Some(skip));
        }
        assert_eq!(Skip::from_line("maybe\ta::b\twhy"), None);
        assert_eq!(Skip::from_line("expected\ta::b"), None);
    }

    #[test]
    fn evidence_judges_what_it_can() {
        assert_eq!(Lack::Program("go").judged(), ("go", Expected::AsSetUp));
        assert_eq!(Lack::Kernel("no wings", "a_function_that_no_kernel_has").judged().1, Expected::Yes);
        let root = if is_root() { Expected::No } else { Expected::Yes };
        assert_eq!(Lack::Privilege("needs root").judged().1, root);
    }

    #[test]
    fn a_skip_of_a_program_says_what_is_missing() {
        let skip = Skip { test: "a::b".to_owned(), reason: "go".to_owned(), expected: Expected::AsSetUp };
        assert_eq!(skip.to_string(), "a::b: go is not installed");
    }
}
