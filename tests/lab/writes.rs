//! What was written to a disk, in order, as QEMU's `blklogwrites` records it: the format of the kernel's
//! dm-log-writes target (Documentation/admin-guide/device-mapper/log-writes.rst).

use std::fs;
use std::path::{Path, PathBuf};

const SECTOR: usize = 512;
/// How a record begins.
pub const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 1 << 2;

/// Where the record of the disk with this image is.
pub fn path_of(image: &Path) -> PathBuf {
    image.with_extension(format!("{}.writes", image.extension().unwrap_or_default().to_string_lossy()))
}

/// Every write to a disk, oldest first.
#[derive(Debug)]
pub struct Writes {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    sector: u64,
    sectors: u64,
    flags: u64,
    /// Where its data lies in the record.
    at: usize,
}

impl Writes {
    /// Reads the record of the disk with this image. The machine has to be off.
    pub fn of(image: &Path) -> Self {
        let bytes = fs::read(path_of(image)).expect("a record of writes");
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        assert_eq!((number(0), number(8)), (MAGIC, 1), "no record of writes");
        let mut at = SECTOR;
        let mut entries = Vec::new();
        for _ in 0..number(16) {
            let [sector, sectors, flags] = [0, 8, 16].map(|field| number(at + field));
            at += SECTOR;
            entries.push(Entry { sector, sectors, flags, at });
            if flags & DISCARD == 0 {
                at += sectors as usize * SECTOR;
            }
        }
        Self { bytes, entries }
    }

    /// How many there were.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Plays all writes to `disk`, and calls `look` with the disk's bytes before the first and after each; its number
    /// comes along. What power cuts leave is one of these, or one with later writes between two flushes.
    pub fn replay(&self, disk: &mut [u8], mut look: impl FnMut(usize, &[u8])) {
        look(0, disk);
        for (number, entry) in self.entries.iter().enumerate() {
            let from = entry.sector as usize * SECTOR;
            let length = entry.sectors as usize * SECTOR;
            if entry.flags & DISCARD == 0 {
                disk[from..from + length].copy_from_slice(&self.bytes[entry.at..entry.at + length]);
            }
            look(number + 1, disk);
        }
    }

    /// The numbers of writes that touch the sectors in `from..to`, and of flushes.
    pub fn touching(&self, from: u64, to: u64) -> (Vec<usize>, Vec<usize>) {
        let numbered = || self.entries.iter().enumerate().map(|(number, entry)| (number + 1, entry));
        let writes = numbered().filter(|(_, entry)| {
            entry.sectors > 0 && entry.sector < to && entry.sector + entry.sectors > from
        });
        let flushes = numbered().filter(|(_, entry)| entry.flags & FLUSH != 0);
        (writes.map(|(number, _)| number).collect(), flushes.map(|(number, _)| number).collect())
    }
}
