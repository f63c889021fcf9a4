//! The store: SQLite through one writer thread and a few readers. All SQL lives here.

use std::path::Path;
use std::sync::Arc;

use ironwake_api::{
    Actor, Attempt, Event, EventKind, Inventory, InventoryRecord, Lease, Machine, Millis, Stage,
};
use tokio::sync::broadcast;

/// One change to save. Changes that are saved together are in the store together or not at all.
#[derive(Debug, Clone)]
pub enum Change {
    /// Insert or replace a machine (its `inventory` field is ignored).
    Machine(Box<Machine>),
    /// Delete a machine, its inventories and its attempts.
    MachineDeleted(String),
    /// Add an inventory; `id` from [`Store::counters`].
    Inventory { id: i64, machine: String, at: Millis, inventory: Box<Inventory> },
    /// Insert or replace a boot attempt (its `stages` are ignored).
    Attempt(Box<Attempt>),
    /// Insert or replace stage number `seq` (from 0) of an attempt.
    Stage { attempt: i64, seq: u32, stage: Box<Stage> },
    /// Insert or replace a lease, by address.
    Lease(Box<Lease>),
    /// Forget a lease.
    LeaseRemoved { address: std::net::Ipv4Addr },
    /// Append an event; it gets its id when it is saved and is published after the commit.
    Event(Box<NewEvent>),
}

/// An event before it has an id.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub at: Millis,
    pub actor: Actor,
    pub machine: Option<String>,
    pub kind: EventKind,
}

/// The last ids in use when the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub inventory: i64,
    pub attempt: i64,
}

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store is closed")]
    Closed,
    #[error("{0}")]
    Sqlite(String),
}

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store;

impl Store {
    /// Opens or makes the database at `path`, migrating it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let _ = path;
        unimplemented!()
    }
    /// The largest ids in the store.
    pub fn counters(&self) -> Counters {
        unimplemented!()
    }
    /// Saves all of `changes`, durably, before it returns. Waiting callers share one commit.
    pub async fn save(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let _ = changes;
        unimplemented!()
    }
    /// Queues `changes` to be saved within a moment. False (and counted) when the queue is full.
    pub fn save_behind(&self, changes: Vec<Change>) -> bool {
        let _ = changes;
        unimplemented!()
    }
    /// Events as they are committed.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        unimplemented!()
    }
    /// Events after `id`, oldest first, at most `limit`.
    pub async fn events_after(
        &self,
        id: i64,
        machine: Option<String>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let _ = (id, machine, limit);
        unimplemented!()
    }
    /// Every machine, without inventories; for the start.
    pub async fn machines(&self) -> Result<Vec<Machine>, StoreError> {
        unimplemented!()
    }
    /// The newest inventory of a machine.
    pub async fn inventory(&self, machine: &str) -> Result<Option<InventoryRecord>, StoreError> {
        let _ = machine;
        unimplemented!()
    }
    /// A machine's inventories, newest first.
    pub async fn inventories(&self, machine: &str, limit: u32) -> Result<Vec<InventoryRecord>, StoreError> {
        let _ = (machine, limit);
        unimplemented!()
    }
    /// A machine's attempts, newest first, with their stages.
    pub async fn attempts(&self, machine: &str, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        let _ = (machine, limit);
        unimplemented!()
    }
    /// One attempt with its stages.
    pub async fn attempt(&self, id: i64) -> Result<Option<Attempt>, StoreError> {
        let _ = id;
        unimplemented!()
    }
    /// Attempts whose outcome is still running; for the start.
    pub async fn attempts_running(&self) -> Result<Vec<Attempt>, StoreError> {
        unimplemented!()
    }
    /// Every lease; for the start and the API.
    pub async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        unimplemented!()
    }
    /// Waits until everything queued is saved, then closes.
    pub async fn close(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
