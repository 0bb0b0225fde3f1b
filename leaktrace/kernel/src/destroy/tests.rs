//! Closing sockets. Tests that need a real kernel are skipped on kernels that cannot close sockets.

use super::{
    message::{Answer, answers, destroy_request, list_request},
    *,
};
use leaktrace_skip::{Lack, skip};
use proptest::prelude::*;
use std::{
    io::Read,
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
};
use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
};

fn cookie(raw: u64) -> NonZeroU64 {
    NonZeroU64::new(raw).unwrap_or_else(|| panic!("no cookie"))
}

fn target() -> SocketId {
    let end = |text: &str| text.parse::<SocketAddr>().unwrap_or_else(|error| panic!("{text}: {error}"));
    SocketId {
        cookie: cookie(0x0102_0304_0506_0708),
        netns: None,
        local: end("10.0.0.1:80"),
        remote: end("10.0.0.2:4000"),
    }
}

fn id(target: &SocketId) -> DiagId {
    DiagId::new(target).unwrap_or_else(|| panic!("{target:?} identifies a socket"))
}

/// The message by which the kernel shows a socket.
fn shown(id: &DiagId, sequence: u32) -> Vec<u8> {
    let request = destroy_request(id, sequence);
    let mut message = request[..16].to_vec();
    message.extend([id.family as u8, 1, 0, 0]);
    message.extend(&request[24..]);
    message.extend([0; 20]);
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&20u16.to_ne_bytes());
    message
}

fn ended(number: i32, sequence: u32) -> Vec<u8> {
    let mut message = 20u32.to_ne_bytes().to_vec();
    message.extend(2u16.to_ne_bytes());
    message.extend([0; 2]);
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]);
    message.extend((-number).to_ne_bytes());
    message
}

#[test]
fn a_request_is_laid_out_as_the_kernel_expects() {
    let message = destroy_request(&id(&target()), 7);
    assert_eq!(message.len(), 72);
    assert_eq!(message[4..6], 21u16.to_ne_bytes());
    assert_eq!(message[16..20], [2, 6, 0, 0]);
    assert_eq!(message[24..28], [0, 80, 0x0f, 0xa0]);
    assert_eq!(message[28..32], [10, 0, 0, 1]);
    assert_eq!(message[44..48], [10, 0, 0, 2]);
    assert_eq!(message[64..68], 0x0506_0708u32.to_ne_bytes());
    assert_eq!(message[68..72], 0x0102_0304u32.to_ne_bytes());
    assert_eq!(list_request(Family::V6, 1).len(), 72);
}

#[test]
fn what_is_sent_is_read_back() {
    for ends in [("10.0.0.1:80", "10.0.0.2:4000"), ("[2001:db8::1]:80", "[2001:db8::2]:4000")] {
        let end = |text: &str| text.parse::<SocketAddr>().unwrap_or_else(|error| panic!("{text}: {error}"));
        let id = id(&SocketId { local: end(ends.0), remote: end(ends.1), ..target() });
        let mut bytes = shown(&id, 3);
        bytes.extend(ended(libc::EPERM, 3));
        let read: Vec<Answer> = answers(&bytes, 3).collect();
        assert_eq!(read, [Answer::Socket(id), Answer::End(libc::EPERM)]);
        assert_eq!(id.ends(), (end(ends.0), end(ends.1)));
    }
}

#[test]
fn answers_to_other_requests_are_passed_over() {
    assert_eq!(answers(&ended(0, 3), 4).count(), 0);
}

#[test]
fn a_wildcard_cookie_is_never_sent() {
    let wildcard = SocketId { cookie: NonZeroU64::MAX, ..target() };
    assert_eq!(DiagId::new(&wildcard), None);
    assert!(matches!(destroy(&[wildcard])[..], [Outcome::Failed(_)]));
}

#[test]
fn a_mapped_address_is_looked_up_as_ipv4() {
    let mapped = |text: &str| text.parse::<SocketAddr>().unwrap_or_else(|error| panic!("{text}: {error}"));
    let (local, remote) = (mapped("[::ffff:10.0.0.1]:80"), mapped("[::ffff:10.0.0.2]:4000"));
    assert_eq!(id(&SocketId { local, remote, ..target() }), id(&target()));
}

proptest! {
    #[test]
    fn hostile_answers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), sequence in 0u32..3) {
        answers(&bytes, sequence).for_each(drop);
    }

    #[test]
    fn damaged_answers_never_panic(at in 0usize..112, byte in any::<u8>(), cut in 0usize..113) {
        let mut bytes = shown(&id(&target()), 1);
        bytes.extend(ended(1, 1));
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(cut);
        answers(&bytes, 1).for_each(drop);
    }
}

/// Both ends of a connection over an address of this host.
fn connection(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((address, 0)).unwrap_or_else(|error| panic!("{address}: {error}"));
    let port = listener.local_addr().map(|end| end.port()).unwrap_or_default();
    let peer = if address == "::" { "127.0.0.1" } else { address };
    let client = TcpStream::connect((peer, port)).unwrap_or_else(|error| panic!("{peer}: {error}"));
    let (server, _) = listener.accept().unwrap_or_else(|error| panic!("{peer}: {error}"));
    (client, server)
}

fn target_of(stream: &TcpStream) -> SocketId {
    let mut cookie = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_COOKIE);
    // SAFETY: the place for the result is valid and as long as stated.
    unsafe { libc::getsockopt(stream.as_raw_fd(), level, option, (&raw mut cookie).cast(), &raw mut length) };
    let ends = stream.local_addr().and_then(|local| Ok((local, stream.peer_addr()?)));
    let (local, remote) = ends.unwrap_or_else(|error| panic!("a connection has two ends: {error}"));
    SocketId { cookie: self::cookie(cookie), netns: None, local, remote }
}

/// Closes a socket if this kernel and these privileges allow it.
fn destroyed(target: SocketId) -> Option<Outcome> {
    let outcome = destroy(&[target]).remove(0);
    let reason = outcome.to_string();
    match outcome {
        Outcome::NotPermitted => skip(Lack::Privilege(&reason)),
        Outcome::Unsupported => skip(Lack::Kernel(&reason, "tcp_diag_destroy")),
        Outcome::NoDiagnostics => skip(Lack::Kernel(&reason, "tcp_diag_dump")),
        outcome => return Some(outcome),
    }
    None
}

fn error_of(mut stream: &TcpStream) -> Option<i32> {
    stream.read(&mut [0]).err().and_then(|error| error.raw_os_error())
}

#[test]
fn a_real_socket_is_closed_once() {
    for address in ["127.0.0.1", "::1", "::"] {
        let (client, server) = connection(address);
        // A socket of AF_INET6 that speaks IPv4 has mapped addresses.
        let target = target_of(&server);
        let Some(outcome) = destroyed(target) else { return };
        assert_eq!(outcome, Outcome::Closed, "{address}");
        assert_eq!(error_of(&server), Some(libc::ECONNABORTED));
        assert_eq!(error_of(&client), Some(libc::ECONNRESET));
        assert_eq!(destroyed(target), Some(Outcome::Gone));
    }
}

#[test]
fn a_socket_with_another_cookie_is_left_alone() {
    let (client, server) = connection("127.0.0.1");
    let target = target_of(&client);
    let Some(outcome) = destroyed(SocketId { cookie: cookie(target.cookie.get() ^ 1 << 40), ..target }) else { return };
    assert_eq!(outcome, Outcome::Reused);
    drop(server);
    // The peer's orderly end, not an abort.
    assert_eq!(error_of(&client), None);
}

#[test]
fn a_socket_bound_to_an_interface_is_closed() {
    let (client, _server) = connection("127.0.0.1");
    let name = c"lo";
    let (level, option) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
    // SAFETY: the name is valid and as long as stated.
    let bound = unsafe { libc::setsockopt(client.as_raw_fd(), level, option, name.as_ptr().cast(), 3) };
    if bound != 0 {
        return skip(Lack::Privilege("no permission to bind to an interface"));
    }
    let Some(outcome) = destroyed(target_of(&client)) else { return };
    assert_eq!(outcome, Outcome::Closed);
}

#[test]
fn a_namespace_that_is_gone_has_taken_its_sockets_along() {
    assert_eq!(destroy(&[SocketId { netns: NonZeroU32::new(1), ..target() }]), [Outcome::Gone]);
}

/// Runs something in a new network namespace whose loopback is up, on a thread that ends with it. Says SKIP where that is
/// not permitted.
fn in_new_namespace(work: impl FnOnce(u64) + Send) {
    let inside = || {
        // SAFETY: the call changes this thread only.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(Lack::Privilege("no permission for a network namespace"));
        }
        // A child has the namespaces of the thread that starts it.
        let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.map_err(|_| Lack::Program("ip"))?.success(), "ip(8) does not bring the loopback up");
        let inode = Path::new("/proc/thread-self/ns/net").metadata().map(|data| data.ino());
        work(inode.unwrap_or_else(|error| panic!("{error}")));
        Ok(())
    };
    let outcome = thread::scope(|scope| scope.spawn(inside).join());
    let outcome = outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    if let Err(lack) = outcome {
        skip(lack);
    }
}

#[test]
fn in_another_namespace_exactly_the_socket_that_was_meant_is_closed() {
    in_new_namespace(|inode| {
        let (client, server) = connection("127.0.0.1");
        let (bystander, _its_peer) = connection("127.0.0.1");
        let target = SocketId { netns: u32::try_from(inode).ok().and_then(NonZeroU32::new), ..target_of(&client) };
        // A socket that has its addresses after it.
        let later = SocketId { cookie: cookie(target.cookie.get() ^ 1 << 40), ..target };
        let Some(outcome) = from_home(later) else { return };
        assert_eq!(outcome, Outcome::Reused);
        assert_eq!((from_home(target), from_home(target)), (Some(Outcome::Closed), Some(Outcome::Gone)));
        assert_eq!(error_of(&client), Some(libc::ECONNABORTED));
        assert_eq!(error_of(&server), Some(libc::ECONNRESET));
        bystander.set_nonblocking(true).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(error_of(&bystander), Some(libc::EAGAIN), "somebody else's socket");
    });
}

/// [`destroyed`] on a thread in the namespace that this process started in.
fn from_home(target: SocketId) -> Option<Outcome> {
    let there = || {
        let home = File::open("/proc/self/ns/net").unwrap_or_else(|error| panic!("{error}"));
        enter(&home).unwrap_or_else(|error| panic!("{error}"));
        destroyed(target)
    };
    let outcome = thread::scope(|scope| scope.spawn(there).join());
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
