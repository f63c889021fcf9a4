//! Operations: one durable piece of work on one machine, with its states, history and approved disks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Actor, ApprovedDisk, Batch, Host, Millis, StepResult};

/// What is to be done with a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Read its inventory again; nothing is written.
    Inspect,
    /// Make it into what a profile says.
    Rebuild,
    /// Overwrite the approved disks; nothing is installed.
    Wipe,
    /// A system in RAM, with a shell unless its profile says otherwise; nothing is written but what the operator types.
    Rescue,
}

/// How far an operation is. Kinds and profiles without a step pass through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Recorded; nothing happens until it is armed.
    Registered,
    /// Armed: the machine's next boot from the network takes it up.
    PxeReady,
    /// The installer's or agent's kernel was served.
    PxeBooted,
    /// The approved disks are being written, or the system in RAM runs.
    Installing,
    /// Everything is written; the machine is to boot its disk.
    Installed,
    /// It boots its disk.
    FirstBoot,
    /// The host phoned home, and the profile's last steps run.
    Joining,
    /// Done.
    Ready,
    /// Ended with a reason.
    Failed,
    /// Taken back before anything was written.
    Cancelled,
}

impl OperationKind {
    /// The name in JSON, in scripts and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Rebuild => "rebuild",
            Self::Wipe => "wipe",
            Self::Rescue => "rescue",
        }
    }

    /// Whether it writes to the machine's disks, so that disks have to be approved.
    pub fn writes(self) -> bool {
        matches!(self, Self::Rebuild | Self::Wipe)
    }
}

impl OperationState {
    /// Every state, in the order of a rebuild.
    pub const ALL: [Self; 10] = [
        Self::Registered,
        Self::PxeReady,
        Self::PxeBooted,
        Self::Installing,
        Self::Installed,
        Self::FirstBoot,
        Self::Joining,
        Self::Ready,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name in JSON, in scripts and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::PxeReady => "pxe_ready",
            Self::PxeBooted => "pxe_booted",
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::FirstBoot => "first_boot",
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing can happen any more.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Ready | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for OperationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An operation as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Operation {
    /// A UUID (version 7): later ones are larger.
    pub id: String,
    /// The machine's id.
    pub machine: String,
    /// What is to be done.
    pub kind: OperationKind,
    /// How far it is.
    pub state: OperationState,
    /// Since when.
    pub state_since: Millis,
    /// When it fails unless it got further; absent once it has ended, and while it waits for its turn in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// What the machine is made into; rebuilds have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileChoice>,
    /// The only disks that may be written, as they were when they were approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<ApprovedDisk>,
    /// The permission in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arming: Option<Arming>,
    /// The batch that it was armed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// How much is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What runs there, as it phoned home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The profile's steps on the host, in order; only where one operation is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepResult>,
    /// Whether a disk may have been written; such an operation can fail, not be cancelled.
    pub may_have_written: bool,
    /// When it was made.
    pub created_at: Millis,
    /// Who made it.
    pub created_by: Actor,
    /// The operation that this one tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// Every change of state in order; only where one operation is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<OperationEvent>,
}

/// The operation that runs on a machine, as the machine's record shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationBrief {
    /// Its id.
    pub id: String,
    /// What is done.
    pub kind: OperationKind,
    /// How far it is.
    pub state: OperationState,
    /// Until when the next boot takes it up; absent unless it is armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_until: Option<Millis>,
    /// Since when it is in this state.
    #[serde(default)]
    pub state_since: Millis,
    /// When it fails unless it got further; absent while it waits for its turn in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// The profile that the machine is made into, or runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The profile's step that is under way on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How much is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Seconds that the rest of it takes at this rate, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secs_left: Option<u64>,
}

impl From<&Operation> for OperationBrief {
    fn from(operation: &Operation) -> Self {
        Self {
            id: operation.id.clone(),
            kind: operation.kind,
            state: operation.state,
            armed_until: operation.arming.as_ref().map(|arming| arming.expires_at),
            state_since: operation.state_since,
            deadline: operation.deadline,
            profile: operation.profile.as_ref().map(|choice| choice.name.clone()),
            step: None,
            progress: operation.progress,
            secs_left: operation.progress.as_ref().and_then(Progress::secs_left),
        }
    }
}

/// `POST /api/v1/machines/{key}/operations`: what is to be done with a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OperationNew {
    /// What is to be done.
    pub kind: OperationKind,
    /// What the machine is made into; for rebuilds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Values for the profile's variables.
    #[serde(default)]
    pub variables: std::collections::BTreeMap<String, serde_json::Value>,
    /// Which disks may be written, each named by a rule: `only`, `smallest`, `smallest>=SIZE`, `largest`, `serial=TEXT`,
    /// `wwn=TEXT`, `name=TEXT`, `label=TEXT`, `size=SIZE`, `size=SIZE..SIZE`.
    #[serde(default)]
    pub disks: Vec<String>,
    /// Whether it is armed at once; confirmed, that is.
    #[serde(default)]
    pub arm: bool,
    /// How long an arming lasts, in seconds; an hour when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_secs: Option<u64>,
}

/// `POST /api/v1/operations/{id}/arm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ArmRequest {
    /// How long the arming lasts, in seconds; an hour when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_secs: Option<u64>,
}

/// Which operations to list, newest first: all given conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
pub struct OperationQuery {
    /// Only those of this machine, by any of its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Only those that have not ended, or only those that have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// Only those older than the operation of this id: the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// At most this many, 1 to 1000; 100 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The permission that lets a machine's next boot begin an operation: for one boot, for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Arming {
    /// Who gave it.
    pub by: Actor,
    /// When.
    pub at: Millis,
    /// When it ends by itself.
    pub expires_at: Millis,
}

/// A profile and what it is filled with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileChoice {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The operation's own values, by variable; secret ones are shown as `***`.
    #[serde(default)]
    pub variables: std::collections::BTreeMap<String, serde_json::Value>,
}

/// How much of the work in this state is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes in all, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Bytes per second lately.
    pub bytes_per_sec: u64,
}

impl Progress {
    /// 0 to 100, where the whole is known.
    pub fn percent(&self) -> Option<u8> {
        let total = self.total_bytes.filter(|total| *total > 0)?;
        Some((u128::from(self.done_bytes.min(total)) * 100 / u128::from(total)) as u8)
    }

    /// Seconds left at this rate, where both are known.
    pub fn secs_left(&self) -> Option<u64> {
        let left = self.total_bytes?.saturating_sub(self.done_bytes);
        (self.bytes_per_sec > 0).then(|| left.div_ceil(self.bytes_per_sec))
    }
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// The state that it failed in.
    pub stage: OperationState,
    /// A sentence without a full stop.
    pub reason: String,
}

/// One change of state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationEvent {
    /// When.
    pub at: Millis,
    /// Who caused it.
    pub actor: Actor,
    /// The state before.
    pub from: OperationState,
    /// The state after.
    pub to: OperationState,
    /// What happened, in a sentence without a full stop.
    pub cause: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json() {
        for state in OperationState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        for kind in
            [OperationKind::Inspect, OperationKind::Rebuild, OperationKind::Wipe, OperationKind::Rescue]
        {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn progress_says_percent_and_time_left() {
        let check = |done, total, rate, percent, left| {
            let progress = Progress { done_bytes: done, total_bytes: total, bytes_per_sec: rate };
            assert_eq!((progress.percent(), progress.secs_left()), (percent, left));
        };
        check(0, None, 5, None, None);
        check(0, Some(100), 0, Some(0), None);
        check(50, Some(100), 7, Some(50), Some(8));
        check(120, Some(100), 7, Some(100), Some(0));
        check(0, Some(0), 7, None, Some(0));
        check(u64::MAX, Some(u64::MAX), 1, Some(100), Some(0));
    }
}
