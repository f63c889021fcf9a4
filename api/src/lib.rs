//! The JSON contract of Ironwake: what operators' programs and machines exchange with the daemon.
//!
//! Plain types, and how people read them ([`human`]); a change here is a change of the contract. Times are milliseconds
//! since 1970-01-01 UTC ([`Millis`]), sizes are bytes, MAC addresses are lower case with colons.
//! With the feature `client` comes a client for the operators' API.

mod access;
mod agent;
mod approved_disk;
mod artifact;
mod attempt;
mod backup;
mod build;
mod bulk;
#[cfg(feature = "client")]
pub mod client;
mod disk_contents;
mod dry_run;
mod event;
mod event_kind;
mod event_name;
mod event_query;
mod health;
mod host;
pub mod human;
mod install;
mod inventory;
mod lease;
mod login;
mod mac;
mod machine;
mod machine_values;
mod operation;
mod password;
mod problem;
mod profile;
mod settings;
mod setup;
mod shell;
mod simulate;
mod ssh_key;
mod step;
mod summary;
mod system;
mod update;
mod webhook;
mod work;

pub use access::{Authority, Scope, Token, TokenMade, TokenNew};
pub use agent::{AgentReport, EnrollAnswer, EnrollRequest, Order, OrderKind};
pub use approved_disk::{ApprovedDisk, DiskDifference};
pub use artifact::{
    Artifact, ArtifactDownload, ArtifactKind, ArtifactOrigin, ArtifactPatch, ArtifactState, ArtifactUpload,
    ArtifactUsage, Converted, DownloadStep, ImportQuery, ImportRequest,
};
pub use attempt::{Attempt, AttemptOutcome, ClientStage, Diagnosis, Stage, StageKind};
pub use backup::{
    BACKUP_MEDIA_TYPE, BACKUP_SIZE_HEADER, BackupNew, PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN,
    PASSPHRASE_HEADER, RestoreQuery, Restored,
};
pub use build::{Build, BuildNew, BuildOutcome, BuildReport, NextBuildQuery};
pub use bulk::{Batch, BatchNew, BulkAction, BulkAnswer, BulkRequest, BulkResult, Selection};
pub use disk_contents::{ApprovedPartition, DiskHolder};
pub use dry_run::{DryRun, SettledArtifact};
pub use event::{Actor, Event};
pub use event_kind::EventKind;
pub use event_query::{EventOrder, EventQuery};
pub use health::{
    DhcpTraffic, Health, HealthCheck, HealthState, NetworkHealth, NetworkLink, OtherServer, Silence, Version,
};
pub use host::{Host, MachineHost, PhoneHome, Reachability};
pub use install::{
    ApplianceDisk, ApplianceDisks, BootMedium, FactoryReset, InstallNew, InstallPhase, InstallState,
    InstallThen,
};
pub use inventory::*;
pub use lease::{Lease, LeaseEnd, LeaseNews, LeaseState};
pub use login::{
    Entrance, KeyListed, KeyOffer, KnownBy, LoggedIn, LoginRequest, LoginWith, PasswordNew, Secret, Whoami,
};
pub use mac::{MacAddr, MacError};
pub use machine::{
    Enrolment, InventoryChange, InventoryRecord, Machine, MachineNew, MachinePatch, MachineQuery, Page,
    SecureBoot,
};
pub use machine_values::{MachineValues, MachineValuesPatch};
pub use operation::{
    ArmRequest, Arming, Failure, Operation, OperationBrief, OperationEvent, OperationKind, OperationNew,
    OperationQuery, OperationState, ProfileChoice, Progress,
};
pub use password::{PASSWORD_BYTES_MAX, check_password};
pub use problem::{FieldProblem, Problem};
pub use profile::{
    GivenValue, ProfileFit, ProfileSummary, ProfileVariable, Profiles, RefusedProfile, RenderRequest,
    RenderedFile,
};
pub use settings::{Setting, SettingOrigin, Settings};
pub use setup::{
    DhcpChoice, Setup, SetupAnswer, SetupDhcp, SetupDryRun, SetupInterface, SetupQuery, SetupState, SetupStep,
};
pub use shell::{
    SHELL_FRAME_BYTES_MAX, SHELL_PROTOCOL, ShellExit, ShellFrame, ShellFrames, ShellNonsense, ShellStart,
    Terminal, Window,
};
pub use simulate::{SimulateQuery, SimulatedStep};
pub use ssh_key::{
    OneTimePassword, SSH_PORT, SSH_PORT_VARIABLE, SshKey, SshKeyFile, SshKeyFound, SshKeyListed, SshKeyPlace,
    SshKeyStick, SshKeysAdded, SshKeysNew,
};
pub use step::{StepResult, StepState};
pub use summary::{AttemptBrief, HardwareSummary, MachineProfile, ProfileStanding};
pub use system::{
    CONFIRM_WITHIN, NetworkChange, NetworkConfirm, OwnAddress, OwnSystem, ServiceState, SystemAction,
    SystemChange, SystemChoices, SystemClock, SystemCpu, SystemDisk, SystemInterface, SystemMemory,
    SystemPatch, SystemService,
};
pub use update::{
    ApplianceBoot, ApplianceKind, ApplianceMedium, ApplianceSlot, ApplianceStatus, SelfTest, SelfTestNetwork,
    Update, UpdateAvailable, UpdateOnStick, UpdateOutcome, UpdateProgress, UpdateQuery, UpdateRequest,
    UpdateResult, UpdateStep,
};
pub use webhook::{DeliveryOutcome, Webhook, WebhookDelivery};
pub use work::{
    BootEntry, CLAIM_BYTES_MAX, Claim, ClaimRequest, ImageSource, ImageWork, InjectedFile, Packing,
    PartitionChoice, WipeWork, Work, WorkReport,
};

/// Milliseconds since 1970-01-01 00:00 UTC.
pub type Millis = u64;
