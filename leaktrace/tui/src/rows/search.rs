//! The search that is typed: words that must all match, each somewhere in a row.
//!
//! `word` searches everywhere, `field:word` in one field, `!word` excludes. Case does not matter for ASCII letters.

use std::fmt;

/// Where a word is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Everywhere.
    Any,
    /// Name, executable, process id.
    Process,
    /// Functions, source files, modules.
    Symbol,
    /// Addresses, and names of peers where they are looked up.
    Peer,
    /// Container, pod, unit, control group.
    Container,
    /// Names of verdicts, and `growing`.
    Verdict,
    /// State of the connection.
    State,
}

impl Field {
    /// Whether a word for `self` is searched in `field`.
    pub(crate) fn covers(self, field: Self) -> bool {
        self == Self::Any || self == field
    }

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "comm" | "process" | "pid" | "exe" => Self::Process,
            "sym" | "symbol" | "file" => Self::Symbol,
            "peer" | "addr" => Self::Peer,
            "container" | "pod" | "unit" => Self::Container,
            "verdict" => Self::Verdict,
            "state" => Self::State,
            _ => return None,
        })
    }
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// Where to search.
    pub(crate) field: Field,
    needle: String,
    /// The word as a process id.
    pub(crate) pid: Option<u32>,
    excludes: Excludes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excludes {
    No,
    Yes,
}

/// All words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    terms: Vec<Term>,
}

impl Search {
    /// Any text is a search. A field without a word matches everything.
    pub(crate) fn parse(text: &str) -> Self {
        Self { terms: text.split_whitespace().filter_map(Term::parse).collect() }
    }

    /// Whether everything matches.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether every row that matches `self` surely matches `wider` too. May say no where it does.
    pub(crate) fn narrows(&self, wider: &Self) -> bool {
        wider.terms.iter().all(|old| {
            self.terms.iter().any(|new| {
                new == old
                    || (old.excludes == Excludes::No
                        && new.excludes == Excludes::No
                        && old.pid.is_none()
                        && new.pid.is_none()
                        && new.field == old.field
                        && new.needle.contains(&old.needle))
            })
        })
    }

    /// Whether a row matches; `has` tells whether a word is in it.
    pub(crate) fn matches(&self, mut has: impl FnMut(&Term) -> bool) -> bool {
        self.terms.iter().all(|term| has(term) == (term.excludes == Excludes::No))
    }
}

impl Term {
    fn parse(word: &str) -> Option<Self> {
        let (excludes, word) = match word.strip_prefix('!') {
            Some(rest) => (Excludes::Yes, rest),
            None => (Excludes::No, word),
        };
        let fielded = word.split_once(':').and_then(|(name, rest)| Some((Field::from_name(name)?, rest)));
        let (field, needle) = fielded.unwrap_or((Field::Any, word));
        (!needle.is_empty()).then(|| Self {
            field,
            needle: needle.to_ascii_lowercase(),
            pid: needle.parse().ok(),
            excludes,
        })
    }

    /// Whether the word is in the text of an address. A word that no address can contain is not searched, as making the text takes
    /// longer than the search.
    pub(crate) fn is_in_address(&self, address: impl fmt::Display) -> bool {
        self.needle.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'.' | b':' | b'[' | b']' | b'%'))
            && self.is_in(&address.to_string())
    }

    /// Whether the word is in `text`.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let (text, needle) = (text.as_bytes(), self.needle.as_bytes());
        let Some((first, rest)) = needle.split_first() else { return true };
        if text.len() < needle.len() {
            return false;
        }
        let last = text.len() - needle.len();
        (0..=last).any(|at| {
            text[at].eq_ignore_ascii_case(first) && text[at + 1..at + needle.len()].eq_ignore_ascii_case(rest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(search: &str, text: &str) -> bool {
        Search::parse(search).matches(|term| term.is_in(text))
    }

    #[test]
    fn all_words_must_match_in_any_order_and_case() {
        assert!(matches("POOL api", "api PoolClient"));
        assert!(!matches("pool web", "api PoolClient"));
        assert!(matches("", "anything"));
        assert!(matches("verdict: !", "anything"));
        assert!(!matches("!pool", "api PoolClient"));
        assert!(!matches("é", "e"));
    }

    #[test]
    fn a_colon_that_names_no_field_is_text() {
        assert!(matches(":443", "10.0.0.1:443"));
        assert!(matches("2001:db8", "[2001:db8::1]:443"));
        assert_eq!(Search::parse("pid:12").terms[0].field, Field::Process);
        assert_eq!(Search::parse("12").terms[0].pid, Some(12));
    }

    #[test]
    fn an_address_is_found_by_any_part_of_its_text() {
        let found = |word: &str, address: &str| {
            let address: std::net::SocketAddr = address.parse().unwrap();
            Search::parse(word).matches(|term| term.is_in_address(address))
        };
        assert!(found("2001:DB8::1]:443", "[2001:db8::1]:443"));
        assert!(found("0.0.1:4", "10.0.0.1:443"));
        assert!(!found("pool", "10.0.0.1:443"));
    }

    #[test]
    fn only_a_longer_word_narrows() {
        let narrows = |new: &str, old: &str| Search::parse(new).narrows(&Search::parse(old));
        assert!(narrows("pool", "poo"));
        assert!(narrows("pool x", "pool"));
        assert!(!narrows("poo", "pool"));
        assert!(!narrows("!pool", "!poo"));
        assert!(!narrows("123", "12"), "process ids match whole");
        assert!(!narrows("peer:pool", "comm:poo"));
    }
}
