//! Who holds the row's sockets, its peers, its call sites, its sockets.

use super::lines::{Line, Lines, line};
use crate::{
    app::App, columns::callsites::named, figures::age, frames::culprit_name, subject::Counted, text::clean,
    theme::Role, view_kind::View,
};
use leaktrace_model::snapshot::{Callsite, Socket};
use leaktrace_output::{
    evidence,
    units::{format_count, format_counted},
};

/// The processes that hold its sockets, with their first descriptors.
pub fn holders(app: &App, cells: usize) -> Lines {
    let Some(subject) = app.subject.as_ref().filter(|subject| !subject.held.is_empty()) else { return Lines::new() };
    let charset = app.options.charset;
    let mut lines = vec![line("Held by", Role::Strong)];
    for held in subject.held.iter().take(8) {
        let mut fds = held.fds.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        if held.count > held.fds.len() as u64 {
            fds.push_str(charset.ellipsis());
        }
        let who = format!("  {}[{}] ", clean(&held.comm, charset), held.pid);
        let count =
            if held.count > 1 { format!("{}{} ", charset.times(), format_count(held.count)) } else { String::new() };
        let room = cells.saturating_sub(who.len() + count.len() + 3);
        let fds = crate::text::fit(fds, room, charset).into_owned();
        lines.push(vec![(who, Role::Text), (count, Role::Strong), (format!("fd {fds}"), Role::Faint)]);
    }
    if subject.held.len() > 8 {
        lines.push(line(
            format!("  and {}", format_counted(subject.held.len() as u64 - 8, "more process")),
            Role::Faint,
        ));
    }
    lines
}

/// The peers of a call site.
pub fn peers(app: &App, site: &Callsite) -> Lines {
    if site.peers.is_empty() {
        return Lines::new();
    }
    let charset = app.options.charset;
    let mut lines = vec![line("Peers", Role::Strong)];
    for peer in site.peers.iter().take(8) {
        let mut parts: Line = vec![
            (format!("{:>7} ", format_count(peer.open)), Role::Text),
            (clean(&peer.peer, charset).into_owned(), Role::Text),
        ];
        let name = named(&app.names, &peer.peer);
        if name != peer.peer {
            parts.push((format!("  {}", clean(name, charset)), Role::Faint));
        }
        lines.push(parts);
    }
    lines
}

/// The call sites that opened its sockets, for rows that are not call sites themselves.
pub fn callsites(app: &App) -> Lines {
    let Some((subject, data)) = app.subject.as_ref().zip(app.data.as_ref()) else { return Lines::new() };
    if matches!(app.view, View::Callsites | View::Sockets) || subject.sites.is_empty() {
        return Lines::new();
    }
    let charset = app.options.charset;
    let mut lines = vec![line("Opened by", Role::Strong)];
    for (id, count) in subject.sites.iter().take(8) {
        let Some(site) = data.facts.callsite(*id).and_then(|at| data.snapshot.callsites.get(at)) else { continue };
        let function = culprit_name(site).unwrap_or_else(|| "stack unknown".to_owned());
        let text = format!("{} {}", clean(&site.comm, charset), clean(&function, charset));
        lines.push(vec![(format!("{:>7} ", format_count(*count)), Role::Text), (text, Role::Text)]);
    }
    lines
}

/// The listed sockets, worst first, with the evidence of the worst verdict.
pub fn sockets(app: &App, cells: usize) -> Lines {
    let Some((subject, data)) = app.subject.as_ref().zip(app.data.as_ref()) else { return Lines::new() };
    if app.view == View::Sockets || subject.sockets.is_empty() {
        return Lines::new();
    }
    let more = if subject.all_counted == Counted::Some { " or more" } else { "" };
    let mut title = line(format!("{}{more}", format_counted(subject.listed, "listed socket")), Role::Strong);
    title.push(("  s shows them as a table".to_owned(), Role::Faint));
    let mut lines = vec![title];
    let all = subject.sockets.iter().filter_map(|at| data.snapshot.sockets.get(*at as usize));
    lines.extend(all.map(|socket| socket_line(app, socket, cells)));
    let rest = subject.listed.saturating_sub(subject.sockets.len() as u64);
    if rest > 0 {
        lines.push(line(format!("  and {} more", format_count(rest)), Role::Faint));
    }
    lines
}

fn socket_line(app: &App, socket: &Socket, cells: usize) -> Line {
    let charset = app.options.charset;
    let worst = socket.verdict_set().iter().next();
    let severity = worst.map(leaktrace_common::Verdict::severity);
    let role = severity.map_or(Role::Text, Role::Bad);
    let mut parts = vec![
        (charset.severity(severity).to_owned(), role),
        (format!(" {:>8} ", age(socket.age_s, socket.age_exact, charset)), Role::Text),
        (format!("{:<21} ", clean(&socket.remote, charset)), Role::Text),
    ];
    if cells >= 60 {
        parts.push((format!("{:<12} ", clean(&socket.state, charset)), Role::Faint));
    }
    let words = match worst {
        Some(_) if cells >= 90 => evidence(socket, charset.glyphs()).into_iter().next().map(|fact| fact.words),
        worst => worst.map(|verdict| verdict.name().to_owned()),
    };
    let words = words.unwrap_or_default();
    parts.push((clean(&words, charset).into_owned(), role));
    parts
}
