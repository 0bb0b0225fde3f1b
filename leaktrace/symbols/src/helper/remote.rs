//! Fetching through the fetcher process: the namer's half of the line between them, and the fetcher's.

use super::channel::Channel;
use crate::{
    fetch::{Direct, Fetch, Fetched, Wanted},
    work,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    process,
    sync::{Mutex, PoisonError},
};

/// From the namer to the fetcher.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Process(u32),
    Release(u64),
    Open(Wanted),
    Memory { handle: u64, address: u64, len: u64 },
}

/// From the fetcher to the namer. [`Ask::Release`] has no answer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The process, or the number of the error.
    Process(Result<Fetched, i32>),
    /// Whether the file comes with this message.
    Open(bool),
    Memory(Option<Vec<u8>>),
}

/// Fetches through the fetcher process.
#[derive(Debug)]
pub(crate) struct Remote(Mutex<Channel>);

impl Remote {
    /// Over this line.
    pub(crate) fn new(line: Channel) -> Self {
        Self(Mutex::new(line))
    }

    /// Asks and waits. Without its fetcher this process is of no use: the tracer starts both anew.
    fn ask(&self, ask: &Ask) -> (Answer, Option<File>) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.send(ask, None).is_err() {
            // It ended before it was asked.
            work::end();
            process::exit(1);
        }
        line.receive_with_file(None).unwrap_or_else(|_| process::exit(1))
    }
}

impl Fetch for Remote {
    fn process(&self, pid: u32) -> io::Result<Fetched> {
        work::begin_process(pid)?;
        match self.ask(&Ask::Process(pid)).0 {
            Answer::Process(process) => process.map_err(io::Error::from_raw_os_error),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn release(&self, handle: u64) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // If the fetcher is gone, the next question says so.
        let _ = line.send(&Ask::Release(handle), None);
    }

    fn open(&self, wanted: &Wanted) -> Option<File> {
        match self.ask(&Ask::Open(wanted.clone())) {
            (Answer::Open(true), file) => file,
            _ => None,
        }
    }

    fn memory(&self, handle: u64, address: u64, len: u64) -> Option<Vec<u8>> {
        match self.ask(&Ask::Memory { handle, address, len }).0 {
            Answer::Memory(bytes) => bytes.filter(|bytes| bytes.len() as u64 == len),
            _ => None,
        }
    }
}

/// Answers a namer until it ends.
///
/// # Errors
/// When the line breaks.
pub(crate) fn serve(line: OwnedFd) -> io::Result<()> {
    let mut line = Channel::of(line);
    let direct = Direct::default();
    loop {
        let ask = match line.receive(None) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            ask => ask?,
        };
        match ask {
            Ask::Release(handle) => direct.release(handle),
            Ask::Process(pid) => {
                let process = direct.process(pid).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
                line.send(&Answer::Process(process), None)?;
            }
            Ask::Open(wanted) => {
                let file = direct.open(&wanted);
                line.send_with_file(&Answer::Open(file.is_some()), file.as_ref(), None)?;
            }
            Ask::Memory { handle, address, len } => {
                line.send(&Answer::Memory(direct.memory(handle, address, len)), None)?;
            }
        }
    }
}
