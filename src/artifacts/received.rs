//! Images that are whole and on the disk: checked, converted where no machine boots from them as they came, and put
//! in their place.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ironwake_api::{Actor, ArtifactOrigin, Converted, DownloadStep, Millis, Packing};
use sha2::{Digest as _, Sha512};
use tempfile::{NamedTempFile, TempPath};
use tokio::sync::OwnedSemaphorePermit;

use super::intake::{Intake, Taken};
use super::room::{check_room, failed};
use super::unroll::{Unrolled, unroll};
use super::{ArtifactError, Gauge, ImportError, map_file};
use crate::artifact::{Digest, Expected, Import, Shape, disk_bytes, recognise};

/// How files end that are not whole.
pub(super) const PARTIAL: &str = ".partial";

/// An image that is being received from whoever sends it. Dropped, it leaves nothing.
pub struct Upload {
    pub(super) intake: Intake,
    pub(super) path: TempPath,
    pub(super) dir: PathBuf,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) gauge: Gauge,
}

impl Upload {
    /// How far it is; cancelled, it is not taken any more.
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    /// Takes the next bytes. May wait for the disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        if self.gauge.is_over() {
            return Err(ImportError::Cancelled);
        }
        self.intake.write(bytes)?;
        self.gauge.set(self.intake.size_bytes());
        Ok(())
    }

    /// All has come: forces it to the disk, if its digest is as `expected`. May take seconds, and minutes for what is
    /// converted.
    pub fn finish(self, expected: Option<Expected>) -> Result<Received, ImportError> {
        let Self { intake, path, dir, place, gauge } = self;
        let taken = intake.finish()?;
        let file = Whole { path, dir, taken };
        file.check(expected, &gauge)?.receive(gauge, Some(place))
    }
}

/// An empty file that is gone when it is dropped.
pub(super) fn temporary(dir: &Path) -> Result<(File, TempPath), ImportError> {
    let made = tempfile::Builder::new()
        .suffix(PARTIAL)
        .permissions(Permissions::from_mode(0o444))
        .tempfile_in(dir)
        .map_err(|source| failed(dir, source))?;
    Ok(made.into_parts())
}

/// All bytes of an image, in a file that is gone when it is dropped.
pub(super) struct Whole {
    pub path: TempPath,
    pub dir: PathBuf,
    pub taken: Taken,
}

/// An image whose bytes are those that were wanted.
pub(super) struct Checked {
    file: NamedTempFile,
    dir: PathBuf,
    bytes: Bytes,
    shape: Shape,
    sha256: Digest,
}

impl Whole {
    /// Compares its digest, and forces it to the disk.
    pub fn check(self, expected: Option<Expected>, gauge: &Gauge) -> Result<Checked, ImportError> {
        let Self { path, dir, taken: Taken { file, head, sha256, .. } } = self;
        gauge.enter(DownloadStep::Checking);
        let shape = recognise(&head)?;
        let compared = |found: Expected| match expected {
            Some(expected) if expected != found => {
                Err(ImportError::Mismatch { expected: expected.into(), found: found.into() })
            }
            _ => Ok(()),
        };
        if !matches!(expected, Some(Expected::Sha512(_))) {
            compared(Expected::Sha256(sha256))?;
        }
        file.sync_all().map_err(|source| failed(&dir, source))?;
        // What came stays as it is from here on, so that the file may be mapped.
        let bytes = map_file(&path)?;
        if matches!(expected, Some(Expected::Sha512(_))) {
            compared(Expected::Sha512(<[u8; 64]>::from(Sha512::digest(&bytes)).into()))?;
        }
        Ok(Checked { file: NamedTempFile::from_parts(file, path), dir, bytes, shape, sha256 })
    }
}

impl Checked {
    /// The bytes as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Leaves the file where it is, for a later turn to go on with.
    pub fn keep(mut self) {
        self.file.disable_cleanup(true);
    }

    /// Makes of it what machines fetch.
    pub fn receive(self, gauge: Gauge, place: Option<OwnedSemaphorePermit>) -> Result<Received, ImportError> {
        let Self { mut file, dir, bytes, shape, sha256 } = self;
        let packing = match shape {
            Shape::Disk(packing) => packing,
            Shape::Qcow2 => {
                let converted = convert(&dir, &bytes, sha256, gauge.clone(), place);
                // What came is converted by the next daemon.
                file.disable_cleanup(converted.is_err() && gauge.is_over() && !gauge.is_cancelled());
                return converted;
            }
        };
        let disk_bytes = disk_bytes(packing, &bytes);
        let permitted = fs::set_permissions(file.path(), Permissions::from_mode(0o444));
        permitted.map_err(|source| failed(&dir, source))?;
        Ok(Received { file, dir, bytes, sha256, packing, disk_bytes, converted: None, gauge, _place: place })
    }
}

/// Writes an image of QEMU again. What it came as is gone afterwards.
fn convert(
    dir: &Path,
    image: &Bytes,
    sha256: Digest,
    gauge: Gauge,
    place: Option<OwnedSemaphorePermit>,
) -> Result<Received, ImportError> {
    // What is packed again is hardly ever larger.
    check_room(dir, image.len() as u64)?;
    let (file, path) = temporary(dir)?;
    let Unrolled { sha256: packed, disk_bytes } = unroll(image, &file, dir, &gauge)?;
    let bytes = map_file(&path)?;
    let converted =
        Converted { format: "qcow2".into(), sha256: sha256.to_string(), size_bytes: image.len() as u64 };
    Ok(Received {
        file: NamedTempFile::from_parts(file, path),
        dir: dir.into(),
        bytes,
        sha256: packed,
        packing: Packing::Zstd,
        disk_bytes: Some(disk_bytes),
        converted: Some(converted),
        gauge,
        _place: place,
    })
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
    /// What it was before, if it is not what came.
    pub converted: Option<Converted>,
    gauge: Gauge,
    _place: Option<OwnedSemaphorePermit>,
}

impl Received {
    /// How many bytes machines fetch.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether nobody wants it any more.
    pub fn is_cancelled(&self) -> bool {
        self.gauge.is_cancelled()
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
            used_at: imported_at,
            origin: ArtifactOrigin { converted: self.converted.clone(), ..ArtifactOrigin::default() },
        }
    }

    /// Puts it in its place, durably, and gives its bytes. May replace the same bytes: those on the disk may have
    /// been spoilt. Waits for the disk.
    pub fn settle(self) -> Result<Bytes, ImportError> {
        let path = self.dir.join(self.sha256.to_string());
        self.file.persist(&path).map_err(|error| failed(&self.dir, error.error))?;
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(|source| ArtifactError::Write { path: self.dir.clone(), source })?;
        Ok(self.bytes)
    }
}
