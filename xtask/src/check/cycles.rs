//! Circles of imports between the files of a crate. A file that is in one cannot be read, tested or moved without the others.
//!
//! A file imports another if a `use` or a path in its code names what the other defines, also through a re-export. No import is: what
//! only tests compile, and a parent that declares or re-exports its child. Each target of cargo is a crate: library, program,
//! example, test, build script.

mod circles;
mod imports;
mod names;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::project;
use crate::results::cell::CellResult;
use circles::{Circle, circles};
use tree::Tree;

/// Reads every crate of the workspace and prints the circles.
pub fn check() -> Result<CellResult> {
    let root = project::root();
    let mut found = BTreeSet::new();
    for crate_root in crate_roots()? {
        let crate_root = crate_root.strip_prefix(&root).unwrap_or(&crate_root);
        found.extend(find(crate_root, &|file| read(&root.join(file)))?);
    }
    found.iter().for_each(|circle| eprintln!("{circle}"));
    Ok(match found.len() {
        0 => CellResult::Pass,
        count => CellResult::Fail(format!(
            "circles of imports: {count}, see above; move what two files of a circle share to a third, which imports neither"
        )),
    })
}

/// The circles of one crate.
fn find(crate_root: &Path, read: tree::Read<'_>) -> Result<Vec<Circle>> {
    Ok(circles(&Tree::read(crate_root, read)?))
}

/// The root file of every target of the workspace.
fn crate_roots() -> Result<BTreeSet<PathBuf>> {
    let text =
        project::output_of(project::cargo().args(["metadata", "--no-deps", "--format-version", "1", "--quiet"]))?;
    let metadata: Value = serde_json::from_str(&text).context("cannot read the answer of cargo metadata")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.filter_map(|package| package["targets"].as_array()).flatten();
    Ok(targets.filter_map(|target| target["src_path"].as_str()).map(PathBuf::from).collect())
}

fn read(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}
