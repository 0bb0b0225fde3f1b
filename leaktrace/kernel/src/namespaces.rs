//! The network namespaces of this host, and entering each in turn.
//!
//! Namespaces are those of running processes and those that are mounted somewhere (`ip netns`, container runtimes). No
//! descriptor of a namespace is kept between passes: that would keep it alive.

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

/// A way to open each network namespace, by inode number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    paths: BTreeMap<u64, PathBuf>,
    hidden: u32,
}

impl Namespaces {
    /// Looks for all of them. Processes that vanish meanwhile are passed over, those that may not be looked at are counted.
    pub fn find() -> Self {
        let mut paths = BTreeMap::new();
        let mut hidden = 0;
        if let Ok(processes) = fs::read_dir("/proc") {
            for entry in processes.flatten() {
                if entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
                    hidden += u32::from(add_threads(&mut paths, &entry.path()) == Look::Denied);
                }
            }
        }
        for path in mounted() {
            add(&mut paths, path);
        }
        Self { paths, hidden }
    }

    /// How many processes may not be looked at, and may be in namespaces that are not among these.
    pub fn hidden(&self) -> u32 {
        self.hidden
    }

    /// A way to open the namespace with this inode number. Whoever opens it must compare the number: processes move.
    pub fn path_of(&self, inode: u64) -> Option<&Path> {
        self.paths.get(&inode).map(PathBuf::as_path)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.paths.len()
    }

    /// Calls `visit` inside each namespace and returns to the one this thread came from. What cannot be entered is
    /// counted; without the right to enter others, only this one is visited.
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
                // The process is gone; if its namespace lives on, another path leads to it next time.
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

/// What became of the namespaces of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// Entered and visited, the own one included.
    pub entered: u32,
    /// Left out because they have no TCP sockets.
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
/// What setns(2) says.
pub(crate) fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: an open descriptor; only this thread changes its namespace.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Links to a process's folder of threads besides one for each of them (`proc_task_getattr`, fs/proc/base.c).
const OTHER_LINKS: u64 = 2;

/// What came of a look at a process or a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Its namespace is known, or it is gone.
    Done,
    /// This process may not (`ptrace_may_access` in `proc_ns_readlink`, fs/proc/namespaces.c).
    Denied,
}

/// Threads may each have a namespace of their own, as those of container runtimes do. Most processes have one, and looking for
/// more takes three times as long.
fn add_threads(paths: &mut BTreeMap<u64, PathBuf>, process: &Path) -> Look {
    let threads = process.join("task");
    if fs::metadata(&threads).is_ok_and(|data| data.nlink() == OTHER_LINKS + 1) {
        return add(paths, process.join("ns/net"));
    }
    let Ok(threads) = fs::read_dir(threads) else {
        return add(paths, process.join("ns/net"));
    };
    let mut look = Look::Done;
    for thread in threads.flatten() {
        if add(paths, thread.path().join("ns/net")) == Look::Denied {
            look = Look::Denied;
        }
    }
    look
}

fn add(paths: &mut BTreeMap<u64, PathBuf>, path: PathBuf) -> Look {
    // The link reads `net:[4026531840]`; asking for the inode of what it leads to would open it.
    let target = match fs::read_link(&path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Look::Denied,
        Err(_) => {
            if let Ok(data) = fs::metadata(&path) {
                paths.entry(data.ino()).or_insert(path);
            }
            return Look::Done;
        }
    };
    let name = target.to_string_lossy();
    if let Some(inode) = name.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']'))
        && let Ok(inode) = inode.parse()
    {
        paths.entry(inode).or_insert(path);
    }
    Look::Done
}

/// Where network namespaces are mounted: lines of type nsfs with the root `net:[…]`.
fn mounted() -> Vec<PathBuf> {
    parse_mounted(&fs::read("/proc/self/mountinfo").unwrap_or_default())
}

/// In bytes: a mount point may have any name, and one that is no text must not hide the others.
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

/// Whether the namespace that this thread is in counts any TCP socket: walking the hash table of the whole host for
/// an empty one is the dearest part of a pass on a host with many containers.
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
    fn processes_of_one_thread_and_of_more_show_their_namespaces() {
        let own = fs::metadata("/proc/self/ns/net").map(|data| data.ino()).unwrap();
        let mut sleep = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        std::thread::scope(|scope| {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || ended.recv());
            for pid in [sleep.id(), std::process::id()] {
                let mut paths = BTreeMap::new();
                add_threads(&mut paths, &Path::new("/proc").join(pid.to_string()));
                assert_eq!(paths.into_keys().collect::<Vec<_>>(), [own], "{pid}");
            }
            drop(end);
        });
        sleep.kill().and_then(|()| sleep.wait()).unwrap();
    }

    /// As another user without capabilities would see it.
    #[test]
    fn a_process_that_may_not_be_looked_at_is_counted_not_passed_over() {
        // SAFETY: the call takes nothing.
        if unsafe { libc::geteuid() } != 0 {
            return skip(Lack::Privilege("only root can become another user"));
        }
        let look = std::thread::spawn(|| {
            let nobody: libc::uid_t = 65_534;
            // Of this thread only: the library's function would change all.
            // SAFETY: the call takes numbers only.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) };
            let mut paths = BTreeMap::new();
            (changed, add_threads(&mut paths, Path::new("/proc/1")), paths)
        });
        assert_eq!(look.join().unwrap(), (0, Look::Denied, BTreeMap::new()));
    }

    #[test]
    fn the_own_namespace_is_among_those_found() {
        let own = fs::metadata("/proc/self/ns/net").map(|data| data.ino()).unwrap_or_default();
        assert!(Namespaces::find().paths.contains_key(&own));
    }
}
