//! A text of several lines that a person types: lines, cursor, and the keys that edit it.

use unicode_width::UnicodeWidthChar;

use crate::input::Input;
use crate::key::{Code, Key};

/// More lines are taken as one: the daemon refuses texts of that length.
const LINES_MAX: usize = 1000;

/// A text with a cursor. There is always a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    lines: Vec<Input>,
    row: usize,
}

/// One row of the screen: which part of which line it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it shows.
    pub text: String,
    /// The cursor's column, if it is in this row.
    pub cursor: Option<usize>,
}

impl Text {
    /// A text, the cursor behind it.
    pub fn new(text: &str) -> Self {
        let mut lines: Vec<Input> = text.split('\n').map(Input::new).collect();
        lines.truncate(LINES_MAX);
        Self { row: lines.len() - 1, lines }
    }

    /// What is typed, without empty lines at the end.
    pub fn text(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(Input::text).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// Puts text in at the cursor, line by line.
    pub fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        for (place, line) in text.split('\n').enumerate() {
            if place > 0 {
                self.split();
            }
            self.lines[self.row].insert(line);
        }
    }

    /// Takes a key; says whether it means anything here.
    pub fn key(&mut self, key: Key) -> bool {
        let line = &self.lines[self.row];
        let (at_start, at_end) = (line.cursor() == 0, line.cursor() == line.len());
        match key.code {
            Code::Enter => self.split(),
            Code::Up => self.go(self.row.saturating_sub(1)),
            Code::Down => self.go(self.row + 1),
            Code::Left if at_start && self.row > 0 => {
                self.row -= 1;
                self.lines[self.row].put_cursor(usize::MAX);
            }
            Code::Right if at_end && self.row + 1 < self.lines.len() => {
                self.row += 1;
                self.lines[self.row].put_cursor(0);
            }
            Code::Backspace if at_start && self.row > 0 => {
                self.row -= 1;
                self.join();
            }
            Code::Delete if at_end && self.row + 1 < self.lines.len() => self.join(),
            _ => return self.lines[self.row].key(key),
        }
        true
    }

    /// The rows of a screen of `columns`: lines that are longer go on in the next row.
    pub fn rows(&self, columns: usize) -> Vec<Row> {
        // The cursor behind the last column needs one more.
        let columns = columns.saturating_sub(1).max(1);
        let mut rows = Vec::new();
        for (place, line) in self.lines.iter().enumerate() {
            let cursor = (place == self.row).then_some(line.cursor());
            let (mut text, mut width, mut at) = (String::new(), 0, None);
            for (index, c) in line.text().chars().enumerate() {
                let wide = c.width().unwrap_or(0);
                if width + wide > columns {
                    rows.push(Row { text: std::mem::take(&mut text), cursor: at.take() });
                    width = 0;
                }
                if cursor == Some(index) {
                    at = Some(width);
                }
                text.push(c);
                width += wide;
            }
            if cursor == Some(line.len()) {
                at = Some(width);
            }
            rows.push(Row { text, cursor: at });
        }
        rows
    }

    /// The part of the rows that `height` lines show, with the cursor in it.
    pub fn window(&self, columns: usize, height: usize) -> Vec<Row> {
        let rows = self.rows(columns);
        let cursor = rows.iter().position(|row| row.cursor.is_some()).unwrap_or(0);
        // The cursor is kept in the middle of a text that is longer than the screen.
        let top = (cursor + height / 2 + 1).saturating_sub(height).min(rows.len().saturating_sub(height));
        rows.into_iter().skip(top).take(height).collect()
    }

    fn split(&mut self) {
        if self.lines.len() < LINES_MAX {
            let rest = self.lines[self.row].cut();
            self.row += 1;
            self.lines.insert(self.row, rest);
        }
    }

    /// Appends the next line to the one of the cursor, which stays between them.
    fn join(&mut self) {
        let next = self.lines.remove(self.row + 1).text();
        let line = &mut self.lines[self.row];
        let cursor = line.len();
        line.put_cursor(cursor);
        line.insert(&next);
        line.put_cursor(cursor);
    }

    fn go(&mut self, row: usize) {
        let column = self.lines[self.row].cursor();
        self.row = row.min(self.lines.len() - 1);
        self.lines[self.row].put_cursor(column);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, keys: &str, expected: &str) {
        let mut typed = Text::new(text);
        for key in keys.split_whitespace() {
            assert!(typed.key(key.parse().expect("a key")), "{key}");
        }
        assert_eq!(typed.text(), expected, "{keys}");
    }

    #[test]
    fn lines_are_split_joined_and_moved_in() {
        check("ab", "left enter", "a\nb");
        check("a\nb", "home backspace", "ab");
        check("a\nb", "up end delete", "ab");
        check("a\nb", "home left x", "ax\nb");
        check("a\nb", "up end right x", "a\nxb");
        check("long\nb\nlong", "up x", "long\nbx\nlong");
        check("a", "enter enter", "a");
    }

    #[test]
    fn what_is_pasted_keeps_its_lines() {
        let mut text = Text::new("ad");
        text.key("left".parse().expect("a key"));
        text.insert("b\r\nc");
        assert_eq!(text.text(), "ab\ncd");
    }

    #[test]
    fn long_lines_go_on_in_the_next_row_and_the_cursor_is_shown() {
        let rows = Text::new("abcdef\ng").rows(4);
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        assert_eq!(texts, ["abc", "def", "g"]);
        assert_eq!(rows.iter().map(|row| row.cursor).collect::<Vec<_>>(), [None, None, Some(1)]);
        let many = Text::new(&"x\n".repeat(50));
        assert!(many.window(10, 5).iter().any(|row| row.cursor.is_some()));
        assert_eq!(many.window(10, 5).len(), 5);
    }
}
