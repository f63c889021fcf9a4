//! Disks as sysfs shows them.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ironwake_api::Disk;

use super::contents::{Contents, Medium, read as read_contents};
use crate::inventory::sysfs;

/// Disks of one machine at most: a large storage server with its shelves.
const DISKS_MAX: usize = 1024;
/// A disk that is dying may not answer for minutes; the inventory does not wait for it.
const CONTENTS_WAIT: Duration = Duration::from_secs(10);
/// Sectors of sysfs are of this size whatever the disk's are.
const SYSFS_SECTOR_BYTES: u64 = 512;
/// Whole block devices that are not disks of this machine.
const NOT_DISKS: [&str; 9] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "rbd"];

impl Medium for File {
    fn read_at(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }
}

/// All disks below `root` as the kernel knows them; what lies on them is not looked at.
pub fn list(root: &Path) -> Vec<Disk> {
    sysfs::entries(&root.join("sys/block"))
        .into_iter()
        .filter_map(|(name, folder)| read_disk(root, name, &folder))
        .take(DISKS_MAX)
        .collect()
}

/// Reads all disks below `root`, and what lies on them from `root/dev`. Never writes.
pub fn read(root: &Path, notes: &mut Vec<String>) -> Vec<Disk> {
    let mut disks = list(root);
    let (sender, receiver) = mpsc::channel();
    let mut awaited = 0;
    for (index, disk) in disks.iter().enumerate().filter(|(_, disk)| disk.size_bytes > 0) {
        let (sender, path, size) = (sender.clone(), root.join("dev").join(&disk.name), disk.size_bytes);
        let sector_bytes = disk.sector_bytes.unwrap_or(512);
        awaited += 1;
        // Each disk has its own thread: one that hangs in the kernel cannot be interrupted, only left behind.
        thread::spawn(move || {
            let contents = File::open(&path).map(|file| read_contents(&file, size, sector_bytes));
            let _ = sender.send((index, contents));
        });
    }
    drop(sender);
    let deadline = Instant::now() + CONTENTS_WAIT;
    let mut answered = vec![false; disks.len()];
    for _ in 0..awaited {
        let Ok((index, contents)) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        else {
            break;
        };
        answered[index] = true;
        let name = disks[index].name.clone();
        let contents: Contents = contents.unwrap_or_else(|error| {
            notes.push(format!("{name} could not be read: {error}"));
            Contents::default()
        });
        notes.extend(contents.notes.iter().map(|note| format!("{name}: {note}")));
        contents.fill(&mut disks[index]);
    }
    for (disk, _) in disks.iter().zip(&answered).filter(|(disk, answered)| disk.size_bytes > 0 && !**answered)
    {
        notes.push(format!("{} did not answer within {} s", disk.name, CONTENTS_WAIT.as_secs()));
    }
    disks
}

fn read_disk(root: &Path, name: String, folder: &Path) -> Option<Disk> {
    let is_boot_area = name.starts_with("mmcblk") && (name.contains("boot") || name.ends_with("rpmb"));
    if is_boot_area || NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)) || is_nvme_path(&name) {
        return None;
    }
    let device = folder.join("device");
    let path = device_path(root, folder);
    let size_bytes = sysfs::number(&folder.join("size")).unwrap_or(0).saturating_mul(SYSFS_SECTOR_BYTES);
    let removable = sysfs::flag(&folder.join("removable"));
    // An empty card reader is not a disk.
    if size_bytes == 0 && removable == Some(true) || path.as_deref().is_some_and(|path| path == "virtual") {
        return None;
    }
    let transport = transport(&name, path.as_deref().unwrap_or_default());
    let ata = identify(&device);
    let queue = folder.join("queue");
    Some(Disk {
        model: ata.as_ref().and_then(|ata| ata.model.clone()).or_else(|| model(&device)),
        serial: ata
            .as_ref()
            .and_then(|ata| ata.serial.clone())
            .or_else(|| serial(folder, &device, transport)),
        wwn: wwn(folder, &device),
        size_bytes,
        sector_bytes: number32(&queue.join("logical_block_size")),
        physical_sector_bytes: number32(&queue.join("physical_block_size")),
        rotational: sysfs::flag(&queue.join("rotational")),
        transport: Some(transport.to_owned()),
        firmware: ata.and_then(|ata| ata.firmware).or_else(|| firmware(&device)),
        removable,
        read_only: sysfs::flag(&folder.join("ro")),
        path,
        name,
        ..Disk::default()
    })
}

/// `nvme0c1n1` is one path to a namespace that stands there as `nvme0n1` too.
fn is_nvme_path(name: &str) -> bool {
    name.strip_prefix("nvme").is_some_and(|rest| rest.contains('c'))
}

/// Where the disk hangs, below `/sys/devices`; `virtual` for one that hangs nowhere.
fn device_path(root: &Path, folder: &Path) -> Option<String> {
    let devices = fs::canonicalize(root.join("sys/devices")).ok()?;
    let real = fs::canonicalize(folder).ok()?;
    let below: PathBuf = real.strip_prefix(&devices).ok()?.to_owned();
    let text = below.to_str()?;
    if text.starts_with("virtual/") && !text.contains("nvme-subsystem") {
        return Some("virtual".into());
    }
    // What follows are the kernel's names of this boot.
    let slot =
        ["/block/", "/nvme/"].iter().find_map(|part| text.split_once(part)).map_or(text, |(slot, _)| slot);
    Some(slot.to_owned())
}

fn transport(name: &str, path: &str) -> &'static str {
    const BY_NAME: [(&str, &str); 5] =
        [("nvme", "nvme"), ("mmcblk", "mmc"), ("vd", "virtio"), ("xvd", "xen"), ("pmem", "nvdimm")];
    const BY_PATH: [(&str, &str); 7] = [
        ("/usb", "usb"),
        ("/ata", "sata"),
        ("/end_device-", "sas"),
        ("/rport-", "fc"),
        ("/session", "iscsi"),
        ("vmbus", "vmbus"),
        ("/virtio", "virtio"),
    ];
    let by_name = BY_NAME.iter().find(|(prefix, _)| name.starts_with(prefix));
    let by_path = || BY_PATH.iter().find(|(part, _)| path.contains(part));
    by_name.or_else(by_path).map_or("scsi", |(_, transport)| transport)
}

fn number32(path: &Path) -> Option<u32> {
    sysfs::number(path)?.try_into().ok()
}

struct Identify {
    model: Option<String>,
    serial: Option<String>,
    firmware: Option<String>,
}

/// The ATA IDENTIFY data within VPD page 0x89: SCSI's own fields cut an ATA disk's model to 16 characters.
fn identify(device: &Path) -> Option<Identify> {
    let page = sysfs::read_limited(&device.join("vpd_pg89"), 4096).ok()?;
    let data = page.get(60..572)?;
    Some(Identify {
        serial: ata_text(&data[20..40]),
        firmware: ata_text(&data[46..54]),
        model: ata_text(&data[54..94]),
    })
}

/// ATA swaps each pair of characters.
fn ata_text(bytes: &[u8]) -> Option<String> {
    let swapped: Vec<u8> = bytes.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    sysfs::clean(&swapped)
}

fn model(device: &Path) -> Option<String> {
    let model = sysfs::text(&device.join("model")).or_else(|| sysfs::text(&device.join("name")));
    // A SCSI vendor is a name, a virtio or NVMe one a number.
    let vendor =
        sysfs::text(&device.join("vendor")).filter(|vendor| vendor != "ATA" && !vendor.starts_with("0x"));
    match (vendor, model) {
        (Some(vendor), Some(model)) => Some(format!("{vendor} {model}")),
        (vendor, model) => model.or(vendor),
    }
}

fn serial(folder: &Path, device: &Path, transport: &str) -> Option<String> {
    let page = || {
        let page = sysfs::read_limited(&device.join("vpd_pg80"), 4096).ok()?;
        sysfs::clean(page.get(4..)?)
    };
    let own =
        sysfs::text(&folder.join("serial")).or_else(|| sysfs::text(&device.join("serial"))).or_else(page);
    own.or_else(|| if transport == "usb" { usb_serial(device) } else { None })
}

/// A USB stick has its serial number as a USB device, some folders above the disk.
fn usb_serial(device: &Path) -> Option<String> {
    let real = fs::canonicalize(device).ok()?;
    let usb = real.ancestors().find(|folder| folder.join("idVendor").exists())?;
    sysfs::text(&usb.join("serial"))
}

fn firmware(device: &Path) -> Option<String> {
    ["firmware_rev", "rev", "fwrev"].iter().find_map(|name| sysfs::text(&device.join(name)))
}

/// Only names that are unique in the world: `t10.` repeats the model and may be the same for two disks.
fn wwn(folder: &Path, device: &Path) -> Option<String> {
    let name = sysfs::text(&folder.join("wwid")).or_else(|| sysfs::text(&device.join("wwid")))?;
    let (kind, value) = name.split_once('.')?;
    let named = matches!(kind, "naa" | "eui" | "nvme" | "uuid")
        && value.bytes().any(|byte| !matches!(byte, b'0' | b'-'));
    named.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_told_apart() {
        let ata = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0";
        assert_eq!(transport("sda", ata), "sata");
        assert_eq!(
            transport("sda", "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0"),
            "usb"
        );
        assert_eq!(transport("sda", "pci0000:00/0000:00:03.0/virtio0/host2/target2:0:0/2:0:0:0"), "virtio");
        assert_eq!(
            transport("sdb", "pci0/0000:3b:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0"),
            "sas"
        );
        assert_eq!(transport("nvme0n1", ""), "nvme");
        assert_eq!(transport("sdc", "pci0000:00/0000:00:05.0/host3/target3:0:1/3:0:1:0"), "scsi");
    }

    #[test]
    fn paths_of_multipath_nvme_are_left_out() {
        assert!(is_nvme_path("nvme0c1n1"));
        assert!(!is_nvme_path("nvme0n1"));
        assert!(!is_nvme_path("sdc"));
    }

    #[test]
    fn ata_text_is_swapped_back() {
        assert_eq!(ata_text(b"EQUMH RADDSI K").as_deref(), Some("QEMU HARDDISK"));
    }
}
