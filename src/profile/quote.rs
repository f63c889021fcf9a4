//! A value as text of a format, so that it cannot break out of its place.
//!
//! Some formats can write any text in quotes; others cannot write a line break at all, and such a value is refused.

use super::input::Value;

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unwritable {
    /// A line cannot hold it.
    #[error("it holds {0}, which a single line cannot")]
    Control(String),
    /// The format would read it as something else.
    #[error("it {0}, which {1} would read as something else")]
    Special(&'static str, &'static str),
    /// Lists are only written by some filters.
    #[error("it is a list: write `| join(…)` or a loop before `| {0}`")]
    List(&'static str),
}

/// Whether a character ends a line or is invisible, in any of the formats.
pub(super) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn no_control(text: &str) -> Result<&str, Unwritable> {
    match text.chars().find(|c| is_control(*c)) {
        None => Ok(text),
        Some('\n') => Err(Unwritable::Control("a line break".into())),
        Some(c) => Err(Unwritable::Control(format!("the character {c:?}"))),
    }
}

/// Every text that a value has, in order.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.clone()],
        Value::Integer(number) => vec![number.to_string()],
        Value::Boolean(on) => vec![on.to_string()],
        Value::List(items) => items.clone(),
    }
}

fn one(value: &Value, filter: &'static str) -> Result<String, Unwritable> {
    match value {
        Value::List(_) => Err(Unwritable::List(filter)),
        value => Ok(texts(value).concat()),
    }
}

/// A YAML 1.1 and 1.2 scalar in double quotes, a number, a boolean, or a flow sequence of strings.
pub(super) fn yaml(value: &Value) -> Result<String, Unwritable> {
    Ok(match value {
        Value::Text(text) => yaml_text(text),
        Value::Integer(_) | Value::Boolean(_) => one(value, "yaml")?,
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| yaml_text(item)).collect();
            format!("[{}]", items.join(", "))
        }
    })
}

fn yaml_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // All of them lie in the first plane, for which four digits suffice.
            c if is_control(c) => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A JSON value.
pub(super) fn json(value: &Value) -> Result<String, Unwritable> {
    Ok(match value {
        Value::Text(text) => serde_json::Value::from(text.as_str()),
        Value::Integer(number) => serde_json::Value::from(*number),
        Value::Boolean(on) => serde_json::Value::from(*on),
        Value::List(items) => serde_json::Value::from(items.clone()),
    }
    .to_string())
}

/// A word of a POSIX shell in single quotes; a list is several words.
pub(super) fn shell(value: &Value) -> Result<String, Unwritable> {
    let words: Vec<String> = texts(value).iter().map(|text| shell_word(text)).collect();
    if words.iter().any(|word| word.contains('\0')) {
        return Err(Unwritable::Special("holds a zero byte", "a shell"));
    }
    Ok(words.join(" "))
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A word of a kickstart file, which splits lines as a shell does.
pub(super) fn kickstart(value: &Value) -> Result<String, Unwritable> {
    let quoted = shell(value)?;
    no_control(&quoted)?;
    Ok(quoted)
}

/// The value of a preseeded answer, which goes to the end of its line and knows no quotes.
pub(super) fn preseed(value: &Value) -> Result<String, Unwritable> {
    let text = one(value, "preseed")?;
    no_control(&text)?;
    if text.ends_with('\\') {
        return Err(Unwritable::Special("ends with a backslash", "a preseed file"));
    }
    if text != text.trim() {
        return Err(Unwritable::Special("begins or ends with a space", "a preseed file"));
    }
    Ok(text)
}

/// Text of one line as it is, for files that hold nothing else in that line.
pub(super) fn line(value: &Value) -> Result<String, Unwritable> {
    let text = one(value, "line")?;
    no_control(&text)?;
    Ok(text)
}

/// The value of a kernel parameter: in double quotes where it has spaces. The kernel knows no escapes.
pub(super) fn parameter(value: &Value) -> Result<String, Unwritable> {
    let text = one(value, "parameter")?;
    no_control(&text)?;
    if text.contains('"') {
        return Err(Unwritable::Special("holds a quotation mark", "the kernel"));
    }
    match text.contains(' ') || text.is_empty() {
        true => Ok(format!("\"{text}\"")),
        false => Ok(text),
    }
}

/// Whether a text can stand anywhere as it is: no format gives any of these characters a meaning inside a word.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/@+=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn each_format_has_its_quotes() {
        let check = |written: Result<String, Unwritable>, expected: &str| {
            assert_eq!(written.unwrap_or_else(|error| error.to_string()), expected);
        };
        let list = Value::List(vec!["a b".into(), "c'd".into()]);
        check(yaml(&text("a: #\"\\\n\u{85}")), r#""a: #\"\\\n\u0085""#);
        check(yaml(&list), r#"["a b", "c'd"]"#);
        check(yaml(&Value::Boolean(true)), "true");
        check(json(&list), r#"["a b","c'd"]"#);
        check(shell(&list), r"'a b' 'c'\''d'");
        check(shell(&text("$(reboot)\n")), "'$(reboot)\n'");
        check(kickstart(&text("a\nb")), "it holds a line break, which a single line cannot");
        check(preseed(&text("a \"b\" #c")), "a \"b\" #c");
        check(
            preseed(&text("a\\")),
            "it ends with a backslash, which a preseed file would read as something else",
        );
        check(preseed(&list), "it is a list: write `| join(…)` or a loop before `| preseed`");
        check(line(&text("a\u{0}")), "it holds the character '\\0', which a single line cannot");
        check(parameter(&text("a b")), "\"a b\"");
        check(
            parameter(&text("a\"b")),
            "it holds a quotation mark, which the kernel would read as something else",
        );
    }
}
