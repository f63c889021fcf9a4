//! Images that operators import: received into a partial file, kept under their digest, published to machines.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use ironwake_api::{Actor, Artifact, ImageSource, Millis, Packing};
use nix::sys::statvfs::statvfs;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use super::{ArtifactError, Blob, Shelf, map_file};
use crate::artifact::{Digest, ForeignFormat, HEAD_BYTES, Import, disk_bytes, recognise};

/// Largest image: distributions' are below 4 GiB, a golden image of a workstation is some tens.
pub const IMAGE_BYTES_MAX: u64 = 64 << 30;
/// Uploads at once: each has a thread that writes, and more would only make the disk seek.
const UPLOADS_MAX: usize = 4;
/// So much stays free: the database lives on the same filesystem, and what it acknowledges must fit.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// After so many bytes what came is forced to the disk: the sender's progress is then that of the disk, and the
/// end does not take minutes.
const SYNC_EVERY_BYTES: u64 = 256 << 20;
/// After so many bytes room is looked for again: others write to the same filesystem.
const LOOK_EVERY_BYTES: u64 = 16 << 20;
/// How files end that are not whole.
const PARTIAL: &str = ".partial";

/// Why an image is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// More than any image has.
    #[error("the image is larger than {IMAGE_BYTES_MAX} bytes, which is the limit for one")]
    TooLarge,
    /// Nothing came.
    #[error("the image has no bytes")]
    Empty,
    /// It is no disk.
    #[error(transparent)]
    Foreign(#[from] ForeignFormat),
    /// Other bytes than were announced.
    #[error("the image has SHA-256 {found}, and {expected} was asked for: nothing is kept")]
    Mismatch {
        /// What was announced.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The disk is full.
    #[error(
        "no room for the image: {free} bytes are free in {}, of which {FREE_BYTES_MIN} are for the database; \
         delete images, or enlarge the filesystem", dir.display()
    )]
    NoRoom {
        /// Where images are.
        dir: PathBuf,
        /// What is free there.
        free: u64,
    },
    /// Others send already.
    #[error("{UPLOADS_MAX} images are being imported already: try again when one of them is here")]
    Busy,
    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] ArtifactError),
}

/// `imports` in the state directory, and what of it has which name. Files are named by the SHA-256 of their bytes.
pub struct Imports {
    dir: PathBuf,
    shelf: Shelf,
    places: Arc<Semaphore>,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    by_name: BTreeMap<String, Import>,
    /// The files that are there, with their sizes.
    contents: BTreeMap<Digest, u64>,
}

impl Imports {
    /// Opens the directory, making it, removes what was not received to its end and publishes the rest. The names
    /// are the store's: [`Imports::put`] each, then [`Imports::sweep`].
    pub fn open(state_dir: &Path, shelf: Shelf) -> Result<Self, ArtifactError> {
        let dir = state_dir.join("imports");
        fs::create_dir_all(&dir).map_err(|source| ArtifactError::Write { path: dir.clone(), source })?;
        let places = Arc::new(Semaphore::new(UPLOADS_MAX));
        let imports = Self { dir, shelf, places, table: RwLock::default() };
        let failed = |source| ArtifactError::Read { path: imports.dir.clone(), source };
        for entry in fs::read_dir(&imports.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(PARTIAL) {
                remove(&path);
            } else if let Ok(digest) = name.parse() {
                match map_file(&path) {
                    Ok(bytes) => imports.publish(digest, bytes),
                    Err(error) => warn!(%error, path = %path.display(), "an imported image is not usable"),
                }
            }
        }
        Ok(imports)
    }

    /// Begins to receive an image, of which `declared` bytes are said to come. Whatever becomes of it, nothing is
    /// left of an upload that is dropped.
    pub fn receive(&self, declared: Option<u64>) -> Result<Upload, ImportError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| ImportError::Busy)?;
        let declared = declared.unwrap_or_default();
        if declared > IMAGE_BYTES_MAX {
            return Err(ImportError::TooLarge);
        }
        check_room(&self.dir, declared)?;
        let file = tempfile::Builder::new()
            .suffix(PARTIAL)
            .permissions(Permissions::from_mode(0o444))
            .tempfile_in(&self.dir)
            .map_err(|source| failed(&self.dir, source))?;
        let (dir, hash, head) = (self.dir.clone(), Sha256::new(), Vec::with_capacity(HEAD_BYTES));
        Ok(Upload { file, dir, hash, head, size_bytes: 0, place })
    }

    /// Publishes bytes that are in their place. They are swept unless an import gets them.
    pub fn publish(&self, digest: Digest, bytes: Bytes) {
        self.write().contents.insert(digest, bytes.len() as u64);
        self.shelf.publish(Blob::new(shelf_name(digest), bytes, digest));
    }

    /// Names bytes.
    pub fn put(&self, import: Import) {
        self.write().by_name.insert(import.name.clone(), import);
    }

    /// Forgets a name.
    pub fn forget(&self, name: &str) {
        self.write().by_name.remove(name);
    }

    /// Removes bytes that have no name, unless `needed` by something else; asked with 64 hex digits. Machines that
    /// fetch them get them to the end: what is given back are their maps, and the disk is free once the last one is
    /// dropped. That takes seconds for gigabytes, so it is not for a thread that others wait for.
    #[must_use]
    pub fn sweep(&self, needed: impl Fn(&str) -> bool) -> Vec<Arc<Blob>> {
        let mut table = self.write();
        let Table { by_name, contents } = &mut *table;
        let unnamed = |digest: &Digest| !by_name.values().any(|import| import.sha256 == *digest);
        let gone: Vec<Digest> = contents.keys().copied().filter(unnamed).collect();
        let mut maps = Vec::new();
        for digest in gone.into_iter().filter(|digest| !needed(&digest.to_string())) {
            contents.remove(&digest);
            maps.extend(self.shelf.withdraw(&shelf_name(digest)));
            remove(&self.dir.join(digest.to_string()));
        }
        maps
    }

    /// How many names there are.
    pub fn count(&self) -> usize {
        self.read().by_name.len()
    }

    /// The import of this name.
    pub fn get(&self, name: &str) -> Option<Import> {
        self.read().by_name.get(name).cloned()
    }

    /// The image of this name as work names it to the agent, if its bytes are there.
    pub fn image(&self, name: &str) -> Option<ImageSource> {
        let table = self.read();
        let import = table.by_name.get(name)?;
        self.error(&table, import).is_none().then(|| import.source())
    }

    /// Whether bytes of this digest (64 hex digits) are there, whatever their name.
    pub fn holds(&self, sha256: &str) -> bool {
        sha256.parse().is_ok_and(|digest| self.read().contents.contains_key(&digest))
    }

    /// The artifact of this name.
    pub fn artifact(&self, name: &str) -> Option<Artifact> {
        let table = self.read();
        table.by_name.get(name).map(|import| import.shown(self.error(&table, import)))
    }

    /// All artifacts, by name.
    pub fn artifacts(&self) -> Vec<Artifact> {
        let table = self.read();
        table.by_name.values().map(|import| import.shown(self.error(&table, import))).collect()
    }

    /// Why an import cannot be used.
    fn error(&self, table: &Table, import: &Import) -> Option<String> {
        let path = self.dir.join(import.sha256.to_string());
        match table.contents.get(&import.sha256) {
            Some(size) if *size == import.size_bytes => None,
            Some(size) => {
                let expected = import.size_bytes;
                Some(format!("{} has {size} bytes instead of {expected}: import it again", path.display()))
            }
            None => Some(format!("{} is not there: import it again", path.display())),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().expect("no panic while held")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().expect("no panic while held")
    }
}

/// An image that is being received.
pub struct Upload {
    file: NamedTempFile,
    dir: PathBuf,
    hash: Sha256,
    head: Vec<u8>,
    size_bytes: u64,
    place: OwnedSemaphorePermit,
}

impl Upload {
    /// Takes the next bytes. May wait for the disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let before = self.size_bytes;
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > IMAGE_BYTES_MAX {
            return Err(ImportError::TooLarge);
        }
        if self.head.len() < HEAD_BYTES {
            let missing = HEAD_BYTES - self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
            // What is not wanted is refused at once, not after gigabytes.
            recognise(&self.head)?;
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|source| failed(&self.dir, source))?;
        let passed = |step| before / step != self.size_bytes / step;
        if passed(SYNC_EVERY_BYTES) {
            self.file.as_file().sync_data().map_err(|source| failed(&self.dir, source))?;
        }
        if passed(LOOK_EVERY_BYTES) {
            check_room(&self.dir, 0)?;
        }
        Ok(())
    }

    /// All has come: forces it to the disk, if its digest is as `expected`. May take seconds.
    pub fn finish(self, expected: Option<Digest>) -> Result<Received, ImportError> {
        let Self { file, dir, hash, head, size_bytes, place } = self;
        if size_bytes == 0 {
            return Err(ImportError::Empty);
        }
        let packing = recognise(&head)?;
        let sha256 = Digest::from(<[u8; 32]>::from(hash.finalize()));
        if let Some(expected) = expected.filter(|expected| *expected != sha256) {
            return Err(ImportError::Mismatch { expected, found: sha256 });
        }
        file.as_file().sync_all().map_err(|source| failed(&dir, source))?;
        // The last byte is written: from here on the file may be mapped.
        let bytes = map_file(file.path())?;
        let disk_bytes = disk_bytes(packing, &bytes);
        Ok(Received { file, dir, bytes, sha256, packing, disk_bytes, _place: place })
    }
}

/// An image that is whole and on the disk, but not in its place.
pub struct Received {
    file: NamedTempFile,
    dir: PathBuf,
    bytes: Bytes,
    /// Digest of the bytes.
    pub sha256: Digest,
    /// How the disk is packed in them.
    pub packing: Packing,
    /// Bytes of that disk, where that is known.
    pub disk_bytes: Option<u64>,
    _place: OwnedSemaphorePermit,
}

impl Received {
    /// How many bytes came.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The record that names it.
    pub fn import(&self, name: &str, pinned: bool, imported_at: Millis, imported_by: Actor) -> Import {
        Import {
            name: name.into(),
            sha256: self.sha256,
            size_bytes: self.size_bytes(),
            packing: self.packing,
            disk_bytes: self.disk_bytes,
            pinned,
            imported_at,
            imported_by,
        }
    }

    /// Puts it in its place, durably, and gives its bytes. May replace the same bytes: those on the disk may have
    /// been spoilt. Waits for the disk.
    pub fn settle(self) -> Result<Bytes, ImportError> {
        let path = self.dir.join(self.sha256.to_string());
        self.file.persist(&path).map_err(|error| failed(&self.dir, error.error))?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(|source| failed(&self.dir, source))?;
        Ok(self.bytes)
    }
}

/// The shelf has names of its own: no import can take that of a loader.
fn shelf_name(digest: Digest) -> String {
    format!("imports/{digest}")
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        warn!(%error, path = %path.display(), "a file that is not needed stays until the next start");
    }
}

fn failed(dir: &Path, source: io::Error) -> ImportError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ImportError::NoRoom { dir: dir.into(), free: free_bytes(dir).unwrap_or_default() }
        }
        _ => ArtifactError::Write { path: dir.into(), source }.into(),
    }
}

fn check_room(dir: &Path, wanted: u64) -> Result<(), ImportError> {
    let free = free_bytes(dir).map_err(|source| failed(dir, source))?;
    match free < wanted.saturating_add(FREE_BYTES_MIN) {
        true => Err(ImportError::NoRoom { dir: dir.into(), free }),
        false => Ok(()),
    }
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    let filesystem = statvfs(dir)?;
    Ok(filesystem.blocks_available() as u64 * filesystem.fragment_size() as u64)
}

#[cfg(test)]
#[path = "imports_tests.rs"]
mod tests;
