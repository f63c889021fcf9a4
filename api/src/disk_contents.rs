//! What is on a disk that may be overwritten, as fields.

use serde::{Deserialize, Serialize};

use crate::{ApprovedDisk, Disk, Partition, human};

/// A partition of an approved disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovedPartition {
    /// Number, from 1.
    pub number: u32,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Type as the table has it: a GUID (GPT), or such as `0x83` (DOS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What that type is called, where it is a common one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_name: Option<String>,
    /// The filesystem's label, or the partition's name where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Filesystem or what else is on it: `ext4`, `vfat`, `LVM2_member`, ...; absent where nothing that is known is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<String>,
    /// What it is a part of, if it holds no filesystem of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<DiskHolder>,
}

/// What takes disks or partitions as parts of something larger, or hides what is on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DiskHolder {
    /// A volume group of LVM.
    Lvm,
    /// An array of Linux software RAID.
    Md,
    /// A pool of ZFS.
    Zfs,
    /// An encrypted volume (LUKS).
    Luks,
}

impl DiskHolder {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lvm => "LVM",
            Self::Md => "software RAID",
            Self::Zfs => "ZFS",
            Self::Luks => "LUKS",
        }
    }

    /// By the name that what is found on a disk or partition has.
    fn of(filesystem: &Option<String>) -> Option<Self> {
        match filesystem.as_deref()? {
            "LVM2_member" => Some(Self::Lvm),
            "linux_raid_member" => Some(Self::Md),
            "zfs_member" => Some(Self::Zfs),
            "crypto_LUKS" => Some(Self::Luks),
            _ => None,
        }
    }
}

impl ApprovedDisk {
    /// What is on it, for people: a line for each partition, such as `2: ext4 "root", 400 GiB`; none where nothing is known.
    pub fn told(&self) -> Vec<String> {
        if self.partitions.is_empty() {
            return self.filesystem.iter().map(|filesystem| format!("whole disk: {filesystem}")).collect();
        }
        let line = |partition: &ApprovedPartition| {
            let ApprovedPartition { number, filesystem, kind_name, label, size_bytes, .. } = partition;
            let what = filesystem.as_deref().or(kind_name.as_deref()).unwrap_or("unknown");
            let label = label.as_ref().map(|label| format!(" {label:?}")).unwrap_or_default();
            format!("{number}: {what}{label}, {}", human::size(*size_bytes))
        };
        self.partitions.iter().map(line).collect()
    }
}

/// Common types of partitions (UEFI specification, and the Discoverable Partitions Specification; for DOS tables, what
/// fdisk calls them).
const KINDS: &[(&str, &str)] = &[
    ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI system"),
    ("21686148-6449-6e6f-744e-656564454649", "BIOS boot"),
    ("0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem"),
    ("4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)"),
    ("b921b045-1df0-41c3-af44-4c6f280d3fae", "Linux root (ARM64)"),
    ("933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux home"),
    ("3b8f8425-20e0-4f3b-907f-1a25a76f98e8", "Linux server data"),
    ("bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux extended boot"),
    ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap"),
    ("e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM"),
    ("a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID"),
    ("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Microsoft basic data"),
    ("e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved"),
    ("de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery"),
    ("6a898cc3-1dd2-11b2-99a6-080020736631", "ZFS"),
    ("0x05", "extended"),
    ("0x07", "NTFS or exFAT"),
    ("0x0b", "FAT32"),
    ("0x0c", "FAT32"),
    ("0x0f", "extended"),
    ("0x82", "Linux swap"),
    ("0x83", "Linux"),
    ("0x8e", "Linux LVM"),
    ("0xee", "protective MBR"),
    ("0xef", "EFI system"),
    ("0xfd", "Linux RAID"),
];

/// The partitions of a disk.
pub(crate) fn partitions(disk: &Disk) -> Vec<ApprovedPartition> {
    disk.partitions.iter().map(partition).collect()
}

fn partition(partition: &Partition) -> ApprovedPartition {
    let named = |kind: &String| {
        let found = KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind));
        found.map(|(_, name)| (*name).to_owned())
    };
    ApprovedPartition {
        number: partition.number,
        size_bytes: partition.size_bytes,
        kind: partition.kind.clone(),
        kind_name: partition.kind.as_ref().and_then(named),
        label: partition.label.clone().or(partition.name.clone()),
        filesystem: partition.filesystem.clone(),
        holder: DiskHolder::of(&partition.filesystem),
    }
}

/// Whatever takes the disk or a partition of it as a part, each once.
pub(crate) fn holders(disk: &Disk) -> Vec<DiskHolder> {
    let partitions = disk.partitions.iter().map(|partition| &partition.filesystem);
    let mut holders: Vec<_> = partitions.chain([&disk.filesystem]).filter_map(DiskHolder::of).collect();
    holders.sort();
    holders.dedup();
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_a_disk_is_told_by_fields() {
        let part = |number, kind: &str, filesystem: Option<&str>, label: Option<&str>| Partition {
            number,
            size_bytes: 1 << 20,
            kind: Some(kind.into()),
            name: Some(format!("part{number}")),
            filesystem: filesystem.map(Into::into),
            label: label.map(Into::into),
            ..Partition::default()
        };
        let disk = Disk {
            name: "sda".into(),
            table: Some("gpt".into()),
            partitions: vec![
                part(1, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", Some("vfat"), Some("EFI")),
                part(2, "e6d6d379-f507-44c2-a23c-238f2a3df928", Some("LVM2_member"), None),
                part(3, "0x01", Some("LVM2_member"), None),
                part(4, "0x82", None, None),
                part(5, "0x01", None, None),
            ],
            ..Disk::default()
        };
        let approved = ApprovedDisk::from(&disk);
        assert_eq!((approved.table.as_deref(), &approved.filesystem), (Some("gpt"), &None));
        let told: Vec<_> = approved
            .partitions
            .iter()
            .map(|part| (part.number, part.kind_name.as_deref(), part.label.as_deref(), part.holder))
            .collect();
        let lvm = Some(DiskHolder::Lvm);
        assert_eq!(
            told,
            [
                (1, Some("EFI system"), Some("EFI"), None),
                (2, Some("Linux LVM"), Some("part2"), lvm),
                (3, None, Some("part3"), lvm),
                (4, Some("Linux swap"), Some("part4"), None),
                (5, None, Some("part5"), None)
            ]
        );
        let lines = [
            "1: vfat \"EFI\", 1 MiB",
            "2: LVM2_member \"part2\", 1 MiB",
            "3: LVM2_member \"part3\", 1 MiB",
            "4: Linux swap \"part4\", 1 MiB",
            "5: unknown \"part5\", 1 MiB",
        ];
        assert_eq!(approved.told(), lines);
        assert_eq!(approved.holders, [DiskHolder::Lvm]);
        let whole = Disk { filesystem: Some("zfs_member".into()), ..Disk::default() };
        let approved = ApprovedDisk::from(&whole);
        assert_eq!(
            (approved.told(), ApprovedDisk::default().told()),
            (vec!["whole disk: zfs_member".into()], vec![])
        );
        assert_eq!((approved.holders, approved.partitions), (vec![DiskHolder::Zfs], vec![]));
    }
}
