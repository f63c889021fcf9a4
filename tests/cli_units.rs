//! The units as systemd's own tools judge them (package systemd).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/usr/lib/systemd/system")
}

fn unit() -> PathBuf {
    units().join("ironwake.service")
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let ran = Command::new(program).args(arguments).output();
    ran.unwrap_or_else(|error| panic!("run {program} (package systemd): {error}"))
}

fn shown(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[test]
fn the_service_is_confined() {
    let path = unit();
    let path = path.to_str().expect("UTF-8");
    let output = run("systemd-analyze", &["security", "--offline=yes", "--no-pager", "--threshold=20", path]);
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn the_units_are_understood_in_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["ironwake.service", "ironwake.socket", "ironwake-builder.service"];
    let copies = names.map(|name| {
        let text = std::fs::read_to_string(units().join(name)).expect("the unit");
        // The command is not installed where tests run.
        let text = text.replace("/usr/bin/ironwake", env!("CARGO_BIN_EXE_ironwake"));
        let copy = folder.path().join(name);
        std::fs::write(&copy, text).expect("written");
        copy.to_str().expect("UTF-8").to_owned()
    });
    let output = run("systemd-analyze", &["verify", "--man=no", &copies[0], &copies[1], &copies[2]]);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(!shown(&output).contains("ironwake"), "{}", shown(&output));
}

#[test]
fn the_socket_is_where_the_daemon_would_listen() {
    let text = std::fs::read_to_string(units().join("ironwake.socket")).expect("the unit");
    for line in
        [&format!("ListenStream={}", ironwake::config::SOCKET), "FileDescriptorName=api", "SocketMode=0660"]
    {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn the_service_holds_two_capabilities() {
    let text = std::fs::read_to_string(unit()).expect("the unit");
    for key in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(key)).collect();
        assert_eq!(lines, ["=CAP_NET_RAW CAP_NET_BIND_SERVICE"], "{key}");
    }
    assert!(text.contains("\nTimeoutStopSec=10\n") && text.contains("\nType=notify\n"));
}

/// It holds no capability: those of the bounding set are for newuidmap, which is setuid.
#[test]
fn the_builder_is_confined_as_far_as_namespaces_allow() {
    let path = units().join("ironwake-builder.service");
    let text = std::fs::read_to_string(&path).expect("the unit");
    assert!(text.contains("\nCapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_DAC_OVERRIDE CAP_SYS_ADMIN\n"));
    assert!(!text.contains("AmbientCapabilities") && text.contains("\nUser=ironwake-builder\n"));
    let path = path.to_str().expect("UTF-8");
    let output = run("systemd-analyze", &["security", "--offline=yes", "--no-pager", "--threshold=70", path]);
    assert!(output.status.success(), "{}", shown(&output));
}
