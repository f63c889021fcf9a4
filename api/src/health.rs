//! Health and version.

use serde::{Deserialize, Serialize};

/// `GET /api/v1/health` and `GET /boot/v1/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// The worst of all checks.
    pub state: HealthState,
    /// Each check.
    pub checks: Vec<HealthCheck>,
    /// Each served network.
    pub networks: Vec<NetworkHealth>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Works.
    Ok,
    /// Works in part.
    Degraded,
    /// Does not work.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthCheck {
    /// What was checked: `store`, `discovery`, `loaders`, ...
    pub name: String,
    /// How it is.
    pub state: HealthState,
    /// In a sentence.
    pub message: String,
    /// What to do, where something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How one network is served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkHealth {
    /// Interface.
    pub interface: String,
    /// `proxy`, `server` or `off`.
    pub dhcp: String,
    /// How it is.
    pub state: HealthState,
    /// Whether DHCP requests are answered: not while it listens for another server, nor silenced by one.
    pub answering: bool,
    /// In a sentence.
    pub message: String,
    /// Another DHCP server heard here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_server: Option<String>,
    /// Addresses in the ranges.
    pub addresses: u64,
    /// Addresses in use.
    pub addresses_bound: u64,
}

/// `GET /api/v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    /// Version of the daemon.
    pub version: String,
    /// Version of the store's schema.
    pub schema: u32,
}
