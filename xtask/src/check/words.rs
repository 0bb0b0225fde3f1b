//! Words that no comment and no document may use, from `.ci/words`.
//!
//! The file has one regular expression a line, which must fit a whole word (or words) and does not look at capitals. A line
//! `allow PATH: TEXT` allows every banned word on lines of that file that contain the text. Lines that begin with `#` explain.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use regex::{Regex, RegexBuilder};

use super::comments::{Line, comments};
use crate::project;
use crate::results::cell::CellResult;

/// Where the list is.
const LIST: &str = ".ci/words";

/// Most findings that are printed.
const MOST: usize = 100;

/// Reads the list and every file.
pub fn check() -> Result<CellResult> {
    let root = project::root();
    let text = fs::read_to_string(root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let mut list = List::parse(&text)?;
    let mut findings = Vec::new();
    for path in files(&root)? {
        let source = fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {}", path.display()))?;
        list.check(&path.to_string_lossy(), &source, &mut findings);
    }
    findings.extend(list.unused());
    findings.iter().take(MOST).for_each(|finding| eprintln!("{finding}"));
    Ok(match findings.len() {
        0 => CellResult::Pass,
        count => CellResult::Fail(format!("{count} banned words or needless permissions, see above and {LIST}")),
    })
}

/// Every Rust and Markdown file below the root, by its path from there.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        for entry in fs::read_dir(&here).with_context(|| format!("cannot read {}", here.display()))? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let path = folder.join(&name);
            let is_text = path.extension().is_some_and(|extension| extension == "rs" || extension == "md");
            if kind.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            } else if kind.is_file() && is_text {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What is banned, and where it is allowed.
struct List {
    /// None where nothing is banned.
    banned: Option<Regex>,
    permissions: Vec<Permission>,
}

struct Permission {
    path: String,
    text: String,
    used: bool,
}

impl List {
    fn parse(text: &str) -> Result<Self> {
        let (mut words, mut permissions) = (Vec::new(), Vec::new());
        let lines = text.lines().map(str::trim).enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let place = || format!("{LIST}, line {}", number + 1);
            let Some(permission) = line.strip_prefix("allow ") else {
                Regex::new(line).with_context(place)?;
                words.push(format!("(?:{line})"));
                continue;
            };
            let Some((path, text)) = permission.split_once(": ") else {
                bail!("{}: not `allow PATH: TEXT`", place());
            };
            permissions.push(Permission { path: path.trim().to_owned(), text: text.trim().to_owned(), used: false });
        }
        let all = format!(r"\b(?:{})\b", words.join("|"));
        let banned = match words.is_empty() {
            true => None,
            false => Some(RegexBuilder::new(&all).case_insensitive(true).build().context(LIST)?),
        };
        Ok(Self { banned, permissions })
    }

    /// Adds what is wrong in a file.
    fn check(&mut self, path: &str, source: &str, findings: &mut Vec<String>) {
        let Some(banned) = self.banned.clone() else { return };
        let lines = match path.ends_with(".md") {
            true => prose(source),
            false => comments(source),
        };
        let whole_lines: Vec<&str> = source.lines().collect();
        for Line { number, text } in lines {
            let Some(word) = banned.find(text) else { continue };
            // The text may stand for the code beside a comment too.
            let whole = whole_lines.get(number - 1).copied().unwrap_or(text);
            let allowed = self.permissions.iter_mut().filter(|permission| permission.path == path);
            match allowed.into_iter().find(|permission| whole.contains(&permission.text)) {
                Some(permission) => permission.used = true,
                None => findings.push(format!("{path}:{number}: {:?} in: {}", word.as_str(), text.trim())),
            }
        }
    }

    /// Permissions that nothing needs.
    fn unused(&self) -> impl Iterator<Item = String> {
        let unused = self.permissions.iter().filter(|permission| !permission.used);
        unused.map(|permission| format!("{LIST}: nothing needs `allow {}: {}`", permission.path, permission.text))
    }
}

/// The lines of a document, without blocks of code and output.
fn prose(source: &str) -> Vec<Line<'_>> {
    let mut in_code = false;
    let lines = source.lines().enumerate().filter(|(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !is_fence && !in_code && !line.starts_with("    ")
    });
    lines.map(|(number, text)| Line { number: number + 1, text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(list: &str, path: &str, source: &str) -> Result<Vec<String>> {
        let mut list = List::parse(list)?;
        let mut findings = Vec::new();
        list.check(path, source, &mut findings);
        findings.extend(list.unused());
        Ok(findings)
    }

    #[test]
    fn a_banned_word_is_found_in_comments_and_not_in_code() -> Result<()> {
        let source = "fn told() {} // It was Told.\nlet retold = \"told\"; // retold\n";
        assert_eq!(findings("told\n", "a.rs", source)?, ["a.rs:1: \"Told\" in: // It was Told."]);
        assert_eq!(findings("so many\n", "a.rs", "//! For so many of them.")?.len(), 1);
        Ok(())
    }

    #[test]
    fn a_document_is_prose_but_for_its_code() -> Result<()> {
        let source = "told\n```\ntold\n```\n    told\n\nIt was told.\n";
        let found = ["a.md:1: \"told\" in: told", "a.md:7: \"told\" in: It was told."];
        assert_eq!(findings("told", "a.md", source)?, found);
        Ok(())
    }

    #[test]
    fn a_line_may_be_allowed_by_name_and_a_needless_permission_is_reported() -> Result<()> {
        let list = "# the user of that name\nnobody\nallow a.rs: the user nobody\n";
        assert_eq!(findings(list, "a.rs", "// Runs as the user nobody.")?, [""; 0]);
        assert_eq!(findings(list, "b.rs", "// Runs as the user nobody.")?.len(), 2);
        Ok(())
    }

    #[test]
    fn a_list_that_cannot_be_read_names_the_line() {
        let error = |list| List::parse(list).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error("told\n(\n").starts_with(".ci/words, line 2"), "{}", error("told\n(\n"));
        assert!(error("allow a.rs").contains("allow PATH: TEXT"), "{}", error("allow a.rs"));
    }
}
