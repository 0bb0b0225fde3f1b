//! Claims about [`destination`](super): whole or not at all, in clear words.

use super::*;
use std::os::unix::fs::symlink;

fn file(path: &Path) -> Destination {
    Destination::File(path.to_owned())
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
fn a_new_file_has_the_mode_that_a_shell_would_give() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
    write_whole(&file(&ours), |out| out.write_all(b"x")).unwrap();
    fs::write(&plain, "x").unwrap();
    assert_eq!(fs::metadata(&ours).unwrap().mode(), fs::metadata(&plain).unwrap().mode());
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
