//! `ironwake config show|set|unset`: the settings of the daemon, where they come from, and their changes.

use std::path::PathBuf;

use anyhow::Context as _;
use ironwake_api::{SettingOrigin, Settings};
use serde_json::{Map, Value as Json};

use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure};

/// Arguments of `config set`.
#[derive(Debug, clap::Args)]
#[group(id = "setting", required = true, multiple = true, args = ["values", "files"])]
pub struct SetArgs {
    /// A setting as `config show` names it; the value is JSON where it reads so (2, true, ["a"]), and text else. Every
    /// user of this host can read it while the command runs
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<Assignment>,
    /// A setting from a file, for secrets; may be repeated
    #[arg(long = "file", value_name = "KEY=FILE")]
    files: Vec<Assignment>,
}

/// Arguments of `config unset`.
#[derive(Debug, clap::Args)]
pub struct UnsetArgs {
    /// What was set through the API, or a table of such settings: ironwake.toml or the default counts again
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<Key>,
}

/// `a.b."c.d"`: the names of tables, and of the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key(Vec<String>);

/// `KEY=VALUE`
#[derive(Debug, Clone)]
struct Assignment(Key, String);

impl std::str::FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut names = vec![String::new()];
        let mut quoted = false;
        for c in text.chars() {
            match (c, quoted) {
                ('"', _) => quoted = !quoted,
                ('.', false) => names.push(String::new()),
                ('[' | ']', false) => {
                    let list = text.split('[').next().unwrap_or_default();
                    return Err(format!(
                        "a list of tables is set as a whole: {list}=[{{\"KEY\": \"VALUE\"}}]"
                    ));
                }
                _ => names.iter_mut().last().expect("it has one").push(c),
            }
        }
        match quoted || names.iter().any(String::is_empty) {
            true => Err("it should look like http.listen, or tag.\"rack=a\".values.port".into()),
            false => Ok(Self(names)),
        }
    }
}

impl std::str::FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut quoted = false;
        let end = text.find(|c| {
            quoted ^= c == '"';
            c == '=' && !quoted
        });
        let end = end.ok_or("it should look like key=value")?;
        Ok(Self(text[..end].parse()?, text[end + 1..].to_owned()))
    }
}

impl Key {
    /// Puts a value into a merge patch.
    fn put(&self, patch: &mut Map<String, Json>, value: Json) {
        let Some((last, tables)) = self.0.split_last() else { return };
        let mut place = patch;
        for table in tables {
            let entry = place.entry(table.clone()).or_insert_with(|| Map::new().into());
            if !entry.is_object() {
                *entry = Map::new().into();
            }
            let Json::Object(below) = entry else { return };
            place = below;
        }
        place.insert(last.clone(), value);
    }

    /// Whether a setting is this one, or below it.
    fn covers(&self, setting: &str) -> bool {
        let bare =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let written = |name: &String| if bare(name) { name.clone() } else { format!("{name:?}") };
        let key = self.0.iter().map(written).collect::<Vec<_>>().join(".");
        setting.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

impl SetArgs {
    /// Whether any of the settings is in a file.
    pub fn reads_files(&self) -> bool {
        !self.files.is_empty()
    }
}

pub async fn set(args: &SetArgs, context: &mut Context) -> Result<(), Failure> {
    let mut patch = Map::new();
    for Assignment(key, text) in &args.values {
        let read = serde_json::from_str(text).ok().filter(|value: &Json| !value.is_string());
        key.put(&mut patch, read.unwrap_or_else(|| text.as_str().into()));
    }
    for Assignment(key, file) in &args.files {
        let file = PathBuf::from(file);
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        key.put(&mut patch, text.trim_end_matches('\n').into());
    }
    let keys = args.values.iter().chain(&args.files).map(|Assignment(key, _)| key);
    change(patch, &keys.collect::<Vec<_>>(), context).await
}

pub async fn unset(args: &UnsetArgs, context: &mut Context) -> Result<(), Failure> {
    let mut patch = Map::new();
    args.keys.iter().for_each(|key| key.put(&mut patch, Json::Null));
    change(patch, &args.keys.iter().collect::<Vec<_>>(), context).await
}

async fn change(patch: Map<String, Json>, keys: &[&Key], context: &mut Context) -> Result<(), Failure> {
    let mut shown = context.client.change_settings(&patch.into()).await?;
    if context.json {
        return Ok(context.output.json(&shown)?);
    }
    shown.settings.retain(|setting| keys.iter().any(|key| key.covers(&setting.key)));
    Ok(write(shown, "nothing is set there", context)?)
}

pub async fn show(context: &mut Context) -> Result<(), Failure> {
    let shown = context.client.settings().await?;
    match context.json {
        true => Ok(context.output.json(&shown)?),
        false => Ok(write(shown, "no settings", context)?),
    }
}

fn write(shown: Settings, none: &str, context: &mut Context) -> std::io::Result<()> {
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for setting in shown.settings {
        let place = setting.place.unwrap_or_default();
        let (from, style) = match setting.origin {
            SettingOrigin::Default => ("default".to_owned(), Style::Faint),
            SettingOrigin::File | SettingOrigin::Settings => (place, Style::Plain),
            SettingOrigin::Credential => (format!("credential {place}"), Style::Plain),
        };
        table.row([(setting.key, Style::Plain), (clean(&setting.value), style), (clean(&from), style)]);
    }
    table.write(&mut context.output, none)?;
    for warning in shown.warnings {
        let line = context.output.styled(&format!("look at this: {}", clean(&warning)), Style::Warning);
        context.output.line(line)?;
    }
    for key in shown.restart {
        let line = format!("{key} was changed and counts from the daemon's next start on");
        let line = context.output.styled(&line, Style::Warning);
        context.output.line(line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_values_become_a_merge_patch() {
        #[track_caller]
        fn check(texts: &[&str], expected: Json) {
            let mut patch = Map::new();
            for text in texts {
                let Assignment(key, value) = text.parse().expect("an assignment");
                key.put(&mut patch, value.into());
            }
            assert_eq!(Json::from(patch), expected);
        }
        check(&["http.listen=a=b"], json!({"http": {"listen": "a=b"}}));
        check(&["tag.\"rack=a.b\".values.x=1"], json!({"tag": {"rack=a.b": {"values": {"x": "1"}}}}));
        check(&["a.b=1", "a.c=2", "d="], json!({"a": {"b": "1", "c": "2"}, "d": ""}));
        check(&["a=1", "a.b=2"], json!({"a": {"b": "2"}}));
    }

    #[test]
    fn what_is_no_key_is_said() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Assignment>().expect_err("refused");
            assert!(error.contains(expected), "{error}");
        };
        check("http.listen", "key=value");
        check("http..listen=1", "http.listen");
        check("=1", "http.listen");
        check("network[0].dhcp=off", "set as a whole: network=[");
        check("tag.\"a=1", "key=value");
    }

    #[test]
    fn a_key_covers_what_is_below_it() {
        let covers = |key: &str, setting: &str| key.parse::<Key>().expect("a key").covers(setting);
        assert!(covers("http", "http.listen") && covers("network", "network[0].dhcp"));
        assert!(covers("tag.\"rack=a\"", "tag.\"rack=a\".values.x") && covers("state", "state"));
        assert!(!covers("http", "https.listen") && !covers("http.listen", "http"));
    }
}
