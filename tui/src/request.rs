//! What the console wants of the daemon, as data. What may write to a disk needs a [`Confirmation`], which only a name
//! typed in full makes.

use std::collections::BTreeMap;

use ironwake_api::{
    BulkAction, MachinePatch, NetworkConfirm, OperationKind, OwnAddress, Secret, SystemAction, SystemPatch,
    UpdateRequest,
};

use crate::confirm::Confirmation;
use crate::first::Ask;
use crate::message::Asked;
use crate::model::past::Past;

/// Something to ask of the daemon, or of what runs the console.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// End the console, once what stands before it is done.
    Quit,
    /// Every machine, page after page.
    Machines,
    /// One machine with its inventory.
    Machine(String),
    /// Boot attempts of a machine.
    Attempts(String),
    /// One boot attempt.
    Attempt(i64),
    /// The newest operations.
    Operations,
    /// The operations of a machine.
    OperationsOf(String),
    /// The page of operations that are older than this one.
    OlderOperations(String),
    /// One operation.
    Operation(String),
    /// Profiles.
    Profiles,
    /// Which profiles fit a machine.
    Fits(String),
    /// Artifacts.
    Artifacts,
    /// Builds.
    Builds,
    /// How much imports take.
    Usage,
    /// Leases.
    Leases,
    /// Health.
    Health,
    /// Version.
    Version,
    /// Settings.
    Settings,
    /// The appliance's own system.
    System,
    /// What of it can be chosen.
    SystemChoices,
    /// How its updates stand.
    Update,
    /// A page of stored events.
    Past(Past),
    /// Who is there.
    Whoami,
    /// Tell the daemon that somebody is there.
    Renew,
    /// Log in with the administrator's password.
    LogIn(Secret),
    /// Set the administrator's password, and log in with it where people do.
    SetPassword(Secret),
    /// End the session.
    LogOut,
    /// Something of the first set-up.
    First(Ask),
    /// Change fields of a machine.
    Edit {
        /// The machine's id.
        machine: String,
        /// What to change.
        patch: MachinePatch,
        /// What that is, as a person says it.
        what: String,
    },
    /// Do something that writes nothing to disks with machines.
    Bulk {
        /// Ids of the machines.
        machines: Vec<String>,
        /// What to do.
        action: Harmless,
    },
    /// Begin an operation that writes nothing at the machine's next boot.
    Begin {
        /// The machine's id.
        machine: String,
        /// What to do.
        work: BootOnly,
    },
    /// Record an operation, which is not armed.
    Make {
        /// The machines' ids.
        machines: Vec<String>,
        /// What to do.
        plan: Plan,
    },
    /// Ask what a rebuild or wipe would come to, and what is wrong with it.
    Check {
        /// Which check it is.
        number: u64,
        /// The machine's id.
        machine: String,
        /// With which values.
        plan: Plan,
    },
    /// Let the machines' next boot begin operations that were recorded.
    Arm(Confirmation),
    /// Make an operation again and arm it.
    RetryWriting(Confirmation),
    /// Make an operation again that writes nothing, and arm it.
    RetryHarmless(String),
    /// Arm an operation that writes nothing.
    ArmHarmless(String),
    /// Take operations back.
    Cancel(Vec<String>),
    /// Take the arming of operations back; they stay recorded.
    Disarm(Vec<String>),
    /// Pin an import or take its pin back.
    Pin {
        /// Its name.
        name: String,
        /// Whether it is to be pinned.
        pinned: bool,
    },
    /// Delete an import, or cancel its download.
    DeleteArtifact(String),
    /// Have an artifact built.
    Build(String),
    /// Change settings.
    ChangeSettings {
        /// The key that it is about.
        key: String,
        /// The change.
        patch: SettingsPatch,
        /// What that is, as a person says it.
        what: String,
    },
    /// Change the appliance's own system.
    ChangeSystem {
        /// The one thing that is changed.
        what: SystemAction,
        /// The change.
        patch: SystemPatch,
        /// What is said once it is done.
        said: String,
    },
    /// Give one of its interfaces another address.
    ChangeAddress {
        /// The interface.
        interface: String,
        /// The address.
        address: OwnAddress,
    },
    /// Keep the address that was given last.
    KeepAddress(NetworkConfirm),
    /// Start one of its services again.
    RestartUnit(String),
    /// Ask the channel for a new version of the appliance.
    CheckUpdate,
    /// Install a version of the appliance beside the one that runs.
    InstallUpdate(UpdateRequest),
    /// The appliance's disks.
    ApplianceDisks,
    /// How far its installation on a disk is.
    InstallState,
    /// Install the appliance on a disk.
    Install {
        /// The disk's name.
        disk: String,
        /// That it was typed; what it names is the digest of the disk as it was shown.
        confirmation: Confirmation,
    },
    /// Make the appliance as it was made; what the confirmation names is the appliance.
    FactoryReset(Confirmation),
    /// Restart the appliance, or switch it off.
    EndSystem {
        /// Switch it off.
        power_off: bool,
    },
}

/// A JSON merge patch (RFC 7396) of settings.
#[derive(Clone, PartialEq)]
pub struct SettingsPatch(pub serde_json::Value);

impl std::fmt::Debug for SettingsPatch {
    // Values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SettingsPatch(…)")
    }
}

impl Request {
    /// What is asked for, as an answer or a refusal tells it.
    pub fn asked(&self) -> Asked {
        let does = |what: &str| Asked::Do(what.to_owned());
        match self {
            Self::Machine(id) => Asked::Machine(id.clone()),
            Self::Make { .. } => Asked::Make,
            Self::Arm(_) => Asked::Arm,
            Self::Edit { what, .. } => Asked::Do(what.clone()),
            Self::Bulk { action, .. } => does(action.verb()),
            Self::Begin { work, .. } => does(work.kind().name()),
            Self::RetryWriting(_) | Self::RetryHarmless(_) => does("try it again"),
            Self::Cancel(_) => does("cancel"),
            Self::Disarm(_) => does("disarm"),
            Self::ArmHarmless(_) => does("arm"),
            Self::ChangeSettings { key, .. } => Asked::Setting(key.clone()),
            Self::ChangeSystem { what, .. } => Asked::System(*what),
            Self::ChangeAddress { .. } => Asked::System(SystemAction::Network),
            Self::KeepAddress(_) => does("keep the address"),
            Self::RestartUnit(name) => Asked::Do(format!("restart {name}")),
            Self::CheckUpdate => does("look for a new version"),
            Self::InstallUpdate(_) => does("install the update"),
            Self::ApplianceDisks | Self::InstallState => Asked::Disks,
            Self::Install { disk, .. } => Asked::Do(format!("install on {disk}")),
            Self::FactoryReset(_) => does("factory reset"),
            Self::EndSystem { power_off: false } => does("restart the appliance"),
            Self::EndSystem { power_off: true } => does("switch the appliance off"),
            Self::Pin { name, pinned } => {
                Asked::Do(format!("{} {name}", if *pinned { "pin" } else { "unpin" }))
            }
            Self::DeleteArtifact(name) => Asked::Do(format!("delete {name}")),
            Self::Build(name) => Asked::Do(format!("build {name}")),
            Self::LogIn(_) | Self::SetPassword(_) => Asked::Login,
            Self::LogOut => does("lock"),
            Self::First(ask) => ask.asked(),
            Self::Past(_) => Asked::Show("events".into()),
            Self::OperationsOf(_) => Asked::Show("the machine's operations".into()),
            Self::OlderOperations(_) => Asked::Show("older operations".into()),
            Self::Fits(_) => Asked::Show("which profiles fit".into()),
            show => Asked::Show(format!("{show:?}").to_lowercase()),
        }
    }

    /// Whether it changes something, and so needs somebody who may.
    pub fn changes(&self) -> bool {
        match self {
            Self::Edit { .. }
            | Self::Bulk { .. }
            | Self::Begin { .. }
            | Self::Make { .. }
            | Self::Arm(_)
            | Self::RetryWriting(_)
            | Self::RetryHarmless(_)
            | Self::ArmHarmless(_)
            | Self::Cancel(_)
            | Self::Disarm(_)
            | Self::Pin { .. }
            | Self::DeleteArtifact(_)
            | Self::Build(_)
            | Self::ChangeSettings { .. }
            | Self::ChangeSystem { .. }
            | Self::ChangeAddress { .. }
            | Self::KeepAddress(_)
            | Self::RestartUnit(_)
            | Self::CheckUpdate
            | Self::InstallUpdate(_)
            | Self::Install { .. }
            | Self::FactoryReset(_)
            | Self::EndSystem { .. } => true,
            Self::First(ask) => ask.changes(),
            Self::Quit
            | Self::Machines
            | Self::Machine(_)
            | Self::Attempts(_)
            | Self::Attempt(_)
            | Self::Operations
            | Self::OperationsOf(_)
            | Self::OlderOperations(_)
            | Self::Operation(_)
            | Self::Profiles
            | Self::Fits(_)
            | Self::Artifacts
            | Self::Builds
            | Self::Usage
            | Self::Leases
            | Self::Health
            | Self::Version
            | Self::Settings
            | Self::System
            | Self::SystemChoices
            | Self::Update
            | Self::ApplianceDisks
            | Self::InstallState
            | Self::Past(_)
            | Self::Check { .. }
            | Self::Whoami
            | Self::Renew
            | Self::LogIn(_)
            | Self::SetPassword(_)
            | Self::LogOut => false,
        }
    }
}

/// What may be done with many machines without a name being typed: nothing here reaches a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harmless {
    /// Make them known.
    Enroll,
    /// Delete their records.
    Delete,
    /// Record and arm an inspection of each.
    Inspect,
}

/// What a machine's next boot may be without a name being typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootOnly {
    /// Read its inventory again.
    Inspect,
    /// A system in RAM.
    Rescue,
}

/// An operation that writes, as far as it is planned: there is no field by which it could be armed.
#[derive(Clone, PartialEq)]
pub struct Plan {
    /// What is done.
    pub kind: OperationKind,
    /// The profile of a rebuild.
    pub profile: Option<String>,
    /// Values for its variables.
    pub variables: BTreeMap<String, serde_json::Value>,
    /// Which disks, each by a rule.
    pub disks: Vec<String>,
}

impl std::fmt::Debug for Plan {
    // Values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.variables.keys().collect();
        write!(f, "Plan({} {:?} {names:?} {:?})", self.kind, self.profile, self.disks)
    }
}

impl Harmless {
    /// The action of the API that records it; inspections are armed when they are recorded, which writes nothing.
    pub fn action(self) -> BulkAction {
        match self {
            Self::Enroll => BulkAction::Enroll,
            Self::Delete => BulkAction::Delete,
            Self::Inspect => BulkAction::Operate(ironwake_api::OperationNew {
                kind: OperationKind::Inspect,
                profile: None,
                variables: BTreeMap::new(),
                disks: Vec::new(),
                arm: false,
                armed_secs: None,
            }),
        }
    }

    /// As a person says it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Delete => "delete",
            Self::Inspect => "inspect",
        }
    }
}

impl BootOnly {
    /// The kind of operation.
    pub fn kind(self) -> OperationKind {
        match self {
            Self::Inspect => OperationKind::Inspect,
            Self::Rescue => OperationKind::Rescue,
        }
    }
}
