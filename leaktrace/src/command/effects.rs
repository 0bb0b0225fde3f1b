//! Carries out what the live view asks for: exports, names of addresses, closing sockets. None of it depends on where
//! samples come from.

use super::kill::ssh_connections;
use leaktrace_kernel::destroy::{self, destroy};
use leaktrace_output::{Destination, write_report};
use leaktrace_tui::{self as tui, Colour, Effect, Notice, NoticeKind, Options};
use std::{net::IpAddr, path::Path, thread};
use tokio::sync::mpsc::Sender;

/// Options of the live view.
pub(super) fn options() -> Options {
    let environment = |name: &str| std::env::var(name).ok();
    let colour =
        if environment("NO_COLOR").is_some_and(|value| !value.is_empty()) { Colour::Plain } else { Colour::Palette };
    Options { glyphs: tui::glyphs_of_locale(environment), colour }
}

/// Carries out an effect that does not depend on where samples come from.
pub(super) fn carry_out(effect: Effect, to_view: &Sender<tui::Update>) {
    match effect {
        Effect::Export { format, path, shown } => aside(to_view, move || {
            let outcome = if path.symlink_metadata().is_ok() {
                Err(format!("{} exists already: choose another name", path.display()))
            } else {
                let destination = Destination::from_option(Some(Path::new(&path)));
                write_report(&shown.to_snapshot(), format, &destination).map_err(|error| error.to_string())
            };
            vec![match outcome {
                Ok(()) => notice(NoticeKind::Done, format!("written to {}", path.display())),
                Err(error) => notice(NoticeKind::Failed, error),
            }]
        }),
        Effect::ReverseLookup { addresses } => aside(to_view, move || {
            addresses.into_iter().map(|address| tui::Update::PeerName { name: name_of(address), address }).collect()
        }),
        Effect::KillSockets { sockets } => aside(to_view, move || {
            let ssh = ssh_connections();
            let (spared, sockets): (Vec<_>, Vec<_>) = sockets.into_iter().partition(|socket| ssh.have(socket));
            let outcomes = destroy(&sockets);
            let closed = outcomes.iter().filter(|outcome| **outcome == destroy::Outcome::Closed).count();
            let other = outcomes.iter().find(|outcome| **outcome != destroy::Outcome::Closed);
            let left_out = match spared.len() {
                0 => "",
                _ => "; the SSH connection that you are using was left open: leaktrace kill --include-ssh closes it",
            };
            let text = format!("{closed} of {} sockets closed{left_out}", sockets.len());
            vec![match other {
                None if closed == sockets.len() => notice(NoticeKind::Done, text),
                None => notice(NoticeKind::Failed, text),
                Some(other) => notice(NoticeKind::Failed, format!("{text}; the first that was not: {other}")),
            }]
        }),
        // Snapshots come with names; a live kernel cannot be paused; the runner or the source carries out the rest.
        _ => {}
    }
}

pub(super) fn notice(kind: NoticeKind, text: String) -> tui::Update {
    tui::Update::Notice(Notice { kind, text })
}

/// Runs slow work on its own thread and sends the results to the view.
fn aside(to_view: &Sender<tui::Update>, work: impl FnOnce() -> Vec<tui::Update> + Send + 'static) {
    let to_view = to_view.clone();
    // If no thread can be started, there is no answer, and the view goes on.
    let _ = thread::Builder::new().spawn(move || {
        for update in work() {
            let _ = to_view.blocking_send(update);
        }
    });
}

/// Name of an address, from the host's resolver.
fn name_of(address: IpAddr) -> Option<String> {
    dns_lookup::lookup_addr(&address).ok().filter(|name| *name != address.to_string())
}
