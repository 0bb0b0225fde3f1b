//! Which sockets and processes are watched, and which are left out on purpose.

use crate::{Direction, Network, Observed, ProcessFacts};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// What must match. One entry of a list is enough; all lists that are not empty must match.
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
    /// Starts of container ids.
    pub containers: Vec<String>,
    /// Systemd units.
    pub units: Vec<String>,
    /// Which end opened.
    pub directions: Vec<Direction>,
}

/// What a filter is asked about, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidate<'a> {
    /// The socket; `None` when the question is about a whole call site or process.
    pub socket: Option<&'a Observed>,
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
    /// Whether the filter asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether only single sockets can decide: ports and peers are not properties of a call site.
    pub fn needs_sockets(&self) -> bool {
        !self.ports.is_empty() || !self.peers.is_empty()
    }

    /// Whether all that the filter asks for matches. Without a socket, ports and peers count as matching.
    pub fn matches(&self, candidate: &Candidate<'_>) -> bool {
        let process = |test: &dyn Fn(&ProcessFacts) -> bool| candidate.processes.iter().any(|facts| test(facts));
        // An unknown name is empty, and must not match.
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
            && candidate.socket.is_none_or(|socket| self.matches_addresses(socket))
    }

    fn matches_addresses(&self, socket: &Observed) -> bool {
        let has_port = |port: &u16| [socket.local.port(), socket.remote.port()].contains(port);
        let ports = self.ports.is_empty() || self.ports.iter().any(has_port);
        let peer = socket.remote.ip();
        ports && (self.peers.is_empty() || self.peers.iter().any(|network| network.contains(peer)))
    }
}

/// The lists that the command line can set. Only the config file has executables and units.
impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let peers: Vec<String> = self.peers.iter().map(Network::to_string).collect();
        let mut filters = serializer.serialize_struct("Filters", 6)?;
        filters.serialize_field("pid", &self.pids)?;
        filters.serialize_field("comm", &self.comms)?;
        filters.serialize_field("port", &self.ports)?;
        filters.serialize_field("peer", &peers)?;
        filters.serialize_field("container", &self.containers)?;
        filters.serialize_field("direction", &self.directions)?;
        filters.end()
    }
}

/// Whether the names are equal; `wanted` may be just the name of the file.
fn same_exe(wanted: &str, exe: &str) -> bool {
    wanted == exe || (!wanted.contains('/') && exe.rsplit('/').next() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_name_matches_nothing() {
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
        let row = Observed { remote: "10.0.0.1:443".parse().unwrap(), ..Observed::default() };
        let asked = |direction| Candidate { socket: Some(&row), direction: Some(direction), ..Candidate::default() };
        assert!(filter.matches(&asked(Direction::Connect)));
        assert!(!filter.matches(&asked(Direction::Accept)));
    }
}
