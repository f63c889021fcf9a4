//! Room on the disk: looked for before and while images are written.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::{ArtifactError, ImportError};

/// So much stays free: the database lives on the same filesystem, and what it acknowledges must fit.
pub(super) const FREE_BYTES_MIN: u64 = 256 << 20;

/// Refuses to write so many bytes more where they would not fit.
pub(super) fn check_room(dir: &Path, wanted: u64) -> Result<(), ImportError> {
    let free = free_bytes(dir).map_err(|source| failed(dir, source))?;
    match wanted.saturating_add(FREE_BYTES_MIN).checked_sub(free) {
        None | Some(0) => Ok(()),
        Some(missing) => Err(ImportError::NoRoom { dir: dir.into(), free, missing: Some(missing) }),
    }
}

/// Why something could not be written.
pub(super) fn failed(dir: &Path, source: io::Error) -> ImportError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let free = free_bytes(dir).unwrap_or_default();
            ImportError::NoRoom { dir: dir.into(), free, missing: FREE_BYTES_MIN.checked_sub(free) }
        }
        _ => ArtifactError::Write { path: dir.into(), source }.into(),
    }
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    let filesystem = statvfs(dir)?;
    Ok(filesystem.blocks_available() as u64 * filesystem.fragment_size() as u64)
}
