//! What is known about one process.

use super::cgroup::placement;
use leaktrace_model::ProcessFacts;
use std::fs;

/// Reads what is known about a process; `None` for one that is gone.
pub(crate) fn read_process(pid: u32) -> Option<ProcessFacts> {
    let (comm, started) = parse_stat(&process_text(pid, "stat")?)?;
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let groups = process_text(pid, "cgroup").unwrap_or_default();
    Some(ProcessFacts {
        pid,
        comm,
        exe: exe.map(|path| path.to_string_lossy().into_owned()),
        placement: placement(&groups),
        descriptor_limit: descriptor_limit(pid),
        started,
    })
}

/// The text of a file in `/proc/PID`; `None` for a process that is gone. A process may have any bytes in its name; bytes that are not
/// UTF-8 are replaced, so that such a process is not hidden.
pub fn process_text(pid: u32, file: &str) -> Option<String> {
    fs::read(format!("/proc/{pid}/{file}")).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Name and start time from `/proc/PID/stat`. The name is in parentheses and may contain parentheses.
fn parse_stat(stat: &str) -> Option<(String, u64)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, comm) = before.split_once('(')?;
    const STARTTIME_AFTER_NAME: usize = 19;
    let started = after.split_whitespace().nth(STARTTIME_AFTER_NAME)?.parse().ok()?;
    Some((comm.to_owned(), started))
}

/// Soft limit of open descriptors of a process.
fn descriptor_limit(pid: u32) -> Option<u64> {
    parse_descriptor_limit(&process_text(pid, "limits")?)
}

fn parse_descriptor_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read_whole() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1000 1 184 0";
        assert_eq!(parse_stat(stat), Some(("a) b (c".to_owned(), 777)));
    }

    #[test]
    fn the_soft_limit_is_read_and_unlimited_is_none() {
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096      files\n";
        assert_eq!(parse_descriptor_limit(limits), Some(1024));
        assert_eq!(parse_descriptor_limit("Max open files   unlimited  unlimited files"), None);
    }

    #[test]
    fn a_name_that_is_not_text_hides_no_process() {
        let named = || {
            // SAFETY: the name ends with a zero, and only this thread gets it.
            unsafe { libc::prctl(libc::PR_SET_NAME, c"na\xffme".as_ptr()) };
            // SAFETY: the call has no conditions.
            let thread = unsafe { libc::gettid() };
            read_process(thread.unsigned_abs())
        };
        let facts = std::thread::spawn(named).join().unwrap();
        assert_eq!(facts.map(|facts| facts.comm).as_deref(), Some("na\u{fffd}me"));
    }

    #[test]
    fn this_process_is_known() {
        let facts = read_process(std::process::id());
        assert!(facts.is_some_and(|facts| facts.exe.is_some() && facts.started > 0));
    }
}
