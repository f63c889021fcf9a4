//! The appliance as an image with two slots, and its updates.

use serde::{Deserialize, Serialize};

use crate::{HealthState, Millis, Progress};

/// `GET /api/v1/appliance`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplianceStatus {
    /// What this is.
    pub kind: ApplianceKind,
    /// Version of the image, or of the daemon on a host.
    pub version: String,
    /// What it was booted from; absent on a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted_from: Option<ApplianceBoot>,
    /// Root slots of that disk.
    pub slots: Vec<ApplianceSlot>,
    /// Whether this version is on trial: it stays if it is found healthy.
    pub trial: bool,
}

/// What Ironwake runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApplianceKind {
    /// Its own image.
    Appliance,
    /// Somebody else's system.
    Host,
}

/// The disk that was booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplianceBoot {
    /// The kernel's name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// `usb`, `sata`, `nvme`, `virtio` or `mmc`, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    /// Whether it may be pulled out.
    pub removable: bool,
    /// A disk, or an image that is read only.
    pub medium: ApplianceMedium,
}

/// What an appliance is booted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApplianceMedium {
    /// A disk or a stick.
    Disk,
    /// A CD, or what a BMC shows as one.
    Iso,
}

/// A root slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplianceSlot {
    /// The kernel's name of the partition.
    pub device: String,
    /// The version in it; absent for an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether that runs. The running slot is never written.
    pub running: bool,
}

/// `GET /api/v1/update`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Update {
    /// The version that runs.
    pub running: String,
    /// Why no update can be installed here; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// Where new versions are looked for ([update] url); absent where that is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// When that was asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Millis>,
    /// Why it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_failed: Option<String>,
    /// What it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<UpdateAvailable>,
    /// Bundles on USB sticks that are plugged in.
    pub sticks: Vec<UpdateOnStick>,
    /// What is being installed, or was since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<UpdateProgress>,
    /// The last update that was installed, and what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<UpdateResult>,
    /// Whether a restart tries a version that is installed.
    pub restart_needed: bool,
}

/// A version that could be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateAvailable {
    /// Which.
    pub version: String,
    /// When it was built.
    pub built: Millis,
    /// How much is fetched.
    pub size_bytes: u64,
    /// Whose key signed it.
    pub signed_by: String,
    /// Whether it is newer than the one that runs.
    pub newer: bool,
}

/// A bundle on a stick. It is not looked into before it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateOnStick {
    /// As `POST /api/v1/update` takes it.
    pub path: String,
    /// How large it is.
    pub size_bytes: u64,
}

/// `POST /api/v1/update`: at most one of `url` and `stick`; with neither, what the channel has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateRequest {
    /// Where a bundle is fetched from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A bundle on a stick, as [`UpdateOnStick::path`] names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stick: Option<String>,
    /// Whether a version may be installed that is older than the one that runs.
    #[serde(default)]
    pub allow_older: bool,
}

/// Query of `PUT /api/v1/update`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct UpdateQuery {
    /// Whether a version may be installed that is older than the one that runs.
    #[serde(default)]
    pub allow_older: bool,
}

/// How far an update is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateProgress {
    /// The version, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What is being done.
    pub step: UpdateStep,
    /// How far that is.
    pub progress: Progress,
    /// How far in percent, where the end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Seconds that it takes yet, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secs_left: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl UpdateProgress {
    /// A step that begins.
    pub fn of(version: Option<String>, step: UpdateStep, progress: Progress) -> Self {
        let (percent, secs_left) = (progress.percent(), progress.secs_left());
        Self { version, step, progress, percent, secs_left, error: None }
    }

    /// Whether nothing is done any more.
    pub fn is_over(&self) -> bool {
        matches!(self.step, UpdateStep::Done | UpdateStep::Failed)
    }
}

/// Steps of an update, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UpdateStep {
    /// The bundle is fetched or sent.
    Fetching,
    /// Its signature and digests are checked.
    Checking,
    /// A snapshot of the database is made.
    Snapshot,
    /// It is unpacked.
    Unpacking,
    /// It is written to the other slot.
    Installing,
    /// It is installed: the next restart tries it.
    Done,
    /// It was not installed.
    Failed,
}

impl UpdateStep {
    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Checking => "checking",
            Self::Snapshot => "saving the database",
            Self::Unpacking => "unpacking",
            Self::Installing => "writing",
            Self::Done => "installed",
            Self::Failed => "failed",
        }
    }
}

/// What became of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateResult {
    /// The version that was installed.
    pub version: String,
    /// The one that ran then.
    pub from: String,
    /// When.
    pub at: Millis,
    /// How it stands.
    pub outcome: UpdateOutcome,
    /// How often it was started in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots: Option<u32>,
    /// Why it did not stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How an update stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UpdateOutcome {
    /// It is on the disk; a restart tries it.
    Installed,
    /// It runs, and has not been found healthy yet.
    Trial,
    /// It runs and stays.
    Good,
    /// It did not start, or was not healthy: the version before runs again.
    FellBack,
    /// It was not installed.
    Failed,
}

/// `POST /api/v1/appliance/self-test`: whether machines would be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SelfTest {
    /// Whether all of it passed.
    pub passed: bool,
    /// In a sentence.
    pub message: String,
    /// Each network whose DHCP is served.
    pub networks: Vec<SelfTestNetwork>,
    /// How the daemon is all together.
    pub health: HealthState,
}

/// The self-test of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SelfTestNetwork {
    /// Interface.
    pub interface: String,
    /// Whether a machine that boots there would be answered, or is rightly not.
    pub passed: bool,
    /// In a sentence.
    pub message: String,
}
