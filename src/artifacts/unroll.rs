//! Images of QEMU, written again as what machines fetch: the whole disk, packed with Zstandard.
//!
//! Packed, not a sparse file: of a disk of 4 GiB with 0.9 GB in it, 352 MB are kept and sent instead of 979 MB kept and
//! 4 GiB sent, for 3.4 s of one core, once; unpacking takes 1.1 s, faster than disks write.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use zstd::bulk::Compressor;

use super::room::{check_room, failed};
use super::{Gauge, IMAGE_BYTES_MAX, ImportError};
use crate::artifact::{Digest, Qcow2};

/// Level of Zstandard: level 3 takes nearly twice the time for a ninth less.
const LEVEL: i32 = 1;
/// The disk is packed in frames (RFC 8878) of so many bytes: one that is all zeros is packed once and written as often as
/// it is needed, so that a large disk with little in it costs what is in it. Smaller ones would pack worse.
const FRAME_BYTES: usize = 8 << 20;
/// Disks have a whole number of sectors; images of QEMU need not.
const SECTOR_BYTES: u64 = 512;
/// After so many packed bytes room is looked for.
const LOOK_EVERY_BYTES: u64 = 16 << 20;

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
    let mut frames = Frames::new(packed).map_err(written)?;
    let mut at = 0;
    while let Some(run) = disk.next_run()? {
        match run.data {
            Some(data) => frames.data(data).map_err(written)?,
            None => frames.zeros(run.bytes).map_err(written)?,
        }
        at += run.bytes;
        gauge.set(at);
        if gauge.is_over() {
            return Err(ImportError::Cancelled);
        }
    }
    frames.zeros(disk_bytes - at).map_err(written)?;
    let packed = frames.finish().map_err(written)?;
    file.sync_all().map_err(|source| failed(dir, source))?;
    Ok(Unrolled { sha256: <[u8; 32]>::from(packed.hash.finalize()).into(), disk_bytes })
}

/// The disk as it is packed, frame by frame. The same disk gives the same bytes, whatever runs it comes in.
struct Frames<W> {
    to: W,
    compressor: Compressor<'static>,
    /// A frame of nothing but zeros.
    zeros: Vec<u8>,
    /// The frame that is being filled begins with so many zeros; `data` is empty as long as it has nothing else.
    zeros_before: usize,
    data: Vec<u8>,
}

impl<W: Write> Frames<W> {
    fn new(to: W) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        let zeros = compressor.compress(&vec![0; FRAME_BYTES])?;
        Ok(Self { to, compressor, zeros, zeros_before: 0, data: Vec::new() })
    }

    /// How much the frame can still take.
    fn room(&self) -> usize {
        FRAME_BYTES - self.zeros_before.max(self.data.len())
    }

    fn data(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(bytes.len().min(self.room()));
            if self.data.is_empty() && part.iter().all(|byte| *byte == 0) {
                self.zeros(part.len() as u64)?;
            } else {
                if self.data.is_empty() {
                    self.data.resize(std::mem::take(&mut self.zeros_before), 0);
                }
                self.data.extend_from_slice(part);
                self.end_if_full()?;
            }
            bytes = rest;
        }
        Ok(())
    }

    fn zeros(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0 {
            let count = self.room().min(usize::try_from(bytes).unwrap_or(FRAME_BYTES));
            match self.data.len() {
                0 => self.zeros_before += count,
                length => self.data.resize(length + count, 0),
            }
            bytes -= count as u64;
            self.end_if_full()?;
        }
        Ok(())
    }

    fn end_if_full(&mut self) -> io::Result<()> {
        if self.room() == 0 { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> io::Result<()> {
        if self.zeros_before == FRAME_BYTES {
            self.to.write_all(&self.zeros)?;
        } else {
            if self.data.is_empty() {
                self.data.resize(self.zeros_before, 0);
            }
            let packed = self.compressor.compress(&self.data)?;
            self.to.write_all(&packed)?;
            self.data.clear();
        }
        self.zeros_before = 0;
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        if self.room() < FRAME_BYTES {
            self.end()?;
        }
        Ok(self.to)
    }
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

/// What the writer refused comes out as it went in.
fn written_failed(dir: &Path, error: io::Error) -> ImportError {
    match error.downcast::<ImportError>() {
        Ok(error) => error,
        Err(error) => failed(dir, error),
    }
}

#[cfg(test)]
mod tests {
    use ironwake_api::{DownloadStep, Packing};

    use super::*;
    use crate::artifact::{DISK_BYTES_MAX, disk_bytes};

    /// An image of version 2 with clusters of 2 MiB, in which nothing was ever written.
    fn empty(disk_bytes: u64) -> Vec<u8> {
        let mut image = vec![0; 4096];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"QFI\xfb\0\0\0\x02");
        put(20, &21_u32.to_be_bytes());
        put(24, &disk_bytes.to_be_bytes());
        put(36, &1_u32.to_be_bytes());
        put(40, &1024_u64.to_be_bytes());
        image
    }

    fn pack(pieces: &[(&[u8], u64)]) -> Vec<u8> {
        let mut frames = Frames::new(Vec::new()).expect("frames");
        for (data, zeros) in pieces {
            frames.data(data).expect("packed");
            frames.zeros(*zeros).expect("packed");
        }
        frames.finish().expect("packed")
    }

    #[test]
    fn the_largest_disk_costs_what_is_in_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, gauge) = (tempfile::tempfile().expect("a file"), Gauge::default());
        let image = empty(DISK_BYTES_MAX);
        let unrolled = unroll(&image, &file, dir.path(), &gauge).expect("written");
        assert_eq!(unrolled.disk_bytes, DISK_BYTES_MAX);
        assert_eq!((gauge.step(), gauge.bytes().0), (DownloadStep::Converting, DISK_BYTES_MAX));
        let mut packed = Vec::new();
        io::Read::read_to_end(&mut std::fs::File::open(proc_path(&file)).expect("it"), &mut packed)
            .expect("it");
        assert_eq!(disk_bytes(Packing::Zstd, &packed), Some(DISK_BYTES_MAX));
        // Each frame is the same, and was packed once.
        let frame = pack(&[(&[], FRAME_BYTES as u64)]);
        assert_eq!(packed.len(), frame.len() * (DISK_BYTES_MAX / FRAME_BYTES as u64) as usize);
        assert!(packed.chunks(frame.len()).all(|part| part == frame));
    }

    fn proc_path(file: &File) -> String {
        use std::os::fd::AsRawFd as _;
        format!("/proc/self/fd/{}", file.as_raw_fd())
    }

    #[test]
    fn a_conversion_ends_when_it_is_cancelled() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, gauge) = (tempfile::tempfile().expect("a file"), Gauge::default());
        gauge.cancel();
        let ended = unroll(&empty(1 << 30), &file, dir.path(), &gauge).map(|_| ());
        assert!(matches!(ended, Err(ImportError::Cancelled)), "{ended:?}");
    }

    #[test]
    fn a_disk_is_packed_the_same_whatever_runs_it_comes_in() {
        let frame = FRAME_BYTES as u64;
        let zeros = vec![0; FRAME_BYTES + 700];
        let whole = pack(&[(b"abc", 2 * frame), (b"def", frame + 5)]);
        let mut disk = b"abc".to_vec();
        disk.resize(2 * FRAME_BYTES + 3, 0);
        disk.extend_from_slice(b"def");
        disk.resize(disk.len() + FRAME_BYTES + 5, 0);
        assert!(zstd::decode_all(&whole[..]).expect("zstd") == disk, "another disk");
        assert!(pack(&[(&disk, 0)]) == whole, "in one piece");
        let rest = 2 * frame - zeros.len() as u64;
        assert!(
            pack(&[(b"abc", 0), (&zeros, rest), (b"def", 1), (&[], frame + 4)]) == whole,
            "written zeros"
        );
        assert!(pack(&[]).is_empty());
    }
}
