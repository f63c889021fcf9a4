//! `ironwake appliance` as scripts meet it, against a double of the daemon.

mod double;

use std::process::Output;

use double::{Double, problem};
use serde_json::{Value, json};

fn disks() -> String {
    json!({
        "read_at": 1, "bytes_min": 4_000_000_000_u64, "booted_from": {"disk": "sda", "removable": true},
        "disks": [
            {"disk": disk("sda", "STICK", 15_728_640_000), "digest": "sha256:a", "refused": "the appliance runs from it"},
            {"disk": disk("sdb", "S\u{1b}1", 512_110_190_592), "digest": "sha256:b"},
            {"disk": disk("sdc", "S2", 480_103_981_056), "digest": "sha256:c", "refused": "it is in use: held by md0"},
        ],
        "notes": ["sdd did not answer within 10 s"],
    })
    .to_string()
}

fn disk(name: &str, serial: &str, size_bytes: u64) -> Value {
    json!({
        "name": name, "serial": serial, "model": "Disk", "size_bytes": size_bytes, "table": "gpt",
        "partitions": [{"number": 1, "start_bytes": 1, "size_bytes": 1 << 30, "filesystem": "ext4", "label": "root"}],
    })
}

fn state(phase: &str, more: Value) -> String {
    let mut state = json!({"phase": phase, "disk": "sdb", "done_bytes": 0, "total_bytes": 0});
    state.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    state.to_string()
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[test]
fn disks_are_listed_with_what_is_on_them() {
    let double = Double::new(&[("GET /api/v1/appliance/disks", "200 OK", &[&disks()])]);
    let output = double.run(&["appliance", "disks"]);
    let expected = "\
DISK  SIZE       MODEL  SERIAL  INSTALL
sda   14.6 GiB   Disk   STICK   the appliance runs from it
sdb   476.9 GiB  Disk   S\u{fffd}1     possible
sdc   447.1 GiB  Disk   S2      it is in use: held by md0

sdb: Disk, 476.9 GiB, serial S\u{fffd}1
  1: ext4 \"root\", 1 GiB
note: sdd did not answer within 10 s
";
    assert_eq!(text(&output), expected);
    let output = double.run(&["appliance", "disks", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["disks"][1]["digest"], "sha256:b");
}

#[test]
fn an_installation_names_its_disk_and_is_watched_to_its_end() {
    let done = state("done", json!({"notes": ["the firmware took no boot entry"]}));
    let double = Double::new(&[
        ("GET /api/v1/appliance/disks", "200 OK", &[&disks()]),
        ("POST /api/v1/appliance/install", "202 Accepted", &[&state("ordered", json!({}))]),
        ("GET /api/v1/appliance/install", "200 OK", &[&state("system", json!({})), &done]),
    ]);
    let output =
        double.run(&["appliance", "install", "--disk", "/dev/sdb", "--yes-wipe", "sdb", "--then", "reboot"]);
    assert!(output.status.success(), "{}", text(&output));
    let expected = "\
note: the firmware took no boot entry
the appliance is installed on sdb: take out what it was booted from, and restart it
it is about to begin
the system is copied
";
    assert_eq!(text(&output), expected);
    let order: Value = serde_json::from_str(&double.seen()[1].body).expect("JSON");
    let expected = json!({"disk": "sdb", "digest": "sha256:b", "confirm": "sdb", "then": "reboot"});
    assert_eq!(order, expected);
}

#[test]
fn nothing_is_installed_that_was_not_confirmed_or_cannot_be() {
    let refusal = problem(422, "everything on sdb is destroyed: sdb has to be typed to confirm it");
    let double = Double::new(&[
        ("GET /api/v1/appliance/disks", "200 OK", &[&disks()]),
        ("POST /api/v1/appliance/install", "422 Unprocessable", &[&refusal]),
    ]);
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = double.run(&[&["appliance", "install"][..], arguments].concat());
        let said = text(&output);
        assert!(output.status.code() == Some(code) && said.contains(expected), "{arguments:?}: {said}");
    };
    check(&["--disk", "smallest"], 1, "the appliance cannot be installed on sdc: it is in use: held by md0");
    check(
        &["--disk", "largest"],
        1,
        "not confirmed: nothing is written; without a terminal, `--yes-wipe sdb` confirms it",
    );
    check(&["--disk", "only"], 1, "several disks fit only");
    check(&["--disk", "/dev/sda"], 1, "the appliance cannot be installed on sda: the appliance runs from it");
    check(&["--disk", "first"], 2, "\"first\" is no disk rule");
    check(&["--disk", "largest", "--yes-wipe", "sda"], 4, "sdb has to be typed");
    check(&[], 2, "--disk");
    let orders = double.seen().iter().filter(|seen| seen.body.contains("digest")).count();
    assert_eq!(orders, 1, "the one that the daemon refused");
}

#[test]
fn an_installation_that_fails_says_why_and_a_reset_takes_the_name() {
    let failed = state("failed", json!({"problem": "copy the system: it broke"}));
    let double = Double::new(&[
        ("GET /api/v1/appliance/disks", "200 OK", &[&disks()]),
        ("POST /api/v1/appliance/install", "202 Accepted", &[&failed]),
        ("POST /api/v1/appliance/factory-reset", "202 Accepted", &[""]),
        ("GET /api/v1/system", "409 Conflict", &[&problem(409, "not now")]),
    ]);
    let output = double.run(&["appliance", "install", "--disk", "largest", "--yes-wipe", "sdb"]);
    assert!(text(&output).contains("not installed: copy the system: it broke"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(1));
    let output = double.run(&["appliance", "factory-reset", "--yes-reset", "boot-1"]);
    assert_eq!(text(&output), "the appliance restarts, and is as it was made\n");
    assert_eq!(double.seen().last().expect("asked").body, r#"{"confirm":"boot-1"}"#);
    assert_eq!(double.run(&["appliance", "factory-reset"]).status.code(), Some(4));
}
