//! The wipe guard: reads the disks again and compares. Only it makes an [`ApprovedTarget`], and only that can
//! be opened for writing.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use ironwake_api::{ApprovedDisk, Disk, DiskDifference, Partition};

use crate::inventory::{
    disk::{self, Medium},
    sysfs,
};

/// What is read at both ends of a disk before it may be written: a disk that cannot be read here has no
/// partition table for a wrong reason.
const END_BYTES: u64 = 1 << 20;
/// Logical sectors that the agent can write.
const SECTOR_BYTES: [u32; 2] = [512, 4096];

/// A disk that is as it was approved. Its fields are private, so that there is no other way to one.
#[derive(Debug)]
pub struct ApprovedTarget {
    name: String,
    node: PathBuf,
    size_bytes: u64,
    sector_bytes: u32,
    sequence: Option<u64>,
    partitions: Vec<Partition>,
}

/// Why a disk may not be written. Nothing has been opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not there.
    #[error("no disk of this machine is the approved {0}")]
    Missing(String),
    /// Which one was meant cannot be said.
    #[error("several disks claim to be the approved {approved}: {}", found.join(", "))]
    Ambiguous {
        /// What was approved.
        approved: String,
        /// Kernel names of those that claim it.
        found: Vec<String>,
    },
    /// It is there, and not as it was approved.
    #[error("{name} is not as it was approved: {}", texts(differences))]
    Differs {
        /// Kernel name.
        name: String,
        /// Everything that differs.
        differences: Vec<DiskDifference>,
    },
    /// It cannot be written.
    #[error("{0} is write-protected")]
    ReadOnly(String),
    /// It has sectors of a size that the agent does not know.
    #[error("{name} has sectors of {sector_bytes} bytes; 512 and 4096 can be written")]
    Sectors {
        /// Kernel name.
        name: String,
        /// Their size.
        sector_bytes: u32,
    },
    /// What lies on it cannot be known.
    #[error("{name} cannot be read, so what lies on it is not known: {source}")]
    Unreadable {
        /// Kernel name.
        name: String,
        /// Why.
        source: io::Error,
    },
}

fn texts(differences: &[DiskDifference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl ApprovedTarget {
    /// Kernel name in this boot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its node in `/dev`.
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// Size.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Logical sector: 512 or 4096 bytes.
    pub fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    /// The kernel's number for this very device: another one that takes its name has another.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// The partitions that are on it.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }
}

/// Looks for the approved disk below `root` and reads it again. All that differs is in the refusal.
pub fn check(root: &Path, approved: &ApprovedDisk) -> Result<ApprovedTarget, Refusal> {
    let mut claiming: Vec<Disk> =
        disk::list(root).into_iter().filter(|disk| approved.is_claimed_by(disk)).collect();
    let mut disk = match (claiming.pop(), claiming.is_empty()) {
        (Some(disk), true) => disk,
        (None, _) => return Err(Refusal::Missing(title(approved))),
        (Some(disk), false) => {
            let mut found: Vec<String> = claiming.into_iter().map(|disk| disk.name).collect();
            found.push(disk.name);
            return Err(Refusal::Ambiguous { approved: title(approved), found });
        }
    };
    let node = root.join("dev").join(&disk.name);
    let sector_bytes = disk.sector_bytes.unwrap_or(SECTOR_BYTES[0]);
    read_contents(&node, &mut disk, sector_bytes)
        .map_err(|source| Refusal::Unreadable { name: disk.name.clone(), source })?;
    let differences = approved.differences(&disk);
    if !differences.is_empty() {
        return Err(Refusal::Differs { name: disk.name, differences });
    }
    if disk.read_only == Some(true) {
        return Err(Refusal::ReadOnly(disk.name));
    }
    if !SECTOR_BYTES.contains(&sector_bytes) {
        return Err(Refusal::Sectors { name: disk.name, sector_bytes });
    }
    Ok(ApprovedTarget {
        sequence: sysfs::number(&root.join("sys/block").join(&disk.name).join("diskseq")),
        node,
        size_bytes: disk.size_bytes,
        sector_bytes,
        partitions: disk.partitions,
        name: disk.name,
    })
}

/// All of them, or none: the refusals of all stand in one text.
pub fn check_all(root: &Path, approved: &[ApprovedDisk]) -> Result<Vec<ApprovedTarget>, String> {
    let mut targets: Vec<ApprovedTarget> = Vec::new();
    let mut refusals = Vec::new();
    for disk in approved {
        match check(root, disk) {
            Ok(target) if targets.iter().any(|other| other.name == target.name) => {
                refusals.push(format!("{} was approved twice", target.name));
            }
            Ok(target) => targets.push(target),
            Err(refusal) => refusals.push(refusal.to_string()),
        }
    }
    if refusals.is_empty() { Ok(targets) } else { Err(refusals.join("; ")) }
}

/// The inventory takes a disk that does not answer for an empty one; here that is an error.
fn read_contents(node: &Path, disk: &mut Disk, sector_bytes: u32) -> io::Result<()> {
    let file = File::open(node)?;
    let length = END_BYTES.min(disk.size_bytes);
    for offset in [0, disk.size_bytes - length] {
        if file.read_at(offset, length as usize).is_none() {
            return Err(io::Error::other(format!("{length} bytes at {offset} cannot be read")));
        }
    }
    disk::read_contents(&file, disk.size_bytes, sector_bytes).fill(disk);
    Ok(())
}

/// The disk in a few words.
pub fn title(approved: &ApprovedDisk) -> String {
    let model = approved.model.as_deref().unwrap_or("disk of unknown model");
    let key = match (&approved.serial, &approved.wwn, &approved.path) {
        (Some(serial), _, _) => format!("serial {serial}"),
        (None, Some(wwn), _) => format!("WWN {wwn}"),
        (None, None, Some(path)) => format!("in slot {path}"),
        (None, None, None) => "without serial number".to_owned(),
    };
    format!("{} ({model}, {key})", approved.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::testing::Fixture;

    /// `change` happens to the machine between approval and work.
    #[track_caller]
    fn check_refused(change: impl Fn(&Fixture), expected: &str) {
        let machine = Fixture::new();
        machine.add_disk("sda", Some("S1"), 8 << 20);
        machine.add_disk("sdb", Some("S2"), 8 << 20);
        let approved = machine.approve("sda");
        assert_eq!(super::check(machine.root(), &approved).expect("as approved").name(), "sda");
        change(&machine);
        let refusal = super::check(machine.root(), &approved).expect_err("a refusal").to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }

    #[test]
    fn a_disk_that_is_not_as_approved_is_refused_with_every_difference() {
        check_refused(|machine| machine.remove("sda"), "no disk of this machine is the approved sda");
        check_refused(|machine| machine.set_serial("sda", "S9"), "serial S1");
        check_refused(|machine| machine.set_serial("sdb", "S1"), "several disks claim to be");
        check_refused(
            |machine| machine.resize("sda", 16 << 20),
            "size_bytes: approved 8388608, found 16777216",
        );
        check_refused(
            |machine| machine.write("sda", 0, &crate::work::testing::dos_table()),
            "table_fingerprint: approved none, found sha256:",
        );
        check_refused(
            |machine| {
                machine.resize("sda", 16 << 20);
                machine.write("sda", 0, &crate::work::testing::dos_table());
            },
            "found 16777216",
        );
        check_refused(|machine| machine.set("sda", "ro", "1"), "sda is write-protected");
        check_refused(|machine| machine.set("sda", "queue/logical_block_size", "520"), "520 bytes");
    }

    #[test]
    fn a_disk_that_cannot_be_read_is_not_an_empty_one() {
        check_refused(|machine| machine.truncate_node("sda", 4096), "sda cannot be read");
    }

    #[test]
    fn a_new_name_is_the_same_disk() {
        let machine = Fixture::new();
        machine.add_disk("sda", Some("S1"), 8 << 20);
        let approved = machine.approve("sda");
        machine.remove("sda");
        machine.add_disk("sdc", Some("S1"), 8 << 20);
        assert_eq!(super::check(machine.root(), &approved).expect("the disk").name(), "sdc");
    }

    #[test]
    fn of_several_disks_all_or_none_are_approved() {
        let machine = Fixture::new();
        machine.add_disk("sda", Some("S1"), 8 << 20);
        machine.add_disk("sdb", Some("S2"), 8 << 20);
        let approved = [machine.approve("sda"), machine.approve("sdb")];
        assert_eq!(check_all(machine.root(), &approved).expect("both").len(), 2);
        machine.set("sdb", "ro", "1");
        machine.resize("sda", 4 << 20);
        let refusal = check_all(machine.root(), &approved).expect_err("a refusal");
        assert!(
            refusal.contains("sda is not as") && refusal.contains("; sdb is write-protected"),
            "{refusal}"
        );
        let twice = [approved[1].clone(), approved[1].clone()];
        machine.set("sdb", "ro", "0");
        assert_eq!(check_all(machine.root(), &twice).expect_err("a refusal"), "sdb was approved twice");
    }
}
