//! Files mapped into memory.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

use super::ArtifactError;

/// The bytes of a file, read by the kernel when they are used. The file must never be written again:
/// what replaces it is renamed over it.
pub fn map_file(path: &Path) -> Result<Bytes, ArtifactError> {
    let failed = |source| ArtifactError::Read { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size == 0 {
        // mmap refuses a length of zero.
        return Ok(Bytes::new());
    }
    // SAFETY: the map is only sound while nobody truncates or writes the file. Boot files and the
    // files of the vault are immutable: both are put in place whole, by rename, and never opened for
    // writing afterwards; the map keeps the replaced file alive.
    let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_mapped_even_empty_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"").unwrap();
        assert!(map_file(&path).unwrap().is_empty());
        std::fs::write(&path, b"bytes").unwrap();
        assert_eq!(&map_file(&path).unwrap()[..], b"bytes");
        let error = map_file(&dir.path().join("none")).unwrap_err();
        assert_eq!(error.to_string(), format!("read {}", dir.path().join("none").display()));
    }
}
