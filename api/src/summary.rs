//! What lists say of a machine in a few words, so that nobody has to read its inventory, its boots and its operations.

use serde::{Deserialize, Serialize};

use crate::{AttemptOutcome, Millis};

/// A machine's hardware, summed up from its last inventory. What the inventory does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct HardwareSummary {
    /// Manufacturer and product of the system, or of its board where the system's are default values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Model of the first processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Processors (filled sockets).
    pub cpus: u32,
    /// Cores of all processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Threads of all processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Memory, bytes: what is installed, or what the kernel can use where modules are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_bytes: Option<u64>,
    /// Disks that are built in: neither removable nor on USB, nor empty drives.
    pub disks: u32,
    /// Bytes of those disks together.
    pub disk_bytes: u64,
    /// Network interfaces.
    pub nics: u32,
}

/// The profile that was last written to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MachineProfile {
    /// Its name.
    pub name: String,
    /// Its version, as its author counts.
    pub version: String,
    /// Whether it is there.
    pub standing: ProfileStanding,
    /// The operation that wrote it.
    pub operation: String,
    /// Since when it stands so.
    pub since: Millis,
}

/// Whether a profile is on its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProfileStanding {
    /// Its operation has begun to write and has not ended.
    Installing,
    /// Its operation has ended well.
    Installed,
    /// Its operation failed after it had begun to write: nobody knows how much of it is there.
    Failed,
}

impl ProfileStanding {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::Failed => "failed",
        }
    }
}

/// A machine's boot attempt without its stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptBrief {
    /// Number; larger is later.
    pub id: i64,
    /// First stage.
    pub started_at: Millis,
    /// Last stage.
    pub last_at: Millis,
    /// How it stands.
    pub outcome: AttemptOutcome,
    /// The name of what is wrong, where something is, such as `no_loader_for_arch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<String>,
}
