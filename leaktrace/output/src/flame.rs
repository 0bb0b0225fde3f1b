//! The flame graph: merges call sites by function name from the root on, and draws each function as a box.
//!
//! [`Graph::draw`] writes SVG elements, which the `svg` and `html` reports put into their pages. Knows neither page nor script.

use crate::{callsite_name::folded_path, layout::fit_end, markup::escape};
use leaktrace_model::{Glyphs, Snapshot};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// Width of the drawing in its own units.
pub(crate) const WIDTH: f64 = 1180.0;
/// Height of a box.
pub(crate) const ROW: f64 = 18.0;
/// Boxes narrower than this are left out, as they cannot be seen.
const NARROWEST: f64 = 0.25;
/// Width of a character of the 12-unit monospaced font.
const CHARACTER: f64 = 7.3;
/// Deeper stacks are cut: they are too deep to read, and a hostile recording must not exhaust memory.
const DEEPEST: usize = 256;

/// Functions that share a caller are one node.
#[derive(Default)]
struct Node {
    open: u64,
    flagged: u64,
    callees: BTreeMap<String, Node>,
}

/// One box of the drawing.
struct Tile<'a> {
    name: &'a str,
    depth: usize,
    left: f64,
    width: f64,
    open: u64,
    flagged: u64,
}

/// A flame graph, weighed by open sockets.
pub(crate) struct Graph {
    root: Node,
    rows: usize,
}

impl Graph {
    /// Merges the stacks of all call sites that have open sockets.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let mut root = Node::default();
        let mut rows = 1;
        for site in snapshot.callsites.iter().filter(|site| site.sums.open > 0) {
            let path = folded_path(site);
            root.add(site.sums.open, site.sums.flagged);
            let mut node = &mut root;
            for name in path.into_iter().take(DEEPEST) {
                node = node.callees.entry(name).or_default();
                node.add(site.sums.open, site.sums.flagged);
            }
            rows = rows.max(1 + site.stack.len().clamp(1, DEEPEST) + 1);
        }
        Self { root, rows: rows.min(DEEPEST + 1) }
    }

    /// Whether there is nothing to draw.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.open == 0
    }

    /// Height of the drawing.
    pub(crate) fn height(&self) -> f64 {
        self.rows as f64 * ROW
    }

    /// Draws all boxes, the root at the bottom. Each is a `g` with the class `frame` (and `flagged` where a flagged socket lies
    /// above it), and has its position in data attributes, which the zoom script reads.
    pub(crate) fn draw(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut tiles = Vec::new();
        place(&self.root, "all sockets", 0, 0.0, WIDTH / self.root.open.max(1) as f64, &mut tiles);
        for tile in &tiles {
            self.draw_tile(tile, out)?;
        }
        Ok(())
    }

    fn draw_tile(&self, tile: &Tile<'_>, out: &mut dyn Write) -> io::Result<()> {
        let top = self.height() - (tile.depth + 1) as f64 * ROW;
        let share = tile.open as f64 * 100.0 / self.root.open.max(1) as f64;
        let class = if tile.flagged > 0 { "frame flagged" } else { "frame" };
        let name = escape(tile.name);
        write!(
            out,
            "<g class=\"{class}\" tabindex=\"0\" data-x=\"{:.2}\" data-w=\"{:.2}\" data-d=\"{}\" data-n=\"{name}\">",
            tile.left, tile.width, tile.depth
        )?;
        let flagged = if tile.flagged > 0 { format!(", {} flagged", tile.flagged) } else { String::new() };
        write!(out, "<title>{name}: {} open ({share:.1} %){flagged}</title>", tile.open)?;
        write!(
            out,
            "<rect x=\"{:.2}\" y=\"{top:.0}\" width=\"{:.2}\" height=\"{:.0}\" rx=\"1\" class=\"c{}\"/>",
            tile.left,
            tile.width,
            ROW - 1.0,
            colour(tile.name)
        )?;
        write!(
            out,
            "<text x=\"{:.2}\" y=\"{:.0}\">{}</text></g>",
            tile.left + 3.0,
            top + ROW - 6.0,
            escape(&shorten(tile.name, tile.width))
        )?;
        writeln!(out)
    }
}

impl Node {
    fn add(&mut self, open: u64, flagged: u64) {
        self.open = self.open.saturating_add(open);
        self.flagged = self.flagged.saturating_add(flagged);
    }
}

fn place<'a>(node: &'a Node, name: &'a str, depth: usize, left: f64, scale: f64, tiles: &mut Vec<Tile<'a>>) {
    let width = node.open as f64 * scale;
    if width < NARROWEST {
        return;
    }
    tiles.push(Tile { name, depth, left, width, open: node.open, flagged: node.flagged });
    let mut left = left;
    for (name, callee) in &node.callees {
        place(callee, name, depth + 1, left, scale, tiles);
        left += callee.open as f64 * scale;
    }
}

/// The part of a name that fits into a box; empty when fewer than three characters fit.
fn shorten(name: &str, width: f64) -> String {
    let room = ((width - 6.0) / CHARACTER).max(0.0) as usize;
    if room < 3 { String::new() } else { fit_end(name, room, Glyphs::Unicode) }
}

/// One of eight colours, the same for the same function in every report (FNV-1a).
fn colour(name: &str) -> u32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % 8
}

/// Style of the boxes, shared by both reports.
pub(crate) const STYLE: &str = include_str!("flame/flame.css");
/// Zoom and search, shared by both reports.
pub(crate) const SCRIPT: &str = include_str!("flame/flame.js");

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::fixtures;

    fn drawn(snapshot: &Snapshot) -> String {
        let mut out = Vec::new();
        Graph::of(snapshot).draw(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn callers_are_as_wide_as_their_callees_together() {
        let graph = Graph::of(&fixtures::rich());
        assert_eq!(graph.root.open, 1_269);
        assert_eq!(graph.root.callees["api"].open, 1_220);
        assert_eq!(graph.root.callees["worker"].open, 49);
        assert_eq!(graph.rows, 9);
    }

    #[test]
    fn flagged_paths_are_marked_from_the_root_up() {
        let text = drawn(&fixtures::rich());
        assert!(text.contains("<title>api::upstream::fetch_user: 120 open (9.5 %), 118 flagged</title>"), "{text}");
        assert_eq!(text.matches("class=\"frame flagged\"").count(), 13);
    }

    #[test]
    fn the_deepest_stack_and_the_most_hostile_name_are_drawn_and_harmless() {
        let mut snapshot = fixtures::hostile();
        let frame = snapshot.callsites[0].stack[0].clone();
        snapshot.callsites[0].stack = vec![frame; 100_000];
        let text = drawn(&snapshot);
        assert!(!text.contains("<script") && !text.contains('\x1b'));
        assert!(Graph::of(&snapshot).rows <= DEEPEST + 1);
    }

    #[test]
    fn nothing_open_is_an_empty_graph() {
        assert!(Graph::of(&fixtures::empty()).is_empty());
    }
}
