//! Takes from a helper process what it does not need. Called once, before it reads anything foreign.
//!
//! The namer keeps no capability, is no user's process, may open no file and make no call beyond a short list. The fetcher keeps the
//! capabilities that opening files and reading memory of other users take, and may write nothing.

use super::memory;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::{collections::BTreeMap, io};

/// A user that no one is: beyond what distributions, container runtimes and systemd hand out, and not the last two numbers, which have a
/// meaning of their own in system calls.
const NO_USER: libc::uid_t = 0xffff_7000;

/// Most bytes of private memory of a namer, beside what its tables may take.
const NAMER_BYTES: usize = 64 << 20;

/// Most bytes of private memory of a fetcher: the text of a process's mappings, and what they become.
const FETCHER_BYTES: usize = 96 << 20;

/// See [`namer`].
const SPARE_BYTES: usize = 32 << 20;

/// Descriptors that the namer may hold: files that are open, their debug files, the lines.
const NAMER_FILES: u64 = 1024;

/// What the fetcher keeps: `/proc/PID/mem` and `maps` of other users, their files, `/proc/PID/map_files`.
const FETCHER_KEEPS: [Capability; 3] =
    [Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH, Capability::CAP_CHECKPOINT_RESTORE];

/// Confines the namer, whose tables may take `table_bytes`. `start_threads` runs when the privileges are gone and calls are not filtered
/// yet: no thread can be started later.
///
/// # Errors
/// When the kernel refuses what it always grants, and those of `start_threads`.
pub(crate) fn namer<T>(table_bytes: usize, start_threads: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let most = NAMER_BYTES.saturating_add(table_bytes);
    memory::cap(most);
    // Beside what is allocated: the program's own data, stacks, what the allocator has not given back.
    limit(Resource::RLIMIT_DATA, (most + SPARE_BYTES) as u64)?;
    limit(Resource::RLIMIT_NOFILE, NAMER_FILES)?;
    become_no_user(&CapsHashSet::new())?;
    let threads = start_threads()?;
    allow_calls(NAMER_CALLS.iter().chain(&COMMON_CALLS))?;
    Ok(threads)
}

/// Confines the fetcher.
///
/// # Errors
/// When the kernel refuses what it always grants.
pub(crate) fn fetcher() -> io::Result<()> {
    memory::cap(FETCHER_BYTES);
    limit(Resource::RLIMIT_DATA, (FETCHER_BYTES + SPARE_BYTES) as u64)?;
    become_no_user(&CapsHashSet::from(FETCHER_KEEPS))?;
    allow_calls(FETCHER_CALLS.iter().chain(&COMMON_CALLS))
}

/// Changes the user, keeps these capabilities of those that there are, and gains none ever again.
fn become_no_user(keep: &CapsHashSet) -> io::Result<()> {
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_FSIZE, 0)?;
    let has = |capability| caps::has_cap(None, CapSet::Permitted, capability).unwrap_or(false);
    let kept: CapsHashSet = keep.iter().copied().filter(|capability| has(*capability)).collect();
    if has(Capability::CAP_SETPCAP) {
        for capability in caps::all() {
            // A kernel that is older than a capability does not know it.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
    // Without these, or in a user namespace without that user, the process stays the user that it is.
    if has(Capability::CAP_SETUID) && has(Capability::CAP_SETGID) {
        // SAFETY: the calls take numbers, and a list of no groups.
        unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1) };
        // SAFETY: as above.
        let _ = unsafe { libc::setgroups(0, std::ptr::null()) };
        // SAFETY: as above.
        let _ = unsafe { libc::setresgid(NO_USER, NO_USER, NO_USER) };
        // SAFETY: as above.
        let _ = unsafe { libc::setresuid(NO_USER, NO_USER, NO_USER) };
    }
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(io::Error::other)?;
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(io::Error::other)?;
    }
    // Changing the user clears it; see prctl(2).
    // SAFETY: the calls take numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let most = most.min(hard);
    Ok(setrlimit(resource, most, most)?)
}

/// Every other call of any thread ends the process.
fn allow_calls<'a>(calls: impl Iterator<Item = &'a libc::c_long>) -> io::Result<()> {
    // SAFETY: the call takes numbers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let rules: BTreeMap<i64, Vec<_>> = calls.map(|call| (*call, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    match seccompiler::apply_filter_all_threads(&program) {
        Ok(()) => Ok(()),
        // A kernel without seccomp filters. The process is confined by the rest.
        Err(seccompiler::Error::Seccomp(error))
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) =>
        {
            Ok(())
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

/// What both need: memory, the lines, open files, an end.
const COMMON_CALLS: [libc::c_long; 34] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
];

/// What the namer needs beside that.
const NAMER_CALLS: [libc::c_long; 3] = [
    // The copy of the vDSO.
    libc::SYS_memfd_create,
    // A panic's end.
    libc::SYS_gettid,
    libc::SYS_tgkill,
];

/// What the fetcher needs beside that.
const FETCHER_CALLS: [libc::c_long; 5] =
    [libc::SYS_openat, libc::SYS_openat2, libc::SYS_readlink, libc::SYS_gettid, libc::SYS_tgkill];

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    /// Runs `act` in a process of its own after `confine`, and says how it ended: a signal, or what `act` returned.
    fn ends(confine: impl FnOnce() -> io::Result<()>, act: impl FnOnce() -> u8) -> Result<u8, i32> {
        // SAFETY: the child makes system calls only, allocates little, and ends by itself.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let outcome = if confine().is_ok() { act() } else { 101 };
            // SAFETY: ends this process.
            unsafe { libc::_exit(outcome.into()) };
        }
        let mut status = 0;
        // SAFETY: waits for this test's own child.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        let status = std::process::ExitStatus::from_raw(status);
        status.signal().map_or_else(|| Ok(status.code().unwrap_or(102) as u8), Err)
    }

    #[test]
    fn a_confined_process_can_neither_start_programs_nor_reach_the_network() {
        // SAFETY: the calls make a socket and a process.
        let socket = || unsafe { u8::from(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) >= 0) };
        // SAFETY: as above.
        let fork = || unsafe { u8::from(libc::fork() >= 0) };
        assert_eq!(ends(|| namer(0, || Ok(())), socket), Err(libc::SIGSYS));
        assert_eq!(ends(fetcher, socket), Err(libc::SIGSYS));
        assert_eq!(ends(|| namer(0, || Ok(())), fork), Err(libc::SIGSYS));
        assert_eq!(ends(fetcher, fork), Err(libc::SIGSYS));
        assert_eq!(ends(|| namer(0, || Ok(())), || 7), Ok(7));
        assert_eq!(ends(fetcher, || 7), Ok(7));
    }
}
