//! What another user has put where root writes. These tests make files of other users, so they need root.

use super::*;
use leaktrace_skip::{Lack, skip};
use nix::{
    sys::{
        signal::{kill, raise},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Gid, Pid, Uid, fork, mkfifo},
};
use std::os::unix::fs::{chown, lchown};
use std::time::{Duration, Instant};

const STRANGER: u32 = 65_534;
const CALLER: u32 = 54_321;

/// Root without sudo.
fn root() -> Caller {
    Caller::of(0, 0, |_| None)
}

/// Root by sudo.
fn by_sudo() -> Caller {
    Caller::of(0, 0, |name| {
        Some(match name {
            "SUDO_UID" => CALLER.to_string(),
            _ => (CALLER + 1).to_string(),
        })
    })
}

/// A folder like /tmp, if this is root: everybody can write it.
fn shared() -> Option<tempfile::TempDir> {
    if !nix::unistd::geteuid().is_root() {
        skip(Lack::Privilege("only root can make files of other users"));
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
    Some(folder)
}

fn write(path: &Path, caller: &Caller) -> Result<(), OutputError> {
    write_file(path, None, caller, |out| out.write_all(b"report"))
}

/// What all ways to write say, which is the same.
fn refusal(path: &Path, caller: &Caller) -> String {
    let checked = check_file(path, caller).unwrap_err().to_string();
    assert_eq!(write(path, caller).unwrap_err().to_string(), checked);
    assert_eq!(growing_file(path, None, caller).unwrap_err().to_string(), checked);
    checked
}

#[test]
fn a_link_in_a_shared_folder_is_not_followed_wherever_it_is_in_the_path() {
    let Some(folder) = shared() else { return };
    let private = tempfile::tempdir().unwrap();
    let precious = private.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let path = |name: &str| folder.path().join(name);
    symlink(&precious, path("report")).unwrap();
    symlink(private.path(), path("folder")).unwrap();
    symlink(private.path().join("new"), path("dangling")).unwrap();
    symlink(path("report"), private.path().join("by-way-of")).unwrap();
    for owner in [STRANGER, 0] {
        for link in ["report", "folder", "dangling"] {
            lchown(path(link), Some(owner), Some(owner)).unwrap();
        }
        for (name, link) in [("report", "report"), ("folder/precious", "folder"), ("dangling", "dangling")] {
            let expected = format!(
                "cannot write to {}: {} is a symbolic link in a folder that other users can write, so another user may have chosen where \
                 it leads; name the file it leads to, or choose a folder that only you can write",
                path(name).display(),
                path(link).display()
            );
            assert_eq!(refusal(&path(name), &root()), expected);
        }
        let by_way = private.path().join("by-way-of");
        assert!(refusal(&by_way, &root()).contains(&format!("{} is a symbolic link", path("report").display())));
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert_eq!(names(private.path()), ["by-way-of", "precious"]);
    assert_eq!(names(folder.path()), ["dangling", "folder", "report"]);
}

#[test]
fn links_in_folders_of_the_caller_are_followed_and_in_those_of_others_not() {
    let Some(folder) = shared() else { return };
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    symlink("target", own.join("link")).unwrap();
    for (owner, mode, caller, is_followed) in [
        (0, 0o755, root(), true),
        (CALLER, 0o755, by_sudo(), true),
        (CALLER, 0o755, root(), false),
        (STRANGER, 0o755, by_sudo(), false),
        (0, 0o775, root(), false),
        (0, 0o757, root(), false),
    ] {
        chown(&own, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(&own, Permissions::from_mode(mode)).unwrap();
        let written = write(&own.join("link"), &caller);
        assert_eq!(written.is_ok(), is_followed, "{owner} {mode:o} {written:?}");
    }
}

#[test]
fn a_file_or_pipe_of_another_user_is_refused_and_stays() {
    let Some(folder) = shared() else { return };
    let (plain, pipe) = (folder.path().join("plain"), folder.path().join("pipe"));
    fs::write(&plain, "bait").unwrap();
    mkfifo(&pipe, Mode::from_bits_truncate(0o666)).unwrap();
    for (path, what) in [(&plain, "file"), (&pipe, "pipe")] {
        chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
        let expected = format!(
            "cannot write to {}: the {what} there belongs to another user (uid 65534), who could read or change what is written; remove \
             it, or choose a folder that only you can write",
            path.display()
        );
        assert_eq!(refusal(path, &root()), expected);
        assert_eq!(refusal(path, &by_sudo()), expected);
    }
    assert_eq!(fs::read_to_string(&plain).unwrap(), "bait");
    assert_eq!(names(folder.path()), ["pipe", "plain"]);
    // The same in a folder that only root can write.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(refusal(&plain, &root()).contains("belongs to another user"));
}

#[test]
fn what_was_checked_may_become_a_link_and_is_still_not_followed() {
    let Some(folder) = shared() else { return };
    let private = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    let bait = private.path().join("bait");
    fs::write(&bait, "precious").unwrap();
    // While the report is written, the stranger puts a link there.
    write_file(&path, None, &root(), |out| {
        symlink(&bait, &path)?;
        out.write_all(b"report")
    })
    .unwrap();
    assert_eq!(fs::read_to_string(&bait).unwrap(), "precious");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read_to_string(&path).unwrap(), "report");
}

#[test]
fn a_hard_link_of_another_user_does_not_make_a_report_that_all_can_read() {
    let Some(folder) = shared() else { return };
    let (public, report) = (folder.path().join("public"), folder.path().join("report"));
    fs::write(&public, "public").unwrap();
    fs::set_permissions(&public, Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(&public, &report).unwrap();
    write(&report, &root()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&report), mode(&public)), (0o600, 0o644));
    assert_eq!(fs::read_to_string(&public).unwrap(), "public");
    // With one name and the sticky bit, it can only be root's own doing.
    fs::set_permissions(&report, Permissions::from_mode(0o644)).unwrap();
    write(&report, &root()).unwrap();
    assert_eq!(mode(&report), 0o644);
    for (owner, folder_mode) in [(0, 0o777), (STRANGER, 0o1777), (STRANGER, 0o755)] {
        chown(folder.path(), Some(owner), Some(owner)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(folder_mode)).unwrap();
        fs::set_permissions(&report, Permissions::from_mode(0o644)).unwrap();
        write(&report, &root()).unwrap();
        assert_eq!(mode(&report), 0o600, "{owner} {folder_mode:o}");
    }
    chown(folder.path(), Some(0), Some(0)).unwrap();
}

#[test]
fn what_root_writes_for_a_caller_belongs_to_the_caller() {
    let Some(folder) = shared() else { return };
    let owner = |path: &Path| fs::metadata(path).map(|data| (data.uid(), data.gid(), data.mode() & 0o777)).unwrap();
    let path = folder.path().join("report");
    write(&path, &by_sudo()).unwrap();
    assert_eq!(owner(&path), (CALLER, CALLER + 1, 0o600));
    let growing = folder.path().join("recording");
    growing_file(&growing, None, &by_sudo()).unwrap();
    assert_eq!(owner(&growing), (CALLER, CALLER + 1, 0o600));
    // A file of one's own keeps its owner and mode.
    chown(&path, Some(0), Some(7)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    for write in [write as fn(&Path, &Caller) -> _, |path, caller| growing_file(path, None, caller).map(drop)] {
        write(&path, &by_sudo()).unwrap();
        assert_eq!(owner(&path), (0, 7, 0o640));
    }
    write(&folder.path().join("root's"), &root()).unwrap();
    assert_eq!(owner(&folder.path().join("root's")), (0, 0, 0o600));
}

/// Runs something in a child and gives how the child ended, or nothing if it still runs after ten seconds.
fn in_child(work: impl FnOnce(), meanwhile: impl FnOnce(Pid)) -> Option<WaitStatus> {
    // SAFETY: the child only makes system calls and allocates, which glibc allows after a fork; it ends without cleaning up.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            work();
            // SAFETY: ends the child at once.
            unsafe { nix::libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            meanwhile(child);
            let end = Instant::now() + Duration::from_secs(10);
            while Instant::now() < end {
                match waitpid(child, Some(WaitPidFlag::WNOHANG)).unwrap() {
                    WaitStatus::StillAlive => std::thread::sleep(Duration::from_millis(10)),
                    ended => return Some(ended),
                }
            }
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            None
        }
    }
}

/// Also where signals were blocked before, as under `run`.
#[test]
fn a_signal_ends_the_wait_for_the_reader_of_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    let wait = || {
        let _ = [Signal::SIGINT].into_iter().collect::<SigSet>().thread_block();
        let _ = write_whole(&file(&pipe), |out| out.write_all(b"report"));
        let _ = raise(Signal::SIGKILL);
    };
    let ended = in_child(wait, |child| {
        // Long enough for the child to wait.
        std::thread::sleep(Duration::from_millis(300));
        kill(child, Signal::SIGINT).unwrap();
    });
    assert!(matches!(ended, Some(WaitStatus::Signaled(_, Signal::SIGINT, _))), "{ended:?}");
}

/// Not as root: another user writes to folders of its own and to shared ones.
#[test]
fn a_user_without_privileges_writes_as_before() {
    let Some(folder) = shared() else { return };
    let path = folder.path().join("report");
    let foreign = folder.path().join("foreign");
    fs::write(&foreign, "root's").unwrap();
    fs::set_permissions(&foreign, Permissions::from_mode(0o600)).unwrap();
    let as_user = || {
        let (uid, gid) = (Uid::from_raw(CALLER), Gid::from_raw(CALLER));
        let is_changed = nix::unistd::setgid(gid).is_ok() && nix::unistd::setuid(uid).is_ok();
        let is_written = is_changed && write_whole(&file(&path), |out| out.write_all(b"report")).is_ok();
        let is_refused = check_output(&file(&foreign)).is_err();
        if is_written && is_refused {
            return;
        }
        let _ = raise(Signal::SIGKILL);
    };
    let ended = in_child(as_user, |_| {});
    assert!(matches!(ended, Some(WaitStatus::Exited(_, 0))), "{ended:?}");
    assert_eq!(fs::metadata(&path).map(|data| (data.uid(), data.mode() & 0o777)).unwrap(), (CALLER, 0o600));
}
