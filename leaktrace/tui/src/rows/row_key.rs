//! Identity of a row, so that the cursor stays on it from one snapshot to the next, and which sockets belong to it.

use crate::rows::lens::Lens;
use crate::rows::snapshot_index::holding_pids;
use crate::rows::view_kind::{Grouping, View};
use leaktrace_model::{Direction, GroupKey, Peer, Process, Socket};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;

/// Identity of a row, independent of its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RowKey {
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
    Peer(Peer),
    /// Every peer with that address.
    Host(IpAddr),
    /// A local address that connections were accepted on.
    Listener(SocketAddr),
    /// A socket, by cookie.
    Socket(NonZeroU64),
    /// A socket that has no cookie: local and remote address.
    Pair(SocketAddr, SocketAddr),
}

impl RowKey {
    /// The row of a group, where rows are not grouped by host.
    pub(crate) fn of_group(key: GroupKey) -> Self {
        match key {
            GroupKey::Peer(peer) => Self::Peer(peer),
            GroupKey::Listener(address) => Self::Listener(address),
        }
    }

    /// The row of a socket.
    pub(crate) fn of_one(socket: &Socket) -> Self {
        match socket.observed.cookie {
            Some(cookie) => Self::Socket(cookie),
            None => Self::Pair(socket.observed.local, socket.observed.remote),
        }
    }

    /// Whether a socket belongs to the row.
    pub(crate) fn owns(&self, socket: &Socket, lens: Lens<'_>) -> bool {
        let held_by =
            |wanted: &dyn Fn(&Process) -> bool| holding_pids(socket).any(|pid| lens.process(pid).is_some_and(wanted));
        let observed = &socket.observed;
        match self {
            Self::Callsite(id) => socket.callsite == Some(*id),
            Self::Comm(comm) => {
                socket.opener.is_some_and(|opener| opener.comm.text() == *comm)
                    || socket.holders.iter().any(|holder| holder.comm == *comm)
            }
            Self::Process(pid) => holding_pids(socket).any(|holder| holder == *pid),
            Self::Container(name) => held_by(&|process| process.container == *name),
            Self::Unit(name) => held_by(&|process| process.unit == *name),
            Self::Peer(Peer::Service(address)) => observed.remote == *address,
            Self::Peer(Peer::Client(host)) | Self::Host(host) => observed.remote.ip() == *host,
            Self::Listener(listener) => observed.direction == Direction::Accept && listens(*listener, observed.local),
            Self::Socket(cookie) => observed.cookie == Some(*cookie),
            Self::Pair(local, remote) => observed.local == *local && observed.remote == *remote,
        }
    }

    /// The rows of a view with this grouping that a socket belongs to.
    pub(crate) fn of_socket(socket: &Socket, view: View, grouping: Grouping, lens: Lens<'_>) -> Vec<Self> {
        let processes = || holding_pids(socket).filter_map(|pid| lens.process(pid));
        let (local, remote) = (socket.observed.local, socket.observed.remote);
        match (view, grouping) {
            (View::Callsites | View::Processes, Grouping::Comm) => {
                let opener = socket.opener.map(|opener| opener.comm.text().into_owned());
                let holders = socket.holders.iter().map(|holder| holder.comm.clone());
                opener.into_iter().chain(holders).map(Self::Comm).collect()
            }
            (View::Callsites, _) => socket.callsite.map(Self::Callsite).into_iter().collect(),
            (View::Processes, Grouping::Container) => {
                processes().map(|p| Self::Container(p.container.clone())).collect()
            }
            (View::Processes, Grouping::Unit) => processes().map(|p| Self::Unit(p.unit.clone())).collect(),
            (View::Processes, _) => holding_pids(socket).map(Self::Process).collect(),
            (View::Peers, Grouping::Host) => vec![Self::Host(remote.ip())],
            (View::Peers, Grouping::Listener) => {
                let listeners = lens.snapshot.listeners.iter().filter_map(|group| match group.key {
                    GroupKey::Listener(listener) => Some(listener),
                    GroupKey::Peer(_) => None,
                });
                listeners.filter(|listener| listens(*listener, local)).map(Self::Listener).collect()
            }
            (View::Peers, _) => {
                [Peer::Service(remote), Peer::Client(remote.ip())].map(Self::Peer).into_iter().collect()
            }
            (View::Sockets, _) => vec![Self::of_one(socket)],
        }
    }
}

/// Whether a listener accepts connections to `local`; a wildcard address accepts all of its port.
fn listens(listener: SocketAddr, local: SocketAddr) -> bool {
    listener == local || (listener.ip().is_unspecified() && listener.port() == local.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_listener_accepts_every_address_of_its_port() {
        let listens = |listener: &str, local: &str| listens(listener.parse().unwrap(), local.parse().unwrap());
        assert!(listens("0.0.0.0:80", "10.0.0.1:80"));
        assert!(listens("[::]:80", "[2001:db8::1]:80"));
        assert!(!listens("0.0.0.0:80", "10.0.0.1:8080"));
        assert!(!listens("10.0.0.2:80", "10.0.0.1:80"));
    }
}
