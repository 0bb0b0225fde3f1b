//! What stands at the top of the text report: where and when, with which settings, sums, losses, verdicts.

use super::page::{COLUMNS, GLYPHS, heading, paragraph};
use crate::{
    clean::clean,
    evidence::meaning,
    layout::{Align, Table},
};
use leaktrace_model::{
    Direction, Filter, Network, Settings, Snapshot, StackSample, VerdictCounts, format_count, format_counted,
    format_duration, format_size, format_size_change,
};
use std::io::{self, Write};

/// Which tool, host and span, which settings, and what is not as it could be.
pub(crate) fn header(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let or_absent = |text: &Option<String>| clean(text.as_deref().unwrap_or(GLYPHS.absent())).into_owned();
    let host = &snapshot.host;
    paragraph(
        &format!(
            "{} {} on {}, Linux {}: {}",
            snapshot.tool.name,
            snapshot.tool.version,
            or_absent(&host.hostname),
            or_absent(&host.kernel),
            span(snapshot)
        ),
        0,
        out,
    )?;
    let settings = &snapshot.settings;
    let limits = &settings.limits;
    let mut facts = vec![
        format!("hooks {}", snapshot.health.hooks.name()),
        format!("sampled every {}", format_duration(settings.interval.as_secs_f64())),
        format!("stuck from {}", format_duration(limits.stall.as_secs_f64())),
        format!("idle from {}", format_duration(limits.idle.as_secs_f64())),
        format!("long-lived from {}", format_duration(limits.threshold.as_secs_f64())),
    ];
    facts.extend(stack_sample(settings));
    facts.extend(filters(&settings.filter).map(|filters| format!("only {filters}")));
    paragraph(&facts.join("; "), 0, out)?;
    for degradation in &snapshot.health.degraded {
        let text = format!("degraded: {}: {}", clean(&degradation.feature()), clean(&degradation.reason()));
        paragraph(&text, 0, out)?;
    }
    if let Some(lost) = losses(snapshot) {
        paragraph(&format!("lost: {lost}"), 0, out)?;
    }
    Ok(())
}

/// The span that a report covers, in words.
fn span(snapshot: &Snapshot) -> String {
    let (seconds, end) = (snapshot.window.seconds(), snapshot.window.end);
    if seconds > 0.0 { format!("{} until {end}", format_duration(seconds)) } else { format!("one look at {end}") }
}

/// How stacks are sampled, in words; `None` when all are captured.
pub(crate) fn stack_sample(settings: &Settings) -> Option<String> {
    let StackSample { one_in, above_per_s } = settings.stack_sample?;
    let (one_in, above) = (format_count(one_in.get().into()), format_count(above_per_s.into()));
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
    let sums = &totals.sums;
    let mut line = format!(
        "{} open, {} opened, {} closed, {} flagged",
        format_count(sums.open),
        format_count(totals.opened),
        format_count(totals.closed),
        format_count(sums.flagged)
    );
    if sums.rx_queue_bytes > 0 {
        line.push_str(&format!(", {} unread", format_size(sums.rx_queue_bytes)));
    }
    line.push_str(&format!(", {} of kernel memory", format_size(sums.memory_bytes)));
    let health = &snapshot.health;
    if let Some(gap) = health.tcp_memory_gap_bytes.filter(|gap| *gap != 0) {
        line.push_str(&format!(" ({} not in any sampled socket)", format_size_change(gap)));
    }
    if health.resolved > 0 {
        line.push_str(&format!(", {} resolved", format_counted(health.resolved, "verdict")));
    }
    if health.ignored > 0 {
        line.push_str(&format!(", {} ignored", format_count(health.ignored)));
    }
    line
}

/// The filters of the command line in words; `None` when there are none.
pub(crate) fn filters(filter: &Filter) -> Option<String> {
    let either = |name: &str, values: Vec<String>| {
        (!values.is_empty()).then(|| format!("{name} {}", clean(&values.join(" or "))))
    };
    let parts: Vec<String> = [
        either("pid", filter.pids.iter().map(u32::to_string).collect()),
        either("comm", filter.comms.clone()),
        either("port", filter.ports.iter().map(u16::to_string).collect()),
        either("peer", filter.peers.iter().map(Network::to_string).collect()),
        either("container", filter.containers.clone()),
        either("direction", filter.directions.iter().map(|direction| Direction::name(*direction).to_owned()).collect()),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// What to add to a sentence about all sockets.
pub(crate) fn within_filters(snapshot: &Snapshot) -> &'static str {
    if filters(&snapshot.settings.filter).is_some() { " that matches the filters" } else { "" }
}

/// Each verdict, how many sockets have it, and what it means.
pub(crate) fn verdicts(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let mut counts = VerdictCounts::default();
    snapshot.callsites.iter().for_each(|site| counts.merge(&site.sums.verdicts));
    if counts.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(2, &[("", Align::Right), ("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    for (verdict, sockets) in counts.iter() {
        table.row(vec![
            format_count(sockets),
            verdict.name().to_owned(),
            verdict.severity().name().to_owned(),
            meaning(verdict).to_owned(),
        ]);
    }
    heading("VERDICTS", out)?;
    table.write(out, COLUMNS, GLYPHS)
}
