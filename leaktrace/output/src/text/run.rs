//! The part of the text report about a command that was run: how it ended, which sockets its processes left open, which verdicts
//! came up.

use super::page::{COLUMNS, GLYPHS, age, heading, more, paragraph, stack};
use crate::{
    callsite_name::short_name,
    clean::clean,
    layout::{self, Align, Table},
};
use leaktrace_model::{
    Callsite, LeftOpen, Run, RunProcess, Snapshot, VerdictCounts, format_count, format_counted, format_duration,
    format_size,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
    hash::Hash,
    io::{self, Write},
};

/// How many groups of sockets and how many processes are listed.
const GROUPS: usize = 20;
const PROCESSES: usize = 20;

/// Peers named for one group.
const PEERS: usize = 6;

/// Writes all of it.
pub(crate) fn run(run: &Run, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
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
        stack(site, out)?;
    }
    Ok(())
}

/// How many, of which processes, in which states, how old, and to whom.
fn facts(members: &[&LeftOpen]) -> String {
    let mut verdicts = VerdictCounts::default();
    let mut pids: BTreeMap<u32, bool> = BTreeMap::new();
    for left in members {
        verdicts.add(left.socket.observed.verdicts);
        pids.insert(left.pid, left.signal.is_some());
    }
    let sockets = || members.iter().map(|left| &left.socket.observed);
    let named: Vec<String> = pids
        .iter()
        .take(PEERS)
        .map(|(pid, killed)| format!("{pid}{}", if *killed { " (killed)" } else { "" }))
        .collect();
    let rest = if pids.len() > PEERS {
        format!(" and {} more", format_count((pids.len() - PEERS) as u64))
    } else {
        String::new()
    };
    let mut facts =
        vec![format!("{} of pid {}{rest}", format_counted(members.len() as u64, "socket"), named.join(", "))];
    facts.push(words(counted(sockets().map(|socket| socket.state.name())), 4));
    if !verdicts.is_empty() {
        facts.push(words(names(&verdicts), 10));
    }
    let oldest = sockets().max_by_key(|socket| socket.age_ns);
    facts.extend(oldest.map(|socket| format!("oldest {}", age(socket.age_s(), socket.age_exact))));
    let unread: u64 = sockets().map(|socket| u64::from(socket.rx_queue_bytes)).sum();
    if unread > 0 {
        facts.push(format!("{} unread", format_size(unread)));
    }
    facts.push(format!("peers: {}", words(counted(sockets().map(|socket| socket.remote)), PEERS)));
    facts.join("; ")
}

/// How often each value occurs.
fn counted<T: Display + Eq + Hash>(values: impl Iterator<Item = T>) -> Vec<(String, u64)> {
    let mut counts: HashMap<T, u64> = HashMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts.into_iter().map(|(value, count)| (value.to_string(), count)).collect()
}

fn names(counts: &VerdictCounts) -> Vec<(String, u64)> {
    counts.iter().map(|(verdict, count)| (verdict.name().to_owned(), count)).collect()
}

/// The most frequent names with their counts, the others as a number.
fn words(mut counts: Vec<(String, u64)>, most: usize) -> String {
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut words: Vec<String> =
        counts.iter().take(most).map(|(name, number)| format!("{} {name}", format_count(*number))).collect();
    if counts.len() > most {
        words.push(format!("{} more", format_count((counts.len() - most) as u64)));
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
            (Some(open), _, _) => format!("runs, {} open", format_count(open)),
            (None, Some(signal), _) => format!("killed by signal {signal}"),
            (None, None, Some(status)) => format!("exit status {status}"),
            (None, None, None) => GLYPHS.absent().to_owned(),
        };
        let after = process
            .exited_s
            .map_or_else(String::new, |at| format!(" after {}", format_duration(at - process.started_s)));
        table.row(vec![
            process.pid.to_string(),
            format_count(process.left_open),
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
    paragraph(&words(names(&run.verdicts), 10), 2, out)
}
