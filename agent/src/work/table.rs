//! The partition table of an image that is written to a larger disk: GPT (UEFI 2.10, chapter 5) and DOS.
//!
//! It is changed in memory, before it is on the disk: there is no moment at which the disk holds half of it.

use crate::inventory::disk::{Gpt, crc32, dos_entries, is_extended, number, read_gpt};

/// Partitions begin and end at multiples of this, as every partitioning tool does it.
const ALIGNMENT_BYTES: u64 = 1 << 20;
/// A DOS table counts sectors in 32 bits.
const DOS_SECTORS_MAX: u64 = u32::MAX as u64;
const DOS_ENTRIES_AT: usize = 446;
const DOS_ENTRY_BYTES: usize = 16;
const PROTECTIVE: u8 = 0xee;
const SIGNATURE: &[u8] = b"EFI PART";

/// Why the image's table cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TableError {
    /// It counts sectors of another size.
    #[error(
        "the image is made for disks with sectors of {image} bytes, this disk has sectors of {disk} bytes"
    )]
    Sectors {
        /// The image's.
        image: u32,
        /// The disk's.
        disk: u32,
    },
    /// Its checksums are wrong, or it lies where no tool puts it.
    #[error("the image's GPT is damaged: its header or its entries do not fit their checksums")]
    Damaged,
    /// It has partitions beyond the disk's end.
    #[error("the image's partitions reach to byte {end}, the disk has {disk_bytes}")]
    BeyondDisk {
        /// Where the last one ends.
        end: u64,
        /// Size of the disk.
        disk_bytes: u64,
    },
}

/// What growing did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Grown {
    /// The partition that became larger: its number and its size in bytes.
    pub partition: Option<(u32, u64)>,
    /// Where the second copy of a GPT goes, and its bytes: entries, then header.
    pub backup: Option<(u64, Vec<u8>)>,
    /// Why nothing became larger.
    pub note: Option<&'static str>,
}

/// A GPT is found only where its sectors are of the disk's size. `first` is the image's beginning.
pub fn check_sectors(first: &[u8], sector_bytes: u32) -> Result<(), TableError> {
    let has = |at: u32| first.get(at as usize..).is_some_and(|bytes| bytes.starts_with(SIGNATURE));
    let other = if sector_bytes == 512 { 4096 } else { 512 };
    if has(other) && !has(sector_bytes) {
        return Err(TableError::Sectors { image: other, disk: sector_bytes });
    }
    Ok(())
}

/// Makes the last partition reach the disk's end, in the image's first bytes.
pub fn grow(first: &mut [u8], disk_bytes: u64, sector_bytes: u32) -> Result<Grown, TableError> {
    let sector = u64::from(sector_bytes);
    if first.get(sector as usize..).is_some_and(|bytes| bytes.starts_with(SIGNATURE)) {
        let gpt = read_gpt(&*first, 1, sector).ok_or(TableError::Damaged)?;
        return grow_gpt(first, gpt, disk_bytes / sector, sector);
    }
    let Some(entries) = first.get(..512).and_then(dos_entries) else {
        return Ok(Grown { note: Some("the image has no partition table"), ..Grown::default() });
    };
    let used = (1..).zip(&entries).filter(|(_, entry)| entry.kind != 0 && entry.sectors != 0);
    let Some((index, last)) = used.max_by_key(|(_, entry)| entry.start + entry.sectors) else {
        return Ok(Grown { note: Some("the image's partition table is empty"), ..Grown::default() });
    };
    if is_extended(last.kind) {
        let note = Some("the image's last partition is a logical one, which is left as it is");
        return Ok(Grown { note, ..Grown::default() });
    }
    let end = (disk_bytes / ALIGNMENT_BYTES * ALIGNMENT_BYTES / sector).min(last.start + DOS_SECTORS_MAX);
    if end <= last.start + last.sectors {
        return Ok(Grown { note: Some("the last partition fills the disk already"), ..Grown::default() });
    }
    let sectors = end - last.start;
    let at = DOS_ENTRIES_AT + (index - 1) * DOS_ENTRY_BYTES + 12;
    // The fields of cylinders, heads and sectors stay: nothing has read them for decades.
    first[at..at + 4].copy_from_slice(&(sectors as u32).to_le_bytes());
    Ok(Grown { partition: Some((index as u32, sectors * sector)), ..Grown::default() })
}

fn grow_gpt(first: &mut [u8], mut gpt: Gpt, disk_sectors: u64, sector: u64) -> Result<Grown, TableError> {
    let array_sectors = (gpt.array.len() as u64).div_ceil(sector);
    let last = disk_sectors.saturating_sub(1);
    let backup_array_at = last.saturating_sub(array_sectors);
    let usable_last = backup_array_at.saturating_sub(1);
    let used = |(_, bytes): &(usize, &[u8])| bytes[..16] != [0; 16];
    let end = |bytes: &[u8]| number(bytes, 40, 8).unwrap_or(0);
    let largest = gpt
        .array
        .chunks_exact(gpt.entry_bytes)
        .enumerate()
        .filter(used)
        .max_by_key(|(_, bytes)| end(bytes))
        .map(|(index, bytes)| (index, number(bytes, 32, 8).unwrap_or(0), end(bytes)));
    let mut grown = Grown::default();
    match largest {
        Some((_, _, end)) if end > usable_last => {
            let end = end.saturating_add(1).saturating_mul(sector);
            return Err(TableError::BeyondDisk { end, disk_bytes: disk_sectors * sector });
        }
        Some((index, start, end)) => {
            let alignment = ALIGNMENT_BYTES / sector;
            let aligned_last = ((usable_last + 1) / alignment * alignment).saturating_sub(1);
            if aligned_last > end {
                gpt.array[index * gpt.entry_bytes + 40..][..8].copy_from_slice(&aligned_last.to_le_bytes());
                grown.partition = Some((index as u32 + 1, (aligned_last + 1).saturating_sub(start) * sector));
            } else {
                grown.note = Some("the last partition fills the disk already");
            }
        }
        None => grown.note = Some("the image's partition table is empty"),
    }
    let array_at = number(&gpt.header, 72, 8).unwrap_or(0);
    let mut put = |at: usize, value: u64| gpt.header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(32, last);
    put(48, usable_last);
    let array_crc = crc32(&gpt.array);
    gpt.header[88..92].copy_from_slice(&array_crc.to_le_bytes());
    let primary = sealed(gpt.header.clone());
    let mut backup = gpt.header;
    backup[24..32].copy_from_slice(&last.to_le_bytes());
    backup[32..40].copy_from_slice(&1u64.to_le_bytes());
    backup[72..80].copy_from_slice(&backup_array_at.to_le_bytes());
    let backup = sealed(backup);
    let at = (array_at * sector) as usize;
    // The array was read from here: it lies within the first bytes.
    first[at..at + gpt.array.len()].copy_from_slice(&gpt.array);
    first[sector as usize..][..primary.len()].copy_from_slice(&primary);
    grow_protective(first, last);
    let mut bytes = gpt.array;
    bytes.resize((array_sectors * sector) as usize, 0);
    bytes.extend(&backup);
    bytes.resize(((array_sectors + 1) * sector) as usize, 0);
    grown.backup = Some((backup_array_at * sector, bytes));
    Ok(grown)
}

/// A header with its checksum.
fn sealed(mut header: Vec<u8>) -> Vec<u8> {
    header[16..20].fill(0);
    let crc = crc32(&header);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The protective entry covers the disk, unless the image mixes both tables for loaders of its own.
fn grow_protective(first: &mut [u8], last: u64) {
    let Some(entries) = first.get(..512).and_then(dos_entries) else { return };
    let used: Vec<usize> = (0..4).filter(|index| entries[*index].kind != 0).collect();
    if let [index] = used[..]
        && entries[index].kind == PROTECTIVE
    {
        let at = DOS_ENTRIES_AT + index * DOS_ENTRY_BYTES + 12;
        first[at..at + 4].copy_from_slice(&(last.min(DOS_SECTORS_MAX) as u32).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::{inventory::disk::find_table, work::testing::dos_table};

    const FIRST: usize = 4 << 20;

    /// The beginning of an image of 16 MiB with two partitions, as a partitioning tool makes it.
    fn gpt_image(sector_bytes: u32) -> Vec<u8> {
        let sector = u64::from(sector_bytes);
        let mut first = vec![0; FIRST];
        first[510..512].copy_from_slice(&[0x55, 0xaa]);
        let sectors = (16u64 << 20) / sector;
        first[446..462].copy_from_slice(&[0, 0, 2, 0, 0xee, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0]);
        first[458..462].copy_from_slice(&(sectors as u32 - 1).to_le_bytes());
        let mut array = vec![0; 128 * 128];
        let mib = (1 << 20) / sector;
        for (index, (start, end, kind)) in
            [(mib, 4 * mib, 0x28), (4 * mib, 15 * mib, 0xaf)].iter().enumerate()
        {
            let entry = &mut array[index * 128..][..128];
            entry[..16].fill(*kind);
            entry[16..32].fill(index as u8 + 1);
            entry[32..40].copy_from_slice(&start.to_le_bytes());
            entry[40..48].copy_from_slice(&(end - 1).to_le_bytes());
        }
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(SIGNATURE);
        header[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        for (at, value) in [(24, 1), (32, sectors - 1), (40, mib), (48, sectors - 34), (72, 2)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].fill(0x77);
        header[80..88].copy_from_slice(&[128, 0, 0, 0, 128, 0, 0, 0]);
        header[88..92].copy_from_slice(&crc32(&array).to_le_bytes());
        let header = sealed(header);
        first[sector as usize..][..92].copy_from_slice(&header);
        first[2 * sector as usize..][..array.len()].copy_from_slice(&array);
        first
    }

    fn disk(first: &[u8], disk_bytes: u64, grown: &Grown) -> Vec<u8> {
        let mut disk = vec![0; disk_bytes as usize];
        disk[..first.len()].copy_from_slice(first);
        if let Some((at, bytes)) = &grown.backup {
            disk[*at as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        disk
    }

    /// What `sfdisk`, of util-linux, says of it; `None` where that is not installed.
    fn judged(disk: &[u8]) -> Option<String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(disk).expect("written");
        let paths = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let output = Command::new("sfdisk")
            .env("PATH", paths)
            .args(["--verify", "--quiet"])
            .arg(file.path())
            .stdin(Stdio::null())
            .output()
            .ok()?;
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    #[test]
    fn a_gpt_fills_the_disk_and_both_copies_are_right() {
        for (sector_bytes, disk_bytes) in [(512, 64 << 20), (512, (64 << 20) + 512), (4096, 64 << 20)] {
            let mut first = gpt_image(sector_bytes);
            let grown = grow(&mut first, disk_bytes, sector_bytes).expect("grown");
            assert_eq!(grown.partition, Some((2, 59 << 20)));
            let disk = disk(&first, disk_bytes, &grown);
            let table = find_table(&disk[..], disk_bytes, sector_bytes).expect("a table");
            assert_eq!((table.kind, table.notes.len()), ("gpt", 0), "{:?}", table.notes);
            assert_eq!(table.entries[0].size_bytes, 3 << 20);
            assert_eq!(table.entries[1].end(), 63 << 20);
            // The disk alone, without its first sectors, has its table still.
            let mut damaged = disk.clone();
            damaged[sector_bytes as usize..][..92].fill(0);
            let backup = find_table(&damaged[..], disk_bytes, sector_bytes).expect("the backup");
            assert_eq!(backup.entries, table.entries);
            if sector_bytes == 512
                && let Some(said) = judged(&disk)
            {
                assert!(!said.contains("error") && !said.contains("mismatch"), "{said}");
            }
        }
    }

    #[test]
    fn a_gpt_that_fills_its_disk_keeps_its_partitions() {
        let mut first = gpt_image(512);
        let grown = grow(&mut first, 16 << 20, 512).expect("looked at");
        assert_eq!((grown.partition, grown.note.is_some(), grown.backup.is_some()), (None, true, true));
        let error = grow(&mut gpt_image(512), 15 << 20, 512).expect_err("too small");
        assert_eq!(error, TableError::BeyondDisk { end: 15 << 20, disk_bytes: 15 << 20 });
    }

    #[test]
    fn a_damaged_gpt_is_refused() {
        let mut first = gpt_image(512);
        first[1024 + 40] ^= 1;
        assert_eq!(grow(&mut first, 64 << 20, 512), Err(TableError::Damaged));
    }

    #[test]
    fn an_image_for_other_sectors_is_refused() {
        assert_eq!(check_sectors(&gpt_image(512), 512), Ok(()));
        assert_eq!(check_sectors(&gpt_image(4096), 4096), Ok(()));
        let refused =
            |image, disk| check_sectors(&gpt_image(image), disk) == Err(TableError::Sectors { image, disk });
        assert!(refused(512, 4096) && refused(4096, 512));
        assert_eq!(check_sectors(&[0; 100], 512), Ok(()));
    }

    #[test]
    fn a_dos_table_grows_its_last_partition() {
        let mut first = dos_table();
        let grown = grow(&mut first, 64 << 20, 512).expect("grown");
        let size = (64 << 20) - (64 << 10);
        assert_eq!(grown, Grown { partition: Some((1, size)), ..Grown::default() });
        let mut disk = vec![0; 64 << 20];
        disk[..512].copy_from_slice(&first);
        assert_eq!(find_table(&disk[..], 64 << 20, 512).expect("a table").entries[0].size_bytes, size);
        judged(&disk);
        let again = grow(&mut first, 64 << 20, 512).expect("looked at");
        assert_eq!((again.partition, again.note.is_some()), (None, true));
        // Beyond what 32 bits count.
        let grown = grow(&mut dos_table(), 1 << 50, 512).expect("grown");
        assert_eq!(grown.partition, Some((1, u64::from(u32::MAX) * 512)));
    }

    #[test]
    fn what_has_no_table_stays_as_it_is() {
        for mut first in [vec![0; FIRST], Vec::new(), vec![0; 100]] {
            let before = first.clone();
            let grown = grow(&mut first, 64 << 20, 512).expect("looked at");
            assert!(grown.note.is_some() && grown.partition.is_none() && first == before);
        }
        let mut extended = dos_table();
        extended[450] = 0x05;
        assert!(
            grow(&mut extended, 64 << 20, 512).expect("looked at").note.expect("a note").contains("logical")
        );
    }
}
