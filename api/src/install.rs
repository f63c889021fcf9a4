//! The appliance's own disks, its installation on one of them, and factory reset.

use serde::{Deserialize, Serialize};

use crate::{Disk, Millis};

/// `GET /api/v1/appliance/disks`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplianceDisks {
    /// When they were read.
    pub read_at: Millis,
    /// What the appliance was booted from.
    pub booted_from: BootMedium,
    /// The smallest disk that it can be installed on.
    pub bytes_min: u64,
    /// Every disk.
    pub disks: Vec<ApplianceDisk>,
    /// What could not be read or looked wrong, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl ApplianceDisks {
    /// Those that it could be installed on.
    pub fn targets(&self) -> impl Iterator<Item = &ApplianceDisk> {
        self.disks.iter().filter(|disk| disk.refused.is_none())
    }
}

/// What an appliance was booted from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BootMedium {
    /// Kernel name of the disk; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// Whether it is meant to be taken out: a USB stick, a card, a CD or virtual media.
    pub removable: bool,
}

/// A disk of the appliance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplianceDisk {
    /// The disk, and what is on it.
    pub disk: Disk,
    /// Digest of its identity and of what is on it, `sha256:…`: an order names it, so that a disk that has changed since is not
    /// overwritten.
    pub digest: String,
    /// Why the appliance cannot be installed on it; absent where it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What is done once the appliance is installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum InstallThen {
    /// It waits, so that somebody takes the stick out.
    #[default]
    Wait,
    /// It restarts.
    Reboot,
    /// It is switched off.
    PowerOff,
}

/// `POST /api/v1/appliance/install`: everything on the disk is destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InstallNew {
    /// Kernel name of the disk, such as `nvme0n1`.
    pub disk: String,
    /// The digest that the list of disks has of it.
    pub digest: String,
    /// The disk's kernel name once more, as somebody typed it.
    pub confirm: String,
    /// What is done then.
    #[serde(default)]
    pub then: InstallThen,
}

/// How far an installation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum InstallPhase {
    /// None was begun since the appliance was booted.
    #[default]
    None,
    /// It was ordered.
    Ordered,
    /// The disk is compared with what was approved, and what will be written is gathered; nothing is written.
    Preparing,
    /// What was on the disk is removed.
    Wiping,
    /// The version that runs is copied.
    System,
    /// Boot files are copied.
    BootFiles,
    /// Configuration and state are copied.
    State,
    /// The partition table is written, and with it the disk can be booted.
    Finishing,
    /// It is installed.
    Done,
    /// It came to nothing.
    Failed,
}

impl InstallPhase {
    /// Whether work is under way.
    pub fn is_running(self) -> bool {
        !matches!(self, Self::None | Self::Done | Self::Failed)
    }

    /// In words.
    pub fn told(self) -> &'static str {
        match self {
            Self::None => "nothing was installed",
            Self::Ordered => "it is about to begin",
            Self::Preparing => "the disk is checked",
            Self::Wiping => "what was on the disk is removed",
            Self::System => "the system is copied",
            Self::BootFiles => "boot files are copied",
            Self::State => "configuration and state are copied",
            Self::Finishing => "the partition table is written",
            Self::Done => "installed",
            Self::Failed => "failed",
        }
    }
}

/// `GET /api/v1/appliance/install`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InstallState {
    /// How far it is.
    pub phase: InstallPhase,
    /// When it began; 0 where none has.
    #[serde(default)]
    pub begun_at: Millis,
    /// Kernel name of the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// Written so far, of all phases.
    pub done_bytes: u64,
    /// To be written in all; 0 while that is not known.
    pub total_bytes: u64,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What somebody should know of an installation that is done, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl InstallState {
    /// How much of it is done, 0 to 100.
    pub fn percent(&self) -> u8 {
        match self.phase {
            InstallPhase::Done => 100,
            _ if self.total_bytes == 0 => 0,
            _ => {
                let share = u128::from(self.done_bytes) * 100 / u128::from(self.total_bytes);
                // Only what can be booted is done.
                u8::try_from(share).unwrap_or(99).min(99)
            }
        }
    }
}

/// `POST /api/v1/appliance/factory-reset`: configuration, machines, keys and images of this appliance are destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FactoryReset {
    /// The appliance's host name, as somebody typed it.
    pub confirm: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_done_is_all_of_it() {
        let state = |phase, done_bytes, total_bytes| InstallState {
            phase,
            done_bytes,
            total_bytes,
            ..InstallState::default()
        };
        assert_eq!(state(InstallPhase::Preparing, 0, 0).percent(), 0);
        assert_eq!(state(InstallPhase::System, 50, 200).percent(), 25);
        assert_eq!(state(InstallPhase::Finishing, 300, 200).percent(), 99);
        assert_eq!(state(InstallPhase::Done, 190, 200).percent(), 100);
        assert!(state(InstallPhase::Ordered, 0, 0).phase.is_running());
        assert!(!InstallPhase::Failed.is_running());
    }
}
