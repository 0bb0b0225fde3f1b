//! Unpacks compressed sections, at most to the size in their headers.
//!
//! One megabyte of content can become a gigabyte, so the size is checked first, and unpacking stops there.

use super::elf::{Elf, Section};
use flate2::bufread::ZlibDecoder;
use object::elf::ELFCOMPRESS_ZLIB;
use std::io::Read;

/// The content of a section that the ELF header says is compressed. `None` when it is not zlib, longer than `limit`, damaged,
/// or not as long as its header says.
pub(crate) fn unpack(raw: &[u8], elf: &Elf, section: &Section, limit: u64) -> Option<Box<[u8]>> {
    let method = u32::from_le_bytes(*raw.first_chunk()?);
    let content = raw.get(if elf.is_64 { 24 } else { 12 }..)?;
    (method == ELFCOMPRESS_ZLIB).then(|| inflate(content, section.unpacked?, limit)).flatten()
}

/// The content of a section in the older format: its name starts with `.zdebug`, its content with `ZLIB` and the size.
pub(crate) fn unpack_old(raw: &[u8], limit: u64) -> Option<Box<[u8]>> {
    let (head, content) = raw.split_first_chunk::<12>()?;
    let size = u64::from_be_bytes(*head.last_chunk()?);
    head.starts_with(b"ZLIB").then(|| inflate(content, size, limit)).flatten()
}

fn inflate(content: &[u8], size: u64, limit: u64) -> Option<Box<[u8]>> {
    if size > limit {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    let mut unpacked = vec![0; size];
    let mut decoder = ZlibDecoder::new(content);
    decoder.read_exact(&mut unpacked).ok()?;
    // The content must end here.
    matches!(decoder.read(&mut [0]), Ok(0)).then(|| unpacked.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write;

    fn old(content: &[u8], declared: u64) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new([&b"ZLIB"[..], &declared.to_be_bytes()].concat(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_section_is_unpacked_only_to_its_declared_and_acceptable_size() {
        let content = vec![7; 1 << 20];
        assert_eq!(unpack_old(&old(&content, 1 << 20), 1 << 20).as_deref(), Some(&content[..]));
        assert_eq!(unpack_old(&old(&content, 1 << 20), (1 << 20) - 1), None, "more than the limit");
        for wrong in [0, 1, (1 << 20) - 1, (1 << 20) + 1, u64::MAX] {
            assert_eq!(unpack_old(&old(&content, wrong), 1 << 30), None, "{wrong}");
        }
    }
}
