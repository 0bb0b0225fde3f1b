//! A line of text that is typed: cursor, editing keys, paste. Bounded, and never holds a control character.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Most characters of a line.
const MOST: usize = 512;

/// A line of text that is being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextInput {
    text: String,
    /// Byte at which the next character goes; always at a character.
    cursor: usize,
}

/// Whether a key changed the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// It changed the text.
    Changed,
    /// It moved the cursor, or did nothing.
    Unchanged,
}

impl TextInput {
    /// A line with this text and the cursor at its end.
    pub(crate) fn new(text: &str) -> Self {
        let mut input = Self::default();
        input.insert(text);
        input
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub(crate) fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Puts text in at the cursor, without its control characters.
    pub(crate) fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.text.chars().count() >= MOST {
                return;
            }
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
    }

    /// What an editing key does.
    pub(crate) fn edit(&mut self, key: &KeyEvent) -> Edit {
        let before = self.text.len();
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => drop(self.text.drain(..std::mem::take(&mut self.cursor))),
            KeyCode::Char('w') if control => {
                let trimmed = self.before_cursor().trim_end();
                let start = trimmed
                    .rfind(char::is_whitespace)
                    .map_or(0, |at| at + trimmed[at..].chars().next().map_or(0, char::len_utf8));
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => {}
            KeyCode::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => {
                if let Some(c) = self.before_cursor().chars().next_back() {
                    self.cursor -= c.len_utf8();
                    self.text.remove(self.cursor);
                }
            }
            KeyCode::Delete if self.cursor < self.text.len() => drop(self.text.remove(self.cursor)),
            KeyCode::Left => {
                self.cursor -= self.before_cursor().chars().next_back().map_or(0, char::len_utf8);
            }
            KeyCode::Right => self.cursor += self.text[self.cursor..].chars().next().map_or(0, char::len_utf8),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => {}
        }
        if self.text.len() == before { Edit::Unchanged } else { Edit::Changed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(input: &mut TextInput, code: KeyCode) {
        input.edit(&KeyEvent::new(code, KeyModifiers::NONE));
    }

    #[test]
    fn the_cursor_keeps_to_characters() {
        let mut input = TextInput::new("aé漢");
        typed(&mut input, KeyCode::Left);
        typed(&mut input, KeyCode::Left);
        typed(&mut input, KeyCode::Char('x'));
        assert_eq!(input.text(), "axé漢");
        typed(&mut input, KeyCode::Delete);
        typed(&mut input, KeyCode::Backspace);
        assert_eq!(input.text(), "a漢");
    }

    #[test]
    fn control_characters_do_not_get_in_and_words_go_whole() {
        let mut input = TextInput::new("one two\x1b[2J\n ");
        assert_eq!(input.text(), "one two[2J ");
        input.edit(&KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(input.text(), "one ");
        input.insert(&"x".repeat(10_000));
        assert_eq!(input.text().len(), 512);
    }
}
