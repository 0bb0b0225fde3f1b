//! Finds the comments of a Rust file. Knows strings, characters and nested comments, and nothing else of the language.

/// The text of one line of a comment.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number in the file, from 1.
    pub number: usize,
    /// The text, without what is not comment.
    pub text: &'a str,
}

/// Every line of a comment, documentation included.
pub fn comments(source: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let (mut at, mut number) = (0, 1);
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let taken = if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            add(&rest[..length], number, &mut lines);
            length
        } else if rest.starts_with("/*") {
            let length = block(rest);
            add(&rest[..length], number, &mut lines);
            length
        } else {
            literal(rest, source[..at].chars().next_back())
        };
        number += rest[..taken].matches('\n').count();
        at += taken;
    }
    lines
}

fn add<'a>(comment: &'a str, first: usize, lines: &mut Vec<Line<'a>>) {
    let text = comment.split('\n').enumerate();
    lines.extend(text.map(|(offset, text)| Line { number: first + offset, text }));
}

/// The length of a block comment, with those inside it.
fn block(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += width(here);
        }
    }
    at
}

/// The length of a string or character literal that begins here, else of one character.
fn literal(rest: &str, before: Option<char>) -> usize {
    let in_a_name = before.is_some_and(|before| before.is_alphanumeric() || before == '_');
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !in_a_name || before == Some('b') || before == Some('c')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = 1 + hashes + 1;
            return rest[begin..].find(&end).map_or(rest.len(), |length| begin + length + end.len());
        }
    }
    match rest.as_bytes() {
        [b'"', ..] => quoted(rest, b'"'),
        // A lifetime has no second quote behind its first character.
        [b'\'', b'\\', ..] => quoted(rest, b'\''),
        [b'\'', ..] => {
            let inside = rest[1..].chars().next().map_or(0, char::len_utf8);
            if rest[1 + inside..].starts_with('\'') { inside + 2 } else { 1 }
        }
        _ => width(rest),
    }
}

/// The length of a literal in which a backslash takes the next byte with it.
fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn width(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<(usize, &str)> {
        comments(source).into_iter().map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn comments_of_all_kinds_are_found_with_their_lines() {
        let source = "//! one\nfn a() {} // two\n/* three\n/* four */ five */ fn b() {}\n/// six";
        let found = [(1, "//! one"), (2, "// two"), (3, "/* three"), (4, "/* four */ five */"), (5, "/// six")];
        assert_eq!(texts(source), found);
    }

    #[test]
    fn what_only_looks_like_a_comment_is_none() {
        let source =
            "let a = \"// a \\\" // b\"; let b = r#\"// c \" // d\"#; let c = '\"'; let d: &'a str = \"//\"; // e";
        assert_eq!(texts(source), [(1, "// e")]);
        assert_eq!(texts("let a = b\"\\\\\"; // f\nlet c = '\\''; // g ü\n"), [(1, "// f"), (2, "// g ü")]);
    }

    #[test]
    fn an_unfinished_file_ends_the_search() {
        assert_eq!(texts("let a = \"// never ends"), []);
        assert_eq!(texts("let a = r#\"// never ends\""), []);
        assert_eq!(texts("/* never ends /* ü"), [(1, "/* never ends /* ü")]);
    }
}
