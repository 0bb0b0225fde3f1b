//! What became of a call site: its numbers in both reports, and which kind of change that is.

use super::{
    matching::Group,
    read::{Site, SiteFrame},
};
use crate::{callsite_name::short_name, naming::frame_name};
use leaktrace_model::{Callsite, Direction, Frame, Glyphs, Severity, VerdictCounts};
use serde::Serialize;
use std::cmp::Ordering;

/// How large a difference must be for a call site to have grown or shrunk.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffOptions {
    /// Open sockets more or fewer, at least.
    pub least_sockets: u64,
    /// And this share of the larger count, at least. For sockets with a verdict of severity `leak` only the share counts.
    pub least_share: f64,
}

impl Default for DiffOptions {
    fn default() -> Self {
        Self { least_sockets: 5, least_share: 0.1 }
    }
}

/// What became of a call site, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// More sockets that are open or leaked.
    Grown,
    /// Only in the new report.
    New,
    /// Fewer sockets that are open or leaked.
    Shrunk,
    /// Only in the old report.
    Gone,
    /// Much the same.
    Same,
}

impl ChangeKind {
    /// All of them, worst first.
    pub const ALL: [Self; 5] = [Self::Grown, Self::New, Self::Shrunk, Self::Gone, Self::Same];

    /// The word used in reports and for `--fail-on`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grown => "grown",
            Self::New => "new",
            Self::Shrunk => "shrunk",
            Self::Gone => "gone",
            Self::Same => "same",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One side's numbers of a call site.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Numbers {
    /// Its ids in that report; several where call sites were folded into one.
    pub ids: Vec<u64>,
    /// Open.
    pub open: u64,
    /// Opened within the window.
    pub opened: u64,
    /// Closed within the window.
    pub closed: u64,
    /// Open with at least one verdict.
    pub flagged: u64,
    /// Open with a verdict of severity `leak`; an upper bound where a socket has several.
    pub leaked: u64,
    /// Age of the oldest.
    pub oldest_s: Option<f64>,
    /// Whether it grew within its own window.
    pub growing: Option<bool>,
    /// By how many sockets a minute.
    pub growth_per_min: Option<f64>,
    /// Payload that waits in receive queues.
    pub rx_queue_bytes: u64,
    /// Kernel memory charged.
    pub memory_bytes: u64,
    /// Sockets by verdict.
    pub verdicts: VerdictCounts,
}

/// A call site in both reports, or in one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What became of it.
    pub kind: ChangeKind,
    /// Which end opened.
    pub direction: Direction,
    /// Process name.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// In a few words: the application's own functions, leaf first.
    pub name: String,
    /// Function names, leaf first, as the new report has them where there are any.
    pub stack: Vec<String>,
    /// How alike the stacks are: 1 for the same names, `None` when there is only one.
    pub similarity: Option<f64>,
    /// In the old report.
    pub old: Option<Numbers>,
    /// In the new report.
    pub new: Option<Numbers>,
}

impl Change {
    pub(super) fn of(group: &Group, old: &[Site], new: &[Site], options: &DiffOptions) -> Self {
        let before = numbers(&group.old, old);
        let after = numbers(&group.new, new);
        let shown = group.new.first().map(|&at| &new[at]).or_else(|| group.old.first().map(|&at| &old[at]));
        let site = shown.cloned().unwrap_or_default();
        let frames: Vec<Frame> = site.stack.iter().map(frame).collect();
        let callsite = Callsite { stack: frames, ..Callsite::default() };
        Self {
            kind: kind(before.as_ref(), after.as_ref(), options),
            name: short_name(&callsite, 200, Glyphs::Unicode),
            stack: callsite.stack.iter().map(frame_name).collect(),
            direction: site.direction,
            comm: site.comm,
            exe: site.exe,
            similarity: group.similarity,
            old: before,
            new: after,
        }
    }

    /// Orders by kind, then by how serious the change is.
    pub(super) fn worse_first(&self, other: &Self) -> Ordering {
        let weight = |change: &Self| {
            let side = |numbers: &Option<Numbers>| {
                numbers.as_ref().map_or((0, 0, 0), |numbers| (numbers.leaked, numbers.flagged, numbers.open))
            };
            let (old, new) = (side(&change.old), side(&change.new));
            (new.0.abs_diff(old.0), new.2.abs_diff(old.2), new.1.max(old.1), new.2.max(old.2))
        };
        (self.kind.cmp(&other.kind))
            .then_with(|| weight(other).cmp(&weight(self)))
            .then_with(|| (&self.comm, &self.name).cmp(&(&other.comm, &other.name)))
    }
}

fn frame(frame: &SiteFrame) -> Frame {
    Frame { symbol: frame.symbol.clone(), module: frame.module.clone(), ..Frame::default() }
}

fn numbers(members: &[usize], sites: &[Site]) -> Option<Numbers> {
    if members.is_empty() {
        return None;
    }
    let mut sum = Numbers::default();
    for site in members.iter().filter_map(|&at| sites.get(at)) {
        sum.ids.push(site.id);
        sum.open = sum.open.saturating_add(site.open);
        sum.opened = sum.opened.saturating_add(site.opened);
        sum.closed = sum.closed.saturating_add(site.closed);
        sum.flagged = sum.flagged.saturating_add(site.flagged);
        sum.rx_queue_bytes = sum.rx_queue_bytes.saturating_add(site.rx_queue_bytes);
        sum.memory_bytes = sum.memory_bytes.saturating_add(site.memory_bytes);
        sum.oldest_s = larger(sum.oldest_s, site.oldest_s, f64::max);
        sum.growth_per_min = larger(sum.growth_per_min, site.growth_per_min, |one, two| one + two);
        sum.growing = larger(sum.growing, site.growing, |one, two| one || two);
        for (verdict, sockets) in site.verdicts.iter() {
            sum.verdicts.set(verdict, sum.verdicts.get(verdict).saturating_add(sockets));
            if verdict.severity() == Severity::Leak {
                sum.leaked = sum.leaked.saturating_add(sockets);
            }
        }
    }
    sum.leaked = sum.leaked.min(sum.flagged);
    Some(sum)
}

fn larger<T>(one: Option<T>, two: Option<T>, join: impl Fn(T, T) -> T) -> Option<T> {
    match (one, two) {
        (Some(one), Some(two)) => Some(join(one, two)),
        (one, two) => one.or(two),
    }
}

fn kind(old: Option<&Numbers>, new: Option<&Numbers>, options: &DiffOptions) -> ChangeKind {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, _) => return ChangeKind::New,
        (_, None) => return ChangeKind::Gone,
    };
    // More leaked sockets are worse, even if other sockets were closed.
    match changed(old.leaked, new.leaked, 1, options.least_share) {
        Ordering::Equal => {}
        Ordering::Less => return ChangeKind::Grown,
        Ordering::Greater => {
            let open = changed(old.open, new.open, options.least_sockets, options.least_share);
            return if open == Ordering::Less { ChangeKind::Grown } else { ChangeKind::Shrunk };
        }
    }
    match changed(old.open, new.open, options.least_sockets, options.least_share) {
        Ordering::Less => ChangeKind::Grown,
        Ordering::Equal => ChangeKind::Same,
        Ordering::Greater => ChangeKind::Shrunk,
    }
}

/// How `old` compares with `new` when small differences do not count.
fn changed(old: u64, new: u64, least: u64, share: f64) -> Ordering {
    let difference = old.abs_diff(new);
    let enough = difference >= least.max(1) && difference as f64 >= share * old.max(new) as f64;
    if enough { old.cmp(&new) } else { Ordering::Equal }
}
