//! The folder in which a run of the suite builds programs.

use crate::leftovers;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What the folder's name begins with, before the id of the process that made it.
const NAME: &str = "leaktrace-suite-";

/// A folder for what is built; removed on drop.
#[derive(Debug)]
pub struct Workshop(PathBuf);

impl Workshop {
    /// A fresh folder. Removes those of runs that were killed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open() -> Result<Self> {
        for left in leftovers::of_the_dead(&std::env::temp_dir(), NAME) {
            let _ = std::fs::remove_dir_all(left);
        }
        let folder = std::env::temp_dir().join(format!("{NAME}{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Writes a source file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
