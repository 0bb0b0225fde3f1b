//! Running a program at the end of single system calls: perf events on their tracepoints.
//!
//! With them the kernel itself checks which system call has ended. Other system calls then cost about half of what they cost with a
//! program on `sys_exit`. The numbers of the tracepoints are only in tracefs. Where tracefs is not mounted, this module opens it
//! without mounting it. aya can only use a mounted one.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::Path,
};

/// Where tracefs is mounted, if it is.
const MOUNTED: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// `PERF_TYPE_TRACEPOINT`, and the size of the first version of `struct perf_event_attr` (include/uapi/linux/perf_event.h).
const TRACEPOINT: u32 = 2;
const ATTRIBUTE_BYTES: usize = 64;

/// A flag of perf_event_open(2) and requests on its descriptor (include/uapi/linux/perf_event.h).
const CLOEXEC: libc::c_ulong = 8;
const ENABLE: libc::c_ulong = 0x2400;
const SET_BPF: libc::c_ulong = 0x4004_2408;

/// `FSCONFIG_CMD_CREATE`, and the close-on-exec flags of fsopen(2) and fsmount(2) (include/uapi/linux/mount.h).
const CREATE: libc::c_uint = 6;
const CLOSE_ON_EXEC: libc::c_uint = 1;

/// Why no program can be attached to the end of a system call.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallEventsError {
    /// tracefs cannot be opened, so the numbers of tracepoints are unknown.
    #[error("tracefs is not mounted and cannot be opened ({0}): mount it at {mounted}, or run with CAP_SYS_ADMIN", mounted = MOUNTED[0])]
    Tracefs(#[source] io::Error),
    /// The tracepoint does not exist, or its use is not permitted.
    #[error("cannot attach to the end of {call} ({error})")]
    Call {
        /// The system call.
        call: String,
        /// The kernel's answer.
        #[source]
        error: io::Error,
    },
}

/// Programs attached to the ends of system calls. Dropping this detaches them.
#[derive(Debug)]
pub(super) struct CallEvents(#[expect(dead_code, reason = "open is all they must be")] Vec<OwnedFd>);

impl CallEvents {
    /// Runs a program of type `tracepoint`, already loaded, at the end of each of the system calls.
    pub(super) fn attach(program: BorrowedFd<'_>, calls: &[&str]) -> Result<Self, CallEventsError> {
        let tracefs = Tracefs::open().map_err(CallEventsError::Tracefs)?;
        let attach = |call: &&str| {
            let event = tracefs.number_of(call).and_then(|number| attach_to(number, program));
            event.map_err(|error| CallEventsError::Call { call: (*call).to_owned(), error })
        };
        calls.iter().map(attach).collect::<Result<_, _>>().map(Self)
    }
}

/// Attaches a program to a tracepoint. One event is enough: the program runs on every processor, not only where the event counts.
fn attach_to(tracepoint: u64, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attribute = [0_u8; ATTRIBUTE_BYTES];
    attribute[..4].copy_from_slice(&TRACEPOINT.to_ne_bytes());
    attribute[4..8].copy_from_slice(&(ATTRIBUTE_BYTES as u32).to_ne_bytes());
    attribute[8..16].copy_from_slice(&tracepoint.to_ne_bytes());
    // A sample for every event, but only once the program is attached (`disabled`, the first flag).
    attribute[16..24].copy_from_slice(&1_u64.to_ne_bytes());
    attribute[40] = 1;
    let (every_process, first_processor, no_group) = (-1, 0, -1);
    // SAFETY: the attribute has the size that it states, and stays valid during the call.
    let event = owned(unsafe {
        libc::syscall(libc::SYS_perf_event_open, attribute.as_ptr(), every_process, first_processor, no_group, CLOEXEC)
    })?;
    // SAFETY: both descriptors are open.
    done(unsafe { libc::ioctl(event.as_raw_fd(), SET_BPF, program.as_raw_fd()) })?;
    // SAFETY: the descriptor is open.
    done(unsafe { libc::ioctl(event.as_raw_fd(), ENABLE, 0) })?;
    Ok(event)
}

/// The files of tracefs.
enum Tracefs {
    Mounted(&'static Path),
    /// Opened by this process and mounted nowhere.
    Own(OwnedFd),
}

impl Tracefs {
    fn open() -> io::Result<Self> {
        if let Some(path) = MOUNTED.map(Path::new).into_iter().find(|path| path.join("events").is_dir()) {
            return Ok(Self::Mounted(path));
        }
        // SAFETY: the name ends in a zero byte.
        let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), CLOSE_ON_EXEC) })?;
        let nothing = std::ptr::null::<libc::c_char>();
        // SAFETY: this command takes neither key nor value.
        let created = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, nothing, nothing, 0) };
        done(created as libc::c_int)?;
        // SAFETY: the descriptor is open.
        owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOSE_ON_EXEC, 0) }).map(Self::Own)
    }

    /// The number of the tracepoint at the end of a system call.
    fn number_of(&self, call: &str) -> io::Result<u64> {
        let path = format!("events/syscalls/sys_exit_{call}/id");
        let text = match self {
            Self::Mounted(root) => fs::read_to_string(root.join(&path))?,
            Self::Own(root) => read_below(root.as_fd(), &path)?,
        };
        text.trim().parse().map_err(|_| io::Error::other(format!("the number of {path} is {text:?}")))
    }
}

fn read_below(root: BorrowedFd<'_>, path: &str) -> io::Result<String> {
    let path = std::ffi::CString::new(path)?;
    // SAFETY: the path ends in a zero byte.
    let file = owned(unsafe {
        libc::syscall(libc::SYS_openat, root.as_raw_fd(), path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
    })?;
    let mut text = String::new();
    File::from(file).take(64).read_to_string(&mut text)?;
    Ok(text)
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    done(result as libc::c_int)?;
    // SAFETY: the kernel has just made the descriptor for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(result as libc::c_int) })
}
