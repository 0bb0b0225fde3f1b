//! Makes foreign text safe for the terminal: without control characters, bounded, cut to width.
//!
//! Process names, symbols, paths and host names may be hostile. Code that draws them must pass them through [`clean`].

use crate::signs::Signs as _;
use leaktrace_model::Glyphs;
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Bytes of one text that are read; the rest is ignored.
const LONGEST: usize = 2048;

/// The text without characters that a terminal acts on, or that hide or reorder others, see [`leaktrace_output::clean`]. On ASCII
/// terminals only ASCII is left.
pub(crate) fn clean(text: &str, glyphs: Glyphs) -> Cow<'_, str> {
    let text = head(text, LONGEST);
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let safe = leaktrace_output::clean(text);
    match glyphs {
        // On some terminals, marks that pile up on one cell are drawn over its neighbours.
        Glyphs::Unicode if safe.chars().any(is_mark) => Cow::Owned(safe.chars().filter(|c| !is_mark(*c)).collect()),
        Glyphs::Ascii if !safe.is_ascii() => {
            Cow::Owned(safe.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect())
        }
        _ => safe,
    }
}

/// Whether a character takes no cell of its own.
fn is_mark(c: char) -> bool {
    c.width().unwrap_or(0) == 0
}

/// At most `bytes` of the beginning, ending at a character.
fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes.min(text.len()))]
}

/// Cells that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// `text` in at most `cells`, its end replaced by an ellipsis where it does not fit.
pub(crate) fn fit<'a>(text: impl Into<Cow<'a, str>>, cells: usize, glyphs: Glyphs) -> Cow<'a, str> {
    let text = text.into();
    if width(&text) <= cells {
        return text;
    }
    let mut kept = String::new();
    let mut left = cells.saturating_sub(1);
    for c in text.chars() {
        let taken = c.width().unwrap_or(0);
        if taken > left {
            break;
        }
        left -= taken;
        kept.push(c);
    }
    if cells > 0 {
        kept.push_str(glyphs.cut());
    }
    Cow::Owned(kept)
}

/// `text` in at most `cells`, its beginning replaced by an ellipsis: for paths, whose end matters most.
pub(crate) fn fit_end<'a>(text: impl Into<Cow<'a, str>>, cells: usize, glyphs: Glyphs) -> Cow<'a, str> {
    let text = text.into();
    if width(&text) <= cells {
        return text;
    }
    let mut left = cells.saturating_sub(1);
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let taken = c.width().unwrap_or(0);
        if taken > left {
            break;
        }
        left -= taken;
        start = at;
    }
    let ellipsis = if cells > 0 { glyphs.cut() } else { "" };
    Cow::Owned(format!("{ellipsis}{}", &text[start..]))
}

/// `text` broken into lines of at most `cells`, at spaces where there are any.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word;
        if !line.is_empty() && width(&line) + 1 + width(word) > cells {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        while width(word) > cells {
            let mut taken = 0;
            let cut = word
                .char_indices()
                .find(|(_, c)| {
                    taken += c.width().unwrap_or(0);
                    taken > cells
                })
                .map_or(word.len(), |(at, _)| at);
            let cut = if cut == 0 { word.chars().next().map_or(0, char::len_utf8) } else { cut };
            lines.push(word[..cut].to_owned());
            word = &word[cut..];
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A function without the paths in front of its last two names.
///
/// `leaky::pool::PoolClient::checkout` reads `PoolClient::checkout`, `net/http.(*Transport).dialConn` reads
/// `http.(*Transport).dialConn`. Names with generic arguments are left alone.
pub(crate) fn short_function(name: &str) -> &str {
    if let Some(slash) = name.split(['(', '<', '[', ' ']).next().and_then(|plain| plain.rfind('/')) {
        return &name[slash + 1..];
    }
    if name.contains(['<', '(', ' ']) {
        return name;
    }
    let mut parts = name.rmatch_indices("::").skip(1);
    parts.next().map_or(name, |(at, _)| &name[at + 2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        let hostile = "a\x1b[2J\u{9b}31m\r\n\u{202e}b\u{200b}\u{7f}e\u{301}\u{301}漢";
        let cleaned = clean(hostile, Glyphs::Unicode);
        assert!(!cleaned.chars().any(|c| c.is_control() || is_mark(c)), "{cleaned:?}");
        assert!(cleaned.ends_with("e漢"));
        assert!(clean(hostile, Glyphs::Ascii).is_ascii());
        assert!(clean(&"x\u{1b}".repeat(100_000), Glyphs::Unicode).len() < 10_000);
    }

    #[test]
    fn text_is_cut_to_cells_and_not_to_characters() {
        assert_eq!(fit("漢字漢字", 5, Glyphs::Unicode), "漢字…");
        assert_eq!(fit("abc", 3, Glyphs::Unicode), "abc");
        assert_eq!(fit("abcd", 3, Glyphs::Ascii), "ab~");
        assert_eq!(fit("abcd", 0, Glyphs::Unicode), "");
        assert_eq!(fit_end("/a/long/path", 5, Glyphs::Unicode), "…path");
    }

    #[test]
    fn lines_break_at_spaces_and_inside_words_only_where_they_must() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("漢漢", 1), ["漢", "漢", ""].map(str::to_owned));
    }

    #[test]
    fn functions_lose_their_outer_paths() {
        assert_eq!(short_function("leaky::pool::PoolClient::checkout"), "PoolClient::checkout");
        assert_eq!(short_function("net/http.(*Transport).dialConn"), "http.(*Transport).dialConn");
        assert_eq!(short_function("main"), "main");
        assert_eq!(short_function("std::map<a::b, c::d>::find(int)"), "std::map<a::b, c::d>::find(int)");
    }
}
