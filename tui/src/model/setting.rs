//! Settings of the daemon: which are listed, what a typed text is as a value, and the change that it asks for.

use ironwake_api::{Setting, SettingOrigin, Settings};
use serde_json::{Map, Value};

use crate::input::Input;
use crate::list::List;

/// What the daemon shows in place of what is or may be secret.
pub const SECRET: &str = "***";

/// Which settings are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Only {
    /// All.
    #[default]
    All,
    /// What somebody set.
    Set,
    /// What was changed through the API, or waits for a restart.
    Changed,
}

impl Only {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Self::All => Self::Set,
            Self::Set => Self::Changed,
            Self::Changed => Self::All,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Set => "set",
            Self::Changed => "changed through the API",
        }
    }
}

/// The settings of the daemon.
#[derive(Debug, Default)]
pub struct Book {
    /// As the daemon has them, once it was asked.
    pub all: Option<Settings>,
    /// The setting under the cursor.
    pub list: List,
    /// What is searched for.
    pub search: Input,
    /// Which are listed.
    pub only: Only,
}

impl Book {
    /// What is listed.
    pub fn shown(&self) -> Vec<&Setting> {
        let words = self.search.text().to_lowercase();
        let fits = |setting: &&Setting| {
            let listed = match self.only {
                Only::All => true,
                Only::Set => setting.origin != SettingOrigin::Default,
                Only::Changed => setting.origin == SettingOrigin::Settings || self.waits(&setting.key),
            };
            let text = || format!("{} {}", setting.key, setting.value).to_lowercase();
            listed && words.split_whitespace().all(|word| text().contains(word))
        };
        self.settings().iter().filter(fits).collect()
    }

    /// Every setting.
    pub fn settings(&self) -> &[Setting] {
        self.all.as_ref().map(|all| all.settings.as_slice()).unwrap_or_default()
    }

    /// The setting under the cursor.
    pub fn chosen(&self) -> Option<&Setting> {
        self.shown().get(self.list.cursor).copied()
    }

    /// Whether a setting was changed and counts from the daemon's next start on. A change of a list is told as a whole.
    pub fn waits(&self, key: &str) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        let restart = self.all.as_ref().map(|all| all.restart.as_slice()).unwrap_or_default();
        restart.iter().any(|changed| key.strip_prefix(changed.as_str()).is_some_and(below))
    }
}

/// What a value is, as far as the one before tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// A list.
    List,
    /// Nobody has set it yet: a number, `true` or a list where it reads so, and text else.
    Any,
}

impl Kind {
    /// The kind of a value in TOML.
    pub fn of(value: &str) -> Self {
        match value.trim() {
            "true" | "false" => Self::Switch,
            text if text.starts_with('[') => Self::List,
            text if text.replace('_', "").parse::<i64>().is_ok() => Self::Number,
            _ => Self::Text,
        }
    }

    /// What would be right.
    pub fn help(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Switch => "true or false; space changes it",
            Self::Number => "a whole number",
            Self::List => "a list, such as [\"a\", \"b\"]",
            Self::Any => "text, a number, true, false, or a list such as [\"a\", \"b\"]",
        }
    }

    /// What is typed, as a value in JSON, or what would be right.
    pub fn parse(self, typed: &str) -> Result<Value, String> {
        let text = typed.trim();
        let read = serde_json::from_str::<Value>(text).ok();
        let found = match (self, read) {
            (Self::Text, _) => Some(Value::String(text.to_owned())),
            (Self::Switch, Some(value @ Value::Bool(_))) => Some(value),
            (Self::Number, _) => text.replace('_', "").parse::<i64>().ok().map(Value::from),
            (Self::List, Some(value @ Value::Array(_))) => Some(value),
            (Self::Any, Some(value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_)))) => Some(value),
            (Self::Any, _) => Some(Value::String(text.to_owned())),
            _ => None,
        };
        found.ok_or_else(|| format!("expected {}", self.help()))
    }
}

/// A value in TOML as it is typed: text without its quotes.
pub fn typed(value: &str) -> String {
    let text = value.trim();
    let literal = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    serde_json::from_str::<String>(text)
        .ok()
        .or(literal.map(str::to_owned))
        .unwrap_or_else(|| text.to_owned())
}

/// A part of a key: a name, or a place in a list of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A name.
    Name(String),
    /// A place, from 0.
    Place(usize),
}

/// The parts of `a.b[0]."c.d"`.
pub(super) fn parts(key: &str) -> Result<Vec<Part>, String> {
    let wrong = || format!("{key:?} is no setting: such as http.listen, or tag.\"rack=a\".values.port");
    let mut parts = Vec::new();
    let mut rest = key.trim();
    while !rest.is_empty() {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').ok_or_else(wrong)?;
            (Part::Name(quoted[..end].to_owned()), &quoted[end + 1..])
        } else if let Some(place) = rest.strip_prefix('[').filter(|_| !parts.is_empty()) {
            let end = place.find(']').ok_or_else(wrong)?;
            (Part::Place(place[..end].parse().map_err(|_| wrong())?), &place[end + 1..])
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            (Part::Name(rest[..end].to_owned()), &rest[end..])
        };
        if matches!(&part, Part::Name(name) if name.is_empty() || name.contains('"')) {
            return Err(wrong());
        }
        parts.push(part);
        rest = match after.strip_prefix('.') {
            Some("") => return Err(wrong()),
            Some(after) => after,
            None if after.is_empty() || after.starts_with('[') => after,
            None => return Err(wrong()),
        };
    }
    if parts.is_empty() { Err(wrong()) } else { Ok(parts) }
}

/// The merge patch (RFC 7396) that sets `key`; lists of tables are replaced as a whole, so all that was set in one goes with
/// it. Fails where the key is none, or where a secret of such a list would be lost, for the daemon does not show it.
pub fn patch(settings: &[Setting], key: &str, value: Value) -> Result<Value, String> {
    let parts = parts(key)?;
    let mut patch = Value::Object(Map::new());
    match list_of(&parts) {
        None => put(&mut patch, &parts, value),
        Some(list) => {
            for setting in settings.iter().filter(|setting| setting.origin != SettingOrigin::Default) {
                let Ok(other) = self::parts(&setting.key) else { continue };
                if !other.starts_with(&list) || other == parts {
                    continue;
                }
                if setting.value == SECRET {
                    let name = written(&list);
                    return Err(format!(
                        "{name} is set as a whole, and {} is secret: `ironwake config set` takes it from a file",
                        setting.key
                    ));
                }
                let kind = Kind::of(&setting.value);
                put(&mut patch, &other, kind.parse(&typed(&setting.value))?);
            }
            put(&mut patch, &parts, value);
        }
    }
    Ok(patch)
}

/// The merge patch that takes what was set through the API back, and the key that it is about: the whole list, where the
/// setting is in one.
pub fn taken_back(key: &str) -> Result<(String, Value), String> {
    let parts = parts(key)?;
    let whole = list_of(&parts).unwrap_or(parts);
    let mut patch = Value::Object(Map::new());
    put(&mut patch, &whole, Value::Null);
    Ok((written(&whole), patch))
}

/// The list of tables that a key is in.
fn list_of(parts: &[Part]) -> Option<Vec<Part>> {
    let end = parts.iter().position(|part| matches!(part, Part::Place(_)))?;
    Some(parts[..end].to_vec())
}

fn written(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Part::Place(place) => text.push_str(&format!("[{place}]")),
        }
    }
    text
}

fn put(into: &mut Value, parts: &[Part], value: Value) {
    let Some((first, rest)) = parts.split_first() else {
        *into = value;
        return;
    };
    let below = match first {
        Part::Name(name) => {
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            let Value::Object(fields) = into else { return };
            fields.entry(name.clone()).or_insert(Value::Null)
        }
        Part::Place(place) => {
            if !into.is_array() {
                *into = Value::Array(Vec::new());
            }
            let Value::Array(items) = into else { return };
            // Keys come in the order of their places; a gap would be one that the daemon refuses.
            while items.len() <= *place && items.len() < LIST_MAX {
                items.push(Value::Object(Map::new()));
            }
            let Some(item) = items.get_mut(*place) else { return };
            item
        }
    };
    put(below, rest, value);
}

/// Networks, webhooks, reservations: no list of tables is longer.
const LIST_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn setting(key: &str, value: &str) -> Setting {
        Setting { key: key.into(), value: value.into(), origin: SettingOrigin::File, place: None }
    }

    #[test]
    fn values_are_typed_as_people_say_them() {
        let check = |before: &str, text: &str, expected: Result<Value, &str>| {
            let found = Kind::of(before).parse(text);
            match expected {
                Ok(value) => assert_eq!(found, Ok(value), "{before} {text}"),
                Err(part) => assert!(found.clone().is_err_and(|e| e.contains(part)), "{found:?}"),
            }
        };
        check("\"manual\"", " auto ", Ok(json!("auto")));
        check("\"10m\"", "20", Ok(json!("20")));
        check("true", "false", Ok(json!(false)));
        check("true", "yes", Err("true or false"));
        check("8_080", "9_000", Ok(json!(9000)));
        check("8080", "many", Err("whole number"));
        check("[]", "[\"a\", \"b\"]", Ok(json!(["a", "b"])));
        check("[]", "a", Err("a list"));
        assert_eq!(Kind::Any.parse("3"), Ok(json!(3)));
        assert_eq!(Kind::Any.parse("Europe/Vienna"), Ok(json!("Europe/Vienna")));
        assert_eq!([typed("\"a\\\"b\""), typed("'a'"), typed("true")], ["a\"b", "a", "true"]);
    }

    #[test]
    fn a_change_is_a_merge_patch() {
        let patch = |key: &str| patch(&[], key, json!(1));
        assert_eq!(patch("http.listen"), Ok(json!({"http": {"listen": 1}})));
        assert_eq!(
            patch("tag.\"rack=a.b\".values.x"),
            Ok(json!({"tag": {"rack=a.b": {"values": {"x": 1}}}}))
        );
        for wrong in ["", ".", "a.", "a..b", "[0]", "a[x]", "a\"b"] {
            assert!(patch(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_list_of_tables_is_changed_as_a_whole_unless_a_secret_would_be_lost() {
        let mut settings = vec![
            setting("network[0].dhcp", "\"proxy\""),
            setting("network[0].interface", "\"br0\""),
            setting("network[1].interface", "\"br1\""),
            setting("networks", "1"),
            Setting { origin: SettingOrigin::Default, ..setting("network[1].tftp", "true") },
        ];
        let changed = patch(&settings, "network[0].dhcp", json!("server"));
        let expected = json!([{"interface": "br0", "dhcp": "server"}, {"interface": "br1"}]);
        assert_eq!(changed, Ok(json!({ "network": expected })));
        settings.push(setting("network[1].secret", SECRET));
        assert!(
            patch(&settings, "network[0].dhcp", json!(1)).is_err_and(|e| e.contains("network[1].secret"))
        );
        assert_eq!(taken_back("network[0].dhcp"), Ok(("network".into(), json!({"network": null}))));
        assert_eq!(taken_back("a.b"), Ok(("a.b".into(), json!({"a": {"b": null}}))));
    }

    #[test]
    fn what_waits_for_a_restart_is_known_by_its_key_or_its_list() {
        let restart = vec!["network".to_owned(), "http.listen".into()];
        let book = Book {
            all: Some(Settings { settings: Vec::new(), restart, warnings: Vec::new() }),
            ..Book::default()
        };
        assert!(book.waits("network[0].dhcp") && book.waits("http.listen"));
        assert!(!book.waits("networks") && !book.waits("http"));
    }
}
