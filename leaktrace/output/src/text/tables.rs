//! The tables of the text report: call sites, processes, groups of sockets.

use super::page::{COLUMNS, GLYPHS, heading, more};
use crate::{
    callsite_name::{how_opened, short_name},
    clean::clean,
    layout::{self, Align, Table},
};
use leaktrace_model::{
    Age, Glyphs, Group, Severity, Snapshot, VerdictCounts, format_age, format_count, format_duration, format_rate,
    format_size,
};
use std::io::{self, Write};

/// The table of call sites: numbers first, the name last.
pub(crate) fn callsite_table(
    snapshot: &Snapshot,
    rows: usize,
    columns: usize,
    glyphs: Glyphs,
    out: &mut dyn Write,
) -> io::Result<()> {
    if snapshot.callsites.is_empty() {
        return Ok(());
    }
    // Opened and closed are the first columns to be left out when there is little room.
    let narrow = columns < 90;
    let mut heads = vec![("OPEN", Align::Right), ("FLAGGED", Align::Right)];
    if !narrow {
        heads.extend([("OPENED", Align::Right), ("CLOSED", Align::Right)]);
    }
    heads.extend([
        ("OLDEST", Align::Right),
        ("GROWTH", Align::Right),
        ("PROCESS", Align::Left),
        ("OPENED BY", Align::Left),
    ]);
    let mut table = Table::new(2, &heads);
    let absent = || glyphs.absent().to_owned();
    for site in snapshot.callsites.iter().take(rows) {
        let oldest = |seconds| format_age(Age { seconds, exact: site.sums.oldest_exact() }, glyphs);
        let growth = site.trend.map_or_else(absent, |trend| {
            let rate = format_rate(trend.per_min);
            if trend.growing { format!("{rate} !") } else { rate }
        });
        let mut row = vec![format_count(site.sums.open), format_count(site.sums.flagged)];
        if !narrow {
            row.extend([format_count(site.opened), format_count(site.closed)]);
        }
        row.extend([
            site.sums.oldest_s().map_or_else(absent, oldest),
            growth,
            layout::fit(&clean(&site.comm), 15, glyphs),
            how_opened(site.direction).to_owned(),
        ]);
        table.row(row);
    }
    let room = table.room_for_last(columns);
    table.extend_last(
        snapshot
            .callsites
            .iter()
            .map(|site| short_name(site, room.saturating_sub(how_opened(site.direction).len()).max(8), glyphs)),
    );
    table.write(out, columns, glyphs)
}

/// The processes that hold sockets.
pub(crate) fn processes(snapshot: &Snapshot, rows: usize, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.processes.is_empty() {
        return Ok(());
    }
    heading("PROCESSES, worst first", out)?;
    let columns = [
        ("PID", Align::Right),
        ("PROCESS", Align::Left),
        ("OPEN", Align::Right),
        ("FLAGGED", Align::Right),
        ("MEMORY", Align::Right),
        ("DESCRIPTORS", Align::Right),
        ("", Align::Left),
    ];
    let mut table = Table::new(2, &columns);
    for process in snapshot.processes.iter().take(rows) {
        let limit = |limit: Option<u64>| limit.map_or_else(|| GLYPHS.absent().to_owned(), format_count);
        let descriptors = match (process.fds_open, process.fds_limit) {
            (None, None) => GLYPHS.absent().to_owned(),
            (open, most) => format!("{} of {}", limit(open), limit(most)),
        };
        let mut notes = Vec::new();
        if let Some(left) = process.fds_exhausted_s {
            notes.push(format!("full in {}", format_duration(left)));
        } else if let Some(rate) = process.fds_per_min.filter(|rate| rate.abs() >= 0.05) {
            notes.push(format!("descriptors {}", format_rate(rate)));
        }
        if let Some(unit) = &process.unit {
            notes.push(clean(unit).into_owned());
        } else if let Some(container) = &process.container {
            notes.push(format!("container {}", clean(&container.chars().take(12).collect::<String>())));
        }
        table.row(vec![
            process.pid.to_string(),
            layout::fit(&clean(&process.comm), 15, GLYPHS),
            format_count(process.open),
            format_count(process.flagged),
            format_size(process.memory_bytes),
            descriptors,
            notes.join(", "),
        ]);
    }
    table.write(out, COLUMNS, GLYPHS)?;
    more(snapshot.processes.len(), rows, "process", out)
}

/// Peers or listeners.
pub(crate) fn groups(title: &str, groups: &[Group], rows: usize, out: &mut dyn Write) -> io::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    heading(title, out)?;
    let columns = [
        ("OPEN", Align::Right),
        ("FLAGGED", Align::Right),
        ("UNREAD", Align::Right),
        ("ADDRESS", Align::Left),
        ("", Align::Left),
    ];
    let mut table = Table::new(2, &columns);
    for group in groups.iter().take(rows) {
        table.row(vec![
            format_count(group.sums.open),
            format_count(group.sums.flagged),
            format_size(group.sums.rx_queue_bytes),
            layout::fit(&group.key.to_string(), 47, GLYPHS),
            if group.sums.verdicts.is_empty() { String::new() } else { verdict_words(&group.sums.verdicts) },
        ]);
    }
    table.write(out, COLUMNS, GLYPHS)?;
    more(groups.len(), rows, "address", out)
}

/// `100 never-read, 18 close-wait`, worst first.
pub(crate) fn verdict_words(counts: &VerdictCounts) -> String {
    // As for a single socket: age is named only when nothing worse is known.
    let worse = counts.worst() > Some(Severity::Info);
    let words: Vec<String> = counts
        .iter()
        .filter(|(verdict, _)| !worse || verdict.severity() > Severity::Info)
        .map(|(verdict, sockets)| format!("{} {}", format_count(sockets), verdict.name()))
        .collect();
    if words.is_empty() { "no verdict".to_owned() } else { words.join(", ") }
}
