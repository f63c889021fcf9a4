//! A machine with the appliance's image on its disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::esp::Esp;
use super::image::{self, Image, cache};
use super::line::{Line, Port};
use super::qmp::Qmp;
use super::report::{Report, said_last};
use crate::lab::{Firmware, LabError, Piped, run, writes};

/// The longest wait for what the probe says next: a boot takes a minute on an idle host, and three on a loaded one. One that fails
/// waits 30 seconds for somebody to read, and then restarts.
const SILENCE_MAX: Duration = Duration::from_secs(280);
/// A switched off machine ends its services within seconds.
const OFF_MAX: Duration = Duration::from_secs(90);
/// How long something takes to come up on the serial port, on a loaded host.
const SAID_MAX: Duration = Duration::from_secs(240);
/// What a mini PC has at least.
const MEMORY_MIB: u32 = 1024;
/// With an ISO, what changes is in memory too.
const ISO_MEMORY_MIB: u32 = 2048;
/// The owner of the keys in the firmware: any identifier.
const KEY_OWNER: &str = "7f4f1b3a-2f6c-4b57-9a43-5b0c3d3e9a11";
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
    /// A CD-ROM drive.
    CdRom,
}

impl Attached {
    fn devices(self) -> &'static [&'static str] {
        match self {
            Self::Usb => &["qemu-xhci", "usb-storage,drive=disk,bootindex=1"],
            Self::Sata => &["ide-hd,drive=disk,bus=ide.0,bootindex=1"],
            Self::Nvme => &["nvme,drive=disk,serial=APPLIANCE,bootindex=1"],
            Self::Virtio => &["virtio-blk-pci,drive=disk,bootindex=1"],
            Self::CdRom => &["ide-cd,drive=disk,bus=ide.0,bootindex=1"],
        }
    }
}

/// The machine, switched off.
pub struct Machine {
    folder: tempfile::TempDir,
    firmware: Firmware,
    attached: Attached,
    /// What changes is in memory too, as with an ISO.
    is_live: bool,
    /// Its writes are recorded.
    recorded: bool,
    /// A stick that is plugged in.
    stick: Option<PathBuf>,
    /// A stick with the same image is plugged in, and is called `twin` in QEMU.
    twin: bool,
    /// Whether its clock goes on while it is off.
    battery: bool,
    /// Who is at the other end of its network cable; else QEMU's own network is.
    wire: Option<PathBuf>,
    /// Credentials that it has beside the probe's.
    given: Vec<(&'static str, &'static str)>,
}

/// One that is switched on; it is off when this is dropped.
pub struct Running {
    /// Somebody at the machine.
    pub qmp: Qmp,
    port: Port,
    probe: Receiver<String>,
    _qemu: Piped,
}

impl Machine {
    /// A machine whose disk of so many MiB begins with the image.
    pub fn flashed(firmware: Firmware, attached: Attached, disk_mib: u64) -> Result<Self, LabError> {
        Self::with(Image::Disk, firmware, attached, Some(disk_mib))
    }

    fn off(folder: tempfile::TempDir, firmware: Firmware, attached: Attached) -> Self {
        Self {
            folder,
            firmware,
            attached,
            is_live: false,
            recorded: false,
            stick: None,
            twin: false,
            battery: true,
            wire: None,
            given: Vec::new(),
        }
    }

    /// A machine with a copy of this disk.
    pub fn with_disk(firmware: Firmware, attached: Attached, disk: &Path) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
        let machine = Self::off(folder, firmware, attached);
        run(Command::new("cp").arg("--sparse=always").arg(disk).arg(machine.disk()))?;
        Ok(machine)
    }

    /// The same, with each write to its virtio disk recorded (`lab::writes`).
    pub fn recorded(self) -> Self {
        assert_eq!(self.attached, Attached::Virtio, "recorded is what virtio-blk writes");
        Self { recorded: true, ..self }
    }

    /// The same, with this stick plugged in; nothing is written to it.
    pub fn with_stick(self, stick: &Path) -> Self {
        Self { stick: Some(stick.into()), ..self }
    }

    /// The same, with a stick that was flashed with the same image.
    pub fn with_twin(self) -> Result<Self, LabError> {
        run(Command::new("cp").arg("--sparse=always").args([self.disk(), self.path("twin")]))?;
        Ok(Self { twin: true, ..self })
    }

    /// The same, with a clock that begins in 2001 at each start.
    pub fn without_battery(self) -> Self {
        Self { battery: false, ..self }
    }

    /// The same, on a cable whose other end is the datagram socket at this path: an Ethernet frame is a datagram.
    pub fn with_wire(self, other_end: &Path) -> Self {
        Self { wire: Some(other_end.into()), ..self }
    }

    /// Where it is to be sent what comes over that cable.
    pub fn wire(&self) -> PathBuf {
        self.path("wire")
    }

    /// The same, with credentials (systemd.system-credentials(7)).
    pub fn with_credentials(self, given: &[(&'static str, &'static str)]) -> Self {
        Self { given: given.to_vec(), ..self }
    }

    /// The file that its disk is.
    pub fn disk(&self) -> PathBuf {
        self.path("disk")
    }

    /// A machine with a copy of an image, and, with Secure Boot, the tests' keys and no others.
    pub fn with(
        image: Image,
        firmware: Firmware,
        attached: Attached,
        disk_mib: Option<u64>,
    ) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
        let machine = Self { is_live: image == Image::Iso, ..Self::off(folder, firmware, attached) };
        let disk = machine.disk();
        run(Command::new("cp").arg("--sparse=always").arg(image.path()?).arg(&disk))?;
        if let Some(mib) = disk_mib {
            machine.resize_disk(mib)?;
        }
        if firmware == Firmware::SecureBoot {
            machine.enter_keys()?;
        }
        Ok(machine)
    }

    /// Makes its disk so large.
    pub fn resize_disk(&self, mib: u64) -> Result<(), LabError> {
        image::resize(&self.disk(), mib)
    }

    /// What is on its EFI system partition.
    pub fn esp(&self) -> Esp {
        Esp::of(&self.path("disk"))
    }

    /// Fills the variables' store with the tests' certificate as PK, KEK and db.
    fn enter_keys(&self) -> Result<(), LabError> {
        let program = cache()?.join("judges/bin/virt-fw-vars");
        let certificate = cache()?.join("appliance/keys/db.crt");
        // As OVMF comes: in setup mode.
        let store = self.path("vars");
        Firmware::Uefi.arguments(&store)?;
        let mut command = Command::new(program);
        command.arg("--inplace").arg(&store).arg("--secure-boot");
        for word in ["--set-pk", "--add-kek", "--add-db"] {
            command.args([word, KEY_OWNER]).arg(&certificate);
        }
        run(&mut command).map(|_| ())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Switches it on, hears what its probe has to say, looks at the screen, and switches it off as its button does.
    pub fn boot(&self) -> Result<Report, LabError> {
        self.boot_and("", |_| Ok(()))
    }

    /// The same; at its end the probe runs a shell script. While it starts, `meanwhile` does what somebody at the machine does.
    pub fn boot_and(
        &self,
        script: &str,
        meanwhile: impl FnOnce(&mut Running) -> Result<(), LabError>,
    ) -> Result<Report, LabError> {
        let mut running = self.start(script)?;
        meanwhile(&mut running)?;
        let mut report = self.report(&running.probe)?;
        self.look(&mut running.qmp, &report)?;
        running.qmp.execute("system_powerdown", serde_json::json!({}))?;
        // QEMU ends with the machine, and its output with it.
        self.ends(&running.probe, OFF_MAX, "switched itself off", &mut report)?;
        Ok(report)
    }

    /// Switches it on and waits until it restarts by itself, which ends QEMU: its start failed, or the script asked for it.
    pub fn boot_until_it_restarts(&self, script: &str) -> Result<Report, LabError> {
        let running = self.start(script)?;
        let mut report = Report::default();
        self.ends(&running.probe, SILENCE_MAX, "restarted", &mut report)?;
        Ok(report)
    }

    /// Switches it on, and pulls the plug when the script says so on the probe's port.
    pub fn boot_until_script_says(&self, script: &str, text: &str) -> Result<(), LabError> {
        let running = self.start(script)?;
        let mut report = Report::default();
        loop {
            match running.probe.recv_timeout(SILENCE_MAX) {
                Ok(line) if line == text => return Ok(()),
                Ok(line) => report.add(&line),
                Err(error) => return Err(self.silent(&format!("said {text:?}"), error, &report)),
            }
        }
    }

    /// Switches it on and waits until its serial port has said something.
    pub fn boot_until_it_says(&self, text: &str) -> Result<(), LabError> {
        self.hears(&mut self.start("")?, text)
    }

    /// Waits until the serial port of a machine that runs has said something; the boot menu stands there too.
    pub fn hears(&self, running: &mut Running, text: &str) -> Result<(), LabError> {
        let heard = running.port.wait(text, SAID_MAX);
        heard.map_err(|error| self.silent(&format!("said {text:?}"), error, &Report::default()))
    }

    fn start(&self, script: &str) -> Result<Running, LabError> {
        let (control, serial) = (Line::listen(&self.path("qmp"))?, Line::listen(&self.path("serial"))?);
        let mut command = self.command(script)?;
        command.arg("-qmp").arg(control.option());
        // The first port is the machine's own, kept in a file too, and the second the probe's.
        let console = self.path("console");
        let device =
            format!("socket,id=console,path={},logfile={}", self.path("serial").display(), console.display());
        command.args(["-chardev", &device, "-serial", "chardev:console", "-serial", "stdio"]);
        let mut qemu = Piped::start("qemu", command, &self.path("qemu.log"))?;
        let probe = qemu.lines();
        let qmp = Qmp::over(control.accept()?).map_err(|error| {
            let said = fs::read_to_string(self.path("qemu.log")).unwrap_or_default();
            LabError::Unexpected { what: format!("QEMU does not run ({error})"), text: said }
        })?;
        let port = Port::read(serial.accept()?);
        Ok(Running { qmp, port, probe, _qemu: qemu })
    }

    fn ends(
        &self,
        lines: &Receiver<String>,
        limit: Duration,
        what: &str,
        report: &mut Report,
    ) -> Result<(), LabError> {
        loop {
            match lines.recv_timeout(limit) {
                Ok(line) => report.add(&line),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(error) => return Err(self.silent(what, error, report)),
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
        let text = format!("{error}\n{report}\n{}", said_last(&self.path("console")));
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

    fn command(&self, script: &str) -> Result<Command, LabError> {
        let memory_mib = if self.is_live { ISO_MEMORY_MIB } else { MEMORY_MIB };
        let mut command = Command::new("qemu-system-x86_64");
        let fixed = "-nodefaults -display none -no-reboot -accel tcg,thread=multi -cpu max -smp 2 \
                     -device virtio-rng-pci -device VGA -device e1000e,netdev=net";
        command.args(fixed.split_whitespace()).args(["-m", &memory_mib.to_string()]);
        let network = match &self.wire {
            None => "user,id=net,restrict=on".to_owned(),
            Some(other_end) => format!(
                "dgram,id=net,local.type=unix,local.path={},remote.type=unix,remote.path={}",
                self.wire().display(),
                other_end.display()
            ),
        };
        command.args(["-netdev", &network]);
        if self.firmware.is_uefi() {
            command.args(self.firmware.arguments(&self.path("vars"))?);
        } else {
            // The lab's BIOS machines have no screen.
            command.args(["-machine", "q35"]);
        }
        let disk = self.path("disk");
        let disk = disk.display();
        let access = if self.attached == Attached::CdRom { ",read-only=on" } else { "" };
        let file = format!("driver=file,node-name=file,cache.no-flush=on,filename={disk}{access}");
        command.args(["-blockdev", &file]);
        if self.recorded {
            let log = writes::path_of(&self.disk());
            File::create(&log).map_err(LabError::io("make the record of writes"))?;
            command.args(["-blockdev", "driver=raw,node-name=raw,file=file"]);
            let log = format!("driver=file,node-name=log,cache.no-flush=on,filename={}", log.display());
            command.args(["-blockdev", &log]);
            command.args([
                "-blockdev",
                "driver=blklogwrites,node-name=disk,file=raw,log=log,log-sector-size=512",
            ]);
        } else {
            command.args(["-blockdev", &format!("driver=raw,node-name=disk,file=file{access}")]);
        }
        for device in self.attached.devices() {
            // Why not merged: lab/disk.rs.
            let merging = if self.recorded { ",request-merging=off" } else { "" };
            command.args(["-device", &format!("{device}{merging}")]);
        }
        if !self.battery {
            command.args(["-rtc", "base=2001-01-01"]);
        }
        if let Some(stick) = &self.stick {
            let file = format!("driver=file,node-name=stick-file,read-only=on,filename={}", stick.display());
            command.args(["-blockdev", &file]);
            command.args(["-blockdev", "driver=raw,node-name=stick,file=stick-file,read-only=on"]);
            command.args(["-device", "qemu-xhci,id=sticks"]);
            command.args(["-device", "usb-storage,bus=sticks.0,drive=stick,removable=on"]);
        }
        if self.twin {
            let file = format!("driver=file,node-name=twin,filename={}", self.path("twin").display());
            command.args(["-blockdev", &file, "-device", "qemu-xhci,id=twins"]);
            command.args(["-device", "usb-storage,bus=twins.0,drive=twin,removable=on,id=twin"]);
        }
        let script = ("probe.do", script);
        let given: Vec<_> = CREDENTIALS
            .iter()
            .chain(&self.given)
            .copied()
            .chain((!script.1.is_empty()).then_some(script))
            .collect();
        image::credentials(&mut command, self.folder.path(), &given)?;
        Ok(command)
    }
}
