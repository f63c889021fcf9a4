//! Hosts: what runs on a machine once a system is installed, as it reports itself.

use serde::{Deserialize, Serialize};

use crate::{MacAddr, Millis};

/// `POST /boot/v1/operations/{id}/phone-home/{token}`: the host that an operation has installed runs. As JSON, or as
/// the form that cloud-init's `phone_home` sends, which has the first six fields; it writes `N/A` for what it lacks.
/// `POST /boot/v1/operations/{id}/heartbeat/{token}` takes the same, at each boot and as often as the profile says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct PhoneHome {
    /// The operation's id, as the profile wrote it.
    pub instance_id: Option<String>,
    /// Its name.
    pub hostname: Option<String>,
    /// Its name with domain.
    pub fqdn: Option<String>,
    /// Its SSH server's public RSA key.
    pub pub_key_rsa: Option<String>,
    /// Its SSH server's public ECDSA key.
    pub pub_key_ecdsa: Option<String>,
    /// Its SSH server's public Ed25519 key.
    pub pub_key_ed25519: Option<String>,
    /// SMBIOS UUID of the machine that it runs on.
    pub uuid: Option<String>,
    /// Serial number of the machine that it runs on.
    pub serial: Option<String>,
    /// MAC addresses of the machine that it runs on.
    pub macs: Vec<MacAddr>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// `/proc/sys/kernel/random/boot_id`
    pub boot_id: Option<String>,
    /// Its kernel's release.
    pub kernel: Option<String>,
    /// `PRETTY_NAME` of os-release.
    pub os: Option<String>,
    /// How long it has been up.
    pub uptime_secs: Option<u64>,
}

/// A host as it reported itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Host {
    /// When it phoned home.
    pub at: Millis,
    /// From which address.
    pub from: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Its SSH server's public keys, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// The boot that reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Its kernel's release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Its system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// How long it had been up then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_secs: Option<u64>,
}

/// What runs on a machine: as it called last, at its first boot or with a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MachineHost {
    /// The operation that installed it.
    pub operation: String,
    /// What it said of itself; what the last call left out is as it was said before.
    #[serde(flatten)]
    pub host: Host,
    /// How often its profile has it call; absent where the profile says nothing of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_secs: Option<u64>,
    /// Whether it calls as its profile says.
    pub reachability: Reachability,
}

/// Whether a host calls as its profile says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reachability {
    /// It does.
    Calling,
    /// It has missed several calls in a row.
    Silent,
    /// Its profile does not have it call regularly.
    Unwatched,
}
