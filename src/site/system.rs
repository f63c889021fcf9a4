//! The appliance's own system: shown as it is, and changed through systemd. What is to be done is in the store before it is
//! done.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use ironwake_api::{
    Actor, EventKind, Millis, OwnSystem, ServiceState, SystemAction, SystemChange, SystemChoices,
    SystemClock, SystemCpu, SystemInterface, SystemPatch, SystemService,
};
use tracing::{info, warn};

use super::setup::{AskDhcp, Begun};
use super::{Site, SiteError};
use crate::appliance::{self, Jump, Pending, Step, check_patch};
use crate::config::{Api, Network};
use crate::private;
use crate::store::StoreError;
use crate::systemd::method::{self, Service};
use crate::systemd::{self, Bus, BusError, KeyboardKind, NetworkFiles, OWN_UNITS, OwnUnit, Unit};
use crate::vitals::{self, CpuTime, Vitals};

/// Servers that the clock is set from, as they were named through the API; in the state directory.
const SERVERS: &str = "ntp-servers.json";
/// Some names.
const SERVERS_BYTES_MAX: u64 = 64 << 10;
/// Half a second of each processor: over less, a share says little.
const CPU_TICKS_MIN: u64 = 50;
/// How soon servers are named again to a service that did not take them.
const SERVERS_AGAIN: Millis = 30_000;

/// What of the host the appliance's system is.
pub struct Appliance {
    /// systemd.
    pub bus: Bus,
    /// Files that give its interfaces their addresses.
    pub files: NetworkFiles,
    /// The state directory.
    pub state: PathBuf,
    /// Files and folders outside of it that settings name.
    pub host_files: Vec<PathBuf>,
    /// The site's key, where systemd passes it.
    pub key: Option<PathBuf>,
    /// What is served.
    pub networks: Vec<Network>,
    /// Where operators ask over the network.
    pub api: Api,
    /// Where files of the system are looked for: `/`.
    pub root: PathBuf,
    /// Its interfaces; may block.
    pub interfaces: fn() -> Vec<SystemInterface>,
    /// The kernel's number of one.
    pub index_of: fn(&str) -> Option<i32>,
    /// Who gives addresses on one.
    pub ask_dhcp: AskDhcp,
}

/// The appliance as the site has it.
#[derive(Default)]
pub(super) struct System(OnceLock<Arc<Own>>);

/// What is kept of the appliance.
pub(super) struct Own {
    pub appliance: Appliance,
    started_at: Millis,
    /// When its processors were looked at last, and how busy they were until then.
    cpu: Mutex<(CpuTime, u8)>,
    servers: Mutex<Servers>,
    /// An address that is not confirmed.
    pub pending: Mutex<Option<Pending>>,
    /// It is not taken back before this.
    pub not_before: AtomicU64,
    pub setup: Begun,
    /// When the daemon is started again after a set-up, and who set it up.
    pub restart: Mutex<Option<(Millis, Actor)>>,
    pub(super) installing: super::install::Installing,
    /// Held while one change is made, so that no two get in each other's way.
    pub changing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Servers {
    names: Vec<String>,
    /// When they are to be named to the system; never, where it has them.
    due: Option<Millis>,
}

impl Site {
    /// Takes up the appliance's system, and what was begun with it before the daemon ended.
    pub fn set_appliance(&self, appliance: Appliance) {
        let servers = load_servers(&appliance).unwrap_or_default();
        let due = (!servers.is_empty()).then(|| self.now());
        let own = Own {
            pending: Mutex::new(super::own_address::load(&appliance)),
            started_at: self.now(),
            not_before: AtomicU64::new(0),
            cpu: Mutex::default(),
            servers: Mutex::new(Servers { names: servers, due }),
            setup: Begun::default(),
            restart: Mutex::default(),
            installing: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            appliance,
        };
        let _ = self.system.0.set(Arc::new(own));
    }

    pub(super) fn own(&self) -> Result<Arc<Own>, SiteError> {
        self.system.0.get().cloned().ok_or_else(|| {
            SiteError::System(BusError::NoBus { address: "nowhere".into(), why: "none is set up".into() })
        })
    }

    /// What the appliance is, and what of it can be changed.
    pub async fn own_system(&self) -> Result<OwnSystem, SiteError> {
        let own = self.own()?;
        let bus = &own.appliance.bus;
        let folder = own.appliance.state.clone();
        let vitals = tokio::task::spawn_blocking(move || vitals::read(&folder)).await;
        let vitals: Vitals = vitals.map_err(|_| StoreError::Closed)?;
        let services = bus.services().await;
        let ntp_servers = own.servers().names.clone();
        let network_change = own.pending().as_ref().map(super::own_address::shown);
        let mut told = OwnSystem {
            version: env!("CARGO_PKG_VERSION").into(),
            url: appliance::url(own.appliance.api.listen, &own.appliance.api.names, &vitals.interfaces),
            hostname: vitals.hostname,
            started_at: own.started_at,
            now: self.now(),
            uptime_secs: vitals.uptime_secs,
            clock: SystemClock { timezone: vitals.timezone, ntp_servers, ..SystemClock::default() },
            keyboard: None,
            interfaces: vitals.interfaces,
            cpu: SystemCpu { count: vitals.cpus, used_percent: own.busy_since(vitals.cpu, vitals.cpus) },
            memory: vitals.memory,
            disk: vitals.disk,
            services: Vec::new(),
            changes: Vec::new(),
            network_change,
        };
        let changes = own.changes(&services);
        let units = match &services {
            // Without a bus there is nobody to ask, and asking would only take time.
            Err(_) => {
                told.changes = changes.await;
                None
            }
            Ok(_) => {
                let names: Vec<&str> = OWN_UNITS.iter().map(|unit| unit.unit).collect();
                let (hostname, time, keyboard) = (bus.hostname(), bus.time(), bus.keyboard());
                let (changes, hostname, time, keyboard, units) =
                    tokio::join!(changes, hostname, time, keyboard, bus.units(&names));
                told.changes = changes;
                told.hostname = hostname.ok().flatten().unwrap_or(told.hostname);
                if let Ok(time) = time {
                    told.clock.timezone = time.timezone.or(told.clock.timezone);
                    told.clock.ntp = time.ntp;
                    told.clock.synchronized = time.synchronized;
                }
                told.keyboard = keyboard.ok().flatten();
                units.ok()
            }
        };
        told.services = OWN_UNITS.iter().map(|unit| service(unit, units.as_deref())).collect();
        Ok(told)
    }

    /// What may be set here.
    pub async fn system_choices(&self) -> Result<SystemChoices, SiteError> {
        let own = self.own()?;
        let root = own.appliance.root.clone();
        let keyboards = tokio::task::spawn_blocking(move || systemd::keyboards(&root)).await;
        let (_, keyboards) = keyboards.map_err(|_| StoreError::Closed)?;
        let timezones = own.appliance.bus.timezones().await.unwrap_or_default();
        Ok(SystemChoices { timezones, keyboards })
    }

    /// Changes name, time or keyboard: all of it is checked and saved before any of it is done.
    pub async fn change_system(&self, patch: SystemPatch, actor: Actor) -> Result<OwnSystem, SiteError> {
        let own = self.own()?;
        let lists = patch.timezone.is_some() || patch.keyboard.is_some();
        let choices = if lists { self.system_choices().await? } else { SystemChoices::default() };
        let steps = check_patch(&patch, &choices).map_err(SiteError::Invalid)?;
        if !steps.is_empty() {
            let _changing = own.changing.lock().await;
            own.available(&steps.iter().map(Step::action).collect::<Vec<_>>()).await?;
            let what = steps.iter().map(ToString::to_string).collect();
            let event = self.event(actor.clone(), None, EventKind::SystemChanging { what });
            self.store.save(vec![event]).await?;
            for step in &steps {
                if let Err(error) = own.perform(step, self.now()).await {
                    let (what, reason) = (step.to_string(), error.to_string());
                    self.note(actor, EventKind::SystemChangeFailed { what, reason }).await;
                    return Err(error);
                }
            }
        }
        self.own_system().await
    }

    /// Restarts the appliance, or switches it off. It is asked for once.
    pub async fn end_system(&self, power_off: bool, actor: Actor) -> Result<(), SiteError> {
        let own = self.own()?;
        let _changing = own.changing.lock().await;
        let bus = &own.appliance.bus;
        let allowed = if power_off { bus.can_power_off().await } else { bus.can_reboot().await }?;
        own.allowed(if power_off { "PowerOff" } else { "Reboot" }, &allowed)?;
        let event = self.event(actor.clone(), None, EventKind::SystemEnding { power_off });
        self.store.save(vec![event]).await?;
        let ended = if power_off { bus.power_off().await } else { bus.reboot().await };
        if let Err(error) = &ended {
            let what = if power_off { "power-off" } else { "reboot" };
            let kind = EventKind::SystemChangeFailed { what: what.into(), reason: error.to_string() };
            self.note(actor, kind).await;
        }
        Ok(ended?)
    }

    /// Starts one of the appliance's own units again.
    pub async fn restart_unit(&self, name: &str, actor: Actor) -> Result<(), SiteError> {
        let restartable = OwnUnit::by_name(name).filter(|unit| unit.restartable());
        let unit = restartable.ok_or_else(|| SiteError::NoSuchUnit(name.to_owned()))?;
        let own = self.own()?;
        let _changing = own.changing.lock().await;
        let bus = &own.appliance.bus;
        let found = bus.units(&[unit.unit]).await?;
        if found.first().is_none_or(|found| found.load != "loaded") {
            let message = format!("{} is not installed here: there is nothing to start again", unit.unit);
            return Err(SiteError::Conflict(message));
        }
        let kind = EventKind::UnitRestarting { unit: unit.unit.into() };
        self.store.save(vec![self.event(actor.clone(), None, kind)]).await?;
        let restarted = bus.restart_unit(unit.unit).await;
        if let Err(error) = &restarted {
            let (what, reason) = (format!("restart of {}", unit.unit), error.to_string());
            self.note(actor, EventKind::SystemChangeFailed { what, reason }).await;
        }
        Ok(restarted?)
    }

    /// Names the servers of the clock to a system that does not have them yet.
    pub async fn tend_system(&self) {
        let Ok(own) = self.own() else { return };
        let due = own.servers().due;
        if due.is_some_and(|due| due <= self.now()) {
            let names = own.servers().names.clone();
            let named = own.appliance.bus.set_ntp_servers(&names).await;
            if let Err(error) = &named {
                warn!(%error, "the clock's servers are not named yet");
            }
            own.servers().due = named.is_err().then(|| self.now() + SERVERS_AGAIN);
        }
        self.tend_own_address(&own).await;
        self.tend_setup().await;
        self.tend_updates().await;
        self.tend_install(&own).await;
    }

    /// Notes what became of a change. That it is not saved is told by the store itself.
    pub(super) async fn note(&self, actor: Actor, kind: EventKind) {
        if let Err(error) = self.store.save(vec![self.event(actor, None, kind)]).await {
            warn!(%error, "what became of a change of the system is not saved");
        }
    }
}

impl Own {
    /// The appliance's interfaces.
    pub async fn interfaces(&self) -> Result<Vec<SystemInterface>, SiteError> {
        let interfaces = tokio::task::spawn_blocking(self.appliance.interfaces).await;
        Ok(interfaces.map_err(|_| StoreError::Closed)?)
    }

    /// The clock was set: an address waits for its confirmation as long as it would have, and what is to be done soon is done.
    pub fn clock_jumped(&self, jump: &Jump) {
        if let Some(pending) = &mut *self.pending()
            && pending.asked_at > 0
        {
            pending.asked_at = jump.moved(pending.asked_at);
        }
        self.not_before.store(0, Ordering::Relaxed);
        if let Some((at, _)) = &mut *self.restart.lock().expect("no panic while held") {
            *at = jump.moved(*at);
        }
        let mut servers = self.servers();
        servers.due = servers.due.map(|at| jump.moved(at));
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().expect("no panic while held")
    }

    pub fn installing(&self) -> MutexGuard<'_, Option<super::install::Ordered>> {
        self.installing.lock().expect("no panic while held")
    }

    pub fn pending(&self) -> MutexGuard<'_, Option<Pending>> {
        self.pending.lock().expect("no panic while held")
    }

    /// How busy the processors were since that was asked; what was said just now is said again.
    fn busy_since(&self, now: CpuTime, cpus: u32) -> u8 {
        let mut kept = self.cpu.lock().expect("no panic while held");
        let (before, percent) = *kept;
        if now.all.saturating_sub(before.all) < CPU_TICKS_MIN * u64::from(cpus) {
            return percent;
        }
        *kept = (now, now.percent_since(before));
        kept.1
    }

    async fn perform(&self, step: &Step, now: Millis) -> Result<(), SiteError> {
        let bus = &self.appliance.bus;
        info!(%step, "the appliance's system is changed");
        match step {
            Step::Hostname(name) => bus.set_hostname(name).await?,
            Step::Timezone(zone) => bus.set_timezone(zone).await?,
            Step::Keyboard(name) => {
                let root = self.appliance.root.clone();
                let keyboards = tokio::task::spawn_blocking(move || systemd::keyboards(&root)).await;
                let (kind, known) = keyboards.map_err(|_| StoreError::Closed)?;
                let kind = if known.is_empty() { KeyboardKind::Console } else { kind };
                bus.set_keyboard(name, kind).await?;
            }
            Step::Ntp(on) => {
                bus.set_ntp(*on).await?;
                // What sets the clock is started by that, and knows no servers but its own.
                let mut servers = self.servers();
                servers.due = (*on && !servers.names.is_empty()).then_some(now);
            }
            Step::NtpServers(names) => {
                save_servers(&self.appliance, names)?;
                *self.servers() = Servers { names: names.clone(), due: Some(now) };
                bus.set_ntp_servers(names).await?;
                self.servers().due = None;
            }
        }
        Ok(())
    }

    /// Refuses what this host has no service for, before anything is saved.
    pub async fn available(&self, actions: &[SystemAction]) -> Result<(), SiteError> {
        let services = self.appliance.bus.services().await?;
        for action in actions {
            if let Some(error) = missing(&services, *action) {
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn allowed(&self, member: &str, allowed: &str) -> Result<(), SiteError> {
        let asked = format!("{member} of {}", method::LOGIN.name);
        match allowed {
            "yes" => Ok(()),
            "na" => Err(BusError::missing(&asked, method::LOGIN).into()),
            other => Err(BusError::Denied { asked, said: format!("it says {other:?}") }.into()),
        }
    }

    /// What can be changed, and why not.
    async fn changes(&self, services: &Result<HashSet<String>, BusError>) -> Vec<SystemChange> {
        let services = match services {
            Ok(services) => services,
            Err(error) => {
                let unavailable = Some(error.to_string());
                let change =
                    |what: &SystemAction| SystemChange { what: *what, unavailable: unavailable.clone() };
                return SystemAction::ALL.iter().map(change).collect();
            }
        };
        let judge = |what: &SystemAction| {
            let what = *what;
            async move {
                let unavailable = match missing(services, what) {
                    Some(error) => Some(error.to_string()),
                    None => self.refused(what).await,
                };
                SystemChange { what, unavailable }
            }
        };
        // One that does not answer holds up none of the others.
        futures_util::future::join_all(SystemAction::ALL.iter().map(judge)).await
    }

    /// Why something cannot be done whose service is there.
    async fn refused(&self, action: SystemAction) -> Option<String> {
        let bus = &self.appliance.bus;
        let (member, allowed) = match action {
            SystemAction::Reboot => ("Reboot", bus.can_reboot().await),
            SystemAction::PowerOff => ("PowerOff", bus.can_power_off().await),
            SystemAction::Network => {
                let files = self.appliance.files.clone();
                return tokio::task::spawn_blocking(move || files.unusable()).await.ok()?;
            }
            _ => return None,
        };
        match allowed {
            Ok(allowed) => self.allowed(member, &allowed).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Who does what.
fn service_of(action: SystemAction) -> Service {
    match action {
        SystemAction::Hostname => method::HOSTNAME,
        SystemAction::Timezone | SystemAction::Ntp => method::TIME,
        SystemAction::NtpServers => method::CLOCK,
        SystemAction::Keyboard => method::LOCALE,
        SystemAction::Network => method::NETWORK,
        SystemAction::Restart => method::UNITS,
        SystemAction::Reboot | SystemAction::PowerOff => method::LOGIN,
    }
}

fn missing(services: &HashSet<String>, action: SystemAction) -> Option<BusError> {
    let service = service_of(action);
    (!services.contains(service.name)).then(|| BusError::missing(action.name(), service))
}

/// How a unit is; nobody knows where systemd cannot be asked.
fn service(own: &OwnUnit, units: Option<&[Unit]>) -> SystemService {
    let found = units.map(|units| units.iter().find(|unit| unit.name == own.unit));
    let state = match found {
        None => ServiceState::Unknown,
        Some(None) => ServiceState::Absent,
        Some(Some(unit)) => match (unit.load.as_str(), unit.active.as_str()) {
            ("loaded", "active") => ServiceState::Active,
            ("loaded", "inactive") => ServiceState::Inactive,
            ("loaded", "failed") => ServiceState::Failed,
            ("loaded", _) => ServiceState::Changing,
            _ => ServiceState::Absent,
        },
    };
    let restartable = own.restartable() && !matches!(state, ServiceState::Absent | ServiceState::Unknown);
    SystemService { name: own.name.into(), what: own.what.into(), state, restartable }
}

fn load_servers(appliance: &Appliance) -> Option<Vec<String>> {
    let bytes = private::read(&appliance.state.join(SERVERS), SERVERS_BYTES_MAX);
    let bytes = bytes.inspect_err(|error| warn!(%error, "the clock's servers are not known")).ok()??;
    let read = serde_json::from_slice(&bytes);
    read.inspect_err(|error| warn!(%error, "{SERVERS} cannot be read: name the servers again")).ok()
}

fn save_servers(appliance: &Appliance, names: &[String]) -> Result<(), SiteError> {
    let text = serde_json::to_vec(names).unwrap_or_default();
    private::write(&appliance.state.join(SERVERS), &text).map_err(|error| SiteError::SystemFile(told(&error)))
}

/// An error with its cause.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
