//! A netlink socket for sock_diag: sends one request and reads its answers.
//!
//! The socket stays in the network namespace in which it was opened, even if its thread enters another.

use super::message::{Answer, DiagId, Family, answers, destroy_request, list_request};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// The kernel's messages are at most this long.
const LONGEST: usize = 32 * 1024;

/// How long to wait for an answer.
static PATIENCE: libc::timeval = libc::timeval { tv_sec: 10, tv_usec: 0 };

/// A netlink socket.
pub(super) struct Link {
    socket: File,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Link {
    /// Opens one in the namespace that this thread is in.
    ///
    /// # Errors
    /// EPROTONOSUPPORT if the kernel has no sock_diag; others of socket(2).
    pub(super) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes numbers only.
        let descriptor = checked(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) })?;
        // SAFETY: the descriptor is new, and nothing else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // SAFETY: all zeros is a valid address: the kernel's.
        let mut kernel: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        kernel.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        // A connected socket receives messages from the kernel only.
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the address is valid and as long as stated.
        checked(unsafe { libc::connect(socket.as_raw_fd(), (&raw const kernel).cast(), length) })?;
        let length = size_of::<libc::timeval>() as libc::socklen_t;
        let (level, option) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO);
        let patience = (&raw const PATIENCE).cast();
        // SAFETY: the value is valid and as long as stated.
        checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, patience, length) })?;
        Ok(Self { socket: File::from(socket), sequence: 0, buffer: vec![0; LONGEST] })
    }

    /// Closes one socket.
    ///
    /// # Errors
    /// ENOENT if there is no such socket; EPERM; EOPNOTSUPP if the kernel was built without this.
    pub(super) fn destroy(&mut self, id: &DiagId) -> io::Result<()> {
        self.sequence += 1;
        self.ask(&destroy_request(id, self.sequence), |_| {})
    }

    /// Calls `see` with each socket of a family.
    ///
    /// # Errors
    /// ENOENT if the kernel has no tcp_diag.
    pub(super) fn list(&mut self, family: Family, see: impl FnMut(DiagId)) -> io::Result<()> {
        self.sequence += 1;
        self.ask(&list_request(family, self.sequence), see)
    }

    fn ask(&mut self, request: &[u8], mut see: impl FnMut(DiagId)) -> io::Result<()> {
        self.socket.write_all(request)?;
        loop {
            let length = match self.socket.read(&mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for answer in answers(&self.buffer[..length], self.sequence) {
                match answer {
                    Answer::Socket(id) => see(id),
                    Answer::End(0) => return Ok(()),
                    Answer::End(number) => return Err(io::Error::from_raw_os_error(number)),
                }
            }
        }
    }
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
