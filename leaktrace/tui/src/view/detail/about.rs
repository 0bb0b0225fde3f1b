//! The facts about the row.

use super::lines::{Lines, wrapped};
use crate::app::App;
use crate::rows::columns::processes::short_container;
use crate::rows::table::AnyTable;
use crate::rows::view_kind::Opened;
use crate::short_numbers::per_minute;
use crate::signs::Signs as _;
use crate::text::clean;
use crate::theme::Role;
use leaktrace_model::{
    Age, Callsite, Glyphs, Group, Process, Socket, Sums, Trend, format_age, format_count, format_duration, format_size,
};
use std::net::IpAddr;

/// The facts of the row the cursor is on.
pub(crate) fn of_row(app: &App, cells: usize) -> Lines {
    let Some((at, table)) = app.selected_row().zip(app.table()) else { return Lines::new() };
    let glyphs = app.options.glyphs;
    let facts = match table {
        AnyTable::Callsites(table) => table.items.get(at).map(|site| callsite(site, table.opened(at), glyphs)),
        AnyTable::Processes(table) => table.items.get(at).map(|row| process(row, glyphs)),
        AnyTable::Peers(table) => table.items.get(at).map(|group| peer(app, group)),
        AnyTable::Sockets(table) => table.items.get(at).map(|row| socket(app, row)),
    };
    let facts = facts.unwrap_or_default();
    wrapped(&facts.join(glyphs.dot()), 0, cells, Role::Text).collect()
}

fn age(seconds: f64, exact: bool, glyphs: Glyphs) -> String {
    format_age(Age { seconds, exact }, glyphs)
}

fn growth(trend: Option<Trend>) -> Option<String> {
    let trend = trend.filter(|trend| trend.growing)?;
    Some(format!("growing by {} a minute", per_minute(trend.per_min).trim_start_matches('+')))
}

fn oldest(sums: &Sums, glyphs: Glyphs) -> Option<String> {
    sums.oldest_s().map(|seconds| format!("oldest {}", age(seconds, sums.oldest_exact(), glyphs)))
}

fn of_sums(sums: &Sums) -> Vec<String> {
    counts(sums.open, sums.flagged, Some(sums.rx_queue_bytes), sums.memory_bytes)
}

fn counts(open: u64, flagged: u64, rx: Option<u64>, memory: u64) -> Vec<String> {
    let mut facts = vec![format!("{} open", format_count(open)), format!("{} flagged", format_count(flagged))];
    facts.extend(rx.map(|bytes| format!("{} unread", format_size(bytes))));
    facts.push(format!("{} of kernel memory", format_size(memory)));
    facts
}

fn callsite(site: &Callsite, opened: Option<Opened>, glyphs: Glyphs) -> Vec<String> {
    let mut facts = of_sums(&site.sums);
    facts.extend(growth(site.trend));
    facts.extend(oldest(&site.sums, glyphs));
    facts.push(format!("{} opened and {} closed in the window", format_count(site.opened), format_count(site.closed)));
    facts.extend(opened.map(|opened| format!("by {}", opened.name())));
    facts.extend(site.exe.as_deref().map(|exe| clean(exe, glyphs).into_owned()));
    facts
}

fn process(row: &Process, glyphs: Glyphs) -> Vec<String> {
    let mut facts = counts(row.open, row.flagged, None, row.memory_bytes);
    facts.extend(row.fds_open.map(|open| match row.fds_limit {
        Some(limit) => format!("{} of {} descriptors", format_count(open), format_count(limit)),
        None => format!("{} descriptors", format_count(open)),
    }));
    facts.extend(row.fds_per_min.map(|rate| format!("{} descriptors a minute", per_minute(rate))));
    facts.extend(row.fds_exhausted_s.map(|left| format!("full in {} at this rate", format_duration(left))));
    let words = [
        ("", &row.exe),
        ("container ", &row.container),
        ("pod ", &row.pod),
        ("unit ", &row.unit),
        ("cgroup ", &row.cgroup),
    ];
    for (kind, value) in words {
        facts.extend(value.as_deref().map(|value| format!("{kind}{}", clean(short_container(value), glyphs))));
    }
    facts
}

fn peer(app: &App, group: &Group) -> Vec<String> {
    let mut facts = of_sums(&group.sums);
    facts.extend(growth(group.trend));
    facts.extend(oldest(&group.sums, app.options.glyphs));
    facts.extend(name(app, group.key.ip()));
    facts
}

fn name(app: &App, peer: IpAddr) -> Option<String> {
    app.names.get(peer).map(|name| clean(name, app.options.glyphs).into_owned())
}

fn socket(app: &App, row: &Socket) -> Vec<String> {
    let (glyphs, observed) = (app.options.glyphs, &row.observed);
    let in_state = observed.state_s().map_or_else(|| glyphs.absent().to_owned(), format_duration);
    let queues = [observed.rx_queue_bytes, observed.tx_queue_bytes].map(|bytes| format_size(bytes.into()));
    let mut facts = vec![
        format!("{} for {in_state}", observed.state.name()),
        format!("open {}", age(observed.age_s(), observed.age_exact, glyphs)),
        format!("by {}", observed.direction.name()),
        format!("received {}, read {}", format_size(observed.bytes_received), format_size(observed.bytes_read())),
        format!("sent {}, acknowledged {}", format_size(observed.bytes_sent), format_size(observed.bytes_acked)),
        format!("queues: {} in, {} out", queues[0], queues[1]),
        format!("{} of kernel memory", format_size(observed.memory_bytes.into())),
    ];
    facts.extend(observed.idle_s().map(|idle| format!("no payload for {}", format_duration(idle))));
    facts.push(format!("keepalive {}", if observed.keepalive { "on" } else { "off" }));
    facts.extend(
        observed.user_timeout_ms.map(|ms| format!("user timeout {}", format_duration(f64::from(ms.get()) / 1000.0))),
    );
    facts.extend(observed.waiters.map(|on| if on { "somebody waits on it" } else { "nobody waits on it" }.to_owned()));
    facts.extend(row.opener.map(|opener| format!("opened by {}[{}]", clean(&opener.comm.text(), glyphs), opener.pid)));
    facts.extend(observed.cookie.map(|cookie| format!("cookie {cookie:x}")));
    facts.extend(observed.netns.map(|netns| format!("netns {netns}")));
    facts.extend(row.container.as_deref().map(|id| format!("container {}", clean(short_container(id), glyphs))));
    facts.extend(name(app, observed.remote.ip()));
    facts
}
