//! The SSH connections through which this process is used: closing one would end the session of the user who closes sockets.
//!
//! sshd names the connection in `SSH_CONNECTION`. sudo drops the variable, so the environments of the parents are read as well. Only
//! processes of trusted users are read: others could point their environment at memory that never answers.

use crate::host::process_text;
use leaktrace_model::SocketId;
use std::{
    fs::{self, File},
    io::Read,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    os::unix::fs::MetadataExt,
};

/// Most bytes of an environment that are read.
const LONGEST_ENVIRONMENT: u64 = 256 << 10;

/// Most parents that are looked at.
const MOST_PARENTS: usize = 64;

/// Both ends of each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshConnections {
    ends: Vec<[SocketAddr; 2]>,
    /// Namespaces in which they are: that of this process and that of the host.
    namespaces: Vec<NonZeroU32>,
}

impl SshConnections {
    /// Finds those of this process and its parents. `is_trusted` says whose processes may be read, besides those of the user who logged in.
    pub fn of_this_process(is_trusted: impl Fn(u32) -> bool) -> Self {
        let own = std::env::var("SSH_CONNECTION").ok().and_then(|text| parse(&text));
        let login_uid = process_text(std::process::id(), "loginuid").and_then(|text| text.trim().parse().ok());
        let mut ends: Vec<_> = own.into_iter().collect();
        let mut pid = std::os::unix::process::parent_id();
        // The own session does not end the search: sudo may run its command in a session of its own.
        for _ in 0..MOST_PARENTS {
            if pid <= 1 {
                break;
            }
            let owner = fs::metadata(format!("/proc/{pid}")).map(|data| data.uid()).ok();
            if owner.is_some_and(|owner| is_trusted(owner) || Some(owner) == login_uid) {
                ends.extend(connection_of(pid));
            }
            let Some(parent) = parent_of(pid) else { break };
            pid = parent;
        }
        let namespaces = ["/proc/self/ns/net", "/proc/1/ns/net"].into_iter().filter_map(namespace);
        Self { ends, namespaces: namespaces.collect() }
    }

    /// Whether a socket is an end of one of them.
    pub fn have(&self, socket: &SocketId) -> bool {
        let is_here = socket.netns.is_none_or(|netns| self.namespaces.contains(&netns));
        let [local, remote] = [socket.local, socket.remote].map(canonical);
        // The client may run on this host too.
        is_here && self.ends.iter().any(|ends| *ends == [local, remote] || *ends == [remote, local])
    }
}

fn connection_of(pid: u32) -> Option<[SocketAddr; 2]> {
    let mut environment = Vec::new();
    File::open(format!("/proc/{pid}/environ")).ok()?.take(LONGEST_ENVIRONMENT).read_to_end(&mut environment).ok()?;
    in_environment(&environment)
}

fn in_environment(environment: &[u8]) -> Option<[SocketAddr; 2]> {
    let value = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"SSH_CONNECTION="))?;
    parse(std::str::from_utf8(value).ok()?)
}

/// Reads `CLIENT PORT SERVER PORT`. The ends are in the order of the server's socket.
fn parse(text: &str) -> Option<[SocketAddr; 2]> {
    let mut words = text.split(' ');
    let mut end = || {
        // A link-local address has its interface after it.
        let address: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
        Some(canonical(SocketAddr::new(address, words.next()?.parse().ok()?)))
    };
    let (client, server) = (end()?, end()?);
    Some([server, client])
}

fn canonical(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = process_text(pid, "stat")?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn namespace(path: &str) -> Option<NonZeroU32> {
    let inode = fs::metadata(path).ok()?.ino();
    u32::try_from(inode).ok().and_then(NonZeroU32::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn socket(local: &str, remote: &str, netns: Option<NonZeroU32>) -> SocketId {
        let end = |text: &str| text.parse().unwrap();
        SocketId { cookie: std::num::NonZeroU64::MIN, netns, local: end(local), remote: end(remote) }
    }

    #[test]
    fn the_connection_is_known_by_its_ends_and_its_namespace() {
        let here = NonZeroU32::new(7);
        let ends =
            ["10.0.0.9 50022 10.0.0.1 22", "fe80::9%eth0 50022 fe80::1%eth0 22"].iter().filter_map(|text| parse(text));
        let ssh = SshConnections { ends: ends.collect(), namespaces: here.into_iter().collect() };
        for netns in [None, here] {
            assert!(ssh.have(&socket("10.0.0.1:22", "10.0.0.9:50022", netns)));
            assert!(ssh.have(&socket("10.0.0.9:50022", "10.0.0.1:22", netns)), "the client's end");
            assert!(ssh.have(&socket("[::ffff:10.0.0.1]:22", "[::ffff:10.0.0.9]:50022", netns)));
            assert!(ssh.have(&socket("[fe80::1]:22", "[fe80::9]:50022", netns)));
            assert!(!ssh.have(&socket("10.0.0.1:22", "10.0.0.9:50023", netns)));
        }
        assert!(
            !ssh.have(&socket("10.0.0.1:22", "10.0.0.9:50022", NonZeroU32::new(8))),
            "a container with the same addresses"
        );
    }

    #[test]
    fn what_is_not_a_connection_is_none() {
        for text in ["", "a b c d", "10.0.0.9 50022 10.0.0.1", "10.0.0.9 99999 10.0.0.1 22"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(in_environment(b"XSSH_CONNECTION=10.0.0.9 1 10.0.0.1 22\0A=SSH_CONNECTION=1"), None);
        assert!(in_environment(b"A=1\0SSH_CONNECTION=10.0.0.9 1 10.0.0.1 22\0").is_some());
        assert_eq!(in_environment(b"A=\xff\0SSH_CONNECTION=\xff\0"), None);
    }

    #[test]
    fn the_environment_of_another_process_is_read() {
        let mut child = Command::new("sleep");
        let child = child.arg("60").env("SSH_CONNECTION", "192.0.2.9 50022 192.0.2.1 22").stdin(Stdio::null());
        let mut child = child.spawn().unwrap();
        // `spawn` returns when the kernel has replaced the memory of the child, and the environment is put there a little later.
        let start = std::time::Instant::now();
        let environ = format!("/proc/{}/environ", child.id());
        while std::fs::read(&environ).is_ok_and(|bytes| bytes.is_empty()) && start.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let found = connection_of(child.id());
        let parent = parent_of(child.id());
        child.kill().and_then(|()| child.wait()).unwrap();
        assert_eq!(found, parse("192.0.2.9 50022 192.0.2.1 22"));
        assert_eq!(parent, Some(std::process::id()));
        assert!(SshConnections::of_this_process(|_| true).namespaces.iter().all(|inode| inode.get() > 0));
    }
}
