//! Fetches with this process's own privileges.

use super::{DEBUG_DIRECTORIES, Fetch, Fetched, LONGEST_COPY, Wanted};
use crate::{
    maps::{Backing, MAX_TEXT, Mapping, Mappings},
    open,
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Most processes that are referred to at once. The oldest is forgotten first.
const MOST_PROCESSES: usize = 256;

/// First bytes of an ELF file.
const ELF: [u8; 4] = *b"\x7fELF";

/// Fetches with this process's own privileges.
#[derive(Debug, Default)]
pub(crate) struct Direct(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    processes: BTreeMap<u64, Arc<Process>>,
    last: u64,
}

#[derive(Debug)]
struct Process {
    pid: u32,
    /// `/proc/PID`
    proc: File,
    mappings: Vec<Mapping>,
}

impl Fetch for Direct {
    fn process(&self, pid: u32) -> io::Result<Fetched> {
        let proc = open::handle(Path::new(&format!("/proc/{pid}")))?;
        let mut text = Vec::new();
        File::open(open::path_of(&proc).join("maps"))?.take(MAX_TEXT).read_to_end(&mut text)?;
        let stat = std::fs::read(open::path_of(&proc).join("stat"))?;
        let started_ticks = started_ticks(&stat).unwrap_or_default();
        let mappings = Mappings::parse(&text);
        let process = Process { pid, proc, mappings: mappings.as_slice().to_vec() };
        Ok(Fetched { handle: self.keep(process), mappings, started_ticks })
    }

    fn release(&self, handle: u64) {
        self.table().processes.remove(&handle);
    }

    fn open(&self, wanted: &Wanted) -> Option<File> {
        match wanted {
            Wanted::Mapped { handle, mapping } => {
                let process = self.get(*handle)?;
                process.open(process.mappings.get(*mapping)?)
            }
            Wanted::PerfMap { handle } => self.get(*handle)?.open_perf_map(),
            Wanted::Elf { inside, path } => self.open_elf(*inside, path),
            Wanted::Distribution { path } => open_of_distribution(path),
        }
    }

    fn memory(&self, handle: u64, address: u64, len: u64) -> Option<Vec<u8>> {
        let process = self.get(handle)?;
        let mut bytes = vec![0; usize::try_from(len).ok().filter(|_| len <= LONGEST_COPY)?];
        File::open(process.path("mem")).ok()?.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }
}

impl Direct {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, process: Process) -> u64 {
        let mut table = self.table();
        table.last += 1;
        let handle = table.last;
        if table.processes.len() >= MOST_PROCESSES {
            table.processes.pop_first();
        }
        table.processes.insert(handle, Arc::new(process));
        handle
    }

    fn get(&self, handle: u64) -> Option<Arc<Process>> {
        self.table().processes.get(&handle).cloned()
    }

    /// Opens an ELF file of root's or of the process's own user. No other file leaves here by its path, whatever it is.
    fn open_elf(&self, inside: Option<u64>, path: &Path) -> Option<File> {
        let process = inside.and_then(|handle| self.get(handle));
        let owner = process.as_ref().and_then(|process| process.owner());
        let may_be_read = |file: &File| {
            let belongs = |uid: u32| uid == 0 || owner.is_none_or(|owner| uid == owner);
            file.metadata().is_ok_and(|meta| belongs(meta.uid())) && is_elf(file)
        };
        let root = process.and_then(|process| process.root());
        let found = root.and_then(|root| open::regular_in(&root, path).ok()).filter(may_be_read);
        found.or_else(|| open::regular(path).ok().filter(may_be_read))
    }
}

fn is_elf(file: &File) -> bool {
    let mut magic = [0; ELF.len()];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == ELF
}

/// See [`Wanted::Distribution`]. What counts is where the file is in the end: links may lead to it.
fn open_of_distribution(path: &Path) -> Option<File> {
    let file = open::regular(path).ok()?;
    let place = std::fs::read_link(open::path_of(&file)).ok()?;
    let is_there = DEBUG_DIRECTORIES.iter().any(|directory| place.starts_with(directory));
    let is_roots = file.metadata().is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o022 == 0);
    (is_there && is_roots && is_elf(&file)).then_some(file)
}

impl Process {
    fn path(&self, name: &str) -> PathBuf {
        open::path_of(&self.proc).join(name)
    }

    fn root(&self) -> Option<File> {
        open::handle(&self.path("root")).ok()
    }

    fn owner(&self) -> Option<u32> {
        Some(std::fs::metadata(self.path("")).ok()?.uid())
    }

    /// Opens the mapped file: through `map_files` where that is permitted, else the file with its path, device and inode.
    fn open(&self, mapping: &Mapping) -> Option<File> {
        let Backing::File { path, .. } = &mapping.backing else { return None };
        let direct = self.path(&format!("map_files/{:x}-{:x}", mapping.start, mapping.end));
        if let Ok(file) = open::regular(&direct) {
            return Some(file);
        }
        let same = |file: &File| {
            let number = libc::makedev(mapping.device.0, mapping.device.1);
            file.metadata().is_ok_and(|meta| meta.ino() == mapping.inode && meta.dev() == number)
        };
        let inside = self.root().and_then(|root| open::regular_in(&root, Path::new(path)).ok()).filter(same);
        inside.or_else(|| open::regular(Path::new(path)).ok().filter(same))
    }

    /// Opens the process's perf map. Any user can write into `/tmp`, so only a file of the process's user or of root is used, never one
    /// that a link leads to.
    fn open_perf_map(&self) -> Option<File> {
        let status = std::fs::read_to_string(self.path("status")).ok()?;
        let ids = status.lines().find_map(|line| line.strip_prefix("NStgid:"));
        let inner: u32 = ids.and_then(|ids| ids.split_ascii_whitespace().last()?.parse().ok()).unwrap_or(self.pid);
        let owner = self.owner()?;
        let trusted = |file: &File| file.metadata().is_ok_and(|meta| meta.uid() == owner || meta.uid() == 0);
        let inside = open::regular_not_linked(&self.root()?, Path::new(&format!("/tmp/perf-{inner}.map"))).ok();
        inside.filter(trusted).or_else(|| {
            let host = open::handle(Path::new("/")).ok()?;
            open::regular_not_linked(&host, Path::new(&format!("/tmp/perf-{}.map", self.pid))).ok().filter(trusted)
        })
    }
}

/// Field 22 of `/proc/PID/stat`. The name in field 2 may contain any character, also parentheses and spaces.
fn started_ticks(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    std::str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;
    use leaktrace_skip::{Lack, skip};

    fn own() -> (Direct, Fetched) {
        let direct = Direct::default();
        let fetched = direct.process(std::process::id()).unwrap();
        (direct, fetched)
    }

    #[test]
    fn a_perf_map_is_not_read_through_a_link() {
        let (direct, fetched) = own();
        let path = format!("/tmp/perf-{}.map", std::process::id());
        let wanted = Wanted::PerfMap { handle: fetched.handle };
        std::fs::write(&path, "10 8 a\n").unwrap();
        let plain = direct.open(&wanted).is_some();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        let linked = direct.open(&wanted).is_some();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((plain, linked), (true, false));
    }

    #[test]
    fn only_elf_files_leave_by_their_path() {
        let (direct, fetched) = own();
        let scratch = Scratch::new();
        let text = scratch.write("text", "root:x:0:0");
        let program = scratch.path("program");
        std::fs::copy("/proc/self/exe", &program).unwrap();
        for inside in [None, Some(fetched.handle), Some(99)] {
            assert!(direct.open(&Wanted::Elf { inside, path: text.clone() }).is_none(), "{inside:?}");
            assert!(direct.open(&Wanted::Elf { inside, path: program.clone() }).is_some(), "{inside:?}");
        }
    }

    #[test]
    fn only_debug_files_of_the_hosts_distribution_are_taken_for_such() {
        let find = |path: &Path| Direct::default().open(&Wanted::Distribution { path: path.to_owned() }).is_some();
        assert!(!find(Path::new("/proc/self/exe")));
        let files = |folder: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        };
        let folders = files(&Path::new(DEBUG_DIRECTORIES[0]).join(".build-id"));
        let Some(own) =
            folders.iter().flat_map(|folder| files(folder)).find(|path| is_elf(&open::regular(path).unwrap()))
        else {
            return skip(Lack::Machine("no debug files of the distribution are installed"));
        };
        assert!(find(&own), "{}", own.display());
        let scratch = Scratch::new();
        std::fs::copy(&own, scratch.path("copy")).unwrap();
        assert!(!find(&scratch.path("copy")));
    }

    #[test]
    fn only_what_is_mapped_is_opened_and_only_while_the_process_is_known() {
        let (direct, fetched) = own();
        let handle = fetched.handle;
        let mappings = fetched.mappings.as_slice();
        let file = mappings.iter().position(|mapping| matches!(mapping.backing, Backing::File { .. })).unwrap();
        assert!(direct.open(&Wanted::Mapped { handle, mapping: file }).is_some());
        assert!(direct.open(&Wanted::Mapped { handle, mapping: mappings.len() }).is_none());
        assert!(direct.memory(handle, mappings[file].start, 16).is_some());
        assert!(direct.memory(handle, mappings[file].start, LONGEST_COPY + 1).is_none());
        assert!(direct.memory(handle, 0, 1).is_none());
        direct.release(handle);
        assert!(direct.open(&Wanted::Mapped { handle, mapping: file }).is_none());
    }

    #[test]
    fn the_table_of_processes_is_bounded() {
        let direct = Direct::default();
        let first = direct.process(std::process::id()).unwrap().handle;
        for _ in 0..MOST_PROCESSES {
            direct.process(std::process::id()).unwrap();
        }
        assert_eq!(direct.table().processes.len(), MOST_PROCESSES);
        assert!(direct.get(first).is_none());
    }

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let stat = b"1 (a) b (c)) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0";
        assert_eq!(started_ticks(stat), Some(4711));
        assert_eq!(started_ticks(b"1 (a"), None);
    }
}
