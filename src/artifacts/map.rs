//! Files mapped into memory, and the way back from mapped bytes to their file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

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
    Ok(Bytes::from_owner(MappedFile::new(map, file)))
}

/// Every map by its first address: how long it is, and its file.
static MAPS: RwLock<BTreeMap<usize, (usize, Arc<File>)>> = RwLock::new(BTreeMap::new());

/// The file that these bytes are mapped from, and where they begin in it. The kernel can then send
/// them without their passing through this process.
pub fn file_behind(bytes: &[u8]) -> Option<(Arc<File>, u64)> {
    let address = bytes.as_ptr().addr();
    let maps = MAPS.read().unwrap_or_else(PoisonError::into_inner);
    let (first, (length, file)) = maps.range(..=address).next_back()?;
    let offset = address - first;
    (offset + bytes.len() <= *length).then(|| (file.clone(), offset as u64))
}

/// A map that is listed in [`MAPS`] while it lives.
struct MappedFile(Mmap);

impl MappedFile {
    fn new(map: Mmap, file: File) -> Self {
        let mut maps = MAPS.write().unwrap_or_else(PoisonError::into_inner);
        maps.insert(map.as_ptr().addr(), (map.len(), Arc::new(file)));
        Self(map)
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        MAPS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0.as_ptr().addr());
    }
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
        let bytes = map_file(&path).unwrap();
        let (file, offset) = file_behind(&bytes[2..]).expect("its file");
        assert_eq!((file.metadata().unwrap().len(), offset), (5, 2));
        let elsewhere = bytes.to_vec();
        assert!(file_behind(&elsewhere).is_none());
        let error = map_file(&dir.path().join("none")).unwrap_err();
        assert_eq!(error.to_string(), format!("read {}", dir.path().join("none").display()));
    }
}
