//! Loading and running the programs of passes, and decoding the rows that iterators write.

use super::map_entries;
use crate::error::{StartError, chain};
use aya::{
    Btf, Ebpf,
    programs::{Iter, Program, ProgramError, RawTracePoint},
};
use bytes::{Buf, Bytes, BytesMut};
use leaktrace_common::{HolderRow, PauseRow, ProcessRow, SocketRow, row_kind};
use std::{
    fs::File,
    io,
    io::Read,
    os::fd::{AsFd as _, OwnedFd},
    thread,
};
use zerocopy::FromBytes;

/// One read of an iterator returns at most this many bytes.
const CHUNK: usize = 32 << 10;

/// Rows that iterators have written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Sockets.
    pub sockets: Vec<SocketRow>,
    /// Descriptors that refer to them.
    pub holders: Vec<HolderRow>,
    /// Processes that hold sockets.
    pub processes: Vec<ProcessRow>,
    /// Reads that could not be decoded to their end.
    pub damaged: u64,
}

impl Rows {
    /// Decodes the bytes of one read: whole rows, each starting with its kind.
    pub(crate) fn decode(&mut self, mut bytes: Bytes) {
        while bytes.has_remaining() {
            let decoded = match bytes.first_chunk().map(|kind| u32::from_ne_bytes(*kind)) {
                Some(row_kind::SOCKET) => take(&mut bytes, &mut self.sockets),
                Some(row_kind::HOLDER) => take(&mut bytes, &mut self.holders),
                Some(row_kind::PROCESS) => take(&mut bytes, &mut self.processes),
                Some(row_kind::PAUSE) => take::<PauseRow>(&mut bytes, &mut Vec::new()),
                _ => false,
            };
            if !decoded {
                self.damaged += 1;
                return;
            }
        }
    }
}

fn take<T: FromBytes>(bytes: &mut Bytes, into: &mut Vec<T>) -> bool {
    let Some(Ok(row)) = bytes.get(..size_of::<T>()).map(T::read_from_bytes) else {
        return false;
    };
    into.push(row);
    bytes.advance(size_of::<T>());
    true
}

/// How a program is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load<'a> {
    /// As an iterator over this kind of object.
    Over(&'a str),
    /// As a program that the kernel runs on request.
    OnRequest,
}

/// Loads programs, all at the same time: the kernel takes tens of milliseconds to verify one, on the processor that loads it.
pub(crate) fn load(ebpf: &mut Ebpf, btf: &Btf, wanted: &[(&str, Load<'_>)]) -> Result<(), StartError> {
    let load_of = |name: &str| wanted.iter().find(|(program, _)| *program == name).map(|(_, load)| *load);
    let programs = ebpf.programs_mut().filter_map(|(name, program)| Some((load_of(name)?, program)));
    let loaded = thread::scope(|scope| {
        let loading: Vec<_> =
            programs.map(|(load, program)| scope.spawn(move || load_one(program, load, btf))).collect();
        loading
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(StartError::internal(&"a thread ended"))))
            .collect::<Vec<_>>()
    });
    if loaded.len() < wanted.len() {
        return Err(StartError::internal(&"a program is missing"));
    }
    loaded.into_iter().collect()
}

fn load_one(program: &mut Program, load: Load<'_>, btf: &Btf) -> Result<(), StartError> {
    let outcome = match load {
        Load::Over(target) => as_iter(program)?.load(target, btf),
        Load::OnRequest => as_raw_tracepoint(program)?.load(),
    };
    outcome.map_err(|error| StartError::load(&error))
}

/// Loads an iterator. Returns the kernel's error if it forbids such iterators (EPERM). A program that the verifier refuses is an error
/// instead (EACCES, among others).
pub(crate) fn load_unless_forbidden(
    ebpf: &mut Ebpf,
    btf: &Btf,
    name: &str,
    target: &str,
) -> Result<Option<io::Error>, StartError> {
    match iter_program(ebpf, name)?.load(target, btf) {
        Ok(()) => Ok(None),
        Err(ProgramError::LoadError { io_error, .. }) if io_error.raw_os_error() == Some(libc::EPERM) => {
            Ok(Some(io_error))
        }
        Err(error) => Err(StartError::load(&error)),
    }
}

/// A program that is run on request.
pub(crate) fn on_request<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut RawTracePoint, StartError> {
    as_raw_tracepoint(program(ebpf, name)?)
}

fn as_raw_tracepoint(program: &mut Program) -> Result<&mut RawTracePoint, StartError> {
    program.try_into().map_err(|error: ProgramError| StartError::internal(&chain(&error)))
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, StartError> {
    ebpf.program_mut(name).ok_or_else(|| StartError::internal(&format!("no program {name}")))
}

fn iter_program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Iter, StartError> {
    as_iter(program(ebpf, name)?)
}

fn as_iter(program: &mut Program) -> Result<&mut Iter, StartError> {
    program.try_into().map_err(|error: ProgramError| StartError::internal(&chain(&error)))
}

/// Starts an iterator in the network namespace of the calling thread.
fn open(ebpf: &mut Ebpf, name: &str) -> Result<File, StartError> {
    let program = iter_program(ebpf, name)?;
    let sample = |error: &dyn std::error::Error| StartError::Sample { reason: chain(error) };
    let link = program.attach().map_err(|error| sample(&error))?;
    let link = program.take_link(link).map_err(|error| sample(&error))?;
    link.into_file().map_err(|error| sample(&error))
}

/// Runs an iterator to its end and decodes its rows.
pub(crate) fn run(ebpf: &mut Ebpf, program: &str, buffer: &mut BytesMut, rows: &mut Rows) -> Result<(), StartError> {
    let file = open(ebpf, program)?;
    read_rows(file, buffer, rows).map_err(|error| StartError::Sample { reason: error.to_string() })
}

/// A hash map of the loaded object.
pub(crate) fn hash_map(ebpf: &Ebpf, name: &str) -> Result<OwnedFd, StartError> {
    match ebpf.map(name) {
        Some(aya::maps::Map::HashMap(data)) => {
            data.fd().as_fd().try_clone_to_owned().map_err(|error| StartError::Sample { reason: error.to_string() })
        }
        _ => Err(StartError::internal(&format!("no hash map {name}"))),
    }
}

/// Runs an iterator over the entries of a map to its end and decodes its rows.
pub(crate) fn run_over_map(
    ebpf: &mut Ebpf,
    program: &str,
    map: &OwnedFd,
    buffer: &mut BytesMut,
    rows: &mut Rows,
) -> Result<(), StartError> {
    let sample = |error: &dyn std::error::Error| StartError::Sample { reason: chain(error) };
    let program = iter_program(ebpf, program)?.fd().map_err(|error| sample(&error))?.as_fd();
    let file = map_entries::iterate(program, map.as_fd()).map_err(|error| sample(&error))?;
    read_rows(file, buffer, rows).map_err(|error| sample(&error))
}

/// Reads rows to the end. An iterator gives whole rows only, so each read is decoded by itself.
fn read_rows(mut file: impl Read, buffer: &mut BytesMut, rows: &mut Rows) -> io::Result<()> {
    loop {
        buffer.resize(CHUNK, 0);
        let len = match file.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            // The kernel returns EAGAIN if it has visited many empty buckets.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error),
        };
        rows.decode(buffer.split_to(len).freeze());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    fn sample() -> Vec<u8> {
        let mut bytes = SocketRow { kind: row_kind::SOCKET, cookie: 7, ..SocketRow::default() }.as_bytes().to_vec();
        bytes.extend(HolderRow { kind: row_kind::HOLDER, tgid: 3, ..HolderRow::default() }.as_bytes());
        bytes.extend(ProcessRow { kind: row_kind::PROCESS, fds: 9, ..ProcessRow::default() }.as_bytes());
        bytes
    }

    #[test]
    fn rows_of_every_kind_are_decoded_in_order() {
        let mut rows = Rows::default();
        rows.decode(sample().into());
        assert_eq!((rows.sockets[0].cookie, rows.holders[0].tgid, rows.processes[0].fds, rows.damaged), (7, 3, 9, 0));
    }

    #[test]
    fn bytes_cut_anywhere_or_of_unknown_kind_are_counted_as_damaged() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            let mut rows = Rows::default();
            rows.decode(Bytes::copy_from_slice(&bytes[..cut]));
            let whole = rows.sockets.len() * size_of::<SocketRow>() + rows.holders.len() * size_of::<HolderRow>();
            assert_eq!(rows.damaged == 0, whole == cut, "cut at {cut}");
        }
        let mut rows = Rows::default();
        rows.decode(Bytes::from(vec![0xff; 64]));
        assert_eq!(rows.damaged, 1);
    }
}
