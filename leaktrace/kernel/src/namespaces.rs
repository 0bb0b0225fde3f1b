//! Finding the network namespaces of this host, and entering each in turn.
//!
//! They are those of running processes and those that are mounted (`ip netns`, container runtimes). No descriptor of a namespace is
//! kept between passes, because it would keep the namespace alive.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

/// A path to each network namespace, by inode number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    paths: BTreeMap<u64, PathBuf>,
    hidden: u32,
}

impl Namespaces {
    /// Finds all namespaces. Processes that end meanwhile are skipped, processes that this one may not read are counted.
    pub fn find() -> Self {
        let mut paths = BTreeMap::new();
        let mut hidden = 0;
        if let Ok(processes) = fs::read_dir("/proc") {
            for entry in processes.flatten() {
                if entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
                    hidden += u32::from(add_threads(&mut paths, &entry.path()) == Access::Denied);
                }
            }
        }
        for path in mounted() {
            add(&mut paths, path);
        }
        Self { paths, hidden }
    }

    /// How many processes could not be read. They may be in namespaces that are not among these.
    pub fn hidden(&self) -> u32 {
        self.hidden
    }

    /// A path to the namespace with this inode number. The caller must compare the number after opening it, because a process may have
    /// moved to another namespace.
    pub fn path_of(&self, inode: u64) -> Option<&Path> {
        self.paths.get(&inode).map(PathBuf::as_path)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.paths.len()
    }

    /// Calls `visit` inside each namespace, then returns to the namespace that this thread was in. Namespaces that cannot be entered are
    /// counted. Without the right to enter others, only this thread's own is visited.
    pub fn visit_each(&self, mut visit: impl FnMut(u64) -> io::Result<()>) -> io::Result<Visited> {
        let home = File::open("/proc/thread-self/ns/net")?;
        let home_inode = home.metadata()?.ino();
        let mut visited = Visited::default();
        let mut outcome = visit_home(home_inode, &mut visit, &mut visited);
        for (inode, path) in self.paths.iter().filter(|(inode, _)| **inode != home_inode) {
            if outcome.is_err() {
                break;
            }
            let Ok(namespace) = File::open(path) else {
                // The process is gone. If its namespace still exists, the next search finds another path.
                continue;
            };
            if namespace.metadata().map(|data| data.ino()).ok() != Some(*inode) {
                continue;
            }
            if enter(&namespace).is_err() {
                visited.refused += 1;
                continue;
            }
            if has_tcp_sockets() {
                visited.entered += 1;
                outcome = visit(*inode);
            } else {
                visited.empty += 1;
            }
        }
        enter(&home).or_else(|error| if visited.entered + visited.empty == 1 { Ok(()) } else { Err(error) })?;
        outcome.map(|()| visited)
    }
}

/// Inode of the network namespace that this process was started in.
pub fn own_namespace() -> Option<u64> {
    fs::metadata("/proc/self/ns/net").map(|data| data.ino()).ok()
}

/// The name that `ip netns` knows a namespace by.
pub fn namespace_name(inode: u64) -> Option<String> {
    let mut names = fs::read_dir("/run/netns").ok()?.flatten();
    let found = names.find(|name| fs::metadata(name.path()).is_ok_and(|data| data.ino() == inode))?;
    Some(found.file_name().to_string_lossy().into_owned())
}

/// How many namespaces were visited and left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// Visited, this thread's own included.
    pub entered: u32,
    /// Left out, because they have no TCP sockets.
    pub empty: u32,
    /// Could not be entered.
    pub refused: u32,
}

fn visit_home(inode: u64, visit: &mut impl FnMut(u64) -> io::Result<()>, visited: &mut Visited) -> io::Result<()> {
    visited.entered += 1;
    visit(inode)
}

/// Moves this thread into a network namespace.
///
/// # Errors
/// Those of setns(2).
pub(crate) fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: an open descriptor; only this thread changes its namespace.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Links to a process's folder of threads that are not one of its threads (`proc_task_getattr`, fs/proc/base.c).
const OTHER_LINKS: u64 = 2;

/// Whether the namespace of a process or thread could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Yes, or the process is gone.
    Done,
    /// No, this process may not read it (`ptrace_may_access` in `proc_ns_readlink`, fs/proc/namespaces.c).
    Denied,
}

/// Adds the namespaces of a process. Each thread may have another namespace, as in container runtimes. Most processes have one thread,
/// and are recognized by the number of links, because reading the folder of threads takes three times as long.
fn add_threads(paths: &mut BTreeMap<u64, PathBuf>, process: &Path) -> Access {
    let threads = process.join("task");
    if fs::metadata(&threads).is_ok_and(|data| data.nlink() == OTHER_LINKS + 1) {
        return add(paths, process.join("ns/net"));
    }
    let Ok(threads) = fs::read_dir(threads) else {
        return add(paths, process.join("ns/net"));
    };
    let mut access = Access::Done;
    for thread in threads.flatten() {
        if add(paths, thread.path().join("ns/net")) == Access::Denied {
            access = Access::Denied;
        }
    }
    access
}

fn add(paths: &mut BTreeMap<u64, PathBuf>, path: PathBuf) -> Access {
    // The text of the link is `net:[4026531840]`. Getting the inode from the link's target would open the namespace.
    let target = match fs::read_link(&path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Access::Denied,
        Err(_) => {
            if let Ok(data) = fs::metadata(&path) {
                paths.entry(data.ino()).or_insert(path);
            }
            return Access::Done;
        }
    };
    let name = target.to_string_lossy();
    if let Some(inode) = name.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']'))
        && let Ok(inode) = inode.parse()
    {
        paths.entry(inode).or_insert(path);
    }
    Access::Done
}

/// Where network namespaces are mounted.
fn mounted() -> Vec<PathBuf> {
    parse_mounted(&fs::read("/proc/self/mountinfo").unwrap_or_default())
}

/// Mount points in the text of mountinfo: lines of type nsfs with the root `net:[…]`. In bytes, because a mount point may have any name,
/// and a name that is not UTF-8 must not hide the others.
fn parse_mounted(mounts: &[u8]) -> Vec<PathBuf> {
    mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let (root, point) = (fields.nth(3)?, fields.next()?);
            let is_nsfs = fields.skip_while(|field| *field != b"-").nth(1) == Some(b"nsfs");
            (root.starts_with(b"net:[") && is_nsfs).then(|| PathBuf::from(OsString::from_vec(unescape(point))))
        })
        .collect()
}

/// Undoes the octal escapes of mountinfo (`\040` for a space).
fn unescape(mut rest: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(rest.len());
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.first_chunk().filter(|_| *first == b'\\').and_then(octal);
        field.push(digits.unwrap_or(*first));
        rest = if digits.is_some() { &behind[3..] } else { behind };
    }
    field
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    u8::from_str_radix(digits, 8).ok()
}

/// Whether the namespace of this thread has any TCP socket. A walk visits the hash table of the whole host even for an empty namespace,
/// and on a host with many containers that would be the most expensive part of a pass.
fn has_tcp_sockets() -> bool {
    let in_use = |path: &Path, protocol: &str| {
        fs::read_to_string(path).ok().and_then(|text| tcp_in_use(&text, protocol)).unwrap_or(1)
    };
    in_use(Path::new("/proc/thread-self/net/sockstat"), "TCP:") > 0
        || in_use(Path::new("/proc/thread-self/net/sockstat6"), "TCP6:") > 0
}

/// Sockets in use and orphans of a protocol in the text of `/proc/net/sockstat`.
fn tcp_in_use(text: &str, protocol: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(protocol))?;
    let mut words = line.split_whitespace().skip(1);
    let mut sum = 0;
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if matches!(name, "inuse" | "orphan") {
            sum += value.parse::<u64>().ok()?;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_skip::{Lack, skip};

    #[test]
    fn mounted_namespaces_are_read_from_mountinfo() {
        let text = b"36 25 0:4 net:[4026532201] /run/netns/a\\040b rw shared:1 - nsfs nsfs rw\n\
                     37 25 0:5 / /proc rw - proc proc rw\n38 25 0:4 mnt:[1] /run/m rw - nsfs nsfs rw\nrubbish\n";
        assert_eq!(parse_mounted(text), [PathBuf::from("/run/netns/a b")]);
    }

    #[test]
    fn a_mount_point_that_is_no_text_hides_no_namespace() {
        let text = b"35 25 8:1 / /media/\xe9t\xe9 rw - vfat /dev/sdb1 rw\n\
                     36 25 0:4 net:[4026532201] /run/netns/\xff\\9\\04 rw - nsfs nsfs rw\n";
        assert_eq!(parse_mounted(text), [PathBuf::from(OsString::from_vec(b"/run/netns/\xff\\9\\04".to_vec()))]);
    }

    #[test]
    fn sockets_in_use_are_read_from_sockstat() {
        let text = "sockets: used 12\nTCP: inuse 5 orphan 2 tw 9 alloc 8 mem 1\nUDP: inuse 0 mem 0\n";
        assert_eq!(tcp_in_use(text, "TCP:"), Some(7));
        assert_eq!(tcp_in_use(text, "TCP6:"), None);
    }

    #[test]
    fn a_process_of_one_thread_shows_its_namespace() {
        let own = fs::metadata("/proc/self/ns/net").map(|data| data.ino()).unwrap();
        let mut sleep = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut paths = BTreeMap::new();
        add_threads(&mut paths, &Path::new("/proc").join(sleep.id().to_string()));
        sleep.kill().and_then(|()| sleep.wait()).unwrap();
        assert_eq!(paths.into_keys().collect::<Vec<_>>(), [own]);
    }

    /// Other tests of this program enter namespaces in threads of their own, so more than these two may be found.
    #[test]
    fn each_thread_of_a_process_shows_its_namespace() {
        let own = fs::metadata("/proc/self/ns/net").map(|data| data.ino()).unwrap();
        std::thread::scope(|scope| {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let (send_inode, inode_of_thread) = std::sync::mpsc::channel();
            scope.spawn(move || {
                // SAFETY: the call takes a number; only this thread changes its namespace, and it ends with the test.
                let moved = unsafe { libc::unshare(libc::CLONE_NEWNET) };
                let inode = fs::metadata("/proc/thread-self/ns/net").map(|data| data.ino()).unwrap();
                send_inode.send((moved, inode)).unwrap();
                ended.recv()
            });
            let (moved, other) = inode_of_thread.recv().unwrap();
            let mut paths = BTreeMap::new();
            add_threads(&mut paths, &Path::new("/proc").join(std::process::id().to_string()));
            drop(end);
            assert!(paths.contains_key(&own) && paths.contains_key(&other), "{own} {other} {paths:?}");
            if moved != 0 {
                return skip(Lack::Privilege("only root can make a network namespace"));
            }
            assert_ne!(own, other);
        });
    }

    /// Reads /proc as another user without capabilities.
    #[test]
    fn a_process_that_may_not_be_read_is_counted_not_skipped() {
        // SAFETY: the call takes nothing.
        if unsafe { libc::geteuid() } != 0 {
            return skip(Lack::Privilege("only root can become another user"));
        }
        let denied = std::thread::spawn(|| {
            let nobody: libc::uid_t = 65_534;
            // The system call changes this thread only; the library's function would change all threads.
            // SAFETY: the call takes numbers only.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) };
            let mut paths = BTreeMap::new();
            (changed, add_threads(&mut paths, Path::new("/proc/1")), paths)
        });
        assert_eq!(denied.join().unwrap(), (0, Access::Denied, BTreeMap::new()));
    }

    #[test]
    fn the_own_namespace_is_among_those_found() {
        let own = fs::metadata("/proc/self/ns/net").map(|data| data.ino()).unwrap_or_default();
        assert!(Namespaces::find().paths.contains_key(&own));
    }
}
