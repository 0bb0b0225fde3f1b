//! Closing sockets of other processes: SOCK_DESTROY, by addresses and cookie, in the right network namespace.
//!
//! The kernel compares the cookie, so a socket that has replaced another at the same addresses stays open. This module must not decide
//! what is closed: the caller does, and asks the user.

mod link;
mod message;
mod ssh;

pub use ssh::SshConnections;

use crate::namespaces::{Namespaces, enter};
use leaktrace_model::SocketId;
use link::Link;
use message::{DiagId, Family};
use std::{collections::BTreeMap, fs::File, io, os::unix::fs::MetadataExt, path::Path, thread};

/// What happened to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel has closed it: its process gets ECONNABORTED, its peer a reset.
    Closed,
    /// The socket was gone already.
    Gone,
    /// Another socket has its addresses now. It stays open.
    Reused,
    /// The kernel refused.
    NotPermitted,
    /// The kernel was built without SOCK_DESTROY.
    Unsupported,
    /// The kernel has no diagnostics of TCP sockets.
    NoDiagnostics,
    /// Another error, with the system's message.
    Failed(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Gone => "gone already",
            Self::Reused => "gone already; another socket has its addresses now and was left alone",
            Self::NotPermitted => "not permitted: closing sockets takes CAP_NET_ADMIN, and CAP_SYS_ADMIN in containers",
            Self::Unsupported => {
                "not closed: this kernel is built without CONFIG_INET_DIAG_DESTROY; restart the process that holds it"
            }
            Self::NoDiagnostics => "not closed: this kernel has no tcp_diag; load it with `modprobe tcp_diag`",
            Self::Failed(reason) => return write!(f, "not closed: {reason}"),
        })
    }
}

impl Outcome {
    /// Whether the socket is closed now, for any reason.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Closed | Self::Gone | Self::Reused)
    }

    fn failed(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted,
            Some(libc::EOPNOTSUPP) => Self::Unsupported,
            Some(libc::EPROTONOSUPPORT) => Self::NoDiagnostics,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Closes sockets. The outcomes have the order of the targets. This may take as long as a walk over all sockets.
pub fn destroy(targets: &[SocketId]) -> Vec<Outcome> {
    let worker = thread::scope(|scope| {
        // A thread of its own, because it enters other namespaces.
        let thread = thread::Builder::new().name("destroy".to_owned()).spawn_scoped(scope, || in_namespaces(targets));
        thread.map(|thread| thread.join())
    });
    let failed = |reason: String| vec![Outcome::Failed(reason); targets.len()];
    match worker {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(_)) => failed("the thread that closes sockets ended early; please report this".to_owned()),
        Err(error) => failed(format!("no thread could be started: {error}")),
    }
}

fn in_namespaces(targets: &[SocketId]) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Gone; targets.len()];
    let home = Path::new("/proc/thread-self/ns/net").metadata().map(|data| data.ino()).ok();
    let mut by_namespace: BTreeMap<Option<u64>, Vec<usize>> = BTreeMap::new();
    for (at, target) in targets.iter().enumerate() {
        let away = target.netns.map(|netns| u64::from(netns.get())).filter(|netns| Some(*netns) != home);
        by_namespace.entry(away).or_default().push(at);
    }
    // The own namespace sorts first, while this thread is still in it.
    let namespaces = if by_namespace.keys().any(Option::is_some) { Namespaces::find() } else { Namespaces::default() };
    for (netns, members) in by_namespace {
        let entered = netns.map_or(Ok(true), |inode| enter_by_inode(&namespaces, inode));
        let link = entered.and_then(|is_there| if is_there { Link::open().map(Some) } else { Ok(None) });
        match link {
            Ok(Some(mut link)) => destroy_here(&mut link, targets, &members, &mut outcomes),
            // The namespace is gone, and its sockets with it.
            Ok(None) => {}
            Err(error) => members.iter().for_each(|at| outcomes[*at] = Outcome::failed(&error)),
        }
    }
    outcomes
}

/// Enters a namespace. False if it no longer exists.
fn enter_by_inode(namespaces: &Namespaces, inode: u64) -> io::Result<bool> {
    let Some(path) = namespaces.path_of(inode) else { return Ok(false) };
    let namespace = match File::open(path) {
        Ok(namespace) => namespace,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // The process of that path may have moved to another namespace.
    if namespace.metadata()?.ino() != inode {
        return Ok(false);
    }
    enter(&namespace).map(|()| true)
}

fn destroy_here(link: &mut Link, targets: &[SocketId], members: &[usize], outcomes: &mut [Outcome]) {
    let mut unfound: BTreeMap<u64, usize> = BTreeMap::new();
    for at in members {
        let target = &targets[*at];
        outcomes[*at] = match DiagId::new(target) {
            // Without a cookie the kernel would close any socket with these addresses.
            None => Outcome::Failed("its cookie or its addresses are not known".to_owned()),
            Some(id) => match link.destroy(&id) {
                Ok(()) => Outcome::Closed,
                Err(error) if is_not_found(&error) => {
                    unfound.insert(target.cookie.get(), *at);
                    Outcome::Gone
                }
                Err(error) => Outcome::failed(&error),
            },
        };
    }
    if !unfound.is_empty() {
        find_in_list(link, targets, &unfound, outcomes);
    }
}

/// Closes sockets that the kernel did not find by their addresses. It finds a socket that is bound to an interface, as every link-local
/// one is, only with that interface, which its list of sockets contains. The list also shows whether another socket has the addresses.
fn find_in_list(link: &mut Link, targets: &[SocketId], unfound: &BTreeMap<u64, usize>, outcomes: &mut [Outcome]) {
    let ends: BTreeMap<_, usize> =
        unfound.values().map(|at| ((targets[*at].local, targets[*at].remote), *at)).collect();
    for family in [Family::V4, Family::V6] {
        let mut found: BTreeMap<usize, DiagId> = BTreeMap::new();
        let listed = link.list(family, |id| {
            if let Some(at) = unfound.get(&id.cookie) {
                found.insert(*at, id);
            } else if let Some(at) = ends.get(&id.ends()) {
                outcomes[*at] = Outcome::Reused;
            }
        });
        if let Err(error) = listed {
            let outcome = if is_not_found(&error) { Outcome::NoDiagnostics } else { Outcome::failed(&error) };
            unfound.values().for_each(|at| outcomes[*at] = outcome.clone());
            return;
        }
        for (at, id) in found {
            outcomes[at] = match link.destroy(&id) {
                Ok(()) => Outcome::Closed,
                Err(error) if is_not_found(&error) => Outcome::Gone,
                Err(error) => Outcome::failed(&error),
            };
        }
    }
}

fn is_not_found(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESTALE))
}

#[cfg(test)]
mod tests;
