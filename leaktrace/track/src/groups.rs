//! Sockets by peer and by listener, which is how servers are understood: they accept everything on one stack.

use super::growth::{Growth, Look};
use leaktrace_common::{Direction, SocketRow, Verdict, Verdicts, row_flags};
use leaktrace_model::{address, snapshot::Group};
use std::collections::HashMap;

/// Most groups whose number of sockets is followed over time, at 5 KiB each.
const MOST_FOLLOWED: usize = 2048;

/// Open sockets of each group over time.
#[derive(Clone, Debug, Default)]
pub struct Histories {
    series: HashMap<Key, Growth>,
}

/// What sockets are grouped by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The other end.
    Peer(String),
    /// The own address that was accepted on.
    Listener(String),
}

impl Key {
    /// What it is called in reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Peer(name) | Self::Listener(name) => name,
        }
    }
}

/// The peer as reports name it: with its port where that is a service, without where it is a client's.
pub fn peer_name(row: &SocketRow) -> String {
    match Direction::from_raw(row.direction) {
        Direction::Connect => address::remote(row).to_string(),
        Direction::Accept | Direction::Unknown => address::remote_ip(row).to_string(),
    }
}

/// The groups that a socket belongs to.
pub fn keys(row: &SocketRow) -> impl Iterator<Item = Key> {
    let listener = (Direction::from_raw(row.direction) == Direction::Accept)
        .then(|| Key::Listener(address::local(row).to_string()));
    [Some(Key::Peer(peer_name(row))), listener].into_iter().flatten()
}

impl Histories {
    /// Takes in the sockets of one sample; `empty` is a look that has found none. Without all of them, counts would jump: then
    /// the past is dropped.
    pub fn ingest<'a>(&mut self, empty: Look, rows: impl Iterator<Item = &'a SocketRow>, sees_all: bool) {
        if !sees_all {
            self.series.clear();
            return;
        }
        let mut looks: HashMap<Key, Look> = HashMap::new();
        for row in rows {
            let aged = u64::from(Verdicts(row.verdicts).contains(Verdict::LongLived));
            for key in keys(row) {
                let look = looks.entry(key).or_insert(empty);
                look.open += 1;
                look.aged += aged;
            }
        }
        self.series.retain(|key, _| looks.contains_key(key));
        for (key, look) in looks {
            if self.series.len() < MOST_FOLLOWED || self.series.contains_key(&key) {
                self.series.entry(key).or_default().push(look);
            }
        }
    }

    /// Sums of `rows` by group, in no order.
    pub fn gather<'a>(&self, rows: impl Iterator<Item = &'a SocketRow>) -> HashMap<Key, Group> {
        let mut groups: HashMap<Key, Group> = HashMap::new();
        for row in rows {
            for key in keys(row) {
                let group = groups.entry(key).or_insert_with_key(|key| self.start(key));
                add(group, row);
            }
        }
        groups
    }

    fn start(&self, key: &Key) -> Group {
        let trend = self.series.get(key).and_then(Growth::trend);
        Group {
            name: key.name().to_owned(),
            growing: trend.map(|trend| trend.growing),
            growth_per_min: trend.map(|trend| trend.per_min),
            ..Group::default()
        }
    }
}

fn add(group: &mut Group, row: &SocketRow) {
    group.open += 1;
    group.rx_queue_bytes += u64::from(row.rx_queue_bytes);
    group.memory_bytes += u64::from(row.memory_bytes);
    let age_s = row.age_ns as f64 / 1e9;
    if group.oldest_s.is_none_or(|oldest| oldest < age_s) {
        group.oldest_s = Some(age_s);
        group.oldest_exact = row.flags & row_flags::ADOPTED == 0;
    }
    let verdicts = Verdicts(row.verdicts);
    if !verdicts.is_empty() {
        group.flagged += 1;
    }
    for verdict in verdicts.iter() {
        *group.verdicts.entry(Verdict::name(verdict).to_owned()).or_default() += 1;
    }
}
