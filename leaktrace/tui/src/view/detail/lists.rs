//! Lists about the row: holders, peers, call sites, sockets.

use super::lines::{Line, Lines, line};
use crate::app::App;
use crate::frames::own_frame_name;
use crate::rows::detail_data::Counted;
use crate::rows::view_kind::View;
use crate::short_numbers::age;
use crate::signs::Signs as _;
use crate::text::clean;
use crate::theme::Role;
use leaktrace_model::{Callsite, Socket, Verdict, format_count, format_counted};
use leaktrace_output::evidence;

/// The processes that hold its sockets, with their first descriptors.
pub(crate) fn holders(app: &App, cells: usize) -> Lines {
    let Some(detail) = app.detail.as_ref().filter(|detail| !detail.held.is_empty()) else { return Lines::new() };
    let glyphs = app.options.glyphs;
    let mut lines = vec![line("Held by", Role::Strong)];
    for held in detail.held.iter().take(8) {
        let mut fds = held.fds.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        if held.count > held.fds.len() as u64 {
            fds.push_str(glyphs.cut());
        }
        let who = format!("  {}[{}] ", clean(&held.comm, glyphs), held.pid);
        let count =
            if held.count > 1 { format!("{}{} ", glyphs.times(), format_count(held.count)) } else { String::new() };
        let room = cells.saturating_sub(who.len() + count.len() + 3);
        let fds = crate::text::fit(fds, room, glyphs).into_owned();
        lines.push(vec![(who, Role::Text), (count, Role::Strong), (format!("fd {fds}"), Role::Faint)]);
    }
    if detail.held.len() > 8 {
        lines
            .push(line(format!("  and {}", format_counted(detail.held.len() as u64 - 8, "more process")), Role::Faint));
    }
    lines
}

/// The peers of a call site.
pub(crate) fn peers(app: &App, site: &Callsite) -> Lines {
    if site.peers.is_empty() {
        return Lines::new();
    }
    let glyphs = app.options.glyphs;
    let mut lines = vec![line("Peers", Role::Strong)];
    for peer in site.peers.iter().take(8) {
        let mut parts: Line =
            vec![(format!("{:>7} ", format_count(peer.open)), Role::Text), (peer.peer.to_string(), Role::Text)];
        if let Some(name) = app.names.get(peer.peer.ip()) {
            parts.push((format!("  {}", clean(name, glyphs)), Role::Faint));
        }
        lines.push(parts);
    }
    lines
}

/// The call sites that opened its sockets, for rows that are not call sites themselves.
pub(crate) fn callsites(app: &App) -> Lines {
    let Some((detail, data)) = app.detail.as_ref().zip(app.data.as_ref()) else { return Lines::new() };
    if matches!(app.view, View::Callsites | View::Sockets) || detail.sites.is_empty() {
        return Lines::new();
    }
    let glyphs = app.options.glyphs;
    let mut lines = vec![line("Opened by", Role::Strong)];
    for (id, count) in detail.sites.iter().take(8) {
        let Some(site) = data.lens().callsite(*id) else { continue };
        let function = own_frame_name(site).unwrap_or_else(|| "stack unknown".to_owned());
        let text = format!("{} {}", clean(&site.comm, glyphs), clean(&function, glyphs));
        lines.push(vec![(format!("{:>7} ", format_count(*count)), Role::Text), (text, Role::Text)]);
    }
    lines
}

/// The listed sockets, worst first, with the evidence of the worst verdict.
pub(crate) fn sockets(app: &App, cells: usize) -> Lines {
    let Some((detail, data)) = app.detail.as_ref().zip(app.data.as_ref()) else { return Lines::new() };
    if app.view == View::Sockets || detail.sockets.is_empty() {
        return Lines::new();
    }
    let more = if detail.all_counted == Counted::Some { " or more" } else { "" };
    let mut title = line(format!("{}{more}", format_counted(detail.listed, "listed socket")), Role::Strong);
    title.push(("  s shows them as a table".to_owned(), Role::Faint));
    let mut lines = vec![title];
    let all = detail.sockets.iter().filter_map(|at| data.snapshot.sockets.get(*at as usize));
    lines.extend(all.map(|socket| socket_line(app, socket, cells)));
    let rest = detail.listed.saturating_sub(detail.sockets.len() as u64);
    if rest > 0 {
        lines.push(line(format!("  and {} more", format_count(rest)), Role::Faint));
    }
    lines
}

fn socket_line(app: &App, socket: &Socket, cells: usize) -> Line {
    let glyphs = app.options.glyphs;
    let observed = &socket.observed;
    let worst = observed.verdicts.iter().next();
    let severity = worst.map(Verdict::severity);
    let role = severity.map_or(Role::Text, Role::Bad);
    let mut parts = vec![
        (glyphs.severity(severity).to_owned(), role),
        (format!(" {:>8} ", age(observed.age_s(), observed.age_exact, glyphs)), Role::Text),
        (format!("{:<21} ", observed.remote.to_string()), Role::Text),
    ];
    if cells >= 60 {
        parts.push((format!("{:<12} ", observed.state.name()), Role::Faint));
    }
    let words = match worst {
        Some(_) if cells >= 90 => evidence(socket, glyphs).into_iter().next().map(|fact| fact.words),
        worst => worst.map(|verdict| verdict.name().to_owned()),
    };
    let words = words.unwrap_or_default();
    parts.push((clean(&words, glyphs).into_owned(), role));
    parts
}
