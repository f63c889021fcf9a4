//! The pipeline: network, digest, unpacking and disk work at the same time, each at its own pace.
//!
//! The first block of the image holds its partition table. It is kept back and given to the caller once the
//! digest is right: a disk that was half written, by a fault or a power cut, has no table and boots nothing.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread,
};

use ironwake_api::{ImageSource, Packing};

use super::{
    fetch::{Fetch, FetchError},
    meter::Meter,
    pieces::{self, Pieces},
    target::{Block, Target},
    unpack::unpack,
};

/// What is written at once: large enough for every disk to be at its full speed.
pub const BLOCK_BYTES: usize = 4 << 20;
/// Blocks in flight: one is filled, one written, and two wait so that neither side does.
const BLOCKS: usize = 4;
/// Runs of zeros are handed to the device in pieces of this, so that progress can be seen.
pub const ZERO_BYTES_MAX: u64 = 128 << 20;

/// Why the image is not on the disk.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It came, and is not what was promised.
    #[error("the image's SHA-256 is {found}, {expected} was promised")]
    Digest {
        /// What was promised.
        expected: String,
        /// What came.
        found: String,
    },
    /// It cannot be unpacked.
    #[error("the image cannot be unpacked as {packing:?}: {source}")]
    Unpack {
        /// How it should be packed.
        packing: Packing,
        /// Why not.
        source: io::Error,
    },
    /// It does not fit.
    #[error("the image has more than the disk's {0} bytes")]
    TooLarge(u64),
    /// It is not as long as was said.
    #[error("the image has {found} bytes unpacked, {expected} were promised")]
    Length {
        /// What was promised.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The table in it is of no use on this disk.
    #[error(transparent)]
    Table(#[from] super::table::TableError),
    /// The disk refuses.
    #[error("byte {offset} cannot be written: {source}")]
    Disk {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The daemon has ended the operation.
    #[error("the operation was ended")]
    Ended,
}

/// A block of the image, on its way to the disk.
struct Filled {
    block: Block,
    offset: u64,
    length: usize,
}

/// What is left to write once all else is on the disk.
#[derive(Debug)]
pub struct Rest {
    /// The image's first block, `BLOCK_BYTES` at most, a multiple of the sector.
    pub first: Vec<u8>,
    /// Bytes of the image.
    pub image_bytes: u64,
}

/// Writes everything but the first block, and flushes. The digest has been compared when this returns.
pub fn write(
    base_url: &str,
    source: &ImageSource,
    target: &mut dyn Target,
    meter: &Meter,
) -> Result<Rest, WriteError> {
    let fetch = Fetch::new(base_url, source, meter, source.disk_bytes.is_none());
    write_fetched(fetch, source, target, meter)
}

pub(super) fn write_fetched(
    fetch: Fetch<'_>,
    source: &ImageSource,
    target: &mut dyn Target,
    meter: &Meter,
) -> Result<Rest, WriteError> {
    let (disk_bytes, sector_bytes) = (target.size_bytes(), target.sector_bytes());
    let (sending, digesting, pieces) = pieces::way();
    let (filled, to_write) = sync_channel(BLOCKS);
    let (emptied, empty) = channel();
    for _ in 0..BLOCKS {
        let _ = emptied.send(Block::new(BLOCK_BYTES));
    }
    let counts = source.disk_bytes.is_some();
    let (fetched, found, unpacked, written) = thread::scope(|scope| {
        let fetching = scope.spawn(move || fetch.run(&sending));
        let digesting = scope.spawn(move || digesting.run());
        let writing = scope.spawn(move || {
            let mut writer = Writer { target, meter, counts, zeros: 0..0 };
            to_write.into_iter().try_for_each(|block: Filled| {
                let result = writer.take(&block);
                let _ = emptied.send(block.block);
                result
            })?;
            writer.finish()
        });
        let mut filler = Filler { packing: source.packing, disk_bytes, sector_bytes, empty, filled };
        let unpacked = filler.run(pieces);
        // Its end is the writer's.
        drop(filler);
        (joined(fetching), joined(digesting), unpacked, joined(writing))
    });
    if meter.has_ended() {
        return Err(WriteError::Ended);
    }
    // A side that failed stops the others, which then know only that somebody has gone.
    written?;
    match fetched {
        Ok(()) | Err(FetchError::Stopped) => {}
        Err(error) => return Err(error.into()),
    }
    let rest = unpacked?.ok_or(FetchError::Stopped)?;
    if !found.eq_ignore_ascii_case(&source.sha256) {
        return Err(WriteError::Digest { expected: source.sha256.clone(), found });
    }
    if let Some(expected) = source.disk_bytes.filter(|expected| *expected != rest.image_bytes) {
        return Err(WriteError::Length { expected, found: rest.image_bytes });
    }
    Ok(rest)
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Unpacks into blocks.
struct Filler {
    packing: Packing,
    disk_bytes: u64,
    sector_bytes: u32,
    empty: Receiver<Block>,
    filled: SyncSender<Filled>,
}

impl Filler {
    /// `None` if the writer has gone.
    fn run(&mut self, mut packed: Pieces) -> Result<Option<Rest>, WriteError> {
        let rest = self.unpack(&mut packed)?;
        // Padding behind the packed image belongs to the digest too.
        let _ = io::copy(&mut packed, &mut io::sink());
        Ok(rest)
    }

    fn unpack(&mut self, packed: &mut Pieces) -> Result<Option<Rest>, WriteError> {
        let packing = self.packing;
        let unpack_error = |source| WriteError::Unpack { packing, source };
        let mut image = unpack(packing, packed).map_err(unpack_error)?;
        let mut first = Block::new(BLOCK_BYTES);
        let length = fill(&mut image, first.bytes_mut()).map_err(unpack_error)?;
        let mut offset = length as u64;
        self.check_fits(offset)?;
        super::table::check_sectors(&first.bytes()[..length], self.sector_bytes)?;
        let mut last = length;
        while last == BLOCK_BYTES {
            let Ok(mut block) = self.empty.recv() else { return Ok(None) };
            last = fill(&mut image, block.bytes_mut()).map_err(unpack_error)?;
            if last == 0 {
                break;
            }
            self.check_fits(offset + last as u64)?;
            let padded = self.padded(&mut block, last);
            if self.filled.send(Filled { block, offset, length: padded }).is_err() {
                return Ok(None);
            }
            offset += last as u64;
        }
        let padded = self.padded(&mut first, length);
        Ok(Some(Rest { first: first.bytes()[..padded].to_vec(), image_bytes: offset }))
    }

    fn check_fits(&self, end: u64) -> Result<(), WriteError> {
        if end > self.disk_bytes { Err(WriteError::TooLarge(self.disk_bytes)) } else { Ok(()) }
    }

    /// An image may end within a sector; a disk does not.
    fn padded(&self, block: &mut Block, length: usize) -> usize {
        let padded = length.next_multiple_of(self.sector_bytes as usize);
        block.bytes_mut()[length..padded].fill(0);
        padded
    }
}

/// Reads until the buffer is full or the image ends.
fn fill(image: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match image.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Writes blocks in order. Blocks of zeros become zeros on the disk too, but by the device's own command, many
/// at once: what a disk held before is never taken for zeros.
struct Writer<'a> {
    target: &'a mut dyn Target,
    meter: &'a Meter,
    counts: bool,
    zeros: std::ops::Range<u64>,
}

impl Writer<'_> {
    fn take(&mut self, block: &Filled) -> Result<(), WriteError> {
        let bytes = &block.block.bytes()[..block.length];
        if self.meter.has_ended() {
            return Err(WriteError::Ended);
        }
        if is_zero(bytes) {
            if self.zeros.is_empty() {
                self.zeros = block.offset..block.offset;
            }
            self.zeros.end = block.offset + block.length as u64;
            if self.zeros.end - self.zeros.start >= ZERO_BYTES_MAX {
                self.write_zeros()?;
            }
            return Ok(());
        }
        self.write_zeros()?;
        self.target
            .write_at(block.offset, bytes)
            .map_err(|source| WriteError::Disk { offset: block.offset, source })?;
        self.count(block.length as u64);
        Ok(())
    }

    fn write_zeros(&mut self) -> Result<(), WriteError> {
        let zeros = std::mem::replace(&mut self.zeros, 0..0);
        let length = zeros.end - zeros.start;
        if length > 0 {
            self.target
                .zero(zeros.start, length)
                .map_err(|source| WriteError::Disk { offset: zeros.start, source })?;
            self.count(length);
        }
        Ok(())
    }

    fn count(&self, bytes: u64) {
        if self.counts {
            self.meter.add(bytes);
        }
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        self.write_zeros()?;
        self.target.flush().map_err(|source| WriteError::Disk { offset: 0, source })
    }
}

/// Word by word, in steps of which the first ends most blocks: bytes alone would be the slowest part of a disk of zeros.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let are_zero = |words: &[[u8; 8]]| words.iter().fold(0, |all, word| all | u64::from_ne_bytes(*word)) == 0;
    rest.iter().all(|byte| *byte == 0) && words.chunks(512).all(are_zero)
}

#[cfg(test)]
mod tests;
