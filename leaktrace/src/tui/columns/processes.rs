//! The columns of the processes.

use super::cells::{self, verdict_column};
use super::{Align, Around, Cell, Column, Sort, Tabular, When};
use crate::snapshot::Process;
use crate::tui::figures::{short_count, span};
use crate::tui::history::Whose;
use crate::tui::theme::Role;
use crate::tui::view_kind::Grouping;
use leaktrace_common::Severity;

impl Tabular for Process {
    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

static COLUMNS: &[Column<Process>] = &[
    Column {
        name: "",
        about: "how bad",
        least: 1,
        good: 1,
        most: 1,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: |_, around| cells::sign(around),
        sort: Sort::Number(|_, around| cells::badness(around)),
    },
    Column {
        name: "PID",
        about: "process id, or how many processes",
        least: 7,
        good: 7,
        most: 7,
        rank: 0,
        align: Align::Right,
        when: When::Always,
        cell: pid,
        sort: Sort::Number(|row, _| Some(f64::from(row.pid))),
    },
    Column {
        name: "PROCESS",
        about: "name of the process",
        least: 8,
        good: 15,
        most: 20,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: name,
        sort: Sort::Text(|row| &row.comm),
    },
    Column {
        name: "WHERE",
        about: "container, pod or systemd unit",
        least: 12,
        good: 16,
        most: 36,
        rank: 4,
        align: Align::Left,
        when: When::Always,
        cell: place,
        sort: Sort::Text(home),
    },
    Column {
        name: "OPEN",
        about: "TCP connections it holds",
        least: 5,
        good: 5,
        most: 5,
        rank: 0,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::count(row.open, around),
        sort: Sort::Number(|row, _| Some(row.open as f64)),
    },
    Column {
        name: "FLAG",
        about: "those with a verdict",
        least: 5,
        good: 5,
        most: 5,
        rank: 0,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::flagged(row.flagged, around),
        sort: Sort::Number(|row, _| Some(row.flagged as f64)),
    },
    Column {
        name: "TREND",
        about: "open sockets over the whole run",
        least: 8,
        good: 10,
        most: 16,
        rank: 3,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| {
            cells::trend(around.history.row(Whose::Process(row.pid)).filter(|_| around.extra.is_none()), around)
        },
        sort: Sort::Number(|row, _| Some(row.open as f64)),
    },
    Column {
        name: "FDS",
        about: "descriptors of any kind, and their limit",
        least: 6,
        good: 11,
        most: 15,
        rank: 1,
        align: Align::Right,
        when: When::Always,
        cell: descriptors,
        sort: Sort::Number(|row, _| row.fds_open.map(|open| open as f64)),
    },
    Column {
        name: "FD/MIN",
        about: "change of descriptors a minute",
        least: 6,
        good: 6,
        most: 6,
        rank: 5,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::growth(row.fds_per_min, None, around),
        sort: Sort::Number(|row, _| row.fds_per_min),
    },
    Column {
        name: "FULL IN",
        about: "time until the limit of descriptors at this rate",
        least: 7,
        good: 7,
        most: 7,
        rank: 2,
        align: Align::Right,
        when: When::Always,
        cell: exhausted,
        sort: Sort::Number(|row, _| row.fds_exhausted_s.map(|left| -left)),
    },
    Column {
        name: "VERDICTS",
        about: "all verdicts with their counts",
        least: 16,
        good: 30,
        most: 64,
        rank: 1,
        align: Align::Left,
        when: When::Otherwise,
        cell: |_, around| cells::verdicts(around),
        sort: Sort::Number(|_, around| cells::badness(around)),
    },
    verdict_column::<_, 0>(),
    verdict_column::<_, 1>(),
    verdict_column::<_, 2>(),
    verdict_column::<_, 3>(),
    verdict_column::<_, 4>(),
    verdict_column::<_, 5>(),
    verdict_column::<_, 6>(),
    verdict_column::<_, 7>(),
    verdict_column::<_, 8>(),
    verdict_column::<_, 9>(),
    Column {
        name: "MEM",
        about: "kernel memory in its sockets",
        least: 5,
        good: 5,
        most: 5,
        rank: 3,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.memory_bytes, around),
        sort: Sort::Number(|row, _| Some(row.memory_bytes as f64)),
    },
    Column {
        name: "EXE",
        about: "executable",
        least: 12,
        good: 30,
        most: 48,
        rank: 8,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| {
            row.exe.as_deref().map_or_else(|| cells::absent(around), |exe| cells::foreign(exe, around, Role::Faint))
        },
        sort: Sort::Text(|row| row.exe.as_deref().unwrap_or_default()),
    },
];

fn pid<'a>(row: &'a Process, around: &Around<'a>) -> Cell<'a> {
    match around.extra {
        Some(extra) => cells::own(format!("{}{}", around.charset.times(), extra.members), around, Role::Faint),
        None => cells::own(row.pid.to_string(), around, Role::Text),
    }
}

fn name<'a>(row: &'a Process, around: &Around<'a>) -> Cell<'a> {
    match around.grouping {
        Grouping::Container | Grouping::Unit => cells::own("", around, Role::Text),
        _ => cells::foreign(&row.comm, around, Role::Strong),
    }
}

/// Where it lives: container, pod, unit; the first that is known.
fn home(row: &Process) -> &str {
    row.container.as_deref().or(row.pod.as_deref()).or(row.unit.as_deref()).unwrap_or_default()
}

/// A container id in the twelve digits that container tools print; other names whole.
pub fn short_container(id: &str) -> &str {
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
