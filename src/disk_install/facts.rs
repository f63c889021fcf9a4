//! Which disks this host has, what is on them, and why some of them cannot be installed on.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use ironwake_agent::inventory::{disk, sysfs};
use ironwake_agent::work::holders;
use ironwake_api::{ApplianceDisk, ApplianceDisks, ApprovedDisk, BootMedium, Disk, Millis};
use sha2::{Digest as _, Sha256};

use super::order::{FACTS, write_whole};

/// Boot partitions and two versions take 1.2 GB; the rest holds the database, a discovery image, an update that comes in, and
/// one disk image to give to machines.
pub const BYTES_MIN: u64 = 4_000_000_000;
/// Sectors of disks that can be written: GRUB and the image's filesystems count in these.
const SECTOR_BYTES: u32 = 512;
/// Where the initrd makes links to the partitions of the disk that was booted.
const BOOTED: &str = "dev/disk/ironwake";
/// Where the initrd says what was booted, `disk` or `iso`: an ISO may be written to a stick, or be what a BMC shows as a disk.
const MEDIUM: &str = "run/ironwake-medium";
/// What is mounted from the disk that was booted, where those links are not there.
const OWN_MOUNTS: [&str; 2] = ["/", "/var"];
/// Tables of mounts and of swap are some KiB.
const TABLE_BYTES_MAX: u64 = 4 << 20;

/// Digest of a disk's identity and of everything that is known to be on it; its kernel name is not in it, which changes between boots.
pub fn digest(disk: &Disk) -> String {
    let known = ApprovedDisk { name: String::new(), ..ApprovedDisk::from(disk) };
    // Plain types: this cannot fail.
    let text = serde_json::to_vec(&known).unwrap_or_default();
    let hex: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Reads all disks below `root`. Never writes.
pub fn read(root: &Path, now: Millis) -> ApplianceDisks {
    let mut notes = Vec::new();
    let disks = disk::read(root, &mut notes);
    let mounts = mounts(root);
    let booted = booted(root, &disks, &mounts);
    let judge = |disk: Disk| ApplianceDisk {
        digest: digest(&disk),
        refused: refusal(root, &disk, booted.disk.as_deref(), &mounts),
        disk,
    };
    ApplianceDisks {
        read_at: now,
        bytes_min: BYTES_MIN,
        disks: disks.into_iter().map(judge).collect(),
        booted_from: booted,
        notes,
    }
}

/// Puts what was read where the daemon looks for it.
pub fn write(folder: &Path, disks: &ApplianceDisks) -> io::Result<()> {
    write_whole(&folder.join(FACTS), &serde_json::to_vec(disks).map_err(io::Error::other)?)
}

/// A mounted filesystem, or swap.
struct Mount {
    /// `8:1`; of filesystems that span disks it is no disk's.
    numbers: String,
    /// Where it is.
    point: String,
    /// Kernel name of what is mounted, if it is a device.
    device: String,
}

/// What is mounted, for the first process and for this one, and what is swapped to.
fn mounts(root: &Path) -> Vec<Mount> {
    let text = |name: &str| {
        let bytes = sysfs::read_limited(&root.join(name), TABLE_BYTES_MAX).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let name_of = |path: &str| {
        let real = fs::canonicalize(root.join(path.trim_start_matches('/'))).unwrap_or_else(|_| path.into());
        real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let mut found = Vec::new();
    for table in ["proc/1/mountinfo", "proc/self/mountinfo"] {
        for line in text(table).lines() {
            // 36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda1 rw (proc_pid_mountinfo(5))
            let mut fields = line.split(' ');
            let (Some(numbers), Some(point)) = (fields.nth(2), fields.nth(1)) else { continue };
            let source = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').nth(1));
            let device = source.filter(|source| source.starts_with("/dev/")).map(name_of).unwrap_or_default();
            found.push(Mount { numbers: numbers.to_owned(), point: point.to_owned(), device });
        }
    }
    for line in text("proc/swaps").lines().skip(1) {
        let device = name_of(line.split_whitespace().next().unwrap_or_default());
        found.push(Mount { numbers: String::new(), point: "swap".to_owned(), device });
    }
    found
}

/// Kernel names of a disk, its partitions and what stands on them, and their numbers.
struct Family {
    names: HashSet<String>,
    numbers: HashSet<String>,
    holders: Vec<String>,
}

impl Family {
    fn of(root: &Path, disk: &str) -> Self {
        let holders = holders::stack(root, disk);
        let mut family = Self { names: HashSet::new(), numbers: HashSet::new(), holders: holders.clone() };
        for device in std::iter::once(disk.to_owned()).chain(holders) {
            let folder = root.join("sys/block").join(&device);
            let parts =
                sysfs::entries(&folder).into_iter().filter(|(_, path)| path.join("partition").exists());
            for (name, path) in parts.chain([(device, folder.clone())]) {
                family.numbers.extend(sysfs::text(&path.join("dev")));
                family.names.insert(name);
            }
        }
        family
    }

    fn has(&self, mount: &Mount) -> bool {
        self.numbers.contains(&mount.numbers) || self.names.contains(&mount.device)
    }
}

/// What was booted, by the initrd's links, or else by what is mounted.
fn booted(root: &Path, disks: &[Disk], mounts: &[Mount]) -> BootMedium {
    let linked: HashSet<String> = sysfs::entries(&root.join(BOOTED))
        .iter()
        .filter_map(|(_, link)| fs::canonicalize(link).ok())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let families: Vec<(&Disk, Family)> =
        disks.iter().map(|disk| (disk, Family::of(root, &disk.name))).collect();
    let by_link = families.iter().find(|(_, family)| !family.names.is_disjoint(&linked));
    let by_mount = || {
        families.iter().find(|(_, family)| {
            mounts.iter().any(|mount| OWN_MOUNTS.contains(&mount.point.as_str()) && family.has(mount))
        })
    };
    let iso = sysfs::text(&root.join(MEDIUM)).as_deref() == Some("iso");
    if let Some((disk, _)) = by_link.or_else(by_mount) {
        let removable = iso || disk.removable == Some(true) || disk.transport.as_deref() == Some("usb");
        return BootMedium { disk: Some(disk.name.clone()), removable };
    }
    // CDs, and what a BMC shows as one, are no disks.
    let is_cd = |name: &&String| name.starts_with("sr");
    let mounted = mounts.iter().map(|mount| &mount.device);
    let cd = linked.iter().chain(mounted).find(is_cd).cloned();
    BootMedium { removable: iso || cd.is_some(), disk: cd }
}

fn refusal(root: &Path, disk: &Disk, booted: Option<&str>, mounts: &[Mount]) -> Option<String> {
    if booted == Some(disk.name.as_str()) {
        return Some("the appliance runs from it".to_owned());
    }
    if disk.read_only == Some(true) {
        return Some("it is write-protected".to_owned());
    }
    if let Some(other) = disk.sector_bytes.filter(|bytes| *bytes != SECTOR_BYTES) {
        return Some(format!("its sectors have {other} bytes, and the appliance needs {SECTOR_BYTES}"));
    }
    if disk.size_bytes < BYTES_MIN {
        return Some(format!("it is too small: {} bytes, and {BYTES_MIN} are needed", disk.size_bytes));
    }
    let family = Family::of(root, &disk.name);
    if !family.holders.is_empty() {
        return Some(format!("it is in use: held by {}", family.holders.join(", ")));
    }
    let mount = mounts.iter().find(|mount| family.has(mount))?;
    Some(match mount.point.as_str() {
        "swap" => "it is in use: swap is on it".to_owned(),
        point => format!("it is in use: mounted at {point}"),
    })
}
