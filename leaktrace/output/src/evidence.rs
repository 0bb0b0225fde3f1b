//! Why a socket is flagged, in words: the observed facts behind each verdict.
//!
//! Owns the words for verdicts: the only file of this crate that distinguishes them. It does not decide which verdicts hold. Used by
//! the text and HTML reports and by the live view.

use crate::clean::clean;
use leaktrace_model::{Age, Glyphs, Observed, Socket, Verdict, Verdicts, format_age, format_counted, format_size};

/// Verdicts of connections that have ended: the process that holds the socket "still" holds it.
const ENDED: Verdicts = {
    let mut set = Verdicts::NONE;
    set.insert(Verdict::CloseWait);
    set.insert(Verdict::DeadHeld);
    set
};

/// One verdict and the facts behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The verdict.
    pub verdict: Verdict,
    /// Since when, and how much: `4.0 KiB have waited 12m 3s; nothing was ever read`.
    pub words: String,
}

/// A verdict in at most six cells: the heading of a column.
pub const fn heading(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::CloseWait => "CLOSEW",
        Verdict::DeadHeld => "DEAD",
        Verdict::NeverRead => "UNREAD",
        Verdict::ReadStalled => "RSTALL",
        Verdict::WriteStalled => "WSTALL",
        Verdict::SilentPeer => "SILENT",
        Verdict::Connecting => "CONNEC",
        Verdict::NotAccepted => "QUEUED",
        Verdict::IdleUnguarded => "IDLE",
        Verdict::LongLived => "LONG",
    }
}

/// What a verdict means, for a table of verdicts: `payload waits, nothing was ever read`.
pub const fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::CloseWait => "the peer has closed, the application has not",
        Verdict::DeadHeld => "the connection is over, a process still holds the descriptor",
        Verdict::NeverRead => "payload waits and the application has never read",
        Verdict::ReadStalled => "payload waits and the application no longer reads",
        Verdict::WriteStalled => "bytes wait to be sent and the peer acknowledges nothing",
        Verdict::SilentPeer => "established and the peer has never sent a byte",
        Verdict::Connecting => "the peer does not answer the connection request",
        Verdict::NotAccepted => "established and the application has not accepted it",
        Verdict::IdleUnguarded => "nothing moves and nothing would notice a dead peer",
        Verdict::LongLived => "open for longer than the threshold",
    }
}

/// The facts behind each verdict of a socket, worst first. Clean.
pub fn evidence(socket: &Socket, glyphs: Glyphs) -> Vec<Evidence> {
    let observed = &socket.observed;
    observed.verdicts.iter().map(|verdict| Evidence { verdict, words: words(observed, verdict, glyphs) }).collect()
}

/// All facts about a socket in one line, those of the worst verdict first, and who holds it:
/// `peer closed 3m ago; pid 12 (api) still holds fd 7`. Empty without verdicts. Clean.
pub fn evidence_line(socket: &Socket, glyphs: Glyphs) -> String {
    let facts = evidence(socket, glyphs);
    if facts.is_empty() {
        return String::new();
    }
    // Its age says nothing new when something worse is known, and is shown elsewhere anyway.
    let is_worse_known = facts.len() > 1;
    let mut parts: Vec<String> = facts
        .into_iter()
        .filter(|fact| !(is_worse_known && fact.verdict == Verdict::LongLived))
        .map(|fact| fact.words)
        .collect();
    parts.extend(holders(socket));
    parts.join("; ")
}

/// Who holds a socket: `pid 12 (api) still holds fd 7`; `None` when no holder is known. Clean.
pub fn holders(socket: &Socket) -> Option<String> {
    let first = socket.holders.first()?;
    let still = if socket.observed.verdicts.and(ENDED).is_empty() { "" } else { "still " };
    let mut text = format!("pid {} ({}) {still}holds fd {}", first.pid, clean(&first.comm), first.fd);
    let more = socket.holders.len() as u64 - 1;
    if more > 0 {
        let others = socket.holders.iter().filter(|holder| holder.pid != first.pid).count() as u64;
        let what = if others == more { "process" } else { "descriptor" };
        let verb = if more == 1 { "does" } else { "do" };
        text.push_str(&format!(", and so {verb} {}", format_counted(more, what).replacen(' ', " more ", 1)));
    }
    Some(text)
}

fn words(socket: &Observed, verdict: Verdict, glyphs: Glyphs) -> String {
    let span = |seconds: f64| span(socket, seconds, glyphs);
    let age = || format_age(Age { seconds: socket.age_s(), exact: socket.age_exact }, glyphs);
    match verdict {
        Verdict::CloseWait => match socket.state_s() {
            Some(state) => format!("peer closed {} ago", span(state)),
            None => "peer has closed".to_owned(),
        },
        Verdict::DeadHeld => match socket.state_s() {
            Some(state) => format!("connection ended {} ago and is not closed", span(state)),
            None => "connection has ended and is not closed".to_owned(),
        },
        Verdict::NeverRead => format!("{}; nothing was ever read", waiting(socket, glyphs)),
        Verdict::ReadStalled => {
            format!("{}; {} read before that", waiting(socket, glyphs), format_size(socket.bytes_read()))
        }
        Verdict::WriteStalled => {
            let queued = format_size(socket.tx_queue_bytes.into());
            match socket.unacked_s() {
                Some(unacked) => format!("{queued} to send; nothing acknowledged for {}", span(unacked)),
                None => format!("{queued} to send; nothing acknowledged"),
            }
        }
        Verdict::SilentPeer => {
            let sent = match socket.bytes_sent {
                0 => "nothing was sent to it either".to_owned(),
                bytes => format!("{} sent to it", format_size(bytes)),
            };
            let since = socket.state_s().map(|state| format!("established {}; ", span(state))).unwrap_or_default();
            format!("{since}peer has never sent a byte; {sent}")
        }
        Verdict::Connecting => match socket.state_s() {
            Some(state) => format!("SYN sent {} ago and not answered", span(state)),
            None => "SYN sent and not answered".to_owned(),
        },
        Verdict::NotAccepted => {
            let queued = match socket.rx_queue_bytes {
                0 => String::new(),
                bytes => format!("; {} wait in it", format_size(bytes.into())),
            };
            format!("in the accept queue for {}{queued}", age())
        }
        Verdict::IdleUnguarded => {
            let idle = socket.idle_s().map(|idle| format!(" for {}", span(idle)));
            format!("no payload either way{}; no keepalive, no user timeout", idle.unwrap_or_default())
        }
        Verdict::LongLived => format!("open for {}", age()),
    }
}

fn waiting(socket: &Observed, glyphs: Glyphs) -> String {
    let size = format_size(socket.rx_queue_bytes.into());
    let verb = if socket.rx_queue_bytes == 1 { "has" } else { "have" };
    match socket.unread_s() {
        Some(unread) => format!("{size} {verb} waited {}", span(socket, unread, glyphs)),
        None => format!("{size} {verb} waited"),
    }
}

/// How long a condition has held: a lower bound if it has held since the socket was first seen, as it may have begun before.
fn span(socket: &Observed, seconds: f64, glyphs: Glyphs) -> String {
    let exact = socket.age_exact || seconds + 0.5 < socket.age_s();
    format_age(Age { seconds, exact }, glyphs)
}

#[cfg(test)]
mod tests;
