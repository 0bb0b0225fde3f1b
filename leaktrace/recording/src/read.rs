//! Reading a recording: samples until its end, or until it is cut off or damaged.
//!
//! The file may hold anything: nothing here panics, and memory stays within [`limits`](super::limits).

use super::{
    assemble::{Assembler, Parts, Previous, Recorded},
    block::{self, BlockKind, Damage},
    open::{self, OpenError},
    wire::{Item, Start},
};
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// The first version whose recordings have only what their filters let through.
const SIFTED_SINCE: u32 = 2;

/// How a recording ended.
#[derive(Debug)]
pub enum Ending {
    /// With the mark that nothing is missing.
    Whole,
    /// After a whole sample, but without the mark: the recorder was killed, or is still running.
    Unfinished,
    /// In the middle of a sample, or at something that cannot be read.
    Damaged(Damage),
}

/// A position in the recording that a reader can go back to.
#[derive(Clone, Debug)]
pub struct Mark {
    at: u64,
    previous: Previous,
}

impl Mark {
    /// How many rows are kept for it.
    pub fn rows(&self) -> usize {
        self.previous.rows()
    }
}

/// Reads samples.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    version: u32,
    start: Start,
    assembler: Assembler,
    ending: Option<Ending>,
    buffer: Vec<u8>,
}

/// A recording in a file.
pub type FileReader = Reader<BufReader<File>>;

impl FileReader {
    /// Opens a recording.
    ///
    /// # Errors
    /// When the file is not there, is no recording, or is of a later version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::new(BufReader::with_capacity(1 << 16, open::file(path)?), path)
    }
}

impl<R: Read> Reader<R> {
    /// Reads from `input`. Errors name it by `path`.
    ///
    /// # Errors
    /// See [`FileReader::open`].
    pub fn new(mut input: R, path: &Path) -> Result<Self, OpenError> {
        let mut buffer = Vec::new();
        let (version, start) = open::read_start(&mut input, &mut buffer, path)?;
        Ok(Self { input, version, start, assembler: Assembler::default(), ending: None, buffer })
    }

    /// Who recorded, where and how.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// Whether it has only what its filters let through. Recordings of version 1 have the whole host.
    pub fn is_sifted(&self) -> bool {
        self.version >= SIFTED_SINCE
    }

    /// How it ended; `None` while there may be more samples.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Reads the next sample; `None` at the end, which [`Self::ending`] then describes.
    pub fn next_sample(&mut self) -> Option<Recorded> {
        if self.ending.is_some() {
            return None;
        }
        match self.read_sample() {
            Ok(Ok(recorded)) => Some(recorded),
            Ok(Err(ending)) => {
                self.ending = Some(ending);
                None
            }
            Err(damage) => {
                self.ending = Some(Ending::Damaged(damage));
                None
            }
        }
    }

    fn read_sample(&mut self) -> Result<Result<Recorded, Ending>, Damage> {
        let mut parts = Parts::default();
        let mut is_first = true;
        loop {
            let Some(block) = block::read(&mut self.input, &mut self.buffer)? else {
                return if is_first { Ok(Err(Ending::Unfinished)) } else { Err(Damage::Cut) };
            };
            match block.kind {
                BlockKind::End if is_first => return Ok(Err(Ending::Whole)),
                BlockKind::Start | BlockKind::End => return Err(Damage::Nonsense("a beginning or end amidst")),
                BlockKind::Part | BlockKind::Sample => {}
            }
            is_first = false;
            let mut rest = &block.body[..];
            while !rest.is_empty() {
                let (item, after): (Item, _) = postcard::take_from_bytes(rest)
                    .map_err(|_| Damage::Nonsense("a part of a sample that cannot be decoded"))?;
                rest = after;
                self.assembler.add(&mut parts, item)?;
            }
            if block.kind == BlockKind::Sample {
                return self.assembler.finish(parts).map(Ok);
            }
        }
    }
}

impl<R: Read + Seek> Reader<R> {
    /// The current position, for [`Self::go_back`].
    ///
    /// # Errors
    /// When the input has no position.
    pub fn mark(&mut self) -> io::Result<Mark> {
        Ok(Mark { at: self.input.stream_position()?, previous: self.assembler.previous().clone() })
    }

    /// Goes back to a position. Names that came after it come again.
    ///
    /// # Errors
    /// When the input cannot be read there.
    pub fn go_back(&mut self, mark: &Mark) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(mark.at))?;
        self.assembler.go_back(&mark.previous);
        self.ending = None;
        Ok(())
    }

    /// How many whole samples follow. Reads none of them, and does not change the position.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn count(&mut self) -> io::Result<u64> {
        let here = self.input.stream_position()?;
        let end = self.input.seek(SeekFrom::End(0))?;
        self.input.seek(SeekFrom::Start(here))?;
        let mut count = 0;
        while let Ok(Some(kind)) = block::skip(&mut self.input) {
            // A seek may go beyond the end of a file that is cut off.
            if kind == BlockKind::Sample && self.input.stream_position()? <= end {
                count += 1;
            }
        }
        self.input.seek(SeekFrom::Start(here))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
