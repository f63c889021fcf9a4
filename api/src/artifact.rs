//! Artifacts: immutable bytes with a SHA-256.

use serde::{Deserialize, Serialize};

use crate::{Actor, Millis, Packing, Progress};

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
    /// Where an import came from, and what it was then, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ArtifactOrigin>,
    /// When an import was last wanted: by an operation, or by a machine that fetched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Millis>,
    /// What keeps an import besides its own pin, such as `profile cloud-image` or `operation ID`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed_by: Vec<String>,
    /// Whether it could be deleted at this moment: the import, or what is to bring it.
    #[serde(default)]
    pub deletable: bool,
    /// Why it could not, in a sentence without a full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeletable: Option<String>,
    /// The download that is to bring it, or other bytes of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download: Option<ArtifactDownload>,
    /// What is being sent that is to bring it, or other bytes of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<ArtifactUpload>,
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
            origin: None,
            used_at: None,
            needed_by: Vec::new(),
            deletable: false,
            undeletable: None,
            download: None,
            upload: None,
            error: None,
        }
    }
}

/// `GET /api/v1/cache`: how much imports take. Bytes that several names have are counted once, as what keeps them
/// most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactUsage {
    /// Names of imports.
    pub imports: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// How many bytes are kept at most.
    pub bytes_max: u64,
    /// How long one is kept that nothing uses, in seconds.
    pub unused_secs_max: u64,
    /// Of the bytes, those that are pinned.
    pub pinned_bytes: u64,
    /// Of the bytes, those that are not, and that a profile or an operation needs.
    pub needed_bytes: u64,
    /// Of the bytes, those that make room for others: nothing holds them.
    pub evictable_bytes: u64,
    /// Bytes of boot files and of what is built of them; the limit does not count them.
    pub boot_bytes: u64,
}

/// Where an import came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ArtifactOrigin {
    /// Its URL, without what stands behind `?`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The digest that was asked for, such as `sha512:` and hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Whose signature was checked: fingerprint and name of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// What it was before it was converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted: Option<Converted>,
}

/// An image that was converted: what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Converted {
    /// Its format, such as `qcow2`.
    pub format: String,
    /// SHA-256 of what came, 64 hex digits.
    pub sha256: String,
    /// Bytes of what came.
    pub size_bytes: u64,
}

/// `PUT /api/v1/artifacts/{name}/download`: an image by URL. One of `sha256`, `sha512` and `checksums` is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Where it is: http or https.
    pub url: String,
    /// Its SHA-256, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its SHA-512, 128 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
    /// URL of a list of checksums that names the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<String>,
    /// URL of a detached OpenPGP signature of the list, or of the image where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// OpenPGP public keys, one of which has to have signed: armoured (`gpg --export --armor`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<String>,
}

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactDownload {
    /// Its URL, without what stands behind `?`.
    pub url: String,
    /// What is being done.
    pub step: DownloadStep,
    /// Bytes of this step.
    pub progress: Progress,
    /// 0 to 100, where the whole is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Seconds left at this rate, where both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secs_left: Option<u64>,
    /// What went wrong last: the reason, where the step is `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// How far something is that is being sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArtifactUpload {
    /// What is being done.
    pub step: DownloadStep,
    /// Bytes of this step.
    pub progress: Progress,
    /// 0 to 100, where the whole is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// What a download is doing, or an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DownloadStep {
    /// It waits for others.
    Waiting,
    /// Bytes come.
    Fetching,
    /// They did not; it is tried again.
    Retrying,
    /// The digest and the signature are checked.
    Checking,
    /// The image is converted.
    Converting,
    /// It was given up.
    Failed,
}

impl DownloadStep {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Retrying => "retrying",
            Self::Checking => "checking",
            Self::Converting => "converting",
            Self::Failed => "failed",
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
    /// Their SHA-512, 128 hex digits; others are not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
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

impl ArtifactKind {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loader => "loader",
            Self::Kernel => "kernel",
            Self::Initramfs => "initramfs",
            Self::Image => "image",
            Self::File => "file",
        }
    }
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
