//! What works less well than it could: each case once, with the text that reports print.

use crate::{HookKind, Limits, format_count, format_counted, format_duration};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use std::{borrow::Cow, cmp::Ordering, num::NonZeroU32, time::Duration};

/// Something that works less well than it could. Ordered by its text, as reports list it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Degradation {
    /// A better kind of hook could not be attached.
    NoHooks {
        /// The kind.
        kind: HookKind,
        /// What the kernel said.
        why: String,
    },
    /// A hook at the end of every system call sees accepts.
    AcceptAtEveryCall {
        /// Why not at the end of accept alone.
        why: String,
    },
    /// A return probe sees accepts.
    AcceptByReturnProbe {
        /// Why not by a better hook.
        why: String,
    },
    /// The tree of a command has more processes than are followed.
    TreeFull {
        /// How many are followed.
        most: u32,
    },
    /// Sockets of some network namespaces are missing.
    NamespacesMissing {
        /// Namespaces that could not be entered.
        refused: u32,
        /// Processes whose namespaces are not known.
        hidden: u32,
    },
    /// Files that are not read, because they ended or delayed the process that reads files.
    FilesRefused {
        /// Their paths.
        paths: Vec<String>,
    },
    /// The process that reads files died or was late.
    NamerReplaced {
        /// How often.
        times: u64,
    },
    /// No process that reads files can be started.
    NoNamer {
        /// Why not.
        why: String,
    },
    /// Stacks were left out, as `--stack-sample` asks.
    StacksSampled {
        /// One stack in this many is captured.
        one_in: NonZeroU32,
        /// Of processes that open more sockets than this within a second.
        above_per_s: u32,
    },
    /// Samples are further apart than asked for.
    SamplesApart {
        /// How far apart they are.
        planned: Duration,
        /// How far apart they should be.
        asked: Duration,
        /// Processor time of one.
        cost: Duration,
        /// The CPU budget in percent of a core, as it was given.
        budget_percent: String,
    },
    /// Sockets that are merely long-lived are not listed.
    LongLivedNotListed {
        /// On hosts with more open sockets than this.
        above: u64,
    },
    /// A recording had no room for some rows.
    RowsNotRecorded {
        /// How many.
        rows: usize,
    },
    /// A recording has no end.
    RecordingUnfinished {
        /// Samples that were replayed.
        samples: u64,
    },
    /// A recording is damaged.
    RecordingDamaged {
        /// How.
        damage: String,
        /// Samples that were replayed.
        samples: u64,
    },
    /// A recording does not hold every socket that the filters ask for.
    FiltersIncomplete,
    /// A recording was made with other filters than it is replayed with.
    FiltersRecorded,
    /// A recording does not hold every socket, so only its own thresholds can be applied.
    ThresholdsRecorded {
        /// The thresholds of the recording.
        limits: Limits,
    },
    /// A recording does not hold every socket, although `--all` asks for them.
    AllNotRecorded,
    /// Text from a recording.
    Recorded {
        /// What is affected.
        feature: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// How the reason begins when a recording holds flagged sockets only.
const FLAGGED_ONLY: &str = "the recording has only flagged sockets one by one, as many were open";

impl Degradation {
    /// What is affected.
    pub fn feature(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::NoHooks { kind, .. } => return Cow::Owned(format!("{} hooks", kind.name())),
            Self::AcceptAtEveryCall { .. } | Self::AcceptByReturnProbe { .. } => "accept",
            Self::TreeFull { .. } => "run",
            Self::NamespacesMissing { .. } => "namespaces",
            Self::FilesRefused { .. } | Self::NamerReplaced { .. } | Self::NoNamer { .. } => "names",
            Self::StacksSampled { .. } => "stacks",
            Self::SamplesApart { .. } => "interval",
            Self::LongLivedNotListed { .. } | Self::AllNotRecorded => "sockets",
            Self::RowsNotRecorded { .. } | Self::RecordingUnfinished { .. } | Self::RecordingDamaged { .. } => {
                "recording"
            }
            Self::FiltersIncomplete | Self::FiltersRecorded => "filters",
            Self::ThresholdsRecorded { .. } => "thresholds",
            Self::Recorded { feature, .. } => feature,
        })
    }

    /// Why, and what to do.
    pub fn reason(&self) -> Cow<'_, str> {
        let duration = |span: &Duration| format_duration(span.as_secs_f64());
        Cow::Owned(match self {
            Self::NoHooks { why, .. } => return Cow::Borrowed(why),
            Self::AcceptAtEveryCall { why } => {
                format!(
                    "{why}; a hook at the end of every system call is used, which costs each of them about twice as much"
                )
            }
            Self::AcceptByReturnProbe { why } => format!(
                "{why}; a return probe is used, which misses accepts when many threads block in accept: the next pass adopts \
                 those, without their stack"
            ),
            Self::TreeFull { most } => {
                format!("more than {most} processes ran at a time, and some were not followed")
            }
            Self::NamespacesMissing { refused, hidden } => missing_namespaces(*refused, *hidden),
            Self::FilesRefused { paths } => files_refused(paths),
            Self::NamerReplaced { times } => format!(
                "the process that reads files died or was late {}, and was replaced: what it was asked then may have no name",
                format_counted(*times, "time")
            ),
            Self::NoNamer { why } => {
                format!("{why}: frames are shown as module and offset")
            }
            Self::StacksSampled { one_in, above_per_s } => format!(
                "1 in {} was captured of processes that opened more than {} sockets a second, as --stack-sample asks: their \
                 other opens are at call sites without a stack",
                format_count(one_in.get().into()),
                format_count((*above_per_s).into())
            ),
            Self::SamplesApart { planned, asked, cost, budget_percent } => format!(
                "samples are {} apart in place of {}, because each takes {} of processor time and leaktrace may take \
                 {budget_percent} % of a core: a higher --cpu-budget brings them closer, a longer --interval says that this is fine",
                duration(planned),
                duration(asked),
                duration(cost),
            ),
            Self::LongLivedNotListed { above } => format!(
                "more than {above} are open: those that are merely long-lived are counted by call site, but neither by peer nor \
                 listed; `leaktrace report` does both"
            ),
            Self::RowsNotRecorded { rows } => {
                format!("{rows} rows were left out of the recording: it takes a million sockets a sample")
            }
            Self::RecordingUnfinished { samples } => format!(
                "the recording has no end: it was cut off, or is still being written; it was replayed up to there, {}",
                format_counted(*samples, "sample")
            ),
            Self::RecordingDamaged { damage, samples } => format!(
                "the recording is damaged: {damage}; it was replayed up to there, {}",
                format_counted(*samples, "sample")
            ),
            Self::FiltersIncomplete => format!("{FLAGGED_ONLY}: what matches is at least this"),
            Self::FiltersRecorded => {
                return Cow::Borrowed("the recording was made with other filters, and has only what those let through");
            }
            Self::ThresholdsRecorded { limits } => format!(
                "{FLAGGED_ONLY}: verdicts are by those of the recording, --threshold {} --stall {} --idle {}",
                duration(&limits.threshold),
                duration(&limits.stall),
                duration(&limits.idle)
            ),
            Self::AllNotRecorded => format!("{FLAGGED_ONLY}: --all cannot list the others"),
            Self::Recorded { reason, .. } => return Cow::Borrowed(reason),
        })
    }
}

/// Most refused files that are listed by their paths.
const PATHS_SHOWN: usize = 8;

/// Says which files are not read, and why.
fn files_refused(paths: &[String]) -> String {
    let (shown, rest) = paths.split_at(paths.len().min(PATHS_SHOWN));
    let mut list = shown.join(", ");
    if !rest.is_empty() {
        list += &format!(" and {} more", format_count(rest.len() as u64));
    }
    let files = format_counted(paths.len() as u64, "file");
    format!("{files} ended or delayed the process that reads files, and will not be read again: {list}")
}

/// Says which network namespaces are missing or may be missing, and which permission would help.
fn missing_namespaces(refused: u32, hidden: u32) -> String {
    let mut reasons = Vec::new();
    if refused > 0 {
        reasons.push(format!(
            "{refused} network namespaces could not be entered, their sockets are missing: leaktrace needs CAP_SYS_ADMIN \
             for that"
        ));
    }
    if hidden > 0 {
        reasons.push(format!(
            "{hidden} processes may not be looked at, and sockets are missing where those are in network namespaces that \
             no other process is in: leaktrace needs CAP_SYS_PTRACE for that, and no security module that forbids it"
        ));
    }
    reasons.join("; ")
}

impl Ord for Degradation {
    fn cmp(&self, other: &Self) -> Ordering {
        self.feature().cmp(&other.feature()).then_with(|| self.reason().cmp(&other.reason()))
    }
}

impl PartialOrd for Degradation {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Degradation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut degradation = serializer.serialize_struct("Degradation", 2)?;
        degradation.serialize_field("feature", &self.feature())?;
        degradation.serialize_field("reason", &self.reason())?;
        degradation.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_cannot_be_seen_are_named_like_those_that_cannot_be_entered() {
        let reason = |refused, hidden| Degradation::NamespacesMissing { refused, hidden }.reason().into_owned();
        assert!(reason(2, 0).starts_with("2 network") && !reason(2, 0).contains("PTRACE"));
        assert!(reason(0, 3).starts_with("3 processes") && reason(0, 3).contains("CAP_SYS_PTRACE"));
        assert!(reason(2, 3).contains("ADMIN") && reason(2, 3).contains("; 3 processes"));
    }

    #[test]
    fn degradations_are_ordered_by_their_words() {
        let recorded = |feature: &str| Degradation::Recorded { feature: feature.to_owned(), reason: String::new() };
        let mut all = [Degradation::TreeFull { most: 7 }, recorded("zebra"), recorded("accept")];
        all.sort();
        assert_eq!(all.map(|one| one.feature().into_owned()), ["accept", "run", "zebra"]);
    }
}
