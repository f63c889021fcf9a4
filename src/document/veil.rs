//! Secrets in text that cannot be parsed: what stands on a line is told by its keys.

use std::ops::Range;

use super::{Findings, nearest};

/// Keys whose values are secrets, or hold some, in every document.
pub(crate) const SECRET_KEYS: &[&str] = &["secret", "url", "headers"];
/// Tables that hold secrets.
pub(super) const SECRET_TABLES: &[&str] = &["webhook", "registration", "values", "tag"];
/// The table whose values may all be secrets.
const SECRET_TABLE: &str = "values";

impl Findings {
    /// A mistake of the text itself, which may cut a secret in two.
    pub(super) fn add_syntax(&mut self, text: &str, error: &toml::de::Error) {
        let span = error.span().unwrap_or(0..0);
        let at = text.floor_char_boundary(span.start.min(text.len()));
        // A string left open at the end of a line or of the text is told behind it.
        let last = text[..at].trim_end().len();
        for place in [at, last] {
            if let Some(secret) = on_line_of(text, place) {
                self.veil(secret);
            }
        }
        self.add(span, error.message(), None);
    }
}

/// As the top of a document is named.
const TOP: &str = "the file";

/// Whether the value of a key that a table does not know may be a secret.
pub(super) fn may_be_secret(table: &str, key: &str) -> bool {
    let table = table.trim_matches(['[', ']']);
    SECRET_TABLES.contains(&table)
        || nearest(key, SECRET_KEYS).is_some()
        || (table == TOP && nearest(key, SECRET_TABLES).is_some())
}

/// The part of a line that may be a secret.
fn on_line_of(text: &str, at: usize) -> Option<Range<usize>> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let line = &text[start..end];
    let table = || text[..start].lines().rev().find_map(table_of);
    if let Some(equals) = secret_in(line) {
        return Some(start + equals..end);
    }
    if let (Some(equals), Some(SECRET_TABLE)) = (line.find('='), table()) {
        return Some(start + equals + 1..end);
    }
    // The middle of a list or a text of several lines: the key stands above.
    let above = text[..start].lines().rev().find(|line| table_of(line).is_some() || line.contains('='))?;
    let of_secret = secret_in(above).is_some()
        || (above.contains('=') && table_of(above).is_none() && table() == Some(SECRET_TABLE));
    (key_of(line).is_none() && table_of(line).is_none() && of_secret).then_some(start..end)
}

/// Where the value of a secret key begins.
fn secret_in(line: &str) -> Option<usize> {
    let is_key = |equals: &usize| {
        let key = key_of(&line[..=*equals]);
        key.is_some_and(|key| SECRET_KEYS.contains(&key) || line[..*equals].contains(SECRET_TABLE))
    };
    line.match_indices('=').map(|(at, _)| at).find(is_key).map(|at| at + 1)
}

/// The last word before the first, or only, `=`.
fn key_of(text: &str) -> Option<&str> {
    let before = text[..text.rfind('=')?].trim_end().trim_end_matches(['"', '\'']);
    let word = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').next()?;
    (!word.is_empty()).then_some(word)
}

/// The last part of the name of a table that begins on this line.
fn table_of(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?.trim_end_matches(|c: char| c != ']');
    let name = name.trim_matches(['[', ']']);
    let bare = |c: char| c.is_ascii_alphanumeric() || "._-\"'= ".contains(c);
    name.chars().all(bare).then(|| name.rsplit('.').next().unwrap_or(name).trim())
}
