//! The command as scripts meet it: exit codes, output on both streams, help.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn ironwake(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake"));
    command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config"));
    for variable in ["IRONWAKE_SOCKET", "NO_COLOR", "IRONWAKE_BOOT"] {
        command.env_remove(variable);
    }
    command.output().expect("the command runs")
}

/// Exit code, and a part of each stream.
fn check(arguments: &[&str], code: i32, stdout: &str, stderr: &str) {
    let output = ironwake(arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let context = format!("{arguments:?}\n--- stdout\n{out}\n--- stderr\n{err}");
    assert_eq!(output.status.code(), Some(code), "{context}");
    assert!(out.contains(stdout), "{context}");
    assert!(err.contains(stderr), "{context}");
    assert!(!out.contains('\x1b') && !err.contains("panicked"), "{context}");
}

#[test]
fn exit_codes_are_a_contract() {
    check(&["config", "check", "smallest.toml"], 0, "smallest.toml is fine: it serves br0", "");
    check(&["config", "check", "many-mistakes.toml"], 6, "many-mistakes.toml:8:1: unknown key `rnage`", "");
    check(&["config", "check", "missing.toml"], 1, "", "read missing.toml: No such file");
    check(&["config", "chekc"], 2, "", "unrecognized subcommand 'chekc'");
    check(&["machine", "add"], 2, "", "--mac");
    check(
        &["--socket", "/nonexistent/x.sock", "machine", "list"],
        5,
        "",
        "next: start it: `systemctl start ironwake`",
    );
    check(&["--socket", "/nonexistent/x.sock", "health", "--json"], 5, "", "not running");
    check(&["serve", "--config", "many-mistakes.toml"], 6, "", "did you mean `range`?");
    check(
        &["version", "--socket", "/nonexistent/x.sock"],
        0,
        concat!("ironwake ", env!("CARGO_PKG_VERSION")),
        "",
    );
}

#[test]
fn help_names_every_command_and_exit_code() {
    let output = ironwake(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let commands = "serve machine console events key lease artifact config simulate probe doctor health version completions man";
    for word in commands.split_whitespace().chain(["IRONWAKE_SOCKET", "5  the daemon is not reachable"]) {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
}

#[test]
fn mistakes_come_as_json_too() {
    let output = ironwake(&["config", "check", "--json", "many-mistakes.toml"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["ok"], false);
    let first = &json["mistakes"][0];
    assert_eq!((&first["line"], &first["column"]), (&1.into(), &1.into()));
    assert_eq!(first["help"], "did you mean `state`?");
}

#[test]
fn the_example_is_legal_once_its_interface_is_named() {
    let output = ironwake(&["config", "example"]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), output.stdout).expect("written");
    check(&["config", "check", file.path().to_str().expect("UTF-8")], 0, "is fine", "");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ironwake"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// What asks no daemon needs no token for one; what does says how to give it.
#[test]
fn only_what_asks_a_daemon_needs_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let man = folder.path().join("man");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.args(words).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config"));
        command.env("IRONWAKE_URL", "https://ironwake.invalid:8443");
        command.env_remove("IRONWAKE_TOKEN").env_remove("IRONWAKE_TOKEN_FILE").env_remove("IRONWAKE_CA");
        let output = command.output().expect("the command runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (words, code) in [
        (&["completions", "bash"][..], 0),
        (&["man", man.to_str().expect("UTF-8")], 0),
        (&["config", "example"], 0),
        (&["config", "check", "smallest.toml"], 0),
        (&["profile", "check", "../../../assets/profiles/local"], 0),
        (&["doctor", "--config", "many-mistakes.toml"], 6),
        (&["probe", "dhcp", "--interface", "nosuch0"], 1),
        (&["serve", "--config", "many-mistakes.toml"], 6),
    ] {
        let (found, said) = run(words);
        assert!(found == Some(code) && !said.contains("token"), "{words:?}: {found:?} {said}");
    }
    for words in
        [&["machine", "list"][..], &["config", "show"], &["config", "set", "a=b"], &["profile", "list"]]
    {
        let (found, said) = run(words);
        assert!(found == Some(1) && said.contains("--url needs a token"), "{words:?}: {found:?} {said}");
    }
}

#[test]
fn completions_and_man_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        check(&["completions", shell], 0, "ironwake", "");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("man");
    check(&["man", path.to_str().expect("UTF-8")], 0, "", "");
    for page in ["ironwake.1", "ironwake-serve.1", "ironwake-machine-show.1"] {
        assert!(path.join(page).is_file(), "{page}");
    }
}

#[test]
fn simulate_asks_the_daemon_and_says_how_to_start_one() {
    let case = ["--socket", "/nonexistent/x.sock", "simulate", "--mac", "525400123456", "--arch"];
    let with = |arch: &'static str| [&case[..], &[arch]].concat();
    check(&with("uefi-x64"), 5, "", "ironwake serve");
    check(&with("pdp11"), 2, "", "possible values: bios");
}

#[test]
fn probes_say_what_failed() {
    check(&["probe", "dhcp", "--interface", "nosuch0"], 1, "", "nosuch0");
    check(&["probe", "dhcp", "--interface", "lo", "--arch", "pdp11"], 2, "", "possible values: bios");
    // The discard port of loopback: nothing serves TFTP there.
    check(&["probe", "tftp", "127.0.0.1:9", "x", "--timeout-ms", "20"], 1, "", "no answer from 127.0.0.1:9");
}

#[test]
fn doctor_judges_without_a_daemon() {
    let output = ironwake(&["doctor", "--json", "--config", "many-mistakes.toml"]);
    assert_eq!(output.status.code(), Some(6));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json[0]["check"], "config");
    assert_eq!(json[0]["verdict"], "fail");
    assert_eq!(json[0]["remedy"], "ironwake config check many-mistakes.toml");
}
