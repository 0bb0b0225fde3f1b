//! Who a row is, so that the cursor stays on it from one snapshot to the next, and which sockets are its own.

use super::facts::holding_pids;
use super::item::Lens;
use super::view_kind::{Grouping, View};
use leaktrace_model::snapshot::{Process, Socket};

/// Identity of a row, whatever its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// A call site, by id.
    Callsite(u64),
    /// Everything of processes with that name.
    Comm(String),
    /// A process, by id.
    Process(u32),
    /// Processes in that container, or in none.
    Container(Option<String>),
    /// Processes of that systemd unit, or of none.
    Unit(Option<String>),
    /// A peer as the snapshot groups them.
    Peer(String),
    /// Every peer with that address.
    Host(String),
    /// A local address that connections were accepted on.
    Listener(String),
    /// A socket.
    Cookie(u64),
    /// A socket that has no cookie: local and remote address.
    Pair(String, String),
}

impl RowKey {
    /// Whether a socket belongs to the row.
    pub fn owns(&self, socket: &Socket, lens: Lens<'_>) -> bool {
        let held_by = |wanted: &dyn Fn(&Process) -> bool| {
            holding_pids(socket)
                .any(|pid| lens.facts.process(pid).and_then(|at| lens.snapshot.processes.get(at)).is_some_and(wanted))
        };
        match self {
            Self::Callsite(id) => socket.callsite == Some(*id),
            Self::Comm(comm) => {
                socket.comm.as_ref() == Some(comm) || socket.holders.iter().any(|holder| holder.comm == *comm)
            }
            Self::Process(pid) => holding_pids(socket).any(|holder| holder == *pid),
            Self::Container(name) => held_by(&|process| process.container == *name),
            Self::Unit(name) => held_by(&|process| process.unit == *name),
            Self::Peer(name) => socket.remote == *name || host_of(&socket.remote) == name,
            Self::Host(name) => host_of(&socket.remote) == name,
            Self::Listener(name) => socket.direction == "accept" && listens(name, &socket.local),
            Self::Cookie(cookie) => socket.cookie == Some(*cookie),
            Self::Pair(local, remote) => socket.local == *local && socket.remote == *remote,
        }
    }

    /// The rows of `view`, grouped so, that a socket belongs to.
    pub fn of_socket(socket: &Socket, view: View, grouping: Grouping, lens: Lens<'_>) -> Vec<Self> {
        let processes = || {
            holding_pids(socket)
                .filter_map(|pid| lens.facts.process(pid))
                .filter_map(|at| lens.snapshot.processes.get(at))
        };
        match (view, grouping) {
            (View::Callsites | View::Processes, Grouping::Comm) => {
                let names = socket.comm.iter().chain(socket.holders.iter().map(|holder| &holder.comm));
                names.cloned().map(Self::Comm).collect()
            }
            (View::Callsites, _) => socket.callsite.map(Self::Callsite).into_iter().collect(),
            (View::Processes, Grouping::Container) => {
                processes().map(|p| Self::Container(p.container.clone())).collect()
            }
            (View::Processes, Grouping::Unit) => processes().map(|p| Self::Unit(p.unit.clone())).collect(),
            (View::Processes, _) => holding_pids(socket).map(Self::Process).collect(),
            (View::Peers, Grouping::Host) => vec![Self::Host(host_of(&socket.remote).to_owned())],
            (View::Peers, Grouping::Listener) => {
                let listeners = lens.snapshot.listeners.iter();
                listeners
                    .filter(|group| listens(&group.name, &socket.local))
                    .map(|g| Self::Listener(g.name.clone()))
                    .collect()
            }
            (View::Peers, _) => {
                vec![Self::Peer(socket.remote.clone()), Self::Peer(host_of(&socket.remote).to_owned())]
            }
            (View::Sockets, _) => match socket.cookie {
                Some(cookie) => vec![Self::Cookie(cookie)],
                None => vec![Self::Pair(socket.local.clone(), socket.remote.clone())],
            },
        }
    }
}

/// Whether a listener of that name accepts connections to `local`; a wildcard address accepts all of its port.
fn listens(name: &str, local: &str) -> bool {
    name == local
        || (matches!(host_of(name), "0.0.0.0" | "::" | "*")
            && name.rsplit_once(':').map(|pair| pair.1) == local.rsplit_once(':').map(|pair| pair.1))
}

/// The address of `address:port`, without brackets; all of it where there is no port.
pub fn host_of(name: &str) -> &str {
    if let Some(rest) = name.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match name.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_port_and_brackets_and_nothing_else() {
        assert_eq!(host_of("10.0.0.1:443"), "10.0.0.1");
        assert_eq!(host_of("[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(host_of("2001:db8::1"), "2001:db8::1");
        assert_eq!(host_of("10.0.0.1"), "10.0.0.1");
        assert_eq!(host_of("["), "");
    }

    #[test]
    fn a_wildcard_listener_accepts_every_address_of_its_port() {
        assert!(listens("0.0.0.0:80", "10.0.0.1:80"));
        assert!(listens("[::]:80", "[2001:db8::1]:80"));
        assert!(!listens("0.0.0.0:80", "10.0.0.1:8080"));
        assert!(!listens("10.0.0.2:80", "10.0.0.1:80"));
    }
}
