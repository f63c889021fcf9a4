//! Settings: what is in force, and where each value is written.

use serde::{Deserialize, Serialize};

/// `GET /api/v1/settings`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settings {
    /// Every setting, by key.
    pub settings: Vec<Setting>,
    /// Keys that were changed through the API and count from the daemon's next start on.
    pub restart: Vec<String>,
    /// What a person should look at, for the daemon cannot know it; only in the answer to a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Setting {
    /// As a path: `http.listen`, `network[0].dhcp`.
    pub key: String,
    /// Its value in TOML; `***` for what is or may be secret.
    pub value: String,
    /// Where it comes from.
    pub origin: SettingOrigin,
    /// File and line; absent for a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SettingOrigin {
    /// Nobody set it.
    Default,
    /// The operator's file.
    File,
    /// The operator's file, which systemd passed as a credential.
    Credential,
    /// The API.
    Settings,
}
