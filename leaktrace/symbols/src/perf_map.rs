//! Names of generated code, from the `perf-PID.map` that language runtimes write on request (Linux:
//! tools/perf/Documentation/jit-interface.txt).
//!
//! The file grows while the process runs, so only its new lines are read. An address can get another function later, so the
//! latest entry is used, and an address is named when it is placed.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Most bytes that are read of one file.
const MAX_FILE: u64 = 64 << 20;
/// Most functions of one process.
const MAX_FUNCTIONS: usize = 1 << 20;
/// Most memory for the names of all processes, in bytes. Beyond it, maps are dropped, and read again when needed.
const MAX_MEMORY: usize = 64 << 20;
/// Longest name, in bytes.
const MAX_NAME: usize = 1024;
const CHUNK: u64 = 1 << 20;

/// The generated functions of one process.
#[derive(Debug, Default)]
pub(crate) struct PerfMap {
    functions: BTreeMap<u64, (u64, Box<str>)>,
    memory: usize,
    read: u64,
    file: (u64, u64),
}

impl PerfMap {
    /// Reads the lines that were added to the file since the last call.
    pub(crate) fn update(&mut self, file: &File) {
        let Ok(meta) = file.metadata() else { return };
        let identity = (meta.dev(), meta.ino());
        if identity != self.file || meta.len() < self.read {
            *self = Self { file: identity, ..Self::default() };
        }
        let end = meta.len().min(MAX_FILE);
        let mut buffer = Vec::new();
        while self.read < end {
            let len = CHUNK.min(end - self.read);
            buffer.resize(usize::try_from(len).unwrap_or_default(), 0);
            if file.read_exact_at(&mut buffer, self.read).is_err() {
                return;
            }
            // An incomplete last line is read by the next call. A line longer than CHUNK ends the reading of this file.
            let Some(whole) = buffer.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1) else {
                if len == CHUNK {
                    self.read = end;
                }
                return;
            };
            self.add(&buffer[..whole]);
            self.read += whole as u64;
        }
    }

    /// Adds complete lines: `START SIZE NAME`, numbers in hexadecimal. Lines that cannot be parsed are left out.
    pub(crate) fn add(&mut self, lines: &[u8]) {
        for line in lines.split(|&byte| byte == b'\n') {
            if let Some((start, end, name)) = parse_line(line) {
                self.insert(start, end, name);
            }
        }
    }

    fn insert(&mut self, start: u64, end: u64, name: &str) {
        if self.functions.len() >= MAX_FUNCTIONS {
            return;
        }
        // Removes older functions in this range, also those that are covered only in part: their code was replaced.
        while let Some((&old, (old_end, old_name))) = self.functions.range(..end).next_back()
            && *old_end > start
        {
            self.memory -= old_name.len();
            self.functions.remove(&old);
        }
        self.memory += name.len();
        self.functions.insert(start, (end, name.into()));
    }

    /// Name of the function that contains an address.
    pub(crate) fn name(&self, address: u64) -> Option<&str> {
        let (_, (end, name)) = self.functions.range(..=address).next_back()?;
        (address < *end).then_some(name)
    }

    /// Memory in use, in bytes (an estimate).
    fn memory(&self) -> usize {
        self.memory + self.functions.len() * 48
    }
}

fn parse_line(line: &[u8]) -> Option<(u64, u64, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let (start, rest) = line.split_once(' ')?;
    let (size, name) = rest.split_once(' ')?;
    let hex = |digits: &str| {
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        digits.starts_with(|first: char| first.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, 16).ok())?
    };
    let (start, size) = (hex(start)?, hex(size)?);
    let mut name = name.trim_end();
    while name.len() > MAX_NAME {
        name = &name[..name.floor_char_boundary(MAX_NAME)];
    }
    (size > 0 && !name.is_empty()).then_some((start, start.checked_add(size)?, name))
}

/// The file of a process's map. It is read once for each stack: functions move, and a name from an earlier read may be wrong now.
#[derive(Debug)]
pub(crate) enum PerfMapFile {
    /// Not read yet.
    New(File),
    /// Read for this stack.
    Read,
    /// There is none, or it must not be read.
    Absent,
}

/// The maps of all processes.
#[derive(Debug, Default)]
pub(crate) struct PerfMaps {
    maps: HashMap<u32, (PerfMap, u64, u64)>,
    clock: u64,
}

impl PerfMaps {
    /// Name of the generated function at an address. `started` distinguishes the process from a later one with the same id.
    pub(crate) fn name(&mut self, pid: u32, started: u64, address: u64, file: &PerfMapFile) -> Option<&str> {
        self.clock += 1;
        let clock = self.clock;
        let (map, of, used) = self.maps.entry(pid).or_insert_with(|| (PerfMap::default(), started, clock));
        if *of != started {
            *map = PerfMap::default();
            *of = started;
        }
        *used = clock;
        match file {
            PerfMapFile::New(file) => {
                map.update(file);
                self.shrink(pid);
            }
            PerfMapFile::Read => {}
            PerfMapFile::Absent => return None,
        }
        self.maps.get(&pid)?.0.name(address)
    }

    fn shrink(&mut self, keep: u32) {
        let mut memory: usize = self.maps.values().map(|(map, ..)| map.memory()).sum();
        while memory > MAX_MEMORY || self.maps.len() > 1024 {
            let oldest = self.maps.iter().filter(|(pid, _)| **pid != keep).min_by_key(|(_, (_, _, used))| *used);
            let Some(pid) = oldest.map(|(pid, _)| *pid) else { return };
            memory -= self.maps.remove(&pid).map_or(0, |(map, ..)| map.memory());
        }
    }
}

/// The parts of a name that a runtime wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// Function.
    pub symbol: String,
    /// Source file.
    pub file: Option<String>,
    /// Line at which the function starts.
    pub line: Option<u32>,
}

/// Splits a name into its parts: CPython's `py::function:/file.py`, V8's `JS:*function /file.js:1:2` (also `LazyCompile:` and
/// `Function:`). Any other name is the function alone.
pub(crate) fn take_apart(name: &str) -> Name {
    let plain = || Name { symbol: name.to_owned(), file: None, line: None };
    if let Some((symbol, file)) = name.strip_prefix("py::").and_then(|rest| rest.split_once(':')) {
        return Name { symbol: symbol.to_owned(), file: Some(file.to_owned()), line: None };
    }
    let tagged = ["JS:", "LazyCompile:", "Function:", "Script:", "Eval:"].iter().find_map(|tag| name.strip_prefix(tag));
    let Some(rest) = tagged else { return plain() };
    // V8's marks for the compiler: interpreter, baseline, Maglev, TurboFan.
    let rest = rest.trim_start_matches(['~', '^', '+', '*']);
    let (symbol, place) = rest.split_once(' ').unwrap_or((rest, ""));
    let (rest, column) = place.rsplit_once(':').unwrap_or((place, ""));
    let (file, line) = match rest.rsplit_once(':') {
        Some((file, line)) if line.parse::<u32>().is_ok() && column.parse::<u32>().is_ok() => (file, line.parse().ok()),
        _ if column.parse::<u32>().is_ok() => (rest, column.parse().ok()),
        _ => (place, None),
    };
    let symbol = if symbol.is_empty() { "(anonymous)" } else { symbol };
    Name {
        symbol: symbol.to_owned(),
        file: Some(file.to_owned()).filter(|file| Path::new(file) != Path::new("")),
        line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_later_entry_wins_where_two_cover_an_address() {
        let mut map = PerfMap::default();
        map.add(b"1000 100 old\n1080 10 new\n3000 8 other name\n");
        assert_eq!(map.name(0x1085), Some("new"));
        assert_eq!(map.name(0x1000), None, "code that was partly overwritten is gone");
        assert_eq!(map.name(0x1090), None);
        assert_eq!(map.name(0x3007), Some("other name"));
        assert_eq!(map.name(0x3008), None);
    }

    #[test]
    fn names_of_python_and_node_are_taken_apart() {
        let is = |name: &str, symbol: &str, file: Option<&str>, line: Option<u32>| {
            let expected = Name { symbol: symbol.to_owned(), file: file.map(str::to_owned), line };
            assert_eq!(take_apart(name), expected, "{name}");
        };
        is("py::leak:/srv/app.py", "leak", Some("/srv/app.py"), None);
        is("py::A.<locals>.f:<frozen os>", "A.<locals>.f", Some("<frozen os>"), None);
        is("JS:*leak /srv/app.js:12:5", "leak", Some("/srv/app.js"), Some(12));
        is("LazyCompile:~leak /srv/app.js:12", "leak", Some("/srv/app.js"), Some(12));
        is("JS:^ file:///srv/app.mjs:3:1", "(anonymous)", Some("file:///srv/app.mjs"), Some(3));
        is("JS:*leak node:net:1000:5", "leak", Some("node:net"), Some(1000));
        is("Builtin:Call", "Builtin:Call", None, None);
        is("JS:~", "(anonymous)", None, None);
    }

    #[test]
    fn only_what_is_new_is_read_and_half_a_line_waits() {
        let path = std::env::temp_dir().join(format!("leaktrace-map-{}", std::process::id()));
        let mut map = PerfMap::default();
        std::fs::write(&path, "10 8 a\n20 8 b").unwrap();
        let file = File::open(&path).unwrap();
        map.update(&file);
        assert_eq!((map.name(0x10), map.name(0x20)), (Some("a"), None));
        std::fs::write(&path, "10 8 a\n20 8 bc\n").unwrap();
        map.update(&file);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((map.name(0x10), map.name(0x20)), (Some("a"), Some("bc")));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(lines in proptest::collection::vec(any::<u8>(), 0..500), address: u64) {
            let mut map = PerfMap::default();
            map.add(&lines);
            let _ = map.name(address);
        }

        #[test]
        fn any_entries_leave_no_overlap(entries in proptest::collection::vec((0u64..200, 1u64..50), 0..60)) {
            let mut map = PerfMap::default();
            for (start, size) in entries {
                map.add(format!("{start:x} {size:x} f\n").as_bytes());
                prop_assert_eq!(map.name(start), Some("f"));
            }
            let ranges: Vec<_> = map.functions.iter().map(|(start, (end, _))| (*start, *end)).collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            prop_assert_eq!(map.memory, map.functions.len());
        }

        #[test]
        fn any_name_is_taken_apart(name in ".{0,80}") {
            let _ = take_apart(&name);
            let _ = take_apart(&format!("JS:{name}"));
            let _ = take_apart(&format!("py::{name}"));
        }
    }
}
