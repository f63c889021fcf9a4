//! One change of an operation: from what happened to the operation as it is then, its history, and what to do.

use ironwake_api::{
    Actor, ApprovedDisk, Arming, Failure, Millis, Operation, OperationEvent, OperationKind, OperationState,
    ProfileChoice,
};

use super::deadline::Deadlines;
use super::table::{Happening, legal, next};

/// What happens to an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// An operator confirmed it, until this time.
    Arm {
        /// When the permission ends.
        until: Millis,
    },
    /// The operator took the permission back.
    Disarm,
    /// The kernel was served to the machine.
    Served {
        /// Which file, to which address.
        what: String,
    },
    /// The machine checked its disks and is about to write, or runs the system in RAM.
    Began,
    /// An installer took its answers, or a system in RAM that reports nothing was started.
    BeganWith {
        /// What was served, to whom.
        what: String,
    },
    /// Everything is written.
    Wrote,
    /// The machine was sent to its disk.
    BootedDisk,
    /// The host phoned home.
    PhonedHome {
        /// How it calls itself, and from where.
        who: String,
    },
    /// The profile's last steps are done.
    Joined,
    /// It is done without an installed system.
    Finished {
        /// What was done.
        what: String,
    },
    /// It cannot go on.
    Fail {
        /// Why, in a sentence without a full stop.
        reason: String,
    },
    /// The deadline passed.
    Expire,
    /// It is taken back.
    Cancel {
        /// Why, where it was no operator, in a sentence without a full stop.
        why: Option<String>,
    },
}

impl Trigger {
    /// What happens, without the details.
    pub fn happening(&self) -> Happening {
        match self {
            Self::Arm { .. } => Happening::Armed,
            Self::Disarm => Happening::Disarmed,
            Self::Served { .. } => Happening::Served,
            Self::Began | Self::BeganWith { .. } => Happening::Began,
            Self::Wrote => Happening::Wrote,
            Self::BootedDisk => Happening::BootedDisk,
            Self::PhonedHome { .. } => Happening::PhonedHome,
            Self::Joined => Happening::Joined,
            Self::Finished { .. } => Happening::Finished,
            Self::Fail { .. } => Happening::Failed,
            Self::Expire => Happening::Expired,
            Self::Cancel { .. } => Happening::Cancelled,
        }
    }

    /// As history tells it.
    fn cause(&self, operation: &Operation) -> String {
        match self {
            Self::Arm { .. } => "an operator armed it".into(),
            Self::Disarm => "an operator took the arming back".into(),
            Self::Served { what } | Self::BeganWith { what } => format!("{what} was served"),
            Self::Began if operation.kind.writes() => {
                "the machine found its approved disks unchanged and begins to write".into()
            }
            Self::Began => "the system in RAM runs".into(),
            Self::Wrote => "everything is written".into(),
            Self::BootedDisk => "the machine was sent to its disk".into(),
            Self::PhonedHome { who } => format!("{who} phoned home"),
            Self::Joined => "the profile's last steps are done".into(),
            Self::Finished { what } => what.clone(),
            Self::Fail { reason } => reason.clone(),
            Self::Expire => late(operation),
            Self::Cancel { why: Some(why) } => why.clone(),
            Self::Cancel { why: None } if operation.state == OperationState::Joining => {
                "an operator stopped its last steps; what was installed stays".into()
            }
            Self::Cancel { why: None } => "an operator cancelled it".into(),
        }
    }
}

/// What is to be done once a change is saved. Each may be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A machine that waits in discovery restarts: nothing is written in a boot that began before the arming.
    RestartWaitingAgent,
    /// The profile's last steps begin.
    RunSteps,
}

/// A change that is legal.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The operation as it is then, its `history` left out.
    pub operation: Operation,
    /// What history gets, in order; never empty.
    pub events: Vec<OperationEvent>,
    /// What to do once both are saved.
    pub effects: Vec<Effect>,
}

/// A change that the operation's state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not possible while {kind} is {state}; what is: {}", .happening.name(), .legal.iter().map(|h| h.name()).collect::<Vec<_>>().join(", "))]
pub struct Illegal {
    /// The operation's kind.
    pub kind: OperationKind,
    /// The state it is in.
    pub state: OperationState,
    /// What was tried.
    pub happening: Happening,
    /// What would be legal.
    pub legal: Vec<Happening>,
}

/// What a new operation is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The machine's id.
    pub machine: String,
    /// What is to be done.
    pub kind: OperationKind,
    /// What the machine is made into.
    pub profile: Option<ProfileChoice>,
    /// The disks that may be written; none unless the kind writes.
    pub disks: Vec<ApprovedDisk>,
    /// The operation that this one tries again.
    pub retry_of: Option<String>,
}

/// A new operation, not armed. `id` is a UUID version 7.
pub fn register(id: String, draft: Draft, actor: Actor, now: Millis, deadlines: &Deadlines) -> Operation {
    Operation {
        id,
        machine: draft.machine,
        kind: draft.kind,
        state: OperationState::Registered,
        state_since: now,
        deadline: deadlines.of(OperationState::Registered, now, None),
        profile: draft.profile,
        disks: draft.disks,
        arming: None,
        batch: None,
        progress: None,
        failure: None,
        host: None,
        steps: Vec::new(),
        may_have_written: false,
        created_at: now,
        created_by: actor,
        retry_of: draft.retry_of,
        history: Vec::new(),
    }
}

/// What `trigger` makes of `operation`.
pub fn apply(
    operation: &Operation,
    trigger: &Trigger,
    actor: &Actor,
    now: Millis,
    deadlines: &Deadlines,
) -> Result<Step, Illegal> {
    let happening = trigger.happening();
    let states = next(operation.kind, operation.state, happening).ok_or_else(|| Illegal {
        kind: operation.kind,
        state: operation.state,
        happening,
        legal: legal(operation.kind, operation.state),
    })?;
    let mut after = Operation { history: Vec::new(), ..operation.clone() };
    let cause = trigger.cause(operation);
    let mut events = Vec::new();
    for to in states {
        events.push(OperationEvent {
            at: now,
            actor: actor.clone(),
            from: after.state,
            to: *to,
            cause: cause.clone(),
        });
        after.state = *to;
    }
    after.state_since = now;
    after.progress = None;
    after.arming = match trigger {
        Trigger::Arm { until } => Some(Arming { by: actor.clone(), at: now, expires_at: *until }),
        // Single use: the boot that took it has it behind it.
        _ => None,
    };
    if happening == Happening::Disarmed {
        // Otherwise its batch would arm it again.
        after.batch = None;
    }
    after.deadline = deadlines.of(after.state, now, after.arming.as_ref().map(|arming| arming.expires_at));
    if happening == Happening::Began && operation.kind.writes() {
        after.may_have_written = true;
    }
    if after.state == OperationState::Failed {
        after.failure = Some(Failure { stage: operation.state, reason: cause });
    }
    let effects = effects(&after);
    Ok(Step { operation: after, events, effects })
}

fn effects(after: &Operation) -> Vec<Effect> {
    match after.state {
        OperationState::PxeReady => vec![Effect::RestartWaitingAgent],
        OperationState::Joining => vec![Effect::RunSteps],
        _ => Vec::new(),
    }
}

/// What an operation waited for when its deadline passed.
fn late(operation: &Operation) -> String {
    match operation.state {
        OperationState::Registered => "nobody armed it in time",
        OperationState::PxeReady => "the machine did not boot from the network while it was armed",
        OperationState::PxeBooted if operation.kind == OperationKind::Inspect => {
            "the machine booted, and its inventory did not come in time"
        }
        OperationState::PxeBooted => "the machine booted, and its installer did not begin in time",
        OperationState::Installing if operation.kind == OperationKind::Rescue => "its time is over",
        OperationState::Installing => "writing was not done in time",
        OperationState::Installed => "the machine did not come to boot its disk in time",
        OperationState::FirstBoot => "the host did not phone home in time",
        OperationState::Joining => "the profile's last steps were not done in time",
        OperationState::Ready | OperationState::Failed | OperationState::Cancelled => "it has ended",
    }
    .into()
}
