//! The first set-up as whoever unpacks an appliance has it: a real terminal, the real daemon with nothing configured, and keys
//! alone. systemd's services are stand-ins; the network is one of its own.

mod bus;
mod loopback;
mod terminal;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use bus::{PrivateBus, StandIns};
use loopback::Daemon;
use terminal::Terminal;

/// A network with a cable, and nobody else on it.
const NETWORK: &str = "set -e
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth0 up
ip link set eth1 up
echo ready
exec cat";
/// What the administrator types.
const PASSWORD: &str = "correct horse";

/// Namespaces; they end with the test.
struct Network(Child);

impl Network {
    fn new() -> anyhow::Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "sh", "-c", NETWORK]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut network = Self(command.spawn().context("run unshare (package util-linux)")?);
        let mut line = String::new();
        BufReader::new(network.0.stdout.take().context("a pipe")?).read_line(&mut line)?;
        anyhow::ensure!(line == "ready\n", "the network is not there: {line}");
        Ok(network)
    }

    /// Does what systemd-networkd would.
    fn give_address(&self, address: &str) -> anyhow::Result<()> {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.0.id().to_string(), "--", "ip", "address", "add", address]);
        anyhow::ensure!(command.args(["dev", "eth0"]).status()?.success(), "ip address add {address}");
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn console(folder: &Path) -> anyhow::Result<Terminal> {
    let (program, socket) = (env!("CARGO_BIN_EXE_ironwake"), folder.join("console.sock"));
    Terminal::open(folder, (100, 36), &format!("{program} --socket {} console", socket.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_appliance_is_set_up_by_keys_alone() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: namespaces take root");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("network"))?;
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    systemd.state().units = [("ironwake.service".into(), "active".into())].into();
    systemd.state().keyboard = "us".into();
    let _serving = systemd.serve_all(&private).await;
    let network = Network::new()?;
    let daemon = Daemon::start_unconfigured_within(folder.path(), network.0.id());
    let terminal = console(folder.path())?;

    // What changes something needs the password first.
    terminal.wait("New password or PIN")?;
    for typed in 1..=2 {
        terminal.types(PASSWORD)?;
        terminal.wait_until("the password as asterisks", |screen| {
            screen.matches(&"*".repeat(PASSWORD.len())).count() == typed
        })?;
        terminal.key("Enter")?;
    }
    terminal.wait("step 2 of")?;
    terminal.types("de")?;
    terminal.wait("▌   de")?;
    terminal.key("Enter")?;
    // It was typed on another keyboard.
    terminal.wait("The keyboard is de from here on")?;
    terminal.key("Enter")?;
    terminal.wait("no DHCP server answers")?;
    terminal.wait_until("eth0 chosen", |screen| screen.lines().any(|line| line.contains("▌ ● eth0")))?;
    terminal.key("Enter")?;

    // It gives addresses, so it has one of its own.
    terminal.wait(": Own address")?;
    terminal.wait("another server on this network gives it")?;
    terminal.key("Enter")?;
    terminal.wait("machines get no address")?;
    terminal.key("Down")?;
    terminal.key("Enter")?;
    terminal.wait("Server mode needs an address")?;
    terminal.key("C-u")?;
    terminal.types("10.77.0.999/24")?;
    terminal.wait("is not an address with its prefix")?;
    terminal.key("C-u")?;
    terminal.types("10.77.0.1/24")?;
    terminal.wait_until("an address that is right", |screen| {
        screen.contains("10.77.0.1/24") && !screen.contains("is not an address")
    })?;
    for _ in 0..3 {
        terminal.key("Enter")?;
    }
    terminal.wait(": DHCP")?;
    terminal.key("Enter")?;
    terminal.wait("10.77.0.128-10.77.0.254")?;
    for _ in 0..3 {
        terminal.key("Enter")?;
    }
    terminal.wait(": Name")?;
    terminal.key("C-u")?;
    terminal.types("boot1")?;
    terminal.key("Enter")?;
    terminal.wait(": Time")?;
    terminal.types("vienna")?;
    terminal.wait("1 of 2")?;
    for _ in 0..3 {
        terminal.key("Enter")?;
    }
    terminal.wait(": SSH keys")?;
    terminal.key("Enter")?;
    let summary = terminal.wait("Nothing is wrong with it")?;
    for part in [
        "host name boot1",
        "time zone Europe/Vienna",
        "eth0 is served, DHCP server",
        "eth0 gets 10.77.0.1/24",
    ] {
        assert!(summary.contains(part), "{part} is not on\n{summary}");
    }
    assert!(!folder.path().join("state/settings.toml").exists(), "nothing is done before it is said");
    terminal.key("Enter")?;

    terminal.wait("Going back in")?;
    systemd.asked("ReconfigureLink").await;
    network.give_address("10.77.0.1/24")?;
    terminal.key("Enter")?;
    terminal.wait("The daemon starts again")?;
    systemd.asked("RestartUnit ironwake.service").await;
    daemon.terminate();
    let _daemon = Daemon::start_unconfigured_within(folder.path(), network.0.id());
    terminal.wait("Ironwake is set up")?;
    terminal.key("Enter")?;
    terminal.wait("No machine yet")?;

    let settings = fs::read_to_string(folder.path().join("state/settings.toml"))?;
    for part in ["interface = \"eth0\"", "dhcp = \"server\"", "range = [\"10.77.0.128-10.77.0.254\"]"] {
        assert!(settings.contains(part), "{settings}");
    }
    let address = fs::read_to_string(folder.path().join("network/05-ironwake-eth0.network"))?;
    assert!(address.contains("Address=10.77.0.1/24"), "{address}");
    let state = systemd.state();
    assert_eq!(
        (state.hostname.as_str(), state.timezone.as_str(), state.keyboard.as_str()),
        ("boot1", "Europe/Vienna", "de")
    );
    // The password is what logs in from there on.
    assert!(folder.path().join("state/password").exists());
    Ok(())
}
