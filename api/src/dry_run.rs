//! Dry runs: what an operation would be, without making it.

use serde::{Deserialize, Serialize};

use crate::{ApprovedDisk, FieldProblem, OperationKind, ProfileChoice, RenderedFile};

/// `POST /api/v1/machines/{key}/operations/dry-run`: what would be recorded if the operation was made at this moment, and
/// everything that is wrong with it. Nothing is saved and nothing happens. What a mistake keeps from being known is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DryRun {
    /// The machine's id.
    pub machine: String,
    /// What would be done.
    pub kind: OperationKind,
    /// Every mistake, each with its field: those of the operation, or `machine` where the machine is in the way. An operation
    /// with none would be made.
    pub mistakes: Vec<FieldProblem>,
    /// The disks that would be overwritten, with what is on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<ApprovedDisk>,
    /// The profile with every value that it was given anywhere; secret ones are shown as `***`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileChoice>,
    /// What the host would be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The artifacts that it would need, by name, each as it is here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<SettledArtifact>,
    /// What the profile gives, with `***` for each secret and addresses of nobody for its URLs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<RenderedFile>,
    /// The profile's steps on the host, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// An artifact that an operation needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettledArtifact {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
}
