//! Artifacts: immutable bytes with a SHA-256.

use serde::{Deserialize, Serialize};

use crate::{Actor, Millis, Packing};

/// One artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Artifact {
    /// Name, such as `snponly.efi` or `discovery/initramfs`.
    pub name: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// Where it stands.
    pub state: ArtifactState,
    /// Package or recipe it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Version of that package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Path under which machines fetch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When it was made or imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
    /// How long it took to build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_ms: Option<u64>,
    /// How an image is packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// Bytes of the disk that an image holds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Whether an import stays until it is unpinned. The pin is the name's: it stays when other bytes are imported.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Who imported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_by: Option<Actor>,
    /// What is wrong, where the state is `failed` or `missing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Artifact {
    /// An artifact of which nothing else is known.
    pub fn new(name: impl Into<String>, kind: ArtifactKind, state: ArtifactState) -> Self {
        Self {
            name: name.into(),
            kind,
            state,
            source: None,
            version: None,
            size: None,
            sha256: None,
            path: None,
            created_at: None,
            build_ms: None,
            packing: None,
            disk_bytes: None,
            pinned: false,
            imported_by: None,
            error: None,
        }
    }
}

/// `PUT /api/v1/artifacts/{name}`: what is said of the bytes that come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
pub struct ImportQuery {
    /// Their SHA-256, 64 hex digits; others are not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// `PATCH /api/v1/artifacts/{name}`: a field left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ArtifactPatch {
    /// Whether it stays until it is unpinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
}

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// A loader that firmware starts: iPXE, shim, GRUB.
    Loader,
    /// A kernel.
    Kernel,
    /// An initramfs.
    Initramfs,
    /// A disk image that an operator imported.
    Image,
    /// Anything else.
    File,
}

/// Where an artifact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ArtifactState {
    /// To be built.
    Queued,
    /// Being built.
    Working,
    /// Here.
    Done,
    /// Could not be built.
    Failed,
    /// Expected, but not found.
    Missing,
}
