//! The outermost layer of a recording: a header, then blocks, each with its checksum and compressed by itself.
//!
//! Knows nothing of what blocks hold. No block takes more memory than [`MOST_UNPACKED`], whatever the file says.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use std::io::{self, Read, Write};

/// First bytes of every recording. They are not text, and a transfer that converts text damages them.
pub(crate) const MAGIC: [u8; 8] = *b"\x8fLTREC\r\n";

/// Version that is written. This one and all earlier ones are read.
pub const VERSION: u32 = 2;

/// Length of the file's header: magic, version, checksum.
pub(crate) const HEADER_BYTES: usize = 16;

/// Length of a block's header: kind, two lengths, checksum.
const BLOCK_HEADER_BYTES: usize = 13;

/// Longest content of a block, in bytes.
pub(crate) const MOST_UNPACKED: usize = 2 << 20;

/// Longest content of a block in the file: what cannot be compressed grows a little.
const MOST_PACKED: usize = MOST_UNPACKED + MOST_UNPACKED / 64;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Who recorded, where, how.
    Start,
    /// A part of a sample that is not its last.
    Part,
    /// The last part of a sample.
    Sample,
    /// Nothing. It marks the end of a whole recording.
    End,
}

impl BlockKind {
    const fn raw(self) -> u8 {
        match self {
            Self::Start => 1,
            Self::Part => 2,
            Self::Sample => 3,
            Self::End => 4,
        }
    }

    const fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            1 => Self::Start,
            2 => Self::Part,
            3 => Self::Sample,
            4 => Self::End,
            _ => return None,
        })
    }
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// What it holds.
    pub(crate) kind: BlockKind,
    /// Its content, decompressed.
    pub(crate) body: Bytes,
}

/// Why the rest of a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The file ends within a block.
    #[error("it is cut off within a sample")]
    Cut,
    /// A checksum is wrong.
    #[error("its content was changed: a checksum does not fit")]
    Checksum,
    /// The file holds something that no recorder writes.
    #[error("it holds what no recorder writes: {0}")]
    Nonsense(&'static str),
    /// The system call failed.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The header of a recording of this version.
pub(crate) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut rest = &mut header[..];
    rest.put_slice(&MAGIC);
    rest.put_u32_le(VERSION);
    let sum = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Appends a block to `out`.
///
/// # Errors
/// When `body` is longer than [`MOST_UNPACKED`].
pub(crate) fn append(out: &mut BytesMut, kind: BlockKind, body: &[u8]) -> Result<(), Damage> {
    if body.len() > MOST_UNPACKED {
        return Err(Damage::Nonsense("a frame that is too long"));
    }
    let mut packer = DeflateEncoder::new(Vec::with_capacity(body.len() / 4 + 64), Compression::default());
    packer.write_all(body)?;
    let packed = packer.finish()?;
    let start = out.len();
    out.put_u8(kind.raw());
    // Both are below the limits above.
    out.put_u32_le(packed.len() as u32);
    out.put_u32_le(body.len() as u32);
    let sum = checksum(&out[start..], &packed);
    out.put_u32_le(sum);
    out.put_slice(&packed);
    Ok(())
}

fn checksum(head: &[u8], packed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(packed);
    hasher.finalize()
}

/// The header of a block.
struct BlockHeader {
    kind: BlockKind,
    packed: usize,
    unpacked: usize,
    sum: u32,
    summed: [u8; 9],
}

impl BlockHeader {
    /// `None` where the file ends.
    fn read(input: &mut impl Read) -> Result<Option<Self>, Damage> {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        match fill(input, &mut bytes)? {
            0 => return Ok(None),
            BLOCK_HEADER_BYTES => {}
            _ => return Err(Damage::Cut),
        }
        let mut rest = &bytes[..];
        let raw = rest.get_u8();
        let (packed, unpacked, sum) = (rest.get_u32_le() as usize, rest.get_u32_le() as usize, rest.get_u32_le());
        let kind = BlockKind::from_raw(raw).ok_or(Damage::Nonsense("a frame of unknown kind"))?;
        if packed > MOST_PACKED || unpacked > MOST_UNPACKED {
            return Err(Damage::Nonsense("a frame that is too long"));
        }
        let mut summed = [0; 9];
        summed.copy_from_slice(&bytes[..9]);
        Ok(Some(Self { kind, packed, unpacked, sum, summed }))
    }
}

/// Reads one block; `None` at the end of the file. `buffer` is scratch space, kept by the caller so that it is allocated once.
///
/// # Errors
/// When the file is cut off, was changed, or cannot be read.
pub(crate) fn read(input: &mut impl Read, buffer: &mut Vec<u8>) -> Result<Option<Block>, Damage> {
    let Some(head) = BlockHeader::read(input)? else { return Ok(None) };
    buffer.clear();
    input.take(head.packed as u64).read_to_end(buffer)?;
    if buffer.len() < head.packed {
        return Err(Damage::Cut);
    }
    if checksum(&head.summed, buffer) != head.sum {
        return Err(Damage::Checksum);
    }
    let mut body = Vec::with_capacity(head.unpacked);
    let unpacked = DeflateDecoder::new(&buffer[..]).take(head.unpacked as u64 + 1).read_to_end(&mut body);
    if unpacked.is_err() || body.len() != head.unpacked {
        return Err(Damage::Nonsense("a frame that cannot be decompressed"));
    }
    Ok(Some(Block { kind: head.kind, body: body.into() }))
}

/// Skips one block without reading its content; `None` at the end of the file.
///
/// # Errors
/// As for [`read`], except that the content is not checked.
pub(crate) fn skip(input: &mut (impl Read + io::Seek)) -> Result<Option<BlockKind>, Damage> {
    let Some(head) = BlockHeader::read(input)? else { return Ok(None) };
    input.seek_relative(head.packed as i64)?;
    Ok(Some(head.kind))
}

/// Reads until `bytes` is full or the input ends. Returns how many bytes were read.
pub(crate) fn fill(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match input.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_as_it_was() {
        let mut out = BytesMut::new();
        append(&mut out, BlockKind::Part, b"some some some").unwrap();
        append(&mut out, BlockKind::End, b"").unwrap();
        let (mut input, mut buffer) = (&out[..], Vec::new());
        let block = read(&mut input, &mut buffer).unwrap().unwrap();
        assert_eq!((block.kind, &block.body[..]), (BlockKind::Part, &b"some some some"[..]));
        assert_eq!(read(&mut input, &mut buffer).unwrap().map(|block| block.kind), Some(BlockKind::End));
        assert_eq!(read(&mut input, &mut buffer).unwrap(), None);
    }

    #[test]
    fn a_block_that_unpacks_to_more_than_it_says_is_refused() {
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&vec![0; 64 << 20]).unwrap();
        let packed = packer.finish().unwrap();
        let mut out = BytesMut::new();
        out.put_u8(2);
        out.put_u32_le(packed.len() as u32);
        out.put_u32_le(10);
        let sum = checksum(&out, &packed);
        out.put_u32_le(sum);
        out.put_slice(&packed);
        assert!(matches!(read(&mut &out[..], &mut Vec::new()), Err(Damage::Nonsense(_))));
    }

    #[test]
    fn lengths_beyond_the_limit_are_refused_before_anything_is_read() {
        let mut out = BytesMut::new();
        out.put_u8(2);
        out.put_u32_le(u32::MAX);
        out.put_u32_le(u32::MAX);
        out.put_u32_le(0);
        assert!(matches!(read(&mut &out[..], &mut Vec::new()), Err(Damage::Nonsense(_))));
    }
}
