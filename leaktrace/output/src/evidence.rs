//! Why a socket is flagged, in words: the observed facts behind each verdict.
//!
//! The verdicts themselves are decided elsewhere; this only tells what was seen. Used by the text and HTML
//! reports and by the live view.

use super::clean;
use crate::units::{Age, Glyphs, format_age, format_counted, format_size};
use leaktrace_common::Verdict;
use leaktrace_model::snapshot::Socket;

/// One verdict and the facts behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What holds.
    pub verdict: Verdict,
    /// Since when, and how much: `4.0 KiB have waited 12m 3s; nothing was ever read`.
    pub words: String,
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
    let set = socket.verdict_set();
    set.iter().map(|verdict| Evidence { verdict, words: words(socket, verdict, glyphs) }).collect()
}

/// All facts about a socket in one line, those of the worst verdict first, and who holds it:
/// `peer closed 3m ago; pid 12 (api) still holds fd 7`. Empty without verdicts. Clean.
pub fn evidence_line(socket: &Socket, glyphs: Glyphs) -> String {
    let facts = evidence(socket, glyphs);
    if facts.is_empty() {
        return String::new();
    }
    // That a socket is old says nothing once something worse is known: its age is shown anyway.
    let telling = facts.len() > 1;
    let mut parts: Vec<String> = facts
        .into_iter()
        .filter(|fact| !(telling && fact.verdict == Verdict::LongLived))
        .map(|fact| fact.words)
        .collect();
    parts.extend(holders(socket));
    parts.join("; ")
}

/// Who holds a socket: `pid 12 (api) still holds fd 7`; `None` when nobody is known to. Clean.
pub fn holders(socket: &Socket) -> Option<String> {
    let first = socket.holders.first()?;
    let set = socket.verdict_set();
    let still = if set.contains(Verdict::CloseWait) || set.contains(Verdict::DeadHeld) { "still " } else { "" };
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

fn words(socket: &Socket, verdict: Verdict, glyphs: Glyphs) -> String {
    let state = || span(socket, socket.state_s, glyphs);
    match verdict {
        Verdict::CloseWait => match socket.state_s {
            Some(_) => format!("peer closed {} ago", state()),
            None => "peer has closed".to_owned(),
        },
        Verdict::DeadHeld => match socket.state_s {
            Some(_) => format!("connection ended {} ago and is not closed", state()),
            None => "connection has ended and is not closed".to_owned(),
        },
        Verdict::NeverRead => format!("{}; nothing was ever read", waiting(socket, glyphs)),
        Verdict::ReadStalled => {
            format!("{}; {} read before that", waiting(socket, glyphs), format_size(socket.bytes_read))
        }
        Verdict::WriteStalled => {
            let queued = format_size(socket.tx_queue_bytes);
            match socket.unacked_s {
                Some(_) => {
                    format!("{queued} to send; nothing acknowledged for {}", span(socket, socket.unacked_s, glyphs))
                }
                None => format!("{queued} to send; nothing acknowledged"),
            }
        }
        Verdict::SilentPeer => {
            let sent = match socket.bytes_sent {
                0 => "nothing was sent to it either".to_owned(),
                bytes => format!("{} sent to it", format_size(bytes)),
            };
            let since = socket.state_s.map(|_| format!("established {}; ", state())).unwrap_or_default();
            format!("{since}peer has never sent a byte; {sent}")
        }
        Verdict::Connecting => match socket.state_s {
            Some(_) => format!("SYN sent {} ago and not answered", state()),
            None => "SYN sent and not answered".to_owned(),
        },
        Verdict::NotAccepted => {
            let age = format_age(Age { seconds: socket.age_s, exact: socket.age_exact }, glyphs);
            let queued = match socket.rx_queue_bytes {
                0 => String::new(),
                bytes => format!("; {} wait in it", format_size(bytes)),
            };
            format!("in the accept queue for {age}{queued}")
        }
        Verdict::IdleUnguarded => {
            let idle = socket.idle_s.map(|_| format!(" for {}", span(socket, socket.idle_s, glyphs)));
            format!("no payload either way{}; no keepalive, no user timeout", idle.unwrap_or_default())
        }
        Verdict::LongLived => {
            format!("open for {}", format_age(Age { seconds: socket.age_s, exact: socket.age_exact }, glyphs))
        }
    }
}

fn waiting(socket: &Socket, glyphs: Glyphs) -> String {
    let size = format_size(socket.rx_queue_bytes);
    let verb = if socket.rx_queue_bytes == 1 { "has" } else { "have" };
    match socket.unread_s {
        Some(_) => format!("{size} {verb} waited {}", span(socket, socket.unread_s, glyphs)),
        None => format!("{size} {verb} waited"),
    }
}

/// A condition that held for as long as a socket has been watched may have begun before that.
fn span(socket: &Socket, seconds: Option<f64>, glyphs: Glyphs) -> String {
    let seconds = seconds.unwrap_or(0.0);
    let exact = socket.age_exact || seconds + 0.5 < socket.age_s;
    format_age(Age { seconds, exact }, glyphs)
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
