//! Sockets that share a peer or a listener.

use crate::{Direction, Observed, Sums, Trend};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// The other end of connections, as reports name it: a service with its port, a client without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// The address that was connected to.
    Service(SocketAddr),
    /// The address that connected, or whose direction is unknown: its port says nothing.
    Client(IpAddr),
}

impl Peer {
    /// The peer of a socket.
    pub fn of(socket: &Observed) -> Self {
        match socket.direction {
            Direction::Connect => Self::Service(socket.remote),
            Direction::Accept | Direction::Unknown => Self::Client(socket.remote.ip()),
        }
    }

    /// Its address.
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Service(address) => address.ip(),
            Self::Client(ip) => ip,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(address) => address.fmt(f),
            Self::Client(ip) => ip.fmt(f),
        }
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What sockets are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupKey {
    /// The other end.
    Peer(Peer),
    /// The local address that was accepted on.
    Listener(SocketAddr),
}

impl GroupKey {
    /// The groups that a socket belongs to.
    pub fn of(socket: &Observed) -> impl Iterator<Item = Self> {
        let listener = (socket.direction == Direction::Accept).then_some(Self::Listener(socket.local));
        [Some(Self::Peer(Peer::of(socket))), listener].into_iter().flatten()
    }

    /// Its address, without a port.
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Peer(peer) => peer.ip(),
            Self::Listener(address) => address.ip(),
        }
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Listener(address) => address.fmt(f),
        }
    }
}

/// Sockets that share a peer or a listener.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// What they share.
    pub key: GroupKey,
    /// Sums over them.
    pub sums: Sums,
    /// How its number of open sockets changes; `None` until there is enough history.
    pub trend: Option<Trend>,
}

impl Group {
    /// A group without sockets.
    pub fn new(key: GroupKey) -> Self {
        Self { key, sums: Sums::default(), trend: None }
    }

    /// Whether its number of open sockets rises more than churn explains.
    pub fn is_growing(&self) -> bool {
        self.trend.is_some_and(|trend| trend.growing)
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut group = serializer.serialize_struct("Group", 10)?;
        group.serialize_field("name", &format_args!("{}", self.key))?;
        group.serialize_field("open", &self.sums.open)?;
        group.serialize_field("flagged", &self.sums.flagged)?;
        group.serialize_field("oldest_s", &self.sums.oldest_s())?;
        group.serialize_field("oldest_exact", &self.sums.oldest_exact())?;
        group.serialize_field("growing", &self.trend.map(|trend| trend.growing))?;
        group.serialize_field("growth_per_min", &self.trend.map(|trend| trend.per_min))?;
        group.serialize_field("rx_queue_bytes", &self.sums.rx_queue_bytes)?;
        group.serialize_field("memory_bytes", &self.sums.memory_bytes)?;
        group.serialize_field("verdicts", &self.sums.verdicts)?;
        group.end()
    }
}
