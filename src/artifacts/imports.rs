//! Images that operators import: received into a partial file, kept under their digest, published to machines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use ironwake_api::{Artifact, DownloadStep, ImageSource};
use tokio::sync::Semaphore;
use tracing::warn;

use super::fetch::Fetch;
use super::intake::Intake;
use super::received::{PARTIAL, Upload, temporary};
use super::room::{FREE_BYTES_MIN, check_room};
use super::{ArtifactError, Blob, Gauge, Shelf, map_file};
use crate::artifact::{BadQcow2, BadSignature, Digest, Download, Expected, ForeignFormat, Import, Tries};

/// Largest image: distributions' are below 4 GiB, a golden image of a workstation is some tens.
pub const IMAGE_BYTES_MAX: u64 = 64 << 30;
/// Uploads at once: each has a thread that writes, and more would only make the disk seek.
const UPLOADS_MAX: usize = 4;
/// How files end of which a download has brought a part; they outlive a restart.
pub(super) const DOWNLOAD: &str = ".download";

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
    /// It is one of QEMU that cannot be converted.
    #[error(transparent)]
    Qcow2(#[from] BadQcow2),
    /// It is a page for people.
    #[error("a web page came instead of an image: look at it, it says why; the URL has to be the file's own")]
    WebPage,
    /// Nobody who is trusted signed it.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// Whoever asked for it took that back.
    #[error("it was cancelled")]
    Cancelled,
    /// Other bytes than were announced.
    #[error("the image has {found}, and {expected} was asked for: nothing is kept")]
    Mismatch {
        /// What was announced.
        expected: Box<Expected>,
        /// What came.
        found: Box<Expected>,
    },
    /// The disk is full.
    #[error(
        "no room for the image: {free} bytes are free in {}, of which {FREE_BYTES_MIN} are for the database{}; \
         delete images, or enlarge the filesystem", dir.display(), lacking(*.missing)
    )]
    NoRoom {
        /// Where images are.
        dir: PathBuf,
        /// What is free there.
        free: u64,
        /// What is missing, as far as that is known.
        missing: Option<u64>,
    },
    /// What is held leaves no room for it.
    #[error(
        "the images that are pinned or needed leave no room for it: with it {over} bytes are more than the {max} of \
         `max_size` in [artifacts]; let some go (`ironwake artifact unpin`, `delete`) or raise it"
    )]
    OverLimit {
        /// Bytes beyond the limit.
        over: u64,
        /// The limit.
        max: u64,
    },
    /// Others send already.
    #[error("{UPLOADS_MAX} images are being imported already: try again when one of them is here")]
    Busy,
    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] ArtifactError),
}

fn lacking(missing: Option<u64>) -> String {
    missing.map(|bytes| format!(", so {bytes} are missing")).unwrap_or_default()
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
        let (file, path) = temporary(&self.dir)?;
        let gauge = Gauge::default();
        gauge.enter(DownloadStep::Fetching);
        gauge.set_total((declared > 0).then_some(declared));
        Ok(Upload { intake: Intake::new(file, &self.dir), path, dir: self.dir.clone(), place, gauge })
    }

    /// What fetches an image, from the bytes on that an earlier turn has brought; `tries` is what its tries have come to.
    pub fn fetch(&self, download: &Download, tries: Tries) -> Fetch {
        Fetch::new(download.clone(), self.dir.clone(), tries)
    }

    /// Removes what downloads have brought, but for those that are `wanted`.
    pub fn keep_downloads<'d>(&self, wanted: impl IntoIterator<Item = &'d Download>) {
        let wanted: Vec<String> = wanted.into_iter().map(|download| download.key().to_string()).collect();
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let key = name.split('.').next().unwrap_or_default();
            if name.contains(DOWNLOAD) && !wanted.iter().any(|wanted| wanted == key) {
                remove(&path);
            }
        }
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

    /// Every import, by name.
    pub fn all(&self) -> Vec<Import> {
        self.read().by_name.values().cloned().collect()
    }

    /// Digests of all bytes that are there.
    pub fn digests(&self) -> Vec<Digest> {
        self.read().contents.keys().copied().collect()
    }

    /// Whether these bytes are there.
    pub fn has(&self, digest: Digest) -> bool {
        self.read().contents.contains_key(&digest)
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

/// The shelf has names of its own: no import can take that of a loader.
fn shelf_name(digest: Digest) -> String {
    format!("imports/{digest}")
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        warn!(%error, path = %path.display(), "a file that is not needed stays until the next start");
    }
}

#[cfg(test)]
#[path = "imports_tests.rs"]
mod tests;
