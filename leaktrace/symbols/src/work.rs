//! Which file or process this process reads now, and which ones it must not read.
//!
//! The namer says which file it is about to read, so that the tracer knows which one ended it. A process has one line to the tracer,
//! so there is one place for this; outside the namer nothing is said and nothing is refused.

use super::identity::{FileId, Identity};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

/// A file or process that must not be read: it ended or delayed a helper before.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it ended or delayed a helper process before")]
pub struct Refused;

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, refused)
    }
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Subject {
    /// A file.
    File(FileId),
    /// A process: its mappings, its memory, and opening the files that it has mapped.
    Process(u32),
    /// Opening the file at a path of the host.
    Path(PathBuf),
}

/// What must not be read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Refusals {
    /// Files.
    pub(crate) files: HashSet<Identity>,
    /// Files of these users.
    pub(crate) users: HashSet<u32>,
    /// Files on these file systems, by `st_dev`.
    pub(crate) devices: HashSet<u64>,
    /// Processes.
    pub(crate) processes: HashSet<u32>,
    /// Paths of the host.
    pub(crate) paths: HashSet<PathBuf>,
}

/// The line to the tracer, and what it said must not be read.
struct Work {
    say: Box<dyn Fn(Option<Subject>) + Send + Sync>,
    refusals: Refusals,
    last: Mutex<Option<Subject>>,
}

static WORK: OnceLock<Work> = OnceLock::new();

/// Says everything that is read from now on, and refuses these. The first call counts.
pub(crate) fn report(say: impl Fn(Option<Subject>) + Send + Sync + 'static, refusals: Refusals) {
    let _ = WORK.set(Work { say: Box::new(say), refusals, last: Mutex::new(None) });
}

/// Says that this file is about to be read.
///
/// # Errors
/// When it must not be.
pub(crate) fn begin(file: &FileId) -> Result<(), Refused> {
    let Some(work) = WORK.get() else { return Ok(()) };
    let Refusals { files, users, devices, .. } = &work.refusals;
    let device = file.identity.device;
    if files.contains(&file.identity) || users.contains(&file.owner) || devices.contains(&device) {
        return Err(Refused);
    }
    work.says(
        |last| matches!(last, Subject::File(last) if last.identity == file.identity),
        || Subject::File(file.clone()),
    );
    Ok(())
}

/// Says that this process is about to be read.
///
/// # Errors
/// When it must not be.
pub(crate) fn begin_process(pid: u32) -> Result<(), Refused> {
    let Some(work) = WORK.get() else { return Ok(()) };
    if work.refusals.processes.contains(&pid) {
        return Err(Refused);
    }
    work.says(|last| *last == Subject::Process(pid), || Subject::Process(pid));
    Ok(())
}

/// Says that the file at this path is about to be opened.
///
/// # Errors
/// When it must not be.
pub(crate) fn begin_path(path: &Path) -> Result<(), Refused> {
    let Some(work) = WORK.get() else { return Ok(()) };
    if work.refusals.paths.contains(path) {
        return Err(Refused);
    }
    work.says(|last| matches!(last, Subject::Path(last) if last == path), || Subject::Path(path.to_owned()));
    Ok(())
}

/// Says that nothing is read: no file or process is to blame for what happens next.
pub(crate) fn end() {
    if let Some(work) = WORK.get() {
        (work.say)(None);
    }
}

/// A new request begins: what is read for it is said again.
pub(crate) fn begin_request() {
    if let Some(work) = WORK.get() {
        *work.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Work {
    /// Says what is read, unless it was the last that was said.
    fn says(&self, is_same: impl FnOnce(&Subject) -> bool, subject: impl FnOnce() -> Subject) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.as_ref().is_some_and(is_same) {
            let subject = subject();
            (self.say)(Some(subject.clone()));
            *last = Some(subject);
        }
    }
}
