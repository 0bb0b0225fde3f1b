//! Parses `/proc/PID/maps` (Linux: `show_map_vma` in fs/proc/task_mmu.c): the executable mappings of a process.
//!
//! Pure: takes text and opens nothing. The text is not trusted, because a process chooses the names of its files.

use serde::{Deserialize, Serialize};

/// Most executable mappings of one process. More are left out and counted.
pub(crate) const MAX_MAPPINGS: usize = 65_536;
/// Longest text of one process, in bytes.
pub(crate) const MAX_TEXT: u64 = 32 << 20;

/// One executable mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Offset in the file of the first byte.
    pub offset: u64,
    /// Device number as the kernel prints it: major and minor.
    pub device: (u32, u32),
    /// Inode; 0 without a file.
    pub inode: u64,
    /// What is mapped.
    pub backing: Backing,
}

/// What is mapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Backing {
    /// A file.
    File {
        /// Path as the process sees it.
        path: String,
        /// Whether the kernel marks it `(deleted)`: the name is gone or belongs to another file.
        deleted: bool,
    },
    /// The vDSO.
    Vdso,
    /// Memory that the kernel names in brackets, such as `[heap]` or `[anon:v8]`.
    Special(String),
    /// Memory without a name.
    Anonymous,
}

/// The executable mappings of a process, sorted by address, without overlaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mappings {
    sorted: Vec<Mapping>,
    /// Number of lines that could not be parsed, and of mappings beyond [`MAX_MAPPINGS`].
    pub left_out: usize,
}

impl Mappings {
    /// Parses the text of a maps file. Lines that cannot be parsed are left out.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut sorted = Vec::new();
        let mut left_out = 0;
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match parse_line(line) {
                Some(Line::Executable(mapping)) if sorted.len() < MAX_MAPPINGS => sorted.push(mapping),
                Some(Line::Other) => {}
                Some(Line::Executable(_)) | None => left_out += 1,
            }
        }
        // The kernel writes them in order. Other text must not break the binary search.
        sorted.sort_by_key(|mapping| mapping.start);
        let mut end = 0;
        sorted.retain(|mapping| {
            let sound = mapping.start >= end;
            end = end.max(mapping.end);
            left_out += usize::from(!sound);
            sound
        });
        Self { sorted, left_out }
    }

    /// The mapping that contains an address, with its index.
    pub(crate) fn at(&self, address: u64) -> Option<(usize, &Mapping)> {
        let index = self.sorted.partition_point(|mapping| mapping.start <= address).checked_sub(1)?;
        let mapping = self.sorted.get(index)?;
        (address < mapping.end).then_some((index, mapping))
    }

    /// All mappings, sorted by address.
    pub(crate) fn as_slice(&self) -> &[Mapping] {
        &self.sorted
    }
}

enum Line {
    Executable(Mapping),
    Other,
}

/// `start-end perms offset major:minor inode        path`
fn parse_line(line: &[u8]) -> Option<Line> {
    let mut rest = line;
    let (start, end) = split_number(next_word(&mut rest)?, b'-')?;
    let permissions = next_word(&mut rest)?;
    let offset = hex(next_word(&mut rest)?)?;
    let (major, minor) = split_number(next_word(&mut rest)?, b':')?;
    let inode = std::str::from_utf8(next_word(&mut rest)?).ok()?.parse().ok()?;
    // Refuses an offset that overflows with the length: it is in no file.
    offset.checked_add(end.checked_sub(start)?)?;
    if permissions.get(2) != Some(&b'x') || start == end {
        return Some(Line::Other);
    }
    let device = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
    Some(Line::Executable(Mapping {
        start,
        end,
        offset,
        device,
        inode,
        backing: backing(rest.trim_ascii_start(), inode),
    }))
}

fn backing(name: &[u8], inode: u64) -> Backing {
    match name {
        b"" => Backing::Anonymous,
        b"[vdso]" if inode == 0 => Backing::Vdso,
        _ if name.starts_with(b"[") && inode == 0 => Backing::Special(String::from_utf8_lossy(name).into_owned()),
        _ => {
            let path = name.strip_suffix(b" (deleted)");
            let deleted = path.is_some();
            Backing::File { path: unescape(path.unwrap_or(name)), deleted }
        }
    }
}

/// The kernel writes a newline in a name as `\012`.
fn unescape(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace("\\012", "\n")
}

fn next_word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let text = rest.trim_ascii_start();
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, tail) = text.split_at_checked(end)?;
    *rest = tail;
    (!word.is_empty()).then_some(word)
}

fn split_number(word: &[u8], separator: u8) -> Option<(u64, u64)> {
    let at = word.iter().position(|&byte| byte == separator)?;
    Some((hex(&word[..at])?, hex(word.get(at + 1..)?)?))
}

fn hex(digits: &[u8]) -> Option<u64> {
    // `from_str_radix` also accepts a sign, which the kernel never writes.
    digits.first()?.is_ascii_hexdigit().then_some(())?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REAL: &[u8] = b"\
5627d9a00000-5627d9a02000 r--p 00000000 fe:00 1052434                    /usr/bin/cat
5627d9a02000-5627d9a07000 r-xp 00002000 fe:00 1052434                    /usr/bin/cat
7f10a0000000-7f10a0001000 r-xp 00001000 00:2d 99                         /srv/my app/a\\012b.so (deleted)
7f10a0001000-7f10a0002000 rwxp 00000000 00:00 0 
7f10a0002000-7f10a0003000 r-xp 00000000 00:00 0                          [anon:v8]
7ffd3a5fe000-7ffd3a600000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn real_lines_are_read_and_only_code_is_kept() {
        let maps = Mappings::parse(REAL);
        assert_eq!(maps.left_out, 0);
        assert_eq!(maps.as_slice().len(), 6);
        let (_, cat) = maps.at(0x5627d9a02000).unwrap();
        assert_eq!((cat.offset, cat.device, cat.inode), (0x2000, (0xfe, 0), 1_052_434));
        assert_eq!(cat.backing, Backing::File { path: "/usr/bin/cat".into(), deleted: false });
        assert!(maps.at(0x5627d9a00000).is_none(), "not executable");
        assert!(maps.at(0x5627d9a07000).is_none(), "behind the end");
        let (_, gone) = maps.at(0x7f10a0000fff).unwrap();
        assert_eq!(gone.backing, Backing::File { path: "/srv/my app/a\nb.so".into(), deleted: true });
        assert_eq!(maps.at(0x7f10a0001000).unwrap().1.backing, Backing::Anonymous);
        assert_eq!(maps.at(0x7ffd3a5fe000).unwrap().1.backing, Backing::Vdso);
    }

    #[test]
    fn this_process_finds_its_own_code() {
        let maps = Mappings::parse(&std::fs::read("/proc/self/maps").unwrap());
        let (_, mapping) = maps.at(parse_line as *const () as u64).unwrap();
        assert!(matches!(mapping.backing, Backing::File { deleted: false, .. }));
        assert_eq!(maps.left_out, 0);
    }

    #[test]
    fn ten_thousand_mappings_are_all_found() {
        let text: String =
            (0..10_000u64).map(|i| format!("{:x}-{:x} r-xp 0 00:00 0\n", i * 8192, i * 8192 + 4096)).collect();
        let maps = Mappings::parse(text.as_bytes());
        assert_eq!(maps.as_slice().len(), 10_000);
        assert!((0..10_000).all(|i| maps.at(i * 8192 + 4095).is_some() && maps.at(i * 8192 + 4096).is_none()));
    }

    #[test]
    fn more_mappings_than_are_kept_are_counted() {
        let text: String = (0..70_000u64).map(|i| format!("{:x}-{:x} r-xp 0 00:00 0\n", i, i + 1)).collect();
        let maps = Mappings::parse(text.as_bytes());
        assert_eq!((maps.as_slice().len(), maps.left_out), (MAX_MAPPINGS, 70_000 - MAX_MAPPINGS));
    }

    #[test]
    fn overlapping_and_reversed_ranges_do_not_confuse_the_search() {
        let maps = Mappings::parse(b"2000-4000 r-xp 0 0:0 0\n1000-3000 r-xp 0 0:0 0\n9-1 r-xp 0 0:0 0\n");
        assert_eq!((maps.as_slice().len(), maps.left_out), (1, 2));
        assert_eq!(maps.at(0x2fff).unwrap().1.start, 0x1000);
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_what_is_kept_is_in_order(text in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let maps = Mappings::parse(&text);
            prop_assert!(maps.as_slice().windows(2).all(|pair| pair[0].end <= pair[1].start));
        }

        #[test]
        fn damaged_lines_never_panic(at in 0..REAL.len(), value: u8, cut in 0..REAL.len()) {
            let mut text = REAL.to_vec();
            text[at] = value;
            text.truncate(cut);
            let maps = Mappings::parse(&text);
            prop_assert!(maps.as_slice().len() <= 7);
        }
    }
}
