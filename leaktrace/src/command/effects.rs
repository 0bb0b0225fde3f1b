//! What the live view asks for, carried out: exports, names of addresses, closing sockets. None of it depends on where samples
//! come from.

use leaktrace_kernel::destroy::{self, destroy};
use leaktrace_output::{Destination, write_report};
use leaktrace_tui::{self as tui, Colour, Effect, Notice, NoticeKind, Options};
use std::{net::IpAddr, path::Path, thread};
use tokio::sync::mpsc::Sender;

/// How the view presents itself here.
pub(super) fn options() -> Options {
    let environment = |name: &str| std::env::var(name).ok();
    let colour =
        if environment("NO_COLOR").is_some_and(|value| !value.is_empty()) { Colour::Plain } else { Colour::Palette };
    Options { glyphs: tui::glyphs_of_locale(environment), colour }
}

/// Does what does not depend on where samples come from.
pub(super) fn carry_out(effect: Effect, tell: &Sender<tui::Update>) {
    match effect {
        Effect::Export { format, path, shown } => aside(tell, move || {
            let outcome = if path.exists() {
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
        Effect::ReverseLookup { addresses } => aside(tell, move || {
            addresses.into_iter().map(|address| tui::Update::PeerName { name: name_of(address), address }).collect()
        }),
        Effect::KillSockets { sockets } => aside(tell, move || {
            let outcomes = destroy(&sockets);
            let closed = outcomes.iter().filter(|outcome| **outcome == destroy::Outcome::Closed).count();
            let other = outcomes.iter().find(|outcome| **outcome != destroy::Outcome::Closed);
            let text = format!("{closed} of {} sockets closed", sockets.len());
            vec![match other {
                None if closed == sockets.len() => notice(NoticeKind::Done, text),
                None => notice(NoticeKind::Failed, text),
                Some(other) => notice(NoticeKind::Failed, format!("{text}; the first that was not: {other}")),
            }]
        }),
        // Snapshots come with names; a live kernel does not stand still; the rest is the runner's own or the source's.
        _ => {}
    }
}

pub(super) fn notice(kind: NoticeKind, text: String) -> tui::Update {
    tui::Update::Notice(Notice { kind, text })
}

/// Does what may take time on a thread of its own, and tells the view what came of it.
fn aside(tell: &Sender<tui::Update>, work: impl FnOnce() -> Vec<tui::Update> + Send + 'static) {
    let tell = tell.clone();
    // Without a thread to spare there is no answer, and the view goes on.
    let _ = thread::Builder::new().spawn(move || {
        for update in work() {
            let _ = tell.blocking_send(update);
        }
    });
}

/// The name of an address, as the host's resolver knows it.
fn name_of(address: IpAddr) -> Option<String> {
    dns_lookup::lookup_addr(&address).ok().filter(|name| *name != address.to_string())
}
