//! A disk as something to write to: aligned blocks past the page cache, and zeros by the device itself.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, FileTypeExt, OpenOptionsExt},
    },
    path::PathBuf,
    thread,
    time::Duration,
};

use nix::errno::Errno;

use super::guard::ApprovedTarget;

/// Memory that the kernel writes from without a copy begins at a multiple of this: a page, and the largest sector.
const ALIGNMENT: usize = 4096;
/// How often the kernel is asked to read the partition table again while somebody still has the old one open.
const REREAD_TRIES: u32 = 20;
/// The pause between.
const REREAD_PAUSE: Duration = Duration::from_millis(500);

mod ioctl {
    //! linux/fs.h.

    nix::ioctl_none!(blkrrpart, 0x12, 95);
    nix::ioctl_write_ptr_bad!(blkzeroout, nix::request_code_none!(0x12, 127), [u64; 2]);
    nix::ioctl_read!(blkgetdiskseq, 0x12, 128, u64);
}

/// What an image is written to. Offsets and lengths are multiples of the sector.
pub trait Target: Send {
    /// Size.
    fn size_bytes(&self) -> u64;
    /// Logical sector.
    fn sector_bytes(&self) -> u32;
    /// Writes all of `bytes`.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes these bytes zero, however the device does that best.
    fn zero(&mut self, offset: u64, length: u64) -> io::Result<()>;
    /// Everything written is on the medium once this returns.
    fn flush(&mut self) -> io::Result<()>;
}

/// Why an approved disk could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something holds it.
    #[error("{name} is in use by something that the agent cannot release")]
    Busy {
        /// Kernel name.
        name: String,
    },
    /// Another device has its name.
    #[error("{name} is another device than the one that was checked: it was pulled out and put back")]
    Replaced {
        /// Kernel name.
        name: String,
    },
    /// Anything else.
    #[error("open {path} for writing: {source}")]
    Io {
        /// The node.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// An approved disk, open for writing by nobody else.
#[derive(Debug)]
pub struct DiskTarget {
    file: File,
    name: String,
    size_bytes: u64,
    sector_bytes: u32,
    /// Tests write to plain files.
    is_device: bool,
}

impl DiskTarget {
    /// The only place that opens a disk for writing.
    pub fn open(approved: &ApprovedTarget) -> Result<Self, OpenError> {
        let name = approved.name().to_owned();
        let path = approved.node().to_owned();
        // Exclusive: the kernel refuses while the disk or a partition is mounted, in an array or mapped.
        let open = |flags| {
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_EXCL | flags).open(approved.node())
        };
        // Only some filesystems refuse direct writing; every disk can.
        let file = open(libc::O_DIRECT)
            .or_else(|error| if is(&error, Errno::EINVAL) { open(0) } else { Err(error) });
        let file = match file {
            Ok(file) => file,
            Err(error) if is(&error, Errno::EBUSY) => return Err(OpenError::Busy { name }),
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let kind = file.metadata().map_err(|source| OpenError::Io { path, source })?.file_type();
        let is_device = kind.is_block_device();
        if is_device && approved.sequence().is_some() && disk_sequence(&file) != approved.sequence() {
            return Err(OpenError::Replaced { name });
        }
        Ok(Self {
            file,
            name,
            size_bytes: approved.size_bytes(),
            sector_bytes: approved.sector_bytes(),
            is_device,
        })
    }

    /// Kernel name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the kernel read the partition table again.
    pub fn reread_partitions(&self) -> io::Result<()> {
        if !self.is_device {
            return Ok(());
        }
        let mut result = Ok(());
        for _ in 0..REREAD_TRIES {
            // SAFETY: this ioctl takes no argument; the descriptor is open.
            result = unsafe { ioctl::blkrrpart(self.file.as_raw_fd()) }.map(drop);
            if result != Err(Errno::EBUSY) {
                break;
            }
            thread::sleep(REREAD_PAUSE);
        }
        Ok(result?)
    }
}

impl Target for DiskTarget {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return self.file.write_all_at(bytes, offset);
        }
        let mut block = Block::new(bytes.len());
        block.bytes_mut().copy_from_slice(bytes);
        self.file.write_all_at(block.bytes(), offset)
    }

    fn zero(&mut self, offset: u64, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        if self.is_device {
            // SAFETY: the ioctl reads two numbers, offset and length, which live until it returns.
            unsafe { ioctl::blkzeroout(self.file.as_raw_fd(), &[offset, length]) }?;
            return Ok(());
        }
        let block = Block::new(1 << 20);
        let mut at = offset;
        while at < offset + length {
            let part = (offset + length - at).min(block.bytes().len() as u64);
            self.file.write_all_at(&block.bytes()[..part as usize], at)?;
            at += part;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

/// `None` where the kernel is too old to count.
fn disk_sequence(file: &File) -> Option<u64> {
    let mut sequence = 0;
    // SAFETY: the ioctl writes one number to the place given, which lives until it returns.
    unsafe { ioctl::blkgetdiskseq(file.as_raw_fd(), &mut sequence) }.ok()?;
    Some(sequence)
}

/// Zeroed memory that begins at a page.
#[derive(Debug)]
pub struct Block {
    storage: Vec<u8>,
    skipped: usize,
    length: usize,
}

impl Block {
    /// `length` zeros.
    pub fn new(length: usize) -> Self {
        // Never grown, so it stays where it is.
        let storage = vec![0; length + ALIGNMENT];
        let skipped = storage.as_ptr().align_offset(ALIGNMENT);
        Self { storage, skipped, length }
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.skipped..][..self.length]
    }

    /// What it holds, to change.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.skipped..][..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{guard, testing::Fixture};

    #[test]
    fn blocks_begin_at_a_page() {
        for length in [512, 4096, 4 << 20] {
            let block = Block::new(length);
            assert!(block.bytes().as_ptr().addr().is_multiple_of(ALIGNMENT));
            assert_eq!(block.bytes().len(), length);
        }
    }

    #[test]
    fn what_is_written_and_zeroed_is_there() {
        let machine = Fixture::new();
        machine.add_disk("sda", Some("S1"), 4 << 20);
        machine.write("sda", 0, &vec![7; 4 << 20]);
        let approved = guard::check(machine.root(), &machine.approve("sda")).expect("approved");
        let mut target = DiskTarget::open(&approved).expect("a disk");
        target.zero(1 << 20, (2 << 20) + 512).expect("zeros");
        target.write_at(2 << 20, &[9; 1024]).expect("bytes");
        target.flush().expect("the medium");
        target.reread_partitions().expect("a plain file has none");
        let mut expected = vec![7; 4 << 20];
        expected[1 << 20..(3 << 20) + 512].fill(0);
        expected[2 << 20..(2 << 20) + 1024].fill(9);
        assert!(machine.read("sda") == expected);
    }
}
