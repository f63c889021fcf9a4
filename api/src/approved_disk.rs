//! The wipe guard's half of the contract: a disk as it was when it was approved, and whether the disk that is there is that one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::disk_contents::{holders, partitions};
use crate::{ApprovedPartition, Disk, DiskHolder};

/// A disk that an operation may write, as the inventory knew it when it was approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovedDisk {
    /// Kernel name at that time, for people; it may change between boots.
    pub name: String,
    /// Model, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// World-wide name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Path below `/sys/devices`: which slot it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Digest of its partition table; absent where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_fingerprint: Option<String>,
    /// Whether an operation has begun to write it and did not come to its end: no table at all is no difference then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// Its partition table, `gpt` or `dos`; absent where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// What holds the whole disk where there is no table: a filesystem, `LVM2_member`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<String>,
    /// Its partitions in order of number: what will be destroyed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<ApprovedPartition>,
    /// What the disk, or a partition of it, is a part of: other disks may be of no use without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<DiskHolder>,
}

/// In what a disk differs from the approved one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDifference {
    /// The field.
    pub field: &'static str,
    /// What was approved.
    pub approved: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for DiskDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: approved {}, found {}", self.field, self.approved, self.found)
    }
}

impl From<&Disk> for ApprovedDisk {
    fn from(disk: &Disk) -> Self {
        Self {
            name: disk.name.clone(),
            model: disk.model.clone(),
            serial: disk.serial.clone(),
            wwn: disk.wwn.clone(),
            path: disk.path.clone(),
            size_bytes: disk.size_bytes,
            table_fingerprint: disk.table_fingerprint.clone(),
            begun: false,
            table: disk.table.clone(),
            filesystem: disk.filesystem.clone(),
            partitions: partitions(disk),
            holders: holders(disk),
        }
    }
}

impl ApprovedDisk {
    /// Whether `disk` claims to be this one: by serial number and world-wide name, or, where it has neither,
    /// by the slot it is in. That it may be written is another question: [`ApprovedDisk::differences`].
    pub fn is_claimed_by(&self, disk: &Disk) -> bool {
        match (&self.serial, &self.wwn) {
            (None, None) => disk.serial.is_none() && disk.wwn.is_none() && self.path == disk.path,
            (serial, wwn) => {
                let same = |ours: &Option<String>, theirs: &Option<String>| ours.is_some() && ours == theirs;
                same(serial, &disk.serial) || same(wwn, &disk.wwn)
            }
        }
    }

    /// Everything in which `disk` is not what was approved; it may be written only if this is empty.
    pub fn differences(&self, disk: &Disk) -> Vec<DiskDifference> {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        let texts = [
            ("serial", &self.serial, &disk.serial),
            ("wwn", &self.wwn, &disk.wwn),
            ("table_fingerprint", &self.table_fingerprint, &disk.table_fingerprint),
        ];
        let mut differences: Vec<DiskDifference> = texts
            .into_iter()
            .filter(|(field, approved, found)| {
                let undone = self.begun && *field == "table_fingerprint" && found.is_none();
                approved != found && !undone
            })
            .map(|(field, approved, found)| DiskDifference {
                field,
                approved: show(approved),
                found: show(found),
            })
            .collect();
        if self.size_bytes != disk.size_bytes {
            differences.push(DiskDifference {
                field: "size_bytes",
                approved: self.size_bytes.to_string(),
                found: disk.size_bytes.to_string(),
            });
        }
        // Without a serial number the slot is all that tells two disks of one size apart.
        if self.serial.is_none() && self.wwn.is_none() && self.path != disk.path {
            differences.push(DiskDifference {
                field: "path",
                approved: show(&self.path),
                found: show(&disk.path),
            });
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Disk {
        Disk {
            name: "sda".into(),
            serial: Some("S1".into()),
            wwn: Some("naa.5000".into()),
            path: Some("pci0000:00/ata1".into()),
            size_bytes: 1000,
            table_fingerprint: Some("sha256:aa".into()),
            ..Disk::default()
        }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Disk), fields: &[&str]) {
        let approved = ApprovedDisk::from(&disk());
        let mut found = disk();
        change(&mut found);
        let differing: Vec<_> =
            approved.differences(&found).iter().map(|difference| difference.field).collect();
        assert_eq!(differing, fields);
    }

    #[test]
    fn every_field_of_the_guard_counts_and_nothing_else() {
        check(|_| {}, &[]);
        check(|disk| disk.serial = Some("S2".into()), &["serial"]);
        check(|disk| disk.serial = None, &["serial"]);
        check(|disk| disk.wwn = None, &["wwn"]);
        check(|disk| disk.size_bytes += 512, &["size_bytes"]);
        check(|disk| disk.table_fingerprint = None, &["table_fingerprint"]);
        check(|disk| disk.table_fingerprint = Some("sha256:bb".into()), &["table_fingerprint"]);
        check(|disk| (disk.name, disk.path) = ("sdb".into(), None), &[]);
    }

    #[test]
    fn a_disk_that_was_begun_may_have_no_table_any_more() {
        let approved = ApprovedDisk { begun: true, ..ApprovedDisk::from(&disk()) };
        assert_eq!(approved.differences(&disk()), []);
        assert_eq!(approved.differences(&Disk { table_fingerprint: None, ..disk() }), []);
        let other = Disk { table_fingerprint: Some("sha256:bb".into()), ..disk() };
        assert_eq!(approved.differences(&other).len(), 1, "a table that nobody approved");
        let swapped = Disk { table_fingerprint: None, serial: Some("S2".into()), ..disk() };
        assert_eq!(approved.differences(&swapped)[0].field, "serial");
    }

    #[test]
    fn without_serial_and_wwn_the_slot_tells_disks_apart() {
        let bare = Disk { serial: None, wwn: None, ..disk() };
        let approved = ApprovedDisk::from(&bare);
        let other = Disk { path: Some("pci0000:00/ata2".into()), ..bare.clone() };
        assert!(approved.is_claimed_by(&bare) && !approved.is_claimed_by(&other));
        assert_eq!(approved.differences(&other).len(), 1);
        assert!(!approved.is_claimed_by(&disk()), "a disk with a serial number is not one without");
    }

    #[test]
    fn one_matching_name_is_a_claim_that_the_guard_then_refuses() {
        let swapped = Disk { wwn: Some("naa.6000".into()), ..disk() };
        let approved = ApprovedDisk::from(&disk());
        assert!(approved.is_claimed_by(&swapped));
        assert_eq!(approved.differences(&swapped)[0].field, "wwn");
    }
}
