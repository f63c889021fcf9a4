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
    let names = [
        "ironwake.service",
        "ironwake.socket",
        "ironwake-api-console.socket",
        "ironwake-api-ssh.socket",
        "ironwake-builder.service",
        "ironwake-ssh.service",
        "ironwake-console@.service",
        "ironwake-stick@.service",
        "ironwake-update-install.service",
        "ironwake-healthy.service",
        "ironwake-bless.service",
        "ironwake-fall-back.service",
        "ironwake-update.service",
        "ironwake-update.timer",
        "ironwake-disks.service",
        "ironwake-install.service",
        "ironwake-unattended.service",
        "ironwake-factory-reset.service",
    ];
    // What they start is not installed where tests run, nor is the console built: the command stands for both.
    let programs = ["/usr/bin/ironwake-console", "/usr/bin/ironwake"];
    let copies = names.map(|name| {
        let text = std::fs::read_to_string(units().join(name)).expect("the unit");
        let text = programs.iter().fold(text, |text, program| {
            text.replace(
                &format!("ExecStart={program} "),
                concat!("ExecStart=", env!("CARGO_BIN_EXE_ironwake"), " "),
            )
        });
        // Nor is the script that decides for them.
        let text = text.replace("/usr/lib/ironwake/on-trial", "/bin/true");
        // A template is judged by one of its instances.
        let copy = folder.path().join(name.replace("@.", "@tty1."));
        std::fs::write(&copy, text).expect("written");
        copy.to_str().expect("UTF-8").to_owned()
    });
    let mut arguments = vec!["verify", "--man=no"];
    arguments.extend(copies.iter().map(String::as_str));
    let output = run("systemd-analyze", &arguments);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(!shown(&output).contains("ironwake"), "{}", shown(&output));
}

#[test]
fn the_sockets_are_where_the_daemon_would_listen_each_for_its_group() {
    let defaults = ironwake::config::Config::default();
    let service = std::fs::read_to_string(unit()).expect("the unit");
    let has = |text: &str, line: &str| text.lines().any(|found| found == line);
    let names = "ironwake.socket ironwake-api-console.socket ironwake-api-ssh.socket";
    assert!(has(&service, &format!("Sockets={names}")) && has(&service, &format!("Also={names}")));
    for (unit, path, name, group) in [
        ("ironwake.socket", &defaults.socket, "api", "ironwake"),
        ("ironwake-api-console.socket", &defaults.console.socket, "console", "ironwake-console"),
        ("ironwake-api-ssh.socket", &defaults.console.ssh_socket, "ssh", "ironwake-ssh"),
    ] {
        let text = std::fs::read_to_string(units().join(unit)).expect("the unit");
        for line in [
            format!("ListenStream={}", path.display()),
            format!("FileDescriptorName={name}"),
            "SocketMode=0660".into(),
            "SocketUser=ironwake".into(),
            format!("SocketGroup={group}"),
        ] {
            assert!(has(&text, &line), "{unit}: {line}");
        }
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

/// Those that look at the boot loaders are root without capabilities; the one that writes the other slot has two.
#[test]
fn what_root_does_for_updates_is_confined() {
    for (name, capabilities) in [
        ("ironwake-update-install.service", "CAP_DAC_READ_SEARCH CAP_SYS_ADMIN"),
        ("ironwake-healthy.service", ""),
        ("ironwake-bless.service", ""),
        ("ironwake-update.service", ""),
    ] {
        let path = units().join(name);
        let text = std::fs::read_to_string(&path).expect("the unit");
        assert!(text.contains(&format!("\nCapabilityBoundingSet={capabilities}\n")), "{name}");
        let path = path.to_str().expect("UTF-8");
        let output =
            run("systemd-analyze", &["security", "--offline=yes", "--no-pager", "--threshold=20", path]);
        assert!(output.status.success(), "{}", shown(&output));
    }
}

/// Each is a client of a socket of its own, where people log in: it holds nothing else, and is no operator.
#[test]
fn the_console_is_confined() {
    for (name, user, socket) in [
        ("ironwake-ssh.service", "User=ironwake-ssh", "--socket /run/ironwake/ssh.sock"),
        ("ironwake-console@.service", "User=ironwake-console", "--socket /run/ironwake/console.sock"),
    ] {
        let path = units().join(name);
        let text = std::fs::read_to_string(&path).expect("the unit");
        let wanted = [
            "CapabilityBoundingSet=",
            "NoNewPrivileges=yes",
            user,
            &user.replace("User", "Group"),
            "Restart=always",
            "StartLimitIntervalSec=0",
        ];
        for line in wanted {
            assert!(text.lines().any(|found| found == line), "{name}: {line}");
        }
        assert!(!text.contains("AmbientCapabilities") && !text.contains("SupplementaryGroups"), "{name}");
        let start = text.lines().find(|line| line.starts_with("ExecStart=")).expect("it starts something");
        assert!(start.ends_with(socket), "{start}");
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join(name.replace("@.", "@tty1."));
        std::fs::copy(&path, &copy).expect("copied");
        let path = copy.to_str().expect("UTF-8");
        let output =
            run("systemd-analyze", &["security", "--offline=yes", "--no-pager", "--threshold=20", path]);
        assert!(output.status.success(), "{name}: {}", shown(&output));
    }
}

/// It mounts for all the host, as root, and so cannot hide from it; it can do nothing else.
#[test]
fn what_mounts_sticks_is_confined_as_far_as_mounting_allows() {
    let path = units().join("ironwake-stick@.service");
    let text = std::fs::read_to_string(&path).expect("the unit");
    assert!(
        text.contains("\nCapabilityBoundingSet=CAP_SYS_ADMIN\n") && text.contains("\nNoNewPrivileges=yes\n")
    );
    let mounts = text.lines().find(|line| line.starts_with("ExecStart=")).expect("it starts something");
    assert!(mounts.contains(" --options ro,nosuid,nodev,noexec,nosymfollow "), "{mounts}");
    assert!(mounts.ends_with(&format!(" {}/%I", ironwake::sticks::FOLDER)), "{mounts}");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("ironwake-stick@sda1.service");
    std::fs::copy(&path, &copy).expect("copied");
    let path = copy.to_str().expect("UTF-8");
    let output = run("systemd-analyze", &["security", "--offline=yes", "--no-pager", "--threshold=40", path]);
    assert!(output.status.success(), "{}", shown(&output));
}

/// Who is in the group `ironwake` is an operator: neither the console's user nor the SSH server's may be.
#[test]
fn users_of_the_console_are_no_operators() {
    let sysusers = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/usr/lib/sysusers.d/ironwake.conf");
    let text = std::fs::read_to_string(sysusers).expect("the file");
    let members: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("m "))
        .filter_map(|line| line.strip_suffix(" ironwake"))
        .collect();
    assert_eq!(members, ["ironwake-builder"]);
}
