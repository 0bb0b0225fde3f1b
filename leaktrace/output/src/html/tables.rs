//! The tables of the page, and what is in their columns.

use super::{
    badge::badge,
    table::{self, Cell, Filter, Kind, Row},
};
use crate::{
    callsite_name::{how_opened, short_name},
    clean::clean,
    evidence::{evidence_line, holders},
    markup::escape,
    naming::frame_with_place,
    text::lifetimes,
};
use leaktrace_model::{
    Age, Callsite, Glyphs, Group, Process, Snapshot, Socket, StackQuality, Trend, Verdict, VerdictCounts, Verdicts,
    format_age, format_count, format_duration, format_rate, format_size,
};
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// Most rows of a table: browsers become slow with more.
const MOST_ROWS: usize = 5_000;
const GLYPHS: Glyphs = Glyphs::Unicode;

pub(crate) fn callsites(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let columns = [
        ("Open", Kind::Numbers),
        ("Flagged", Kind::Numbers),
        ("Opened", Kind::Numbers),
        ("Closed", Kind::Numbers),
        ("Oldest", Kind::Numbers),
        ("Growth", Kind::Numbers),
        ("Unread", Kind::Numbers),
        ("Memory", Kind::Numbers),
        ("Process", Kind::Words),
        ("Verdicts", Kind::Words),
        ("Opened by", Kind::Words),
    ];
    let rows = snapshot.callsites.iter().take(MOST_ROWS).map(callsite);
    let left_out = snapshot.callsites.len().saturating_sub(MOST_ROWS);
    table::write(out, "Call sites", Filter::WordsAndVerdict, &columns, rows, left_out)
}

fn callsite(site: &Callsite) -> Row {
    let name = escape(&format!("{}{}", how_opened(site.direction), short_name(site, 120, GLYPHS)));
    let mut details = String::from("<ol class=\"mono\">");
    for frame in &site.stack {
        let note = if frame.inlined { " <span class=\"soft\">inlined</span>" } else { "" };
        details.push_str(&format!("<li>{}{note}</li>", escape(&frame_with_place(frame))));
    }
    details.push_str("</ol>");
    if site.stack_quality != StackQuality::Complete {
        let what = if site.stack.is_empty() { "no stack" } else { "callers unknown" };
        let why = site.stack_reason.as_ref().map_or(Cow::Borrowed("no reason recorded"), |why| why.to_string().into());
        details.push_str(&format!("<p class=\"soft\">{what}: {}</p>", escape(&clean(&why))));
    }
    let pids: Vec<String> = site.pids.iter().take(50).map(u32::to_string).collect();
    details.push_str(&format!("<p class=\"soft\">pid {}</p>", pids.join(", ")));
    if let Some(lived) = &site.lifetimes {
        details.push_str(&format!("<p class=\"soft\">{}</p>", escape(&lifetimes(lived))));
    }
    if !site.peers.is_empty() {
        let peers: Vec<String> =
            site.peers.iter().map(|peer| format!("{} ({})", peer.peer, format_count(peer.open))).collect();
        details.push_str(&format!("<p class=\"soft\">peers: {}</p>", peers.join(", ")));
    }
    let sums = &site.sums;
    let where_from = format!("<details><summary class=\"mono\">{name}</summary>{details}</details>");
    Row {
        cells: vec![
            count(sums.open),
            flagged(sums.flagged),
            count(site.opened),
            count(site.closed),
            age(sums.oldest_s(), sums.oldest_exact()),
            growth(site.trend),
            size(sums.rx_queue_bytes),
            size(sums.memory_bytes),
            Cell::text(&site.comm),
            verdict_counts(&site.sums.verdicts),
            Cell::html(where_from, &short_name(site, 120, GLYPHS)),
        ],
        verdicts: held(&site.sums.verdicts),
    }
}

pub(crate) fn processes(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let columns = [
        ("Pid", Kind::Numbers),
        ("Process", Kind::Words),
        ("Open", Kind::Numbers),
        ("Flagged", Kind::Numbers),
        ("Memory", Kind::Numbers),
        ("Descriptors", Kind::Numbers),
        ("Limit", Kind::Numbers),
        ("Full in", Kind::Numbers),
        ("Executable", Kind::Words),
        ("Runs in", Kind::Words),
    ];
    let rows = snapshot.processes.iter().take(MOST_ROWS).map(process);
    let left_out = snapshot.processes.len().saturating_sub(MOST_ROWS);
    table::write(out, "Processes", Filter::Words, &columns, rows, left_out)
}

fn process(process: &Process) -> Row {
    let container =
        process.container.as_deref().map(|id| format!("container {}", id.chars().take(12).collect::<String>()));
    let place = process.unit.clone().or(container).or_else(|| process.cgroup.clone()).unwrap_or_default();
    Row {
        cells: vec![
            Cell::number(&process.pid.to_string(), f64::from(process.pid)),
            Cell::text(&process.comm),
            count(process.open),
            flagged(process.flagged),
            size(process.memory_bytes),
            process.fds_open.map_or_else(Cell::absent, count),
            process.fds_limit.map_or_else(Cell::absent, count),
            process.fds_exhausted_s.map_or_else(Cell::absent, |left| Cell::alarming(&format_duration(left), left)),
            Cell::code(process.exe.as_deref().unwrap_or("")),
            Cell::code(&place),
        ],
        verdicts: Verdicts::NONE,
    }
}

pub(crate) fn groups(title: &str, groups: &[Group], out: &mut dyn Write) -> io::Result<()> {
    let columns = [
        ("Open", Kind::Numbers),
        ("Flagged", Kind::Numbers),
        ("Oldest", Kind::Numbers),
        ("Growth", Kind::Numbers),
        ("Unread", Kind::Numbers),
        ("Memory", Kind::Numbers),
        ("Address", Kind::Words),
        ("Verdicts", Kind::Words),
    ];
    let rows = groups.iter().take(MOST_ROWS).map(|group| Row {
        cells: vec![
            count(group.sums.open),
            flagged(group.sums.flagged),
            age(group.sums.oldest_s(), group.sums.oldest_exact()),
            growth(group.trend),
            size(group.sums.rx_queue_bytes),
            size(group.sums.memory_bytes),
            Cell::code(&group.key.to_string()),
            verdict_counts(&group.sums.verdicts),
        ],
        verdicts: held(&group.sums.verdicts),
    });
    table::write(out, title, Filter::WordsAndVerdict, &columns, rows, groups.len().saturating_sub(MOST_ROWS))
}

pub(crate) fn sockets(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let columns = [
        ("Local", Kind::Words),
        ("Remote", Kind::Words),
        ("State", Kind::Words),
        ("Age", Kind::Numbers),
        ("Idle", Kind::Numbers),
        ("Unread", Kind::Numbers),
        ("Unsent", Kind::Numbers),
        ("Opened by", Kind::Words),
        ("Verdicts", Kind::Words),
        ("Evidence", Kind::Words),
    ];
    let rows = snapshot.sockets.iter().take(MOST_ROWS).map(socket);
    let left_out = snapshot.sockets.len().saturating_sub(MOST_ROWS);
    table::write(out, "Sockets", Filter::WordsAndVerdict, &columns, rows, left_out)
}

fn socket(socket: &Socket) -> Row {
    let opener = match &socket.opener {
        Some(opener) => format!("{} ({})", opener.comm, opener.pid),
        None => "unknown".to_owned(),
    };
    let observed = &socket.observed;
    let set = observed.verdicts;
    let badges: String = set.iter().map(|verdict| badge(verdict, verdict.name())).collect();
    let line = if set.is_empty() { holders(socket).unwrap_or_default() } else { evidence_line(socket, GLYPHS) };
    Row {
        cells: vec![
            Cell::code(&observed.local.to_string()),
            Cell::code(&observed.remote.to_string()),
            Cell::text(observed.state.name()),
            age(Some(observed.age_s()), observed.age_exact),
            age(observed.idle_s(), true),
            size(observed.rx_queue_bytes.into()),
            size(observed.tx_queue_bytes.into()),
            Cell::text(&opener),
            Cell::html(badges, &rank(set.iter().next().map(|worst| (worst, 1)))),
            Cell::text(&line),
        ],
        verdicts: set,
    }
}

fn count(number: u64) -> Cell {
    Cell::number(&format_count(number), number as f64)
}

fn flagged(number: u64) -> Cell {
    let shown = format_count(number);
    if number > 0 { Cell::alarming(&shown, number as f64) } else { Cell::number(&shown, 0.0) }
}

fn size(bytes: u64) -> Cell {
    Cell::number(&format_size(bytes), bytes as f64)
}

fn age(seconds: Option<f64>, exact: bool) -> Cell {
    seconds.map_or_else(Cell::absent, |seconds| Cell::number(&format_age(Age { seconds, exact }, GLYPHS), seconds))
}

fn growth(trend: Option<Trend>) -> Cell {
    match trend {
        Some(Trend { growing: true, per_min }) => Cell::alarming(&format!("{} growing", format_rate(per_min)), per_min),
        Some(Trend { growing: false, per_min }) => Cell::number(&format_rate(per_min), per_min),
        None => Cell::absent(),
    }
}

/// The verdicts that are counted.
fn held(counts: &VerdictCounts) -> Verdicts {
    let mut set = Verdicts::NONE;
    counts.iter().for_each(|(verdict, _)| set.insert(verdict));
    set
}

fn verdict_counts(counts: &VerdictCounts) -> Cell {
    let badges: String = counts
        .iter()
        .map(|(verdict, sockets)| badge(verdict, &format!("{} {}", format_count(sockets), verdict.name())))
        .collect();
    Cell::html(badges, &rank(counts.iter().next()))
}

/// What makes rows sort worst first as text: severity, verdict, then how many sockets have it. Rows without a verdict sort last.
fn rank(worst: Option<(Verdict, u64)>) -> String {
    worst.map_or_else(String::new, |(verdict, sockets)| {
        format!("{} {:02} {:020}", 9 - verdict.severity() as u8, verdict as u8, u64::MAX - sockets)
    })
}
