//! What a variable takes: its type and limits, and a given value read by them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value as Json;

use super::quote::is_control;
use crate::document::value::{Wrong, quoted, word};
use crate::document::{nearest, shorten};
use crate::machine::{check_name, glob};

/// Longest text of one value: a script that goes into an answer file.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 10;
/// Longest value of one line.
const LINE_BYTES_MAX: usize = 4096;
/// Items of one list.
pub(super) const ITEMS_MAX: usize = 256;
/// What begins a public key that OpenSSH takes (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
const KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, of several lines only for variables of type `text`.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// Texts of one line each.
    List(Vec<String>),
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Boolean(on) => (*on).into(),
            Value::List(items) => items.clone().into(),
        }
    }
}

/// What a variable takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// One line; the limits are those of its length in characters.
    String(Limits),
    /// Lines; the limits are those of its length in characters.
    Text(Limits),
    /// A whole number; the limits are its own.
    Integer(Limits),
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Choice(Vec<String>),
    /// A host name (RFC 1123), written in lower case.
    Hostname,
    /// An IPv4 or IPv6 address.
    Address,
    /// An address and the length of its network's prefix.
    Cidr,
    /// Public keys as in `authorized_keys`, without options.
    SshKeys,
    /// Texts of one line; the limits are those of their number.
    List(Limits),
}

/// How much, and of what look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// At least.
    pub min: Option<i64>,
    /// At most.
    pub max: Option<i64>,
    /// Each text fits this, in which `*` stands for any text; case-insensitive.
    pub pattern: Option<String>,
}

impl Limits {
    fn check_amount(&self, amount: i64, what: &str) -> Result<(), Wrong> {
        if let Some(min) = self.min.filter(|min| amount < *min) {
            return Err((format!("{amount}{what} is too little"), format!("at least {min}{what}")));
        }
        if let Some(max) = self.max.filter(|max| amount > *max) {
            return Err((format!("{amount}{what} is too much"), format!("at most {max}{what}")));
        }
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), Wrong> {
        match &self.pattern {
            Some(pattern) if !glob(pattern, text) => {
                Err((format!("{} does not fit", quoted(text)), format!("it should look like {pattern:?}")))
            }
            _ => Ok(()),
        }
    }
}

impl Input {
    /// The word of its type in `profile.toml`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Text(_) => "text",
            Self::Integer(_) => "integer",
            Self::Boolean => "boolean",
            Self::Choice(_) => "choice",
            Self::Hostname => "hostname",
            Self::Address => "address",
            Self::Cidr => "cidr",
            Self::SshKeys => "ssh_keys",
            Self::List(_) => "list",
        }
    }

    /// Reads what was given; the error says what is wrong and what would be right.
    pub(super) fn read(&self, given: &Json) -> Result<Value, Wrong> {
        match self {
            Self::String(limits) => {
                let text = line(given)?;
                limits.check_amount(text.chars().count() as i64, " characters")?;
                limits.check_text(&text)?;
                Ok(Value::Text(text))
            }
            Self::Text(limits) => {
                let text = lines(given)?;
                limits.check_amount(text.chars().count() as i64, " characters")?;
                limits.check_text(&text)?;
                Ok(Value::Text(text))
            }
            Self::Integer(limits) => {
                let number = given.as_i64().ok_or_else(|| mismatch(given, "a whole number, such as 8"))?;
                limits.check_amount(number, "")?;
                Ok(Value::Integer(number))
            }
            Self::Boolean => {
                let on = given.as_bool().ok_or_else(|| mismatch(given, "true or false"))?;
                Ok(Value::Boolean(on))
            }
            Self::Choice(choices) => {
                let words: Vec<(&str, &String)> = choices.iter().map(|word| (word.as_str(), word)).collect();
                let text = line(given)?;
                choose(&text, &words).map(|word| Value::Text(word.clone()))
            }
            Self::Hostname => {
                let text = line(given)?;
                let help = "letters, digits and `-` between dots, such as \"node-1.example.org\"".to_owned();
                check_name(&text).map(Value::Text).map_err(|error| (error.to_string(), help))
            }
            Self::Address => {
                let text = line(given)?;
                let wrong =
                    || (format!("{} is not an address", quoted(&text)), "such as \"10.0.0.1\"".into());
                let address: IpAddr = text.parse().map_err(|_| wrong())?;
                usable(address).then(|| Value::Text(address.to_string())).ok_or_else(wrong)
            }
            Self::Cidr => {
                let text = line(given)?;
                let wrong = || {
                    let message = format!("{} is not an address with its prefix length", quoted(&text));
                    (message, "such as \"10.0.0.5/24\"".into())
                };
                let net: IpNet = text.parse().map_err(|_| wrong())?;
                usable(net.addr()).then(|| Value::Text(net.to_string())).ok_or_else(wrong)
            }
            Self::SshKeys => items(given)?
                .iter()
                .flat_map(|text| text.lines())
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(ssh_key)
                .collect::<Result<_, _>>()
                .map(Value::List),
            Self::List(limits) => {
                let items = items(given)?;
                for item in &items {
                    line(&Json::from(item.as_str()))?;
                    limits.check_text(item)?;
                }
                limits.check_amount(items.len() as i64, " items")?;
                Ok(Value::List(items))
            }
        }
    }

    /// A value that fits, for trying out templates and for showing what is meant.
    pub fn example(&self) -> Value {
        let text = |text: &str| Value::Text(text.into());
        match self {
            Self::String(_) | Self::Text(_) => text("text"),
            Self::Integer(limits) => Value::Integer(limits.min.or(limits.max).unwrap_or(1)),
            Self::Boolean => Value::Boolean(true),
            Self::Choice(choices) => text(choices.first().map_or("", String::as_str)),
            Self::Hostname => text("node-1"),
            Self::Address => text("10.0.0.1"),
            Self::Cidr => text("10.0.0.5/24"),
            Self::SshKeys => Value::List(vec![format!("ssh-ed25519 {}", "A".repeat(68))]),
            Self::List(_) => Value::List(vec!["item".into()]),
        }
    }
}

/// One of a profile's own words.
fn choose<'w>(text: &str, words: &[(&str, &'w String)]) -> Result<&'w String, Wrong> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let help = match nearest(text, &names) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("one of {}", names.join(", ")),
    };
    Err((format!("{} is not one of the choices", quoted(text)), help))
}

fn mismatch(given: &Json, expected: &str) -> Wrong {
    let found = match given {
        Json::Null => "nothing".to_owned(),
        Json::Bool(on) => format!("the boolean {on}"),
        Json::Number(number) => format!("the number {number}"),
        Json::String(text) => format!("the string {}", quoted(text)),
        Json::Array(_) => "a list".into(),
        Json::Object(_) => "a table".into(),
    };
    (format!("found {found}"), expected.to_owned())
}

fn line(given: &Json) -> Result<String, Wrong> {
    let text = given.as_str().ok_or_else(|| mismatch(given, "a string"))?;
    if text.len() > LINE_BYTES_MAX {
        return Err((format!("the text has {} bytes", text.len()), format!("at most {LINE_BYTES_MAX}")));
    }
    match text.chars().find(|c| is_control(*c)) {
        None => Ok(text.to_owned()),
        Some('\n') => Err(("the text has several lines".into(), "one line".into())),
        Some(c) => Err((format!("the text holds the character {c:?}"), "one line that can be seen".into())),
    }
}

fn lines(given: &Json) -> Result<String, Wrong> {
    let text = given.as_str().ok_or_else(|| mismatch(given, "a string"))?;
    if text.len() > TEXT_BYTES_MAX {
        return Err((format!("the text has {} bytes", text.len()), format!("at most {TEXT_BYTES_MAX}")));
    }
    match text.chars().find(|c| is_control(*c) && !matches!(c, '\n' | '\t')) {
        None => Ok(text.to_owned()),
        Some(c) => {
            let help = "lines that end with a line feed, and nothing invisible but tabs";
            Err((format!("the text holds the character {c:?}"), help.into()))
        }
    }
}

/// A list of strings; one string is a list of itself.
fn items(given: &Json) -> Result<Vec<String>, Wrong> {
    let found = match given {
        Json::String(text) => return Ok(vec![text.clone()]),
        Json::Array(found) => found,
        other => return Err(mismatch(other, "a list of strings")),
    };
    if found.len() > ITEMS_MAX {
        return Err((format!("the list has {} items", found.len()), format!("at most {ITEMS_MAX}")));
    }
    let text = |item: &Json| item.as_str().map(str::to_owned).ok_or_else(|| mismatch(item, "a string"));
    found.iter().map(text).collect()
}

fn usable(address: IpAddr) -> bool {
    !address.is_multicast() && !address.is_unspecified() && !address.is_loopback()
}

/// One public key: its type, its body in base64, and perhaps a comment.
fn ssh_key(text: &str) -> Result<String, Wrong> {
    let wrong = |why: &str| {
        let help = "a line of a .pub file, such as \"ssh-ed25519 AAAA… name\"";
        (format!("{} is not a public key: {why}", quoted(text)), help.to_owned())
    };
    if text.contains("PRIVATE KEY") {
        // Nothing of it is repeated.
        return Err(("found a private key".into(), "the public one, which ends with .pub".into()));
    }
    line(&Json::from(text))?;
    let mut words = text.split_whitespace();
    let kind = words.next().unwrap_or_default();
    word(kind, &KEY_TYPES.iter().map(|kind| (*kind, ())).collect::<Vec<_>>())
        .map_err(|_| wrong(&format!("{} is not a type of keys", quoted(kind))))?;
    let body = words.next().ok_or_else(|| wrong("it has no body"))?;
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if !body.starts_with("AAAA") || !body.bytes().all(base64) {
        return Err(wrong(&format!("{} is not its body in base64", quoted(&shorten(body)))));
    }
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(input: &Input, given: Json, expected: &str) {
        let shown = match input.read(&given) {
            Ok(value) => Json::from(&value).to_string(),
            Err((message, help)) => format!("{message}; {help}"),
        };
        assert_eq!(shown, expected, "{given}");
    }

    #[test]
    fn each_type_takes_what_it_says() {
        let limits = Limits { min: Some(2), max: Some(4), pattern: None };
        check(&Input::String(limits.clone()), json!("abc"), "\"abc\"");
        check(
            &Input::String(limits.clone()),
            json!("a"),
            "1 characters is too little; at least 2 characters",
        );
        check(&Input::String(limits.clone()), json!("a\nb"), "the text has several lines; one line");
        check(&Input::String(limits.clone()), json!(7), "found the number 7; a string");
        check(&Input::Text(Limits::default()), json!("a\n\tb"), r#""a\n\tb""#);
        check(
            &Input::Text(Limits::default()),
            json!("a\r\nb"),
            "the text holds the character '\\r'; lines that end with a line feed, and nothing invisible but tabs",
        );
        check(&Input::Integer(limits.clone()), json!(5), "5 is too much; at most 4");
        check(
            &Input::Integer(limits.clone()),
            json!("3"),
            "found the string \"3\"; a whole number, such as 8",
        );
        check(&Input::Boolean, json!("true"), "found the string \"true\"; true or false");
        let choice = Input::Choice(vec!["trixie".into(), "bookworm".into()]);
        check(&choice, json!("trixie"), "\"trixie\"");
        check(&choice, json!("trixei"), "\"trixei\" is not one of the choices; did you mean \"trixie\"?");
        check(&Input::Hostname, json!("Node-1"), "\"node-1\"");
        check(&Input::Address, json!("10.0.0.1"), "\"10.0.0.1\"");
        check(&Input::Address, json!("2001:db8::1"), "\"2001:db8::1\"");
        check(&Input::Address, json!("224.0.0.1"), "\"224.0.0.1\" is not an address; such as \"10.0.0.1\"");
        check(&Input::Cidr, json!("10.0.0.5/24"), "\"10.0.0.5/24\"");
        check(
            &Input::Cidr,
            json!("10.0.0.5"),
            "\"10.0.0.5\" is not an address with its prefix length; such as \"10.0.0.5/24\"",
        );
        check(&Input::List(limits.clone()), json!(["a", "b"]), r#"["a","b"]"#);
        check(&Input::List(limits), json!("a"), "1 items is too little; at least 2 items");
        let pattern = Limits { pattern: Some("*.deb".into()), ..Limits::default() };
        check(
            &Input::List(pattern),
            json!(["a.rpm"]),
            "\"a.rpm\" does not fit; it should look like \"*.deb\"",
        );
    }

    #[test]
    fn keys_are_public_ones() {
        check(
            &Input::SshKeys,
            json!("ssh-ed25519  AAAAC3Nz me@here\n\nssh-rsa AAAAB3Nz"),
            r#"["ssh-ed25519 AAAAC3Nz me@here","ssh-rsa AAAAB3Nz"]"#,
        );
        check(
            &Input::SshKeys,
            json!(["-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"]),
            "found a private key; the public one, which ends with .pub",
        );
        let given = json!("no-pty ssh-rsa AAAA");
        assert!(Input::SshKeys.read(&given).unwrap_err().0.contains("not a type of keys"));
        assert!(Input::SshKeys.read(&json!("ssh-rsa $(x)")).unwrap_err().0.contains("base64"));
    }

    #[test]
    fn examples_fit() {
        let limits = Limits { min: Some(1), max: Some(9), pattern: None };
        let list = [
            Input::String(limits.clone()),
            Input::Text(limits.clone()),
            Input::Integer(limits.clone()),
            Input::Boolean,
            Input::Choice(vec!["a".into()]),
            Input::Hostname,
            Input::Address,
            Input::Cidr,
            Input::SshKeys,
            Input::List(limits),
        ];
        for input in list {
            let example = input.example();
            assert_eq!(input.read(&Json::from(&example)), Ok(example), "{}", input.name());
        }
    }
}
