//! The artifacts that machines can fetch: immutable bytes by name and by digest, mapped into memory.

mod boot_files;
mod fetch;
mod gauge;
mod imports;
mod intake;
mod manifest;
mod map;
mod pci_names;
mod received;
mod room;
mod shelf;
mod unroll;
mod vault;

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

pub use boot_files::{boot_dir, boot_dirs, expected_loaders, load_boot_files};
pub use fetch::{Fetch, FetchError, Fetched};
pub use gauge::{Gauge, Watched};
pub use imports::{IMAGE_BYTES_MAX, ImportError, Imports};
pub use manifest::{BootFile, BootManifest};
pub use map::{file_behind, map_file};
pub use pci_names::PciNames;
pub use received::{Received, Upload};
pub use shelf::Shelf;
pub use vault::Vault;

use crate::artifact::Digest;

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

impl Blob {
    /// Bytes under a name; `digest` is theirs.
    pub fn new(name: impl Into<String>, bytes: Bytes, digest: Digest) -> Self {
        let name = name.into();
        let media_type = media_type(&name);
        Self { name, bytes, sha256: digest.to_string(), media_type }
    }
}

/// What firmware wants to hear: HTTP Boot refuses a loader that is not `application/efi`.
fn media_type(name: &str) -> &'static str {
    if name.ends_with(".efi") { "application/efi" } else { "application/octet-stream" }
}

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Reading or mapping failed.
    #[error("read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest is not one.
    #[error("{path}: {what}")]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where in it.
        what: String,
    },
    /// Writing failed.
    #[error("write {path}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
