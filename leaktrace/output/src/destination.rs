//! Where output goes: standard output, or a file that is written whole or not at all.
//!
//! Does not know what is written. Nothing here follows a path twice: [`place`] finds an open folder, and everything else happens in it.

mod error;
mod place;
mod whole;

pub use error::OutputError;

use crate::caller::Caller;
use error::{refused, shown};
use nix::{
    errno::Errno,
    fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat},
    sys::{
        signal::{SigHandler, SigSet, Signal, signal},
        stat::{Mode, fstat},
    },
    unistd::{AccessFlags, faccessat},
};
use place::{Found, Place};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use whole::Whole;

/// Where a report goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error, where a command that leaktrace runs writes to standard output.
    Stderr,
    /// A file.
    File {
        /// As given.
        path: PathBuf,
        /// Its permissions; `None` for 0600, or those of the file that it replaces.
        mode: Option<u32>,
    },
}

impl Destination {
    /// What `-o` means: no path and `-` are standard output.
    pub fn from_option(path: Option<&Path>) -> Self {
        match path {
            Some(path) if path != Path::new("-") => Self::file(path),
            _ => Self::Stdout,
        }
    }

    /// A file with the usual permissions.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), mode: None }
    }

    /// The same with other permissions, which only a file has.
    pub fn with_mode(self, mode: Option<u32>) -> Self {
        match self {
            Self::File { path, .. } => Self::File { path, mode },
            other => other,
        }
    }
}

/// Checks before a long watch begins whether its report can be written. Leaves no file behind.
///
/// # Errors
/// One sentence: what is wrong with the path and what to do.
pub fn check_output(destination: &Destination) -> Result<(), OutputError> {
    match destination {
        Destination::File { path, .. } => check_file(path, &Caller::of_this_process()),
        Destination::Stdout | Destination::Stderr => Ok(()),
    }
}

fn check_file(path: &Path, caller: &Caller) -> Result<(), OutputError> {
    let checked = match Place::of(path, caller)? {
        Place::Descriptor(descriptor) => duplicate(descriptor).map(drop),
        Place::Named { folder, name, found } => match found {
            Found::Nothing => Whole::create(&folder, &name).map(drop),
            // Does not open a device: closing a pipe again would end it for its reader.
            Found::Device => can_write(&folder, &name),
            // Replacing a file does not need the right to write to it. A read-only file is refused anyway: it is so on purpose.
            Found::File { .. } => can_write(&folder, &name).and_then(|()| Whole::create(&folder, &name).map(drop)),
        },
    };
    checked.map_err(|source| refused(path, source))
}

fn can_write(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    Ok(faccessat(folder, name, AccessFlags::W_OK, AtFlags::AT_EACCESS)?)
}

/// Writes what `fill` produces to its destination. A file appears whole or not at all. A reader that closes its pipe early is
/// not an error.
///
/// # Errors
/// One sentence: what is wrong with the path and what to do.
pub fn write_whole(
    destination: &Destination,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), OutputError> {
    match destination {
        Destination::Stdout => {
            let mut out = BufWriter::new(io::stdout().lock());
            forgive_closed_pipe(fill(&mut out).and_then(|()| out.flush())).map_err(OutputError::Stdout)
        }
        Destination::Stderr => {
            let mut out = BufWriter::new(io::stderr().lock());
            let written = forgive_closed_pipe(fill(&mut out).and_then(|()| out.flush()));
            written.map_err(|source| OutputError::Refused { path: "standard error".to_owned(), source })
        }
        Destination::File { path, mode } => write_file(path, *mode, &Caller::of_this_process(), fill),
    }
}

fn write_file(
    path: &Path,
    mode: Option<u32>,
    caller: &Caller,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), OutputError> {
    let written = match Place::of(path, caller)? {
        Place::Descriptor(descriptor) => {
            forgive_closed_pipe(let_signals_end().and_then(|()| fill_device(duplicate(descriptor)?, fill)))
        }
        Place::Named { folder, name, found: Found::Device } => {
            let opened = let_signals_end().and_then(|()| open_device(&folder, &name, OFlag::empty(), caller));
            forgive_closed_pipe(opened.and_then(|device| fill_device(device, fill)))
        }
        Place::Named { folder, name, found } => {
            let replaces = if let Found::File { passes } = &found { passes.as_deref() } else { None };
            Whole::create(&folder, &name).and_then(|whole| {
                let mut out = BufWriter::with_capacity(1 << 16, whole.file());
                fill(&mut out)?;
                out.into_inner().map_err(io::IntoInnerError::into_error)?;
                whole.settle(replaces, mode, caller)?;
                // Without a sync, a crash of the host right after the rename may leave an empty file of that name.
                whole.file().sync_all()?;
                whole.rename(&name).map(drop)
            })
        }
    };
    written.map_err(|source| refused(path, source))
}

/// Makes the file of a recording, empty and under its name from the start: what is written to it counts, whatever ends the recorder. What
/// was in it is gone.
///
/// # Errors
/// One sentence: what is wrong with the path and what to do.
pub fn create_growing(path: &Path, mode: Option<u32>) -> Result<File, OutputError> {
    growing_file(path, mode, &Caller::of_this_process())
}

fn growing_file(path: &Path, mode: Option<u32>, caller: &Caller) -> Result<File, OutputError> {
    let created = match Place::of(path, caller)? {
        Place::Descriptor(descriptor) => duplicate(descriptor),
        Place::Named { folder, name, found: Found::Device } => open_growing_device(&folder, &name, caller),
        Place::Named { folder, name, found } => {
            let replaces = if let Found::File { passes } = &found { passes.as_deref() } else { None };
            Whole::create(&folder, &name).and_then(|whole| {
                whole.settle(replaces, mode, caller)?;
                whole.rename(&name)
            })
        }
    };
    created.map_err(|source| match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENXIO) => OutputError::NoReader { path: shown(path) },
        _ => refused(path, source),
    })
}

/// Opens a pipe or device without waiting for a reader: the thread that samples must not block.
fn open_growing_device(folder: &OwnedFd, name: &OsStr, caller: &Caller) -> io::Result<File> {
    let device = open_device(folder, name, OFlag::O_NONBLOCK, caller)?;
    let flags = OFlag::from_bits_truncate(fcntl(&device, FcntlArg::F_GETFL)?);
    fcntl(&device, FcntlArg::F_SETFL(flags.difference(OFlag::O_NONBLOCK)))?;
    Ok(device)
}

fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Opens a pipe or device, which may wait for a reader. What was found there may have been replaced since, so its owner is checked again.
fn open_device(folder: &OwnedFd, name: &OsStr, more: OFlag, caller: &Caller) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | more;
    let device = openat(folder, name, flags, Mode::empty())?;
    if caller.is_stranger(fstat(&device)?.st_uid) {
        return Err(io::Error::other("another user has replaced it"));
    }
    Ok(device.into())
}

/// A descriptor that this process was started with, as a file of its own.
fn duplicate(descriptor: RawFd) -> io::Result<File> {
    if descriptor < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: it is used for this call only, which fails if no such descriptor is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    borrowed.try_clone_to_owned().map(File::from)
}

/// From here on a signal ends the program, also where leaktrace handled it before: a pipe or device may block for ever without a reader.
///
/// # Errors
/// None that a valid signal has.
pub fn let_signals_end() -> io::Result<()> {
    let ending = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    for one in ending {
        // SAFETY: the default action runs no code of this program.
        unsafe { signal(one, SigHandler::SigDfl) }?;
    }
    // `run` has blocked them.
    Ok(ending.into_iter().collect::<SigSet>().thread_unblock()?)
}

fn fill_device(device: File, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(device);
    fill(&mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests;
