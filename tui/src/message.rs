//! Everything that can reach the console, as one closed enum: keys, time, answers, events. Messages are data, so a session
//! can be recorded and played again.

use ironwake_api::{
    ApplianceDisks, Artifact, ArtifactUsage, Attempt, Build, BulkAnswer, DryRun, Event, Health, InstallState,
    Lease, Machine, Millis, NetworkChange, Operation, OwnSystem, Page, Problem, ProfileFit, Profiles,
    Settings, SystemAction, SystemChoices, Update, Version, Whoami,
};
use serde::{Deserialize, Serialize};

use crate::first::{Told, What};
use crate::key::Key;
use crate::model::past::Past;

/// What reached the console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A key was pressed.
    Key(Key),
    /// A text came at once.
    Paste(String),
    /// The wheel was turned: lines, negative towards the beginning.
    Wheel(i16),
    /// A place on the screen was clicked.
    Click {
        /// From 0 at the left.
        column: u16,
        /// From 0 at the top.
        row: u16,
    },
    /// The terminal has this size.
    Resize {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Time went on.
    Tick {
        /// The time.
        now: Millis,
    },
    /// The daemon answers.
    Connected {
        /// The event behind which its stream begins.
        last_event: Option<i64>,
    },
    /// The daemon does not answer.
    Lost {
        /// Why, in a sentence without a full stop.
        why: String,
        /// When it is tried again.
        retry_at: Millis,
    },
    /// The session is over: one may only look.
    Locked {
        /// Why, in a sentence without a full stop.
        why: String,
    },
    /// Things happened, in order.
    Events(Vec<Event>),
    /// The daemon answered.
    Answer(Box<Answer>),
    /// The daemon refused something, or what it answered cannot be used.
    Refused {
        /// What was asked.
        asked: Asked,
        /// Why it was refused.
        problem: Box<Problem>,
    },
}

/// What the daemon answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A page of machines.
    Machines(Page<Machine>),
    /// One machine, with its inventory.
    Machine(Machine),
    /// A machine's boot attempts, newest first.
    Attempts {
        /// The machine's id.
        machine: String,
        /// Without stages.
        attempts: Vec<Attempt>,
    },
    /// One boot attempt with its stages.
    Attempt(Attempt),
    /// The newest operations, newest first; behind them what runs and is older.
    Operations(Vec<Operation>),
    /// All operations of a machine, newest first.
    OperationsOf {
        /// The machine's id.
        machine: String,
        /// Without their histories.
        operations: Vec<Operation>,
    },
    /// A page of operations, newest first.
    OlderOperations {
        /// They are older than this one.
        before: String,
        /// Without their histories.
        operations: Vec<Operation>,
    },
    /// One operation with its history.
    Operation(Operation),
    /// An operation that was asked for, not armed.
    Made(Operation),
    /// Several operations that were asked for, none armed, and what was refused.
    MadeMany(BulkAnswer),
    /// What machines can be made into.
    Profiles(Profiles),
    /// Which profiles fit a machine, and why not the others.
    Fits {
        /// The machine's id.
        machine: String,
        /// Every profile.
        fits: Vec<ProfileFit>,
    },
    /// What the steps of a rebuild or wipe would come to.
    Checked {
        /// Which check it was.
        number: u64,
        /// What would be recorded, with every mistake; or why nobody knows.
        run: Result<Box<DryRun>, Box<Problem>>,
    },
    /// Artifacts as they stand.
    Artifacts(Vec<Artifact>),
    /// The last build of each artifact.
    Builds(Vec<Build>),
    /// How much imports take.
    Usage(ArtifactUsage),
    /// DHCP leases.
    Leases(Vec<Lease>),
    /// How the daemon is.
    Health(Health),
    /// The daemon's version.
    Version(Version),
    /// Every setting.
    Settings(Settings),
    /// The appliance's own system.
    System(Box<OwnSystem>),
    /// What of it can be chosen.
    SystemChoices(SystemChoices),
    /// How its updates stand.
    Update(Box<Update>),
    /// Its disks.
    ApplianceDisks(Box<ApplianceDisks>),
    /// How far its installation on a disk is.
    InstallState(InstallState),
    /// It has another address, which is to be kept.
    AddressChanged(NetworkChange),
    /// It keeps that address.
    AddressKept,
    /// Who is there.
    Whoami(Whoami),
    /// Somebody has logged in.
    LoggedIn {
        /// The actor of what they do.
        name: String,
    },
    /// Something about the first set-up.
    First(Told),
    /// Events that are stored.
    Past {
        /// Which were asked for.
        past: Past,
        /// Them, in any order.
        events: Vec<Event>,
    },
    /// Something that was asked for is done.
    Done {
        /// What was asked.
        asked: Asked,
        /// What came of it, in a sentence without a full stop.
        said: String,
    },
    /// Something was done with many machines.
    Bulk {
        /// What was asked.
        asked: Asked,
        /// What became of each.
        answer: BulkAnswer,
    },
}

/// What was asked of the daemon, as an answer or a refusal tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// Something was to be shown.
    Show(String),
    /// One machine was to be shown.
    Machine(String),
    /// Something was to be done; a verb and what with.
    Do(String),
    /// An operation was to be made.
    Make,
    /// An operation was to be armed.
    Arm,
    /// Somebody was to log in, or to set the first password.
    Login,
    /// A setting was to be changed, by its key.
    Setting(String),
    /// The appliance's own system was to be changed.
    System(SystemAction),
    /// The appliance's disks were to be told, or how far its installation is.
    Disks,
    /// Something of the first set-up.
    First(What),
}
