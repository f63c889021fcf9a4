//! Images of QEMU, written again as what machines fetch: the whole disk, packed with Zstandard.
//!
//! Packed, not a sparse file: of a disk of 4 GiB with 0.9 GB in it, 352 MB are kept and sent instead of 979 MB kept and
//! 4 GiB sent, for 3.4 s of one core, once; unpacking takes 1.1 s, faster than disks write.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use zstd::stream::write::Encoder;

use super::room::{check_room, failed};
use super::{Gauge, IMAGE_BYTES_MAX, ImportError};
use crate::artifact::{Digest, Qcow2};

/// Level of Zstandard: level 3 takes nearly twice the time for a ninth less.
const LEVEL: i32 = 1;
/// Disks have a whole number of sectors; images of QEMU need not.
const SECTOR_BYTES: u64 = 512;
/// After so many packed bytes room is looked for.
const LOOK_EVERY_BYTES: u64 = 16 << 20;
/// Zeros that are packed at once.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// A disk that was written again.
pub(super) struct Unrolled {
    /// Digest of the packed bytes.
    pub sha256: Digest,
    /// Bytes of the disk.
    pub disk_bytes: u64,
}

/// Writes the disk of a qcow2 image to a file in `dir`, which is forced to the disk.
pub(super) fn unroll(image: &[u8], file: &File, dir: &Path, gauge: &Gauge) -> Result<Unrolled, ImportError> {
    let mut disk = Qcow2::open(image)?;
    let disk_bytes = disk.disk_bytes.next_multiple_of(SECTOR_BYTES);
    if disk_bytes == 0 {
        return Err(ImportError::Empty);
    }
    gauge.begin(disk_bytes);
    let written = |error| written_failed(dir, error);
    let packed = Packed { file, dir, hash: Sha256::new(), bytes: 0 };
    let mut encoder = Encoder::new(packed, LEVEL).map_err(written)?;
    encoder.set_pledged_src_size(Some(disk_bytes)).map_err(written)?;
    encoder.include_checksum(true).map_err(written)?;
    let mut at = 0;
    while let Some(run) = disk.next_run()? {
        match run.data {
            Some(data) => encoder.write_all(data).map_err(written)?,
            None => zeros(&mut encoder, run.bytes).map_err(written)?,
        }
        at += run.bytes;
        gauge.set(at);
        if gauge.is_over() {
            return Err(ImportError::Cancelled);
        }
    }
    zeros(&mut encoder, disk_bytes - at).map_err(written)?;
    let packed = encoder.finish().map_err(written)?;
    file.sync_all().map_err(|source| failed(dir, source))?;
    Ok(Unrolled { sha256: <[u8; 32]>::from(packed.hash.finalize()).into(), disk_bytes })
}

fn zeros(to: &mut impl Write, mut bytes: u64) -> io::Result<()> {
    while bytes > 0 {
        let count = bytes.min(ZEROS.len() as u64);
        to.write_all(&ZEROS[..count as usize])?;
        bytes -= count;
    }
    Ok(())
}

/// The file that is written, and its digest.
struct Packed<'a> {
    file: &'a File,
    dir: &'a Path,
    hash: Sha256,
    bytes: u64,
}

impl Write for Packed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        let before = self.bytes;
        self.bytes += count as u64;
        if self.bytes > IMAGE_BYTES_MAX {
            return Err(io::Error::other(ImportError::TooLarge));
        }
        if before / LOOK_EVERY_BYTES != self.bytes / LOOK_EVERY_BYTES {
            check_room(self.dir, 0).map_err(io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the writer refused comes out of the encoder as it went in.
fn written_failed(dir: &Path, error: io::Error) -> ImportError {
    match error.downcast::<ImportError>() {
        Ok(error) => error,
        Err(error) => failed(dir, error),
    }
}
