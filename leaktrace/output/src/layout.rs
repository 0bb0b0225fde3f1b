//! Columns and lines of plain text: widths as a terminal counts them, padding, cutting, wrapping.
//!
//! Expects clean text. Knows nothing about sockets.

use leaktrace_model::Glyphs;
use std::io::{self, Write};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts text that is too wide at its end: `abcdef…`.
pub fn fit(text: &str, columns: usize, glyphs: Glyphs) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(glyphs.ellipsis()));
    let mut kept = take(text.chars(), room).into_iter().collect::<String>();
    kept.push_str(glyphs.ellipsis());
    kept
}

/// Cuts text that is too wide at its beginning: `…uvwxyz`.
pub fn fit_end(text: &str, columns: usize, glyphs: Glyphs) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(glyphs.ellipsis()));
    let kept = take(text.chars().rev(), room);
    format!("{}{}", glyphs.ellipsis(), kept.into_iter().rev().collect::<String>())
}

fn take(characters: impl Iterator<Item = char>, room: usize) -> Vec<char> {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += character.width().unwrap_or(0);
            used <= room
        })
        .collect()
}

/// Joins parts with `separator` into lines of at most `columns`. Breaks between parts only; a part that is wider than a line is
/// cut at its end.
pub fn wrap(parts: &[String], separator: &str, columns: usize, glyphs: Glyphs) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let tail = if index + 1 < parts.len() { separator } else { "" };
        let piece = format!("{}{tail}", fit(part, columns.saturating_sub(width(tail)), glyphs));
        match lines.last_mut() {
            Some(line) if width(line) + width(piece.trim_end()) <= columns => line.push_str(&piece),
            _ => lines.push(piece),
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// Wraps at spaces.
pub fn wrap_words(text: &str, columns: usize, glyphs: Glyphs) -> Vec<String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    wrap(&words, " ", columns, glyphs)
}

/// On which side of its column a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table. Columns are as wide as their cells need; the last one gets what is left.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Table {
    /// An empty table whose lines begin with `indent` spaces.
    pub fn new(indent: usize, columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), indent }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Appends to the last cell of each row.
    pub fn extend_last(&mut self, texts: impl Iterator<Item = String>) {
        for (row, text) in self.rows.iter_mut().zip(texts) {
            if let Some(cell) = row.last_mut() {
                cell.push_str(&text);
            }
        }
    }

    /// Columns left for the last cell when the whole table must fit into `columns`.
    pub fn room_for_last(&self, columns: usize) -> usize {
        let last = self.columns.len().saturating_sub(1);
        let used: usize = (0..last).map(|index| self.column_width(index) + 2).sum();
        columns.saturating_sub(used + self.indent)
    }

    fn column_width(&self, index: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| width(cell)).max().unwrap_or(0);
        cells.max(self.columns.get(index).map_or(0, |(head, _)| width(head)))
    }

    /// Prints it. No line is wider than `columns`, unless the other columns alone are.
    pub fn write(&self, out: &mut dyn Write, columns: usize, glyphs: Glyphs) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|index| self.column_width(index)).collect();
        let room = self.room_for_last(columns).max(8);
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let has_heads = heads.iter().any(|head| !head.is_empty());
        for row in has_heads.then_some(&heads).into_iter().chain(&self.rows) {
            let mut line = " ".repeat(self.indent);
            for (index, cell) in row.iter().enumerate() {
                let (_, align) = self.columns.get(index).copied().unwrap_or(("", Align::Left));
                if index + 1 == self.columns.len() && align == Align::Left {
                    line.push_str(&fit(cell, room, glyphs));
                    continue;
                }
                let gap = " ".repeat(widths.get(index).copied().unwrap_or(0).saturating_sub(width(cell)));
                match align {
                    Align::Left => line.extend([cell.as_str(), &gap, "  "]),
                    Align::Right => line.extend([gap.as_str(), cell, "  "]),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(fit("日本語テキスト", 7, Glyphs::Unicode), "日本語…");
        assert_eq!(fit_end("日本語テキスト", 7, Glyphs::Unicode), "…キスト");
        assert_eq!(fit("abc", 3, Glyphs::Unicode), "abc");
        assert_eq!(fit("abcdef", 5, Glyphs::Ascii), "ab...");
    }

    #[test]
    fn lines_break_between_parts_and_never_exceed_their_columns() {
        let parts: Vec<String> = ["alpha", "beta", "gamma", &"x".repeat(50)].iter().map(|&part| part.into()).collect();
        let lines = wrap(&parts, " < ", 14, Glyphs::Ascii);
        assert_eq!(lines, ["alpha < beta <", "gamma <", "xxxxxxxxxxx..."]);
    }

    #[test]
    fn the_last_column_gives_way() {
        let mut table = Table::new(2, &[("N", Align::Right), ("WHERE", Align::Left)]);
        table.row(vec!["1".into(), "short".into()]);
        table.row(vec!["1,000".into(), "long".repeat(20)]);
        let mut out = Vec::new();
        table.write(&mut out, 20, Glyphs::Unicode).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "      N  WHERE\n      1  short\n  1,000  longlonglo…\n");
    }
}
