//! Which tables the page has, and what stands in their columns.

use super::super::flame::escape;
use super::super::{clean, evidence_line, frame_with_place, holders, short_name};
use super::table::{self, Cell, Filter, Kind, Row};
use super::{severity, tag};
use crate::units::{Age, Glyphs, format_age, format_count, format_duration, format_rate, format_size};
use leaktrace_common::Verdict;
use leaktrace_model::snapshot::{Callsite, Group, Process, Snapshot, Socket, StackQuality, VerdictCounts};
use std::io::{self, Write};

/// A page with more rows than this is no longer pleasant in a browser.
const MOST_ROWS: usize = 5_000;
const GLYPHS: Glyphs = Glyphs::Unicode;

pub(super) fn callsites(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
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
    let direction = if site.direction == "unknown" { String::new() } else { format!("{}: ", site.direction) };
    let name = escape(&format!("{}{}", clean(&direction), short_name(site, 120, GLYPHS)));
    let mut details = String::from("<ol class=\"mono\">");
    for frame in &site.stack {
        let note = if frame.inlined { " <span class=\"soft\">inlined</span>" } else { "" };
        details.push_str(&format!("<li>{}{note}</li>", escape(&frame_with_place(frame))));
    }
    details.push_str("</ol>");
    if site.stack_quality != StackQuality::Complete {
        let what = if site.stack.is_empty() { "no stack" } else { "callers unknown" };
        let why = site.stack_reason.as_deref().unwrap_or("no reason recorded");
        details.push_str(&format!("<p class=\"soft\">{what}: {}</p>", escape(&clean(why))));
    }
    let pids: Vec<String> = site.pids.iter().take(50).map(u32::to_string).collect();
    details.push_str(&format!("<p class=\"soft\">pid {}</p>", pids.join(", ")));
    if let Some(lived) = &site.lifetime_s {
        details.push_str(&format!(
            "<p class=\"soft\">{} closed within the window lived {} (median), {} (p90), {} (p99), {} (longest)</p>",
            format_count(lived.count),
            escape(&format_duration(lived.p50)),
            escape(&format_duration(lived.p90)),
            escape(&format_duration(lived.p99)),
            escape(&format_duration(lived.max))
        ));
    }
    if !site.peers.is_empty() {
        let peers: Vec<String> = site
            .peers
            .iter()
            .map(|peer| format!("{} ({})", escape(&clean(&peer.peer)), format_count(peer.open)))
            .collect();
        details.push_str(&format!("<p class=\"soft\">peers: {}</p>", peers.join(", ")));
    }
    let where_from = format!("<details><summary class=\"mono\">{name}</summary>{details}</details>");
    Row {
        cells: vec![
            count(site.open),
            flagged(site.flagged),
            count(site.opened),
            count(site.closed),
            age(site.oldest_s, site.oldest_exact),
            growth(site.growing, site.growth_per_min),
            size(site.rx_queue_bytes),
            size(site.memory_bytes),
            Cell::text(&site.comm),
            verdict_counts(&site.verdicts),
            Cell::html(where_from, &short_name(site, 120, GLYPHS)),
        ],
        verdicts: names(&site.verdicts),
    }
}

pub(super) fn processes(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
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
        verdicts: Vec::new(),
    }
}

pub(super) fn groups(title: &str, groups: &[Group], out: &mut dyn Write) -> io::Result<()> {
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
            count(group.open),
            flagged(group.flagged),
            age(group.oldest_s, group.oldest_exact),
            growth(group.growing, group.growth_per_min),
            size(group.rx_queue_bytes),
            size(group.memory_bytes),
            Cell::code(&group.name),
            verdict_counts(&group.verdicts),
        ],
        verdicts: names(&group.verdicts),
    });
    table::write(out, title, Filter::WordsAndVerdict, &columns, rows, groups.len().saturating_sub(MOST_ROWS))
}

pub(super) fn sockets(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
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
    let opener = match (socket.pid, &socket.comm) {
        (Some(pid), Some(comm)) => format!("{comm} ({pid})"),
        (Some(pid), None) => pid.to_string(),
        (None, _) => "unknown".to_owned(),
    };
    let set = socket.verdict_set();
    let tags: String = set.iter().map(|verdict| tag(verdict, verdict.name())).collect();
    let line = if set.is_empty() { holders(socket).unwrap_or_default() } else { evidence_line(socket, GLYPHS) };
    Row {
        cells: vec![
            Cell::code(&socket.local),
            Cell::code(&socket.remote),
            Cell::text(&socket.state),
            age(Some(socket.age_s), socket.age_exact),
            age(socket.idle_s, true),
            size(socket.rx_queue_bytes),
            size(socket.tx_queue_bytes),
            Cell::text(&opener),
            Cell::html(tags, &rank(set.iter().next(), 1)),
            Cell::text(&line),
        ],
        verdicts: set.iter().map(Verdict::name).collect(),
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

fn growth(growing: Option<bool>, per_min: Option<f64>) -> Cell {
    match (growing, per_min) {
        (Some(true), Some(rate)) => Cell::alarming(&format!("{} growing", format_rate(rate)), rate),
        (_, Some(rate)) => Cell::number(&format_rate(rate), rate),
        (Some(true), None) => Cell::alarming("growing", 0.0),
        _ => Cell::absent(),
    }
}

fn names(counts: &VerdictCounts) -> Vec<&'static str> {
    Verdict::ALL.iter().map(|verdict| verdict.name()).filter(|name| counts.get(*name).is_some_and(|n| *n > 0)).collect()
}

fn verdict_counts(counts: &VerdictCounts) -> Cell {
    let held = Verdict::ALL.iter().filter_map(|verdict| Some((*verdict, *counts.get(verdict.name())?)));
    let held: Vec<(Verdict, u64)> = held.filter(|(_, sockets)| *sockets > 0).collect();
    let tags: String =
        held.iter().map(|(verdict, n)| tag(*verdict, &format!("{} {}", format_count(*n), verdict.name()))).collect();
    let worst = held.first().copied();
    Cell::html(tags, &rank(worst.map(|(verdict, _)| verdict), worst.map_or(0, |(_, sockets)| sockets)))
}

/// Sorts worst first when sorted by words: severity, then how many, then the name. Empty sorts last.
fn rank(worst: Option<Verdict>, sockets: u64) -> String {
    worst.map_or_else(String::new, |verdict| {
        let place = Verdict::ALL.iter().position(|known| *known == verdict).unwrap_or_default();
        format!("{} {place:02} {:020}", 9 - severity(verdict) as u8, u64::MAX - sockets)
    })
}
