//! What may happen in which state, as one table.

use ironwake_api::{OperationKind, OperationState};

/// What happens to an operation, without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happening {
    /// An operator confirmed it: the next boot takes it up.
    Armed,
    /// An operator took the permission back.
    Disarmed,
    /// The installer's or agent's kernel was served.
    Served,
    /// The machine is about to write, or the system in RAM runs.
    Began,
    /// Everything was written.
    Wrote,
    /// The machine was sent to its disk.
    BootedDisk,
    /// The host phoned home.
    PhonedHome,
    /// The profile's last steps are done.
    Joined,
    /// What was to be done without an installed system is done.
    Finished,
    /// The machine or a step reports that it cannot go on.
    Failed,
    /// The state's deadline passed.
    Expired,
    /// An operator takes it back.
    Cancelled,
}

impl Happening {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::Armed,
        Self::Disarmed,
        Self::Served,
        Self::Began,
        Self::Wrote,
        Self::BootedDisk,
        Self::PhonedHome,
        Self::Joined,
        Self::Finished,
        Self::Failed,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The name in refusals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Disarmed => "disarmed",
            Self::Served => "served",
            Self::Began => "began",
            Self::Wrote => "wrote",
            Self::BootedDisk => "booted_disk",
            Self::PhonedHome => "phoned_home",
            Self::Joined => "joined",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

use Happening::*;
use OperationKind::{Inspect, Rebuild, Rescue, Wipe};
use OperationState as S;

const EVERY: &[OperationKind] = &[Inspect, Rebuild, Wipe, Rescue];
const INSTALLS: &[OperationKind] = &[Rebuild];
const ENDS_IN_RAM: &[OperationKind] = &[Wipe, Rescue];

/// Kinds, state, what happens, and the states it goes through. Where there are several, the machine was quicker than
/// its reports: a host that phones home has booted its disk, whoever sent it there.
const TABLE: &[(&[OperationKind], S, Happening, &[S])] = &[
    (EVERY, S::Registered, Armed, &[S::PxeReady]),
    (EVERY, S::PxeReady, Disarmed, &[S::Registered]),
    (EVERY, S::PxeReady, Served, &[S::PxeBooted]),
    (&[Inspect], S::PxeBooted, Finished, &[S::Ready]),
    (&[Rebuild, Wipe, Rescue], S::PxeBooted, Began, &[S::Installing]),
    (ENDS_IN_RAM, S::Installing, Finished, &[S::Ready]),
    (INSTALLS, S::Installing, Wrote, &[S::Installed]),
    // The agent's or installer's word that it is done was lost: the daemon was away for longer than they wait.
    (INSTALLS, S::Installing, PhonedHome, &[S::Installed, S::FirstBoot, S::Joining]),
    (INSTALLS, S::Installed, BootedDisk, &[S::FirstBoot]),
    (INSTALLS, S::Installed, PhonedHome, &[S::FirstBoot, S::Joining]),
    (INSTALLS, S::FirstBoot, PhonedHome, &[S::Joining]),
    (INSTALLS, S::Joining, Joined, &[S::Ready]),
    (EVERY, S::Registered, Failed, &[S::Failed]),
    (EVERY, S::PxeReady, Failed, &[S::Failed]),
    (EVERY, S::PxeBooted, Failed, &[S::Failed]),
    (&[Rebuild, Wipe, Rescue], S::Installing, Failed, &[S::Failed]),
    (INSTALLS, S::Installed, Failed, &[S::Failed]),
    (INSTALLS, S::FirstBoot, Failed, &[S::Failed]),
    (INSTALLS, S::Joining, Failed, &[S::Failed]),
    (EVERY, S::Registered, Expired, &[S::Failed]),
    (EVERY, S::PxeReady, Expired, &[S::Failed]),
    (EVERY, S::PxeBooted, Expired, &[S::Failed]),
    (&[Rebuild, Wipe], S::Installing, Expired, &[S::Failed]),
    // A shell that nobody closed has served its purpose.
    (&[Rescue], S::Installing, Expired, &[S::Ready]),
    (INSTALLS, S::Installed, Expired, &[S::Failed]),
    (INSTALLS, S::FirstBoot, Expired, &[S::Failed]),
    (INSTALLS, S::Joining, Expired, &[S::Failed]),
    (EVERY, S::Registered, Cancelled, &[S::Cancelled]),
    (EVERY, S::PxeReady, Cancelled, &[S::Cancelled]),
    (EVERY, S::PxeBooted, Cancelled, &[S::Cancelled]),
    (&[Rescue], S::Installing, Cancelled, &[S::Cancelled]),
    // Its disk was written: it is not as if nothing had happened.
    (INSTALLS, S::Joining, Cancelled, &[S::Failed]),
];

/// The states that `happening` leads an operation of `kind` through, in order; `None` where it is illegal.
pub fn next(kind: OperationKind, state: S, happening: Happening) -> Option<&'static [S]> {
    let row = TABLE
        .iter()
        .find(|(kinds, from, what, _)| kinds.contains(&kind) && *from == state && *what == happening);
    row.map(|(_, _, _, to)| *to)
}

/// What is legal in this state, for a refusal to name.
pub(super) fn legal(kind: OperationKind, state: S) -> Vec<Happening> {
    Happening::ALL.into_iter().filter(|happening| next(kind, state, *happening).is_some()).collect()
}
