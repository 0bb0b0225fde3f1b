//! The parts of the text report that are tables or single lines.

use super::*;
use crate::{
    meaning,
    units::{Age, format_age, format_count, format_rate, format_size, format_size_change},
};
use leaktrace_common::{Severity, Verdict};
use leaktrace_model::snapshot::{Filters, Group, Settings, StackSample, VerdictCounts};

pub(super) fn header(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let or_absent = |text: &Option<String>| clean(text.as_deref().unwrap_or(GLYPHS.absent())).into_owned();
    let host = &snapshot.host;
    paragraph(
        &format!(
            "{} {} on {}, Linux {}: {}",
            clean(&snapshot.tool.name),
            clean(&snapshot.tool.version),
            or_absent(&host.hostname),
            or_absent(&host.kernel),
            span(snapshot)
        ),
        0,
        out,
    )?;
    let settings = &snapshot.settings;
    let mut facts = vec![
        format!("hooks {}", clean(&snapshot.health.hooks)),
        format!("sampled every {}", format_duration(settings.interval_s)),
        format!("stuck from {}", format_duration(settings.stall_s)),
        format!("idle from {}", format_duration(settings.idle_s)),
        format!("long-lived from {}", format_duration(settings.threshold_s)),
    ];
    facts.extend(stack_sample(settings));
    facts.extend(filters(&settings.filters).map(|filters| format!("only {filters}")));
    paragraph(&facts.join("; "), 0, out)?;
    for degradation in &snapshot.health.degraded {
        let text = format!("degraded: {}: {}", clean(&degradation.feature), clean(&degradation.reason));
        paragraph(&text, 0, out)?;
    }
    if let Some(lost) = losses(snapshot) {
        paragraph(&format!("lost: {lost}"), 0, out)?;
    }
    Ok(())
}

/// How stacks are sampled, in words; `None` when all are captured.
pub(crate) fn stack_sample(settings: &Settings) -> Option<String> {
    let StackSample { one_in, above_per_s } = settings.stack_sample?;
    let (one_in, above) = (format_count(one_in.into()), format_count(above_per_s.into()));
    Some(format!("1 stack in {one_in} of processes that open more than {above} sockets/s"))
}

/// What was lost, in words; `None` when nothing was.
pub(crate) fn losses(snapshot: &Snapshot) -> Option<String> {
    let lost = &snapshot.health.lost;
    let mut parts = Vec::new();
    if lost.sockets_unattributed > 0 {
        let sockets = format_counted(lost.sockets_unattributed, "socket");
        parts.push(format!("{sockets} found no room and have no stack (raise --max-sockets)"));
    }
    if lost.stacks > 0 {
        parts.push(format_counted(lost.stacks, "stack"));
    }
    if lost.samples > 0 {
        parts.push(format_counted(lost.samples, "sample"));
    }
    if lost.captures > 0 {
        parts.push(format_counted(lost.captures, "stack copy"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The sums of a snapshot in one line.
pub(crate) fn totals_line(snapshot: &Snapshot) -> String {
    let totals = &snapshot.totals;
    let mut line = format!(
        "{} open, {} opened, {} closed, {} flagged",
        count(totals.open),
        count(totals.opened),
        count(totals.closed),
        count(totals.flagged)
    );
    if totals.rx_queue_bytes > 0 {
        line.push_str(&format!(", {} unread", format_size(totals.rx_queue_bytes)));
    }
    line.push_str(&format!(", {} of kernel memory", format_size(totals.memory_bytes)));
    let health = &snapshot.health;
    if let Some(gap) = health.tcp_memory_gap_bytes.filter(|gap| *gap != 0) {
        line.push_str(&format!(" ({} not in any sampled socket)", format_size_change(gap)));
    }
    if health.resolved > 0 {
        line.push_str(&format!(", {} resolved", format_counted(health.resolved, "verdict")));
    }
    if health.ignored > 0 {
        line.push_str(&format!(", {} ignored", count(health.ignored)));
    }
    line
}

/// The filters in words; `None` when there are none.
pub(crate) fn filters(filters: &Filters) -> Option<String> {
    let either = |name: &str, values: Vec<String>| {
        (!values.is_empty()).then(|| format!("{name} {}", clean(&values.join(" or "))))
    };
    let numbers = |values: &[u32]| values.iter().map(u32::to_string).collect();
    let parts: Vec<String> = [
        either("pid", numbers(&filters.pid)),
        either("comm", filters.comm.clone()),
        either("port", filters.port.iter().map(u16::to_string).collect()),
        either("peer", filters.peer.clone()),
        either("container", filters.container.clone()),
        either("direction", filters.direction.clone()),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

pub(super) fn within_filters(snapshot: &Snapshot) -> &'static str {
    if filters(&snapshot.settings.filters).is_some() { " that matches the filters" } else { "" }
}

/// Each verdict, how many sockets have it, and what it means.
pub(super) fn verdicts(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let counted = |verdict: Verdict| -> u64 {
        snapshot.callsites.iter().filter_map(|site| site.verdicts.get(verdict.name())).sum()
    };
    let mut table = Table::new(2, &[("", Align::Right), ("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    let mut any = false;
    for verdict in Verdict::ALL {
        let sockets = counted(verdict);
        if sockets > 0 {
            any = true;
            table.row(vec![
                count(sockets),
                verdict.name().to_owned(),
                verdict.severity().name().to_owned(),
                meaning(verdict).to_owned(),
            ]);
        }
    }
    if !any {
        return Ok(());
    }
    heading("VERDICTS", out)?;
    table.write(out, COLUMNS, GLYPHS)
}

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
    // Churn is the first to go where there is no room for it.
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
        let oldest = |seconds| format_age(Age { seconds, exact: site.oldest_exact }, glyphs);
        let growth = match (site.growing, site.growth_per_min) {
            (Some(true), Some(rate)) => format!("{} !", format_rate(rate)),
            (Some(true), None) => "!".to_owned(),
            (_, Some(rate)) => format_rate(rate),
            _ => absent(),
        };
        let verb = match site.direction.as_str() {
            "connect" => "connect: ",
            "accept" => "accept: ",
            _ => "",
        };
        let mut row = vec![count(site.open), count(site.flagged)];
        if !narrow {
            row.extend([count(site.opened), count(site.closed)]);
        }
        row.extend([
            site.oldest_s.map_or_else(absent, oldest),
            growth,
            layout::fit(&clean(&site.comm), 15, glyphs),
            verb.to_owned(),
        ]);
        table.row(row);
    }
    let room = table.room_for_last(columns);
    table.extend_last(snapshot.callsites.iter().map(|site| {
        let taken = if matches!(site.direction.as_str(), "connect" | "accept") { site.direction.len() + 2 } else { 0 };
        short_name(site, room.saturating_sub(taken).max(8), glyphs)
    }));
    table.write(out, columns, glyphs)
}

pub(super) fn processes(snapshot: &Snapshot, rows: usize, out: &mut dyn Write) -> io::Result<()> {
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
        let limit = |limit: Option<u64>| limit.map_or_else(|| GLYPHS.absent().to_owned(), count);
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
            count(process.open),
            count(process.flagged),
            format_size(process.memory_bytes),
            descriptors,
            notes.join(", "),
        ]);
    }
    table.write(out, COLUMNS, GLYPHS)?;
    more(snapshot.processes.len(), rows, "process", out)
}

pub(super) fn groups(title: &str, groups: &[Group], rows: usize, out: &mut dyn Write) -> io::Result<()> {
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
            count(group.open),
            count(group.flagged),
            format_size(group.rx_queue_bytes),
            layout::fit(&clean(&group.name), 47, GLYPHS),
            if group.verdicts.is_empty() { String::new() } else { verdict_words(&group.verdicts) },
        ]);
    }
    table.write(out, COLUMNS, GLYPHS)?;
    more(groups.len(), rows, "address", out)
}

/// `100 never-read, 18 close-wait`, worst first.
pub(super) fn verdict_words(counts: &VerdictCounts) -> String {
    let known = Verdict::ALL.iter().filter_map(|verdict| {
        let sockets = counts.get(verdict.name()).copied().filter(|sockets| *sockets > 0)?;
        Some((verdict.severity(), format!("{} {}", count(sockets), verdict.name())))
    });
    let known: Vec<(Severity, String)> = known.collect();
    // As for a single socket: age is told when nothing worse is.
    let worse = known.iter().any(|(severity, _)| *severity > Severity::Info);
    let words: Vec<String> = known
        .into_iter()
        .filter(|(severity, _)| !worse || *severity > Severity::Info)
        .map(|(_, words)| words)
        .collect();
    if words.is_empty() { "no verdict".to_owned() } else { words.join(", ") }
}

/// `connect by pid 12, 13`
pub(super) fn opened_by(site: &Callsite) -> String {
    let how = match site.direction.as_str() {
        "unknown" | "" => "opened",
        direction => direction,
    };
    let pids: Vec<String> = site.pids.iter().take(8).map(u32::to_string).collect();
    let rest = site.pids.len().saturating_sub(pids.len());
    let tail = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    if pids.is_empty() { clean(how).into_owned() } else { format!("{} by pid {}{tail}", clean(how), pids.join(", ")) }
}

/// `growing by +12/min`; `None` when it does not grow.
pub(super) fn growth(site: &Callsite) -> Option<String> {
    (site.growing == Some(true)).then(|| match site.growth_per_min {
        Some(rate) => format!("growing by {}", format_rate(rate)),
        None => "growing".to_owned(),
    })
}

/// How long its closed sockets lived, to compare the open ones with.
pub(super) fn lifetimes(site: &Callsite) -> Option<String> {
    let lived = site.lifetime_s.as_ref().filter(|lived| lived.count > 0)?;
    Some(format!(
        "{} closed within the window lived {} (median), {} (p90), {} (p99), {} (longest)",
        count(lived.count),
        format_duration(lived.p50),
        format_duration(lived.p90),
        format_duration(lived.p99),
        format_duration(lived.max)
    ))
}

/// Who opened a socket: `opened by pid 12 (api)`.
pub(super) fn opener(socket: &Socket) -> String {
    match (socket.pid, &socket.comm) {
        (Some(pid), Some(comm)) => format!("opened by pid {pid} ({})", clean(comm)),
        (Some(pid), None) => format!("opened by pid {pid}"),
        (None, _) => "opener unknown".to_owned(),
    }
}

pub(super) fn age(seconds: f64, exact: bool) -> String {
    format_age(Age { seconds, exact }, GLYPHS)
}

pub(super) fn count(number: u64) -> String {
    format_count(number)
}
