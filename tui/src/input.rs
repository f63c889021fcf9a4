//! A line that a person types: text, cursor, and the keys that edit it.

use unicode_width::UnicodeWidthStr;

use crate::key::{Code, Key};

/// Longest text: an SSH key in its longest form is some 12 KiB.
pub const TEXT_CHARS_MAX: usize = 16 << 10;

/// One line of text with a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    chars: Vec<char>,
    cursor: usize,
}

impl Input {
    /// A line that holds `text`, the cursor behind it.
    pub fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect();
        Self { cursor: chars.len(), chars }
    }

    /// What is typed.
    pub fn text(&self) -> String {
        self.chars.iter().collect()
    }

    /// Whether nothing is typed.
    pub fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    /// How many characters there are.
    pub fn len(&self) -> usize {
        self.chars.len()
    }

    /// Characters before the cursor.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Puts the cursor behind so many characters, at most at the end.
    pub fn put_cursor(&mut self, cursor: usize) {
        self.cursor = cursor.min(self.chars.len());
    }

    /// Takes away what is behind the cursor.
    pub fn cut(&mut self) -> Self {
        Self { chars: self.chars.split_off(self.cursor), cursor: 0 }
    }

    /// The part that is shown in `columns`, and the cursor's column in it.
    pub fn window(&self, columns: usize, secret: bool) -> (String, usize) {
        let shown: Vec<char> = if secret { vec!['*'; self.chars.len()] } else { self.chars.clone() };
        let mut start = 0;
        let wide = |from: usize, to: usize| shown[from..to].iter().collect::<String>().width();
        while wide(start, self.cursor) >= columns.max(1) {
            start += 1;
        }
        let mut end = start;
        while end < shown.len() && wide(start, end + 1) <= columns {
            end += 1;
        }
        (shown[start..end].iter().collect(), wide(start, self.cursor))
    }

    /// Puts text in at the cursor; line ends become spaces.
    pub fn insert(&mut self, text: &str) {
        for c in text.trim_end_matches(['\r', '\n']).chars() {
            if self.chars.len() < TEXT_CHARS_MAX {
                self.chars.insert(self.cursor, if c.is_control() { ' ' } else { c });
                self.cursor += 1;
            }
        }
    }

    /// Takes a key; says whether it means anything here.
    pub fn key(&mut self, key: Key) -> bool {
        match (key.code, key.ctrl) {
            (Code::Left, _) => self.cursor = self.cursor.saturating_sub(1),
            (Code::Right, _) => self.cursor = (self.cursor + 1).min(self.chars.len()),
            (Code::Home, _) | (Code::Char('a'), true) => self.cursor = 0,
            (Code::End, _) | (Code::Char('e'), true) => self.cursor = self.chars.len(),
            (Code::Backspace, _) if self.cursor > 0 => {
                self.cursor -= 1;
                self.chars.remove(self.cursor);
            }
            (Code::Delete, _) if self.cursor < self.chars.len() => drop(self.chars.remove(self.cursor)),
            (Code::Backspace | Code::Delete, _) => {}
            (Code::Char('u'), true) => {
                self.chars.drain(..self.cursor);
                self.cursor = 0;
            }
            (Code::Char('w'), true) => {
                let before = &self.chars[..self.cursor];
                let kept = before.iter().rposition(|c| *c != ' ').map_or(0, |last| {
                    before[..=last].iter().rposition(|c| *c == ' ').map_or(0, |space| space + 1)
                });
                self.chars.drain(kept..self.cursor);
                self.cursor = kept;
            }
            _ => match key.typed() {
                Some(c) => self.insert(&c.to_string()),
                None => return false,
            },
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, keys: &str, expected: &str) {
        let mut input = Input::new(text);
        for key in keys.split(' ') {
            assert!(input.key(key.parse().expect("a key")), "{key}");
        }
        assert_eq!(input.text(), expected, "{keys}");
    }

    #[test]
    fn a_line_is_edited() {
        check("ab", "c", "abc");
        check("ab", "home c", "cab");
        check("ab", "left c", "acb");
        check("ab", "backspace backspace backspace", "");
        check("ab", "home delete", "b");
        check("one two ", "ctrl-w", "one ");
        check("one", "ctrl-w", "");
        check("one two", "left ctrl-u", "o");
        assert!(!Input::default().key("enter".parse().expect("a key")));
    }

    #[test]
    fn a_long_line_shows_where_the_cursor_is() {
        let mut input = Input::new("0123456789");
        assert_eq!(input.window(4, false), ("789".into(), 3));
        assert_eq!(input.window(40, true), ("**********".into(), 10));
        input.key("home".parse().expect("a key"));
        assert_eq!(input.window(4, false), ("0123".into(), 0));
        input.insert("a\nb\n");
        assert_eq!(input.text(), "a b0123456789");
    }
}
