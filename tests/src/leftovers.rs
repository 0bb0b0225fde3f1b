//! Leftovers of killed runs: entries whose name has the id of a process that has ended. Finds them and removes nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The entries of a folder whose name is `prefix` and the id of a process that has ended.
pub fn of_the_dead(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| pid_in(path, prefix).is_some_and(|pid| !is_alive(pid))).collect()
}

fn pid_in(path: &Path, prefix: &str) -> Option<u32> {
    path.file_name().and_then(OsStr::to_str)?.strip_prefix(prefix)?.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_living_or_to_others_is_left_alone() -> std::io::Result<()> {
        let own = std::process::id();
        let folder = std::env::temp_dir().join(format!("leaktrace-leftovers-{own}"));
        // No kernel gives a process the largest number.
        let dead = format!("scenario-{}", u32::MAX);
        for name in [&dead, &format!("scenario-{own}"), "scenario-", "scenario-pen", "other-4294967295"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        let found = of_the_dead(&folder, "scenario-");
        std::fs::remove_dir_all(&folder)?;
        assert_eq!(found, [folder.join(dead)]);
        Ok(())
    }
}
