//! Partition tables: GPT (UEFI 2.10, chapter 5) and DOS with its logical partitions.

use sha2::{Digest, Sha256};

use super::contents::Medium;
use crate::inventory::{hex, uuid_text};

/// Entries of a GPT at most; every tool makes 128.
const GPT_ENTRIES_MAX: u32 = 1024;
/// Bytes of one GPT entry at most.
const GPT_ENTRY_BYTES_MAX: u32 = 4096;
/// Bytes of a GPT's array of entries at most: what fits into the first MiB.
const GPT_ARRAY_BYTES_MAX: u32 = 1 << 20;
const GPT_HEADER_BYTES_MIN: u32 = 92;
const GPT_SIGNATURE: &[u8] = b"EFI PART";
/// Logical partitions at most: the chain of extended boot records may loop.
const LOGICAL_MAX: u32 = 128;
/// A DOS table counts 512-byte sectors of this size, or the disk's own.
const SECTOR_BYTES: [u32; 2] = [512, 4096];
/// What the DOS table's fingerprint covers of a sector: disk signature, entries, boot signature.
const DOS_TABLE: std::ops::Range<usize> = 440..512;
const PROTECTIVE: u8 = 0xee;

/// One partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// From 1.
    pub number: u32,
    /// First byte.
    pub start_bytes: u64,
    /// Size.
    pub size_bytes: u64,
    /// GUID or `0x83`.
    pub kind: String,
    /// Unique GUID.
    pub guid: Option<String>,
    /// Name in the table.
    pub name: Option<String>,
}

impl Entry {
    /// The byte behind its last.
    pub fn end(&self) -> u64 {
        self.start_bytes.saturating_add(self.size_bytes)
    }
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `gpt` or `dos`.
    pub kind: &'static str,
    /// `sha256:` over the table's bytes as they lie on the disk.
    pub fingerprint: String,
    /// Partitions by number.
    pub entries: Vec<Entry>,
    /// What looked wrong.
    pub notes: Vec<String>,
}

/// Finds the disk's partition table, a GPT before a DOS one.
pub fn find(medium: &(impl Medium + ?Sized), size_bytes: u64, sector_bytes: u32) -> Option<Table> {
    let sector_bytes = if SECTOR_BYTES.contains(&sector_bytes) { sector_bytes } else { 512 };
    find_gpt(medium, size_bytes, u64::from(sector_bytes))
        .or_else(|| find_dos(medium, size_bytes, u64::from(sector_bytes)))
}

/// One of a GPT's two copies, with its checksums right.
pub(crate) struct Gpt {
    /// The header, as long as it says it is.
    pub(crate) header: Vec<u8>,
    /// All entries.
    pub(crate) array: Vec<u8>,
    /// Bytes of one entry.
    pub(crate) entry_bytes: usize,
}

fn find_gpt(medium: &(impl Medium + ?Sized), size_bytes: u64, sector_bytes: u64) -> Option<Table> {
    let last = (size_bytes / sector_bytes).checked_sub(1)?;
    let primary = read_gpt(medium, 1, sector_bytes);
    // The primary says where the backup lies; a disk that has grown keeps it before its end.
    let backup_at = primary.as_ref().and_then(|gpt| number(&gpt.header, 32, 8)).filter(|&at| at <= last);
    let backup = read_gpt(medium, backup_at.unwrap_or(last), sector_bytes);
    let mut notes = Vec::new();
    if primary.is_none() {
        notes.push("the primary GPT is damaged: the backup was read".to_owned());
    } else if backup.is_none() {
        notes.push("the backup GPT is damaged".to_owned());
    }
    let mut digest = Sha256::new();
    for gpt in primary.iter().chain(&backup) {
        digest.update(&gpt.header);
        digest.update(&gpt.array);
    }
    let gpt = primary.or(backup)?;
    let mut entries = Vec::new();
    for (index, bytes) in gpt.array.chunks_exact(gpt.entry_bytes).enumerate() {
        entries.extend(gpt_entry(index as u32 + 1, bytes, sector_bytes));
    }
    Some(Table { kind: "gpt", fingerprint: format!("sha256:{}", hex(&digest.finalize())), entries, notes })
}

/// A header at this sector and its array, if both checksums fit.
pub(crate) fn read_gpt(medium: &(impl Medium + ?Sized), at: u64, sector_bytes: u64) -> Option<Gpt> {
    let mut header = medium.read_at(at.checked_mul(sector_bytes)?, sector_bytes as usize)?;
    if !header.starts_with(GPT_SIGNATURE) {
        return None;
    }
    let header_bytes = number(&header, 12, 4)? as u32;
    if !(GPT_HEADER_BYTES_MIN..=sector_bytes as u32).contains(&header_bytes) {
        return None;
    }
    header.truncate(header_bytes as usize);
    let mut zeroed = header.clone();
    zeroed[16..20].fill(0);
    if u64::from(crc32(&zeroed)) != number(&header, 16, 4)? || number(&header, 24, 8)? != at {
        return None;
    }
    let array_at = number(&header, 72, 8)?.checked_mul(sector_bytes)?;
    let (count, entry_bytes) = (number(&header, 80, 4)? as u32, number(&header, 84, 4)? as u32);
    let array_bytes = count.checked_mul(entry_bytes)?;
    let sane = (1..=GPT_ENTRIES_MAX).contains(&count)
        && (128..=GPT_ENTRY_BYTES_MAX).contains(&entry_bytes)
        && array_bytes <= GPT_ARRAY_BYTES_MAX;
    if !sane {
        return None;
    }
    let array = medium.read_at(array_at, array_bytes as usize)?;
    (u64::from(crc32(&array)) == number(&header, 88, 4)?).then_some(Gpt {
        header,
        array,
        entry_bytes: entry_bytes as usize,
    })
}

fn gpt_entry(number_: u32, bytes: &[u8], sector_bytes: u64) -> Option<Entry> {
    let kind: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
    if kind == [0; 16] {
        return None;
    }
    let (first, last) = (number(bytes, 32, 8)?, number(bytes, 40, 8)?);
    let sectors = last.checked_sub(first)?.checked_add(1)?;
    let units: Vec<u16> =
        bytes.get(56..128)?.chunks_exact(2).map(|u| u16::from_le_bytes([u[0], u[1]])).collect();
    let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
    let name = crate::inventory::sysfs::clean(String::from_utf16_lossy(&units[..end]).as_bytes());
    Some(Entry {
        number: number_,
        start_bytes: first.checked_mul(sector_bytes)?,
        size_bytes: sectors.checked_mul(sector_bytes)?,
        kind: guid_text(kind),
        guid: Some(guid_text(bytes.get(16..32)?.try_into().ok()?)),
        name,
    })
}

/// A GUID's first three fields are little-endian.
fn guid_text(mut guid: [u8; 16]) -> String {
    guid[..4].reverse();
    guid[4..6].reverse();
    guid[6..8].reverse();
    uuid_text(&guid)
}

/// One entry of a DOS table, in sectors.
#[derive(Clone, Copy)]
pub(crate) struct DosEntry {
    pub(crate) kind: u8,
    pub(crate) start: u64,
    pub(crate) sectors: u64,
}

fn find_dos(medium: &(impl Medium + ?Sized), size_bytes: u64, sector_bytes: u64) -> Option<Table> {
    let record = medium.read_at(0, 512)?;
    let primaries = dos_entries(&record)?;
    let mut digest = Sha256::new();
    digest.update(&record[DOS_TABLE]);
    let mut notes = Vec::new();
    if primaries.iter().any(|entry| entry.kind == PROTECTIVE) {
        notes.push("the disk says that it has a GPT, but neither copy is intact".to_owned());
    }
    let mut entries = Vec::new();
    let mut extended = None;
    for (number, entry) in (1..).zip(&primaries) {
        if entry.kind == 0 || entry.sectors == 0 {
            continue;
        }
        if is_extended(entry.kind) {
            extended = extended.or(Some(*entry));
        }
        entries.push(dos_partition(number, entry, sector_bytes));
    }
    if let Some(extended) = extended {
        read_logical(medium, extended, sector_bytes, &mut entries, &mut digest, &mut notes);
    }
    if entries.iter().any(|entry| entry.end() > size_bytes) {
        notes.push("a partition reaches beyond the disk's end".to_owned());
    }
    Some(Table { kind: "dos", fingerprint: format!("sha256:{}", hex(&digest.finalize())), entries, notes })
}

/// Follows the chain of extended boot records, each of which describes one logical partition and the next
/// record.
fn read_logical(
    medium: &(impl Medium + ?Sized),
    extended: DosEntry,
    sector_bytes: u64,
    entries: &mut Vec<Entry>,
    digest: &mut Sha256,
    notes: &mut Vec<String>,
) {
    let mut at = extended.start;
    let mut number = 5;
    for _ in 0..LOGICAL_MAX {
        let record = at.checked_mul(sector_bytes).and_then(|offset| medium.read_at(offset, 512));
        let Some((record, found)) =
            record.and_then(|record| dos_entries(&record).map(|found| (record, found)))
        else {
            notes.push("the chain of logical partitions is broken".to_owned());
            return;
        };
        digest.update(&record[DOS_TABLE]);
        let logical = DosEntry { start: at.saturating_add(found[0].start), ..found[0] };
        if logical.kind != 0 && logical.sectors != 0 {
            entries.push(dos_partition(number, &logical, sector_bytes));
            number += 1;
        }
        if !is_extended(found[1].kind) || found[1].sectors == 0 {
            return;
        }
        at = extended.start.saturating_add(found[1].start);
    }
    notes.push("the chain of logical partitions loops or is longer than any tool makes it".to_owned());
}

/// The four entries of a boot record, if it looks like a table: boot code ends in the same signature.
pub(crate) fn dos_entries(record: &[u8]) -> Option<[DosEntry; 4]> {
    if record.get(510..512)? != [0x55, 0xaa] {
        return None;
    }
    let mut entries = [DosEntry { kind: 0, start: 0, sectors: 0 }; 4];
    for (entry, bytes) in entries.iter_mut().zip(record[446..510].chunks_exact(16)) {
        if bytes[0] & 0x7f != 0 {
            return None;
        }
        *entry = DosEntry { kind: bytes[4], start: number(bytes, 8, 4)?, sectors: number(bytes, 12, 4)? };
    }
    Some(entries)
}

pub(crate) fn is_extended(kind: u8) -> bool {
    matches!(kind, 0x05 | 0x0f | 0x85)
}

fn dos_partition(number: u32, entry: &DosEntry, sector_bytes: u64) -> Entry {
    Entry {
        number,
        start_bytes: entry.start.saturating_mul(sector_bytes),
        size_bytes: entry.sectors.saturating_mul(sector_bytes),
        kind: format!("0x{:02x}", entry.kind),
        guid: None,
        name: None,
    }
}

/// A little-endian number of up to eight bytes.
pub(crate) fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide[..length].copy_from_slice(bytes.get(at..at + length)?);
    Some(u64::from_le_bytes(wide))
}

/// CRC-32 as in Ethernet and zlib, bit by bit: two arrays of 16 KiB do not need a table.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests;
