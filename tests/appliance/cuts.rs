//! What a disk holds when its power goes: the writes that `blklogwrites` recorded, up to a point, without some of those that were
//! not flushed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::lab::{LabError, writes};

const SECTOR: u64 = 512;
const FLUSH: u64 = 1;
/// Force unit access: on the disk itself when it is reported as written.
const FUA: u64 = 1 << 1;
const DISCARD: u64 = 1 << 2;

/// One entry of the record.
#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    bytes: u64,
    flags: u64,
    /// Where its data lies in the record.
    at: u64,
}

/// The record of a disk, and a disk that goes through it.
pub struct Cuts {
    record: File,
    entries: Vec<Entry>,
    disk: File,
    /// So many entries are on the disk, whole.
    played: usize,
}

/// Bytes as they were before a cut.
struct Undo(Vec<(u64, Vec<u8>)>);

impl Cuts {
    /// The record of the disk with this image; `disk` holds what the disk did before the first write.
    pub fn of(image: &Path, disk: &Path) -> Result<Self, LabError> {
        let path = writes::path_of(image);
        let record = File::open(&path).map_err(LabError::io(format!("open {}", path.display())))?;
        let disk =
            File::options().read(true).write(true).open(disk).map_err(LabError::io("open the disk"))?;
        let entries = entries(&record).map_err(LabError::io("read the record of writes"))?;
        Ok(Self { record, entries, disk, played: 0 })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// So many entries there were when a write had been made that begins with this text.
    pub fn after(&self, text: &str) -> Result<usize, LabError> {
        let wanted = text.as_bytes();
        let mut found = vec![0; wanted.len()];
        for (number, entry) in self.entries.iter().enumerate() {
            if entry.flags & DISCARD != 0 || entry.bytes < wanted.len() as u64 {
                continue;
            }
            self.record.read_exact_at(&mut found, entry.at).map_err(LabError::io("read the record"))?;
            if found == wanted {
                return Ok(number + 1);
            }
        }
        Err(LabError::Unexpected { what: "a marker was never written".into(), text: text.into() })
    }

    /// Whether any of these entries changes this part of the disk (its beginning and length in bytes).
    pub fn touch(&self, entries: std::ops::Range<usize>, (from, bytes): (u64, u64)) -> bool {
        self.entries[entries]
            .iter()
            .any(|entry| entry.bytes > 0 && entry.offset < from + bytes && from < entry.offset + entry.bytes)
    }

    /// Has the disk be as a power cut after `point` entries leaves it: everything until the last flush is there, and of what
    /// came later some, which `seed` decides. `look` sees that, and `keep` gets a copy; afterwards the disk goes on from the flush. Points
    /// only grow.
    pub fn cut<T>(
        &mut self,
        point: usize,
        seed: u64,
        keep: Option<&Path>,
        look: impl FnOnce(&File) -> Result<T, LabError>,
    ) -> Result<T, LabError> {
        let failed = LabError::io("replay the record of writes");
        let flushed =
            self.entries[..point].iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |at| at + 1);
        let played = (|| -> io::Result<Undo> {
            for number in self.played..flushed {
                self.play(self.entries[number], None)?;
            }
            self.played = self.played.max(flushed);
            let mut undo = Undo(Vec::new());
            for number in self.played..point {
                let entry = self.entries[number];
                if entry.flags & FUA != 0 || coin(seed, number as u64) {
                    self.play(entry, Some(&mut undo))?;
                }
            }
            Ok(undo)
        })()
        .map_err(failed)?;
        let kept = keep.map_or(Ok(()), |copy| {
            let bytes = self.disk.metadata()?.len();
            extract(&self.disk, (0, bytes), copy)
        });
        let seen = kept.map_err(LabError::io("copy the disk")).and_then(|()| look(&self.disk));
        for (offset, bytes) in played.0.iter().rev() {
            self.disk.write_all_at(bytes, *offset).map_err(LabError::io("take writes back"))?;
        }
        seen
    }

    fn play(&self, entry: Entry, undo: Option<&mut Undo>) -> io::Result<()> {
        if entry.flags & DISCARD != 0 || entry.bytes == 0 {
            return Ok(());
        }
        let mut bytes = vec![0; entry.bytes as usize];
        if let Some(undo) = undo {
            self.disk.read_exact_at(&mut bytes, entry.offset)?;
            undo.0.push((entry.offset, bytes.clone()));
        }
        self.record.read_exact_at(&mut bytes, entry.at)?;
        self.disk.write_all_at(&bytes, entry.offset)
    }
}

fn entries(record: &File) -> io::Result<Vec<Entry>> {
    let mut reader = io::BufReader::new(record);
    let mut sector = [0; SECTOR as usize];
    reader.read_exact(&mut sector)?;
    let field = |sector: &[u8; SECTOR as usize], at: usize| {
        u64::from_le_bytes(sector[at..at + 8].try_into().expect("eight bytes"))
    };
    assert_eq!((field(&sector, 0), field(&sector, 8)), (writes::MAGIC, 1), "no record of writes");
    let count = field(&sector, 16);
    let mut at = SECTOR;
    let mut entries = Vec::new();
    for _ in 0..count {
        reader.seek(SeekFrom::Start(at))?;
        reader.read_exact(&mut sector)?;
        at += SECTOR;
        let (first, sectors, flags) = (field(&sector, 0), field(&sector, 8), field(&sector, 16));
        entries.push(Entry { offset: first * SECTOR, bytes: sectors * SECTOR, flags, at });
        if flags & DISCARD == 0 {
            at += sectors * SECTOR;
        }
    }
    Ok(entries)
}

/// Heads or tails, the same for the same numbers (the mixer of SplitMix64).
fn coin(seed: u64, number: u64) -> bool {
    let mut bits =
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number.wrapping_mul(0xd1b5_4a32_d192_ed03));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) & 1 == 1
}

/// Where the partition with this label is, in bytes: its beginning and length; nothing where the table has none (UEFI 2.10,
/// section 5.3).
pub fn partition(disk: &File, label: &str) -> io::Result<Option<(u64, u64)>> {
    let mut header = [0; SECTOR as usize];
    disk.read_exact_at(&mut header, SECTOR)?;
    if &header[..8] != b"EFI PART" {
        return Ok(None);
    }
    let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let table = number(72) * SECTOR;
    let mut entry = [0; 128];
    for row in 0..128 {
        disk.read_exact_at(&mut entry, table + row * 128)?;
        let name: Vec<u16> = entry[56..]
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .take_while(|unit| *unit != 0)
            .collect();
        if String::from_utf16_lossy(&name) == label {
            let at = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
            return Ok(Some((at(32) * SECTOR, (at(40) + 1 - at(32)) * SECTOR)));
        }
    }
    Ok(None)
}

/// Copies a part of the disk into a file of its own, without its holes and zeros.
pub fn extract(disk: &File, (from, bytes): (u64, u64), to: &Path) -> io::Result<()> {
    const PIECE: u64 = 1 << 20;
    let file = File::create(to)?;
    file.set_len(bytes)?;
    let (mut piece, zeros) = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
    let (mut at, end) = (from, from + bytes);
    loop {
        at = match lseek(disk, at as i64, Whence::SeekData) {
            Ok(data) if (data as u64) < end => data as u64,
            // Nothing but holes up to the file's end.
            Ok(_) | Err(Errno::ENXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let hole = end.min(lseek(disk, at as i64, Whence::SeekHole)? as u64);
        while at < hole {
            let piece = &mut piece[..PIECE.min(hole - at) as usize];
            disk.read_exact_at(piece, at)?;
            if *piece != zeros[..piece.len()] {
                file.write_all_at(piece, at - from)?;
            }
            at += piece.len() as u64;
        }
    }
}
