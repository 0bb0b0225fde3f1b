//! The file system that a machine boots with: busybox, leaktrace, the suite, its programs of every language, and what they
//! load.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::outcome::{BEGIN, END};
use crate::bpf_side::in_path;
use crate::project;

/// The folder in the machine with the programs of every language: the machine has no compilers.
const PROGRAMS: &str = "/programs";

/// musl's loader, which a program linked with musl needs and ldd does not name.
const MUSL_LOADER: &str = "/lib/ld-musl-x86_64.so.1";

/// Packs the files; `words` is what the machine runs. The same file serves every kernel.
pub fn build(folder: &Path, words: &[String], files: &[PathBuf]) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for inside in ["bin", "etc", "proc", "sys", "dev", "tmp", "run/netns", "root"] {
        fs::create_dir_all(root.join(inside))?;
    }
    let busybox = in_path("busybox").next().context("no busybox; run `cargo xtask setup --for test`")?;
    let programs = ["leaktrace", "suite", "scenarios"].map(project::release_program);
    for program in programs.iter().filter(|program| program.is_file()).chain([&busybox]) {
        let name = program.file_name().context("a program has a name")?;
        fs::copy(program, root.join("bin").join(name)).with_context(|| format!("cannot copy {}", program.display()))?;
    }
    symlink("busybox", root.join("bin/sh"))?;
    for file in files {
        let file = file.canonicalize().with_context(|| format!("cannot take {} along", file.display()))?;
        add(&root, &file)?;
    }
    let prepared = prepare_programs(&root)?;
    let with_libraries = programs.iter().chain([&busybox]).chain(files).chain(&prepared);
    for library in
        with_libraries.filter(|file| is_elf(file)).flat_map(|program| libraries(program)).collect::<BTreeSet<_>>()
    {
        add(&root, &library)?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    fs::write(root.join("init"), init(words))?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    pack(&root, &folder.join("initramfs"))
}

/// The script that runs as process 1. Its first and last line report to the host that the machine has booted and how the job ended.
fn init(words: &[String]) -> String {
    let job = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    format!(
        "#!/bin/busybox sh
busybox=/bin/busybox
$busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /run/netns
mount -t tracefs trace /sys/kernel/tracing
mount -t debugfs debug /sys/kernel/debug
mount -t securityfs security /sys/kernel/security
mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
hostname leaktrace-vm
ifconfig lo 127.0.0.1 up
# A console without a terminal's manners: no wrapping, no carriage returns of its own.
stty -opost 2>/dev/null
ulimit -n 65536
export PATH=/bin HOME=/root TERM=dumb LEAKTRACE=/bin/leaktrace LEAKTRACE_PROGRAMS={PROGRAMS}
cd /root
echo \"{BEGIN} $(uname -r)\"
{job}
echo \"{END} $?\"
poweroff -f
"
    )
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Makes the suite prepare its programs of every language that this host has, with the files that interpreters read. Returns the
/// paths on this host.
fn prepare_programs(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join(PROGRAMS.trim_start_matches('/'));
    let suite = project::release_program("suite");
    if !suite.is_file() {
        return Ok(Vec::new());
    }
    eprintln!("vm: prepares the suite's programs of every language");
    let needed = project::output_of(Command::new(suite).arg("--prepare-programs").arg(&folder))?;
    let loader = Path::new(MUSL_LOADER);
    if loader.is_file() {
        add(root, loader)?;
    }
    let mut prepared: Vec<PathBuf> = needed.lines().map(PathBuf::from).collect();
    prepared.iter().try_for_each(|file| add(root, file))?;
    for entry in fs::read_dir(&folder)? {
        prepared.push(entry?.path());
    }
    Ok(prepared)
}

/// Whether a file may need libraries. A script needs none, and running ldd takes time.
fn is_elf(file: &Path) -> bool {
    let mut magic = [0; 4];
    fs::File::open(file).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok()) && magic == *b"\x7fELF"
}

/// Copies a file under its own path.
fn add(root: &Path, file: &Path) -> Result<()> {
    let inside = root.join(file.strip_prefix("/").unwrap_or(file));
    if let Some(folder) = inside.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(file, &inside).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

/// The libraries that a program needs: the absolute paths in ldd's output. None for a static program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).stderr(Stdio::null()).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let words = listed.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    words.map(PathBuf::from).filter(|path| path.is_file()).collect()
}

/// Not compressed: a machine without KVM unpacks more slowly than it reads.
fn pack(root: &Path, archive: &Path) -> Result<PathBuf> {
    let file = fs::File::create(archive).with_context(|| format!("cannot write {}", archive.display()))?;
    let mut find = Command::new("find").arg(".").current_dir(root).stdout(Stdio::piped()).spawn()?;
    let names = find.stdout.take().context("find has no output")?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--format=newc", "--quiet", "--owner=0:0"]).current_dir(root);
    let status = cpio.stdin(names).stdout(file).status().context("cannot start cpio")?;
    find.wait()?;
    if !status.success() {
        bail!("cpio failed: {status}");
    }
    Ok(archive.to_owned())
}
