//! What the symbolizer does not do for a program that wants it to.

use super::tests::{C, functions, symbolizer};
use super::*;
use crate::symbols::Locator;
use crate::symbols::testing::{Scratch, place};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Symbol and line of the function `leak` in a program.
fn leak_of(scratch: &Scratch, file: &str, address: u64) -> (Option<String>, Option<u32>) {
    let locator = Locator::default();
    let frames = symbolizer(&locator).resolve_one(&place(&locator, &scratch.path(file), address), Role::Leaf);
    (frames[0].symbol.clone(), frames[0].line)
}

/// The same, while nobody may open the FIFO there.
fn leak_without_opening(scratch: &Scratch, fifo: &str, address: u64) -> (Option<String>, Option<u32>) {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| leak_of(scratch, "a", address));
        while !worker.is_finished() {
            // There is a writer only where there is a reader, who goes on then.
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
