//! Sockets in network namespaces of their own: of a process, of a single thread, and of a mount without any process.

use super::net::{CLOSE_WAIT, await_state, greet, listener, loopback, port_of};
use super::peer::{Peer, guarded_answerer};
use super::refusal::cannot_run_here;
use super::stage::{Opened, Stage};
use crate::leftovers;
use crate::truth::Expect;
use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[inline(never)]
fn leak_in_namespace(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
    greet(&mut stream)?;
    Ok(stream)
}

/// Moves the calling thread into a new namespace with loopback up, and says which.
///
/// # Errors
/// When that is not allowed here.
pub fn enter_new_namespace() -> Result<u64> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| cannot_run_here(format!("no new network namespace: {error}")))?;
    set_loopback(nix::libc::IFF_UP as nix::libc::c_short)?;
    current_namespace()
}

/// The namespace of the calling thread.
fn current_namespace() -> Result<u64> {
    Ok(std::fs::metadata("/proc/thread-self/ns/net").context("cannot see the own namespace")?.ino())
}

/// Sets the flags of `lo` in the calling thread's namespace: `IFF_UP`, or 0 for down.
///
/// # Errors
/// When it is not ours to set.
pub fn set_loopback(flags: nix::libc::c_short) -> Result<()> {
    nix::ioctl_write_ptr_bad!(set_interface_flags, nix::libc::SIOCSIFFLAGS, nix::libc::ifreq);
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").context("cannot make a socket")?;
    let mut name = [0; nix::libc::IFNAMSIZ];
    name[0] = b'l' as nix::libc::c_char;
    name[1] = b'o' as nix::libc::c_char;
    let request =
        nix::libc::ifreq { ifr_name: name, ifr_ifru: nix::libc::__c_anonymous_ifr_ifru { ifru_flags: flags } };
    // SAFETY: the request is a whole ifreq that outlives the call.
    unsafe { set_interface_flags(socket.as_raw_fd(), &request) }.context("cannot set the flags of lo")?;
    Ok(())
}

/// The whole process is in a namespace of its own.
///
/// # Errors
/// When namespaces cannot be made; the same for every program.
pub fn process_namespace(stage: &mut Stage) -> Result<()> {
    let netns = enter_new_namespace()?;
    leak_and_hold(stage, netns)
}

/// Two namespaces with the same addresses and ports: only the namespace tells the sockets apart.
///
/// # Errors
/// See [`process_namespace`].
pub fn twin_namespaces(stage: &mut Stage) -> Result<()> {
    // Both use this port; the kernel of each namespace knows only one of them.
    const PORT: u16 = 4_321;
    let mut twins = Vec::new();
    for count in [3, 5] {
        let (mut reader, mut writer) = std::io::pipe().context("cannot make a pipe")?;
        let twin = Peer::spawn(move |_| {
            let netns = enter_new_namespace()?;
            let listener = super::net::listener_on(loopback(PORT), 16)?;
            let server = guarded_answerer(listener, count)?;
            let opened = Opened::many(count, || leak_in_namespace(PORT))?;
            std::io::Write::write_all(&mut writer, &netns.to_ne_bytes()).context("the parent is gone")?;
            Ok((server, opened))
        })?;
        let mut inode = [0; 8];
        std::io::Read::read_exact(&mut reader, &mut inode)
            .map_err(|_| cannot_run_here("no new network namespace for a child"))?;
        let leaker = Expect::connected("leaker", twin.pid(), PORT).netns(u64::from_ne_bytes(inode));
        stage.expect(leaker.count(count).function("leak_in_namespace").verdicts(&["idle-unguarded"]));
        twins.push(twin);
    }
    stage.hold()
}

/// One thread of an otherwise ordinary process is in a namespace of its own, as in container runtimes.
///
/// # Errors
/// See [`process_namespace`].
pub fn thread_namespace(stage: &mut Stage) -> Result<()> {
    // Peers are forked, and a fork needs a process without threads: the server is a thread here.
    let (sender, receiver) = std::sync::mpsc::channel();
    super::stories::thread(move || {
        let netns = enter_new_namespace()?;
        let listener = listener()?;
        let port = port_of(&listener)?;
        super::stories::thread(move || {
            let mut kept = Vec::new();
            for _ in 0..4 {
                let mut stream = super::peer::accept_connection(&listener)?;
                super::net::guard(&stream)?;
                super::net::answer(&mut stream)?;
                kept.push(stream);
            }
            park(kept)
        })?;
        let opened = Opened::many(4, || leak_in_namespace(port))?;
        sender.send((netns, port, opened.describe(Expect::connected("leaker", std::process::id(), port)))).ok();
        park(opened)
    })?;
    let (netns, port, class) = receiver.recv().map_err(|_| cannot_run_here("no new network namespace for a thread"))?;
    stage.expect(class.netns(netns).function("leak_in_namespace").verdicts(&["idle-unguarded"]));
    stage.expect(Expect::accepted("peer", stage.pid(), port).netns(netns).count(4));
    stage.hold()
}

fn park<T>(_kept: T) -> Result<()> {
    loop {
        std::thread::park();
    }
}

/// The namespace has no process any more, only a mount where `ip netns` keeps them; the holder is in another namespace.
///
/// # Errors
/// See [`process_namespace`].
pub fn mounted_namespace(stage: &mut Stage) -> Result<()> {
    let home = File::open("/proc/self/ns/net").context("cannot open the own namespace")?;
    let netns = enter_new_namespace()?;
    let port_and_leak = leak_here()?;
    let mount = NamespaceMount::new(stage.pid())?;
    setns(home, CloneFlags::CLONE_NEWNET).context("cannot go home")?;
    let (server, opened, class) = port_and_leak;
    // Ends the process that is still inside, so that only the sockets and the mount keep the namespace.
    drop(server);
    // The server's ends are closed now.
    await_state(&opened.streams, CLOSE_WAIT)?;
    stage.expect(class.state("CLOSE_WAIT").verdicts(&["close-wait"]).netns(netns));
    stage.hold()?;
    drop((opened, mount));
    Ok(())
}

fn leak_here() -> Result<(Peer, Opened, Expect)> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut server = guarded_answerer(listener, 4)?;
    let opened = Opened::many(4, || leak_in_namespace(port))?;
    server.wait()?;
    let class = Expect::connected("leaker", std::process::id(), port).function("leak_in_namespace");
    let class = opened.describe(class);
    Ok((server, opened, class))
}

fn leak_and_hold(stage: &mut Stage, netns: u64) -> Result<()> {
    let (server, opened, class) = leak_here()?;
    stage.expect(class.netns(netns).verdicts(&["idle-unguarded"]));
    stage.hold()?;
    drop((server, opened));
    Ok(())
}

/// What mounted namespaces are called, before the id of the process whose they are.
const MOUNT_NAME: &str = "scenario-";

/// A namespace under the directory that `ip netns` uses; gone on drop.
struct NamespaceMount(PathBuf);

impl NamespaceMount {
    /// The calling thread's, for that process. Those of programs that were killed go.
    fn new(pid: u32) -> Result<Self> {
        let folder = Path::new("/run/netns");
        std::fs::create_dir_all(folder).context("cannot make /run/netns")?;
        leftovers::of_the_dead(folder, MOUNT_NAME).into_iter().map(Self).for_each(drop);
        let place = folder.join(format!("{MOUNT_NAME}{pid}"));
        File::create(&place).context("cannot make the mount point")?;
        let nothing: Option<&str> = None;
        let source = Some("/proc/thread-self/ns/net");
        mount(source, &place, nothing, MsFlags::MS_BIND, nothing)
            .map_err(|error| cannot_run_here(format!("cannot mount a namespace: {error}")))?;
        Ok(Self(place))
    }
}

impl Drop for NamespaceMount {
    fn drop(&mut self) {
        // Either may be gone already.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = std::fs::remove_file(&self.0);
    }
}

/// TCP gave up on its own: in a namespace whose loopback went down, TCP_USER_TIMEOUT passes and the socket dies unclosed.
///
/// # Errors
/// See [`process_namespace`].
pub fn dead_held_timed_out(stage: &mut Stage) -> Result<()> {
    let netns = enter_new_namespace()?;
    let (server, mut opened, class) = leak_here()?;
    for stream in &mut opened.streams {
        let timeout = std::time::Duration::from_millis(300);
        socket2::SockRef::from(&*stream).set_tcp_user_timeout(Some(timeout)).context("cannot set a user timeout")?;
    }
    set_loopback(0)?;
    for stream in &mut opened.streams {
        super::net::say(stream, 1)?;
    }
    for stream in &mut opened.streams {
        // Blocks until TCP gives up.
        anyhow::ensure!(super::net::hear(stream, 1).is_err(), "an answer came through a dead network");
    }
    stage.expect(class.netns(netns).state("CLOSED").verdicts(&["dead-held"]));
    stage.hold()?;
    drop(server);
    Ok(())
}
