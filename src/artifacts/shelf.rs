//! The shelf: everything that is published.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Blob;

/// Everything that is published; clones share it. Lookups wait for nothing but the insertion of a pointer.
#[derive(Debug, Clone, Default)]
pub struct Shelf(Arc<RwLock<Index>>);

#[derive(Debug, Default)]
struct Index {
    by_name: HashMap<String, Arc<Blob>>,
    by_digest: HashMap<String, Arc<Blob>>,
}

impl Shelf {
    /// By name. Leading `/` and doubled `/` must be gone already.
    pub fn by_name(&self, name: &str) -> Option<Arc<Blob>> {
        self.read(|index| index.by_name.get(name).cloned())
    }

    /// By digest (64 hex digits).
    pub fn by_digest(&self, sha256: &str) -> Option<Arc<Blob>> {
        self.read(|index| index.by_digest.get(sha256).cloned())
    }

    /// Publishes, replacing what had this name. Transfers that have begun keep the bytes they began with.
    pub fn publish(&self, blob: Blob) {
        let blob = Arc::new(blob);
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = index.by_name.insert(blob.name.clone(), Arc::clone(&blob));
        if let Some(replaced) = replaced
            && replaced.sha256 != blob.sha256
        {
            index.inherit(&replaced.sha256);
        }
        index.by_digest.insert(blob.sha256.clone(), blob);
    }

    /// Takes what has this name off the shelf. Transfers that have begun keep the bytes.
    pub fn withdraw(&self, name: &str) -> Option<Arc<Blob>> {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let blob = index.by_name.remove(name)?;
        index.inherit(&blob.sha256);
        Some(blob)
    }

    fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        // Both maps are whole between any two statements of `publish`: a poisoned lock may be read.
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Index {
    /// A name with these bytes is gone: another may still stand for them.
    fn inherit(&mut self, sha256: &str) {
        let heir = self.by_name.values().find(|other| other.sha256 == sha256).cloned();
        match heir {
            Some(heir) => self.by_digest.insert(sha256.to_owned(), heir),
            None => self.by_digest.remove(sha256),
        };
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::artifact::Digest;

    fn blob(name: &str, bytes: &'static [u8]) -> Blob {
        Blob::new(name, Bytes::from_static(bytes), Digest::of(bytes))
    }

    fn sha256(bytes: &[u8]) -> String {
        Digest::of(bytes).to_string()
    }

    #[test]
    fn what_is_published_is_found_by_both_keys_in_every_clone() {
        let shelf = Shelf::default();
        let other = shelf.clone();
        shelf.publish(blob("snponly.efi", b"one"));
        assert_eq!(&other.by_name("snponly.efi").unwrap().bytes[..], b"one");
        let found = other.by_digest(&sha256(b"one")).unwrap();
        assert_eq!((found.name.as_str(), found.media_type), ("snponly.efi", "application/efi"));
        assert!(other.by_name("none").is_none());
        assert!(other.by_digest("none").is_none());
    }

    #[test]
    fn replaced_bytes_are_gone_unless_another_name_has_them() {
        let shelf = Shelf::default();
        shelf.publish(blob("a", b"one"));
        shelf.publish(blob("b", b"one"));
        shelf.publish(blob("b", b"two"));
        assert_eq!(shelf.by_digest(&sha256(b"one")).unwrap().name, "a");
        shelf.publish(blob("a", b"two"));
        assert!(shelf.by_digest(&sha256(b"one")).is_none());
        for name in ["a", "b"] {
            assert_eq!(&shelf.by_name(name).unwrap().bytes[..], b"two", "{name}");
        }
    }

    #[test]
    fn withdrawn_names_are_gone_and_their_bytes_with_the_last() {
        let shelf = Shelf::default();
        shelf.publish(blob("a", b"one"));
        shelf.publish(blob("b", b"one"));
        assert_eq!(shelf.withdraw("b").unwrap().name, "b");
        assert_eq!(shelf.by_digest(&sha256(b"one")).unwrap().name, "a");
        assert!(shelf.withdraw("b").is_none());
        shelf.withdraw("a");
        assert!(shelf.by_name("a").is_none() && shelf.by_digest(&sha256(b"one")).is_none());
    }
}
