//! Bytes of an image on their way to the disk, whoever sends them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::room::{check_room, failed};
use super::{ArtifactError, IMAGE_BYTES_MAX, ImportError};
use crate::artifact::{Digest, HEAD_BYTES, is_web_page, recognise};

/// After so many bytes what came is forced to the disk: the sender's progress is then that of the disk, and the
/// end does not take minutes.
const SYNC_EVERY_BYTES: u64 = 256 << 20;
/// After so many bytes room is looked for again: others write to the same filesystem.
const LOOK_EVERY_BYTES: u64 = 16 << 20;
/// Bytes that are read at once from what came before a restart.
const PIECE_BYTES: usize = 1 << 20;

/// A file that is written, and what is in it.
pub(super) struct Intake {
    file: File,
    dir: PathBuf,
    hash: Sha256,
    head: Vec<u8>,
    size_bytes: u64,
}

/// What has come, once it is all.
pub(super) struct Taken {
    pub file: File,
    pub head: Vec<u8>,
    pub sha256: Digest,
}

impl Intake {
    /// Takes bytes into an empty file in `dir`.
    pub fn new(file: File, dir: &Path) -> Self {
        let head = Vec::with_capacity(HEAD_BYTES);
        Self { file, dir: dir.into(), hash: Sha256::new(), head, size_bytes: 0 }
    }

    /// Goes on behind what a file in `dir` has. Reads all of it.
    pub fn resume(mut file: File, dir: &Path) -> Result<Self, ImportError> {
        let mut piece = vec![0; PIECE_BYTES];
        file.seek(SeekFrom::Start(0)).map_err(|source| failed(dir, source))?;
        let mut intake = Self::new(file, dir);
        loop {
            let count = match intake.file.read(&mut piece) {
                Ok(0) => return Ok(intake),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(ArtifactError::Read { path: dir.into(), source }.into()),
            };
            intake.note(&piece[..count])?;
        }
    }

    /// Forgets all that came.
    pub fn restart(&mut self) -> Result<(), ImportError> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|source| failed(&self.dir, source))?;
        self.hash = Sha256::new();
        self.head.clear();
        self.size_bytes = 0;
        Ok(())
    }

    /// How many bytes are there.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes the next bytes. May wait for the disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let before = self.size_bytes;
        self.note(bytes)?;
        self.file.write_all(bytes).map_err(|source| failed(&self.dir, source))?;
        let passed = |step| before / step != self.size_bytes / step;
        if passed(SYNC_EVERY_BYTES) {
            self.file.sync_data().map_err(|source| failed(&self.dir, source))?;
        }
        if passed(LOOK_EVERY_BYTES) {
            check_room(&self.dir, 0)?;
        }
        Ok(())
    }

    /// Refuses what is not wanted at once, not after gigabytes.
    fn note(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        if self.size_bytes + bytes.len() as u64 > IMAGE_BYTES_MAX {
            return Err(ImportError::TooLarge);
        }
        if self.head.len() < HEAD_BYTES {
            let missing = HEAD_BYTES - self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
            recognise(&self.head)?;
            if is_web_page(&self.head) {
                return Err(ImportError::WebPage);
            }
        }
        self.size_bytes += bytes.len() as u64;
        self.hash.update(bytes);
        Ok(())
    }

    /// All has come.
    pub fn finish(self) -> Result<Taken, ImportError> {
        let Self { file, hash, head, size_bytes, .. } = self;
        match size_bytes {
            0 => Err(ImportError::Empty),
            _ => Ok(Taken { file, head, sha256: <[u8; 32]>::from(hash.finalize()).into() }),
        }
    }
}
