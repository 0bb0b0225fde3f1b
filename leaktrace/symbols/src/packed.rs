//! Whether compressed sections hold what they say they hold: a megabyte can become a gigabyte.
//!
//! Whoever unpacks a section allocates by its header, and then goes on until the content ends.

use super::bytes::Bytes;
use super::elf::{Elf, Section};
use flate2::bufread::ZlibDecoder;
use std::io::{self, Read};

/// Whether no compressed section becomes longer than its header says. Unpacks them, so ask only when what they say can be
/// borne.
pub(crate) fn keep_to_what_they_say(bytes: &Bytes, elf: &Elf) -> bool {
    elf.sections.iter().all(|section| section.unpacked.is_none_or(|said| keeps(bytes, elf, section, said)))
}

fn keeps(bytes: &Bytes, elf: &Elf, section: &Section, said: u64) -> bool {
    let header = if elf.is_64 { 24 } else { 12 };
    let (Some(at), Some(end)) = (section.offset.checked_add(header), section.offset.checked_add(section.size)) else {
        return false;
    };
    let content = io::BufReader::with_capacity(64 << 10, Part { bytes, at, end });
    // Damaged content ends where the damage is, and so does its unpacking elsewhere.
    let mut unpacked = ZlibDecoder::new(content).take(said.saturating_add(1));
    io::copy(&mut unpacked, &mut io::sink()).is_err() || unpacked.limit() > 0
}

/// A part of a file as a stream.
struct Part<'a> {
    bytes: &'a Bytes,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        self.bytes.read(self.at, &mut buffer[..len]).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at += len as u64;
        Ok(len)
    }
}
