//! Claims about [`destination`](super): whole or not at all, in clear words.

use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

mod strangers;

fn file(path: &Path) -> Destination {
    Destination::file(path)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_is_refused_before_and_after_the_watch_in_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    let expected = format!("cannot write to {}: it is a folder; name a file inside it", folder.path().display());
    let before = check_output(&file(folder.path())).unwrap_err();
    assert_eq!(before.to_string(), expected);
    let after = write_whole(&file(folder.path()), |_| Ok(())).unwrap_err();
    assert_eq!(after.to_string(), expected);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/report.json");
    let error = check_output(&file(&path)).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "cannot write to {}: the folder {} does not exist; create it first",
            path.display(),
            path.parent().unwrap().display()
        )
    );
    assert!(check_output(&file(&folder.path().join("no/"))).unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn a_file_in_the_place_of_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain"), "x").unwrap();
    assert!(check_output(&file(&folder.path().join("plain/report.json"))).is_err());
}

#[test]
fn checking_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    check_output(&file(&path)).unwrap();
    assert_eq!(names(folder.path()), Vec::<String>::new());
    fs::write(&path, "old").unwrap();
    check_output(&file(&path)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["report.json"]);
}

#[test]
fn a_reader_that_waits_at_a_pipe_gets_the_report_and_not_an_end_before() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe)
    });
    // Long enough for the reader to wait before the pipe is checked.
    std::thread::sleep(std::time::Duration::from_millis(100));
    check_output(&file(&pipe)).unwrap();
    write_whole(&file(&pipe), |out| out.write_all(b"report")).unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), "report");
}

#[test]
fn a_report_that_fails_half_way_leaves_the_old_one_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    fs::write(&path, "old").unwrap();
    let result = write_whole(&file(&path), |out| {
        out.write_all(b"half")?;
        Err(io::Error::other("no space left"))
    });
    assert!(result.unwrap_err().to_string().contains("no space left"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["report.json"]);
}

#[test]
fn a_replaced_file_keeps_its_mode_and_a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let link = folder.path().join("latest");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    symlink("report.json", &link).unwrap();
    write_whole(&file(&link), |out| out.write_all(b"new")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn only_its_owner_can_read_a_new_file_unless_a_flag_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let mode_of = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let path = folder.path().join("report");
    write_whole(&file(&path), |out| out.write_all(b"x")).unwrap();
    assert_eq!(mode_of(&path), 0o600);
    write_whole(&file(&path).with_mode(Some(0o644)), |out| out.write_all(b"y")).unwrap();
    assert_eq!(mode_of(&path), 0o644, "the flag wins over the mode that the file had");
    write_whole(&file(&path), |out| out.write_all(b"z")).unwrap();
    assert_eq!(mode_of(&path), 0o644);
}

#[test]
fn a_recording_has_its_name_from_the_start_and_replaces_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.ltr");
    for old in [None, Some("old")] {
        old.into_iter().for_each(|old| fs::write(&path, old).unwrap());
        let mut growing = create_growing(&path, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        growing.write_all(b"sample").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"sample");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["recording.ltr"]);
    }
    create_growing(&path, Some(0o640)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    create_growing(Path::new("/dev/null"), None).unwrap().write_all(b"x").unwrap();
}

#[test]
fn a_recording_does_not_wait_for_the_reader_of_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let error = create_growing(&pipe, None).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cannot write to {}: nothing reads from this pipe; start the reader first", pipe.display())
    );
    let reader = openat(nix::fcntl::AT_FDCWD, &pipe, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty()).unwrap();
    create_growing(&pipe, None).unwrap().write_all(b"sample").unwrap();
    let mut read = [0; 6];
    assert_eq!(nix::unistd::read(&reader, &mut read).unwrap(), 6);
    assert_eq!(&read, b"sample");
}

#[test]
fn the_name_of_a_descriptor_is_that_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, "before ").unwrap();
    let log = File::options().append(true).open(&path).unwrap();
    for name in ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"] {
        let name = Path::new(name).join(std::os::fd::AsRawFd::as_raw_fd(&log).to_string());
        check_output(&file(&name)).unwrap();
        write_whole(&file(&name), |out| out.write_all(b"report ")).unwrap();
    }
    // A file that a shell has opened is added to, not replaced.
    assert_eq!(fs::read_to_string(&path).unwrap(), "before report report report ");
    let closed = check_output(&file(Path::new("/dev/fd/1000000"))).unwrap_err().to_string();
    assert!(closed.starts_with("cannot write to /dev/fd/1000000: "), "{closed}");
}

#[test]
fn links_lead_through_folders_up_and_down_but_not_in_circles() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("a/b")).unwrap();
    symlink(path("a/b"), path("absolute")).unwrap();
    symlink("a/./b/../b", path("relative")).unwrap();
    symlink("../../c", path("a/b/up")).unwrap();
    symlink("circle", path("circle")).unwrap();
    for (name, lands) in
        [("absolute/1", "a/b/1"), ("relative/../2", "a/2"), ("./a//b/up", "c"), ("absolute/up", "c"), ("a/../3", "3")]
    {
        write_whole(&file(&path(name)), |out| out.write_all(name.as_bytes())).unwrap();
        assert_eq!(fs::read_to_string(path(lands)).unwrap(), name);
    }
    let circle = write_whole(&file(&path("circle")), |_| Ok(())).unwrap_err().to_string();
    assert!(circle.contains("Too many levels of symbolic links"), "{circle}");
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let null = file(Path::new("/dev/null"));
    check_output(&null).unwrap();
    write_whole(&null, |out| out.write_all(b"x")).unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_full_disk_is_reported_and_a_closed_pipe_is_not() {
    let full = write_whole(&file(Path::new("/dev/full")), |out| out.write_all(b"x")).unwrap_err();
    assert!(full.to_string().starts_with("cannot write to /dev/full: No space left on device"), "{full}");
    let closed = write_whole(&file(Path::new("/dev/null")), |_| Err(io::ErrorKind::BrokenPipe.into()));
    assert!(closed.is_ok());
}

#[test]
fn a_dash_is_standard_output() {
    assert_eq!(Destination::from_option(Some(Path::new("-"))), Destination::Stdout);
    assert_eq!(Destination::from_option(None), Destination::Stdout);
    assert_eq!(Destination::from_option(Some(Path::new("./-"))), file(Path::new("./-")));
}
