//! Where a report goes: standard output, or a file that is written whole or not at all.
//!
//! Does not know what is written.

use crate::clean::clean;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{AccessFlags, eaccess};
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Mode of a new report before the umask: the one that `>` in a shell gives.
const NEW_FILE_MODE: u32 = 0o666;

/// Where a report goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error, where a command that leaktrace runs writes to standard output.
    Stderr,
    /// A file.
    File(PathBuf),
}

impl Destination {
    /// What `-o` means: no path and `-` are standard output.
    pub fn from_option(path: Option<&Path>) -> Self {
        match path {
            Some(path) if path != Path::new("-") => Self::File(path.to_owned()),
            _ => Self::Stdout,
        }
    }
}

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The path is a folder.
    #[error("cannot write to {path}: it is a folder; name a file inside it")]
    IsFolder {
        /// As given.
        path: String,
    },
    /// There is no folder to put it in.
    #[error("cannot write to {path}: the folder {folder} does not exist; create it first")]
    NoFolder {
        /// As given.
        path: String,
        /// The part that is missing.
        folder: String,
    },
    /// The system refuses to write there.
    #[error("cannot write to {path}: {source}; choose another place with -o")]
    Refused {
        /// As given, or "standard output".
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output fails.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
}

/// Checks before a long watch begins whether its report can be written. Leaves no file behind.
///
/// # Errors
/// One sentence: what is wrong with the path and what to do.
pub fn check_output(destination: &Destination) -> Result<(), OutputError> {
    let Destination::File(path) = destination else { return Ok(()) };
    let place = Place::of(path)?;
    match place.kind {
        // Does not open it: closing a pipe again would end it for its reader.
        Kind::Device => eaccess(&place.target, AccessFlags::W_OK).map_err(io::Error::from),
        // Replacing a file does not need the right to write to it. A read-only file is refused anyway: it is so on purpose.
        Kind::Existing => File::options().append(true).open(&place.target).and_then(|_| temporary(&place)).map(drop),
        Kind::New => temporary(&place).map(drop),
    }
    .map_err(|source| refused(path, source))
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
        Destination::File(path) => {
            let place = Place::of(path)?;
            let written = match place.kind {
                Kind::Device => forgive_closed_pipe(fill_device(&place.target, fill)),
                Kind::New | Kind::Existing => replace(&place, fill),
            };
            written.map_err(|source| refused(path, source))
        }
    }
}

fn refused(path: &Path, source: io::Error) -> OutputError {
    OutputError::Refused { path: shown(path), source }
}

fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy()).into_owned()
}

fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// What is at a path now.
enum Kind {
    New,
    Existing,
    /// A pipe, a terminal, `/dev/null`: it cannot be replaced, so it is written to directly.
    Device,
}

/// A path that a report may go to.
struct Place {
    /// The path with symbolic links followed, so that a link stays a link.
    target: PathBuf,
    folder: PathBuf,
    kind: Kind,
    /// Of the file to be replaced.
    metadata: Option<fs::Metadata>,
}

impl Place {
    fn of(path: &Path) -> Result<Self, OutputError> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = match target.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        match fs::metadata(&target) {
            Ok(found) if found.is_dir() => Err(OutputError::IsFolder { path: shown(path) }),
            Ok(found) => {
                let kind = if found.is_file() { Kind::Existing } else { Kind::Device };
                Ok(Self { target, folder, kind, metadata: Some(found) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                    return Err(OutputError::NoFolder { path: shown(path), folder: shown(path) });
                }
                if !folder.is_dir() {
                    return Err(OutputError::NoFolder { path: shown(path), folder: shown(&folder) });
                }
                Ok(Self { target, folder, kind: Kind::New, metadata: None })
            }
            Err(source) => Err(refused(path, source)),
        }
    }
}

fn temporary(place: &Place) -> io::Result<tempfile::NamedTempFile> {
    let name = place.target.file_name().unwrap_or_default().to_string_lossy();
    let prefix: String = name.chars().take(40).collect();
    tempfile::Builder::new()
        .prefix(&format!(".{prefix}."))
        .suffix(".tmp")
        .permissions(Permissions::from_mode(NEW_FILE_MODE))
        .tempfile_in(&place.folder)
}

fn replace(place: &Place, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, temporary(place)?);
    fill(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    if let Some(old) = &place.metadata {
        file.as_file().set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        // Only root may change the owner; for other users it is the same already.
        let _ = std::os::unix::fs::fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
    }
    // Without a sync, a crash of the host right after the rename may leave an empty file of that name.
    file.as_file().sync_all()?;
    file.persist(&place.target).map(drop).map_err(|error| error.error)
}

/// Writes to a pipe or device, which may block for ever without a reader. A signal therefore ends the program from here on, also
/// where leaktrace handled it before.
fn fill_device(target: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    for ending in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the default action runs no code of this program.
        unsafe { signal(ending, SigHandler::SigDfl) }?;
    }
    let mut out = BufWriter::new(File::options().write(true).open(target)?);
    fill(&mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests;
