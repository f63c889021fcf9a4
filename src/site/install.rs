//! The appliance on another disk, and factory reset: ordered here, and done by units that are root.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use ironwake_api::{
    Actor, ApplianceDisks, EventKind, FactoryReset, InstallNew, InstallPhase, InstallState, Millis,
};

use super::system::{Own, told};
use super::{Site, SiteError};
use crate::disk_install::{Order, is_appliance, load_facts, load_state, order_path, run_folder};
use crate::store::StoreError;
use crate::systemd::{DISKS, FACTORY_RESET, INSTALL, UNATTENDED};

/// What was read so lately is told again: whoever may look cannot keep the disks busy.
const FRESH: Millis = 3_000;
/// Disks that do not answer are waited for half as long by whoever reads them; a request may take 30 s.
const READ_WITHIN: Duration = Duration::from_secs(25);
/// How often it is looked whether they are read.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a unit that was started may take to say its first word.
const BEGIN_WITHIN: Millis = 30_000;

/// An installation that was ordered, until what became of it is told.
#[derive(Debug, Clone)]
pub(super) struct Ordered {
    actor: Actor,
    disk: String,
    at: Millis,
}

pub(super) type Installing = Mutex<Option<Ordered>>;

impl Site {
    /// The appliance's own disks, as they are.
    pub async fn appliance_disks(&self) -> Result<ApplianceDisks, SiteError> {
        let own = self.own()?;
        own.is_appliance().await?;
        let asked = self.now();
        if let Some(known) = own.facts().await?.filter(|known| known.read_at + FRESH > asked) {
            return Ok(known);
        }
        let bus = &own.appliance.bus;
        bus.start_unit(DISKS).await?;
        let read = async {
            loop {
                if let Some(read) = own.facts().await?.filter(|read| read.read_at >= asked) {
                    return Ok::<_, SiteError>(read);
                }
                if bus.units(&[DISKS]).await?.iter().any(|unit| unit.active == "failed") {
                    return Err(not_read("it failed"));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(READ_WITHIN, read).await.map_err(|_| not_read("it takes too long"))?
    }

    /// How far the installation on a disk is.
    pub async fn install_state(&self) -> Result<InstallState, SiteError> {
        let own = self.own()?;
        let folder = run_folder(&own.appliance.root);
        let state = blocking(move || load_state(&folder)).await?.unwrap_or_default();
        let ordered = own.installing().clone();
        if !state.phase.is_running() && ordered.is_none() {
            return Ok(state);
        }
        let units = own.appliance.bus.units(&[INSTALL, UNATTENDED]).await?;
        let runs = |name| units.iter().any(|unit| unit.name == name && unit.active == "activating");
        let ended = |why: &str, state| {
            let problem = Some(format!("{why}: journalctl -u ironwake-install"));
            InstallState { phase: InstallPhase::Failed, problem, ..state }
        };
        // What is told of one before is nothing of this one.
        if let Some(Ordered { disk, at, .. }) = ordered.filter(|ordered| state.begun_at < ordered.at) {
            let disk = Some(disk);
            let state = InstallState { phase: InstallPhase::Ordered, disk, ..InstallState::default() };
            let waits = runs(INSTALL) || self.now() < at + BEGIN_WITHIN;
            return Ok(if waits { state } else { ended("it did not begin", state) });
        }
        let broke_off = state.phase.is_running() && !runs(INSTALL) && !runs(UNATTENDED);
        Ok(if broke_off { ended("it ended before it was done", state) } else { state })
    }

    /// Has the appliance installed on a disk. What is on it has to be what was shown, and its name typed.
    pub async fn install_on_disk(&self, new: InstallNew, actor: Actor) -> Result<InstallState, SiteError> {
        let disks = self.appliance_disks().await?;
        let own = self.own()?;
        let _changing = own.changing.lock().await;
        let InstallNew { disk, digest, confirm, then } = new;
        let Some(found) = disks.disks.iter().find(|found| found.disk.name == disk) else {
            return Err(SiteError::invalid("disk", format!("the appliance has no disk {disk:?}")));
        };
        if let Some(why) = &found.refused {
            return Err(SiteError::Conflict(format!("the appliance cannot be installed on {disk}: {why}")));
        }
        if confirm != disk {
            let message = format!("everything on {disk} is destroyed: {disk} has to be typed to confirm it");
            return Err(SiteError::invalid("confirm", message));
        }
        if found.digest != digest {
            let message =
                format!("{disk} is not as it was shown: look at the disks again, and confirm what is on it");
            return Err(SiteError::Conflict(message));
        }
        if self.install_state().await?.phase.is_running() {
            return Err(SiteError::Conflict("the appliance is being installed already".to_owned()));
        }
        let event = self.event(actor.clone(), None, EventKind::InstallBegun { disk: disk.clone() });
        self.store.save(vec![event]).await?;
        let order = Order { disk: disk.clone(), digest, then };
        let at = self.now();
        let path = order_path(&own.appliance.root);
        blocking(move || order.save(&path)).await?;
        *own.installing() = Some(Ordered { actor, disk: disk.clone(), at });
        if let Err(error) = own.appliance.bus.start_unit(INSTALL).await {
            self.install_ended(&own, Some(error.to_string())).await;
            return Err(error.into());
        }
        Ok(InstallState { phase: InstallPhase::Ordered, disk: Some(disk), ..InstallState::default() })
    }

    /// Has everything destroyed that makes this appliance another one than its image.
    pub async fn factory_reset(&self, reset: FactoryReset, actor: Actor) -> Result<(), SiteError> {
        let own = self.own()?;
        own.is_appliance().await?;
        let hostname = self.own_system().await?.hostname;
        if reset.confirm != hostname {
            let message =
                format!("everything of this appliance is destroyed: its name, {hostname}, has to be typed");
            return Err(SiteError::invalid("confirm", message));
        }
        let _changing = own.changing.lock().await;
        if self.install_state().await?.phase.is_running() {
            return Err(SiteError::Conflict("the appliance is being installed on a disk".to_owned()));
        }
        let event = self.event(actor.clone(), None, EventKind::FactoryReset);
        self.store.save(vec![event]).await?;
        let started = own.appliance.bus.start_unit(FACTORY_RESET).await;
        if let Err(error) = &started {
            let kind =
                EventKind::SystemChangeFailed { what: "factory reset".into(), reason: error.to_string() };
            self.note(actor, kind).await;
        }
        Ok(started?)
    }

    /// Tells what became of an installation.
    pub(super) async fn tend_install(&self, own: &Own) {
        if own.installing().is_none() {
            return;
        }
        let Ok(state) = self.install_state().await else { return };
        if !state.phase.is_running() {
            self.install_ended(own, state.problem).await;
        }
    }

    async fn install_ended(&self, own: &Own, problem: Option<String>) {
        let ended = own.installing().take();
        if let Some(Ordered { actor, disk, .. }) = ended {
            self.note(actor, EventKind::InstallEnded { disk, problem }).await;
        }
    }
}

impl Own {
    async fn facts(&self) -> Result<Option<ApplianceDisks>, SiteError> {
        let folder = run_folder(&self.appliance.root);
        blocking(move || load_facts(&folder)).await
    }

    async fn is_appliance(&self) -> Result<(), SiteError> {
        let root: PathBuf = self.appliance.root.clone();
        match blocking(move || Ok(is_appliance(&root))).await? {
            true => Ok(()),
            false => Err(SiteError::Conflict(
                "this host is not the appliance's image: it is installed, and reset, by its own system's means".to_owned(),
            )),
        }
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SiteError> {
    let read = tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Closed)?;
    read.map_err(|error| SiteError::SystemFile(told(&error)))
}

fn not_read(why: &str) -> SiteError {
    SiteError::SystemUnavailable(format!("the disks cannot be read, {why}: journalctl -u ironwake-disks"))
}
