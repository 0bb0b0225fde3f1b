//! Names of peers. Nothing is looked up until the user switches that on.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// Most addresses that are remembered.
const MOST: usize = 8192;

/// Whether names of peers are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Nothing is looked up: a lookup would show a name server whom this host talks to.
    #[default]
    Off,
    /// Names of what is on the screen are looked up.
    On,
}

/// The names that are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Whether names are looked up.
    pub(crate) naming: Naming,
    found: HashMap<IpAddr, String>,
    asked: HashSet<IpAddr>,
}

impl Names {
    /// The name of an address, while names are looked up.
    pub(crate) fn get(&self, address: IpAddr) -> Option<&str> {
        if self.naming == Naming::Off {
            return None;
        }
        self.found.get(&address).map(String::as_str)
    }

    /// Whether `address` should be looked up now; true once for each address.
    pub(crate) fn ask(&mut self, address: IpAddr) -> bool {
        if self.naming == Naming::Off || self.asked.contains(&address) {
            return false;
        }
        if self.asked.len() >= MOST {
            self.asked.clear();
            self.found.clear();
        }
        self.asked.insert(address);
        true
    }

    /// Stores an answer.
    pub(crate) fn learn(&mut self, address: IpAddr, name: Option<String>) {
        if let (Some(name), true) = (name, self.found.len() < MOST) {
            self.found.insert(address, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_once_and_only_when_switched_on() {
        let mut names = Names::default();
        let address = IpAddr::from([10, 0, 0, 1]);
        assert!(!names.ask(address));
        names.naming = Naming::On;
        assert!(names.ask(address));
        assert!(!names.ask(address));
        names.learn(address, Some("db".to_owned()));
        assert_eq!(names.get(address), Some("db"));
        names.naming = Naming::Off;
        assert_eq!(names.get(address), None);
    }
}
