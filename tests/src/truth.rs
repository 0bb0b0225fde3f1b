//! What a scenario program says about itself: the line it prints when its sockets are in place, read by the suite.
//!
//! It must not know how leaktrace works: everything in it is known to the program from its own calls.

use serde::{Deserialize, Serialize};

/// One line of JSON on a scenario program's stdout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// False when the program cannot run here; `skip` says why.
    pub ready: bool,
    /// Why the program cannot run here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// The program's name in the catalogue.
    pub program: String,
    /// Its main process.
    pub pid: u32,
    /// Classes of sockets that a report must show.
    pub expect: Vec<Expect>,
    /// Processes whose descriptors a report must count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessTruth>,
}

/// One class of sockets, distinguished from all others by a listener's port (and namespace and state).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// What this class is to the program: `leaker`, `peer`, `control`, …
    pub role: String,
    /// Which way the sockets were opened: `connect` or `accept`.
    pub direction: String,
    /// The listener's port when it is the local one (accepted sockets).
    pub local_port: Option<u16>,
    /// The listener's port when it is the remote one (connected sockets).
    pub remote_port: Option<u16>,
    /// Only sockets of this network namespace belong to the class.
    pub netns: Option<u64>,
    /// Only sockets in this state belong to the class.
    pub only_state: Option<String>,
    /// How many there are; `None` when they come and go.
    pub count: Option<u64>,
    /// The process that opened them.
    pub pid: Option<u32>,
    /// How sure a tracer that was there can be of `pid`.
    #[serde(default)]
    pub opener: Opener,
    /// The name of the opener's thread group leader.
    pub comm: Option<String>,
    /// Verdicts that every socket must have, `long-lived` aside (that one follows from the age).
    pub verdicts: Vec<String>,
    /// Verdicts that a socket may have as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerated: Vec<String>,
    /// The worst severity allowed: `info`, `suspect` or `leak`.
    pub severity_max: String,
    /// The process of every descriptor that each socket is held by, sorted; empty when no process holds it, `None` when the program does not say.
    pub holders: Option<Vec<u32>>,
    /// The state that all are in; `None` when it changes.
    pub state: Option<String>,
    /// `ipv4` or `ipv6`.
    pub family: Option<String>,
    /// The function that opened them all: one call site, with this name on its stack.
    pub function: Option<String>,
    /// Functions above that one on the stack, nearest first, with any functions between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callers: Vec<String>,
    /// How many different calls of that function may have opened them.
    #[serde(default)]
    pub calls: Calls,
    /// Wall-clock seconds since 1970 between which all were opened.
    pub opened_unix_s: Option<[f64; 2]>,
    /// Every socket by name, where there are few enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<SocketTruth>,
    /// Payload in the receive queue: least and most.
    pub rx_queue_bytes: Option<[u64; 2]>,
    /// Payload in the send queue: least and most.
    pub tx_queue_bytes: Option<[u64; 2]>,
    /// Payload received in all.
    pub bytes_received: Option<u64>,
    /// Payload that the application has read.
    pub bytes_read: Option<u64>,
    /// Whether SO_KEEPALIVE is set.
    pub keepalive: Option<bool>,
    /// TCP_USER_TIMEOUT.
    pub user_timeout_ms: Option<u32>,
    /// Whether a thread or a poller waits on each socket.
    pub waiters: Option<bool>,
    /// How many of the opener's sockets were opened and closed again while the tracer watched.
    pub closed_in_window: Option<u64>,
    /// Whether the call site must be called growing (`true`) or must not be (`false`).
    pub growing: Option<bool>,
}

/// How sure a tracer that saw a socket open can be of who opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opener {
    /// Opened by a system call of that process: known on every kind of hook.
    #[default]
    Certain,
    /// Opened by a kernel worker for that process, or by a call that began before the tracer: known or unknown, never another.
    PerhapsUnknown,
    /// No process has opened it yet.
    Nobody,
}

/// Which calls of one function open the sockets of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calls {
    /// Always the same.
    #[default]
    One,
    /// Connecting for some, writing for others, as with Fast Open: the hook distinguishes them, or does not.
    Several,
}

/// One socket of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SocketTruth {
    /// Local address and port as a report must write them.
    pub local: String,
    /// Remote address and port as a report must write them.
    pub remote: String,
    /// Wall-clock seconds since 1970 before and after the call that opened it.
    pub opened_unix_s: [f64; 2],
}

/// What a report must say about a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessTruth {
    /// Process id.
    pub pid: u32,
    /// Descriptors of any kind that it has open.
    pub fds_open: u64,
    /// Its soft limit of descriptors.
    pub fds_limit: u64,
}

impl Expect {
    /// Sockets that `pid` connected to `port`, expected to earn nothing above info.
    pub fn connected(role: &str, pid: u32, port: u16) -> Self {
        Self { direction: "connect".into(), remote_port: Some(port), ..Self::class(role, pid) }
    }

    /// Sockets that `pid` accepted on `port`, expected to earn nothing above info.
    pub fn accepted(role: &str, pid: u32, port: u16) -> Self {
        Self { direction: "accept".into(), local_port: Some(port), ..Self::class(role, pid) }
    }

    fn class(role: &str, pid: u32) -> Self {
        Self {
            role: role.into(),
            // A healthy program's call sites are steady, however busy.
            growing: (role == "control").then_some(false),
            pid: Some(pid),
            severity_max: "info".into(),
            holders: Some(vec![pid]),
            state: Some("ESTABLISHED".into()),
            family: Some("ipv4".into()),
            ..Self::default()
        }
    }

    /// How many.
    #[must_use]
    pub fn count(mut self, count: usize) -> Self {
        self.count = Some(count as u64);
        self
    }

    /// Which verdicts must hold.
    #[must_use]
    pub fn verdicts(mut self, names: &[&str]) -> Self {
        self.verdicts = names.iter().map(|name| (*name).to_owned()).collect();
        self.severity_max = worst(names).into();
        self
    }

    /// Which verdicts may hold as well, because timing or the kernel decides.
    #[must_use]
    pub fn tolerating(mut self, names: &[&str]) -> Self {
        self.tolerated = names.iter().map(|name| (*name).to_owned()).collect();
        let all: Vec<&str> = self.verdicts.iter().chain(&self.tolerated).map(String::as_str).collect();
        self.severity_max = worst(&all).into();
        self
    }

    /// The state that all are in.
    #[must_use]
    pub fn state(mut self, name: &str) -> Self {
        self.state = Some(name.into());
        self
    }

    /// Sockets that go through several states.
    #[must_use]
    pub fn any_state(mut self) -> Self {
        self.state = None;
        self
    }

    /// Restricts the class to sockets in a state.
    #[must_use]
    pub fn only_in(mut self, name: &str) -> Self {
        self.only_state = Some(name.into());
        self.state(name)
    }

    /// The function that opened them.
    #[must_use]
    pub fn function(mut self, name: &str) -> Self {
        self.function = Some(name.into());
        self
    }

    /// The process of every descriptor of each socket.
    #[must_use]
    pub fn held_by(mut self, pids: &[u32]) -> Self {
        let mut pids = pids.to_vec();
        pids.sort_unstable();
        self.holders = Some(pids);
        self
    }

    /// Expects no particular holders: they change.
    #[must_use]
    pub fn any_holder(mut self) -> Self {
        self.holders = None;
        self
    }

    /// How sure the opener is.
    #[must_use]
    pub fn opener(mut self, opener: Opener) -> Self {
        self.opener = opener;
        if opener == Opener::Nobody {
            self.pid = None;
        }
        self
    }

    /// The network namespace that all are in.
    #[must_use]
    pub fn netns(mut self, inode: u64) -> Self {
        self.netns = Some(inode);
        self
    }

    /// `ipv4` or `ipv6`.
    #[must_use]
    pub fn family(mut self, name: &str) -> Self {
        self.family = Some(name.into());
        self
    }

    /// Payload waiting to be read, exactly.
    #[must_use]
    pub fn rx_queue(mut self, bytes: u64) -> Self {
        self.rx_queue_bytes = Some([bytes, bytes]);
        self
    }

    /// Payload received and read in all.
    #[must_use]
    pub fn received_and_read(mut self, received: u64, read: u64) -> Self {
        self.bytes_received = Some(received);
        self.bytes_read = Some(read);
        self
    }

    /// Turns the named sockets around: what is local there is remote here. Their times are the other end's, so
    /// they are left out.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        self.opened_unix_s = None;
        for socket in &mut self.sockets {
            std::mem::swap(&mut socket.local, &mut socket.remote);
            socket.opened_unix_s = [0.0, f64::MAX];
        }
        self
    }

    /// Whether SO_KEEPALIVE is set.
    #[must_use]
    pub fn keepalive(mut self, set: bool) -> Self {
        self.keepalive = Some(set);
        self
    }

    /// Whether the call site grows.
    #[must_use]
    pub fn growing(mut self, grows: bool) -> Self {
        self.growing = Some(grows);
        self
    }

    /// Whether a thread or a poller waits on each.
    #[must_use]
    pub fn waiters(mut self, some: bool) -> Self {
        self.waiters = Some(some);
        self
    }
}

/// The severity that the contract gives to a verdict.
pub fn severity(verdict: &str) -> &'static str {
    match verdict {
        "close-wait" | "dead-held" | "never-read" | "read-stalled" => "leak",
        "long-lived" => "info",
        _ => "suspect",
    }
}

fn worst(names: &[&str]) -> &'static str {
    let all: Vec<&str> = names.iter().map(|name| severity(name)).collect();
    ["leak", "suspect"].into_iter().find(|severity| all.contains(severity)).unwrap_or("info")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_class_allows_no_more_than_its_worst_verdict() {
        let class = Expect::connected("leaker", 1, 2);
        assert_eq!(class.severity_max, "info");
        assert_eq!(class.clone().verdicts(&["silent-peer"]).severity_max, "suspect");
        assert_eq!(class.clone().verdicts(&["silent-peer", "close-wait"]).severity_max, "leak");
        assert_eq!(class.verdicts(&["silent-peer"]).tolerating(&["never-read"]).severity_max, "leak");
    }

    #[test]
    fn the_line_survives_a_round_trip() {
        let truth = Truth {
            ready: true,
            program: "fifty".into(),
            pid: 7,
            expect: vec![Expect::accepted("peer", 8, 80).count(3).held_by(&[9, 8])],
            ..Truth::default()
        };
        let line = serde_json::to_string(&truth).unwrap();
        assert_eq!(serde_json::from_str::<Truth>(&line).unwrap(), truth);
        assert_eq!(truth.expect[0].holders, Some(vec![8, 9]));
    }
}
