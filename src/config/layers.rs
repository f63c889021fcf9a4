//! The operator's file and what the API changed, as one: which value comes from where, and how the latter is changed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ironwake_api::{Setting, SettingOrigin};
use serde_json::Value as Json;

use super::{Config, ConfigErrors, FILE, FILE_BYTES_MAX, REFERENCE, check, raw, read_text};
use crate::document::{self, Leaf, Mistakes, Text};
use crate::private::{self, PrivateError};

/// What the API changed, in the state directory.
pub const SETTINGS: &str = "settings.toml";
/// Keys of the operator's file alone, each with who counts on its value: a daemon that went by another one at its next start
/// would not be found any more, and could not be asked to take that back.
const FIXED: &[(&str, &str)] = &[
    ("state", "settings.toml lies there"),
    ("socket", "commands and systemd's units look for the API there"),
    ("console_socket", "the console and systemd's units look for the API there"),
    ("ssh_socket", "the SSH server and systemd's units look for the API there"),
];
/// What the file says to whoever opens it.
const HEADER: &str = "# Settings that were changed through the API. They win over ironwake.toml; the daemon writes this file.\n\n";

/// Where the settings of a daemon are written.
#[derive(Debug, Clone)]
pub struct Layers {
    file: PathBuf,
    credential: bool,
    settings: PathBuf,
}

/// A change that is legal, and not made yet.
#[derive(Debug)]
pub struct Planned {
    /// What is in force with it.
    pub config: Config,
    /// The keys that change, in order.
    pub keys: Vec<String>,
    text: String,
}

/// Why settings cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The operator's file or the settings.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The file of the settings.
    #[error(transparent)]
    File(#[from] PrivateError),
    /// What is asked for cannot be written.
    #[error("{0}")]
    Patch(String),
}

impl Layers {
    /// Reads the operator's file, and over it what the API changed in the state directory that it names.
    pub fn open(file: PathBuf, credential: bool) -> Result<(Self, Config), SettingsError> {
        let settings = Self::state(&file)?.join(SETTINGS);
        let layers = Self { file, credential, settings };
        let (lower, upper) = layers.texts()?;
        Ok((layers.clone(), layers.parse(&lower, &upper)?))
    }

    /// The state directory that the operator's file names, whatever the settings in it are.
    pub fn state(file: &Path) -> Result<PathBuf, SettingsError> {
        let alone = match lower_text(file)? {
            Some(text) => Config::parse(&text, &shown_path(file)).map_err(ConfigErrors::Wrong)?,
            None => Config::default(),
        };
        Ok(alone.state)
    }

    /// Those of a state directory, whatever the operator's file says.
    pub fn at(file: PathBuf, state: &Path) -> Self {
        Self { file, credential: false, settings: state.join(SETTINGS) }
    }

    /// The operator's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The text of the settings with which this appliance has what another one had in force, by its operator's file and its
    /// settings. Where the operator's files are the same, they are that one's; else what its file said is in them too, but
    /// for what belongs to the host.
    pub fn restored(&self, lower: &str, upper: &str) -> Result<String, SettingsError> {
        let (own, _) = self.texts()?;
        let text = match own == lower {
            true if upper.is_empty() => HEADER.to_owned(),
            true => upper.to_owned(),
            false => {
                let wrong = |error: toml::de::Error| SettingsError::Patch(error.to_string());
                let mut merged: toml::Table = lower.parse().map_err(wrong)?;
                put_over(&mut merged, upper.parse().map_err(wrong)?);
                for (key, _) in FIXED {
                    merged.remove(*key);
                }
                let written =
                    toml::to_string(&merged).map_err(|error| SettingsError::Patch(error.to_string()))?;
                format!("{HEADER}{written}")
            }
        };
        self.parse(&own, &text)?;
        Ok(text)
    }

    /// The file of what the API changed, where there is one.
    pub fn changed(&self) -> Option<&Path> {
        self.settings.exists().then_some(&self.settings)
    }

    /// Every setting with its value and where that is written.
    pub fn shown(&self) -> Result<Vec<Setting>, SettingsError> {
        let (lower, upper) = self.texts()?;
        let place = |leaf: &Leaf| {
            let file = if leaf.upper { &self.settings } else { &self.file };
            format!("{}:{}", file.display(), leaf.line)
        };
        let origin = |leaf: &Leaf| match (leaf.upper, self.credential) {
            (true, _) => SettingOrigin::Settings,
            (false, true) => SettingOrigin::Credential,
            (false, false) => SettingOrigin::File,
        };
        let mut shown = BTreeMap::new();
        for leaf in self.leaves(&lower, &upper) {
            let setting = Setting {
                key: leaf.key.clone(),
                value: leaf.text.clone(),
                origin: origin(&leaf),
                place: Some(place(&leaf)),
            };
            shown.insert(leaf.key, setting);
        }
        let networks: Vec<String> =
            shown.keys().filter_map(|key| key.strip_suffix(".interface").map(str::to_owned)).collect();
        for (key, value) in defaults(&networks) {
            let setting = Setting { key: key.clone(), value, origin: SettingOrigin::Default, place: None };
            shown.entry(key).or_insert(setting);
        }
        // Their defaults lie beside another socket, which may be set. What is wrong now is told where settings are changed.
        if let Ok(config) = self.parse(&lower, &upper) {
            let (console, ssh) = (&config.console.socket, &config.console.ssh_socket);
            for (key, path) in [("console_socket", console), ("ssh_socket", ssh)] {
                let unset = shown.get_mut(key).filter(|setting| setting.origin == SettingOrigin::Default);
                unset.into_iter().for_each(|setting| setting.value = quoted(path));
            }
        }
        Ok(shown.into_values().collect())
    }

    /// What a merge patch (RFC 7396) would make of the settings, checked as a whole with the operator's file as it
    /// is on the disk.
    pub fn plan(&self, patch: &Json) -> Result<Planned, SettingsError> {
        let (lower, before) = self.texts()?;
        let given = |key: &str| patch.get(key).is_some_and(|value| !value.is_null());
        if let Some((key, why)) = FIXED.iter().find(|(key, _)| given(key)) {
            let message = format!("{key}: {why}; it is set in {}", self.file.display());
            return Err(SettingsError::Patch(message));
        }
        let mut table: toml::Table =
            before.parse().map_err(|error: toml::de::Error| SettingsError::Patch(error.to_string()))?;
        let Json::Object(patch) = patch else {
            return Err(SettingsError::Patch("a JSON object of settings is expected".into()));
        };
        apply(&mut table, patch, "")?;
        let written = toml::to_string(&table).map_err(|error| SettingsError::Patch(error.to_string()))?;
        let text = format!("{HEADER}{written}");
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(SettingsError::Patch(format!("the settings would have {} bytes", text.len())));
        }
        let config = self.parse(&lower, &text)?;
        if config.networks.is_empty() && !self.parse(&lower, &before)?.networks.is_empty() {
            let message = "network: no network is configured with that, and nothing would be served: at least one stays";
            return Err(SettingsError::Patch(message.into()));
        }
        let of = |text: &str| -> BTreeMap<String, String> {
            let alone = document::leaves(Text { name: "", text: "" }, Text { name: "", text });
            alone.into_iter().map(|leaf| (leaf.key, leaf.text)).collect()
        };
        let (old, new) = (of(&before), of(&text));
        let mut keys: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
        keys.sort();
        keys.dedup();
        keys.retain(|key| old.get(key) != new.get(key));
        Ok(Planned { config, keys, text })
    }

    /// Puts a change on the disk.
    pub fn save(&self, planned: &Planned) -> Result<(), SettingsError> {
        Ok(private::write(&self.settings, planned.text.as_bytes())?)
    }

    fn texts(&self) -> Result<(String, String), SettingsError> {
        let lower = lower_text(&self.file)?.unwrap_or_default();
        let upper = private::read(&self.settings, FILE_BYTES_MAX)?.unwrap_or_default();
        let name = self.settings.display().to_string();
        let upper = String::from_utf8(upper).map_err(|error| {
            ConfigErrors::Wrong(Mistakes::not_utf8(error.as_bytes(), error.utf8_error(), &name))
        })?;
        Ok((lower, upper))
    }

    fn parse(&self, lower: &str, upper: &str) -> Result<Config, ConfigErrors> {
        let (below, above) = (shown_path(&self.file), shown_path(&self.settings));
        let (below, above) = (Text { name: &below, text: lower }, Text { name: &above, text: upper });
        document::read_layers(below, above, raw::read, check::check).map_err(ConfigErrors::Wrong)
    }

    fn leaves(&self, lower: &str, upper: &str) -> Vec<Leaf> {
        document::leaves(Text { name: "", text: lower }, Text { name: "", text: upper })
    }
}

/// The text of the operator's file; nothing where the installed one is not there: an appliance that is not set up has none,
/// and what it is set up with is in the settings.
fn lower_text(path: &Path) -> Result<Option<String>, ConfigErrors> {
    match read_text(path) {
        Err(ConfigErrors::Read { source, .. })
            if source.kind() == io::ErrorKind::NotFound && path == Path::new(FILE) =>
        {
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// A path as TOML has it.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

fn shown_path(path: &Path) -> String {
    path.display().to_string()
}

/// Every default as the reference says it, those of a network for each one.
fn defaults(networks: &[String]) -> Vec<(String, String)> {
    // `#key = value` is a default there, `# sentence` is not.
    let spelt_out = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text = REFERENCE.lines().map(spelt_out).collect::<Vec<_>>().join("\n");
    let all = document::leaves(Text { name: "", text: &text }, Text { name: "", text: "" });
    let mut defaults = Vec::new();
    for leaf in all.into_iter().filter(|leaf| !leaf.key.ends_with(".interface")) {
        match leaf.key.strip_prefix("network[0]") {
            Some(key) => defaults.extend(networks.iter().map(|of| (format!("{of}{key}"), leaf.text.clone()))),
            None => defaults.push((leaf.key, leaf.text)),
        }
    }
    defaults
}

/// Tables are merged key by key; of everything else the upper one counts as a whole (`document::layers`).
fn put_over(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(table)) => put_over(inner, table),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

fn apply(
    table: &mut toml::Table,
    patch: &serde_json::Map<String, Json>,
    above: &str,
) -> Result<(), SettingsError> {
    for (name, value) in patch {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match value {
            Json::Null => drop(table.remove(name)),
            Json::Object(inner) => {
                let entry =
                    table.entry(name.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if !entry.is_table() {
                    *entry = toml::Value::Table(toml::Table::new());
                }
                let toml::Value::Table(below) = entry else { continue };
                apply(below, inner, &key)?;
                if below.is_empty() {
                    table.remove(name);
                }
            }
            value => {
                table.insert(name.clone(), written(value, &key)?);
            }
        }
    }
    Ok(())
}

/// A value of JSON in TOML, which has no null.
fn written(value: &Json, key: &str) -> Result<toml::Value, SettingsError> {
    let wrong = |what: &str| Err(SettingsError::Patch(format!("{key}: {what} cannot be written")));
    Ok(match value {
        Json::String(text) => toml::Value::String(text.clone()),
        Json::Bool(on) => toml::Value::Boolean(*on),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => toml::Value::Integer(number),
            (None, Some(number)) if number.is_finite() => toml::Value::Float(number),
            _ => return wrong("a number of this size"),
        },
        Json::Array(items) => {
            toml::Value::Array(items.iter().map(|item| written(item, key)).collect::<Result<_, _>>()?)
        }
        Json::Object(fields) => {
            let field = |(name, value): (&String, &Json)| Ok((name.clone(), written(value, key)?));
            toml::Value::Table(fields.iter().map(field).collect::<Result<_, SettingsError>>()?)
        }
        Json::Null => return wrong("null inside of a list"),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    /// Layers over a file with a state directory of its own.
    fn layers(more: &str) -> (tempfile::TempDir, Layers, Config) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ironwake.toml");
        let text = format!("state = {:?}\n{more}\n[[network]]\ninterface = \"br0\"\n", folder.path());
        fs::write(&file, text).expect("written");
        let (layers, config) = Layers::open(file, false).expect("legal");
        (folder, layers, config)
    }

    fn change(layers: &Layers, patch: Json) -> Vec<String> {
        let planned = layers.plan(&patch).expect("legal");
        layers.save(&planned).expect("saved");
        let (_, config) = Layers::open(layers.file.clone(), false).expect("legal");
        assert_eq!(config, planned.config, "what was planned is what is read");
        planned.keys
    }

    fn origin(layers: &Layers, key: &str) -> String {
        let shown = layers.shown().expect("legal");
        let setting = shown.iter().find(|setting| setting.key == key).expect("it is shown");
        let place = setting.place.as_deref().map(|place| place.rsplit('/').next().unwrap_or(place));
        format!("{} {:?} {}", setting.value, setting.origin, place.unwrap_or("-"))
    }

    #[test]
    fn each_value_says_where_it_is_written() {
        let (_folder, layers, _) = layers("[http]\nlisten = \"10.0.0.1:80\"\n[enrolment]\npolicy = \"auto\"");
        assert_eq!(origin(&layers, "http.listen"), "\"10.0.0.1:80\" File ironwake.toml:3");
        assert_eq!(origin(&layers, "discovery.enabled"), "true Default -");
        assert_eq!(origin(&layers, "network[0].dhcp"), "\"proxy\" Default -");
        let keys =
            change(&layers, json!({"http": {"listen": "10.0.0.1:81"}, "values": {"a": ["1"], "b": "x"}}));
        assert_eq!(keys, ["http.listen", "values.a", "values.b"]);
    }

    #[test]
    fn sockets_that_lie_beside_another_are_shown_where_they_are() {
        let (_folder, layers, config) = layers("socket = \"/tmp/x/api.sock\"");
        assert_eq!(config.console.socket, Path::new("/tmp/x/console.sock"));
        assert_eq!(origin(&layers, "console_socket"), "\"/tmp/x/console.sock\" Default -");
        assert_eq!(origin(&layers, "ssh_socket"), "\"/tmp/x/ssh.sock\" Default -");
        let (_folder, layers, _) = self::layers("socket = \"/x/api.sock\"\nssh_socket = \"/y/z.sock\"");
        assert_eq!(origin(&layers, "console_socket"), "\"/x/console.sock\" Default -");
        assert_eq!(origin(&layers, "ssh_socket"), "\"/y/z.sock\" File ironwake.toml:3");
    }

    #[test]
    fn what_the_api_changed_wins_until_it_is_taken_back() {
        let (_folder, layers, _) = layers("[enrolment]\npolicy = \"auto\"");
        assert_eq!(change(&layers, json!({"enrolment": {"policy": "manual"}})), ["enrolment.policy"]);
        assert_eq!(origin(&layers, "enrolment.policy"), "\"manual\" Settings settings.toml:4");
        assert_eq!(change(&layers, json!({"enrolment": {"policy": "manual"}})), [""; 0], "nothing changed");
        assert_eq!(change(&layers, json!({"enrolment": {"policy": null}})), ["enrolment.policy"]);
        assert_eq!(origin(&layers, "enrolment.policy"), "\"auto\" File ironwake.toml:3");
        let networks = json!({"network": [{"interface": "br1"}, {"interface": "br2", "tftp": false}]});
        change(&layers, networks);
        assert_eq!(origin(&layers, "network[1].tftp"), "false Settings settings.toml:8");
        assert_eq!(origin(&layers, "network[0].tftp"), "true Default -");
    }

    #[test]
    fn what_is_wrong_is_refused_with_file_line_and_caret_and_nothing_is_written() {
        let (folder, layers, _) = layers("");
        let check = |patch: Json, expected: &[&str]| {
            let error = layers.plan(&patch).expect_err("refused").to_string();
            assert!(expected.iter().all(|part| error.contains(part)), "{error}");
            assert!(!folder.path().join(SETTINGS).exists());
        };
        check(
            json!({"http": {"listen": "nowhere"}}),
            &[
                "settings.toml:4:10: \"nowhere\" is not an address and a port",
                "^^^^^^^^^",
                "listen = \"nowhere\"",
            ],
        );
        check(json!({"htp": {"listen": "x"}}), &["unknown key `htp`", "did you mean `http`?"]);
        check(json!({"api": {"listen": "0.0.0.0:8080"}}), &["port 8080 is where machines are served"]);
        check(json!({"state": "/x"}), &["state: settings.toml lies there"]);
        check(
            json!({"socket": "/x/api.sock"}),
            &["socket: commands and systemd's units look", "it is set in "],
        );
        check(json!({"ssh_socket": "/x/ssh.sock"}), &["ssh_socket: the SSH server"]);
        check(json!({"discovery": {"enabled": 1.5}}), &["expected true or false"]);
        check(json!({"network": []}), &["network: no network is configured with that"]);
        check(json!({"network": [null]}), &["network: null inside of a list cannot be written"]);
        check(json!([]), &["a JSON object"]);
        check(
            json!({"values": {"a": 1.5}}),
            &["settings.toml:4:1: found a number with a fraction", "a = ***"],
        );
        // The operator's file has become wrong since: that is said, in its own lines.
        fs::write(&layers.file, "[http]\nlisten = 1\n").expect("written");
        check(json!({"discovery": {"enabled": false}}), &["ironwake.toml:2:10:"]);
    }

    #[test]
    fn what_another_appliance_had_in_force_is_in_force_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ironwake.toml");
        let own = "[[network]]\ninterface = \"eth0\"\n";
        fs::write(&file, own).expect("written");
        let layers = Layers::at(file, folder.path());
        let upper = "[discovery]\nenabled = false\n";
        assert_eq!(layers.restored(own, upper).expect("legal"), upper);
        assert_eq!(layers.restored(own, "").expect("legal"), HEADER);
        let lower = "state = \"/elsewhere\"\nsocket = \"/elsewhere/s\"\n[discovery]\nidle_reboot = \"20m\"\n\
                     enabled = true\n[[network]]\ninterface = \"eth1\"\n";
        let text = layers.restored(lower, upper).expect("legal");
        assert!(!text.contains("elsewhere"), "{text}");
        let config = layers.parse(own, &text).expect("legal");
        assert_eq!(
            config.networks.iter().map(|network| network.interface.as_str()).collect::<Vec<_>>(),
            ["eth1"]
        );
        assert!(!config.discovery.enabled && config.discovery.idle_reboot.as_secs() == 1200);
        let wrong = layers.restored(own, "[http]\nlisten = 1\n").expect_err("not legal").to_string();
        assert!(wrong.contains("settings.toml:2:10"), "{wrong}");
    }
}
