//! The text report: within 100 columns, worst first, made to be pasted into a ticket.
//!
//! Order and words only; the layout of columns is [`super::layout`]'s, the words for evidence are
//! [`super::evidence`]'s.

mod parts;
mod run;

use super::layout::{Align, Table, wrap, wrap_words};
use super::{Format, clean, evidence_line, frame_with_place, layout, short_name, stack};
use crate::units::{Glyphs, format_counted, format_duration};
use leaktrace_model::snapshot::{Callsite, Snapshot, Socket};
use parts::{age, count, growth, lifetimes, opened_by, opener, verdict_words};
pub(super) use parts::{callsite_table, filters, losses, stack_sample, totals_line};
use std::io::{self, Write};

/// No line is wider.
pub(super) const COLUMNS: usize = 100;

/// How many rows each part lists before it says how many more there are.
const CALLSITES: usize = 30;
const DETAILS: usize = 10;
const PROCESSES: usize = 20;
const GROUPS: usize = 10;
const SOCKETS: usize = 50;

const GLYPHS: Glyphs = Glyphs::Unicode;

/// `--format text`
pub(super) struct Text;

impl Format for Text {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        parts::header(snapshot, out)?;
        writeln!(out)?;
        paragraph(&totals_line(snapshot), 0, out)?;
        if let Some(run) = &snapshot.run {
            run::run(run, snapshot, out)?;
        }
        if snapshot.totals.open == 0 && snapshot.callsites.is_empty() && snapshot.sockets.is_empty() {
            writeln!(out, "\nNo TCP socket was open{}.", parts::within_filters(snapshot))?;
            return Ok(());
        }
        if snapshot.totals.flagged == 0 {
            writeln!(out, "\nNothing is flagged: no socket met the condition of any verdict.")?;
        }
        parts::verdicts(snapshot, out)?;
        callsites(snapshot, out)?;
        details(snapshot, out)?;
        parts::processes(snapshot, PROCESSES, out)?;
        parts::groups("TOP PEERS", &snapshot.peers, GROUPS, out)?;
        parts::groups("LISTENERS", &snapshot.listeners, GROUPS, out)?;
        sockets(snapshot, out)
    }
}

/// A heading on a line of its own, apart from what is above.
fn heading(title: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{title}")
}

fn paragraph(text: &str, indent: usize, out: &mut dyn Write) -> io::Result<()> {
    for line in wrap_words(text, COLUMNS - indent, GLYPHS) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}

fn more(total: usize, listed: usize, what: &str, out: &mut dyn Write) -> io::Result<()> {
    if total > listed {
        writeln!(out, "  and {} more; --format json lists them all", format_counted((total - listed) as u64, what))?;
    }
    Ok(())
}

fn callsites(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.callsites.is_empty() {
        return Ok(());
    }
    heading("CALL SITES, worst first", out)?;
    callsite_table(snapshot, CALLSITES, COLUMNS, GLYPHS, out)?;
    more(snapshot.callsites.len(), CALLSITES, "call site", out)
}

/// Flagged and growing call sites with everything that is known about them.
fn details(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let worth: Vec<&Callsite> =
        snapshot.callsites.iter().filter(|site| site.flagged > 0 || site.growing == Some(true)).collect();
    if worth.is_empty() {
        return Ok(());
    }
    heading("WHERE FLAGGED SOCKETS COME FROM", out)?;
    for (index, site) in worth.iter().take(DETAILS).enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        detail(index + 1, site, out)?;
    }
    more(worth.len(), DETAILS, "call site", out)
}

fn detail(number: usize, site: &Callsite, out: &mut dyn Write) -> io::Result<()> {
    let title = format!("{number}. {}: {}", clean(&site.comm), short_name(site, COLUMNS - 24, GLYPHS));
    writeln!(out, "  {}", layout::fit(title.trim_end(), COLUMNS - 2, GLYPHS))?;
    let mut facts = vec![
        opened_by(site),
        format!("{} open, {} flagged: {}", count(site.open), count(site.flagged), verdict_words(&site.verdicts)),
    ];
    facts.extend(growth(site));
    facts.extend(site.oldest_s.map(|oldest| format!("oldest {}", age(oldest, site.oldest_exact))));
    paragraph(&facts.join("; "), 5, out)?;
    if let Some(line) = lifetimes(site) {
        paragraph(&line, 5, out)?;
    }
    if !site.peers.is_empty() {
        let peers: Vec<String> =
            site.peers.iter().take(8).map(|peer| format!("{} ({})", clean(&peer.peer), count(peer.open))).collect();
        paragraph(&format!("peers: {}", peers.join(", ")), 5, out)?;
    }
    for line in wrap(&stack_parts(site), stack::arrow(GLYPHS), COLUMNS - 5, GLYPHS) {
        writeln!(out, "     {line}")?;
    }
    Ok(())
}

/// The whole stack, leaf first, and what is wrong with it.
fn stack_parts(site: &Callsite) -> Vec<String> {
    let mut parts: Vec<String> = site.stack.iter().map(frame_with_place).collect();
    let reason = site.stack_reason.as_deref().map(|reason| format!(": {}", clean(reason))).unwrap_or_default();
    match site.stack_quality {
        leaktrace_model::snapshot::StackQuality::Complete => {}
        leaktrace_model::snapshot::StackQuality::Truncated => parts.push(format!("[callers unknown{reason}]")),
        leaktrace_model::snapshot::StackQuality::Missing => parts.push(format!("[no stack{reason}]")),
    }
    parts
}

/// Flagged sockets, and all the others when they were asked for.
fn sockets(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.sockets.is_empty() {
        return Ok(());
    }
    let all_wanted = snapshot.sockets.iter().any(|socket| socket.verdicts.is_empty());
    let limit = if all_wanted { usize::MAX } else { SOCKETS };
    heading(if all_wanted { "SOCKETS, worst first" } else { "FLAGGED SOCKETS, worst first" }, out)?;
    for socket in snapshot.sockets.iter().take(limit) {
        one_socket(socket, out)?;
    }
    if snapshot.sockets.len() > limit {
        let rest = (snapshot.sockets.len() - limit) as u64;
        writeln!(out, "  and {} more; --format csv or json lists them all", format_counted(rest, "socket"))?;
    }
    Ok(())
}

fn one_socket(socket: &Socket, out: &mut dyn Write) -> io::Result<()> {
    let arrow = match socket.direction.as_str() {
        "connect" => "→",
        "accept" => "←",
        _ => "↔",
    };
    let mut line = format!("  {} {arrow} {}  {}", clean(&socket.local), clean(&socket.remote), clean(&socket.state));
    line.push_str(&format!("  {}  {}", age(socket.age_s, socket.age_exact), opener(socket)));
    writeln!(out, "{}", layout::fit(line.trim_end(), COLUMNS, GLYPHS))?;
    if socket.verdicts.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = socket.verdicts.iter().map(|name| clean(name).into_owned()).collect();
    paragraph(&format!("{}: {}", names.join(", "), evidence_line(socket, GLYPHS)), 6, out)
}

/// The span a report covers, in words.
fn span(snapshot: &Snapshot) -> String {
    if snapshot.window.seconds > 0.0 {
        format!("{} until {}", format_duration(snapshot.window.seconds), clean(&snapshot.window.end))
    } else {
        format!("one look at {}", clean(&snapshot.window.end))
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
