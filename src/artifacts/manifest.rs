//! The manifest of the boot files: what each is, and where it came from.

use std::path::Path;

use serde::Deserialize;

use super::{ArtifactError, map_file};

/// Its name in the directory of the boot files.
pub(super) const MANIFEST: &str = "manifest.json";

/// A manifest has some 200 bytes for each file.
const BYTES_MAX: usize = 1 << 20;

/// `manifest.json`.
#[derive(Debug, Deserialize)]
pub struct BootManifest {
    /// Every boot file.
    pub files: Vec<BootFile>,
}

/// What the manifest says of one file.
#[derive(Debug, Clone, Deserialize)]
pub struct BootFile {
    /// Path in the directory.
    pub name: String,
    /// The Debian package that it came in.
    pub package: String,
    /// That package's version.
    pub version: String,
    /// That package's digest, 64 hex digits; empty where it is not known.
    #[serde(default)]
    pub deb_sha256: String,
    /// 64 hex digits.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
}

impl BootManifest {
    /// Reads the manifest in `dir`. The error names the file, and the place in it.
    pub fn load(dir: &Path) -> Result<Self, ArtifactError> {
        let path = dir.join(MANIFEST);
        let bytes = map_file(&path)?;
        let wrong = |what| ArtifactError::Manifest { path: path.clone(), what };
        if bytes.len() > BYTES_MAX {
            return Err(wrong(format!("larger than {BYTES_MAX} bytes")));
        }
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
    }
}
