//! The daemon without any capability, beside somebody else's DHCP server: `ironwake serve --dhcp off`.

#[path = "lab/mod.rs"]
mod lab;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use lab::{Daemon, LabError, LabName, Namespace};

/// Nobody's user and group: no file of the host is theirs.
const NOBODY: u32 = 65534;
/// What the daemon has to end in (SIGTERM).
const STOP_MAX: Duration = Duration::from_secs(10);

/// A program that runs the daemon as nobody; every word that it gets is for the daemon.
fn as_nobody(folder: &Path) -> Result<std::path::PathBuf, LabError> {
    let path = folder.join("ironwake");
    let text = format!(
        "#!/bin/sh\nexec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --bounding-set=-all --no-new-privs '{}' \"$@\" --dhcp off\n",
        env!("CARGO_BIN_EXE_ironwake")
    );
    fs::write(&path, text).map_err(LabError::io("write a script"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(LabError::io("let it run"))?;
    Ok(path)
}

#[test]
fn without_dhcp_it_serves_files_and_operators_and_holds_no_capability() -> Result<(), LabError> {
    let name = LabName::unique();
    let site = Namespace::create(&name, "site")?;
    site.bridge("br0", "10.77.0.1/24")?;
    let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).map_err(LabError::io("give the folder away"))?;
    let at = |name: &str| folder.path().join(name);
    let text = format!(
        "state = {:?}\nsocket = {:?}\n[http]\nlisten = \"10.77.0.1:8080\"\n\
         [[network]]\ninterface = \"br0\"\ndhcp = \"server\"\nrange = \"10.77.0.100-10.77.0.250\"\n",
        at("state"),
        at("api.sock"),
    );
    fs::write(at("ironwake.toml"), text).map_err(LabError::io("write the configuration"))?;
    let mut daemon = Daemon::start(&as_nobody(folder.path())?, &at("ironwake.toml"), &site, folder.path())?;

    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("its status");
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
    };
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set).as_deref(), Some("0000000000000000"), "{set} {status}");
    }
    // Machines are told where to go on by HTTP, as they are with DHCP.
    let answer =
        lab::request(&site, "10.77.0.1:8080".parse().expect("an address"), "GET", "/autoexec.ipxe", "", "")?;
    assert_eq!((answer.status, answer.text().starts_with("#!ipxe")), (200, true), "{}", answer.text());
    assert_eq!(site.run("ss --no-header --packet")?.trim(), "", "no raw socket");
    let udp = site.run("ss --no-header --udp --listening --numeric")?;
    assert!(!udp.contains(":67 ") && !udp.contains(":69 "), "{udp}");

    // What is off is said to be off, and nothing has failed. (Boot files of whoever runs the tests are not for nobody.)
    let mut health = site.command(env!("CARGO_BIN_EXE_ironwake"));
    let health = health.arg("--socket").arg(at("api.sock")).arg("health").output().expect("it runs");
    let health = String::from_utf8_lossy(&health.stdout).into_owned();
    let excused = |line: &str| line.contains("all together") || line.contains("loaders: ");
    let failed = health.lines().find(|line| line.starts_with("failed") && !excused(line));
    assert!(health.contains("br0 off") && failed.is_none(), "{health}");
    assert!(
        daemon.log_tail().contains("no TFTP: port 69 needs CAP_NET_BIND_SERVICE"),
        "{}",
        daemon.log_tail()
    );
    assert!(daemon.stop(STOP_MAX).is_some_and(|status| status.success()), "{}", daemon.log_tail());
    Ok(())
}
