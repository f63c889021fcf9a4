//! The artifacts that machines can fetch: immutable bytes by name and by digest, mapped into memory.

use std::sync::Arc;

use bytes::Bytes;

/// Immutable bytes that are published.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Name, such as `snponly.efi` or `discovery/vmlinuz`; the path on TFTP and below `/boot/files/`.
    pub name: String,
    /// The bytes: a memory map, or bytes on the heap for small ones.
    pub bytes: Bytes,
    /// 64 hex digits.
    pub sha256: String,
    /// `application/efi`, `application/octet-stream`, ...
    pub media_type: &'static str,
}

/// Everything that is published; clones share it. Lookups never wait.
#[derive(Debug, Clone, Default)]
pub struct Shelf;

impl Shelf {
    /// By name. Leading `/` and doubled `/` must be gone already.
    pub fn by_name(&self, name: &str) -> Option<Arc<Blob>> {
        let _ = name;
        None
    }
    /// By digest (64 hex digits).
    pub fn by_digest(&self, sha256: &str) -> Option<Arc<Blob>> {
        let _ = sha256;
        None
    }
    /// Publishes, replacing what had this name.
    pub fn publish(&self, blob: Blob) {
        let _ = blob;
    }
}
