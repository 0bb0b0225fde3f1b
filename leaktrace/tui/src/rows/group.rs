//! Rows that stand for several rows each: call sites of a process name, processes of a container, peers of a host.

use crate::rows::lens::Lens;
use crate::rows::row::Row;
use crate::rows::row_key::RowKey;
use crate::rows::snapshot_index::SnapshotIndex;
use crate::rows::view_kind::{Grouping, Opened, View};
use leaktrace_model::{Callsite, Group, GroupKey, Peer, Process, Snapshot, Trend, VerdictCounts};
use std::collections::HashMap;

/// What a grouped row has beside the fields of its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extra {
    /// How many rows it stands for.
    pub(crate) members: u32,
    /// Its sockets by verdict.
    pub(crate) counts: VerdictCounts,
    /// Which end opened them, where rows of its kind have a direction.
    pub(crate) opened: Option<Opened>,
}

/// Rows that stand for several rows each.
#[derive(Clone, Debug, Default)]
pub(crate) enum Grouped {
    /// The snapshot's own rows are shown.
    #[default]
    None,
    /// Call sites together.
    Callsites(Vec<Callsite>, Vec<Extra>),
    /// Processes together.
    Processes(Vec<Process>, Vec<Extra>),
    /// Peers together.
    Peers(Vec<Group>, Vec<Extra>),
}

impl Grouped {
    /// Groups the rows of a view. Listeners are groups already.
    pub(crate) fn of(view: View, grouping: Grouping, snapshot: &Snapshot, index: &SnapshotIndex) -> Self {
        let lens = Lens { snapshot, index };
        match (view, grouping) {
            (_, Grouping::Each | Grouping::Listener) | (View::Sockets, _) => Self::None,
            (View::Callsites, _) => {
                let (rows, extras) = collect(&snapshot.callsites, grouping, lens, start_callsite, add_callsite);
                Self::Callsites(rows, extras)
            }
            (View::Processes, _) => {
                let (rows, extras) =
                    collect(&snapshot.processes, grouping, lens, |p| start_process(p, grouping), add_process);
                Self::Processes(rows, extras)
            }
            (View::Peers, _) => {
                let (rows, extras) = collect(&snapshot.peers, grouping, lens, start_peer, add_peer);
                Self::Peers(rows, extras)
            }
        }
    }
}

fn collect<T: Row>(
    rows: &[T],
    grouping: Grouping,
    lens: Lens<'_>,
    start: impl Fn(&T) -> T,
    add: impl Fn(&mut T, &T),
) -> (Vec<T>, Vec<Extra>) {
    let mut places: HashMap<RowKey, usize> = HashMap::new();
    let (mut groups, mut extras): (Vec<T>, Vec<Extra>) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        let first = start(row);
        let place = *places.entry(first.key(grouping)).or_insert_with(|| {
            groups.push(first);
            extras.push(Extra::default());
            groups.len() - 1
        });
        add(&mut groups[place], row);
        let extra = &mut extras[place];
        extra.members += 1;
        extra.counts.merge(&row.counts(at, lens));
        let opened = row.direction().map(Opened::By);
        extra.opened = extra.opened.map_or(opened, |before| opened.map(|now| before.and(now)));
    }
    (groups, extras)
}

fn start_callsite(site: &Callsite) -> Callsite {
    Callsite {
        id: site.id,
        comm: site.comm.clone(),
        direction: site.direction,
        exe: site.exe.clone(),
        ..Callsite::default()
    }
}

fn add_callsite(sum: &mut Callsite, site: &Callsite) {
    sum.sums.merge(&site.sums);
    sum.opened += site.opened;
    sum.closed += site.closed;
    sum.trend = together(sum.trend, site.trend);
    for pid in &site.pids {
        if !sum.pids.contains(pid) && sum.pids.len() < 1000 {
            sum.pids.push(*pid);
        }
    }
}

fn start_process(process: &Process, grouping: Grouping) -> Process {
    let keep = |wanted: Grouping, text: &Option<String>| text.clone().filter(|_| wanted == grouping);
    Process {
        comm: if grouping == Grouping::Comm { process.comm.clone() } else { String::new() },
        container: keep(Grouping::Container, &process.container),
        pod: keep(Grouping::Container, &process.pod),
        unit: keep(Grouping::Unit, &process.unit),
        ..Process::default()
    }
}

fn add_process(sum: &mut Process, process: &Process) {
    sum.open += process.open;
    sum.flagged += process.flagged;
    sum.memory_bytes += process.memory_bytes;
    sum.fds_open = plus(sum.fds_open, process.fds_open);
    sum.fds_per_min = plus(sum.fds_per_min, process.fds_per_min);
    sum.fds_exhausted_s = match (sum.fds_exhausted_s, process.fds_exhausted_s) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

fn start_peer(group: &Group) -> Group {
    Group::new(GroupKey::Peer(Peer::Client(group.key.ip())))
}

fn add_peer(sum: &mut Group, group: &Group) {
    sum.sums.merge(&group.sums);
    sum.trend = together(sum.trend, group.trend);
}

/// How two numbers of sockets move together; an unknown one adds nothing.
fn together(a: Option<Trend>, b: Option<Trend>) -> Option<Trend> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Trend { growing: a.growing || b.growing, per_min: a.per_min + b.per_min }),
        (a, b) => a.or(b),
    }
}

fn plus<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::{Direction, Sums};

    #[test]
    fn peers_of_a_host_come_together_and_unknown_stays_unknown() {
        let peer = |address: &str, open, trend| Group {
            sums: Sums { open, ..Sums::default() },
            trend,
            ..Group::new(GroupKey::Peer(Peer::Service(address.parse().unwrap())))
        };
        let growing = Trend { growing: true, per_min: 2.0 };
        let snapshot = Snapshot {
            peers: vec![
                peer("10.0.0.1:80", 3, None),
                peer("10.0.0.2:80", 1, None),
                peer("10.0.0.1:443", 2, Some(growing)),
            ],
            ..Snapshot::default()
        };
        let index = SnapshotIndex::of(&snapshot);
        let Grouped::Peers(rows, extras) = Grouped::of(View::Peers, Grouping::Host, &snapshot, &index) else {
            panic!("peers")
        };
        assert_eq!(rows[0].key, GroupKey::Peer(Peer::Client([10, 0, 0, 1].into())));
        assert_eq!((rows[0].sums.open, rows[0].trend), (5, Some(growing)));
        assert_eq!((rows[1].sums.open, rows[1].trend, rows[1].sums.oldest), (1, None, None));
        assert_eq!(extras[0].members, 2);
    }

    #[test]
    fn a_row_of_connects_and_accepts_is_of_both() {
        let site = |id, direction| Callsite { id, direction, comm: "api".to_owned(), ..Callsite::default() };
        let opened = |callsites: Vec<Callsite>| {
            let snapshot = Snapshot { callsites, ..Snapshot::default() };
            match Grouped::of(View::Callsites, Grouping::Comm, &snapshot, &SnapshotIndex::of(&snapshot)) {
                Grouped::Callsites(_, extras) => extras[0].opened,
                other => panic!("{other:?}"),
            }
        };
        let (connect, accept) = (Direction::Connect, Direction::Accept);
        assert_eq!(opened(vec![site(1, connect), site(2, connect)]), Some(Opened::By(connect)));
        assert_eq!(opened(vec![site(1, connect), site(2, accept), site(3, connect)]), Some(Opened::Both));
    }

    #[test]
    fn processes_without_a_container_make_one_row() {
        let process = |pid, container: Option<&str>| Process {
            pid,
            open: 1,
            container: container.map(str::to_owned),
            ..Process::default()
        };
        let snapshot = Snapshot {
            processes: vec![process(1, None), process(2, Some("c")), process(3, None)],
            ..Snapshot::default()
        };
        let index = SnapshotIndex::of(&snapshot);
        let grouped = Grouped::of(View::Processes, Grouping::Container, &snapshot, &index);
        let Grouped::Processes(rows, _) = grouped else { panic!("processes") };
        assert_eq!(rows.iter().map(|row| row.open).collect::<Vec<_>>(), [2, 1]);
    }
}
