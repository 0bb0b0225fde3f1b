//! Messages between leaktrace's processes: a length of four bytes, then a value in postcard's format, over a socket pair.

use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

/// Longest message in bytes. The largest ones carry the copied stacks of a process's new call sites.
const LONGEST: usize = 64 << 20;

/// Bytes of a message's length.
const HEAD: usize = 4;

/// One end of a line.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Channel {
    /// A line: this process's end, and the one to hand to another process.
    ///
    /// # Errors
    /// Those of `socketpair(2)`.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (own, other) = UnixStream::pair()?;
        Ok((Self { stream: own, buffer: Vec::new() }, other.into()))
    }

    /// The end that this descriptor is.
    pub(crate) fn of(descriptor: OwnedFd) -> Self {
        Self { stream: descriptor.into(), buffer: Vec::new() }
    }

    /// The descriptor alone, to hand to another process.
    pub(crate) fn into_descriptor(self) -> OwnedFd {
        self.stream.into()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// `TimedOut` after the deadline, `InvalidInput` for a message that is too long, and those of `write(2)`.
    pub(crate) fn send(&mut self, message: &impl Serialize, deadline: Option<Instant>) -> io::Result<()> {
        self.send_with_file(message, None, deadline)
    }

    /// Sends a message with an open file.
    ///
    /// # Errors
    /// Those of [`Self::send`].
    pub(crate) fn send_with_file(
        &mut self,
        message: &impl Serialize,
        file: Option<&File>,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; HEAD]);
        let message = postcard::to_extend(message, std::mem::take(&mut self.buffer));
        self.buffer = message.map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let len = self.buffer.len() - HEAD;
        let head = u32::try_from(len).ok().filter(|_| len <= LONGEST).ok_or(ErrorKind::InvalidInput)?;
        self.buffer[..HEAD].copy_from_slice(&head.to_le_bytes());
        let mut sent = 0;
        while sent < self.buffer.len() {
            self.limit(deadline)?;
            let rest = &self.buffer[sent..];
            // A file travels with the first byte.
            let count = match file.filter(|_| sent == 0) {
                Some(file) => send_file(&self.stream, rest, file),
                None => self.stream.write(rest),
            };
            match count {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) => again(error)?,
            }
        }
        Ok(())
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// `TimedOut` after the deadline, `UnexpectedEof` when the other end is gone, `InvalidData` for what is no message of this type.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self, deadline: Option<Instant>) -> io::Result<T> {
        let mut head = [0; HEAD];
        self.fill(&mut head, deadline)?;
        self.receive_rest(head, deadline)
    }

    /// Waits for a message that may come with an open file.
    ///
    /// # Errors
    /// Those of [`Self::receive`].
    pub(crate) fn receive_with_file<T: DeserializeOwned>(
        &mut self,
        deadline: Option<Instant>,
    ) -> io::Result<(T, Option<File>)> {
        let mut head = [0; HEAD];
        self.limit(deadline)?;
        let (count, file) = receive_file(&self.stream, &mut head)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.fill(&mut head[count..], deadline)?;
        Ok((self.receive_rest(head, deadline)?, file))
    }

    fn receive_rest<T: DeserializeOwned>(&mut self, head: [u8; HEAD], deadline: Option<Instant>) -> io::Result<T> {
        let len = u32::from_le_bytes(head) as usize;
        if len > LONGEST {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut message = std::mem::take(&mut self.buffer);
        message.resize(len, 0);
        let filled = self.fill(&mut message, deadline);
        self.buffer = message;
        filled?;
        let message = postcard::from_bytes(&self.buffer).map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
        // What a rare long message took is given back.
        self.buffer.clear();
        self.buffer.shrink_to(1 << 20);
        message
    }

    /// Has reads and writes end at the deadline. The namer waits for ever, and may make no such call.
    fn limit(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let left = time_left(deadline)?;
        if left.is_some() {
            self.stream.set_read_timeout(left)?;
            self.stream.set_write_timeout(left)?;
        }
        Ok(())
    }

    fn fill(&mut self, mut buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<()> {
        while !buffer.is_empty() {
            self.limit(deadline)?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) => again(error)?,
            }
        }
        Ok(())
    }
}

/// Sends bytes and a descriptor (`SCM_RIGHTS`, unix(7)).
fn send_file(stream: &UnixStream, bytes: &[u8], file: &File) -> io::Result<usize> {
    let descriptors = [file.as_raw_fd()];
    let with = [ControlMessage::ScmRights(&descriptors)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    Ok(sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(bytes)], &with, flags, None)?)
}

/// Receives bytes, and the descriptor that came with them.
fn receive_file(stream: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Option<File>)> {
    let mut space = nix::cmsg_space!(RawFd);
    let mut parts = [IoSliceMut::new(bytes)];
    let message = loop {
        match recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            message => break message?,
        }
    };
    let mut file = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control {
            for descriptor in descriptors {
                // SAFETY: the kernel has just made this descriptor for this process, and nothing else owns it.
                file = Some(unsafe { File::from_raw_fd(descriptor) });
            }
        }
    }
    Ok((message.bytes, file))
}

/// The time until a deadline, as sockets take it: not zero, which would mean for ever.
fn time_left(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let Some(deadline) = deadline else { return Ok(None) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left.max(Duration::from_millis(1)))) }
}

/// Whether the call is to be made again: after a signal, or to see whether the deadline has passed.
fn again(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> (Channel, Channel) {
        let (own, other) = Channel::pair().unwrap();
        (own, Channel::of(other))
    }

    #[test]
    fn what_is_sent_arrives() {
        let (mut here, mut there) = line();
        let long = vec![7_u64; 300_000];
        let sender = std::thread::spawn(move || {
            here.send(&("a", 1_u8), None).unwrap();
            here.send(&long, None).unwrap();
            long
        });
        assert_eq!(there.receive::<(String, u8)>(None).unwrap(), ("a".to_owned(), 1));
        let long = there.receive::<Vec<u64>>(None).unwrap();
        assert_eq!(long, sender.join().unwrap());
    }

    #[test]
    fn a_file_arrives_with_its_message() {
        let (mut here, mut there) = line();
        let file = File::open("/proc/self/exe").unwrap();
        here.send_with_file(&1_u8, Some(&file), None).unwrap();
        here.send_with_file(&2_u8, None, None).unwrap();
        let (number, sent) = there.receive_with_file::<u8>(None).unwrap();
        let inode = |file: &File| std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
        assert_eq!((number, inode(&sent.unwrap())), (1, inode(&file)));
        let (number, sent) = there.receive_with_file::<u8>(None).unwrap();
        assert_eq!((number, sent.is_some()), (2, false));
    }

    #[test]
    fn an_end_that_is_silent_or_gone_is_noticed() {
        let (mut here, there) = line();
        let soon = Instant::now() + Duration::from_millis(50);
        assert_eq!(here.receive::<u8>(Some(soon)).unwrap_err().kind(), ErrorKind::TimedOut);
        // The other end reads nothing: the socket's buffer is full at some time.
        let soon = Instant::now() + Duration::from_millis(50);
        assert_eq!(here.send(&vec![1_u8; 8 << 20], Some(soon)).unwrap_err().kind(), ErrorKind::TimedOut);
        drop(there);
        assert_eq!(here.receive::<u8>(None).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let (mut here, mut there) = line();
        here.stream.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(there.receive::<u8>(None).unwrap_err().kind(), ErrorKind::InvalidData);
        let (mut here, mut there) = line();
        here.stream.write_all(&[2, 0, 0, 0, 0xff, 0xff]).unwrap();
        assert_eq!(there.receive::<String>(None).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
