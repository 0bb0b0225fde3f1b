//! For tests: programs built by this machine's compilers, and stacks captured from them while they wait.

use super::unwind::is_after_call;
use super::{Locator, image, open};
use leaktrace_model::{ChainEnd, FrameChain, Location, Module, ModuleKind, StackCopy};
use leaktrace_skip::{Lack, skip};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread allocates and frees.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: gives every request to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|all| all.set(all.get().wrapping_add(layout.size())));
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.with(|all| all.set(all.get().wrapping_sub(layout.size())));
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that this thread has allocated and not freed.
pub(crate) fn allocated_here() -> usize {
    ALLOCATED.with(Cell::get)
}

/// A temporary directory, removed when dropped.
pub(crate) struct Scratch(pub PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("leaktrace-symbols-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs a tool in the directory. Prints SKIP and returns `None` when it is not installed; panics when it fails.
    pub(crate) fn run(&self, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut tool = Command::new(words[0]);
        tool.args(&words[1..]).current_dir(&self.0).env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local");
        tool.env("GOCACHE", std::env::temp_dir().join("leaktrace-go-cache")).env("GO111MODULE", "off");
        let output = match tool.output() {
            Ok(output) => output,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{command}: {error}");
                skip(Lack::Program(words[0]));
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

/// Location of an address of a file, as if a process had mapped the file.
pub(crate) fn place(locator: &Locator, path: &Path, vaddr: u64) -> Location {
    let mut image = image::Image::new(open::regular(path).unwrap(), "").unwrap();
    let offset = image.elf.offset_of(vaddr).unwrap();
    let crate::identity::Identity { device, inode, size, modified_ns } = image.identity();
    let module = Module {
        path: path.to_str().unwrap().to_owned(),
        kind: ModuleKind::File,
        device,
        inode,
        size,
        modified_ns,
        build_id: image.elf.build_id.clone(),
    };
    image.find_debug(&crate::fetch::Direct::default(), None, &module.path);
    if locator.images().held(&module.content().unwrap()).is_none() {
        locator.images().keep(module.content().unwrap(), image);
    }
    Location { address: vaddr, module: locator.modules().intern(module), offset, name: None }
}

/// A running program, killed when dropped.
pub(crate) struct Running(pub Child);

impl Running {
    /// Starts a program and waits until it has written a line and sleeps. The test programs write one right before they pause.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_reading(command, Stdio::null())
    }

    /// The same, with a standard input.
    pub(crate) fn start_reading(command: &mut Command, stdin: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stdin(stdin).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{command:?} said nothing");
        let running = Self(child);
        // Some thread still runs, between the write and the pause.
        while running.threads().iter().any(|tid| {
            let stat = std::fs::read_to_string(format!("/proc/{}/task/{tid}/stat", running.pid())).unwrap_or_default();
            !stat.contains(") S ")
        }) {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        running
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// The threads of the process.
    pub(crate) fn threads(&self) -> Vec<u32> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        threads.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
    }

    /// A thread of the process other than its first one.
    pub(crate) fn other_thread(&self) -> u32 {
        self.threads().into_iter().filter(|id| *id != self.pid()).max().unwrap()
    }
}

/// Addresses of gdb's backtrace of a thread, without frames that have no return address on the stack: inlined functions and
/// tail calls. Prints SKIP and returns `None` without gdb.
pub(crate) fn gdb_backtrace(pid: u32, tid: u32) -> Option<Vec<u64>> {
    let walk = "python\nf = gdb.newest_frame()\nwhile f is not None:\n  \
                if f.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME): print('PC %x' % f.pc())\n  f = f.older()\nend";
    let script = Scratch::new();
    let path = script.write(
        "walk.gdb",
        &format!(
            "set backtrace past-main on\nset backtrace past-entry off\npython\nfor t in gdb.selected_inferior().threads():\n  \
             if t.ptid[1] == {tid}: t.switch()\nend\n{walk}\n"
        ),
    );
    let output = Command::new("gdb").args(["-nx", "-batch", "-p", &pid.to_string(), "-x"]).arg(path).output();
    let Ok(output) = output else {
        skip(Lack::Program("gdb"));
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let addresses: Vec<u64> =
        text.lines().filter_map(|line| u64::from_str_radix(line.strip_prefix("PC ")?, 16).ok()).collect();
    assert!(!addresses.is_empty(), "gdb says nothing: {text} {}", String::from_utf8_lossy(&output.stderr));
    Some(addresses)
}

/// Length of a stack copy, in bytes, as the hooks take it.
const STACK_COPY_BYTES: usize = 24576;

/// Registers and stack of a thread, as the hook captures them.
pub(crate) struct Taken {
    registers: [u64; 3],
    bytes: Vec<u8>,
}

impl Taken {
    /// As a tracer hands it over.
    pub(crate) fn copy(&self) -> StackCopy<'_> {
        let [ip, sp, bp] = self.registers;
        StackCopy { ip, sp, bp, bytes: &self.bytes }
    }
}

/// A stack as the kernel side's walk by frame pointers gives it.
pub(crate) struct Walked {
    frames: Vec<u64>,
    ended: ChainEnd,
    leaf_return: u64,
}

impl Walked {
    /// As a tracer hands it over.
    pub(crate) fn chain(&self) -> FrameChain<'_> {
        FrameChain { frames: &self.frames, ended: self.ended, leaf_return: self.leaf_return }
    }
}

/// Takes registers and stack of a thread.
pub(crate) fn take(tid: u32) -> Taken {
    let thread = i32::try_from(tid).unwrap();
    // SAFETY: user_regs_struct has only integer fields, for which zero is valid.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let call = |request, data: *mut libc::c_void| {
        let address = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: data is null, or points to a user_regs_struct for PTRACE_GETREGS.
        let result = unsafe { libc::ptrace(request, thread, address, data) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    };
    call(libc::PTRACE_SEIZE, std::ptr::null_mut());
    call(libc::PTRACE_INTERRUPT, std::ptr::null_mut());
    let mut status = 0;
    // SAFETY: the pointer is to a valid integer on this stack for the whole call.
    let waited = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
    assert_eq!(waited, thread);
    call(libc::PTRACE_GETREGS, (&raw mut registers).cast());
    let mut bytes = vec![0; STACK_COPY_BYTES];
    let memory = std::fs::File::open(format!("/proc/{tid}/mem")).unwrap();
    let mut len = 0;
    while len < STACK_COPY_BYTES {
        match memory.read_at(&mut bytes[len..], registers.rsp + len as u64) {
            Ok(count) if count > 0 => len += count,
            _ => break,
        }
    }
    bytes.truncate(len);
    call(libc::PTRACE_DETACH, std::ptr::null_mut());
    Taken { registers: [registers.rip, registers.rsp, registers.rbp], bytes }
}

/// Walks a thread by frame pointers, as the kernel side does.
pub(crate) fn frame_pointer_walk(tid: u32) -> Walked {
    let taken = take(tid);
    let copy = taken.copy();
    let word = |address: u64| {
        let at = usize::try_from(address.checked_sub(copy.sp)?).ok()?;
        copy.bytes.get(at..)?.first_chunk().map(|raw| u64::from_le_bytes(*raw))
    };
    let mut walked = Walked { frames: vec![copy.ip], ended: ChainEnd::Broken, leaf_return: 0 };
    let memory = std::fs::File::open(format!("/proc/{tid}/mem")).unwrap();
    if let Some(top) = word(copy.sp) {
        let mut before = [0; 7];
        let read = top.checked_sub(7).is_some_and(|from| memory.read_exact_at(&mut before, from).is_ok());
        walked.leaf_return = if read && is_after_call(&before) { top } else { 0 };
    }
    let mut bp = copy.bp;
    while let (Some(next), Some(caller)) = (word(bp), word(bp.wrapping_add(8))) {
        walked.frames.push(caller);
        if next <= bp {
            walked.ended = if next == 0 { ChainEnd::AtStart } else { ChainEnd::Broken };
            break;
        }
        bp = next;
    }
    walked
}
