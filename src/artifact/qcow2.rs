//! qcow2, the disk images of QEMU: what each cluster of the disk holds, from the bytes of the file.
//!
//! After QEMU's `docs/interop/qcow2.txt`, versions 2 and 3. Read is the disk as it stands; snapshots inside the file
//! are other states of it and are left out. Refused is what would need another file or a key, or what QEMU itself
//! would first repair.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};
use zstd::zstd_safe::DParameter;

/// How a file of this format begins.
pub const MAGIC: &[u8] = b"QFI\xfb";
/// Largest disk. All of it is written to a machine, which takes such a one more than half an hour; images of systems
/// have some tens, and grow to the machine's disk there.
pub const DISK_BYTES_MAX: u64 = 512 << 30;
/// Entries of the L1 table that QEMU takes (32 MiB).
const L1_ENTRIES_MAX: u32 = 4 << 20;
/// QEMU takes no other clusters than those of 512 bytes to 2 MiB.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Offsets in L1 and L2 entries are bits 9 to 55.
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
/// Windows of Zstandard frames (2^n bytes): QEMU's are no larger than a cluster, and an image cannot ask for more.
const WINDOW_LOG_MAX: u32 = 23;
/// Compressed data is counted in these, whatever the cluster's size.
const SECTOR_BYTES: u64 = 512;
const VERSION_2_HEADER_BYTES: usize = 72;
const VERSION_3_HEADER_BYTES: usize = 104;

/// Incompatible features: bits that whoever reads an image has to know.
mod feature {
    pub const DIRTY: u64 = 1;
    pub const CORRUPT: u64 = 1 << 1;
    pub const DATA_FILE: u64 = 1 << 2;
    pub const COMPRESSION: u64 = 1 << 3;
    pub const EXTENDED_L2: u64 = 1 << 4;
}

/// Why an image is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQcow2 {
    /// It needs something that it does not hold.
    #[error("the qcow2 image {what}: {remedy}")]
    Unsupported {
        /// What it has.
        what: String,
        /// What would be right.
        remedy: &'static str,
    },
    /// Its bytes contradict themselves or the format.
    #[error("the qcow2 image is broken: {0}; `qemu-img check IMAGE` tells more")]
    Broken(String),
}

const FLATTEN: &str =
    "`qemu-img convert -O qcow2 IMAGE whole.qcow2` makes one that stands alone; import that";
const REPAIR: &str = "`qemu-img check -r all IMAGE` repairs it, or export it again";

fn broken<T>(what: impl Into<String>) -> Result<T, BadQcow2> {
    Err(BadQcow2::Broken(what.into()))
}

fn refused<T>(what: impl Into<String>, remedy: &'static str) -> Result<T, BadQcow2> {
    Err(BadQcow2::Unsupported { what: what.into(), remedy })
}

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Deflate,
    Zstd,
}

/// A run of the disk that begins at a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'d> {
    /// How many bytes of the disk it is.
    pub bytes: u64,
    /// They, or nothing where all are zero.
    pub data: Option<&'d [u8]>,
}

/// An image: a cursor over the clusters of its disk.
pub struct Qcow2<'f> {
    file: &'f [u8],
    version: u32,
    cluster_bits: u32,
    /// Bytes of the disk.
    pub disk_bytes: u64,
    l1: &'f [u8],
    compression: Compression,
    /// Where the next run begins.
    at: u64,
    cluster: Vec<u8>,
    inflate: Decompress,
    zstd: Option<Decoder<'static>>,
}

impl<'f> Qcow2<'f> {
    /// Reads the header of an image, of which `file` is all.
    pub fn open(file: &'f [u8]) -> Result<Self, BadQcow2> {
        let header = match file.first_chunk::<VERSION_2_HEADER_BYTES>() {
            Some(header) if header.starts_with(MAGIC) => header,
            _ => return broken("it has no header"),
        };
        let version = u32_at(header, 4);
        if !matches!(version, 2 | 3) {
            return refused(format!("has version {version}"), FLATTEN);
        }
        if u64_at(header, 8) != 0 {
            return refused("is only what differs from a backing file", FLATTEN);
        }
        let cluster_bits = u32_at(header, 20);
        if !CLUSTER_BITS.contains(&cluster_bits) {
            return broken(format!("clusters of 2^{cluster_bits} bytes"));
        }
        let disk_bytes = u64_at(header, 24);
        if disk_bytes > DISK_BYTES_MAX {
            return refused(
                format!(
                    "says at byte 24 that its disk has {disk_bytes} bytes, and {} GiB is the limit, since \
                     all of it is written to machines, however little the file holds",
                    DISK_BYTES_MAX >> 30
                ),
                "make its partitions smaller and then `qemu-img resize --shrink IMAGE SIZE`; what is installed of it \
                 grows to the machine's disk",
            );
        }
        if u32_at(header, 32) != 0 {
            return refused(
                "is encrypted",
                "`qemu-img convert` with its key makes one that is not; import that",
            );
        }
        let compression = match version {
            2 => Compression::Deflate,
            _ => version_3(file)?,
        };
        let (l1_entries, l1_offset) = (u32_at(header, 36), u64_at(header, 40));
        // Each entry of L1 is a table of one cluster, with eight bytes for each cluster of the disk.
        let l2_covers_bits = 2 * cluster_bits - 3;
        if u64::from(l1_entries) < disk_bytes.div_ceil(1 << l2_covers_bits) || l1_entries > L1_ENTRIES_MAX {
            return broken(format!("{l1_entries} entries in L1 for a disk of {disk_bytes} bytes"));
        }
        let Some(l1) = slice(file, l1_offset, u64::from(l1_entries) * 8) else {
            return broken(format!("its L1 table at {l1_offset} ends behind the file"));
        };
        Ok(Self {
            file,
            version,
            cluster_bits,
            disk_bytes,
            l1,
            compression,
            at: 0,
            cluster: Vec::new(),
            inflate: Decompress::new(false),
            zstd: None,
        })
    }

    /// The next run of the disk; `None` behind its end.
    pub fn next_run(&mut self) -> Result<Option<Run<'_>>, BadQcow2> {
        let left = self.disk_bytes - self.at;
        if left == 0 {
            return Ok(None);
        }
        let cluster_bytes = 1_u64 << self.cluster_bits;
        let l2_covers = 1_u64 << (2 * self.cluster_bits - 3);
        let l1_entry = u64_at(self.l1, (self.at / l2_covers) as usize * 8);
        let l2_offset = l1_entry & OFFSET_MASK;
        if l2_offset == 0 {
            // Nothing was ever written here; runs begin where a table does, or in the middle of none.
            let bytes = (l2_covers - self.at % l2_covers).min(left);
            self.at += bytes;
            return Ok(Some(Run { bytes, data: None }));
        }
        if !l2_offset.is_multiple_of(cluster_bytes) {
            return broken(format!("an L2 table at {l2_offset}, which is not where a cluster begins"));
        }
        let Some(l2) = slice(self.file, l2_offset, cluster_bytes) else {
            return broken(format!("an L2 table at {l2_offset}, behind the end of the file"));
        };
        let entry = u64_at(l2, (self.at % l2_covers / cluster_bytes) as usize * 8);
        let bytes = cluster_bytes.min(left);
        let data = self.content(entry, bytes)?;
        self.at += bytes;
        Ok(Some(Run {
            bytes,
            data: match data {
                Content::Zeros => None,
                Content::File(data) => Some(data),
                Content::Unpacked => Some(&self.cluster[..bytes as usize]),
            },
        }))
    }

    /// What an entry of an L2 table stands for: the first `bytes` of its cluster.
    fn content(&mut self, entry: u64, bytes: u64) -> Result<Content<'f>, BadQcow2> {
        const COMPRESSED: u64 = 1 << 62;
        const ZEROS: u64 = 1;
        if entry & COMPRESSED != 0 {
            return self.unpack(entry).map(|()| Content::Unpacked);
        }
        // In version 2 the bit is reserved, and always 0.
        if self.version > 2 && entry & ZEROS != 0 {
            return Ok(Content::Zeros);
        }
        let offset = entry & OFFSET_MASK;
        if offset == 0 {
            return Ok(Content::Zeros);
        }
        if !offset.is_multiple_of(1 << self.cluster_bits) {
            return broken(format!("data at {offset}, which is not where a cluster begins"));
        }
        if let Some(data) = slice(self.file, offset, bytes) {
            return Ok(Content::File(data));
        }
        // The last cluster of a file need not be written to its end.
        match usize::try_from(offset)
            .ok()
            .and_then(|from| self.file.get(from..))
            .filter(|part| !part.is_empty())
        {
            Some(part) => {
                self.cluster.clear();
                self.cluster.extend_from_slice(part);
                self.cluster.resize(bytes as usize, 0);
                Ok(Content::Unpacked)
            }
            None => broken(format!("data at {offset}, behind the end of the file")),
        }
    }

    /// Unpacks a compressed cluster, the whole of it.
    fn unpack(&mut self, entry: u64) -> Result<(), BadQcow2> {
        let offset_bits = 62 - (self.cluster_bits - 8);
        let offset = entry & ((1 << offset_bits) - 1);
        let sectors = (entry & ((1 << 62) - 1)) >> offset_bits;
        let packed_bytes = (sectors + 1) * SECTOR_BYTES - offset % SECTOR_BYTES;
        let Some(from) = usize::try_from(offset).ok().filter(|from| *from < self.file.len()) else {
            return broken(format!("compressed data at {offset}, behind the end of the file"));
        };
        // The last sector need not be there to its end.
        let rest = &self.file[from..];
        let packed = &rest[..rest.len().min(packed_bytes as usize)];
        self.cluster.clear();
        self.cluster.resize(1 << self.cluster_bits, 0);
        let whole = match self.compression {
            Compression::Deflate => inflate(&mut self.inflate, packed, &mut self.cluster),
            Compression::Zstd => unzstd(&mut self.zstd, packed, &mut self.cluster),
        };
        match whole {
            true => Ok(()),
            false => broken(format!("compressed data at {offset} that does not give a cluster")),
        }
    }
}

enum Content<'f> {
    Zeros,
    File(&'f [u8]),
    /// In `Qcow2::cluster`.
    Unpacked,
}

/// What only version 3 has: features that have to be known, and how clusters are compressed.
fn version_3(file: &[u8]) -> Result<Compression, BadQcow2> {
    let Some(header) = file.first_chunk::<VERSION_3_HEADER_BYTES>() else {
        return broken("it has no header of version 3");
    };
    let features = u64_at(header, 72);
    let has = |feature| features & feature != 0;
    if has(feature::CORRUPT) {
        return refused("is marked as corrupt", REPAIR);
    }
    if has(feature::DIRTY) {
        return refused("is marked as dirty: whoever wrote it did not end", REPAIR);
    }
    if has(feature::DATA_FILE) {
        return refused("keeps its data in another file", FLATTEN);
    }
    if has(feature::EXTENDED_L2) {
        return refused(
            "has subclusters (extended_l2)",
            "`qemu-img convert -O qcow2 IMAGE plain.qcow2` makes one without; import that",
        );
    }
    let unknown = features & !feature::COMPRESSION;
    if unknown != 0 {
        return refused(format!("needs features that are not known here ({unknown:#x})"), FLATTEN);
    }
    let header_bytes = u32_at(header, 100) as usize;
    // A field behind the others, there only where the header says so.
    let kind = match file.get(104) {
        Some(kind) if header_bytes > VERSION_3_HEADER_BYTES => *kind,
        _ => 0,
    };
    match (kind, has(feature::COMPRESSION)) {
        (0, false) => Ok(Compression::Deflate),
        (1, true) => Ok(Compression::Zstd),
        _ => broken(format!("compression of type {kind}")),
    }
}

/// Whether what is packed by deflate (RFC 1951, without a header) fills a cluster.
fn inflate(decoder: &mut Decompress, packed: &[u8], cluster: &mut [u8]) -> bool {
    decoder.reset(false);
    let ended = decoder.decompress(packed, cluster, FlushDecompress::Finish);
    matches!(ended, Ok(Status::Ok | Status::StreamEnd | Status::BufError))
        && decoder.total_out() == cluster.len() as u64
}

/// Whether what is packed by Zstandard fills a cluster. What stands behind the frame is no matter: it fills a sector.
fn unzstd(decoder: &mut Option<Decoder<'static>>, packed: &[u8], cluster: &mut [u8]) -> bool {
    let unpack = || -> std::io::Result<bool> {
        let decoder = match decoder {
            Some(decoder) => decoder,
            none => {
                let mut made = Decoder::new()?;
                made.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
                none.insert(made)
            }
        };
        decoder.reinit()?;
        let (mut input, mut output) = (InBuffer::around(packed), OutBuffer::around(&mut *cluster));
        loop {
            let before = (input.pos(), output.pos());
            let left = decoder.run(&mut input, &mut output)?;
            let full = output.pos() == output.capacity();
            if left == 0 || full || before == (input.pos(), output.pos()) {
                return Ok(full);
            }
        }
    };
    unpack().unwrap_or(false)
}

fn slice(file: &[u8], offset: u64, bytes: u64) -> Option<&[u8]> {
    let from = usize::try_from(offset).ok()?;
    file.get(from..from.checked_add(usize::try_from(bytes).ok()?)?)
}

/// Big endian, as everything in the format. The place has to be within the bytes.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*bytes[at..].first_chunk().expect("within the header"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(*bytes[at..].first_chunk().expect("within the table"))
}

#[cfg(test)]
#[path = "qcow2_tests.rs"]
mod tests;
