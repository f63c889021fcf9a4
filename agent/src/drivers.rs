//! Brings up the hardware: loads modules until no device asks for more and the kernel has gone quiet.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use nix::mount::{MsFlags, mount};

use crate::{
    inventory::{smbios::Facts, sysfs},
    modules::{Index, Loader},
    screen::Screen,
    uevent::Uevents,
};

/// Where the image keeps modules and their index.
const MODULES: &str = "/lib/modules";
/// Devices that appear announce themselves in bursts; this long a pause ends one.
const QUIET: Duration = Duration::from_millis(250);
/// A controller that has shown no disk at all is given this long: links and spindles start slowly.
const DISK_PATIENCE: Duration = Duration::from_secs(3);
/// After this the inventory is read with what there is; what comes later is reported later.
const SETTLE_WAIT: Duration = Duration::from_secs(15);
/// PCI classes of storage controllers begin so.
const STORAGE: &str = "0x01";
/// IDE and SATA controllers: libata has looked at every port by the time its driver is loaded.
const STORAGE_PROMPT: [&str; 2] = ["0x0101", "0x0106"];

/// The image's drivers and the kernel's announcements.
#[derive(Debug)]
pub struct Drivers {
    loader: Loader,
    loaded: usize,
}

impl Drivers {
    /// Reads the image's index; without one the kernel's own drivers have to do.
    pub fn open(screen: &Screen) -> Self {
        let index = fs::read_to_string(Path::new(MODULES).join("index")).map_err(|error| error.to_string());
        let index = index.and_then(|text| Index::parse(&text).map_err(|error| error.to_string()));
        let index = index.unwrap_or_else(|error| {
            screen.say(format!("no modules can be loaded: {error}"));
            Index::default()
        });
        Self { loader: Loader::new(index, Path::new(MODULES)), loaded: 0 }
    }

    /// Loads what devices ask for, until nothing more appears. Gives back what failed.
    pub fn settle(&mut self, uevents: Option<&Uevents>, facts: &Facts) -> Vec<String> {
        let began = Instant::now();
        let mut failed = self.load_asked();
        failed.extend(self.load_unasked(facts));
        let mut last_event = Instant::now();
        while began.elapsed() < SETTLE_WAIT {
            let patience = if lacks_disks() { DISK_PATIENCE } else { QUIET };
            let left = patience.saturating_sub(last_event.elapsed());
            if left.is_zero() {
                break;
            }
            let Some(uevents) = uevents else {
                std::thread::sleep(left);
                continue;
            };
            // In slices: a disk may have come with the last announcement and end the waiting.
            if let Some(event) = uevents.next(left.min(QUIET)) {
                if event.wants_driver {
                    failed.extend(self.load_asked());
                }
                if event.changes_hardware() {
                    last_event = Instant::now();
                }
            }
        }
        failed
    }

    /// How many modules were loaded.
    pub fn loaded(&self) -> usize {
        self.loaded
    }

    /// Loads what devices ask for at this moment.
    pub fn load_asked(&mut self) -> Vec<String> {
        let mut failed = Vec::new();
        while let Some(round) = self.loader.round(Path::new("/")) {
            self.loaded += round.loaded.len();
            failed.extend(round.failed);
        }
        failed
    }

    /// Loads a module that no device asks for. One that is missing shows where it is needed.
    pub fn load_by_name(&mut self, name: &str) {
        self.loaded += self.loader.load_by_name(name).loaded.len();
    }

    /// What no device's modalias names: the user's side of IPMI, and the firmware's variables.
    fn load_unasked(&mut self, facts: &Facts) -> Vec<String> {
        let mut names = Vec::new();
        if let Some((interface, _)) = &facts.bmc {
            names.push(if interface.as_deref() == Some("ssif") { "ipmi_ssif" } else { "ipmi_si" });
        }
        if facts.bmc.is_some() || Path::new("/sys/module/ipmi_msghandler").exists() {
            names.push("ipmi_devintf");
        }
        let efi = Path::new("/sys/firmware/efi");
        if efi.exists() {
            names.push("efivarfs");
        }
        let mut failed = Vec::new();
        for name in names {
            let round = self.loader.load_by_name(name);
            self.loaded += round.loaded.len();
            failed.extend(round.failed);
        }
        if efi.exists() {
            let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            let target = efi.join("efivars");
            // Failing shows as a note: Secure Boot's state is then unknown.
            let _ = mount(Some("efivarfs"), &target, Some("efivarfs"), flags, None::<&str>);
        }
        failed
    }
}

/// Whether there is a storage controller with a driver, but no disk.
fn lacks_disks() -> bool {
    let real_disk = |path: &Path| path.join("device").exists();
    if sysfs::entries(Path::new("/sys/block"))
        .iter()
        .any(|(name, path)| !name.starts_with("sr") && real_disk(path))
    {
        return false;
    }
    sysfs::entries(Path::new("/sys/bus/pci/devices")).iter().any(|(_, path)| {
        let class = sysfs::text(&path.join("class")).unwrap_or_default();
        let is_prompt = STORAGE_PROMPT.iter().any(|prompt| class.starts_with(prompt));
        path.join("driver").exists() && class.starts_with(STORAGE) && !is_prompt
    })
}
