//! The whole product on two virtual computers and nothing else: one is flashed with the image and set up at its screen, by
//! keys alone; the other boots from it, is inventoried, rebuilt, and phones home. There is no way out of their network.

#[path = "appliance/mod.rs"]
mod appliance;
#[path = "lab/mod.rs"]
mod lab;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use appliance::image;
use appliance::line::Line;
use appliance::qmp::Qmp;
use appliance::screen::{self, Screen};
use ironwake_api::{Event, EventKind, OperationState};
use lab::{
    Bridge, Bus, Disk, EventLog, Firmware, LabError, LabName, Machine, Namespace, Piped, Process, run,
};

/// What the administrator types.
const PASSWORD: &str = "correct horse";
/// The appliance's address and the client's.
const APPLIANCE: &str = "10.77.0.1";
const CLIENT: &str = "10.77.0.9/24";
/// Size of the appliance's disk: the Debian image is on it too.
const DISK_MIB: u64 = 4096;
/// Two emulated machines share the host's processors: a minute and a half each on an idle one.
const WAIT_MAX: Duration = Duration::from_secs(420);
/// Size of the machine's disk.
const MACHINE_DISK_BYTES: u64 = 4 << 30;

/// A network with a person's laptop on it.
struct Site {
    folder: tempfile::TempDir,
    network: Namespace,
    bridge: Bridge,
    laptop: Namespace,
}

impl Site {
    fn new() -> Result<Self, LabError> {
        let name = LabName::unique();
        let network = Namespace::create(&name, "site")?;
        let bridge = network.bridge("br0", "10.77.0.8/24")?;
        let laptop = Namespace::create(&name, "client")?;
        laptop.join("eth0", CLIENT, &network, &bridge)?;
        let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
        let site = Self { folder, network, bridge, laptop };
        let askpass = site.path("askpass");
        fs::write(&askpass, format!("#!/bin/sh\necho '{PASSWORD}'\n"))
            .map_err(LabError::io("write a script"))?;
        fs::set_permissions(&askpass, fs::Permissions::from_mode(0o755))
            .map_err(LabError::io("let it run"))?;
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(site.path("key")))?;
        image::flash(&site.path("disk"), DISK_MIB)?;
        site.network.tap("appliance", &site.bridge)?;
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Switches the appliance on.
    fn appliance(&self) -> Result<(Piped, Screen), LabError> {
        let (disk, control) = (self.path("disk"), Line::listen(&self.path("qmp"))?);
        let mut command = self.network.command("qemu-system-x86_64");
        let fixed = "-nodefaults -display none -no-reboot -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 \
                     -device virtio-rng-pci -device VGA -device qemu-xhci -device usb-storage,drive=disk,bootindex=1 \
                     -netdev tap,id=net,ifname=appliance,script=no,downscript=no -device e1000e,netdev=net,romfile=";
        command.args(fixed.split_whitespace());
        command
            .arg("-serial")
            .arg(format!("file:{}", self.path("console").display()))
            .args(["-serial", "stdio"]);
        command.arg("-qmp").arg(control.option());
        command
            .arg("-blockdev")
            .arg(format!("driver=file,node-name=file,cache.no-flush=on,filename={}", disk.display()));
        command.args(["-blockdev", "driver=raw,node-name=disk,file=file"]);
        image::credentials(&mut command, self.folder.path(), screen::CREDENTIALS)?;
        let mut qemu = Piped::start("qemu", command, &self.path("qemu.log"))?;
        let lines = qemu.lines();
        let keyboard = Qmp::over(control.accept()?)?;
        Ok((qemu, Screen::new(lines, keyboard)))
    }

    /// A command of the appliance over SSH, as whoever has the password (or else the key).
    fn ssh(&self, password: bool, words: &[&str]) -> Command {
        let mut command = self.laptop.command("ssh");
        // What is another key than the first time is refused.
        command.args([
            "-q",
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=accept-new",
            "-o",
            "ConnectTimeout=30",
        ]);
        // The screen may be there before port 22 is.
        command.args(["-o", "ConnectionAttempts=30"]);
        command.arg("-o").arg(format!("UserKnownHostsFile={}", self.path("known").display()));
        if password {
            command.args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]);
            command.env("SSH_ASKPASS", self.path("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
        } else {
            command.args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]).arg(self.path("key"));
        }
        command.arg(format!("admin@{APPLIANCE}")).args(words).stdin(Stdio::null());
        command
    }

    /// What a command with `--json` answers.
    fn json(&self, words: &[&str]) -> Result<serde_json::Value, LabError> {
        let text = run(self.ssh(false, words).arg("--json"))?;
        serde_json::from_str(&text)
            .map_err(|error| LabError::Unexpected { what: format!("{}: {error}", words.join(" ")), text })
    }

    /// A command that reads a file.
    fn send(&self, password: bool, file: &Path, words: &[&str]) -> Result<String, LabError> {
        let name = file.display();
        let file = File::open(file).map_err(LabError::io(format!("open {name}")))?;
        // `run` closes standard input.
        let done = self.ssh(password, words).stdin(file).output().map_err(LabError::io("run ssh"))?;
        let text =
            [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        match done.status.success() {
            true => Ok(text),
            false => Err(LabError::Unexpected { what: format!("{} < {name}", words.join(" ")), text }),
        }
    }
}

/// The first set-up, as whoever unpacks an appliance goes through it.
fn set_up(screen: &mut Screen) -> Result<(), LabError> {
    screen.wait("New password or PIN")?;
    for typed in 1..=2 {
        screen.types(PASSWORD)?;
        screen.wait_until("the password as asterisks", |screen| {
            screen.matches(&"*".repeat(PASSWORD.len())).count() == typed
        })?;
        screen.press(&["ret"])?;
    }
    screen.wait("step 2 of")?;
    screen.press(&["ret"])?;
    screen.wait("no DHCP server answers")?;
    screen.press(&["ret"])?;
    screen.wait(": Own address")?;
    screen.press(&["down"])?;
    screen.press(&["ret"])?;
    screen.wait("Address/prefix")?;
    screen.press(&["ctrl", "u"])?;
    screen.types(&format!("{APPLIANCE}/24"))?;
    screen.wait_until("an address that is right", |screen| {
        screen.contains(&format!("{APPLIANCE}/24")) && !screen.contains("is not an address")
    })?;
    for _ in 0..3 {
        screen.press(&["ret"])?;
    }
    screen.wait(": DHCP")?;
    screen.wait("machines get no address")?;
    screen.press(&["down"])?;
    screen.press(&["ret"])?;
    screen.wait("10.77.0.128-10.77.0.254")?;
    for _ in 0..3 {
        screen.press(&["ret"])?;
    }
    screen.wait(": Name")?;
    screen.press(&["ret"])?;
    screen.wait(": Time")?;
    for _ in 0..3 {
        screen.press(&["ret"])?;
    }
    screen.wait(": SSH keys")?;
    screen.press(&["ret"])?;
    screen.wait("Nothing is wrong with it")?;
    screen.press(&["ret"])?;
    screen.wait("Going back in")?;
    screen.press(&["ret"])?;
    screen.wait("Ironwake is set up")?;
    screen.press(&["ret"])?;
    screen.wait("No machine yet").map(drop)
}

/// Follows events until one fits.
fn follow(
    log: &EventLog,
    at: &mut usize,
    what: &str,
    fits: impl Fn(&Event) -> bool,
) -> Result<Event, LabError> {
    let began = Instant::now();
    let mut seen = Vec::new();
    let why = loop {
        match log.wait(*at, began + WAIT_MAX) {
            Some(event) => {
                *at += 1;
                if fits(&event) {
                    return Ok(event);
                }
                seen.push(lab::event_line(&event.kind));
            }
            None if log.ended() => break "the stream of events ended",
            None if began.elapsed() > WAIT_MAX => break "no such event came",
            None => {}
        }
    };
    seen.extend(log.odd_lines());
    Err(LabError::Waited {
        what: what.into(),
        seconds: began.elapsed().as_secs(),
        why: why.into(),
        report: seen.join("\n"),
    })
}

#[test]
fn lab_appliance_serves_a_machine_from_inventory_to_its_call_home() -> Result<(), LabError> {
    let site = Site::new()?;
    let (appliance, mut screen) = site.appliance()?;
    set_up(&mut screen)?;

    // A key for the laptop, by the password that was typed at the screen.
    site.send(true, &site.path("key.pub"), &["key", "add"])?;
    let mut log = EventLog::new(&site.path("events.log"));
    log.follow(site.ssh(false, &[]))?;
    let image = lab::rebuild::image()?;
    site.send(false, &image, &["artifact", "import", lab::rebuild::IMAGE, "-"])?;
    let mut at = 0;
    let done = |name: &str| -> Result<bool, LabError> {
        let artifacts = site.json(&["artifact", "list"])?;
        Ok(artifacts
            .as_array()
            .into_iter()
            .flatten()
            .any(|row| row["name"] == name && row["state"] == "done"))
    };
    while !done("discovery/initramfs")? {
        follow(&log, &mut at, "the discovery image", |event| {
            matches!(event.kind, EventKind::ArtifactBuild { .. } | EventKind::ArtifactReady { .. })
        })?;
    }

    let mut machine =
        Machine::new(1, Firmware::Uefi).with_disk(Disk::blank(Bus::Virtio, "TARGET", MACHINE_DISK_BYTES));
    machine.memory_mib = lab::rebuild::MEMORY_MIB;
    site.network.tap(&machine.tap(0), &site.bridge)?;
    let mut qemu = site.network.command("qemu-system-x86_64");
    qemu.args(machine.arguments(site.folder.path(), &site.path("machine.serial"))?);
    let node = Process::start("qemu", qemu, &site.path("machine.qemu"))?;
    let found =
        follow(&log, &mut at, "an inventory", |event| matches!(event.kind, EventKind::Inventory { .. }))?;
    let id = found.machine.expect("the machine's").to_string();
    screen.wait("52:54:00:77:01:00")?;

    run(&mut site.ssh(false, &["machine", "edit", &id, "--name", "node-1"]))?;
    run(&mut site.ssh(false, &["machine", "enroll", "node-1"]))?;
    run(&mut site.ssh(false, &["rebuild", "node-1", "--profile", "debian-image", "--yes"]))?;
    let ended = follow(
        &log,
        &mut at,
        "the host that phones home",
        |event| matches!(&event.kind, EventKind::OperationChanged { to, .. } if to.has_ended()),
    )?;
    assert!(
        matches!(ended.kind, EventKind::OperationChanged { to: OperationState::Ready, .. }),
        "{}",
        lab::event_line(&ended.kind)
    );
    screen.wait("node-1")?;

    // All of it outlives a restart: the set-up, the password, the key, the machine. The disk keeps what changed.
    drop(node);
    // The connection may end before the exit code is through.
    site.ssh(true, &["system", "reboot"]).status().map_err(LabError::io("run ssh"))?;
    screen.wait_off()?;
    drop(appliance);
    let (_appliance, mut screen) = site.appliance()?;
    screen.wait("node-1")?;
    let machine = site.json(&["machine", "show", "node-1"])?;
    assert_eq!(machine["id"], id.as_str(), "{machine}");
    let setup = run(&mut site.ssh(true, &["setup", "show"]))?;
    assert!(setup.starts_with("it is set up") && setup.contains(&format!("{APPLIANCE}/24")), "{setup}");
    Ok(())
}
