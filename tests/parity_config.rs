//! What is configured, as the systems that Ironwake replaces have it: nothing invalid is ever served. The real daemon, asked
//! through its API.

mod loopback;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ironwake_api::client::{Client, ClientError};
use ironwake_api::*;
use loopback::{Daemon, PATIENCE, expect, free_port};
use serde_json::json;

const MAC: &str = "52:54:00:00:00:01";
const PROFILE: &str = "name = \"own\"\nversion = \"1\"\nkind = \"installer\"\n[variables.zone]\ntype = \"string\"\n\
                       default = \"UTC\"\n[boot]\nkernel = \"gold\"\ncommand_line = \"url={{ urls.files }}answers\"\n\
                       [[file]]\ntemplate = \"answers.j2\"\nname = \"answers\"\n";
const ANSWERS: &str = "zone {{ zone | line }}\nartifact {{ artifact('gold') }}\n";

fn write_profile(folder: &Path, toml: &str, answers: &str) {
    let own = folder.join("profiles/own");
    fs::create_dir_all(&own).expect("a folder");
    fs::write(own.join("answers.j2"), answers).expect("written");
    fs::write(own.join("profile.toml"), toml).expect("written");
}

/// What curl gets, where that is a success.
fn curl(words: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "60"]).args(words);
    expect(curl, 0, "", "")
}

/// An enrolled machine, which reports at `port`; its id.
fn enrolled(daemon: &Daemon, port: u16) -> String {
    let body = json!({
        "agent": "test",
        "boot_mac": MAC,
        "inventory": {
            "schema": 1,
            "system": {"serial": "S1"},
            "nics": [{"name": "eth0", "mac": MAC, "boot": true}],
            "disks": [{"name": "sda", "serial": "A", "size_bytes": 9_000_000_000_u64}],
        },
    });
    let url = format!("http://127.0.0.1:{port}/boot/v1/enroll");
    let text = curl(&["--header", "content-type: application/json", "--data", &body.to_string(), &url]);
    let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let id = answer["machine"].as_str().expect("an id").to_owned();
    daemon.check(&["machine", "enroll", &id], 0, "", "");
    id
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>, part: &str) {
    let Err(ClientError::Refused(problem)) = &result else { panic!("{result:?}") };
    assert_eq!(problem.status, 422, "{problem:?}");
    assert!(format!("{problem:?}").contains(part), "{problem:?}");
}

/// FL7: what is invalid is refused, by the API with 422, and what was in force stays, shown and rendered alike.
#[tokio::test(flavor = "multi_thread")]
async fn parity_fl7_what_is_invalid_is_never_served() {
    let folder = tempfile::tempdir().expect("a folder");
    write_profile(folder.path(), PROFILE, ANSWERS);
    let port = free_port();
    let daemon = Daemon::start_at(folder.path(), port, "[values]\nzone = \"Europe/Vienna\"\n", &[]);
    let client = Client::new(folder.path().join("api.sock"));
    daemon.feed(&["artifact", "import", "gold", "-"], b"MZ a kernel", 0, "imported gold", "");
    let machine = enrolled(&daemon, port);

    // Settings: one value of a patch is wrong, so none of it counts.
    let before = client.settings().await.expect("settings");
    for (patch, part) in [
        (json!({"enrolment": {"policy": "auto"}, "http": {"listen": "nowhere"}}), "settings.toml:"),
        (json!({"enrolment": {"policy": "auto"}, "htpp": {}, "values": {"zone": 1.5}}), "found a number"),
        (json!({"values": {"zone": "Asia/Tokyo", "Zone": "x"}}), "is not the name of a variable"),
        (json!({"network": []}), "network"),
    ] {
        refused(client.change_settings(&patch).await, part);
        assert_eq!(client.settings().await.expect("settings"), before);
    }
    assert!(!folder.path().join("state/settings.toml").exists());

    // Values of a machine, which the profile takes or does not.
    let set = |name: &str, value| MachineValuesPatch { values: [(name.to_owned(), value)].into() };
    client.edit_machine_values(&machine, &set("zone", "Africa/Cairo".into())).await.expect("set");
    refused(client.edit_machine_values(&machine, &set("Zone", "x".into())).await, "name");
    refused(client.edit_machine_values(&machine, &set("zone", json!({"a": 1}))).await, "zone");
    let request = RenderRequest { machine: machine.clone(), variables: Default::default(), disk: None };
    let rendered = async || {
        let files = client.render("own", &request).await.expect("rendered");
        files.into_iter().map(|file| file.content).collect::<String>()
    };
    let good = rendered().await;
    assert!(good.contains("zone Africa/Cairo\n"), "{good}");
    let new = OperationNew {
        kind: OperationKind::Rebuild,
        profile: Some("own".into()),
        variables: [("zone".to_owned(), json!(["a", "list"]))].into(),
        disks: vec!["only".into()],
        arm: true,
        armed_secs: None,
    };
    refused(client.operate(&machine, &new).await, "zone");
    let query = OperationQuery { machine: Some(machine.clone()), ..OperationQuery::default() };
    assert_eq!(client.operations(&query).await.expect("operations"), []);

    // A profile in the operator's directory: told with file and line, and the one before stays in force.
    for (toml, answers, place) in [
        (
            PROFILE.replace("version = \"1\"", "version = \"2\"\nkinf = \"x\""),
            ANSWERS.to_owned(),
            "own/profile.toml:3:1",
        ),
        (
            PROFILE.replace("version = \"1\"", "version = \"2\""),
            format!("{ANSWERS}{{{{ zoen }}}}"),
            "own/answers.j2:3:",
        ),
        (PROFILE.replace("version = \"1\"", "version = \"2"), ANSWERS.to_owned(), "own/profile.toml:2:"),
    ] {
        write_profile(folder.path(), &toml, &answers);
        let began = Instant::now();
        let profiles = loop {
            let profiles = client.profiles().await.expect("profiles");
            if profiles.refused.iter().any(|refused| refused.mistakes.contains(place)) {
                break profiles;
            }
            assert!(began.elapsed() < PATIENCE, "{:?}", profiles.refused);
        };
        let own = profiles.profiles.iter().find(|profile| profile.name == "own").expect("it stays");
        assert_eq!(own.version, "1");
        assert_eq!(client.profile("own").await.expect("it stays"), *own);
        assert_eq!(rendered().await, good);
    }
    // Once it is right, it counts.
    write_profile(folder.path(), &PROFILE.replace("version = \"1\"", "version = \"2\""), ANSWERS);
    let began = Instant::now();
    while client.profile("own").await.expect("a profile").version != "2" {
        assert!(began.elapsed() < PATIENCE, "it does not count");
    }
}
