//! The columns of the processes.

use super::cells::{self, verdict_columns};
use super::counted;
use super::{Around, Cell, Column, Sort, Tabular, left, right};
use crate::rows::view_kind::Grouping;
use crate::short_numbers::{short_count, span};
use crate::signs::Signs as _;
use crate::theme::Role;
use leaktrace_model::{Process, Severity, Trend};
use std::borrow::Cow;
use std::sync::LazyLock;

impl Tabular for Process {
    fn columns() -> &'static [Column<Self>] {
        static COLUMNS: LazyLock<Vec<Column<Process>>> =
            LazyLock::new(|| before().into_iter().chain(verdict_columns()).chain(after()).collect());
        &COLUMNS
    }
}

/// The columns to the left of those of verdicts.
fn before() -> Vec<Column<Process>> {
    vec![
        counted::how_bad(),
        right("PID", "process id, or how many processes", [7, 7, 7], 0)
            .shows(pid, Sort::Number(|row, _| Some(f64::from(row.pid)))),
        left("PROCESS", "name of the process", [8, 15, 20], 0).shows(name, Sort::Text(|row| Cow::from(&row.comm))),
        left("WHERE", "container, pod or systemd unit", [12, 16, 36], 4)
            .shows(place, Sort::Text(|row| Cow::from(home(row)))),
        counted::open("TCP connections it holds"),
        counted::flagged("those with a verdict"),
        counted::trend(Sort::Number(|row, _| Some(row.open as f64))),
        right("FDS", "descriptors of any kind, and their limit", [6, 11, 15], 1)
            .shows(descriptors, Sort::Number(|row, _| row.fds_open.map(|open| open as f64))),
        right("FD/MIN", "change of descriptors a minute", [6, 6, 6], 5)
            .shows(change, Sort::Number(|row, _| row.fds_per_min)),
        right("FULL IN", "time until the limit of descriptors at this rate", [7, 7, 7], 2)
            .shows(exhausted, Sort::Number(|row, _| row.fds_exhausted_s.map(|left| -left))),
        counted::verdicts(),
    ]
}

/// The columns to the right of those of verdicts.
fn after() -> Vec<Column<Process>> {
    vec![
        counted::memory("kernel memory in its sockets", 3),
        left("EXE", "executable", [12, 30, 48], 8).shows(
            |row, around| {
                row.exe.as_deref().map_or_else(|| cells::absent(around), |exe| cells::foreign(exe, around, Role::Faint))
            },
            Sort::Text(|row| Cow::from(row.exe.as_deref().unwrap_or_default())),
        ),
    ]
}

fn pid<'a>(row: &'a Process, around: &Around<'a>) -> Cell<'a> {
    match around.extra {
        Some(extra) => cells::own(format!("{}{}", around.glyphs.times(), extra.members), around, Role::Faint),
        None => cells::own(row.pid.to_string(), around, Role::Text),
    }
}

fn name<'a>(row: &'a Process, around: &Around<'a>) -> Cell<'a> {
    match around.grouping {
        Grouping::Container | Grouping::Unit => cells::own("", around, Role::Text),
        _ => cells::foreign(&row.comm, around, Role::Strong),
    }
}

/// Where it runs: container, pod or unit, the first that is known.
fn home(row: &Process) -> &str {
    row.container.as_deref().or(row.pod.as_deref()).or(row.unit.as_deref()).unwrap_or_default()
}

/// A container id in the twelve digits that container tools print; other names whole.
pub(crate) fn short_container(id: &str) -> &str {
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { &id[..12] } else { id }
}

fn place<'a>(row: &'a Process, around: &Around<'a>) -> Cell<'a> {
    match (home(row), around.grouping) {
        ("", Grouping::Container) => cells::own("no container", around, Role::Faint),
        ("", Grouping::Unit) => cells::own("no unit", around, Role::Faint),
        ("", _) => cells::absent(around),
        (home, _) => cells::foreign(short_container(home), around, Role::Text),
    }
}

/// The growth of descriptors is not judged, so it is never marked.
fn change<'a>(row: &'a Process, around: &Around<'a>) -> Cell<'a> {
    cells::growth(row.fds_per_min.map(|per_min| Trend { growing: false, per_min }), around)
}

fn descriptors<'a>(row: &'a Process, around: &Around<'a>) -> Cell<'a> {
    let Some(open) = row.fds_open else { return cells::absent(around) };
    match row.fds_limit {
        Some(limit) => {
            let near = open.saturating_mul(10) >= limit.saturating_mul(8);
            let role = if near { Role::Warning } else { Role::Text };
            let text = if around.width < 9 {
                short_count(open)
            } else {
                format!("{}/{}", short_count(open), short_count(limit))
            };
            cells::own(if near { format!("!{text}") } else { text }, around, role)
        }
        None => cells::own(short_count(open), around, Role::Text),
    }
}

fn exhausted<'a>(row: &'a Process, around: &Around<'a>) -> Cell<'a> {
    match row.fds_exhausted_s {
        Some(left) if left < 3600.0 => cells::own(span(left), around, Role::Bad(Severity::Leak)),
        Some(left) => cells::own(span(left), around, Role::Warning),
        None => cells::absent(around),
    }
}
