//! Text inside XML and HTML.

use std::fmt::Write as _;

/// Text for XML and HTML, in elements and in quoted attributes. Takes clean text: no control characters remain.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Not characters of XML 1.0, though valid in a Rust string.
            '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
            }
            other => safe.push(other),
        }
    }
    safe
}
