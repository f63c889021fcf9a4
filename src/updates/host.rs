//! What runs here: an appliance of some version, or an ordinary host; and the disk that it was booted from.

use std::fs;
use std::path::{Path, PathBuf};

use ironwake_api::{ApplianceBoot, ApplianceMedium, ApplianceSlot};

use crate::appliance::Version;

/// What the names of root slots begin with.
const SLOT: &str = "ironwake_";
/// The name of a slot that nothing is in.
const EMPTY: &str = "_empty";
/// What udev knows of devices, by their numbers (udev(7)).
const UDEV: &str = "run/udev/data";
/// How parts of a device's path tell what it is connected by.
const BUSES: &[(&str, &str)] =
    &[("/usb", "usb"), ("/nvme", "nvme"), ("/virtio", "virtio"), ("/ata", "sata"), ("/mmc", "mmc")];

/// The version of the appliance that runs; `None` on a host that is no appliance.
pub fn image_version(root: &Path) -> Option<Version> {
    let text = fs::read_to_string(root.join("usr/lib/os-release")).ok()?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim().trim_matches(['"', '\'']))
    };
    (value("IMAGE_ID") == Some("ironwake")).then(|| value("IMAGE_VERSION")?.parse().ok())?
}

/// The disk that was booted, and its root slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Booted {
    /// Which disk; `None` where /var is on none, as with a CD.
    pub disk: Option<ApplianceBoot>,
    /// Its slots.
    pub slots: Vec<ApplianceSlot>,
}

/// Looks at the disk that has /var, by what the kernel says of it.
pub fn booted(root: &Path) -> Booted {
    let Some(running) = image_version(root) else { return Booted::default() };
    let Some(partition) = device_of_var(root) else {
        let iso = ApplianceBoot { disk: None, bus: None, removable: true, medium: ApplianceMedium::Iso };
        return Booted { disk: Some(iso), slots: Vec::new() };
    };
    let Some(disk) = partition.parent().filter(|_| partition.join("partition").exists()) else {
        return Booted::default();
    };
    let path = disk.to_string_lossy();
    let bus = BUSES.iter().find(|(part, _)| path.contains(part)).map(|(_, bus)| (*bus).to_owned());
    let removable = fs::read_to_string(disk.join("removable")).is_ok_and(|text| text.trim() == "1");
    let boot = ApplianceBoot {
        disk: disk.file_name().map(|name| name.to_string_lossy().into_owned()),
        removable: removable || bus.as_deref() == Some("usb"),
        bus,
        medium: ApplianceMedium::Disk,
    };
    Booted { disk: Some(boot), slots: slots(root, disk, &running) }
}

/// Root slots of a disk, by their place on it.
fn slots(root: &Path, disk: &Path, running: &Version) -> Vec<ApplianceSlot> {
    let Ok(entries) = fs::read_dir(disk) else { return Vec::new() };
    let mut found: Vec<(u32, ApplianceSlot)> = entries
        .flatten()
        .filter_map(|entry| {
            let number = fs::read_to_string(entry.path().join("partition")).ok()?.trim().parse().ok()?;
            let label = label(root, &entry.path())?;
            let version = label.strip_prefix(SLOT).and_then(|version| version.parse::<Version>().ok());
            if version.is_none() && label != EMPTY {
                return None;
            }
            let running = version.as_ref() == Some(running);
            let device = entry.file_name().to_string_lossy().into_owned();
            Some((
                number,
                ApplianceSlot { device, version: version.map(|version| version.to_string()), running },
            ))
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, slot)| slot).collect()
}

/// A partition's name, as the kernel read it; of one that was added to a table in use, as at the first boot, only udev has read it.
pub(super) fn label(root: &Path, partition: &Path) -> Option<String> {
    let kernel = fs::read_to_string(partition.join("uevent")).ok()?;
    let value = |name: &str| kernel.lines().find_map(|line| line.strip_prefix(name));
    if let Some(name) = value("PARTNAME=") {
        return Some(name.to_owned());
    }
    let known = root.join(UDEV).join(format!("b{}:{}", value("MAJOR=")?, value("MINOR=")?));
    let udev = fs::read_to_string(known).ok()?;
    udev.lines().find_map(|line| line.strip_prefix("E:ID_PART_ENTRY_NAME=")).map(str::to_owned)
}

/// The kernel's folder of the device that /var is on; none where that has none.
fn device_of_var(root: &Path) -> Option<PathBuf> {
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    // proc_pid_mountinfo(5): the third field is the device, the fifth the place. What was mounted last counts.
    let device = mounts.lines().rev().find_map(|line| {
        let mut fields = line.split(' ');
        let device = fields.nth(2)?;
        (fields.nth(1)? == "/var").then(|| device.to_owned())
    })?;
    device_folder(root, &device)
}

/// The kernel's folder of a device by its numbers, `8:1`.
pub(super) fn device_folder(root: &Path, device: &str) -> Option<PathBuf> {
    fs::canonicalize(root.join("sys/dev/block").join(device)).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn put(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn an_appliance_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let release = folder.path().join("usr/lib/os-release");
        put(release.clone(), "ID=debian\nIMAGE_ID=ironwake\nIMAGE_VERSION=\"0.2.0\"\n");
        assert_eq!(image_version(folder.path()).map(|version| version.to_string()).as_deref(), Some("0.2.0"));
        put(release, "ID=debian\nVERSION_ID=13\n");
        assert_eq!(image_version(folder.path()), None);
    }

    #[test]
    fn the_disk_that_was_booted_is_that_of_var() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        put(root.join("usr/lib/os-release"), "IMAGE_ID=ironwake\nIMAGE_VERSION=0.1.0\n");
        put(
            root.join("proc/self/mountinfo"),
            "22 1 254:1 / / ro - squashfs x ro\n30 22 8:5 / /var rw - ext4 /dev/sda5 rw\n",
        );
        let disk = root.join("sys/devices/pci0/usb1/host2/block/sda");
        for (number, name) in [(1, "bios-boot"), (3, "ironwake_0.1.0"), (4, "_empty"), (5, "ironwake-var")] {
            put(disk.join(format!("sda{number}/partition")), &format!("{number}\n"));
            let mut told = format!("MAJOR=8\nMINOR={number}\nPARTN={number}\n");
            // It was added while the disk was in use.
            match name {
                "_empty" => put(root.join("run/udev/data/b8:4"), "I:7\nE:ID_PART_ENTRY_NAME=_empty\n"),
                name => told.push_str(&format!("PARTNAME={name}\n")),
            }
            put(disk.join(format!("sda{number}/uevent")), &told);
        }
        put(disk.join("removable"), "0\n");
        fs::create_dir_all(root.join("sys/dev/block")).expect("made");
        symlink(disk.join("sda5"), root.join("sys/dev/block/8:5")).expect("a link");
        let found = booted(root);
        let boot = found.disk.expect("a disk");
        assert_eq!(
            (boot.disk.as_deref(), boot.bus.as_deref(), boot.removable),
            (Some("sda"), Some("usb"), true)
        );
        let slots: Vec<_> = found
            .slots
            .iter()
            .map(|slot| (slot.device.as_str(), slot.version.as_deref(), slot.running))
            .collect();
        assert_eq!(slots, [("sda3", Some("0.1.0"), true), ("sda4", None, false)]);
    }
}
