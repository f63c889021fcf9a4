//! Where what is copied comes from: the disk that was booted.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ironwake_agent::inventory::sysfs;
use ironwake_api::{ApplianceDisks, Disk};

use super::boot_code::SECTOR;
use super::layout::Span;
use super::perform::InstallError;
use crate::appliance::Version;
use crate::updates::image_version;

/// Links that the initrd makes to partitions of the disk that was booted.
const LINKS: &str = "dev/disk/ironwake";
/// GRUB's parts, where the image has them.
const GRUB: &str = "usr/lib/ironwake/grub";
const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";
/// The core has a partition of 1 MiB.
const CORE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a device or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    pub span: Span,
}

impl Place {
    /// As mtools take it.
    pub fn for_mtools(&self) -> String {
        format!("{}@@{}", self.path.display(), self.span.start)
    }
}

/// What is installed.
#[derive(Debug)]
pub struct Source {
    /// The version that runs.
    pub version: Version,
    /// Its slot.
    pub slot: Place,
    /// The ESP.
    pub esp: Place,
    /// GRUB's first sector and its core; none where the medium has none, as a CD.
    pub grub: Option<(Vec<u8>, Vec<u8>)>,
}

/// Whether the system below `root` is the appliance's image.
pub fn is_appliance(root: &Path) -> bool {
    image_version(root).is_some()
}

impl Source {
    /// Looks for it below `root`.
    pub fn find(root: &Path, disks: &ApplianceDisks) -> Result<Self, InstallError> {
        let missing = |what: String| InstallError::step("find what is to be installed", what);
        let version = image_version(root)
            .ok_or_else(|| missing("/usr/lib/os-release is not of an appliance".into()))?;
        let name = disks.booted_from.disk.as_ref();
        let booted = disks.disks.iter().find(|found| Some(&found.disk.name) == name).map(|found| &found.disk);
        let place = |link: &str, label: &str| {
            let linked = linked(&root.join(LINKS).join(link));
            linked.or_else(|| named(root, booted?, label)).ok_or_else(|| {
                missing(format!(
                    "there is no /{LINKS}/{link}, and no partition {label} on the disk that was booted"
                ))
            })
        };
        let slot = place("root", &format!("ironwake_{version}"))?;
        let esp = place("esp", "ironwake-esp")?;
        let grub = packaged(root).or_else(|| on_disk(root, booted?));
        Ok(Self { version, slot, esp, grub })
    }
}

/// A partition of its own.
fn linked(link: &Path) -> Option<Place> {
    let path = fs::canonicalize(link).ok()?;
    let size = File::open(&path).and_then(|mut file| file.seek(SeekFrom::End(0))).ok()?;
    Some(Place { path, span: Span { start: 0, size } })
}

/// The partition of this name on a disk.
fn named(root: &Path, disk: &Disk, label: &str) -> Option<Place> {
    let partition = disk.partitions.iter().find(|partition| partition.name.as_deref() == Some(label))?;
    let span = Span { start: partition.start_bytes, size: partition.size_bytes };
    Some(Place { path: root.join("dev").join(&disk.name), span })
}

fn packaged(root: &Path) -> Option<(Vec<u8>, Vec<u8>)> {
    let read = |name: &str| sysfs::read_limited(&root.join(GRUB).join(name), CORE_BYTES_MAX).ok();
    Some((read("boot.img")?, read("core.img")?))
}

fn on_disk(root: &Path, disk: &Disk) -> Option<(Vec<u8>, Vec<u8>)> {
    let is_bios_boot =
        |kind: &Option<String>| kind.as_ref().is_some_and(|kind| kind.eq_ignore_ascii_case(BIOS_BOOT));
    let partition = disk.partitions.iter().find(|partition| is_bios_boot(&partition.kind))?;
    let file = File::open(root.join("dev").join(&disk.name)).ok()?;
    let read = |at: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
    };
    Some((read(0, SECTOR)?, read(partition.start_bytes, partition.size_bytes.min(CORE_BYTES_MAX) as usize)?))
}

/// The partition table of a disk that the kernel has no name for, for tests.
#[cfg(test)]
pub fn partitions(path: &Path) -> std::io::Result<Vec<ironwake_agent::inventory::disk::Entry>> {
    let mut file = File::open(path)?;
    let size = file.seek(SeekFrom::End(0))?;
    let table = ironwake_agent::inventory::disk::find_table(&file, size, SECTOR as u32);
    let table = table.ok_or_else(|| std::io::Error::other("no table"))?;
    Ok(table.entries)
}
