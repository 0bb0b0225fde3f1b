//! Files with code that are kept open, so that frames get names after the process or the file's name is gone.
//!
//! Bounded: the least recently used file is closed first. It is opened again by its path if that is still the same file.

use super::bytes::Bytes;
use super::elf::{Elf, ElfError};
use super::fetch::{DEBUG_DIRECTORIES, Direct, Fetch, Wanted};
use super::gopclntab::GoTable;
use super::identity::{FileId, Identity};
use super::work::{self, Refused};
use leaktrace_model::{BuildId, Content, Module, ModuleKind};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use thiserror::Error;

/// Most files that are open at once.
pub(crate) const MAX_OPEN: usize = 256;

/// Largest debug file whose checksum is computed, in bytes.
const MAX_SUMMED: u64 = 256 << 20;

/// Longest `.gnu_debugaltlink`, in bytes: a path and a build id.
const MAX_LINK: u64 = 8192;

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum ImageError {
    /// It could not be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not an ELF file that can be used.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// It must not be read.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// An open ELF file.
#[derive(Debug)]
pub(crate) struct Image {
    /// Its content.
    pub bytes: Bytes,
    /// Its headers.
    pub elf: Elf,
    /// Its separate debug file. Found when this file is opened, because the container that has both may be gone later.
    pub debug: Option<Arc<Image>>,
    /// The file with what its debug information shares with that of other files, as `dwz` makes it.
    pub alternate: Option<Arc<Image>>,
    go: OnceLock<Option<GoTable>>,
    id: FileId,
}

impl Image {
    /// Reads the headers of an open file, whose path for people is `path`.
    ///
    /// # Errors
    /// When it cannot or must not be read, or is not ELF.
    pub(crate) fn new(file: File, path: &str) -> Result<Self, ImageError> {
        let id = FileId::of(&file, path)?;
        work::begin(&id)?;
        let bytes = Bytes::of_file(file)?;
        let elf = Elf::read(&bytes)?;
        Ok(Self { bytes, elf, debug: None, alternate: None, go: OnceLock::new(), id })
    }

    /// Says that the file is about to be read. Call it before reading more than its headers.
    pub(crate) fn begin(&self) {
        // A file that must not be read has no image.
        let _ = work::begin(&self.id);
    }

    /// The file's identity when it was opened.
    pub(crate) fn identity(&self) -> Identity {
        self.id.identity
    }

    /// Key for everything that is cached about the file.
    pub(crate) fn content(&self) -> Content {
        let Identity { device, inode, size, modified_ns } = self.id.identity;
        match &self.elf.build_id {
            Some(id) => Content::Build(id.clone(), size),
            None => Content::File(device, inode, size, modified_ns),
        }
    }

    /// Go's tables, if it has them.
    pub(crate) fn go(&self) -> Option<&GoTable> {
        self.begin();
        self.go.get_or_init(|| GoTable::find(&self.bytes, &self.elf)).as_ref()
    }

    /// Whether the file still has the content that was opened. A file that was overwritten has other code at the same
    /// offsets, so names from it would be wrong.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.bytes.file().is_some_and(|file| Identity::of(file).is_ok_and(|now| now == self.id.identity))
    }

    /// Whether reading the headers again gives the same. A program that overwrites a file can reset its modification time, so
    /// [`Self::is_unchanged`] does not notice.
    pub(crate) fn has_its_headers(&self) -> bool {
        let again = || Elf::read(&Bytes::of_file(self.bytes.file()?.try_clone().ok()?).ok()?).ok();
        again().is_some_and(|elf| elf == self.elf)
    }

    /// Finds the separate debug file, by build id and then by debug link, in the root of process `inside` and on the host. The only code
    /// that follows a debug link.
    pub(crate) fn find_debug(&mut self, fetch: &dyn Fetch, inside: Option<u64>, shown: &str) {
        let has_own = self.elf.section(".debug_info").is_some() || self.elf.section(".zdebug_info").is_some();
        if has_own || self.debug.is_some() {
            return;
        }
        let id = self.elf.build_id.clone();
        let link = self.elf.debug_link(&self.bytes);
        let mut candidates: Vec<PathBuf> =
            id.iter().flat_map(|id| DEBUG_DIRECTORIES.map(|directory| build_id_path(directory, id))).collect();
        if let Some((name, _)) = &link {
            let home = Path::new(shown).parent().unwrap_or(Path::new("/"));
            candidates.extend([home.join(name), home.join(".debug").join(name)]);
            candidates.extend(
                DEBUG_DIRECTORIES
                    .map(|directory| Path::new(directory).join(home.strip_prefix("/").unwrap_or(home)).join(name)),
            );
        }
        let open = |path: &PathBuf| {
            let file = fetch.open(&Wanted::Elf { inside, path: path.clone() })?;
            let mut image = Image::new(file, &path.to_string_lossy()).ok()?;
            // Compares the build id if there is one: a CRC over the whole file costs more and proves less.
            let belongs = match &id {
                Some(id) => image.elf.build_id.as_ref() == Some(id),
                None => link.as_ref().is_some_and(|(_, sum)| image.bytes.crc(MAX_SUMMED) == Some(*sum)),
            };
            if !belongs || image.id.identity == self.id.identity {
                return None;
            }
            image.find_alternate(fetch);
            Some(Arc::new(image))
        };
        self.debug = candidates.iter().find_map(open);
    }

    /// Finds the file that `.gnu_debugaltlink` names. Any program can write any name into its own file, and that file would be
    /// opened on the host. So only files of the host's distribution are followed, only to files of the distribution.
    fn find_alternate(&mut self, fetch: &dyn Fetch) {
        let Some(link) = self.elf.section(".gnu_debugaltlink") else { return };
        let own = PathBuf::from(&self.id.path);
        let open = |path: PathBuf| fetch.open(&Wanted::Distribution { path });
        let is_own = |file: File| Identity::of(&file).is_ok_and(|identity| identity == self.id.identity);
        if !open(own.clone()).is_some_and(is_own) {
            return;
        }
        let Some(link) = self.bytes.copy(link.offset, link.size, MAX_LINK) else { return };
        let Some(at) = link.iter().position(|&byte| byte == 0) else { return };
        let Some(id) = link.get(at + 1..).and_then(BuildId::new) else { return };
        let name = std::str::from_utf8(&link[..at]).ok().map(Path::new);
        let named = own.parent().zip(name).map(|(home, name)| home.join(name));
        let candidates = named.into_iter().chain(DEBUG_DIRECTORIES.map(|directory| build_id_path(directory, &id)));
        let read = |path: PathBuf| {
            let image = Image::new(open(path.clone())?, &path.to_string_lossy()).ok()?;
            (image.elf.build_id.as_ref() == Some(&id)).then(|| Arc::new(image))
        };
        self.alternate = candidates.into_iter().find_map(read);
    }
}

fn build_id_path(directory: &str, id: &BuildId) -> PathBuf {
    let digits = id.to_string();
    let (head, tail) = digits.split_at(2);
    PathBuf::from(format!("{directory}/.build-id/{head}/{tail}.debug"))
}

/// The open files. A handle: clones share one set.
#[derive(Clone, Debug)]
pub struct Images {
    open: Arc<Mutex<Open>>,
    fetch: Arc<dyn Fetch>,
}

impl Default for Images {
    /// Files are opened with this process's own privileges.
    fn default() -> Self {
        Self::new(Arc::new(Direct::default()))
    }
}

#[derive(Debug, Default)]
struct Open {
    images: HashMap<Content, (Arc<Image>, u64)>,
    clock: u64,
    /// The value of `clock` at the last call of [`Images::forget_unused_pages`].
    mark: u64,
}

impl Images {
    /// Files that `fetch` opens.
    pub(crate) fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { open: Arc::default(), fetch }
    }

    /// What opens files and reads processes.
    pub(crate) fn fetch(&self) -> &Arc<dyn Fetch> {
        &self.fetch
    }

    /// Keeps a file open under the key of its content. A file that already has this key stays, unless it was overwritten.
    pub(crate) fn keep(&self, content: Content, image: Image) -> Arc<Image> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let clock = open.clock;
        if let Some((held, used)) = open.images.get_mut(&content)
            && held.is_unchanged()
        {
            *used = clock;
            return Arc::clone(held);
        }
        if open.images.len() >= MAX_OPEN && !open.images.contains_key(&content) {
            let oldest = open.images.iter().min_by_key(|(_, (_, used))| *used).map(|(content, _)| content.clone());
            oldest.and_then(|content| open.images.remove(&content));
        }
        let image = Arc::new(image);
        open.images.insert(content, (Arc::clone(&image), clock));
        image
    }

    /// The open file with this identity.
    pub(crate) fn same(&self, identity: &Identity) -> Option<Arc<Image>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let clock = open.clock;
        let (image, used) = open.images.values_mut().find(|(image, _)| image.id.identity == *identity)?;
        *used = clock;
        Some(Arc::clone(image))
    }

    /// The open file with this content.
    pub(crate) fn held(&self, content: &Content) -> Option<Arc<Image>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let clock = open.clock;
        let (image, used) = open.images.get_mut(content)?;
        *used = clock;
        Some(Arc::clone(image))
    }

    /// The file of a module: the open one, or the one at the module's path or build id if it is the same build. `None` when
    /// there is none, or when it was overwritten since.
    pub(crate) fn of(&self, module: &Module) -> Option<Arc<Image>> {
        let content = module.content()?;
        if let Some(image) = self.held(&content) {
            return image.is_unchanged().then_some(image);
        }
        if matches!(module.kind, ModuleKind::Vdso) {
            return None;
        }
        let image = self.by_path(module, &content).or_else(|| self.by_build_id(module))?;
        Some(self.keep(content, image))
    }

    fn by_path(&self, module: &Module, content: &Content) -> Option<Image> {
        let mut image = Image::new(self.open(&module.path)?, &module.path).ok()?;
        let same = match content {
            Content::Build(id, _) => image.elf.build_id.as_ref() == Some(id),
            Content::File(device, inode, size, modified_ns) => {
                image.id.identity == Identity { device: *device, inode: *inode, size: *size, modified_ns: *modified_ns }
            }
        };
        if !same {
            return None;
        }
        image.find_debug(self.fetch.as_ref(), None, &module.path);
        Some(image)
    }

    /// The debug file of a module. A recording may come from another machine: its binary is not here, but its debug file can be.
    fn by_build_id(&self, module: &Module) -> Option<Image> {
        let id = module.build_id.as_ref()?;
        let mut files = DEBUG_DIRECTORIES.iter().filter_map(|directory| self.open(build_id_path(directory, id)));
        let mut image = Image::new(files.next()?, &module.path).ok()?;
        image.find_alternate(self.fetch.as_ref());
        (image.elf.build_id.as_ref() == Some(id)).then_some(image)
    }

    fn open(&self, path: impl Into<PathBuf>) -> Option<File> {
        let path = path.into();
        work::begin_path(&path).ok()?;
        self.fetch.open(&Wanted::Elf { inside: None, path })
    }

    /// Drops the cached pages of files that were not used since the last call. Returns whether there were any. The files stay
    /// open.
    pub(crate) fn forget_unused_pages(&self) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = open.mark;
        open.mark = open.clock;
        let unused = open.images.values().filter(|(_, used)| *used <= mark);
        unused.map(|(image, _)| image.bytes.forget_pages()).fold(false, |any, had| any | had)
    }

    /// How many files are open, debug files not counted.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).images.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open;

    fn own() -> Image {
        Image::new(open::regular(Path::new("/proc/self/exe")).unwrap(), "").unwrap()
    }

    #[test]
    fn the_oldest_file_is_closed_first() {
        let images = Images::default();
        let key = |index: u64| Content::File(1, index, 2, 3);
        for index in 0..MAX_OPEN as u64 {
            images.keep(key(index), own());
        }
        assert!(images.held(&key(0)).is_some(), "this use makes it the newest");
        images.keep(key(9999), own());
        assert_eq!(images.count(), MAX_OPEN);
        assert!(images.held(&key(0)).is_some());
        assert!(images.held(&key(1)).is_none());
    }

    #[test]
    fn pages_of_unused_files_are_dropped() {
        let images = Images::default();
        let key = Content::File(1, 2, 3, 4);
        images.keep(key.clone(), own());
        assert!(!images.forget_unused_pages(), "asked for since the last call, which was never");
        assert!(images.forget_unused_pages(), "its headers were read");
        assert!(!images.forget_unused_pages(), "they are gone");
        let image = images.held(&key).unwrap();
        assert_eq!(image.bytes.array(0), Some(*b"\x7fELF"), "the file stays open");
    }

    #[test]
    fn a_file_that_was_written_over_is_not_used() {
        let path = std::env::temp_dir().join(format!("leaktrace-image-{}", std::process::id()));
        std::fs::copy("/proc/self/exe", &path).unwrap();
        let image = Image::new(open::regular(&path).unwrap(), "").unwrap();
        assert!(image.is_unchanged());
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(10).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!image.is_unchanged());
    }
}
