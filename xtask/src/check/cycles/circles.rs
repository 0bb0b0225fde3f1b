//! Circles among the files of a crate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};

use super::names;
use super::tree::Tree;

/// Files that import each other in a ring.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Circle {
    /// Its arrows in order; each begins where the one before ends.
    pub arrows: Vec<Arrow>,
    /// How many files reach each other by imports, those of this circle among them.
    pub files: usize,
}

/// An import of one file from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// Where the import is.
    pub from: PathBuf,
    /// On which line; the first of several.
    pub line: usize,
    /// What it names.
    pub path: String,
    /// The file that defines that.
    pub to: PathBuf,
}

/// The line of an import and the path on it.
type Line = (usize, String);

/// Which file imports which, by the first line that does.
type Graph = BTreeMap<PathBuf, BTreeMap<PathBuf, Line>>;

/// The circles of a crate: the shortest one of each group of files that reach each other.
pub fn circles(tree: &Tree) -> Vec<Circle> {
    let graph = graph(tree);
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        graph.keys().map(|file| (file.as_path(), reachable(&graph, file))).collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (file, reached_from_it) in &reached {
        if !reached_from_it.contains(file) || seen.contains(file) {
            continue;
        }
        let comes_back = |other: &&&Path| reached.get(**other).is_some_and(|reached| reached.contains(file));
        let group: BTreeSet<&Path> = reached_from_it.iter().filter(comes_back).copied().collect();
        let shortest = group.iter().filter_map(|file| shortest(&graph, file)).min_by_key(Vec::len);
        circles.extend(shortest.map(|arrows| Circle { arrows, files: group.len() }));
        seen.extend(group);
    }
    circles
}

fn graph(tree: &Tree) -> Graph {
    let mut graph = Graph::new();
    for (id, module) in tree.modules.iter().enumerate() {
        for import in &module.imports {
            for target in names::targets(tree, id, import) {
                let line = (import.line, import.path.join("::"));
                let arrows = graph.entry(module.file.clone()).or_default();
                let first = arrows.entry(tree.modules[target].file.clone()).or_insert_with(|| line.clone());
                *first = line.min(first.clone());
            }
        }
    }
    graph
}

/// Every file that one imports, and those that they import. The file itself is one of them only if a circle leads back.
fn reachable<'a>(graph: &'a Graph, from: &Path) -> BTreeSet<&'a Path> {
    let mut found: BTreeSet<&Path> = BTreeSet::new();
    let mut next: Vec<&Path> = graph.get(from).into_iter().flat_map(BTreeMap::keys).map(PathBuf::as_path).collect();
    while let Some(file) = next.pop() {
        if found.insert(file) {
            next.extend(graph.get(file).into_iter().flat_map(BTreeMap::keys).map(PathBuf::as_path));
        }
    }
    found
}

/// The shortest way from a file back to it.
fn shortest(graph: &Graph, start: &Path) -> Option<Vec<Arrow>> {
    let mut ways = VecDeque::from([Vec::new()]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let at = way.last().map_or(start, |arrow: &Arrow| &arrow.to);
        for (to, (line, path)) in graph.get(at).into_iter().flatten() {
            let arrow = Arrow { from: at.to_owned(), line: *line, path: path.clone(), to: to.clone() };
            let longer: Vec<Arrow> = way.iter().cloned().chain([arrow]).collect();
            if to == start {
                return Some(longer);
            }
            if seen.insert(to) {
                ways.push_back(longer);
            }
        }
    }
    None
}

impl fmt::Display for Circle {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "circle of {} files", self.arrows.len())?;
        if self.files > self.arrows.len() {
            write!(to, ", the shortest one among {} files that import each other", self.files)?;
        }
        for Arrow { from, line, path, to: target } in &self.arrows {
            write!(to, "\n    {}:{line} imports {}: {path}", from.display(), target.display())?;
        }
        Ok(())
    }
}
