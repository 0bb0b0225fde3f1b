//! The signs the live view draws with: one set for Unicode terminals, one for plain ASCII.
//!
//! Every sign of a set takes the same number of cells everywhere it is used; nothing here knows colours.

use leaktrace_common::Severity;
use leaktrace_output::units::Glyphs;

/// Which characters the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    #[default]
    Unicode,
    /// 7-bit.
    Ascii,
}

impl Charset {
    /// What the locale says: `LC_ALL`, `LC_CTYPE`, `LANG`, the first that is set and not empty; none means ASCII.
    pub fn from_locale(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(lookup).find(|value| !value.is_empty());
        let name = locale.unwrap_or_default().to_ascii_lowercase();
        if name.contains("utf-8") || name.contains("utf8") { Self::Unicode } else { Self::Ascii }
    }

    /// The same choice, for [`leaktrace_output::units`] and [`leaktrace_output`].
    pub const fn glyphs(self) -> Glyphs {
        match self {
            Self::Unicode => Glyphs::Unicode,
            Self::Ascii => Glyphs::Ascii,
        }
    }

    const fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self {
            Self::Unicode => unicode,
            Self::Ascii => ascii,
        }
    }

    /// How bad, in one cell: fuller is worse.
    pub const fn severity(self, severity: Option<Severity>) -> &'static str {
        match severity {
            Some(Severity::Leak) => self.pick("●", "!"),
            Some(Severity::Suspect) => self.pick("◐", "?"),
            Some(Severity::Info) => self.pick("○", "i"),
            None => " ",
        }
    }

    /// Eight heights of a bar, lowest first.
    pub const fn bars(self) -> [&'static str; 8] {
        match self {
            Self::Unicode => ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
            Self::Ascii => ["_", ".", ",", "-", "=", "+", "*", "#"],
        }
    }

    /// Eight lengths of a horizontal bar's end, shortest first.
    pub const fn steps(self) -> [&'static str; 8] {
        match self {
            Self::Unicode => ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
            Self::Ascii => ["|", "|", "=", "=", "=", "#", "#", "#"],
        }
    }

    /// Stands for what was cut off.
    pub const fn ellipsis(self) -> &'static str {
        self.pick("…", "~")
    }

    /// Between two facts on one line.
    pub const fn dot(self) -> &'static str {
        self.pick(" · ", " | ")
    }

    /// Nothing is known.
    pub const fn absent(self) -> &'static str {
        self.pick("–", "-")
    }

    /// A lower bound.
    pub const fn at_least(self) -> &'static str {
        self.pick("≥", ">")
    }

    /// So many of them.
    pub const fn times(self) -> &'static str {
        self.pick("×", "x")
    }

    /// All is well.
    pub const fn check(self) -> &'static str {
        self.pick("✓", "ok")
    }

    /// Marks the column that sorts, growing downwards.
    pub const fn ascending(self) -> &'static str {
        self.pick("▲", "^")
    }

    /// Marks the column that sorts, shrinking downwards.
    pub const fn descending(self) -> &'static str {
        self.pick("▼", "v")
    }

    /// From here to there.
    pub const fn arrow(self) -> &'static str {
        self.pick("→", "->")
    }

    /// More of them.
    pub const fn up(self) -> &'static str {
        self.pick("↑", "^")
    }

    /// A horizontal rule, one cell.
    pub const fn rule(self) -> &'static str {
        self.pick("─", "-")
    }

    /// A position on a rule.
    pub const fn knob(self) -> &'static str {
        self.pick("●", "O")
    }

    /// The part of a bar that is done.
    pub const fn done(self) -> &'static str {
        self.pick("━", "=")
    }

    /// Runs.
    pub const fn play(self) -> &'static str {
        self.pick("▶", ">")
    }

    /// Stands still.
    pub const fn pause(self) -> &'static str {
        self.pick("‖", "=")
    }

    /// The part of a scrollbar that is shown.
    pub const fn thumb(self) -> &'static str {
        self.pick("┃", "#")
    }

    /// The rest of a scrollbar.
    pub const fn track(self) -> &'static str {
        self.pick("│", "|")
    }

    /// Points at the entry that is chosen in a dialog.
    pub const fn pointer(self) -> &'static str {
        self.pick("▸", ">")
    }

    /// Corners of a box: top left, top right, bottom left, bottom right.
    pub const fn corners(self) -> [&'static str; 4] {
        match self {
            Self::Unicode => ["╭", "╮", "╰", "╯"],
            Self::Ascii => ["+", "+", "+", "+"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        let of = |pairs: &'static [(&str, &str)]| {
            Charset::from_locale(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
        };
        assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]), Charset::Ascii);
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "C.utf8")]), Charset::Unicode);
        assert_eq!(of(&[]), Charset::Ascii);
    }
}
