//! Writes one line of the screen from both ends, and never outside of that line.

use crate::app::App;
use crate::text::{fit, width};
use crate::theme::{Colour, Role};
use leaktrace_model::Glyphs;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// A line that is being written.
pub(crate) struct Pen<'a> {
    buffer: &'a mut Buffer,
    glyphs: Glyphs,
    colour: Colour,
    y: u16,
    x: u16,
    right: u16,
}

impl<'a> Pen<'a> {
    /// The `row`-th line of an area; it may be empty.
    pub(crate) fn new(app: &App, buffer: &'a mut Buffer, area: Rect, row: u16) -> Self {
        let line = Rect { y: area.y.saturating_add(row), height: u16::from(row < area.height), ..area };
        let line = line.intersection(buffer.area);
        let width = if line.height == 0 { 0 } else { line.width };
        Self {
            buffer,
            glyphs: app.options.glyphs,
            colour: app.options.colour,
            y: line.y,
            x: line.x,
            right: line.x + width,
        }
    }

    /// Cells that are left.
    pub(crate) fn left(&self) -> usize {
        usize::from(self.right.saturating_sub(self.x))
    }

    /// Where the next text goes.
    pub(crate) fn x(&self) -> u16 {
        self.x
    }

    /// Clean text in a style; its end is cut where it does not fit.
    pub(crate) fn styled(&mut self, text: &str, style: Style) -> &mut Self {
        if self.left() > 0 && !text.is_empty() {
            let fitted = fit(text, self.left(), self.glyphs);
            (self.x, _) = self.buffer.set_stringn(self.x, self.y, &fitted, self.left(), style);
        }
        self
    }

    /// Clean text in a role.
    pub(crate) fn put(&mut self, text: &str, role: Role) -> &mut Self {
        self.styled(text, self.colour.style(role))
    }

    /// Empty cells.
    pub(crate) fn skip(&mut self, cells: u16) -> &mut Self {
        self.x = self.x.saturating_add(cells).min(self.right);
        self
    }

    /// Clean text at the right end, if all of it and two cells before it fit; the line ends before these from then on.
    pub(crate) fn at_right(&mut self, text: &str, role: Role) -> &mut Self {
        let cells = width(text);
        if cells > 0 && cells + 1 < self.left() {
            let start = self.right - cells as u16;
            self.buffer.set_stringn(start, self.y, text, cells, self.colour.style(role));
            self.right = start - 2;
        }
        self
    }

    /// Gives what is left of the line a style.
    pub(crate) fn fill(&mut self, style: Style) -> &mut Self {
        let rest = Rect { x: self.x, y: self.y, width: self.right.saturating_sub(self.x), height: 1 };
        self.buffer.set_style(rest.intersection(self.buffer.area), style);
        self
    }
}
