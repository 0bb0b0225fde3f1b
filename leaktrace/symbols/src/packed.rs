//! Checks that compressed sections do not become longer than their headers say.
//!
//! A library that unpacks a section allocates the size in its header, but continues until the content ends. One megabyte of
//! content can become a gigabyte.

use super::bytes::Bytes;
use super::elf::{Elf, Section};
use flate2::bufread::ZlibDecoder;
use std::io::{self, Read};

/// Whether no compressed section becomes longer than its header says. Unpacks up to that size, so first check that the sizes
/// are acceptable.
pub(crate) fn unpack_to_declared_sizes(bytes: &Bytes, elf: &Elf) -> bool {
    elf.sections.iter().all(|section| section.unpacked.is_none_or(|declared| unpacks_to(bytes, elf, section, declared)))
}

fn unpacks_to(bytes: &Bytes, elf: &Elf, section: &Section, declared: u64) -> bool {
    let header = if elf.is_64 { 24 } else { 12 };
    let (Some(at), Some(end)) = (section.offset.checked_add(header), section.offset.checked_add(section.size)) else {
        return false;
    };
    let content = io::BufReader::with_capacity(64 << 10, Part { bytes, at, end });
    // An error is fine: damaged content stops every reader at the same byte, before the limit.
    let mut unpacked = ZlibDecoder::new(content).take(declared.saturating_add(1));
    io::copy(&mut unpacked, &mut io::sink()).is_err() || unpacked.limit() > 0
}

/// A range of a file as a stream.
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
