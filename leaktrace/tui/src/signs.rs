//! The signs the live view draws with: one set for Unicode terminals, one for plain ASCII.
//!
//! Each sign takes the same number of cells in every place where it is drawn. Knows no colours.

use leaktrace_model::{Glyphs, Severity};

/// Which signs a terminal can show, by its locale: `LC_ALL`, `LC_CTYPE`, `LANG`, the first that is set and not empty. Without any
/// the answer is ASCII.
pub fn glyphs_of_locale(lookup: impl Fn(&str) -> Option<String>) -> Glyphs {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(lookup).find(|value| !value.is_empty());
    let name = locale.unwrap_or_default().to_ascii_lowercase();
    if name.contains("utf-8") || name.contains("utf8") { Glyphs::Unicode } else { Glyphs::Ascii }
}

/// The signs of the live view, on top of those that [`Glyphs`] has for every output.
pub(crate) trait Signs: Copy {
    /// One of two, by the set.
    fn pick<T>(self, unicode: T, ascii: T) -> T;

    /// How bad, in one cell: fuller is worse.
    fn severity(self, severity: Option<Severity>) -> &'static str {
        match severity {
            Some(Severity::Leak) => self.pick("●", "!"),
            Some(Severity::Suspect) => self.pick("◐", "?"),
            Some(Severity::Info) => self.pick("○", "i"),
            None => " ",
        }
    }

    /// Eight heights of a bar, lowest first.
    fn bars(self) -> [&'static str; 8] {
        self.pick(["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"], ["_", ".", ",", "-", "=", "+", "*", "#"])
    }

    /// Eight lengths of a horizontal bar's end, shortest first.
    fn steps(self) -> [&'static str; 8] {
        self.pick(["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"], ["|", "|", "=", "=", "=", "#", "#", "#"])
    }

    /// Stands for text that was cut off, in one cell.
    fn cut(self) -> &'static str {
        self.pick("…", "~")
    }

    /// Between two facts on one line.
    fn dot(self) -> &'static str {
        self.pick(" · ", " | ")
    }

    /// Stands before a lower bound, in one cell.
    fn bound(self) -> &'static str {
        self.pick("≥", ">")
    }

    /// Stands before a count.
    fn times(self) -> &'static str {
        self.pick("×", "x")
    }

    /// Nothing is wrong.
    fn check(self) -> &'static str {
        self.pick("✓", "ok")
    }

    /// Marks the column that sorts, growing downwards.
    fn ascending(self) -> &'static str {
        self.pick("▲", "^")
    }

    /// Marks the column that sorts, shrinking downwards.
    fn descending(self) -> &'static str {
        self.pick("▼", "v")
    }

    /// From one end to the other.
    fn arrow(self) -> &'static str {
        self.pick("→", "->")
    }

    /// Marks growth.
    fn up(self) -> &'static str {
        self.pick("↑", "^")
    }

    /// A horizontal rule, one cell.
    fn rule(self) -> &'static str {
        self.pick("─", "-")
    }

    /// A position on a rule.
    fn knob(self) -> &'static str {
        self.pick("●", "O")
    }

    /// The part of a bar that is done.
    fn done(self) -> &'static str {
        self.pick("━", "=")
    }

    /// Marks a replay that runs.
    fn play(self) -> &'static str {
        self.pick("▶", ">")
    }

    /// Marks a paused replay.
    fn pause(self) -> &'static str {
        self.pick("‖", "=")
    }

    /// The part of a scrollbar that is shown.
    fn thumb(self) -> &'static str {
        self.pick("┃", "#")
    }

    /// The rest of a scrollbar.
    fn track(self) -> &'static str {
        self.pick("│", "|")
    }

    /// Points at the entry that is chosen in a dialog.
    fn pointer(self) -> &'static str {
        self.pick("▸", ">")
    }

    /// Corners of a box: top left, top right, bottom left, bottom right.
    fn corners(self) -> [&'static str; 4] {
        self.pick(["╭", "╮", "╰", "╯"], ["+", "+", "+", "+"])
    }
}

impl Signs for Glyphs {
    fn pick<T>(self, unicode: T, ascii: T) -> T {
        match self {
            Self::Unicode => unicode,
            Self::Ascii => ascii,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        let of = |pairs: &'static [(&str, &str)]| {
            glyphs_of_locale(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
        };
        assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]), Glyphs::Ascii);
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "C.utf8")]), Glyphs::Unicode);
        assert_eq!(of(&[]), Glyphs::Ascii);
    }
}
