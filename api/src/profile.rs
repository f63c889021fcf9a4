//! Profiles: what a machine can be made into.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{FieldProblem, OperationKind};

/// A profile in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileSummary {
    /// Its name.
    pub name: String,
    /// Its version, as its author counts.
    pub version: String,
    /// `image`, `installer`, `live` or `local`.
    pub kind: String,
    /// One line for people.
    pub summary: String,
    /// `shipped`, or its folder.
    pub origin: String,
    /// What it is filled with.
    pub variables: Vec<ProfileVariable>,
}

/// A variable of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileVariable {
    /// Its name.
    pub name: String,
    /// `string`, `text`, `integer`, `boolean`, `choice`, `hostname`, `address`, `cidr`, `ssh_keys` or `list`.
    pub kind: String,
    /// Whether something has to be given.
    pub required: bool,
    /// Whether it is never shown.
    pub secret: bool,
    /// One line for people.
    pub help: String,
    /// What it is unless something is given, by the profile; a site's value counts only where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub default: Option<serde_json::Value>,
    /// The words of a `choice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// At least: the value of an `integer`, the characters of a `string` or `text`, the items of a `list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// At most, of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// What a `string`, a `text` or each item of a `list` looks like: `*` stands for any text, case does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// All profiles, and the folders that are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Profiles {
    /// In force, by name.
    pub profiles: Vec<ProfileSummary>,
    /// Not in force as they are written.
    pub refused: Vec<RefusedProfile>,
}

/// A folder whose profile is wrong; the one before it stays in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedProfile {
    /// The folder.
    pub folder: String,
    /// Every mistake, with file, line and column.
    pub mistakes: String,
}

/// `GET /api/v1/machines/{key}/profiles`: whether one machine can become what a profile says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileFit {
    /// The profile's name.
    pub name: String,
    /// Its version, as its author counts.
    pub version: String,
    /// `image`, `installer`, `live` or `local`.
    pub kind: String,
    /// One line for people.
    pub summary: String,
    /// What makes a machine into it; absent for what a machine does without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationKind>,
    /// Whether the machine's hardware fits.
    pub fits: bool,
    /// Every reason why it does not, in sentences without a full stop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Kernel names of the disks that are large enough for it; none for what writes to no disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<String>,
    /// What it names by its defaults that is not here, each with what brings it, in sentences without a full stop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Variables that have a value for this machine without any from an operation, apart from the profile's own defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<String, GivenValue>,
    /// Variables that an operation has to give, since nothing else does for this machine, or what does is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<FieldProblem>,
}

/// A value that is written somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GivenValue {
    /// The value; `***` for a secret one.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub value: serde_json::Value,
    /// Where it is written: `site`, `tag` and its name, or `machine`.
    pub from: String,
}

/// `POST /api/v1/profiles/{name}/render`: what the profile would give for a machine, with `***` for each secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// The machine, by any of its keys.
    pub machine: String,
    /// Values for variables.
    #[serde(default)]
    pub variables: BTreeMap<String, serde_json::Value>,
    /// Which disk, by a rule; the only one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
}

/// A file that a profile gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RenderedFile {
    /// Where it comes to lie: a path in a filesystem, the last part of a URL, or `command line`.
    pub place: String,
    /// What it holds.
    pub content: String,
}
