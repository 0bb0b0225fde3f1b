//! What is not read again, and how much time failures may take.

use crate::{
    identity::{FileId, Identity},
    work::{Refusals, Subject},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Failures by one user's files and processes before no other file of that user is read. Root's files are refused one by one.
const STRIKES: u32 = 2;

/// Most files that are listed; beyond it, the oldest are tried again.
pub(crate) const MOST_FILES: usize = 1024;

/// Most processes that are refused; beyond it, they are tried again.
const MOST_PROCESSES: usize = 4096;

/// Time that failures may take within [`PERIOD`]: a report is at most that late.
const LOST_AT_MOST: Duration = Duration::from_millis(4_000);

/// See [`LOST_AT_MOST`].
const PERIOD: Duration = Duration::from_secs(60);

/// How a helper failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It ended.
    Ended,
    /// It did not answer in time.
    Late,
}

/// What ended or delayed a helper.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    /// What a helper read when it ended, once so far.
    suspects: HashSet<Subject>,
    files: VecDeque<FileId>,
    strikes: HashMap<u32, u32>,
    devices: HashSet<u64>,
    processes: HashSet<u32>,
    /// Files that could not be opened.
    paths: HashSet<PathBuf>,
}

/// The user of a running process.
fn user_of(pid: u32) -> Option<u32> {
    Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

impl Bans {
    /// A helper failed while it read this. It is refused from now on if that took all the time there was, or happened before: a helper
    /// may also be ended by somebody else.
    pub(crate) fn blame(&mut self, subject: Subject, how: Failure) {
        if self.suspects.len() >= MOST_FILES {
            self.suspects.clear();
        }
        if how == Failure::Late || !self.suspects.insert(subject.clone()) {
            self.refuse(subject);
        }
    }

    fn refuse(&mut self, subject: Subject) {
        match subject {
            Subject::File(file) => {
                self.strike(file.owner);
                // The owner of a file on such a file system is what its server says.
                if file.on_server {
                    self.devices.insert(file.identity.device);
                }
                if self.files.len() >= MOST_FILES {
                    self.files.pop_front();
                }
                self.files.push_back(file);
            }
            Subject::Path(path) => {
                if self.paths.len() >= MOST_FILES {
                    self.paths.clear();
                }
                self.paths.insert(path);
            }
            Subject::Process(pid) => {
                if let Some(user) = user_of(pid) {
                    self.strike(user);
                }
                if self.processes.len() >= MOST_PROCESSES {
                    self.processes.clear();
                }
                self.processes.insert(pid);
            }
        }
    }

    /// Whether nothing of this process is read.
    pub(crate) fn refuses_process(&self, pid: u32) -> bool {
        !self.is_empty()
            && (self.processes.contains(&pid)
                || user_of(pid).is_some_and(|user| self.strikes.get(&user).is_some_and(|count| *count >= STRIKES)))
    }

    fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.strikes.is_empty()
    }

    fn strike(&mut self, user: u32) {
        if user != 0 {
            *self.strikes.entry(user).or_default() += 1;
        }
    }

    /// Paths of the refused files, the oldest first.
    pub(crate) fn paths(&self) -> Vec<String> {
        let opened = self.files.iter().map(|file| file.path.clone());
        opened.chain(self.paths.iter().map(|path| path.to_string_lossy().into_owned())).collect()
    }

    /// What a new helper must not read.
    pub(crate) fn refusals(&self) -> Refusals {
        Refusals {
            files: self.files.iter().map(|file| file.identity).collect::<HashSet<Identity>>(),
            users: self.strikes.iter().filter(|(_, count)| **count >= STRIKES).map(|(user, _)| *user).collect(),
            devices: self.devices.clone(),
            processes: self.processes.clone(),
            paths: self.paths.clone(),
        }
    }
}

/// How long the tracer may still wait for helpers that fail.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    lost: VecDeque<(Instant, Duration)>,
}

impl Patience {
    /// The time that is left now; zero if there is none.
    pub(crate) fn left(&mut self, now: Instant) -> Duration {
        while self.lost.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= PERIOD) {
            self.lost.pop_front();
        }
        let lost: Duration = self.lost.iter().map(|(_, span)| *span).sum();
        LOST_AT_MOST.saturating_sub(lost)
    }

    /// A failure took this long.
    pub(crate) fn lose(&mut self, now: Instant, span: Duration) {
        self.lost.push_back((now, span));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(owner: u32, inode: u64, on_server: bool) -> Subject {
        let identity = Identity { device: 1, inode, size: 3, modified_ns: 4 };
        Subject::File(FileId { identity, owner, on_server, path: format!("/srv/{inode}") })
    }

    #[test]
    fn a_user_whose_files_do_harm_is_refused_but_root_is_not() {
        let mut bans = Bans::default();
        bans.refuse(file(1000, 1, false));
        (2..9).for_each(|inode| bans.refuse(file(0, inode, false)));
        assert!(bans.refusals().users.is_empty());
        bans.refuse(file(1000, 9, false));
        assert_eq!(bans.refusals().users, HashSet::from([1000]));
        assert_eq!((bans.paths().len(), bans.refusals().files.len(), bans.refusals().devices.len()), (9, 9, 0));
    }

    #[test]
    fn one_end_of_a_helper_may_be_somebody_elses_doing() {
        let mut bans = Bans::default();
        bans.blame(file(1000, 1, false), Failure::Ended);
        assert!(bans.paths().is_empty());
        bans.blame(file(1000, 1, false), Failure::Ended);
        bans.blame(file(1000, 2, false), Failure::Late);
        assert_eq!(bans.paths(), ["/srv/1", "/srv/2"]);
    }

    #[test]
    fn a_file_system_with_a_server_is_refused_at_once_whoever_owns_the_file() {
        let mut bans = Bans::default();
        bans.refuse(file(0, 1, true));
        assert_eq!(bans.refusals().devices, HashSet::from([1]));
    }

    #[test]
    fn a_process_is_refused_and_counts_for_its_user() {
        let mut bans = Bans::default();
        bans.refuse(Subject::Process(std::process::id()));
        assert!(bans.refuses_process(std::process::id()) && bans.refusals().processes.contains(&std::process::id()));
        (1..=2 * MOST_PROCESSES as u32).for_each(|pid| bans.refuse(Subject::Process(u32::MAX - pid)));
        assert!(bans.refusals().processes.len() <= MOST_PROCESSES);
    }

    #[test]
    fn the_list_of_files_does_not_grow_for_ever() {
        let mut bans = Bans::default();
        (0..2 * MOST_FILES as u64).for_each(|inode| bans.refuse(file(0, inode, false)));
        assert_eq!(bans.paths().len(), MOST_FILES);
        assert_eq!(bans.paths().first(), Some(&format!("/srv/{MOST_FILES}")));
    }

    #[test]
    fn patience_ends_and_comes_back() {
        let mut patience = Patience::default();
        let start = Instant::now();
        assert_eq!(patience.left(start), LOST_AT_MOST);
        patience.lose(start, Duration::from_secs(3));
        patience.lose(start + Duration::from_secs(30), Duration::from_secs(3));
        assert_eq!(patience.left(start + Duration::from_secs(31)), Duration::ZERO);
        assert_eq!(patience.left(start + PERIOD), Duration::from_secs(1));
        assert_eq!(patience.left(start + 2 * PERIOD), LOST_AT_MOST);
    }
}
