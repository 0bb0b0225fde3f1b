//! What the row is, in facts.

use super::lines::{Lines, wrapped};
use crate::{
    app::App, columns::processes::short_container, figures::per_minute, glyphs::Charset, row_key::host_of,
    table::AnyTable, text::clean, theme::Role,
};
use leaktrace_model::snapshot::{Callsite, Group, Process, Socket};
use leaktrace_output::units::{Age, format_age, format_count, format_duration, format_size};

/// The facts of the row the cursor is on.
pub fn of_row(app: &App, cells: usize) -> Lines {
    let Some((at, table)) = app.selected_row().zip(app.table()) else { return Lines::new() };
    let charset = app.options.charset;
    let facts = match table {
        AnyTable::Callsites(table) => table.items.get(at).map(|site| callsite(site, charset)),
        AnyTable::Processes(table) => table.items.get(at).map(|row| process(row, charset)),
        AnyTable::Peers(table) => table.items.get(at).map(|group| peer(app, group)),
        AnyTable::Sockets(table) => table.items.get(at).map(|row| socket(app, row)),
    };
    let facts = facts.unwrap_or_default();
    wrapped(&facts.join(charset.dot()), 0, cells, Role::Text).collect()
}

fn age(seconds: f64, exact: bool, charset: Charset) -> String {
    format_age(Age { seconds, exact }, charset.glyphs())
}

fn growth(growing: Option<bool>, per_min: Option<f64>) -> Option<String> {
    match (growing, per_min) {
        (Some(true), Some(rate)) => Some(format!("growing by {} a minute", per_minute(rate).trim_start_matches('+'))),
        (Some(true), None) => Some("growing".to_owned()),
        _ => None,
    }
}

fn sums(open: u64, flagged: u64, rx: Option<u64>, memory: u64) -> Vec<String> {
    let mut facts = vec![format!("{} open", format_count(open)), format!("{} flagged", format_count(flagged))];
    facts.extend(rx.map(|bytes| format!("{} unread", format_size(bytes))));
    facts.push(format!("{} of kernel memory", format_size(memory)));
    facts
}

fn callsite(site: &Callsite, charset: Charset) -> Vec<String> {
    let mut facts = sums(site.open, site.flagged, Some(site.rx_queue_bytes), site.memory_bytes);
    facts.extend(growth(site.growing, site.growth_per_min));
    facts.extend(site.oldest_s.map(|s| format!("oldest {}", age(s, site.oldest_exact, charset))));
    facts.push(format!("{} opened and {} closed in the window", format_count(site.opened), format_count(site.closed)));
    facts.push(format!("by {}", clean(&site.direction, charset)));
    facts.extend(site.exe.as_deref().map(|exe| clean(exe, charset).into_owned()));
    facts
}

fn process(row: &Process, charset: Charset) -> Vec<String> {
    let mut facts = sums(row.open, row.flagged, None, row.memory_bytes);
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
        facts.extend(value.as_deref().map(|value| format!("{kind}{}", clean(short_container(value), charset))));
    }
    facts
}

fn peer(app: &App, group: &Group) -> Vec<String> {
    let mut facts = sums(group.open, group.flagged, Some(group.rx_queue_bytes), group.memory_bytes);
    facts.extend(growth(group.growing, group.growth_per_min));
    facts.extend(group.oldest_s.map(|s| format!("oldest {}", age(s, group.oldest_exact, app.options.charset))));
    facts.extend(name(app, &group.name));
    facts
}

fn name(app: &App, peer: &str) -> Option<String> {
    app.names.get(host_of(peer)).map(|name| clean(name, app.options.charset).into_owned())
}

fn socket(app: &App, row: &Socket) -> Vec<String> {
    let charset = app.options.charset;
    let mut facts = vec![
        format!(
            "{} for {}",
            clean(&row.state, charset),
            row.state_s.map_or_else(|| charset.absent().to_owned(), format_duration)
        ),
        format!("open {}", age(row.age_s, row.age_exact, charset)),
        format!("by {}", clean(&row.direction, charset)),
        format!("received {}, read {}", format_size(row.bytes_received), format_size(row.bytes_read)),
        format!("sent {}, acknowledged {}", format_size(row.bytes_sent), format_size(row.bytes_acked)),
        format!("queues: {} in, {} out", format_size(row.rx_queue_bytes), format_size(row.tx_queue_bytes)),
        format!("{} of kernel memory", format_size(row.memory_bytes)),
    ];
    facts.extend(row.idle_s.map(|idle| format!("no payload for {}", format_duration(idle))));
    facts.extend(row.keepalive.map(|on| format!("keepalive {}", if on { "on" } else { "off" })));
    facts.extend(row.user_timeout_ms.map(|ms| format!("user timeout {}", format_duration(f64::from(ms) / 1000.0))));
    facts.extend(row.waiters.map(|on| if on { "somebody waits on it" } else { "nobody waits on it" }.to_owned()));
    facts.extend(
        row.comm.as_deref().map(|comm| format!("opened by {}[{}]", clean(comm, charset), row.pid.unwrap_or_default())),
    );
    facts.extend(row.cookie.map(|cookie| format!("cookie {cookie:x}")));
    facts.extend(row.netns.map(|netns| format!("netns {netns}")));
    facts.extend(row.container.as_deref().map(|id| format!("container {}", clean(short_container(id), charset))));
    facts.extend(name(app, &row.remote));
    facts
}
