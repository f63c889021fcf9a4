//! The appliance installs itself: a stick with the image and an empty disk in one QEMU, and then the disk alone.

#[path = "appliance/mod.rs"]
mod appliance;
#[path = "lab/mod.rs"]
mod lab;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use appliance::esp::Esp;
use appliance::image;
use appliance::report::{Report, said_last};
use lab::{Firmware, Piped};

/// The longest wait for what the probe says next: a boot takes three minutes on a loaded host, and the system is copied.
const SILENCE_MAX: Duration = Duration::from_secs(400);
const MEMORY_MIB: &str = "1024";
const STICK_MIB: u64 = 3072;
/// The smallest that is taken, and a bit.
const DISK_BYTES: u64 = 4_400_000_000;
const CREDENTIALS: &[(&str, &str)] = &[
    ("systemd.extra-unit.probe.service", include_str!("appliance_install/probe.service")),
    ("systemd.unit-dropin.multi-user.target", "[Unit]\nWants=probe.service\n"),
    ("probe.sh", include_str!("appliance_install/probe.sh")),
];

struct Bench {
    folder: tempfile::TempDir,
    firmware: Firmware,
}

impl Bench {
    fn new(firmware: Firmware) -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("a folder"), firmware };
        image::flash(&bench.path("stick"), STICK_MIB).expect("a stick");
        let sized = |name: &str, size| {
            let file = File::options().create(true).write(true).truncate(false).open(bench.path(name));
            file.and_then(|file| file.set_len(size)).expect("its size");
        };
        sized("disk", DISK_BYTES);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Boots from the first of these until the probe has said all. The machine is switched off by the probe itself.
    fn boot(&self, attached: &[(&str, &str)]) -> Report {
        let mut command = self.command(attached);
        command.arg("-no-reboot");
        image::credentials(&mut command, self.folder.path(), CREDENTIALS).expect("what SMBIOS has");
        let mut qemu = Piped::start("qemu", command, &self.path("qemu.log")).expect("QEMU starts");
        let lines = qemu.lines();
        let mut report = Report::default();
        loop {
            match lines.recv_timeout(SILENCE_MAX) {
                Ok(line) if line == "end" => break,
                Ok(line) => report.add(&line),
                Err(error) => {
                    panic!("the probe is silent: {error}\n{report}\n{}", said_last(&self.path("console")))
                }
            }
        }
        // QEMU ends with the machine, and its output with it.
        while lines.recv_timeout(SILENCE_MAX).is_ok() {}
        println!("{report}");
        report
    }

    /// Boots with nobody there, until the machine is switched off by itself; a restart does not end QEMU.
    fn boot_alone(&self, attached: &[(&str, &str)]) {
        let mut qemu =
            Piped::start("qemu", self.command(attached), &self.path("qemu.log")).expect("QEMU starts");
        let ended = qemu.lines().recv_timeout(SILENCE_MAX);
        assert_eq!(
            ended,
            Err(RecvTimeoutError::Disconnected),
            "it was not switched off: {}",
            said_last(&self.path("console"))
        );
    }

    fn command(&self, attached: &[(&str, &str)]) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        let fixed = "-nodefaults -display none -accel tcg,thread=multi -cpu max -smp 2 -device virtio-rng-pci \
                     -device VGA -device qemu-xhci -netdev user,id=net,restrict=on -device e1000e,netdev=net";
        command.args(fixed.split_whitespace()).args(["-m", MEMORY_MIB]);
        if self.firmware.is_uefi() {
            command.args(self.firmware.arguments(&self.path("vars")).expect("the firmware"));
        } else {
            command.args(["-machine", "q35"]);
        }
        command.arg("-serial").arg(format!("file:{}", self.path("console").display()));
        command.args(["-serial", "stdio"]);
        for (place, (name, device)) in attached.iter().enumerate() {
            let file = self.path(name);
            let file =
                format!("driver=file,node-name=file-{name},cache.no-flush=on,filename={}", file.display());
            command.args(["-blockdev", &file]);
            command.args(["-blockdev", &format!("driver=raw,node-name={name},file=file-{name}")]);
            command.args(["-device", &format!("{device},drive={name},bootindex={}", place + 1)]);
        }
        command
    }
}

fn digest(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
}

/// What holds on every disk that it was installed on.
fn runs(report: &Report) {
    report.is("failed", "");
    report.is("booted-removable", "false");
    report.is("failed-units", "");
    let version = env!("CARGO_PKG_VERSION");
    report.is("partitions", &format!("bios-boot ironwake-esp ironwake_{version} _empty ironwake-var"));
}

fn check(firmware: Firmware, disk: &str) {
    let bench = Bench::new(firmware);
    let target = format!("{disk},serial=TARGET");
    let from_stick = bench.boot(&[("stick", "usb-storage"), ("disk", &target)]);
    from_stick.is("failed", "");
    from_stick.is("booted-removable", "true");
    assert!(from_stick.value("refused").contains("sda: the appliance runs from it"), "{from_stick}");
    assert!(from_stick.value("wrong-name").contains("has to be typed"), "{from_stick}");
    from_stick.is("installed", "done");
    let stick = digest(&bench.path("stick"));

    let from_disk = bench.boot(&[("disk", &target)]);
    runs(&from_disk);
    for name in ["machine-id", "host-key", "authority", "machines", "hostname"] {
        from_disk.is(name, from_stick.value(name));
    }
    assert!(from_disk.value("machines").contains("52:54:00:77:00:01"), "{from_disk}");
    assert_ne!(from_disk.value("identifiers"), from_stick.value("identifiers"));
    from_disk.is("journal-boots", "1");
    assert_eq!(digest(&bench.path("stick")), stick, "nobody touched it");
    // It keeps what happens to it.
    let again = bench.boot(&[("disk", &target)]);
    again.is("machine-id", from_stick.value("machine-id"));
    again.is("journal-boots", "2");
}

#[test]
fn full_appliance_install_bios() {
    check(Firmware::Bios, "virtio-blk-pci");
}

#[test]
fn full_appliance_install_uefi() {
    check(Firmware::Uefi, "nvme");
}

#[test]
fn full_appliance_install_by_a_file_on_the_stick() {
    let bench = Bench::new(Firmware::Bios);
    let order = "disk = \"serial=TARGET\"\nwipe = \"yes, everything on it\"\nthen = \"poweroff\"\n";
    Esp::of(&bench.path("stick")).put("ironwake-install.toml", order.as_bytes()).expect("room for it");
    let target = "ide-hd,bus=ide.1,serial=TARGET";
    bench.boot_alone(&[("stick", "usb-storage"), ("disk", target)]);
    runs(&bench.boot(&[("disk", target)]));
}
