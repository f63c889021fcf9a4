//! A machine with the appliance's image on its disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};

use crate::lab::{Firmware, LabError, Piped, run};
use crate::qmp::Qmp;
use crate::report::Report;

/// The longest wait for what the probe says next: a boot takes a minute on an idle host, and three on a loaded one.
const SILENCE_MAX: Duration = Duration::from_secs(280);
/// A switched off machine ends its services within seconds.
const OFF_MAX: Duration = Duration::from_secs(90);
/// What a mini PC has at least.
const MEMORY_MIB: u32 = 1024;
/// What the screen shows is some hundred characters; an empty one has a cursor.
const LIT_PIXELS_MIN: usize = 2000;
/// systemd takes these as units and as a file for them.
const CREDENTIALS: &[(&str, &str)] = &[
    ("systemd.extra-unit.probe.service", include_str!("probe.service")),
    ("systemd.unit-dropin.multi-user.target", "[Unit]\nWants=probe.service\n"),
    ("probe.sh", include_str!("probe.sh")),
];

/// How the disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// A stick.
    Usb,
    /// On AHCI.
    Sata,
    /// NVMe.
    Nvme,
    /// virtio-blk.
    Virtio,
}

impl Attached {
    fn devices(self) -> &'static [&'static str] {
        match self {
            Self::Usb => &["qemu-xhci", "usb-storage,drive=disk,bootindex=1"],
            Self::Sata => &["ide-hd,drive=disk,bus=ide.0,bootindex=1"],
            Self::Nvme => &["nvme,drive=disk,serial=APPLIANCE,bootindex=1"],
            Self::Virtio => &["virtio-blk-pci,drive=disk,bootindex=1"],
        }
    }
}

/// The machine, switched off.
pub struct Machine {
    folder: tempfile::TempDir,
    firmware: Firmware,
    attached: Attached,
}

impl Machine {
    /// A machine whose disk of so many MiB begins with the image.
    pub fn flashed(firmware: Firmware, attached: Attached, disk_mib: u64) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
        let machine = Self { folder, firmware, attached };
        let disk = machine.path("disk");
        run(Command::new("cp").arg("--sparse=always").arg(image()?).arg(&disk))?;
        let file = File::options().write(true).open(&disk).map_err(LabError::io("open the disk"))?;
        file.set_len(disk_mib << 20).map_err(LabError::io("make the disk as large as it is"))?;
        Ok(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Switches it on, hears what its probe has to say, looks at the screen, and switches it off as its button does.
    pub fn boot(&self) -> Result<Report, LabError> {
        let socket = self.path("qmp");
        let mut qemu = Piped::start("qemu", self.command(&socket)?, &self.path("qemu.log"))?;
        let lines = qemu.lines();
        let report = self.report(&lines)?;
        let mut qmp = Qmp::connect(&socket)?;
        self.look(&mut qmp, &report)?;
        qmp.execute("system_powerdown", serde_json::json!({}))?;
        // QEMU ends with the machine, and its output with it.
        loop {
            match lines.recv_timeout(OFF_MAX) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(report),
                Err(error) => return Err(self.silent("switched itself off", error, &report)),
            }
        }
    }

    fn report(&self, lines: &Receiver<String>) -> Result<Report, LabError> {
        let mut report = Report::default();
        loop {
            match lines.recv_timeout(SILENCE_MAX) {
                Ok(line) if line == "end" => return Ok(report),
                Ok(line) => report.add(&line),
                Err(error) => return Err(self.silent("said more", error, &report)),
            }
        }
    }

    fn silent(&self, what: &str, error: impl std::fmt::Display, report: &Report) -> LabError {
        let console = fs::read(self.path("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = console.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        let text = format!("{error}\n{report}\nits serial port:\n{tail}");
        LabError::Unexpected { what: format!("the appliance has not {what}"), text }
    }

    /// The picture of the screen: the console stands on it.
    fn look(&self, qmp: &mut Qmp, report: &Report) -> Result<(), LabError> {
        let picture = self.path("screen.ppm");
        qmp.execute("screendump", serde_json::json!({ "filename": picture }))?;
        let bytes = fs::read(&picture).map_err(LabError::io("read the picture of the screen"))?;
        if let Some(keep) = std::env::var_os("IRONWAKE_LAB_KEEP") {
            let place = Path::new(&keep).join("appliance.png");
            qmp.execute("screendump", serde_json::json!({ "filename": place, "format": "png" }))?;
        }
        // A header of three lines, then three bytes for each pixel (netpbm's P6).
        let pixels = bytes.splitn(4, |byte| *byte == b'\n').nth(3).unwrap_or_default();
        let lit = pixels.chunks_exact(3).filter(|pixel| pixel.iter().any(|part| *part > 64)).count();
        if lit < LIT_PIXELS_MIN {
            let text = format!("{lit} pixels are lit\n{report}");
            return Err(LabError::Unexpected { what: "the screen is black".into(), text });
        }
        Ok(())
    }

    fn command(&self, socket: &Path) -> Result<Command, LabError> {
        let mut command = Command::new("qemu-system-x86_64");
        let fixed = "-nodefaults -display none -no-reboot -accel tcg,thread=multi -cpu max -smp 2 \
                     -device virtio-rng-pci -device VGA -netdev user,id=net,restrict=on -device e1000e,netdev=net";
        command.args(fixed.split_whitespace()).args(["-m", &MEMORY_MIB.to_string()]);
        if self.firmware.is_uefi() {
            command.args(self.firmware.arguments(&self.path("vars"))?);
        } else {
            // The lab's BIOS machines have no screen.
            command.args(["-machine", "q35"]);
        }
        // The second port is the probe's.
        command
            .arg("-serial")
            .arg(format!("file:{}", self.path("console").display()))
            .args(["-serial", "stdio"]);
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", socket.display()));
        let disk = self.path("disk");
        let disk = disk.display();
        command.args(["-blockdev", &format!("driver=file,node-name=file,cache.no-flush=on,filename={disk}")]);
        command.args(["-blockdev", "driver=raw,node-name=disk,file=file"]);
        for device in self.attached.devices() {
            command.args(["-device", device]);
        }
        for (number, (name, text)) in CREDENTIALS.iter().enumerate() {
            let path = self.path(&format!("credential{number}"));
            let encoded = Base64::encode_string(text.as_bytes());
            fs::write(&path, format!("io.systemd.credential.binary:{name}={encoded}"))
                .map_err(LabError::io("write what SMBIOS has"))?;
            command.arg("-smbios").arg(format!("type=11,path={}", path.display()));
        }
        Ok(command)
    }
}

/// The image that `./dev` made.
fn image() -> Result<PathBuf, LabError> {
    let place = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = place("IRONWAKE_CACHE").or_else(|| Some(place("HOME")?.join(".cache/ironwake")));
    let path =
        place("IRONWAKE_APPLIANCE").or_else(|| Some(cache?.join("appliance/test.img"))).expect("a HOME");
    if path.is_file() {
        return Ok(path);
    }
    Err(LabError::Missing {
        what: "the appliance's image".into(),
        tried: vec![path],
        remedy: "./dev test makes it",
    })
}
