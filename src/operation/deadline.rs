//! How long an operation may stay in each state.

use ironwake_api::{Millis, OperationState};
use serde::{Deserialize, Serialize};

const MINUTE: Millis = 60 * 1000;
const HOUR: Millis = 60 * MINUTE;

/// How long an arming lasts unless the operator says otherwise.
pub const ARMED_FOR: Millis = HOUR;
/// Shorter, and no server restarts in time.
pub const ARMED_FOR_MIN: Millis = MINUTE;
/// Longer, and nobody remembers it when the machine restarts.
pub const ARMED_FOR_MAX: Millis = 7 * 24 * HOUR;

/// The longest stay in each state, in milliseconds. A profile may name its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deadlines {
    /// Not armed: a plan that nobody follows should not block the machine for ever.
    pub registered: Millis,
    /// The kernel was served: firmware, kernel and drivers of a large server take some minutes.
    pub pxe_booted: Millis,
    /// Writing, or a shell that is open.
    pub installing: Millis,
    /// Restarting into the disk: large servers count their memory for ten minutes.
    pub installed: Millis,
    /// The first boot until the host phones home.
    pub first_boot: Millis,
    /// The last steps.
    pub joining: Millis,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            registered: 7 * 24 * HOUR,
            pxe_booted: 15 * MINUTE,
            installing: HOUR,
            installed: 20 * MINUTE,
            first_boot: 30 * MINUTE,
            joining: 30 * MINUTE,
        }
    }
}

impl Deadlines {
    /// Those of rescue: whoever repairs a machine by hand takes as long as a night shift.
    pub fn of_rescue() -> Self {
        Self { installing: 8 * HOUR, ..Self::default() }
    }

    /// When a state that begins at `since` is over; `None` for one that has ended. The arming's own end is
    /// the deadline of an armed operation.
    pub(super) fn of(
        &self,
        state: OperationState,
        since: Millis,
        armed_until: Option<Millis>,
    ) -> Option<Millis> {
        let lasts = match state {
            OperationState::Registered => self.registered,
            OperationState::PxeReady => return Some(armed_until.unwrap_or(since.saturating_add(ARMED_FOR))),
            OperationState::PxeBooted => self.pxe_booted,
            OperationState::Installing => self.installing,
            OperationState::Installed => self.installed,
            OperationState::FirstBoot => self.first_boot,
            OperationState::Joining => self.joining,
            OperationState::Ready | OperationState::Failed | OperationState::Cancelled => return None,
        };
        Some(since.saturating_add(lasts))
    }
}
