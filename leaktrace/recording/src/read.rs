//! Reading a recording: samples until its end, or until it is cut off or damaged.
//!
//! Whatever the file says, nothing here panics, and memory stays within [`limits`](super::limits).

use super::{
    assemble::{Before, Parts, Recorded, Told},
    frame::{self, Damage, FrameKind},
    open::{self, OpenError},
    wire::{Item, Start},
};
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// How a recording ended.
#[derive(Debug)]
pub enum Ending {
    /// As the recorder meant it to.
    Whole,
    /// Behind a whole sample, but without the last mark: the recorder was killed, or is still at work.
    Unfinished,
    /// Something is wrong with what follows.
    Damaged(Damage),
}

/// A place of the recording that a reader can go back to.
#[derive(Clone, Debug)]
pub struct Mark {
    at: u64,
    before: Before,
}

impl Mark {
    /// How many rows it holds.
    pub fn rows(&self) -> usize {
        self.before.rows()
    }
}

/// Reads samples.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    start: Start,
    told: Told,
    pub(super) ending: Option<Ending>,
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
    /// Reads from `input`, which errors call `path`.
    ///
    /// # Errors
    /// See [`FileReader::open`].
    pub fn new(mut input: R, path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let mut buffer = Vec::new();
        let start = open::read_start(&mut input, &mut buffer, path.as_ref())?;
        Ok(Self { input, start, told: Told::default(), ending: None, buffer })
    }

    /// Who recorded, where, how.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// How it ended; `None` while there may be more.
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
            let Some(frame) = frame::read(&mut self.input, &mut self.buffer)? else {
                return if is_first { Ok(Err(Ending::Unfinished)) } else { Err(Damage::Cut) };
            };
            match frame.kind {
                FrameKind::End if is_first => return Ok(Err(Ending::Whole)),
                FrameKind::Start | FrameKind::End => return Err(Damage::Nonsense("a beginning or end amidst")),
                FrameKind::Part | FrameKind::Sample => {}
            }
            is_first = false;
            let mut rest = &frame.body[..];
            while !rest.is_empty() {
                let (item, behind): (Item, _) = postcard::take_from_bytes(rest)
                    .map_err(|_| Damage::Nonsense("a part of a sample that cannot be decoded"))?;
                rest = behind;
                self.told.take(&mut parts, item)?;
            }
            if frame.kind == FrameKind::Sample {
                return self.told.finish(parts).map(Ok);
            }
        }
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Where it is now, to come back to.
    ///
    /// # Errors
    /// When the input has no such thing.
    pub fn mark(&mut self) -> io::Result<Mark> {
        Ok(Mark { at: self.input.stream_position()?, before: self.told.before().clone() })
    }

    /// Goes back to where it was. Names that were learned since come again.
    ///
    /// # Errors
    /// When the input cannot be read there.
    pub fn go_back(&mut self, mark: &Mark) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(mark.at))?;
        self.told.go_back(&mark.before);
        self.ending = None;
        Ok(())
    }

    /// How many samples follow, as far as the file is whole. Reads no sample and stays where it is.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn count(&mut self) -> io::Result<u64> {
        let here = self.input.stream_position()?;
        let end = self.input.seek(SeekFrom::End(0))?;
        self.input.seek(SeekFrom::Start(here))?;
        let mut count = 0;
        while let Ok(Some(kind)) = frame::skip(&mut self.input) {
            // A seek leads behind the end of a file that is cut off.
            if kind == FrameKind::Sample && self.input.stream_position()? <= end {
                count += 1;
            }
        }
        self.input.seek(SeekFrom::Start(here))?;
        Ok(count)
    }
}
