//! The line table of a unit: which file and line an address has.

use super::budget::{Budget, Stop};
use super::limits::{MAX_TEXT, Slice};
use gimli::{DebugLineOffset, LineProgramHeader, UnitRef};

/// Most rows of one unit. A unit with more has no lines.
const MAX_ROWS: usize = 4 << 20;
/// Longest header of a line program, in bytes. It lists the unit's files, and takes up to 100 times as much memory.
const MAX_HEADER: u64 = 512 << 10;

/// The line table of a unit.
#[derive(Debug)]
pub(super) struct Lines {
    header: LineProgramHeader<Slice>,
    /// Sorted by their first address.
    sequences: Box<[Sequence]>,
    rows: Box<[Row]>,
}

#[derive(Debug, Clone, Copy)]
struct Sequence {
    start: u64,
    end: u64,
    /// Where its rows are in `rows`.
    from: u32,
    to: u32,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    address: u64,
    file: u32,
    line: u32,
}

/// A file by its number, and a line in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub file: u64,
    pub line: u32,
}

impl Lines {
    /// Runs the line program of a unit.
    pub(super) fn read(
        unit: UnitRef<'_, Slice>,
        section: &'static [u8],
        at: usize,
        budget: &Budget,
    ) -> Result<Self, Stop> {
        let length = header_length(section.get(at..).ok_or(Stop::Damaged)?).ok_or(Stop::Damaged)?;
        if length > MAX_HEADER {
            return Err(Stop::Damaged);
        }
        let program = unit.dwarf.debug_line.program(DebugLineOffset(at), unit.header.address_size(), None, None)?;
        let mut program = program.rows();
        let (mut sequences, mut rows, mut from) = (Vec::new(), Vec::<Row>::new(), 0);
        while let Some((_, row)) = program.next_row()? {
            budget.step()?;
            let address = row.address();
            if row.end_sequence() {
                if let Some(first) = rows.get(from).filter(|first| first.address < address) {
                    let to = u32::try_from(rows.len()).map_err(|_| Stop::Damaged)?;
                    let start = first.address;
                    sequences.push(Sequence { start, end: address, from: u32::try_from(from).unwrap_or(to), to });
                } else {
                    rows.truncate(from);
                }
                from = rows.len();
                continue;
            }
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok()).unwrap_or(0);
            let new = Row { address, file: u32::try_from(row.file_index()).unwrap_or(u32::MAX), line };
            if rows.len() > from && rows.last().is_some_and(|last| last.address == address) {
                rows.pop();
            }
            if rows.len() + sequences.len() >= MAX_ROWS {
                return Err(Stop::Damaged);
            }
            rows.push(new);
        }
        rows.truncate(from);
        sequences.sort_unstable_by_key(|sequence| sequence.start);
        let header = program.header().clone();
        let lines = Self { header, sequences: sequences.into_boxed_slice(), rows: rows.into_boxed_slice() };
        budget.take(lines.bytes())?;
        Ok(lines)
    }

    /// Memory in use, in bytes.
    pub(super) fn bytes(&self) -> usize {
        // A file's entry, and a directory's, as gimli 0.34 keeps them.
        let names = self.header.file_names().len() * 112 + self.header.include_directories().len() * 32;
        size_of_val(&*self.sequences) + size_of_val(&*self.rows) + names + size_of::<Self>()
    }

    /// Start and end of each piece of code that has lines.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.sequences.iter().map(|sequence| (sequence.start, sequence.end))
    }

    /// File and line of an address.
    pub(super) fn find(&self, vaddr: u64) -> Option<Spot> {
        let after = self.sequences.partition_point(|sequence| sequence.start <= vaddr);
        let sequence = self.sequences.get(after.checked_sub(1)?).filter(|sequence| vaddr < sequence.end)?;
        let rows = self.rows.get(sequence.from as usize..sequence.to as usize)?;
        let row = rows.get(rows.partition_point(|row| row.address <= vaddr).checked_sub(1)?)?;
        Some(Spot { file: row.file.into(), line: row.line })
    }

    /// Path of a file by its number; `None` when there is no such file. Relative directories are in the unit's directory.
    pub(super) fn path(&self, unit: UnitRef<'_, Slice>, file: u64) -> Option<String> {
        let file = self.header.file(file)?;
        let mut path = Vec::new();
        if let Some(home) = unit.comp_dir {
            push(&mut path, home.slice());
        }
        // Directory 0 is the unit's directory.
        if file.directory_index() != 0
            && let Some(directory) = file.directory(&self.header)
        {
            push(&mut path, unit.attr_string(directory).ok()?.slice());
        }
        push(&mut path, unit.attr_string(file.path_name()).ok()?.slice());
        Some(String::from_utf8_lossy(&path).into_owned())
    }
}

/// Adds a part of a path. An absolute part replaces what is there. A path is cut to [`MAX_TEXT`].
fn push(path: &mut Vec<u8>, part: &[u8]) {
    if part.starts_with(b"/") {
        path.clear();
    } else if path.last().is_some_and(|last| *last != b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(&part[..part.len().min(MAX_TEXT.saturating_sub(path.len()))]);
}

/// Length of the header of the line program that starts here, in bytes.
fn header_length(program: &[u8]) -> Option<u64> {
    let word = |at: usize| program.get(at..)?.first_chunk().map(|raw| u32::from_le_bytes(*raw));
    let is_wide = word(0)? == u32::MAX;
    let version_at = if is_wide { 12 } else { 4 };
    let version = u16::from_le_bytes(*program.get(version_at..)?.first_chunk()?);
    let at = version_at + if version >= 5 { 4 } else { 2 };
    if is_wide { program.get(at..)?.first_chunk().map(|raw| u64::from_le_bytes(*raw)) } else { word(at).map(u64::from) }
}
