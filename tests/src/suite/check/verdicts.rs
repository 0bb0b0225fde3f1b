//! The verdicts of one socket: exactly the right ones, each with its evidence.

use super::super::report::Socket;
use super::complaints::{Complaints, name};
use super::terms::Terms;
use crate::truth::Expect;
use std::collections::BTreeSet;

/// The verdicts, and their evidence.
pub fn check(expect: &Expect, socket: &Socket, terms: &Terms, complaints: &mut Complaints) {
    check_right(expect, socket, terms, complaints);
    check_evidence(socket, terms, complaints);
}

fn check_right(expect: &Expect, socket: &Socket, terms: &Terms, complaints: &mut Complaints) {
    let found: BTreeSet<&str> =
        socket.verdicts.iter().map(String::as_str).filter(|name| *name != "long-lived").collect();
    let right: BTreeSet<&str> = expect.verdicts.iter().map(String::as_str).collect();
    let allowed: BTreeSet<&str> = expect.tolerated.iter().map(String::as_str).collect();
    let wrong: Vec<&&str> = found.difference(&right).filter(|name| !allowed.contains(**name)).collect();
    let absent: Vec<&&str> = right.difference(&found).collect();
    if !wrong.is_empty() {
        complaints.add(format!("{} is accused of {wrong:?}", name(socket)));
    }
    if !absent.is_empty() {
        complaints.add(format!("{} lacks {absent:?} (has {:?})", name(socket), socket.verdicts));
    }
    let long_lived = socket.verdicts.iter().any(|name| name == "long-lived");
    let alone = ["not-accepted"].iter().any(|only| found.contains(only));
    // Sockets that no process holds (closed, or in an accept queue) need not be long-lived at any age.
    let held = !socket.holders.is_empty();
    if alone && long_lived {
        complaints.add(format!("{} is in an accept queue and long-lived", name(socket)));
    } else if long_lived && socket.age_s < terms.threshold_s {
        complaints.add(format!("{} is long-lived at {:.3} s", name(socket), socket.age_s));
    } else if !long_lived && !alone && held && socket.state == "ESTABLISHED" && socket.age_s > terms.threshold_s {
        complaints.add(format!("{} is not long-lived at {:.3} s", name(socket), socket.age_s));
    }
    if matches!(socket.state.as_str(), "LISTEN" | "TIME_WAIT") && !socket.verdicts.is_empty() {
        complaints.add(format!("{} has verdicts {:?}", name(socket), socket.verdicts));
    }
}

/// Each verdict must have its evidence in the same row.
fn check_evidence(socket: &Socket, terms: &Terms, complaints: &mut Complaints) {
    for verdict in &socket.verdicts {
        let needed = match verdict.as_str() {
            "idle-unguarded" => terms.idle_s,
            "long-lived" => terms.threshold_s,
            _ => terms.stall_s,
        };
        let proved = match verdict.as_str() {
            // Nothing can have lasted longer than the socket itself: history left by an earlier socket would.
            _ if socket.age_s < needed => false,
            "close-wait" => socket.state == "CLOSE_WAIT",
            "dead-held" => socket.state == "CLOSED" && !socket.holders.is_empty(),
            "never-read" => {
                socket.rx_queue_bytes > 0
                    && socket.bytes_read == 0
                    && socket.unread_s.is_some_and(|seconds| seconds >= terms.stall_s)
            }
            "read-stalled" => {
                socket.rx_queue_bytes > 0
                    && socket.bytes_read > 0
                    && socket.unread_s.is_some_and(|seconds| seconds >= terms.stall_s)
            }
            "write-stalled" => socket.tx_queue_bytes > 0,
            "silent-peer" => socket.state == "ESTABLISHED" && socket.bytes_received == 0,
            "connecting" => socket.state == "SYN_SENT",
            "not-accepted" => socket.holders.is_empty() && socket.verdicts.len() == 1,
            "idle-unguarded" => {
                socket.state == "ESTABLISHED"
                    && socket.tx_queue_bytes == 0
                    && socket.keepalive == Some(false)
                    && socket.user_timeout_ms.is_none_or(|timeout| timeout == 0)
                    && socket.idle_s.is_some_and(|seconds| seconds >= terms.idle_s)
            }
            "long-lived" => socket.age_s >= terms.threshold_s,
            _ => false,
        };
        if !proved {
            let age = socket.age_s;
            complaints.add(format!("{} is called {verdict} without evidence at {age:.3} s", name(socket)));
        }
    }
}
