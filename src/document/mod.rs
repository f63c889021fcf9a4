//! TOML documents that people write: every mistake in one is found at once, each at its place, with what
//! would be right.
//!
//! A document is read in two steps: what each value is for itself, and whether the values go together.

mod finding;
mod layers;
mod reader;
mod section;
pub(crate) mod value;
mod veil;

use toml::de::DeTable;

pub(crate) use finding::{Findings, nearest};
pub use finding::{Mistake, Mistakes};
pub(crate) use layers::{Leaf, Text, leaves, read_layers};
pub(crate) use reader::Reader;
pub(crate) use section::{At, Field, Section, Value, describe, shorten};
pub(crate) use veil::SECRET_KEYS;

/// Reads the text of a document called `name`: `read` takes what each value says, `check` whether the values go
/// together. Every mistake of both is reported, in the order of the text.
pub(crate) fn read<R, T>(
    text: &str,
    name: &str,
    read: impl Fn(&DeTable<'_>, &mut Findings) -> R,
    check: impl FnOnce(R, &mut Findings) -> T,
) -> Result<T, Mistakes> {
    let mut findings = Findings::default();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        findings.add_syntax(text, &error);
    }
    if !findings.is_empty() {
        // What could be parsed is read too, value by value; whether values go together cannot be told
        // while some are missing.
        let mut further = Findings::default();
        read(table.get_ref(), &mut further);
        findings.add_elsewhere(further, text);
        return Err(findings.into_mistakes(name, text));
    }
    let raw = read(table.get_ref(), &mut findings);
    let checked = check(raw, &mut findings);
    match findings.is_empty() {
        true => Ok(checked),
        false => Err(findings.into_mistakes(name, text)),
    }
}

impl Mistakes {
    /// The one mistake of a file called `name` that is not text.
    pub fn not_utf8(bytes: &[u8], error: std::str::Utf8Error, name: &str) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let at = error.valid_up_to();
        let mut findings = Findings::default();
        findings.add(at..at + 1, "found bytes that are not UTF-8", "save the file as UTF-8".to_owned());
        findings.into_mistakes(name, &text)
    }
}
