//! What the text report says of a command that was run: how it ended, what its processes left open, which verdicts came up.

use super::{
    COLUMNS, GLYPHS, Table, age, clean, count, format_counted, format_duration, heading, more, paragraph, short_name,
    stack, stack_parts, wrap,
};
use crate::layout::{self, Align};
use leaktrace_model::snapshot::{Callsite, LeftOpen, Run, RunProcess, Snapshot, VerdictCounts};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// How many groups of sockets and how many processes are listed.
const GROUPS: usize = 20;
const PROCESSES: usize = 20;

/// Peers named for one group.
const PEERS: usize = 6;

pub(super) fn run(run: &Run, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    heading("COMMAND", out)?;
    paragraph(&clean(&run.command.join(" ")), 2, out)?;
    paragraph(&outcome(run), 2, out)?;
    left_open(run, snapshot, out)?;
    processes(run, out)?;
    came_up(run, out)
}

fn outcome(run: &Run) -> String {
    let mut facts = Vec::new();
    match (run.signal, run.exit_status) {
        (Some(signal), _) => facts.push(format!("killed by signal {signal}")),
        (None, Some(status)) => facts.push(format!("exit status {status}")),
        (None, None) => {}
    }
    facts.push(format_counted(run.processes_total, "process"));
    if run.processes_running > 0 {
        facts.push(format!("{} still running", format_counted(run.processes_running, "process")));
    }
    facts.push(match run.left_open_total {
        0 => "nothing was left open at an exit".to_owned(),
        total => format!("{} left open at an exit", format_counted(total, "socket")),
    });
    facts.join("; ")
}

/// Sockets that nothing but an exit closed, by the code that opened them.
fn left_open(run: &Run, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if run.left_open_total == 0 {
        return Ok(());
    }
    heading("LEFT OPEN: only the exit of their process closed these", out)?;
    let mut groups: BTreeMap<Option<u64>, Vec<&LeftOpen>> = BTreeMap::new();
    for left in &run.left_open {
        groups.entry(left.socket.callsite).or_default().push(left);
    }
    let mut groups: Vec<(Option<u64>, Vec<&LeftOpen>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    for (index, (id, members)) in groups.iter().take(GROUPS).enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let site = snapshot.callsites.iter().find(|site| Some(site.id) == *id);
        group(index + 1, members, site, out)?;
    }
    more(groups.len(), GROUPS, "call site", out)?;
    if run.left_open_lost > 0 {
        let lost = format_counted(run.left_open_lost, "socket");
        paragraph(&format!("and {lost} that came too fast to be looked at"), 2, out)?;
    }
    Ok(())
}

fn group(number: usize, members: &[&LeftOpen], site: Option<&Callsite>, out: &mut dyn Write) -> io::Result<()> {
    let name =
        site.map_or_else(|| "opened where nobody saw it".to_owned(), |site| short_name(site, COLUMNS - 24, GLYPHS));
    let comm = members.first().map_or("", |left| left.comm.as_str());
    let title = format!("{number}. {}: {name}", clean(comm));
    writeln!(out, "  {}", layout::fit(title.trim_end(), COLUMNS - 2, GLYPHS))?;
    paragraph(&facts(members), 5, out)?;
    if let Some(site) = site {
        for line in wrap(&stack_parts(site), stack::arrow(GLYPHS), COLUMNS - 5, GLYPHS) {
            writeln!(out, "     {line}")?;
        }
    }
    Ok(())
}

/// How many, of which processes, in which states, how old, and to whom.
fn facts(members: &[&LeftOpen]) -> String {
    let mut counts: [VerdictCounts; 3] = Default::default();
    let mut pids: BTreeMap<u32, bool> = BTreeMap::new();
    for left in members {
        let [states, peers, verdicts] = &mut counts;
        *states.entry(left.socket.state.clone()).or_default() += 1;
        *peers.entry(left.socket.remote.clone()).or_default() += 1;
        for verdict in &left.socket.verdicts {
            *verdicts.entry(verdict.clone()).or_default() += 1;
        }
        pids.insert(left.pid, left.signal.is_some());
    }
    let [states, peers, verdicts] = &counts;
    let named: Vec<String> = pids
        .iter()
        .take(PEERS)
        .map(|(pid, killed)| format!("{pid}{}", if *killed { " (killed)" } else { "" }))
        .collect();
    let rest =
        if pids.len() > PEERS { format!(" and {} more", count((pids.len() - PEERS) as u64)) } else { String::new() };
    let mut facts =
        vec![format!("{} of pid {}{rest}", format_counted(members.len() as u64, "socket"), named.join(", "))];
    facts.push(words(states, 4));
    if !verdicts.is_empty() {
        facts.push(words(verdicts, 10));
    }
    let oldest = members.iter().max_by(|a, b| a.socket.age_s.total_cmp(&b.socket.age_s));
    facts.extend(oldest.map(|left| format!("oldest {}", age(left.socket.age_s, left.socket.age_exact))));
    let unread: u64 = members.iter().map(|left| left.socket.rx_queue_bytes).sum();
    if unread > 0 {
        facts.push(format!("{} unread", crate::units::format_size(unread)));
    }
    facts.push(format!("peers: {}", words(peers, PEERS)));
    facts.join("; ")
}

/// The commonest of some names, each with its number.
fn words(counts: &VerdictCounts, most: usize) -> String {
    let mut sorted: Vec<(&String, &u64)> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let mut words: Vec<String> =
        sorted.iter().take(most).map(|(name, number)| format!("{} {}", count(**number), clean(name))).collect();
    if sorted.len() > most {
        words.push(format!("{} more", count((sorted.len() - most) as u64)));
    }
    words.join(", ")
}

/// Processes that left something open, and those that still run.
fn processes(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let worth: Vec<&RunProcess> =
        run.processes.iter().filter(|process| process.left_open > 0 || process.open.is_some()).collect();
    if worth.is_empty() {
        return Ok(());
    }
    heading("PROCESSES OF THE COMMAND", out)?;
    let columns = [("PID", Align::Right), ("LEFT OPEN", Align::Right), ("COMMAND", Align::Left), ("END", Align::Left)];
    let mut table = Table::new(2, &columns);
    for process in worth.iter().take(PROCESSES) {
        let end = match (process.open, process.signal, process.exit_status) {
            (Some(open), _, _) => format!("runs, {} open", count(open)),
            (None, Some(signal), _) => format!("killed by signal {signal}"),
            (None, None, Some(status)) => format!("exit status {status}"),
            (None, None, None) => GLYPHS.absent().to_owned(),
        };
        let after = process
            .exited_s
            .map_or_else(String::new, |at| format!(" after {}", format_duration(at - process.started_s)));
        table.row(vec![
            process.pid.to_string(),
            count(process.left_open),
            clean(&process.comm).into_owned(),
            format!("{end}{after}"),
        ]);
    }
    table.write(out, COLUMNS, GLYPHS)?;
    more(worth.len(), PROCESSES, "process", out)
}

fn came_up(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    if run.verdicts.is_empty() {
        return Ok(());
    }
    heading("VERDICTS THAT CAME UP WHILE IT RAN", out)?;
    paragraph(&words(&run.verdicts, 10), 2, out)
}
