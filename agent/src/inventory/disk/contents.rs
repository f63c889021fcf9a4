//! What lies on a disk: its partition table's fingerprint, and what each partition holds.

use ironwake_api::{Disk, Partition};

use super::{filesystem, table};

/// Anything that can be read at a place: a disk, or bytes in a test.
pub trait Medium {
    /// Exactly `length` bytes from `offset`, or `None` if they cannot be read.
    fn read_at(&self, offset: u64, length: usize) -> Option<Vec<u8>>;
}

impl Medium for [u8] {
    fn read_at(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let start = usize::try_from(offset).ok()?;
        Some(self.get(start..start.checked_add(length)?)?.to_vec())
    }
}

/// What was found on a disk; it goes into the inventory's [`Disk`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// `gpt` or `dos`.
    pub table: Option<String>,
    /// `sha256:…` of the table.
    pub fingerprint: Option<String>,
    /// What holds the whole disk, where there is no table.
    pub filesystem: Option<String>,
    /// Partitions by number.
    pub partitions: Vec<Partition>,
    /// What looked wrong.
    pub notes: Vec<String>,
}

impl Contents {
    /// Fills in the inventory's disk.
    pub fn fill(self, disk: &mut Disk) {
        disk.table = self.table;
        disk.table_fingerprint = self.fingerprint;
        disk.filesystem = self.filesystem;
        disk.partitions = self.partitions;
    }
}

/// Reads the table and probes each partition, or the whole disk where there is no table.
pub fn read(medium: &(impl Medium + ?Sized), size_bytes: u64, sector_bytes: u32) -> Contents {
    let mut contents = Contents::default();
    let whole = filesystem::probe(medium, 0, size_bytes);
    // A FAT or NTFS boot sector carries the same signature as a DOS table: what it holds decides.
    let boot_sector =
        whole.as_ref().is_some_and(|found| matches!(found.kind.as_str(), "vfat" | "exfat" | "ntfs"));
    match table::find(medium, size_bytes, sector_bytes) {
        Some(found)
            if !(boot_sector
                && found.kind == "dos"
                && found.entries.iter().any(|e| e.end() > size_bytes)) =>
        {
            contents.table = Some(found.kind.to_owned());
            contents.fingerprint = Some(found.fingerprint);
            contents.notes = found.notes;
            for entry in found.entries {
                let held = filesystem::probe(medium, entry.start_bytes, entry.size_bytes).unwrap_or_default();
                contents.partitions.push(Partition {
                    number: entry.number,
                    start_bytes: entry.start_bytes,
                    size_bytes: entry.size_bytes,
                    kind: Some(entry.kind),
                    guid: entry.guid,
                    name: entry.name,
                    filesystem: Some(held.kind).filter(|kind| !kind.is_empty()),
                    label: held.label,
                    uuid: held.uuid,
                });
            }
        }
        _ => contents.filesystem = whole.map(|found| found.kind),
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_disk_filesystem_has_no_table() {
        let mut disk = vec![0; 1 << 20];
        disk[82..90].copy_from_slice(b"FAT32   ");
        disk[11..13].copy_from_slice(&512u16.to_le_bytes());
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk[446..462]
            .copy_from_slice(&[0, 1, 1, 1, 0x83, 1, 1, 1, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
        let contents = read(&disk[..], disk.len() as u64, 512);
        assert_eq!((contents.table, contents.filesystem.as_deref()), (None, Some("vfat")));
        assert_eq!(contents.fingerprint, None);
    }

    #[test]
    fn an_empty_disk_is_empty() {
        assert_eq!(read(&[0u8; 65_536][..], 65_536, 512), Contents::default());
        assert_eq!(read(&[0u8; 0][..], 1 << 30, 512), Contents::default());
    }
}
