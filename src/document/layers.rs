//! Two documents of one shape read as one: the upper one wins, and every mistake is told in its own file.
//!
//! The upper text is parsed behind as many spaces as the lower one has bytes, so that places of both are told apart
//! by their offsets.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Findings, Mistakes};

/// The text of a document and what it is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

/// A value that is written in one of two documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Where it belongs: `http.listen`, `network[0].interface`.
    pub key: String,
    /// As it is written.
    pub text: String,
    /// Whether the upper document has it.
    pub upper: bool,
    /// From 1, in its file.
    pub line: usize,
}

/// Reads two documents as one, as [`super::read`] does one.
pub(crate) fn read_layers<R, T>(
    lower: Text<'_>,
    upper: Text<'_>,
    read: impl Fn(&DeTable<'_>, &mut Findings) -> R,
    check: impl FnOnce(R, &mut Findings) -> T,
) -> Result<T, Mistakes> {
    for layer in [lower, upper] {
        let mut findings = Findings::default();
        for error in DeTable::parse_recoverable(layer.text).1 {
            findings.add_syntax(layer.text, &error);
        }
        if !findings.is_empty() {
            return Err(findings.into_mistakes(layer.name, layer.text));
        }
    }
    let padded = padded(lower, upper);
    let mut findings = Findings::default();
    let raw = read(&merged(lower.text, &padded), &mut findings);
    let checked = check(raw, &mut findings);
    if findings.is_empty() {
        return Ok(checked);
    }
    let (below, above) = findings.split_at(offset(lower));
    // One file at a time: the lower one first, which a person wrote.
    Err(match below.is_empty() {
        true => above.into_mistakes(upper.name, upper.text),
        false => below.into_mistakes(lower.name, lower.text),
    })
}

/// Every value of two legal documents as one, by key.
pub(crate) fn leaves(lower: Text<'_>, upper: Text<'_>) -> Vec<Leaf> {
    let padded = padded(lower, upper);
    let mut found = Vec::new();
    collect(&merged(lower.text, &padded), "", &mut |key, span| {
        let above = span.start >= offset(lower);
        let (text, start) = if above { (upper.text, offset(lower)) } else { (lower.text, 0) };
        let range = span.start - start..span.end - start;
        let line = text[..range.start].bytes().filter(|byte| *byte == b'\n').count() + 1;
        let written = text[range].split_whitespace().collect::<Vec<_>>().join(" ");
        found.push(Leaf { key, text: written, upper: above, line });
    });
    found
}

/// Where the upper document begins.
fn offset(lower: Text<'_>) -> usize {
    lower.text.len() + 1
}

fn padded(lower: Text<'_>, upper: Text<'_>) -> String {
    " ".repeat(offset(lower)) + upper.text
}

fn merged<'a>(lower: &'a str, padded: &'a str) -> DeTable<'a> {
    let mut below = DeTable::parse_recoverable(lower).0.into_inner();
    merge(&mut below, DeTable::parse_recoverable(padded).0.into_inner());
    below
}

/// Tables are merged key by key; of everything else the upper one counts as a whole, lists of tables included.
fn merge<'a>(below: &mut DeTable<'a>, above: DeTable<'a>) {
    for (key, mut value) in above {
        // Taken out, so that the key stands where the upper document has it.
        let before = below.remove(&key);
        if let (Some(before), DeValue::Table(table)) = (before, value.get_mut())
            && let DeValue::Table(mut inner) = before.into_inner()
        {
            merge(&mut inner, std::mem::take(table));
            *table = inner;
        }
        below.insert(key, value);
    }
}

fn collect(table: &DeTable<'_>, above: &str, found: &mut impl FnMut(String, Range<usize>)) {
    for (name, value) in table.iter() {
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let name = name.get_ref();
        let name = if name.bytes().all(bare) { name.to_string() } else { format!("{name:?}") };
        let key = if above.is_empty() { name } else { format!("{above}.{name}") };
        match value.get_ref() {
            DeValue::Table(inner) => collect(inner, &key, found),
            DeValue::Array(items) if items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))) => {
                for (number, item) in items.iter().enumerate() {
                    if let DeValue::Table(inner) = item.get_ref() {
                        collect(inner, &format!("{key}[{number}]"), found);
                    }
                }
            }
            _ => found(key, value.span()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_document_wins_key_by_key_and_each_value_knows_its_file_and_line() {
        let lower = Text { name: "a", text: "x = 1\n[t]\na = \"é\"\nb = [1,\n 2]\n[[l]]\nn = 1\n" };
        let upper =
            Text { name: "b", text: "\n[t]\nb = 3\n[[l]]\nn = 2\n[[l]]\nn = 3\n[\"q=r\".s]\nv = 1\n" };
        let shown: Vec<String> = leaves(lower, upper)
            .into_iter()
            .map(|leaf| {
                format!("{} {} {}:{}", leaf.key, leaf.text, if leaf.upper { "b" } else { "a" }, leaf.line)
            })
            .collect();
        let expected =
            ["l[0].n 2 b:5", "l[1].n 3 b:7", "\"q=r\".s.v 1 b:9", "t.a \"é\" a:3", "t.b 3 b:3", "x 1 a:1"];
        assert_eq!(shown, expected);
        let alone: Vec<_> =
            leaves(lower, Text { name: "b", text: "" }).into_iter().map(|leaf| leaf.text).collect();
        assert_eq!(alone, ["1", "\"é\"", "[1, 2]", "1"]);
    }

    #[test]
    fn a_mistake_is_told_in_its_own_file() {
        let read = |lower: &str, upper: &str| {
            let refuse = |table: &DeTable<'_>, findings: &mut Findings| {
                collect(table, "", &mut |key, span| findings.add(span, format!("wrong {key}"), None));
            };
            let (lower, upper) = (Text { name: "a", text: lower }, Text { name: "b", text: upper });
            read_layers(lower, upper, refuse, |(), _| ()).expect_err("refused").to_string()
        };
        assert_eq!(read("", "\nkey = 22\n"), "b:2:7: wrong key\n  |\n2 | key = 22\n  |       ^^");
        assert_eq!(read("key = 1\n", "key = 22"), "b:1:7: wrong key\n  |\n1 | key = 22\n  |       ^^");
        assert_eq!(read("a = 1\n", "b = 2"), "a:1:5: wrong a\n  |\n1 | a = 1\n  |     ^");
        assert!(read("a = 1\n", "b = [").starts_with("b:1:"));
        assert!(read("a = [", "b = [").starts_with("a:1:"));
    }
}
