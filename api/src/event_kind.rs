//! What can happen, with what is told of it.

use serde::{Deserialize, Serialize};

use crate::{
    ArtifactState, Attempt, DownloadStep, Enrolment, Entrance, HealthState, LeaseNews, LoginWith, MacAddr,
    Millis, OperationKind, OperationState, OrderKind, Progress, Scope, Stage, StepState,
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// A machine was seen for the first time.
    MachineSeen {
        /// By this address.
        mac: MacAddr,
    },
    /// An operator registered a machine before it was seen.
    MachineRegistered,
    /// A machine's enrolment changed.
    Enrolment {
        /// From.
        from: Enrolment,
        /// To.
        to: Enrolment,
        /// Which rule or policy, or `operator`.
        by: String,
    },
    /// An operator changed fields.
    MachineEdited {
        /// Names of the fields.
        fields: Vec<String>,
    },
    /// A machine's record was deleted.
    MachineDeleted,
    /// A record that was only ever seen turned out to be another NIC of this machine.
    MachineAbsorbed {
        /// The record that is gone.
        other: String,
    },
    /// Two machines claim the same identity; nothing was merged.
    IdentityConflict {
        /// The other machine.
        other: String,
        /// Which key they share: `uuid`, `serial`, `asset_tag` or `mac`.
        key: String,
        /// Its value.
        value: String,
    },
    /// An operator gave a waiting agent an order.
    OrderGiven {
        /// What to do.
        order: OrderKind,
    },
    /// An operation was made.
    OperationMade {
        /// Its id.
        operation: String,
        /// What is to be done.
        work: OperationKind,
    },
    /// An operation waits for its turn in a batch.
    OperationWaits {
        /// Its id.
        operation: String,
        /// The batch's.
        batch: String,
    },
    /// An operation changed its state.
    OperationChanged {
        /// Its id.
        operation: String,
        /// What is done.
        work: OperationKind,
        /// From.
        from: OperationState,
        /// To.
        to: OperationState,
        /// What happened.
        cause: String,
    },
    /// An operation got on within its state.
    OperationProgress {
        /// Its id.
        operation: String,
        /// How far.
        progress: Progress,
        /// What is being done.
        what: String,
    },
    /// An operator opened a shell on a machine in rescue.
    ShellOpened {
        /// The operation.
        operation: String,
        /// Which shell of this run of the daemon.
        shell: u64,
    },
    /// A shell was closed. What went over it is not kept.
    ShellClosed {
        /// The operation.
        operation: String,
        /// Which shell of this run of the daemon.
        shell: u64,
        /// How long it was open, in seconds.
        secs: u64,
        /// Bytes that the operator sent.
        sent_bytes: u64,
        /// Bytes that the machine sent.
        received_bytes: u64,
        /// Why, in a sentence without a full stop.
        reason: String,
    },
    /// A step of an operation began or ended on its host.
    OperationStep {
        /// The operation's id.
        operation: String,
        /// The step's name.
        step: String,
        /// How far it is.
        state: StepState,
        /// How often it was begun.
        tries: u32,
        /// What it ended with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<u32>,
        /// Why it is not done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// The key that an operation logged in with was removed, or could not be.
    LoginKeyRemoved {
        /// The operation's id.
        operation: String,
        /// What became of it, in a sentence without a full stop.
        what: String,
    },
    /// The host of an operation has booted again.
    HostBooted {
        /// The operation that installed it.
        operation: String,
        /// The boot that reported.
        boot_id: String,
        /// What else differs from what it said before.
        changes: Vec<String>,
    },
    /// The host of an operation says something else of itself than before.
    HostChanged {
        /// The operation that installed it.
        operation: String,
        /// What differs.
        changes: Vec<String>,
    },
    /// The host of an operation has missed several calls in a row.
    HostSilent {
        /// The operation that installed it.
        operation: String,
        /// When it called last.
        called_at: Millis,
        /// How often it should.
        heartbeat_secs: u64,
    },
    /// A host that was silent calls again.
    HostBack {
        /// The operation that installed it.
        operation: String,
        /// How long nothing was heard of it, in seconds.
        silent_secs: u64,
    },
    /// Somebody showed a token that is not good for what was asked.
    TokenRefused {
        /// The operation that was named.
        operation: String,
        /// From which address.
        from: String,
        /// What was asked, and why it was refused.
        reason: String,
    },
    /// An inventory came in.
    Inventory {
        /// Its number.
        inventory: i64,
        /// Lines that differ from the one before, a few of them; empty for the first.
        changes: Vec<String>,
        /// Whether this is the machine's first.
        first: bool,
    },
    /// A boot attempt began.
    AttemptStarted {
        /// Its number.
        attempt: i64,
        /// The address that boots.
        mac: MacAddr,
    },
    /// A boot attempt reached a stage.
    AttemptStage {
        /// Its number.
        attempt: i64,
        /// The address that boots.
        mac: MacAddr,
        /// What happened.
        #[serde(rename = "detail")]
        stage: Stage,
    },
    /// A boot attempt ended.
    AttemptEnded {
        /// The attempt, without its stages.
        attempt: Attempt,
    },
    /// Another DHCP server answers on a network.
    OtherDhcpServer {
        /// Interface.
        interface: String,
        /// Its address.
        server: String,
        /// Its MAC address.
        mac: MacAddr,
        /// Whether server mode fell silent because of it.
        silenced: bool,
    },
    /// Another DHCP server has not been heard for a while; with the last one gone, server mode answers again.
    OtherDhcpServerGone {
        /// Interface.
        interface: String,
        /// Its address.
        server: String,
    },
    /// A DHCP client declined an address, or a probe found it in use.
    AddressConflict {
        /// Interface.
        interface: String,
        /// The address, which is set aside.
        address: String,
        /// Who uses it, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<MacAddr>,
    },
    /// Addresses were given to clients that had none, or are theirs no longer; renewals are none of it. What happens within a few
    /// seconds on one network is told together, so that a fleet that is switched on is a handful of events.
    LeasesChanged {
        /// Interface.
        interface: String,
        /// Addresses given, the first few of them.
        given: Vec<LeaseNews>,
        /// Addresses that ended, the first few of them.
        ended: Vec<LeaseNews>,
        /// How many were given in all.
        given_count: u64,
        /// How many ended in all.
        ended_count: u64,
    },
    /// A part of the daemon, or a network, is better or worse than it was.
    HealthChanged {
        /// The check's name, or `network` and the interface.
        part: String,
        /// How it was.
        from: HealthState,
        /// How it is.
        to: HealthState,
        /// In a sentence.
        message: String,
    },
    /// The daemon began to serve.
    DaemonStarted {
        /// Its version.
        version: String,
    },
    /// An operator asked for an image by URL.
    ArtifactAsked {
        /// Its name.
        name: String,
        /// Its URL, without what stands behind `?`.
        url: String,
    },
    /// A download got on.
    ArtifactProgress {
        /// Its name.
        name: String,
        /// What is being done.
        step: DownloadStep,
        /// How far.
        progress: Progress,
    },
    /// A download did not get on, and is tried again.
    ArtifactTrouble {
        /// Its name.
        name: String,
        /// What happened, and when it is tried again.
        reason: String,
    },
    /// A download was given up; nothing is kept of it.
    ArtifactFailed {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// An operator took a download back.
    ArtifactCancelled {
        /// Its name.
        name: String,
    },
    /// An import was removed to make room, or because nothing had wanted it for long.
    ArtifactEvicted {
        /// Its name.
        name: String,
        /// `sha256:` and hex digits.
        digest: String,
        /// Why.
        reason: String,
    },
    /// An artifact was built or imported.
    ArtifactReady {
        /// Its name.
        name: String,
        /// `sha256:` and hex digits.
        digest: String,
    },
    /// A build of an artifact was ordered, was begun or ended.
    ArtifactBuild {
        /// Its name.
        name: String,
        /// Where it stands.
        state: ArtifactState,
        /// What happened to it.
        said: String,
    },
    /// A build of an artifact gets on: told at each stage, and a few times within a long one.
    ArtifactBuildProgress {
        /// Its name.
        name: String,
        /// What is being done.
        stage: String,
        /// Bytes done, where bytes are counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        done_bytes: Option<u64>,
        /// Bytes in all, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total_bytes: Option<u64>,
    },
    /// An operator pinned an import, or took the pin back.
    ArtifactPinned {
        /// Its name.
        name: String,
        /// Whether it is pinned.
        pinned: bool,
    },
    /// Settings were changed through the API.
    SettingsChanged {
        /// Their keys.
        keys: Vec<String>,
    },
    /// The appliance's own system is about to be changed.
    SystemChanging {
        /// What becomes of it, in words.
        what: Vec<String>,
    },
    /// A change of the appliance's own system failed.
    SystemChangeFailed {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
    /// The appliance is about to be restarted or switched off.
    SystemEnding {
        /// Whether it stays off.
        power_off: bool,
    },
    /// One of the appliance's units is about to be started again.
    UnitRestarting {
        /// As systemd names it.
        unit: String,
    },
    /// A step of the first set-up was done, or came to nothing.
    SetupStep {
        /// What, in words.
        what: String,
        /// Why it came to nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// The update channel has a version that is newer than the one that runs.
    UpdateFound {
        /// Which.
        version: String,
    },
    /// A version of the appliance is about to be installed.
    UpdateStarted {
        /// Which.
        version: String,
        /// The one that runs.
        from: String,
    },
    /// A version of the appliance is installed: the next restart tries it.
    UpdateInstalled {
        /// Which.
        version: String,
    },
    /// An update came to nothing: the version that runs stays.
    UpdateFailed {
        /// Which, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Why.
        reason: String,
    },
    /// A version that was installed was found healthy, and stays.
    UpdateStayed {
        /// Which.
        version: String,
        /// The one before.
        from: String,
    },
    /// A version that was installed did not start, or was not healthy: the one before runs again.
    UpdateFellBack {
        /// Which.
        version: String,
        /// The one that runs again.
        running: String,
        /// How often it was started in vain, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boots: Option<u32>,
        /// Why.
        reason: String,
    },
    /// The database was one of a later version: it was put aside, and a copy of before has taken its place.
    DatabaseTakenBack {
        /// Where the later one is.
        aside: String,
        /// How many events are only in that one.
        events_lost: u64,
        /// When the last event of the copy was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_at: Option<Millis>,
    },
    /// The appliance is about to be installed on another disk, whose contents are destroyed.
    InstallBegun {
        /// Kernel name of the disk.
        disk: String,
    },
    /// The installation of the appliance on a disk has ended.
    InstallEnded {
        /// Kernel name of the disk.
        disk: String,
        /// Why it came to nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// Everything of this appliance that is not of its image is about to be destroyed.
    FactoryReset,
    /// An interface of the appliance is about to get another address, which goes back unless it is confirmed.
    NetworkChanging {
        /// Which interface.
        interface: String,
        /// What it gets, in words.
        to: String,
        /// Until when it can be confirmed.
        confirm_by: Millis,
    },
    /// Another address of the appliance was confirmed, and stays.
    NetworkConfirmed {
        /// Which interface.
        interface: String,
        /// What it got, in words.
        to: String,
    },
    /// An interface of the appliance has the address again that it had before.
    NetworkTakenBack {
        /// Which interface.
        interface: String,
        /// Why.
        reason: String,
    },
    /// A token of the API was made.
    TokenMade {
        /// Its name.
        name: String,
        /// What it may do.
        scope: Scope,
        /// When it ends; never, where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Millis>,
    },
    /// A token of the API was ended.
    TokenRevoked {
        /// Its name.
        name: String,
    },
    /// Attempts on the API from one address failed; it is made to wait from here on.
    AccessSlowed {
        /// The address.
        from: String,
        /// How many failed so far.
        failures: u32,
    },
    /// Somebody logged in.
    LoggedIn {
        /// The actor of what they do.
        name: String,
        /// Where.
        entrance: Entrance,
        /// With what.
        with: LoginWith,
        /// What they may do.
        scope: Scope,
        /// Over SSH: the client's address, as the SSH server says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    /// Logins with a password fail; who tries is made to wait from here on.
    LoginRefused {
        /// Where.
        entrance: Entrance,
        /// Over SSH: the client's address, as the SSH server says; absent where it is about all of them together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// How many failed so far.
        failures: u32,
    },
    /// The administrator's password was set; sessions of the one before have ended.
    PasswordChanged {
        /// There was none before.
        first: bool,
    },
    /// The holder of a public key may log in over SSH.
    SshKeyAdded {
        /// `SHA256:` and base64.
        fingerprint: String,
        /// Whose it is, as its line says; may be empty.
        comment: String,
    },
    /// A public key was taken from the list; its sessions have ended.
    SshKeyDeleted {
        /// `SHA256:` and base64.
        fingerprint: String,
        /// Whose it was, as its line said; may be empty.
        comment: String,
    },
    /// A password was made that lets keys be added over SSH, once.
    OneTimePasswordMade {
        /// When it ends.
        expires_at: Millis,
    },
    /// The API shows another certificate.
    CertificateChanged {
        /// SHA-256 of it.
        fingerprint: String,
        /// Until when it is good.
        expires_at: Millis,
    },
    /// A certificate that was put there cannot be used; the one before it stays.
    CertificateRefused {
        /// What is wrong with it.
        reason: String,
    },
    /// An operator deleted an import.
    ArtifactDeleted {
        /// Its name.
        name: String,
        /// `sha256:` and hex digits.
        digest: String,
    },
    /// Everything that the appliance knows was handed out, encrypted.
    BackupMade {
        /// Bytes of what is in it.
        bytes: u64,
        /// Whether images are in it.
        artifacts: bool,
    },
    /// The appliance goes on from a backup; what it knew before is gone.
    BackupRestored {
        /// When the backup was made.
        made_at: Millis,
        /// The appliance that it is of.
        hostname: String,
    },
    /// The clock was set; what lasts until a time was moved with it.
    ClockJumped {
        /// What it showed.
        from: Millis,
        /// What it shows.
        to: Millis,
    },
    /// An operator tries a webhook; it is sent to that one alone.
    WebhookTest {
        /// The webhook's name.
        webhook: String,
    },
}
