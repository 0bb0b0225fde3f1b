//! Rows made of rows: call sites of a process name, processes of a container, peers of a host.

use super::facts::{Counts, Facts};
use super::item::{Item, Lens};
use super::row_key::{RowKey, host_of};
use super::view_kind::{Grouping, View};
use leaktrace_model::snapshot::{Callsite, Group, Process, Snapshot, StackQuality};
use std::collections::HashMap;

/// What a grouped row has on top of the fields of its kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra {
    /// Rows in it.
    pub members: u32,
    /// Its sockets by verdict.
    pub counts: Counts,
}

/// Rows made of rows.
#[derive(Clone, Debug, Default)]
pub enum Grouped {
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
    /// Puts the rows of a view together. Listeners come grouped already.
    pub fn of(view: View, grouping: Grouping, snapshot: &Snapshot, facts: &Facts) -> Self {
        let lens = Lens { snapshot, facts };
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

fn collect<T: Item>(
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
        extras[place].members += 1;
        for (sum, count) in extras[place].counts.iter_mut().zip(row.counts(at, lens)) {
            *sum += count;
        }
    }
    (groups, extras)
}

fn start_callsite(site: &Callsite) -> Callsite {
    Callsite {
        id: site.id,
        comm: site.comm.clone(),
        direction: site.direction.clone(),
        exe: site.exe.clone(),
        stack_quality: StackQuality::Missing,
        oldest_exact: true,
        ..Callsite::default()
    }
}

fn add_callsite(sum: &mut Callsite, site: &Callsite) {
    sum.open += site.open;
    sum.opened += site.opened;
    sum.closed += site.closed;
    sum.flagged += site.flagged;
    sum.rx_queue_bytes += site.rx_queue_bytes;
    sum.memory_bytes += site.memory_bytes;
    if sum.direction != site.direction {
        sum.direction = "both".to_owned();
    }
    if site.oldest_s > sum.oldest_s {
        sum.oldest_s = site.oldest_s;
        sum.oldest_exact = site.oldest_exact;
    }
    sum.growing = either(sum.growing, site.growing);
    sum.growth_per_min = plus(sum.growth_per_min, site.growth_per_min);
    for pid in &site.pids {
        if !sum.pids.contains(pid) && sum.pids.len() < 1000 {
            sum.pids.push(*pid);
        }
    }
    for (name, count) in &site.verdicts {
        *sum.verdicts.entry(name.clone()).or_default() += count;
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
    Group { name: host_of(&group.name).to_owned(), ..Group::default() }
}

fn add_peer(sum: &mut Group, group: &Group) {
    sum.open += group.open;
    sum.flagged += group.flagged;
    sum.rx_queue_bytes += group.rx_queue_bytes;
    sum.memory_bytes += group.memory_bytes;
    if group.oldest_s > sum.oldest_s {
        sum.oldest_s = group.oldest_s;
        sum.oldest_exact = group.oldest_exact;
    }
    sum.growing = either(sum.growing, group.growing);
    sum.growth_per_min = plus(sum.growth_per_min, group.growth_per_min);
    for (name, count) in &group.verdicts {
        *sum.verdicts.entry(name.clone()).or_default() += count;
    }
}

fn either(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a || b),
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

    #[test]
    fn peers_of_a_host_come_together_and_unknown_stays_unknown() {
        let peer = |name: &str, open, growing| Group { name: name.to_owned(), open, growing, ..Group::default() };
        let snapshot = Snapshot {
            peers: vec![
                peer("10.0.0.1:80", 3, None),
                peer("10.0.0.2:80", 1, None),
                peer("10.0.0.1:443", 2, Some(true)),
            ],
            ..Snapshot::default()
        };
        let facts = Facts::of(&snapshot);
        let Grouped::Peers(rows, extras) = Grouped::of(View::Peers, Grouping::Host, &snapshot, &facts) else {
            panic!("peers")
        };
        assert_eq!((rows[0].name.as_str(), rows[0].open, rows[0].growing), ("10.0.0.1", 5, Some(true)));
        assert_eq!((rows[1].open, rows[1].growing, rows[1].oldest_s), (1, None, None));
        assert_eq!(extras[0].members, 2);
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
        let facts = Facts::of(&snapshot);
        let grouped = Grouped::of(View::Processes, Grouping::Container, &snapshot, &facts);
        let Grouped::Processes(rows, _) = grouped else { panic!("processes") };
        assert_eq!(rows.iter().map(|row| row.open).collect::<Vec<_>>(), [2, 1]);
    }
}
