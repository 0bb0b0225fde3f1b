//! Names of peers, as far as they were looked up. Nothing is looked up unless it is asked for.

use std::collections::{HashMap, HashSet};

/// Most addresses that are remembered.
const MOST: usize = 8192;

/// Whether names of peers are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// They are not: a lookup tells a name server what this host talks to.
    #[default]
    Off,
    /// They are, for what is on the screen.
    On,
}

/// What is known of names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Whether names are looked up.
    pub naming: Naming,
    found: HashMap<String, String>,
    asked: HashSet<String>,
}

impl Names {
    /// The name of an address, while names are looked up.
    pub fn get(&self, addr: &str) -> Option<&str> {
        if self.naming == Naming::Off {
            return None;
        }
        self.found.get(addr).map(String::as_str)
    }

    /// Whether `addr` should be asked for now; says so once.
    pub fn ask(&mut self, addr: &str) -> bool {
        if self.naming == Naming::Off || addr.is_empty() || self.asked.contains(addr) {
            return false;
        }
        if self.asked.len() >= MOST {
            self.asked.clear();
            self.found.clear();
        }
        self.asked.insert(addr.to_owned());
        true
    }

    /// Takes an answer in.
    pub fn learn(&mut self, addr: String, name: Option<String>) {
        if let (Some(name), true) = (name, self.found.len() < MOST) {
            self.found.insert(addr, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_for_once_and_only_when_switched_on() {
        let mut names = Names::default();
        assert!(!names.ask("10.0.0.1"));
        names.naming = Naming::On;
        assert!(names.ask("10.0.0.1"));
        assert!(!names.ask("10.0.0.1"));
        names.learn("10.0.0.1".to_owned(), Some("db".to_owned()));
        assert_eq!(names.get("10.0.0.1"), Some("db"));
        names.naming = Naming::Off;
        assert_eq!(names.get("10.0.0.1"), None);
    }
}
