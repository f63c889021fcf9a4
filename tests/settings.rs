//! Settings of the real daemon: shown with their origins, changed through the API, and read again at the next start.

mod loopback;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use ironwake_api::client::{Client, ClientError};
use ironwake_api::{HealthState, Setting, SettingOrigin, Settings};
use loopback::Daemon;
use serde_json::json;

fn find<'a>(settings: &'a Settings, key: &str) -> &'a Setting {
    let found = settings.settings.iter().find(|setting| setting.key == key);
    found.unwrap_or_else(|| panic!("{key} is not among {:?}", settings.settings))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_checked_as_a_whole_in_force_at_once_or_said_to_wait_and_survives() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = "[[webhook]]\nname = \"chat\"\nurl = \"http://127.0.0.1:9/hunter2\"\nsecret = \"hunter2 and many more\"\n\
         [enrolment]\npolicy = \"manual\"\n[values]\npassword_hash = \"hunter2\"\ntimezone = \"UTC\"\n";
    let daemon = Daemon::start(folder.path(), more);
    let client = Client::new(folder.path().join("api.sock"));
    let shown = client.settings().await.expect("settings");
    let policy = find(&shown, "enrolment.policy");
    assert_eq!((policy.value.as_str(), policy.origin), ("\"manual\"", SettingOrigin::File));
    assert!(policy.place.as_deref().is_some_and(|place| place.ends_with("/ironwake.toml:17")), "{policy:?}");
    assert_eq!(find(&shown, "discovery.rediscover_after").origin, SettingOrigin::Default);
    assert_eq!(find(&shown, "values.password_hash").value, "***");
    assert_eq!(find(&shown, "values.timezone").value, "\"UTC\"");
    assert_eq!(find(&shown, "webhook[0].url").value, "***");
    assert_eq!(find(&shown, "webhook[0].secret").value, "***");

    let refused = client.change_settings(&json!({"enrolment": {"policy": "rulez"}})).await;
    let Err(ClientError::Refused(problem)) = &refused else { panic!("{refused:?}") };
    assert_eq!(problem.status, 422);
    assert!(
        problem.detail.contains("settings.toml:4:10: ") && problem.detail.contains("did you mean \"rules\"?")
    );
    let path = folder.path().join("state/settings.toml");
    assert!(!path.exists(), "nothing is written");

    let patch = json!({"enrolment": {"policy": "auto"}, "discovery": {"idle_reboot": "20m"}});
    let changed = client.change_settings(&patch).await.expect("changed");
    assert_eq!(changed.restart, ["discovery.idle_reboot"]);
    assert_eq!(find(&changed, "enrolment.policy").origin, SettingOrigin::Settings);
    assert_eq!(fs::metadata(&path).expect("it").permissions().mode() & 0o777, 0o600);
    daemon.check(&["config", "show"], 0, "discovery.idle_reboot was changed and counts from", "");
    daemon.check(&["events", "--json"], 0, "settings_changed", "");

    drop(daemon);
    let daemon = Daemon::start(folder.path(), more);
    let again = client.settings().await.expect("settings");
    assert_eq!((find(&again, "discovery.idle_reboot").value.as_str(), again.restart.len()), ("\"20m\"", 0));
    let table = daemon.check(&["config", "show"], 0, "settings.toml:", "");
    assert!(!table.contains("hunter2"), "{table}");
    let back =
        client.change_settings(&json!({"discovery": null, "enrolment": null})).await.expect("taken back");
    assert_eq!(find(&back, "enrolment.policy").origin, SettingOrigin::File);
}

/// Asks until health says of each of these that it failed: each is tried after the daemon is ready.
async fn failed(client: &Client, expected: &[&str]) {
    let asked = async {
        loop {
            let health = client.health().await.expect("told");
            let checks = health.checks.iter().map(|check| (check.name.as_str(), check.state));
            let networks = health.networks.iter().map(|network| (network.interface.as_str(), network.state));
            let failed: BTreeSet<&str> = checks
                .chain(networks)
                .filter(|(_, state)| *state == HealthState::Failed)
                .map(|(name, _)| name)
                .collect();
            if expected.iter().all(|name| failed.contains(name)) {
                return;
            }
        }
    };
    tokio::time::timeout(loopback::PATIENCE, asked)
        .await
        .unwrap_or_else(|_| panic!("not all of {expected:?} failed"));
}

/// Legal settings that this host cannot serve: the daemon starts all the same, says so, and can be asked to take them back.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_served_leave_a_daemon_that_can_be_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(folder.path(), "");
    let client = Client::new(folder.path().join("api.sock"));
    let Err(ClientError::Refused(problem)) = client.change_settings(&json!({"socket": "/nowhere/s"})).await
    else {
        panic!("the API would not be found again")
    };
    assert!(problem.detail.contains("socket: commands and systemd's units look for the API there"));
    // No host has an address of TEST-NET-1 (RFC 5737), and none of the interfaces.
    let patch = json!({
        "http": {"listen": "192.0.2.1:8080"},
        "api": {"listen": "192.0.2.1:8443", "certificate": "/nowhere/api.crt", "key": "/nowhere/api.key"},
        "network": [
            {"interface": "gone0", "dhcp": "server", "range": ["10.9.0.100-10.9.0.200"]},
            {"interface": "gone1"},
        ],
        "profiles": "/nowhere/profiles",
        "console": {"authorized_keys": "/nowhere/keys"},
    });
    let changed = client.change_settings(&patch).await.expect("legal");
    for interface in ["gone0", "gone1"] {
        let part = format!("there is no interface {interface} at present");
        assert!(changed.warnings.iter().any(|warning| warning.contains(&part)), "{:?}", changed.warnings);
    }
    daemon.terminate();

    let daemon = Daemon::start(folder.path(), "");
    failed(&client, &["http", "api https", "certificate", "gone0", "gone1", "tftp gone0", "tftp gone1"])
        .await;
    for part in [
        "listen on 192.0.2.1:8080 for HTTP: this host has no address 192.0.2.1",
        "there is no interface gone0; it is served as soon as that changes",
    ] {
        daemon.check(&["health"], 6, part, "");
    }
    let back = json!({"http": null, "api": null, "network": null, "profiles": null, "console": null});
    client.change_settings(&back).await.expect("taken back");
    daemon.terminate();

    let daemon = Daemon::start(folder.path(), "");
    let said = daemon.check(&["health"], 6, "", "");
    assert!(!said.contains("192.0.2.1") && !said.contains("gone0"), "{said}");
}

#[test]
fn settings_that_became_wrong_keep_the_daemon_from_starting_and_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Daemon::start(folder.path(), ""));
    let path = folder.path().join("state/settings.toml");
    fs::write(&path, "[http]\nlisten = 1\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ironwake"));
    command.args(["serve", "--config"]).arg(folder.path().join("ironwake.toml"));
    loopback::expect(command, 6, "", "settings.toml:2:10: found the number 1, expected a string");
    let asked = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.args(words);
        command
    };
    let file = folder.path().join("ironwake.toml");
    let file = file.to_str().expect("a path in ASCII");
    loopback::expect(asked(&["config", "check", file]), 6, "settings.toml:2:10: found the number 1", "");
    let doctor = asked(&["doctor", "--config", file]);
    loopback::expect(doctor, 6, "settings.toml has 1 mistakes", "");
    fs::write(&path, "[http]\nlisten = \"127.0.0.1:9\"\n").expect("written");
    let said = loopback::expect(asked(&["config", "check", file]), 0, "is fine, with ", "");
    assert!(said.contains("settings.toml over it"), "{said}");
}

/// What the command changes is what the API would: checked as a whole, shown with its origin, and taken back.
#[test]
fn the_command_sets_and_unsets() {
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(folder.path(), "");
    let settings = folder.path().join("state/settings.toml");
    let keys = ["config", "set", "enrolment.policy=auto", "discovery.idle_reboot=20m", "values.retries=3"];
    let said = daemon.check(&keys, 0, "discovery.idle_reboot was changed and counts from", "");
    assert!(said.contains("enrolment.policy") && said.contains("settings.toml:"), "{said}");
    assert!(!said.contains("http.listen"), "{said}");
    assert!(fs::read_to_string(&settings).expect("it").contains("retries = 3"), "a number stays one");
    let before = fs::read(&settings).expect("it");
    daemon.check(&["config", "set", "enrolment.policy=rulez"], 4, "", "did you mean \"rules\"?");
    daemon.check(&["config", "set", "enrolment.polcy=auto", "http.listen=127.0.0.1:9"], 4, "", "unknown key");
    daemon.check(&["config", "set", "network[0].dhcp=off"], 2, "", "set as a whole");
    daemon.check(&["config", "set", "enrolment.policy"], 2, "", "key=value");
    daemon.check(&["config", "set"], 2, "", "KEY=VALUE");
    assert_eq!(fs::read(&settings).expect("it"), before, "nothing of it was written");

    let file = folder.path().join("password");
    fs::write(&file, "hunter2 = \n").expect("written");
    let file = format!("tag.\"rack=a\".values.password={}", file.display());
    let said = daemon.check(&["config", "set", "--json", "--file", &file], 0, "\"settings\":", "");
    assert!(said.contains("values.password") && !said.contains("hunter2"), "{said}");
    assert!(fs::read_to_string(&settings).expect("it").contains("password = \"hunter2 = \""));

    let said = daemon.check(&["config", "unset", "enrolment.policy", "tag", "values"], 0, "default", "");
    assert!(said.contains("enrolment.policy") && !said.contains("settings.toml"), "{said}");
    daemon.check(&["config", "unset", "discovery"], 0, "discovery.idle_reboot", "");
    daemon.check(&["config", "unset", "no.such.thing"], 0, "nothing is set there", "");
    let text = fs::read_to_string(&settings).expect("it");
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    daemon.check(&["events", "--json"], 0, "tag.\\\"rack=a\\\".values.password", "");
}

#[test]
fn a_key_that_systemd_passes_is_the_daemons() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.args(["serve", "--config"]).arg(folder.path().join("ironwake.toml"));
        command.env("CREDENTIALS_DIRECTORY", folder.path());
        command
    };
    drop(Daemon::start(folder.path(), ""));
    fs::write(folder.path().join("site.key"), [7; 32]).expect("written");
    loopback::expect(start(), 1, "", "the credential site.key is another key than");
    fs::remove_file(folder.path().join("state/site.key")).expect("it was made");
    fs::write(folder.path().join("site.key"), [7; 31]).expect("written");
    loopback::expect(start(), 1, "", "has 31 bytes, not 32");
    assert!(!folder.path().join("state/site.key").exists());
}

/// Discovery is for machines that nobody knows: what operators arm boots its image all the same.
#[test]
fn the_discovery_image_is_there_where_discovery_is_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(folder.path(), "");
    // Without boot files it cannot be made, which is told.
    daemon.check(&["artifact", "list"], 0, "discovery/vmlinuz", "");
    daemon.check(&["health"], 6, "discovery is off, and its image", "");
}
