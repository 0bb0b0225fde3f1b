//! Makes foreign text harmless: the author of a traced program chooses its process names, paths and symbols.
//!
//! All text that people read on a terminal or in a ticket passes through [`clean`] exactly once. `clean` does not escape for
//! HTML, XML or CSV: those formats do so afterwards.

use std::borrow::Cow;
use std::fmt::Write;

/// Replaces characters that could move a cursor, change colours, start a new line, or reorder or hide text by their escapes:
/// `\x1b`, `\n`, `\u{202e}`. Other text, of any script, is left as it is.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            harmful if is_harmful(harmful) => {
                let code = u32::from(harmful);
                // Writing to a String cannot fail.
                let _ = if code < 0x100 { write!(safe, "\\x{code:02x}") } else { write!(safe, "\\u{{{code:x}}}") };
            }
            harmless => safe.push(harmless),
        }
    }
    Cow::Owned(safe)
}

/// Whether it is a control character (C0, DEL, C1), or one that breaks lines, reorders text or cannot be seen.
pub(crate) fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00ad}'
                | '\u{061c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_line_breaks_are_written_out() {
        assert_eq!(clean("a\x1b[31mb"), "a\\x1b[31mb");
        assert_eq!(clean("a\nb\r\tc"), "a\\nb\\r\\tc");
        assert_eq!(clean("\u{9b}31m\x07\x7f\0"), "\\x9b31m\\x07\\x7f\\x00");
    }

    #[test]
    fn text_that_reorders_or_hides_itself_is_written_out() {
        assert_eq!(clean("evil\u{202e}gpj.exe"), "evil\\u{202e}gpj.exe");
        assert_eq!(clean("a\u{200b}b\u{2028}c\u{feff}"), "a\\u{200b}b\\u{2028}c\\u{feff}");
    }

    #[test]
    fn text_of_any_script_is_left_alone_and_not_copied() {
        for text in ["api-server", "größe", "日本語", "<script>", "a\\b", ""] {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
