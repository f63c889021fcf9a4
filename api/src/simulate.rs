//! What a machine would get, and why, without anything being sent.

use serde::{Deserialize, Serialize};

/// `GET /api/v1/simulate`: the machine to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct SimulateQuery {
    /// MAC address in any spelling.
    pub mac: String,
    /// Architecture by name (`bios`, `uefi-x64`, `http-x64`, ...) or number.
    pub arch: String,
    /// SMBIOS UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// System serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Interface of the network it boots on; the first one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// One step of a simulated boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulatedStep {
    /// Which program asks, and how.
    pub step: String,
    /// What it gets: a file, a URL, a script.
    pub gets: String,
    /// Why.
    pub why: String,
}
