//! What waits for the store: changes, and the frames that leave only once those are durable.

use std::future::Future;
use std::pin::Pin;

use crate::store::{Change, Store, StoreError};

/// Answers that wait for a commit. Beyond it requests are dropped, and clients ask again: with a store that
/// takes a second for a commit this is still 8,000 leases a second.
const FRAMES_MAX: usize = 8192;
/// Changes that wait for a commit: as many again as answers, for releases, declines and conflicts, which
/// have none. Beyond it they are dropped and counted.
const CHANGES_MAX: usize = 2 * FRAMES_MAX;

/// What a commit led to, and the frames that waited for it.
type Committed = (Result<(), StoreError>, Vec<Vec<u8>>);

/// One commit at a time; what comes in meanwhile shares the next one.
pub(super) struct Commits {
    store: Store,
    changes: Vec<Change>,
    frames: Vec<Vec<u8>>,
    running: Option<Pin<Box<dyn Future<Output = Committed> + Send>>>,
}

impl Commits {
    pub fn new(store: Store) -> Self {
        Self { store, changes: Vec::new(), frames: Vec::new(), running: None }
    }

    /// Whether the store is so far behind that no request may add to it.
    pub fn are_full(&self) -> bool {
        self.frames.len() >= FRAMES_MAX || self.are_full_of_changes()
    }

    /// Whether no further change may wait.
    pub fn are_full_of_changes(&self) -> bool {
        self.changes.len() >= CHANGES_MAX
    }

    /// Whether answers wait: a later one must not overtake them.
    pub fn hold_answers(&self) -> bool {
        self.running.is_some() || !self.frames.is_empty()
    }

    /// Has the next commit save these.
    pub fn save(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.changes.extend(changes);
    }

    /// Has a frame wait for the next commit.
    pub fn send_after(&mut self, frame: Vec<u8>) {
        self.frames.push(frame);
    }

    /// Saves what came together while the commit before was under way. False: there is nothing to wait for.
    pub fn begin(&mut self) -> bool {
        if self.running.is_none() && !(self.changes.is_empty() && self.frames.is_empty()) {
            let (changes, frames) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.frames));
            let store = self.store.clone();
            self.running = Some(Box::pin(async move { (store.save(changes).await, frames) }));
        }
        self.running.is_some()
    }

    /// Waits for the commit under way; for ever, where there is none. May be dropped and called again.
    pub async fn done(&mut self) -> Committed {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let committed = running.await;
        self.running = None;
        committed
    }
}
