//! Backup and restore, as the site does them: who may, what is noted, and what a daemon does first that goes on from one.

use std::io::{Read, Write};
use std::sync::Arc;

use ironwake_api::{
    Actor, BackupNew, EventKind, OperationState, PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN, RestoreQuery,
    Restored, Secret, SystemAction,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::system::Own;
use super::{Site, SiteError, only_seen};
use crate::backup::{self, BackupError, NOTE, Note, Prepared, Sources, Staged};
use crate::operation::Trigger;
use crate::private;
use crate::store::StoreError;

/// Why operations end with which a backup could write to a disk.
const ENDED: &str = "the appliance goes on from a backup, which cannot know what became of it since";

/// What is under way, and whether the daemon is to go on from a backup.
pub(super) struct Copies {
    /// One backup or restore at a time: each takes memory for its passphrase and the disk for a copy.
    one: Arc<Semaphore>,
    again: CancellationToken,
}

impl Default for Copies {
    fn default() -> Self {
        Self { one: Arc::new(Semaphore::new(1)), again: CancellationToken::new() }
    }
}

/// A backup that is about to be sent; others wait until it is.
pub struct Sending {
    prepared: Prepared,
    passphrase: Secret,
    _one: OwnedSemaphorePermit,
}

impl Sending {
    /// Bytes of what is in it.
    pub fn bytes(&self) -> u64 {
        self.prepared.manifest().bytes()
    }

    /// Writes all of it. Blocks.
    pub fn write_to(self, sink: impl Write) -> Result<(), BackupError> {
        self.prepared.write_to(&self.passphrase.0, sink)
    }
}

/// A backup that is unpacked; others wait until it counts or goes.
pub struct Unpacked {
    staged: Staged,
    _one: OwnedSemaphorePermit,
}

impl Site {
    /// Cancelled once the daemon is to be started again, with what was restored.
    pub fn again(&self) -> CancellationToken {
        self.backup.again.clone()
    }

    fn one_copy(&self) -> Result<OwnedSemaphorePermit, SiteError> {
        Ok(self.backup.one.clone().try_acquire_owned().map_err(|_| BackupError::Busy)?)
    }

    /// Makes a backup of this moment. That it was made is in the store before the first byte of it leaves.
    pub async fn back_up(&self, new: BackupNew, actor: Actor) -> Result<Sending, SiteError> {
        check_passphrase(&new.passphrase)?;
        let one = self.one_copy()?;
        let own = self.own()?;
        let layers = self.layers_of_settings()?;
        let images = if new.artifacts { self.imports.digests() } else { Vec::new() };
        let (now, key) = (self.now(), new.ssh_host_key.map(|key| key.0));
        let prepare = move || {
            let appliance = &own.appliance;
            backup::prepare(Sources {
                state: &appliance.state,
                configuration: layers.file(),
                key: appliance.key.as_deref(),
                network: &appliance.files,
                host: &appliance.host_files,
                images: &images,
                ssh_host_key: key,
                hostname: crate::vitals::read(&appliance.state).hostname,
                now,
            })
        };
        let prepared = tokio::task::spawn_blocking(prepare).await.map_err(|_| StoreError::Closed)??;
        let kind = EventKind::BackupMade { bytes: prepared.manifest().bytes(), artifacts: new.artifacts };
        self.store.save(vec![self.event(actor, None, kind)]).await?;
        info!("a backup is sent");
        Ok(Sending { prepared, passphrase: new.passphrase, _one: one })
    }

    /// What unpacks a backup from a reader, beside the state, and checks it. What it gives blocks.
    pub fn unpack_backup<R: Read>(
        &self,
        passphrase: Secret,
        query: &RestoreQuery,
    ) -> Result<impl FnOnce(R) -> Result<Unpacked, BackupError> + use<R>, SiteError> {
        self.refuse_to_restore(query)?;
        let one = self.one_copy()?;
        let own = self.own()?;
        let layers = self.layers_of_settings()?;
        Ok(move |body: R| {
            let appliance = &own.appliance;
            let settle =
                |lower: &str, upper: &str| layers.restored(lower, upper).map_err(|error| error.to_string());
            let (state, key) = (&appliance.state, appliance.key.as_deref());
            let staged = Staged::unpack(body, &passphrase.0, state, key, &settle)?;
            Ok(Unpacked { staged, _one: one })
        })
    }

    /// Makes a backup count that was unpacked, and has the daemon start again with it.
    pub async fn restore(
        &self,
        unpacked: Unpacked,
        query: &RestoreQuery,
        actor: Actor,
    ) -> Result<Restored, SiteError> {
        let _gate = self.gate.lock().await;
        // Somebody may have been enrolled since.
        self.refuse_to_restore(query)?;
        let Unpacked { staged, _one } = unpacked;
        let restored = staged.shown();
        let note = Note::of(&staged.manifest, actor, query.address);
        let committed = tokio::task::spawn_blocking(move || staged.commit(note)).await;
        committed.map_err(|_| StoreError::Closed)??;
        warn!(hostname = restored.hostname, "a backup is restored: the daemon starts again");
        self.backup.again.cancel();
        Ok(restored)
    }

    /// Refuses to let records go that nobody said may, and to take on addresses where they would have no effect.
    fn refuse_to_restore(&self, query: &RestoreQuery) -> Result<(), SiteError> {
        if query.address
            && let Some(why) = self.own()?.appliance.files.unusable()
        {
            let message = format!(
                "its addresses cannot be taken on here: {why}; without `address` the rest is restored"
            );
            return Err(SiteError::SystemUnavailable(message));
        }
        let known = self.read().machines.values().filter(|machine| !only_seen(machine)).count();
        match known {
            0 => Ok(()),
            _ if query.replace => Ok(()),
            known => Err(SiteError::Conflict(format!(
                "this appliance knows {known} machines already, which would be gone: with `replace` they are"
            ))),
        }
    }

    /// What a daemon does first that goes on from a backup, before it serves anybody: whatever could write to a disk ends,
    /// for the machine may have been written since the backup was made.
    pub async fn go_on_from_backup(&self) -> Result<(), SiteError> {
        let own = self.own()?;
        let state = own.appliance.state.clone();
        let looked = tokio::task::spawn_blocking(move || backup::note(&state)).await;
        let Some(note) = looked.map_err(|_| StoreError::Closed)?? else { return Ok(()) };
        self.end_what_could_write(ENDED).await?;
        let kind = EventKind::BackupRestored { made_at: note.made_at, hostname: note.hostname.clone() };
        self.store.save(vec![self.event(note.actor.clone(), None, kind)]).await?;
        if note.address {
            self.take_address_of(&own, &note).await;
        }
        let path = own.appliance.state.join(NOTE);
        let removed = tokio::task::spawn_blocking(move || private::remove(&path)).await;
        removed.map_err(|_| StoreError::Closed)?.map_err(BackupError::from)?;
        info!(hostname = note.hostname, "the appliance goes on from a backup");
        Ok(())
    }

    /// Cancels what is armed, or waits in a batch to be: the records are of before, and machines may have been written since, or
    /// their operations called off.
    pub async fn end_what_could_write(&self, why: &str) -> Result<(), SiteError> {
        for record in self.operations.all() {
            let operation = &record.operation;
            let could = match operation.state {
                OperationState::PxeReady | OperationState::PxeBooted => true,
                OperationState::Registered => operation.batch.is_some(),
                _ => false,
            };
            if could {
                let cancel = Trigger::Cancel { why: Some(why.to_owned()) };
                self.happen(&operation.id, cancel, &Actor::Daemon).await?;
            }
        }
        Ok(())
    }

    /// Takes on the name and the addresses. Where systemd does not, the files are there for the next start of the network.
    async fn take_address_of(&self, own: &Own, note: &Note) {
        let bus = &own.appliance.bus;
        if own.available(&[SystemAction::Hostname]).await.is_ok()
            && let Err(error) = bus.set_hostname(&note.hostname).await
        {
            let (what, reason) = (format!("host name {}", note.hostname), error.to_string());
            self.note(Actor::Daemon, EventKind::SystemChangeFailed { what, reason }).await;
        }
        for name in &note.networks {
            let Some(interface) = crate::systemd::interface_of(name) else { continue };
            let Some(index) = (own.appliance.index_of)(interface) else {
                warn!(interface, "the backup has an address for an interface that is not here");
                continue;
            };
            if let Err(error) = bus.reconfigure(index).await {
                let (what, reason) = (format!("address of {interface}"), error.to_string());
                self.note(Actor::Daemon, EventKind::SystemChangeFailed { what, reason }).await;
            }
        }
    }
}

fn check_passphrase(passphrase: &Secret) -> Result<(), SiteError> {
    let passphrase = &passphrase.0;
    let short = passphrase.chars().count() < PASSPHRASE_CHARS_MIN;
    if short || passphrase.len() > PASSPHRASE_BYTES_MAX {
        let message = format!(
            "it has {} characters: {PASSPHRASE_CHARS_MIN} at least, and {PASSPHRASE_BYTES_MAX} bytes at most",
            passphrase.chars().count()
        );
        return Err(SiteError::invalid("passphrase", message));
    }
    Ok(())
}
