//! Reads what a comparison needs from a JSON report: which leaktrace wrote it, where and when, and its call sites.
//!
//! A report may come from anywhere, so lists are bounded, and what is not needed (above all sockets) is skipped without being
//! stored. Another version of the same schema may have other members, so unknown members are ignored, and missing ones count as
//! not known.

use crate::clean::clean;
use leaktrace_model::{Direction, SCHEMA_VERSION, Verdict, VerdictCounts};
use serde::{
    Deserialize, Serialize,
    de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{
    cell::Cell,
    fmt,
    fs::File,
    io::{self, BufReader, Read},
    marker::PhantomData,
    path::Path,
};

/// More call sites than a tracer keeps.
const MOST_CALLSITES: usize = 100_000;
/// More frames than a tracer captures, inlined functions included.
const MOST_FRAMES: usize = 4_096;
/// A report with a million sockets takes about a tenth of this.
const MOST_BYTES: u64 = 8 << 30;

/// A report that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// As given.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Not a report, or damaged.
    #[error("cannot read {path} as a JSON report: {reason}; write one with leaktrace report --format json")]
    Malformed {
        /// As given.
        path: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A report of a structure that this version does not know.
    #[error(
        "cannot read {path}: it has schema_version {found} and this leaktrace reads {SCHEMA_VERSION}; compare it with \
         the leaktrace that wrote it"
    )]
    Version {
        /// As given.
        path: String,
        /// The version in the report.
        found: u64,
    },
}

/// What a comparison knows of a report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Host name.
    pub hostname: Option<String>,
    /// Version of the leaktrace that wrote it.
    pub version: Option<String>,
    /// End of its window, RFC 3339.
    pub end: Option<String>,
    /// Length of its window.
    pub seconds: Option<f64>,
    /// Sockets open at its end.
    pub open: Option<u64>,
    /// Of those, flagged.
    pub flagged: Option<u64>,
    /// Its call sites.
    #[serde(skip)]
    pub(super) callsites: Vec<Site>,
}

/// What a comparison knows of a call site.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Site {
    pub(super) id: u64,
    #[serde(deserialize_with = "direction")]
    pub(super) direction: Direction,
    pub(super) comm: String,
    pub(super) exe: Option<String>,
    #[serde(deserialize_with = "frames")]
    pub(super) stack: Vec<SiteFrame>,
    pub(super) open: u64,
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) flagged: u64,
    pub(super) oldest_s: Option<f64>,
    pub(super) growing: Option<bool>,
    pub(super) growth_per_min: Option<f64>,
    pub(super) rx_queue_bytes: u64,
    pub(super) memory_bytes: u64,
    #[serde(deserialize_with = "verdicts")]
    pub(super) verdicts: VerdictCounts,
}

/// What a comparison knows of a frame.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SiteFrame {
    pub(super) symbol: Option<String>,
    pub(super) module: Option<String>,
}

/// Reads a report from a file or a pipe, once, front to back.
///
/// # Errors
/// One sentence: which file, what is wrong with it, what to do.
pub fn read_report(path: &Path) -> Result<Report, ReadError> {
    let shown = || clean(&path.to_string_lossy()).into_owned();
    let file = File::open(path).map_err(|source| ReadError::Io { path: shown(), source })?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(ReadError::Io { path: shown(), source: io::ErrorKind::IsADirectory.into() });
    }
    parse(BufReader::with_capacity(1 << 16, file.take(MOST_BYTES)), &shown())
}

/// Reads a report from anything.
pub(super) fn parse(input: impl Read, path: &str) -> Result<Report, ReadError> {
    let other_version = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_reader(input);
    let report = (&mut deserializer)
        .deserialize_map(TopLevel { other_version: &other_version })
        .and_then(|report| deserializer.end().map(|()| report));
    report.map_err(|error| match other_version.get() {
        Some(found) => ReadError::Version { path: path.to_owned(), found },
        None => ReadError::Malformed { path: path.to_owned(), reason: clean(&error.to_string()).into_owned() },
    })
}

struct TopLevel<'a> {
    /// Set when the report has another structure. Other errors are not reported then.
    other_version: &'a Cell<Option<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tool {
    version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Host {
    hostname: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Window {
    end: Option<String>,
    seconds: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Totals {
    open: Option<u64>,
    flagged: Option<u64>,
}

#[derive(Deserialize)]
struct Sites(#[serde(deserialize_with = "sites")] Vec<Site>);

impl<'de> Visitor<'de> for TopLevel<'_> {
    type Value = Report;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a leaktrace report")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Report, A::Error> {
        let mut report = Report::default();
        let (mut version, mut callsites) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "schema_version" => {
                    let found: u64 = map.next_value()?;
                    if found != u64::from(SCHEMA_VERSION) {
                        self.other_version.set(Some(found));
                        return Err(A::Error::custom("another schema_version"));
                    }
                    version = Some(found);
                }
                "tool" => report.version = map.next_value::<Tool>()?.version,
                "host" => report.hostname = map.next_value::<Host>()?.hostname,
                "window" => {
                    let window: Window = map.next_value()?;
                    (report.end, report.seconds) = (window.end, window.seconds);
                }
                "totals" => {
                    let totals: Totals = map.next_value()?;
                    (report.open, report.flagged) = (totals.open, totals.flagged);
                }
                "callsites" => callsites = Some(map.next_value::<Sites>()?.0),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        version.ok_or_else(|| A::Error::missing_field("schema_version"))?;
        report.callsites = callsites.ok_or_else(|| A::Error::missing_field("callsites"))?;
        Ok(report)
    }
}

fn sites<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Site>, D::Error> {
    deserializer.deserialize_seq(Bounded { most: MOST_CALLSITES, element: PhantomData })
}

fn frames<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SiteFrame>, D::Error> {
    deserializer.deserialize_seq(Bounded { most: MOST_FRAMES, element: PhantomData })
}

/// A direction by its name; one that this version does not know is unknown.
fn direction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Direction, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = [Direction::Connect, Direction::Accept];
    Ok(known.into_iter().find(|direction| direction.name() == name).unwrap_or_default())
}

fn verdicts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VerdictCounts, D::Error> {
    deserializer.deserialize_map(Counts)
}

/// Sockets by verdict; verdicts that this version does not know are left out.
struct Counts;

impl<'de> Visitor<'de> for Counts {
    type Value = VerdictCounts;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VerdictCounts, A::Error> {
        let mut counts = VerdictCounts::default();
        while let Some((name, sockets)) = map.next_entry::<String, u64>()? {
            if let Some(verdict) = Verdict::from_name(&name) {
                counts.set(verdict, sockets);
            }
        }
        Ok(counts)
    }
}

/// A list that is refused when it is longer than any tracer writes it.
struct Bounded<T> {
    most: usize,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of at most {} elements", self.most)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == self.most {
                return Err(A::Error::invalid_length(self.most + 1, &self));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}
