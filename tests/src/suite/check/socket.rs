//! What a report says of one socket, but for its verdicts.

use super::super::kernel;
use super::super::report::{Report, Socket, unix_seconds};
use super::complaints::{Complaints, name};
use super::terms::{Started, Terms};
use crate::truth::{Expect, Opener};

/// Who holds it, what it holds, who opened it and how long ago.
pub fn check(expect: &Expect, socket: &Socket, report: &Report, terms: &Terms, complaints: &mut Complaints) {
    if let Some(state) = &expect.state {
        complaints.equal(socket, "state", socket.state.as_str(), state.as_str());
    }
    if let Some(family) = &expect.family {
        complaints.equal(socket, "family", socket.family.as_str(), family.as_str());
    }
    if let Some(right) = &expect.holders {
        let mut found: Vec<u32> = socket.holders.iter().map(|holder| holder.pid).collect();
        found.sort_unstable();
        complaints.equal(socket, "holders", &found, right);
    }
    complaints.equal(socket, "netns", socket.netns, Some(expect.netns.unwrap_or(terms.home_netns)));
    // The kernel gives a socket its cookie on request, and there is no way to request one for a socket that is in no table.
    let unknown = socket.cookie.is_none() && !matches!(socket.state.as_str(), "TIME_WAIT" | "CLOSED");
    if socket.cookie == Some(0) || unknown && kernel_makes_cookies() {
        complaints.add(format!("{} cookie {:?}", name(socket), socket.cookie));
    }
    for (what, found, range) in [
        ("rx_queue_bytes", socket.rx_queue_bytes, expect.rx_queue_bytes),
        ("tx_queue_bytes", socket.tx_queue_bytes, expect.tx_queue_bytes),
        ("bytes_received", socket.bytes_received, expect.bytes_received.map(|bytes| [bytes, bytes])),
        ("bytes_read", socket.bytes_read, expect.bytes_read.map(|bytes| [bytes, bytes])),
    ] {
        if let Some([least, most]) = range
            && !(least..=most).contains(&found)
        {
            complaints.add(format!("{} {what} {found}, not {least}..={most}", name(socket)));
        }
    }
    if expect.keepalive.is_some() {
        complaints.equal(socket, "keepalive", socket.keepalive, expect.keepalive);
    }
    if expect.user_timeout_ms.is_some() {
        complaints.equal(socket, "user_timeout_ms", socket.user_timeout_ms, expect.user_timeout_ms);
    }
    if expect.waiters.is_some() {
        complaints.equal(socket, "waiters", socket.waiters, expect.waiters);
    }
    check_opener(expect, socket, terms, complaints);
    check_age(expect, socket, report, terms, complaints);
}

fn check_opener(expect: &Expect, socket: &Socket, terms: &Terms, complaints: &mut Complaints) {
    let direction_known = socket.direction == expect.direction;
    let unknown = socket.direction == "unknown";
    match (terms.started, expect.opener) {
        (Started::AfterTracer, Opener::Certain) => {
            complaints.equal(socket, "direction", socket.direction.as_str(), expect.direction.as_str());
            if expect.pid.is_some() {
                complaints.equal(socket, "pid", socket.pid, expect.pid);
                complaints.equal(socket, "comm", socket.comm.as_deref(), expect.comm.as_deref());
                if socket.tid.is_none() {
                    complaints.add(format!("{} has no tid", name(socket)));
                }
            }
        }
        (Started::BeforeTracer, _) | (_, Opener::Nobody) => {
            complaints.equal(socket, "pid", socket.pid, None);
            if !direction_known && !unknown {
                complaints.add(format!("{} direction {}, not {}", name(socket), socket.direction, expect.direction));
            }
        }
        (Started::AfterTracer, Opener::PerhapsUnknown) => {
            if socket.pid.is_some() {
                complaints.equal(socket, "pid", socket.pid, expect.pid);
            }
            if !direction_known && !unknown {
                complaints.add(format!("{} direction {}, not {}", name(socket), socket.direction, expect.direction));
            }
        }
    }
}

fn check_age(expect: &Expect, socket: &Socket, report: &Report, terms: &Terms, complaints: &mut Complaints) {
    let Some(end) = unix_seconds(&report.window.end) else {
        return complaints.add(format!("window.end {:?} is no time", report.window.end));
    };
    let named = expect.sockets.iter().find(|truth| truth.local == socket.local && truth.remote == socket.remote);
    let named = named.map(|truth| truth.opened_unix_s).filter(|[first, _]| *first > 0.0);
    let Some([first, last]) = named.or(expect.opened_unix_s) else { return };
    let (oldest, youngest) = (end - first + terms.age_margin_s, end - last - terms.age_margin_s);
    match (terms.started, expect.opener) {
        (Started::AfterTracer, Opener::Certain) => {
            complaints.equal(socket, "age_exact", socket.age_exact, true);
            if !(youngest..=oldest).contains(&socket.age_s) {
                let age = socket.age_s;
                complaints.add(format!("{} age {age:.3} s, not {youngest:.3}..={oldest:.3}", name(socket)));
            }
        }
        (Started::BeforeTracer, _) => {
            complaints.equal(socket, "age_exact", socket.age_exact, false);
            if socket.age_s > oldest {
                complaints.add(format!("{} age ≥ {:.3} s, older than {oldest:.3}", name(socket), socket.age_s));
            }
            // It was there before the tracer, which saw it in its first sample.
            if socket.age_s < report.window.seconds - terms.adoption_s - terms.age_margin_s {
                let window = report.window.seconds;
                complaints.add(format!("{} age ≥ {:.3} s in a window of {window:.3}", name(socket), socket.age_s));
            }
        }
        _ => {}
    }
}

/// Whether this kernel gives a tracing program a socket's cookie (5.12). Before, a socket has one only after another request.
fn kernel_makes_cookies() -> bool {
    kernel::version() >= (5, 12)
}
