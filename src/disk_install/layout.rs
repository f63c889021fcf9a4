//! Where everything lies on the disk: systemd-repart makes the table, in a file as large as the disk and with nothing else in it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ironwake_agent::inventory::disk;

use super::boot_code::SECTOR;
use super::perform::InstallError;
use crate::builders::Child;

/// Partitions by number, as they are on every disk of an appliance (`appliance/README.md`).
pub const BIOS_BOOT: usize = 0;
pub const ESP: usize = 1;
pub const ROOT: usize = 2;
pub const OTHER_ROOT: usize = 3;
pub const VAR: usize = 4;
const PARTITIONS: usize = 5;
/// The filesystem of the ESP: such clusters that it is FAT32 by its own count of them.
pub const ESP_CLUSTER_SECTORS: u32 = 4;
/// The first partition begins at the first MiB: the table, and nothing else, is before it.
pub const FRONT_BYTES: usize = 1 << 20;
/// The second table: its header is the last sector, before it 128 entries of 128 bytes.
pub const BACK_BYTES: usize = 33 * SECTOR;

/// A definition: type, label, least and most MiB.
type Definition<'a> = (&'a str, &'a str, u64, Option<u64>);

fn definitions(slot: &str) -> [Definition<'_>; PARTITIONS] {
    [
        ("21686148-6449-6E6F-744E-656564454649", "bios-boot", 1, Some(1)),
        ("esp", "ironwake-esp", 160, Some(160)),
        ("root-x86-64", slot, 512, Some(512)),
        ("root-x86-64", "_empty", 512, Some(512)),
        ("linux-generic", "ironwake-var", 256, None),
    ]
}

/// The texts of the definitions (repart.d(5)), with their files' names.
pub fn texts(version: &str) -> Vec<(String, String)> {
    let slot = format!("ironwake_{version}");
    let text = |(at, (kind, label, least, most)): (usize, Definition<'_>)| {
        let most = most.map(|most| format!("SizeMaxBytes={most}M\n")).unwrap_or_default();
        let text = format!("[Partition]\nType={kind}\nLabel={label}\nSizeMinBytes={least}M\n{most}");
        (format!("{}0-{}.conf", at + 1, label.trim_start_matches('_')), text)
    };
    definitions(&slot).into_iter().enumerate().map(text).collect()
}

/// A place on the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub size: u64,
}

/// The table, and what it says.
#[derive(Debug)]
pub struct Layout {
    /// Partitions by number.
    pub spans: Vec<Span>,
    /// What lies before the first partition.
    pub front: Vec<u8>,
    /// What lies behind the last.
    pub back: Vec<u8>,
}

impl Layout {
    /// For a disk of this size, whose running version has this slot. `folder` is where it is made; identifiers are fresh.
    pub fn make(folder: &Path, size_bytes: u64, version: &str) -> Result<Self, InstallError> {
        let wrong = |reason: String| InstallError::step("make the partition table", reason);
        let io = |error: io::Error| wrong(error.to_string());
        let rules = folder.join("repart.d");
        fs::create_dir_all(&rules).map_err(io)?;
        for (name, text) in texts(version) {
            fs::write(rules.join(name), text).map_err(io)?;
        }
        let path = folder.join("table");
        let file = File::create(&path).map_err(io)?;
        // Nothing but the table takes room.
        file.set_len(size_bytes).map_err(io)?;
        drop(file);
        let repart = Child::new("systemd-repart", "make the partition table")
            .args(["--dry-run=no", "--empty=force", "--seed=random", "--pretty=no", "--no-pager"])
            .arg(format!("--definitions={}", rules.display()))
            .arg(&path);
        repart.run(&mut |line| tracing::debug!(line))?;
        let layout = Self::read(&path, size_bytes).map_err(io)?;
        fs::remove_file(&path).map_err(io)?;
        Ok(layout)
    }

    fn read(path: &Path, size_bytes: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let table = disk::find_table(&file, size_bytes, SECTOR as u32)
            .filter(|table| table.kind == "gpt" && table.notes.is_empty())
            .ok_or_else(|| io::Error::other("systemd-repart made no table that can be read"))?;
        let spans: Vec<Span> = table
            .entries
            .iter()
            .map(|entry| Span { start: entry.start_bytes, size: entry.size_bytes })
            .collect();
        let within = |span: &Span| {
            span.start >= FRONT_BYTES as u64
                && span.start.saturating_add(span.size) <= size_bytes.saturating_sub(BACK_BYTES as u64)
        };
        if spans.len() != PARTITIONS || !spans.iter().all(within) {
            return Err(io::Error::other(format!("systemd-repart made {spans:?}, which is another table")));
        }
        let (mut front, mut back) = (vec![0; FRONT_BYTES], vec![0; BACK_BYTES]);
        file.read_exact_at(&mut front, 0)?;
        file.read_exact_at(&mut back, size_bytes - BACK_BYTES as u64)?;
        Ok(Self { spans, front, back })
    }
}
