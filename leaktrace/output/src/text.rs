//! The text report: within 100 columns, worst first, made to be pasted into a ticket.
//!
//! Order and words only; the layout of columns is [`crate::layout`]'s, the words for evidence are
//! [`mod@crate::evidence`]'s.

mod page;
mod run;
mod summary;
mod tables;

pub(crate) use page::COLUMNS;
pub(crate) use summary::{filters, losses, stack_sample, totals_line};
pub(crate) use tables::callsite_table;

use crate::{callsite_name::short_name, clean::clean, evidence::evidence_line, layout, writer::Format};
use leaktrace_model::{
    Callsite, Direction, Lifetimes, Snapshot, Socket, Verdict, format_count, format_counted, format_duration,
    format_rate,
};
use page::{GLYPHS, age, heading, more, paragraph, stack};
use std::io::{self, Write};
use summary::{header, verdicts, within_filters};
use tables::{groups, processes, verdict_words};

/// How many rows each part lists before it says how many more there are.
const CALLSITES: usize = 30;
const DETAILS: usize = 10;
const PROCESSES: usize = 20;
const GROUPS: usize = 10;
const SOCKETS: usize = 50;

/// `--format text`
pub(crate) struct Text;

impl Format for Text {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        header(snapshot, out)?;
        writeln!(out)?;
        paragraph(&totals_line(snapshot), 0, out)?;
        if let Some(run) = &snapshot.run {
            run::run(run, snapshot, out)?;
        }
        if snapshot.totals.sums.open == 0 && snapshot.callsites.is_empty() && snapshot.sockets.is_empty() {
            writeln!(out, "\nNo TCP socket was open{}.", within_filters(snapshot))?;
            return Ok(());
        }
        if snapshot.totals.sums.flagged == 0 {
            writeln!(out, "\nNothing is flagged: no socket met the condition of any verdict.")?;
        }
        verdicts(snapshot, out)?;
        callsites(snapshot, out)?;
        details(snapshot, out)?;
        processes(snapshot, PROCESSES, out)?;
        groups("TOP PEERS", &snapshot.peers, GROUPS, out)?;
        groups("LISTENERS", &snapshot.listeners, GROUPS, out)?;
        sockets(snapshot, out)
    }
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
        snapshot.callsites.iter().filter(|site| site.sums.flagged > 0 || site.is_growing()).collect();
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
        format!(
            "{} open, {} flagged: {}",
            format_count(site.sums.open),
            format_count(site.sums.flagged),
            verdict_words(&site.sums.verdicts)
        ),
    ];
    facts.extend(growth(site));
    facts.extend(site.sums.oldest_s().map(|oldest| format!("oldest {}", age(oldest, site.sums.oldest_exact()))));
    paragraph(&facts.join("; "), 5, out)?;
    if let Some(lived) = site.lifetimes.as_ref().filter(|lived| lived.count > 0) {
        paragraph(&lifetimes(lived), 5, out)?;
    }
    if !site.peers.is_empty() {
        let peers: Vec<String> =
            site.peers.iter().take(8).map(|peer| format!("{} ({})", peer.peer, format_count(peer.open))).collect();
        paragraph(&format!("peers: {}", peers.join(", ")), 5, out)?;
    }
    stack(site, out)
}

/// Flagged sockets, and all the others when they were asked for.
fn sockets(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.sockets.is_empty() {
        return Ok(());
    }
    let all_wanted = snapshot.sockets.iter().any(|socket| socket.observed.verdicts.is_empty());
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
    let observed = &socket.observed;
    let arrow = match observed.direction {
        Direction::Connect => "→",
        Direction::Accept => "←",
        Direction::Unknown => "↔",
    };
    let line = format!(
        "  {} {arrow} {}  {}  {}  {}",
        observed.local,
        observed.remote,
        observed.state.name(),
        age(observed.age_s(), observed.age_exact),
        opener(socket)
    );
    writeln!(out, "{}", layout::fit(line.trim_end(), COLUMNS, GLYPHS))?;
    if observed.verdicts.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = observed.verdicts.iter().map(Verdict::name).collect();
    paragraph(&format!("{}: {}", names.join(", "), evidence_line(socket, GLYPHS)), 6, out)
}

/// `connect by pid 12, 13`
fn opened_by(site: &Callsite) -> String {
    let how = match site.direction {
        Direction::Unknown => "opened",
        Direction::Connect | Direction::Accept => site.direction.name(),
    };
    let pids: Vec<String> = site.pids.iter().take(8).map(u32::to_string).collect();
    let rest = site.pids.len().saturating_sub(pids.len());
    let tail = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    if pids.is_empty() { how.to_owned() } else { format!("{how} by pid {}{tail}", pids.join(", ")) }
}

/// `growing by +12/min`; `None` when it does not grow.
fn growth(site: &Callsite) -> Option<String> {
    site.trend.filter(|trend| trend.growing).map(|trend| format!("growing by {}", format_rate(trend.per_min)))
}

/// How long closed sockets lived, to compare the open ones with.
pub(crate) fn lifetimes(lived: &Lifetimes) -> String {
    format!(
        "{} closed within the window lived {} (median), {} (p90), {} (p99), {} (longest)",
        format_count(lived.count),
        format_duration(lived.p50),
        format_duration(lived.p90),
        format_duration(lived.p99),
        format_duration(lived.max)
    )
}

/// Who opened a socket: `opened by pid 12 (api)`.
fn opener(socket: &Socket) -> String {
    match &socket.opener {
        Some(opener) => format!("opened by pid {} ({})", opener.pid, clean(&opener.comm.text())),
        None => "opener unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests;
