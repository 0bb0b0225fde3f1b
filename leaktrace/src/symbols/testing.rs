//! For tests: programs made by the compilers of this machine, and what is captured of them while they wait.

use super::location::{Location, Module, ModuleKind};
use super::{Locator, image, open};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that goes away with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("leaktrace-symbols-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs a tool in the directory. `None` when it is not installed, which is said; a tool that fails is a failed test.
    pub fn run(&self, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut tool = Command::new(words[0]);
        tool.args(&words[1..]).current_dir(&self.0).env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local");
        tool.env("GOCACHE", std::env::temp_dir().join("leaktrace-go-cache")).env("GO111MODULE", "off");
        let output = match tool.output() {
            Ok(output) => output,
            Err(error) => {
                println!("SKIP {} cannot be run: {error}", words[0]);
                return None;
            }
        };
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {error}");
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Place of an address in a file, as if a process had it mapped.
pub fn place(locator: &Locator, path: &Path, vaddr: u64) -> Location {
    let mut image = image::Image::new(open::regular(path).unwrap()).unwrap();
    let offset = image.elf.offset_of(vaddr).unwrap();
    let image::Identity { device, inode, size, modified_ns } = image.identity();
    let module = Module {
        path: path.to_str().unwrap().to_owned(),
        kind: ModuleKind::File,
        device,
        inode,
        size,
        modified_ns,
        build_id: image.elf.build_id.clone(),
    };
    image.find_debug(None, &module.path);
    if locator.images().held(&module.content().unwrap()).is_none() {
        locator.images().keep(module.content().unwrap(), image);
    }
    Location { address: vaddr, module: locator.modules().intern(module), offset, name: None }
}

/// A running program, killed at the end.
pub struct Running(pub Child);

impl Running {
    /// Starts a program and waits until it has written a line, which it does right before it waits for ever.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{command:?} said nothing");
        Self(child)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
