//! Which sockets and processes are looked at, and which are left out on purpose.

use crate::{host::ProcessFacts, snapshot};
use leaktrace_common::{Direction, SocketRow};
use std::net::IpAddr;

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct NetworkError;

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NetworkError)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(NetworkError) } else { Ok(Self { address, bits }) }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    /// Whether an address is in it. A mapped address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let bits = if self.address.is_ipv4() { self.bits } else { self.bits.saturating_sub(96) };
                same_bits(u128::from(network.to_bits()) << 96, u128::from(address.to_bits()) << 96, bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => same_bits(network.to_bits(), address.to_bits(), self.bits),
            _ => false,
        }
    }
}

fn same_bits(one: u128, other: u128, bits: u8) -> bool {
    bits == 0 || (one ^ other) >> (128 - u32::from(bits.min(128))) == 0
}

/// What must match: one list alternates, lists that are not empty must all match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Processes: opener or holder.
    pub pids: Vec<u32>,
    /// Process names.
    pub comms: Vec<String>,
    /// Executables.
    pub exes: Vec<String>,
    /// Local or remote ports.
    pub ports: Vec<u16>,
    /// Peers.
    pub peers: Vec<Network>,
    /// Beginnings of container ids.
    pub containers: Vec<String>,
    /// Systemd units.
    pub units: Vec<String>,
    /// Which end opened.
    pub directions: Vec<Direction>,
}

/// What a filter is asked about: whatever is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidate<'a> {
    /// The socket; `None` when a whole call site or process is asked about.
    pub socket: Option<&'a SocketRow>,
    /// Opener and holders.
    pub pids: &'a [u32],
    /// Facts about them.
    pub processes: &'a [&'a ProcessFacts],
    /// Thread name at the open.
    pub comm: &'a str,
    /// Which end opened.
    pub direction: Option<Direction>,
}

impl Filter {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether single sockets must be seen to decide: ports and peers are no property of a call site.
    pub fn needs_sockets(&self) -> bool {
        !self.ports.is_empty() || !self.peers.is_empty()
    }

    /// Whether everything that is asked for matches. Without a socket, ports and peers are taken to match.
    pub fn matches(&self, candidate: &Candidate<'_>) -> bool {
        let process = |test: &dyn Fn(&ProcessFacts) -> bool| candidate.processes.iter().any(|facts| test(facts));
        // What is not known is empty, and nothing that is asked for is.
        let is = |name: &str, found: &str| !name.is_empty() && name == found;
        let comm =
            |name: &String| is(name, candidate.comm) || candidate.processes.iter().any(|facts| is(name, &facts.comm));
        let one_of = |empty: bool, found: bool| empty || found;
        one_of(self.pids.is_empty(), self.pids.iter().any(|pid| candidate.pids.contains(pid)))
            && one_of(self.comms.is_empty(), self.comms.iter().any(comm))
            && one_of(
                self.exes.is_empty(),
                process(&|facts| {
                    facts.exe.as_ref().is_some_and(|exe| self.exes.iter().any(|wanted| same_exe(wanted, exe)))
                }),
            )
            && one_of(
                self.containers.is_empty(),
                process(&|facts| {
                    let id = facts.placement.container.as_deref().unwrap_or("");
                    self.containers.iter().any(|prefix| !prefix.is_empty() && id.starts_with(prefix.as_str()))
                }),
            )
            && one_of(
                self.units.is_empty(),
                process(&|facts| facts.placement.unit.as_ref().is_some_and(|unit| self.units.contains(unit))),
            )
            && one_of(
                self.directions.is_empty(),
                candidate.direction.is_none_or(|direction| self.directions.contains(&direction)),
            )
            && candidate.socket.is_none_or(|row| self.matches_addresses(row))
    }

    fn matches_addresses(&self, row: &SocketRow) -> bool {
        let ports =
            self.ports.is_empty() || self.ports.contains(&row.local_port) || self.ports.contains(&row.remote_port);
        let remote = crate::address::remote_ip(row);
        ports && (self.peers.is_empty() || self.peers.iter().any(|network| network.contains(remote)))
    }

    /// As reports show it.
    pub fn describe(&self) -> snapshot::Filters {
        snapshot::Filters {
            pid: self.pids.clone(),
            comm: self.comms.clone(),
            port: self.ports.clone(),
            peer: self.peers.iter().map(Network::to_string).collect(),
            container: self.containers.clone(),
            direction: self.directions.iter().map(|direction| direction.name().to_owned()).collect(),
        }
    }
}

/// A path in full, or just the name of the file.
fn same_exe(wanted: &str, exe: &str) -> bool {
    wanted == exe || (!wanted.contains('/') && exe.rsplit('/').next() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use crate::filter::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(network("10.0.0.0/8").contains(ip("10.255.0.1")));
        assert!(!network("10.0.0.0/8").contains(ip("11.0.0.1")));
        assert!(network("10.1.2.3").contains(ip("::ffff:10.1.2.3")));
        assert!(network("::ffff:10.0.0.0/104").contains(ip("10.9.9.9")));
        assert!(network("2001:db8::/32").contains(ip("2001:db8:1::1")));
        assert!(network("0.0.0.0/0").contains(ip("1.2.3.4")));
        assert!(!network("0.0.0.0/0").contains(ip("::1")));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "banana", "10.0.0.0/-1", "::/129"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }

    #[test]
    fn an_empty_name_matches_nobody() {
        let unknown = ProcessFacts::default();
        let candidate = Candidate { processes: &[&unknown], ..Candidate::default() };
        for filter in [
            Filter { comms: vec![String::new()], ..Filter::default() },
            Filter { containers: vec![String::new()], ..Filter::default() },
        ] {
            assert!(!filter.matches(&candidate), "{filter:?}");
        }
    }

    #[test]
    fn one_list_alternates_and_lists_combine() {
        let filter = Filter { ports: vec![80, 443], directions: vec![Direction::Connect], ..Filter::default() };
        let row = SocketRow { remote_port: 443, family: 2, ..SocketRow::default() };
        let asked = |direction| Candidate { socket: Some(&row), direction: Some(direction), ..Candidate::default() };
        assert!(filter.matches(&asked(Direction::Connect)));
        assert!(!filter.matches(&asked(Direction::Accept)));
    }
}
