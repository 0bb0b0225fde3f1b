//! What a verdict rests on, in words.

use crate::snapshot::Socket;
use crate::units::{format_duration, format_size};
use leaktrace_common::Verdict;

/// One sentence without a full stop: what was observed on this socket.
pub fn evidence(socket: &Socket, verdict: Verdict) -> String {
    let span = |seconds: Option<f64>| seconds.map_or_else(|| "a while".to_owned(), format_duration);
    match verdict {
        Verdict::CloseWait => format!("the peer closed {} ago, this end has not", span(socket.state_s)),
        Verdict::DeadHeld => format!("TCP finished {} ago, the descriptor is still held", span(socket.state_s)),
        Verdict::NeverRead => format!(
            "{} have waited {}; nothing was ever read",
            format_size(socket.rx_queue_bytes),
            span(socket.unread_s)
        ),
        Verdict::ReadStalled => format!(
            "{} have waited {}; {} were read before",
            format_size(socket.rx_queue_bytes),
            span(socket.unread_s),
            format_size(socket.bytes_read)
        ),
        Verdict::WriteStalled => format!(
            "{} have waited {} and the peer acknowledged nothing",
            format_size(socket.tx_queue_bytes),
            span(socket.unacked_s)
        ),
        Verdict::SilentPeer => {
            format!("established for {} and not one byte has come from the peer", span(socket.state_s))
        }
        Verdict::Connecting => format!("SYN sent {} ago, no answer", span(socket.state_s)),
        Verdict::NotAccepted => format!("established {} ago, still not accepted", format_duration(socket.age_s)),
        Verdict::IdleUnguarded => {
            format!("no payload for {}, neither keepalive nor a user timeout is set", span(socket.idle_s))
        }
        Verdict::LongLived => {
            format!("open for {}{}", if socket.age_exact { "" } else { "at least " }, format_duration(socket.age_s))
        }
    }
}
