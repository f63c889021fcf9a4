//! The site: every machine in memory, and the one path by which anything changes: decide, save, then do.
//!
//! What the network edges ask is answered from memory without waiting. What changes a record goes
//! through [`Site::gate`], one change at a time, and is in the store before memory and callers see it.

mod addresses;
mod armed;
mod attempts;
mod backup;
mod builds;
mod bulk;
mod catalog;
mod clock;
mod conflicts;
mod downloads;
mod drafts;
mod enroll;
mod fitting;
mod fruitless;
mod health;
mod health_news;
mod heartbeat;
mod hosts;
mod ids;
mod imports;
mod install;
mod installer;
mod keeping;
mod kept;
mod learned;
mod logins;
mod one_time;
mod operations;
mod operators;
mod orders;
mod own_address;
mod password;
mod phone_home;
mod rebuild;
mod records;
mod refusals;
mod scripts;
mod self_test;
mod sessions;
mod settings;
mod setup;
mod shells;
mod sighting;
mod simulate;
mod ssh_keys;
mod steps;
mod summaries;
mod tally;
mod system;
mod tokens;
mod unmade;
mod update_reception;
mod updates;
mod uploads;
mod values;
mod webhooks;
mod written;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ironwake_api::{FieldProblem, Inventory, MacAddr, Machine, Millis, SecureBoot};

use crate::artifacts::{ImportError, Imports};
use crate::backup::BackupError;
use crate::boot::{MachineView, SitePolicy};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::machine::{Candidate, Identity, Index, identifying_text};
use crate::operation::SiteKey;
use crate::recorder::Recorder;
use crate::script::{DiscoveryFiles, DiscoveryImage};
use crate::store::{Store, StoreError};
use crate::systemd::BusError;

pub use backup::{Sending, Unpacked};
pub use bulk::BulkOutcome;
pub use downloads::run_downloads;
pub use enroll::Enrolled;
pub use password::{PASSWORD_FILE, PasswordError, SettingPassword};
pub use scripts::{Script, ScriptRequest};
pub use self_test::SelfTester;
pub use sessions::InSession;
pub use setup::AskDhcp;
pub use shells::{SHELLS_MAX, Shell, ShellNote, ShellTraffic, Wire, Wish};
pub use ssh_keys::SSH_KEYS_MAX;
pub use system::Appliance;
pub use tally::DhcpTally;
pub use tokens::{Admitted, Denied, Standing};
pub use update_reception::Reception;
pub use updates::Updating;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// No record has this key.
    #[error("no machine {0:?}: neither an id, a name, a MAC address, a UUID nor a serial number of one")]
    NoSuchMachine(String),
    /// No operation has this id.
    #[error("no operation {0:?}")]
    NoSuchOperation(String),
    /// No artifact has this name.
    #[error("no artifact {0:?}")]
    NoSuchArtifact(String),
    /// No build was ever ordered of it.
    #[error("no build of {0:?}: `ironwake artifact build {0}` orders one")]
    NoSuchBuild(String),
    /// The operation has no file of this name.
    #[error("no file {0:?} among the operation's answers")]
    NoSuchFile(String),
    /// An image is not taken.
    #[error(transparent)]
    Import(Box<ImportError>),
    /// A token is not good for what was asked.
    #[error("{0}")]
    Unauthorized(String),
    /// The caller's address is another machine's, for as long as it is.
    #[error("{0}")]
    AddressInDoubt(String),
    /// The operator's token has ended while its request was under way.
    #[error("the token was revoked or has expired while this was asked: nothing of it was done")]
    TokenEnded,
    /// Password or key are not those of somebody who may log in; which is said.
    #[error("{0}")]
    LoginRefused(&'static str),
    /// Too many passwords were wrong.
    #[error("too many passwords were wrong: try again in {secs} s")]
    LoginSlowed {
        /// How long to wait.
        secs: u64,
    },
    /// Nobody can log in with a password.
    #[error("no password is set: `ironwake password set` sets one, on the appliance as root")]
    NoPassword,
    /// The session is not there any more.
    #[error("the session has ended: log in again")]
    SessionEnded,
    /// The password cannot be compared or kept.
    #[error("the administrator's password: {0}")]
    Password(String),
    /// No profile has this name.
    #[error("no profile {0:?}: `ironwake profile list` shows them")]
    NoSuchProfile(String),
    /// No token has this name.
    #[error("no token {0:?}")]
    NoSuchToken(String),
    /// No key has this fingerprint.
    #[error("no public key {0}: `ironwake key list` shows the fingerprints of those that may log in")]
    NoSuchSshKey(String),
    /// Settings cannot be read or changed; every mistake with its place.
    #[error("{0}")]
    Settings(String),
    /// The system gives no random bytes.
    #[error("take random bytes: {0}")]
    NoRandomness(String),
    /// No webhook has this name.
    #[error("no webhook {0:?}: `ironwake webhook list` shows them")]
    NoSuchWebhook(String),
    /// An address calls too often.
    #[error("more than {limit} calls came from this address within a minute: try again in the next one")]
    TooManyCalls {
        /// How many are answered.
        limit: u32,
    },
    /// Fields are wrong.
    #[error("{}", .0.iter().map(|f| format!("{}: {}", f.field, f.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldProblem>),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// What an operation gives its machine cannot be made, however often it is asked for.
    #[error("{0}")]
    NotMade(String),
    /// A table has no room.
    #[error("there are {limit} {what} already; the limit keeps a flood from filling memory and disk")]
    Full {
        /// What there are too many of.
        what: &'static str,
        /// How many fit.
        limit: usize,
    },
    /// The appliance has no unit of this name that may be started again.
    #[error("no unit {0:?} that may be started again: `ironwake system show` lists those of the appliance")]
    NoSuchUnit(String),
    /// systemd does not do what is asked of it, or is not there.
    #[error(transparent)]
    System(#[from] BusError),
    /// The appliance's system is not set up for what is asked.
    #[error("{0}")]
    SystemUnavailable(String),
    /// A file of the appliance's system.
    #[error("{0}")]
    SystemFile(String),
    /// A backup is not made or not restored.
    #[error(transparent)]
    Backup(Box<BackupError>),
    /// The store refused.
    #[error("save")]
    Store(#[from] StoreError),
}

impl SiteError {
    fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldProblem { field: field.into(), message: message.into() }])
    }
}

impl From<BackupError> for SiteError {
    fn from(error: BackupError) -> Self {
        Self::Backup(Box::new(error))
    }
}

/// Machines with nothing but sightings that are kept; the oldest makes room. Anyone on the wire can
/// make such records, so they must not grow for ever.
pub const SEEN_MAX: usize = 4096;
/// Addresses known by another key than the index has; beyond it all are forgotten and learnt again.
const ALIASES_MAX: usize = 65_536;
/// Machines in all, so that a flood of enrolments does not fill the disk. A large site has 20,000.
pub const MACHINES_MAX: usize = 100_000;

/// Where URLs of a rendering lead that nobody gets.
const NOWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80);

/// What of the configuration the site goes by from its start to its end.
#[derive(Debug, Clone)]
struct Settings {
    discovery: bool,
    idle_secs: u64,
    parameters: String,
    http_port: u16,
    /// How much is kept of imports.
    limits: crate::artifact::Limits,
    /// By interface.
    networks: Vec<(String, SecureBoot)>,
}

/// Every record, and the keys that lead to them.
#[derive(Default)]
struct Records {
    /// Boxed: a table that grows holds two copies of its entries for a while.
    machines: HashMap<String, Box<Machine>>,
    index: Index,
    by_name: HashMap<String, String>,
    /// Ids of those with nothing but sightings; ids grow with time.
    only_seen: std::collections::BTreeSet<String>,
    /// Addresses that a record resolved to by another key, before an inventory names them.
    aliases: HashMap<MacAddr, String>,
    /// Number of the last inventory.
    last_inventory: i64,
}

/// Fills in what only the daemon knows, such as the names of PCI devices.
type Annotate = Box<dyn Fn(&mut Inventory) + Send + Sync>;

/// One place with machines.
pub struct Site {
    store: Store,
    settings: Settings,
    in_force: settings::InForce,
    system: system::System,
    updates: updates::Updates,
    testers: self_test::Testers,
    backup: backup::Copies,
    jumps: clock::Jumps,
    ids: ids::Ids,
    clock: fn() -> Millis,
    records: RwLock<Records>,
    /// Who was seen where and when, by machine id; apart from the records, for it changes with every packet.
    presence: Mutex<HashMap<String, Presence>>,
    addresses: addresses::Addresses,
    recorder: Mutex<Recorder>,
    attempts: attempts::NewestAttempts,
    learned: learned::Learned,
    fruitless: fruitless::Fruitless,
    conflicts: conflicts::Conflicts,
    orders: orders::Orders,
    operations: operations::Operations,
    unmade: unmade::Noted,
    shells: shells::Shells,
    builds: builds::Builds,
    tokens: tokens::Tokens,
    logged: sessions::Logged,
    password: password::Held,
    one_time: one_time::Made,
    ssh_keys: ssh_keys::SshKeys,
    own: values::OwnValues,
    logins: logins::Logins,
    hosts: hosts::Hosts,
    calls: heartbeat::Calls,
    refusals: refusals::Refusals,
    /// Who is told of events.
    receivers: Vec<webhooks::Receiver>,
    imports: Imports,
    downloads: downloads::Downloads,
    uploads: uploads::Uploads,
    keeping: keeping::Keeping,
    /// What tokens are derived from.
    key: SiteKey,
    /// What machines can be made into.
    catalog: Catalog,
    health: health::Board,
    health_news: health_news::HealthNews,
    discovery: RwLock<Option<DiscoveryImage>>,
    /// Our address on each network, by interface.
    servers: Mutex<HashMap<String, Ipv4Addr>>,
    annotate: Annotate,
    /// Held while one change is decided and saved.
    gate: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Presence {
    address: Option<Ipv4Addr>,
    seen_at: Millis,
}

/// Shared by every task.
pub type SharedSite = Arc<Site>;

impl Site {
    /// Loads every record from the store; `imports` gets its names from there.
    pub async fn load(
        config: &Config,
        store: Store,
        clock: fn() -> Millis,
        annotate: Annotate,
        key: SiteKey,
        imports: Imports,
    ) -> Result<Self, StoreError> {
        let settings = Settings {
            discovery: config.discovery.enabled,
            idle_secs: config.discovery.idle_reboot.as_secs(),
            parameters: config.discovery.kernel_parameters.clone(),
            http_port: config.http.listen.port(),
            limits: crate::artifact::Limits {
                bytes_max: config.artifacts.bytes_max,
                unused_max: config.artifacts.keep.as_millis() as Millis,
            },
            networks: config.networks.iter().map(|n| (n.interface.clone(), n.secure_boot)).collect(),
        };
        let counters = store.counters();
        let mut records = Records { last_inventory: counters.inventory, ..Records::default() };
        for machine in summaries::complete(&store, store.machines().await?).await? {
            records.put(machine);
        }
        let ids = ids::Ids::default();
        records.machines.keys().max().into_iter().for_each(|id| ids.seen(id));
        for newest in store.operations(None, None, 1).await? {
            ids.seen(&newest.operation.id);
        }
        let operations = operations::Operations::new(store.operations_running().await?);
        let mut recorder = Recorder::new(counters.attempt);
        let attempts = attempts::NewestAttempts::new(&store.attempts_newest().await?);
        for attempt in store.attempts_running().await? {
            recorder.resume(attempt);
        }
        for import in store.imports().await? {
            imports.put(import);
        }
        let builds = builds::Builds::new(store.builds().await?);
        let own = values::OwnValues::new(store.machine_values().await?, store.hostnames().await?);
        let tokens = tokens::Tokens::new(store.tokens().await?);
        let ssh_keys =
            ssh_keys::SshKeys::new(config.console.authorized_keys.clone(), store.ssh_keys().await?);
        let hosts = hosts::Hosts::new(store.hosts().await?, clock());
        let downloads = store.downloads().await?;
        imports.keep_downloads(downloads.iter().filter(|download| download.failed.is_none()));
        let site = Self {
            store,
            settings,
            in_force: settings::InForce::new(config),
            system: system::System::default(),
            updates: updates::Updates::default(),
            testers: self_test::Testers::default(),
            backup: backup::Copies::default(),
            jumps: clock::Jumps::default(),
            ids,
            clock,
            records: RwLock::new(records),
            presence: Mutex::default(),
            addresses: addresses::Addresses::default(),
            recorder: Mutex::new(recorder),
            attempts,
            learned: learned::Learned::default(),
            fruitless: fruitless::Fruitless::default(),
            conflicts: conflicts::Conflicts::default(),
            orders: orders::Orders::default(),
            operations,
            unmade: unmade::Noted::default(),
            shells: shells::Shells::default(),
            builds,
            tokens,
            logged: sessions::Logged::default(),
            password: password::Held::default(),
            one_time: one_time::Made::default(),
            ssh_keys,
            own,
            logins: logins::Logins::default(),
            hosts,
            calls: heartbeat::Calls::default(),
            refusals: refusals::Refusals::default(),
            receivers: webhooks::receivers(config),
            imports,
            downloads: downloads::Downloads::new(downloads),
            uploads: uploads::Uploads::default(),
            keeping: keeping::Keeping::default(),
            key,
            catalog: Catalog::open(config.profiles.clone()),
            health: health::Board::default(),
            health_news: health_news::HealthNews::default(),
            discovery: RwLock::new(None),
            servers: Mutex::default(),
            annotate,
            gate: tokio::sync::Mutex::new(()),
        };
        // What was received and not saved before the end, and what lost its name then.
        site.sweep_imports();
        Ok(site)
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> Millis {
        (self.clock)()
    }

    /// The store, for what is only read.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The discovery image is here, under these URL paths.
    pub fn set_discovery_image(&self, files: DiscoveryFiles) {
        let image = DiscoveryImage {
            files,
            parameters: self.settings.parameters.clone(),
            idle_secs: self.settings.idle_secs,
        };
        *self.discovery.write().expect("no panic while held") = Some(image);
    }

    fn policy(&self) -> SitePolicy {
        SitePolicy {
            discovery: self.settings.discovery,
            discovery_ready: self.discovery.read().expect("no panic while held").is_some(),
            rediscover_after: self.live().rediscover_after,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().expect("no panic while held")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Records> {
        self.records.write().expect("no panic while held")
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().expect("no panic while held")
    }

    /// Notes that a machine was heard of.
    fn present(&self, id: &str, address: Option<Ipv4Addr>) {
        let mut presence = self.presence.lock().expect("no panic while held");
        let now = self.now();
        match presence.get_mut(id) {
            Some(entry) => {
                entry.seen_at = now;
                entry.address = address.or(entry.address);
            }
            None => {
                presence.insert(id.to_owned(), Presence { address, seen_at: now });
            }
        }
    }

    /// Forgets all that is kept of a record beside it; its boot attempts are `heir`'s from here on.
    fn forget(&self, id: &str, heir: Option<&str>) {
        self.presence.lock().expect("no panic while held").remove(id);
        self.orders.forget(id);
        self.operations.forget(id);
        self.own.forget(id);
        self.hosts.forget(id);
        let mut recorder = self.recorder();
        recorder.reassign(id, heir);
        self.attempts.forget(id, heir);
    }

    /// A record with what was seen of it since it was saved.
    fn with_presence(&self, machine: &Machine) -> Machine {
        let mut machine = machine.clone();
        if let Some(entry) = self.presence.lock().expect("no panic while held").get(&machine.id) {
            machine.seen_at = Some(entry.seen_at);
            machine.address = entry.address.map(|address| address.to_string()).or(machine.address);
        }
        machine
    }
}

impl Records {
    fn put(&mut self, machine: Machine) {
        self.take(&machine.id);
        let only_seen = only_seen(&machine);
        if only_seen {
            self.only_seen.insert(machine.id.clone());
        }
        if let Some(name) = &machine.name {
            self.by_name.insert(name.clone(), machine.id.clone());
        }
        self.index.insert(Candidate { id: machine.id.clone(), identity: identity_of(&machine), only_seen });
        self.machines.insert(machine.id.clone(), Box::new(machine));
    }

    fn remove(&mut self, id: &str) -> Option<Box<Machine>> {
        self.aliases.retain(|_, owner| owner != id);
        self.take(id)
    }

    fn take(&mut self, id: &str) -> Option<Box<Machine>> {
        let old = self.machines.remove(id)?;
        self.index.remove(id);
        self.only_seen.remove(id);
        if let Some(name) = &old.name {
            self.by_name.remove(name);
        }
        Some(old)
    }

    /// The record that an address belongs to.
    fn id_of(&self, mac: MacAddr) -> Option<&str> {
        self.index.by_mac(mac).or_else(|| self.aliases.get(&mac).map(String::as_str))
    }

    /// The record of an identity; one address may stand for what it resolved to before.
    fn resolve(&self, identity: &Identity) -> Option<String> {
        let alias = || match &identity.macs[..] {
            [mac] => self.aliases.get(mac).cloned(),
            _ => None,
        };
        self.index.resolve(identity).machine.or_else(alias)
    }

    /// Remembers that an address belongs to a record that does not list it.
    fn alias(&mut self, mac: MacAddr, id: &str) {
        if self.aliases.len() >= ALIASES_MAX {
            self.aliases.clear();
        }
        self.aliases.insert(mac, id.to_owned());
    }

    fn view(
        &self,
        id: Option<&str>,
        fruitless: u32,
        operations: &operations::Operations,
    ) -> Option<MachineView> {
        let machine = self.machines.get(id?)?;
        Some(MachineView {
            fruitless,
            operation: operations.view_of(&machine.id),
            enrolment: machine.enrolment,
            inventory_at: machine.inventory_at,
            discover_next: machine.discover_next,
        })
    }
}

/// Whether a record holds nothing but sightings.
fn only_seen(machine: &Machine) -> bool {
    machine.enrolment == ironwake_api::Enrolment::Unenrolled
        && machine.inventory_at.is_none()
        && machine.name.is_none()
        && machine.notes.is_none()
        && machine.tags.is_empty()
        && !machine.discover_next
}

fn identity_of(machine: &Machine) -> Identity {
    let text = |value: &Option<String>| value.as_deref().and_then(identifying_text).map(str::to_owned);
    Identity {
        uuid: machine.uuid.as_deref().and_then(|text| text.parse().ok()),
        serial: text(&machine.serial),
        asset_tag: text(&machine.asset_tag),
        macs: machine.macs.clone(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
