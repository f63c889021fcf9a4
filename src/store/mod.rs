//! The store: SQLite through one writer thread and a few readers. All SQL lives here.
//!
//! Saves that wait at the same time share one commit, and each is answered only after that commit is
//! on the disk (WAL, `synchronous=FULL`). A save that fails inside a group fails alone. Events are
//! published after the commit that holds them, in the order of their ids.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use ironwake_api::{
    Actor, Attempt, Build, Event, EventKind, Inventory, InventoryRecord, Lease, Machine, Millis, Stage,
    StepResult, WebhookDelivery,
};
use tokio::sync::{broadcast, oneshot, watch};

mod apply;
mod back;
mod copy;
mod error;
mod events;
mod migrate;
mod open;
mod queue;
mod read;
mod row;
mod writer;

#[cfg(test)]
mod tests;

use crate::access::{AddedKey, Kept};
use crate::appliance::{Jump, Known};
use crate::artifact::{Download, Import};
use crate::operation;
use crate::profile::{Secret, Written};
pub use back::{WentBack, copies, snapshot_path};
pub use copy::{Inspected, Locked, inspect, snapshot};
pub use error::StoreError;
pub use events::EventFilter;
pub use migrate::SCHEMA_VERSION;

use queue::{Job, Queue};
use read::Readers;

/// Events kept; the oldest go first. A busy month of a thousand machines, about 300 bytes each.
pub const EVENTS_MAX: i64 = 1_000_000;
/// Boot attempts kept for each machine, and for all MAC addresses without a machine together.
pub const ATTEMPTS_PER_MACHINE_MAX: u32 = 50;
/// Inventories kept for each machine: a year of changes on most, at up to 100 KB each.
pub const INVENTORIES_PER_MACHINE_MAX: u32 = 20;
/// Tries kept for each webhook.
pub const DELIVERIES_PER_WEBHOOK_MAX: u32 = 500;
/// Rows of one read: bounds the memory that a single request takes.
pub const READ_ROWS_MAX: u32 = 1000;
/// Committed events that a slow subscriber may lag behind before it has to read them from the store.
pub const EVENTS_LAG_MAX: usize = 1024;

/// One change to save. Changes that are saved together are in the store together or not at all.
#[derive(Debug, Clone)]
pub enum Change {
    /// Insert or replace a machine (its `inventory` field is ignored).
    Machine(Box<Machine>),
    /// Delete a machine, its inventories and its attempts.
    MachineDeleted(String),
    /// Give a machine's boot attempts to another one and delete its record.
    MachineAbsorbed {
        /// The record that goes.
        id: String,
        /// Whose attempts they are.
        into: String,
    },
    /// Add an inventory; `id` from [`Store::counters`].
    Inventory {
        /// Its number, larger than every number before.
        id: i64,
        /// The machine's id.
        machine: String,
        /// When it came in.
        at: Millis,
        /// What was reported.
        inventory: Box<Inventory>,
    },
    /// Insert or replace a boot attempt (its `stages` are ignored).
    Attempt(Box<Attempt>),
    /// Insert or replace stage number `seq` (from 0) of an attempt.
    Stage {
        /// The attempt's number.
        attempt: i64,
        /// Its place within the attempt.
        seq: u32,
        /// What happened.
        stage: Box<Stage>,
    },
    /// Insert or replace an operation with its history.
    Operation(Box<operation::Record>),
    /// Keep the sealed key that an operation logs in with.
    LoginKey {
        /// The operation's id.
        operation: String,
        /// Not readable without the key of the site.
        sealed: Vec<u8>,
    },
    /// Destroy the key that this operation logs in with.
    LoginKeyDestroyed(String),
    /// Insert or replace step number `seq` of an operation.
    OperationStep {
        /// The operation's id.
        operation: String,
        /// Its place in the profile, from 0.
        seq: u32,
        /// How it goes.
        step: Box<StepResult>,
    },
    /// Insert or replace an import, by name.
    Import(Box<Import>),
    /// Forget the import of this name.
    ImportDeleted(String),
    /// Insert or replace a build, by name.
    Build(Box<Build>),
    /// Insert a token of the API.
    Token(Box<Kept>),
    /// Forget the token of this name.
    TokenDeleted(String),
    /// Insert a public key that may log in over SSH.
    SshKey(Box<AddedKey>),
    /// Forget the public key of this fingerprint.
    SshKeyDeleted(String),
    /// Replace a machine's own values.
    MachineValues {
        /// The machine's id.
        machine: String,
        /// All of them. Which are secret is a profile's word.
        values: Secret<Written>,
    },
    /// Replace the host name that a machine has by policy.
    Hostname {
        /// The machine's id.
        machine: String,
        /// None takes it back.
        name: Option<String>,
    },
    /// Insert or replace what runs on a machine.
    Host(Box<operation::HostRecord>),
    /// What ran on this machine is being overwritten.
    HostGone(String),
    /// Everything up to this event was sent to a webhook, or is none of its business.
    WebhookCursor {
        /// The webhook's name.
        webhook: String,
        /// The event's number.
        event: i64,
    },
    /// Append a try to a webhook's log.
    WebhookDelivery(Box<WebhookDelivery>),
    /// Insert or replace a download, by name.
    Download(Box<Download>),
    /// Forget the download of this name.
    DownloadDeleted(String),
    /// Move leases, tokens and images with a clock that was set.
    ClockJumped(Jump),
    /// What is known of the clock.
    Clock(Box<Known>),
    /// Insert or replace a lease, by address.
    Lease(Box<Lease>),
    /// Append an event; it gets its id when it is saved and is published after the commit.
    Event(Box<NewEvent>),
}

/// An event before it has an id.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// When.
    pub at: Millis,
    /// Who caused it.
    pub actor: Actor,
    /// The machine concerned.
    pub machine: Option<String>,
    /// What happened.
    pub kind: EventKind,
}

/// The last ids in use when the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of inventories, those deleted since included.
    pub inventory: i64,
    /// Of boot attempts, those deleted since included.
    pub attempt: i64,
}

/// A handle to the store; clones share it.
///
/// When the last clone is dropped, what is queued is saved first: that drop may wait for the disk.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    events: broadcast::Sender<Arc<Event>>,
    last_event: Arc<AtomicI64>,
    counters: Counters,
    ended: watch::Receiver<bool>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens or makes the database at `path`, migrating it. Needs no async runtime.
    ///
    /// Holds an exclusive lock on `<path>.lock` until it is closed. A database of an older version is
    /// copied to `<path>.v<version>` before it is migrated; one of a later version is refused.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::of(path, open::open(path, None)?.0)
    }

    /// As [`Store::open`]; but where a later version wrote the database, it is put aside, and the newest copy that this version
    /// can read takes its place: one made before a migration, or a snapshot in this folder. Without any it is refused.
    pub fn open_or_go_back(path: &Path, snapshots: &Path) -> Result<(Self, Option<WentBack>), StoreError> {
        let (opened, went_back) = open::open(path, Some(snapshots))?;
        Ok((Self::of(path, opened)?, went_back))
    }

    fn of(path: &Path, opened: open::Opened) -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::default());
        let (events, _) = broadcast::channel(EVENTS_LAG_MAX);
        let last_event = Arc::new(AtomicI64::new(opened.last_event));
        let (ended_sender, ended) = watch::channel(false);
        let writer = writer::Writer {
            connection: opened.writer,
            lock: opened.lock,
            queue: queue.clone(),
            events: events.clone(),
            last_event: last_event.clone(),
            attempt_newest: opened.counters.attempt,
            secret_deleted: false,
            // The last daemon may have died before it could cut its log.
            uncut: Some(Instant::now()),
        };
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                writer.run();
                let _ = ended_sender.send(true);
            })
            .map_err(StoreError::Thread)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.into(),
                queue,
                readers: Arc::new(Readers::new(opened.readers)),
                events,
                last_event,
                counters: opened.counters,
                ended,
                writer: Some(thread),
            }),
        })
    }

    /// The largest ids in the store when it was opened.
    pub fn counters(&self) -> Counters {
        self.inner.counters
    }

    /// Saves all of `changes`, durably, before it returns. Waiting callers share one commit.
    ///
    /// Waits for room when the queue is full. A caller that gives up waiting may still have saved.
    pub async fn save(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.inner.queue.push(Job { changes, answer: Some(answer) }).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Queues `changes` to be saved within a moment. False when the queue is full or closed.
    pub fn save_behind(&self, changes: Vec<Change>) -> bool {
        self.inner.queue.push_behind(Job { changes, answer: None })
    }

    /// Events as they are committed.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.events.subscribe()
    }

    /// The id of the newest event that is committed; 0 before the first.
    pub fn last_event(&self) -> i64 {
        self.inner.last_event.load(Ordering::Acquire)
    }

    /// Events after `id`, oldest first, at most `limit`.
    pub async fn events_after(
        &self,
        id: i64,
        machine: Option<String>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        self.events(EventFilter { after: id, machine, ..EventFilter::default() }, limit).await
    }

    /// Events that a filter selects, at most `limit`.
    pub async fn events(&self, filter: EventFilter, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.inner.readers.read(move |db| events::select(db, &filter, limit)).await
    }

    /// Every machine, without inventories; for the start.
    pub async fn machines(&self) -> Result<Vec<Machine>, StoreError> {
        self.inner.readers.read(read::machines).await
    }

    /// The newest inventory of a machine.
    pub async fn inventory(&self, machine: &str) -> Result<Option<InventoryRecord>, StoreError> {
        Ok(self.inventories(machine, 1).await?.pop())
    }

    /// A machine's inventories, newest first.
    pub async fn inventories(&self, machine: &str, limit: u32) -> Result<Vec<InventoryRecord>, StoreError> {
        let machine = machine.to_owned();
        self.inner.readers.read(move |db| read::inventories(db, &machine, limit)).await
    }

    /// A machine's attempts, newest first, with their stages.
    pub async fn attempts(&self, machine: &str, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        let machine = machine.to_owned();
        self.inner.readers.read(move |db| read::attempts(db, &machine, limit)).await
    }

    /// One attempt with its stages.
    pub async fn attempt(&self, id: i64) -> Result<Option<Attempt>, StoreError> {
        self.inner.readers.read(move |db| read::attempt(db, id)).await
    }

    /// Attempts whose outcome is still running, with their stages; for the start.
    pub async fn attempts_running(&self) -> Result<Vec<Attempt>, StoreError> {
        self.inner.readers.read(read::attempts_running).await
    }

    /// The newest attempt of each machine, without stages; for the start.
    pub async fn attempts_newest(&self) -> Result<Vec<Attempt>, StoreError> {
        self.inner.readers.read(read::attempts_newest).await
    }

    /// Operations that have not ended; for the start.
    pub async fn operations_running(&self) -> Result<Vec<operation::Record>, StoreError> {
        self.inner.readers.read(read::operations_running).await
    }

    /// One operation, ended or not.
    pub async fn operation(&self, id: &str) -> Result<Option<operation::Record>, StoreError> {
        let id = id.to_owned();
        self.inner.readers.read(move |db| read::operation(db, &id)).await
    }

    /// Operations, newest first: those of one machine, or of all, that are older than `before`.
    pub async fn operations(
        &self,
        machine: Option<String>,
        before: Option<String>,
        limit: u32,
    ) -> Result<Vec<operation::Record>, StoreError> {
        let read = move |db: &_| read::operations(db, machine.as_deref(), before.as_deref(), limit);
        self.inner.readers.read(read).await
    }

    /// The sealed key that an operation logs in with, while it has one.
    pub async fn login_key(&self, operation: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let id = operation.to_owned();
        self.inner.readers.read(move |db| read::login_key(db, &id)).await
    }

    /// The operations that have a key to log in with.
    pub async fn login_keys(&self) -> Result<Vec<String>, StoreError> {
        self.inner.readers.read(read::login_keys).await
    }

    /// The steps of an operation that were begun, each with its place.
    pub async fn operation_steps(&self, operation: &str) -> Result<Vec<(u32, StepResult)>, StoreError> {
        let id = operation.to_owned();
        self.inner.readers.read(move |db| read::operation_steps(db, &id)).await
    }

    /// Every import, by name; for the start.
    pub async fn imports(&self) -> Result<Vec<Import>, StoreError> {
        self.inner.readers.read(read::imports).await
    }

    /// The last build of each artifact, by name; for the start.
    pub async fn builds(&self) -> Result<Vec<Build>, StoreError> {
        self.inner.readers.read(read::builds).await
    }

    /// Every token of the API; for the start.
    pub async fn tokens(&self) -> Result<Vec<Kept>, StoreError> {
        self.inner.readers.read(read::tokens).await
    }

    /// Every added public key, the oldest first; for the start.
    pub async fn ssh_keys(&self) -> Result<Vec<AddedKey>, StoreError> {
        self.inner.readers.read(read::ssh_keys).await
    }

    /// Own values of machines, by id; for the start.
    pub async fn machine_values(&self) -> Result<Vec<(String, Written)>, StoreError> {
        self.inner.readers.read(read::machine_values).await
    }

    /// Machines' ids, and the host names that they have by policy; for the start.
    pub async fn hostnames(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.inner.readers.read(read::hostnames).await
    }

    /// What runs on machines; for the start.
    pub async fn hosts(&self) -> Result<Vec<operation::HostRecord>, StoreError> {
        self.inner.readers.read(read::hosts).await
    }

    /// The last event that a webhook is done with; `None` for one that is new.
    pub async fn webhook_cursor(&self, webhook: &str) -> Result<Option<i64>, StoreError> {
        let name = webhook.to_owned();
        self.inner.readers.read(move |db| read::webhook_cursor(db, &name)).await
    }

    /// Tries to send to a webhook, newest first.
    pub async fn webhook_deliveries(
        &self,
        webhook: &str,
        limit: u32,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let name = webhook.to_owned();
        self.inner.readers.read(move |db| read::webhook_deliveries(db, &name, limit)).await
    }

    /// Every download that has not brought its image, by name; for the start.
    pub async fn downloads(&self) -> Result<Vec<Download>, StoreError> {
        self.inner.readers.read(read::downloads).await
    }

    /// What was known of the clock when it was last written down; for the start.
    pub async fn clock(&self) -> Result<Option<Known>, StoreError> {
        self.inner.readers.read(read::clock).await
    }

    /// Every lease; for the start and the API.
    pub async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.inner.readers.read(read::leases).await
    }

    /// Makes a consistent copy of the database, for [`Store::open_or_go_back`]. It holds up nobody.
    pub async fn snapshot(&self, to: PathBuf) -> Result<(), StoreError> {
        let path = self.inner.path.clone();
        let made = tokio::task::spawn_blocking(move || back::snapshot(&path, &to)).await;
        made.map_err(|_| StoreError::Closed)?
    }

    /// Waits until everything queued is saved, then closes, for all clones.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.queue.close();
        self.inner.readers.close();
        let mut ended = self.inner.ended.clone();
        // The sender goes away without a word only when the writer panicked.
        ended.wait_for(|ended| *ended).await.map(|_| ()).map_err(|_| StoreError::Closed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        self.readers.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}
