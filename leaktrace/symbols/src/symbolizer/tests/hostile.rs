//! Programs with hostile files: what the symbolizer refuses to open, unpack or name.

use super::*;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::Duration;

/// Symbol and line that the symbolizer gives for the function `leak`.
fn leak_of(scratch: &Scratch, file: &str, address: u64) -> (Option<String>, Option<u32>) {
    let locator = Locator::default();
    let frames = symbolizer(&locator).resolve_one(&place(&locator, &scratch.path(file), address), Role::Leaf);
    (frames[0].symbol.clone(), frames[0].line)
}

/// The same; fails if the symbolizer opens the FIFO.
fn leak_without_opening(scratch: &Scratch, fifo: &str, address: u64) -> (Option<String>, Option<u32>) {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| leak_of(scratch, "a", address));
        while !worker.is_finished() {
            // Opening for writing without blocking succeeds only if the FIFO has a reader. It also releases that reader.
            let opened = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(scratch.path(fifo));
            assert!(opened.is_err(), "{fifo} was opened");
            std::thread::sleep(Duration::from_millis(1));
        }
        worker.join().unwrap()
    })
}

fn program(scratch: &Scratch, flags: &str) -> Option<u64> {
    scratch.write("a.c", C);
    scratch.run(&format!("cc -g -O0 {flags} -o a a.c"))?;
    let (address, ..) = functions(scratch, "a")?.into_iter().find(|function| function.2 == "leak")?;
    Some(address)
}

#[test]
fn a_package_of_debug_information_beside_a_program_is_not_opened() {
    let scratch = Scratch::new();
    let Some(address) = program(&scratch, "") else { return };
    scratch.run("mkfifo a.dwp");
    let (symbol, line) = leak_without_opening(&scratch, "a.dwp", address);
    assert_eq!((symbol.as_deref(), line.is_some()), (Some("leak"), true));
}

#[test]
fn no_file_that_a_program_names_is_opened() {
    let scratch = Scratch::new();
    scratch.run("mkfifo fifo");
    let fifo = scratch.path("fifo");
    let fifo = fifo.to_str().unwrap();
    let links = [
        (".gnu_debuglink", "fifo\0\0\0\0sum.".to_owned()),
        (".gnu_debugaltlink", format!("{fifo}\0a build id of 20 byt")),
        (".debug_sup", format!("\x05\0\0{fifo}\0\x04sum.")),
    ];
    for (section, content) in links {
        let Some(address) = program(&scratch, "") else { return };
        scratch.write("link", &content);
        scratch.run(&format!("objcopy --add-section {section}=link a"));
        let (symbol, _) = leak_without_opening(&scratch, "fifo", address);
        assert_eq!(symbol.as_deref(), Some("leak"), "{section}");
    }
}

/// Overwrites a part of the program.
fn put(scratch: &Scratch, at: u64, bytes: &[u8]) {
    File::options().write(true).open(scratch.path("a")).unwrap().write_all_at(bytes, at).unwrap();
}

/// Offsets in the program of a section's header and of its content.
fn section(scratch: &Scratch, name: &str) -> (u64, u64) {
    let image = Image::new(open::regular(&scratch.path("a")).unwrap(), "a").unwrap();
    let number = image.elf.sections.iter().position(|section| section.name == name).unwrap();
    let headers = u64::from_le_bytes(image.bytes.array(40).unwrap());
    (headers + number as u64 * 64, image.elf.sections[number].offset)
}

#[test]
fn compressed_sections_are_unpacked_only_to_their_declared_and_acceptable_size() {
    let scratch = Scratch::new();
    let Some(address) = program(&scratch, "-gz=zlib") else { return };
    let (symbol, line) = leak_of(&scratch, "a", address);
    assert_eq!((symbol.as_deref(), line.is_some()), (Some("leak"), true));
    for name in [".debug_info", ".debug_str"] {
        let (_, content) = section(&scratch, name);
        let mut said = [0; 8];
        File::open(scratch.path("a")).unwrap().read_exact_at(&mut said, content + 8).unwrap();
        let real = u64::from_le_bytes(said);
        for hostile in [1 << 63, 1 << 46, 1 << 30, real - 1, 0] {
            put(&scratch, content + 8, &u64::to_le_bytes(hostile));
            let (symbol, line) = leak_of(&scratch, "a", address);
            assert_eq!((symbol.as_deref(), line), (Some("leak"), None), "{name} {hostile:#x}");
        }
        put(&scratch, content + 8, &said);
    }
}

#[test]
fn a_huge_symbol_table_is_not_read() {
    let scratch = Scratch::new();
    let Some(address) = program(&scratch, "") else { return };
    scratch.run("objcopy --strip-debug a");
    let (header, _) = section(&scratch, ".symtab");
    assert_eq!(leak_of(&scratch, "a", address), (Some("leak".to_owned()), None));
    let size = 24_u64 << 32;
    put(&scratch, header + 32, &size.to_le_bytes());
    File::options().write(true).open(scratch.path("a")).unwrap().set_len(size << 1).unwrap();
    assert_eq!(leak_of(&scratch, "a", address), (None, None));
}

#[test]
fn a_file_with_damaged_section_headers_is_not_read() {
    let scratch = Scratch::new();
    let Some(address) = program(&scratch, "") else { return };
    // The size of a section header.
    put(&scratch, 58, &[63]);
    assert_eq!(leak_of(&scratch, "a", address), (None, None));
}

#[test]
fn a_file_with_overwritten_headers_is_not_read_even_with_its_old_time() {
    let scratch = Scratch::new();
    let Some(address) = program(&scratch, "") else { return };
    let locator = Locator::default();
    let location = place(&locator, &scratch.path("a"), address);
    let (header, _) = section(&scratch, ".comment");
    let modified = std::fs::metadata(scratch.path("a")).unwrap().modified().unwrap();
    put(&scratch, header + 32, &[0xff; 8]);
    File::options().write(true).open(scratch.path("a")).unwrap().set_modified(modified).unwrap();
    let frames = symbolizer(&locator).resolve_one(&location, Role::Leaf);
    assert_eq!(frames[0].symbol, None);
}
