//! The writer: one thread, one connection, one commit for all that wait.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use ironwake_api::Event;
use nix::fcntl::Flock;
use rusqlite::Connection;
use tokio::sync::broadcast;

use super::StoreError;
use super::open::BUSY_TIMEOUT;
use super::queue::{Job, Queue};

pub(super) struct Writer {
    pub connection: Connection,
    /// Held until the connection is closed.
    pub lock: Flock<File>,
    pub queue: Arc<Queue>,
    pub events: broadcast::Sender<Arc<Event>>,
    pub last_event: Arc<AtomicI64>,
    /// The largest attempt number seen: only a larger one is an insertion, after which old ones go.
    pub attempt_newest: i64,
    /// Something was deleted that nobody may find any more, not even sealed.
    pub secret_deleted: bool,
    /// When the log is to be cut again: it may hold such things still, since somebody read it when it was to be cut.
    pub uncut: Option<Instant>,
}

/// How often a log that somebody reads is tried again.
const CUT_AGAIN: Duration = Duration::from_secs(1);

impl Writer {
    /// Saves groups until the queue is closed and empty.
    pub fn run(mut self) {
        let queue = self.queue.clone();
        // However this thread ends, nobody must wait for it for ever.
        let _abandon = Abandon(queue.clone());
        while let Some(group) = queue.take(self.uncut) {
            if !group.is_empty() {
                self.save_group(group);
            }
            if self.uncut.is_some_and(|at| at <= Instant::now()) {
                self.cut_log_again();
            }
        }
        let Self { connection, lock, .. } = self;
        if let Err((_, error)) = connection.close() {
            tracing::warn!(%error, "store closed badly; what was saved is safe in its log");
        }
        drop(lock);
    }

    fn save_group(&mut self, group: Vec<Job>) {
        let mut outcomes = Vec::with_capacity(group.len());
        let committed = self.transact(&group, &mut outcomes);
        if let Err(error) = &committed {
            let _ = self.connection.execute_batch("ROLLBACK");
            tracing::error!(%error, saves = group.len(), "store could not commit");
        }
        // Before anyone is told that it is gone.
        if std::mem::take(&mut self.secret_deleted) {
            self.uncut = self.cut_log();
        }
        // A group that broke off has no outcome for its later jobs: they share the group's.
        let mut outcomes = outcomes.into_iter();
        for job in group {
            let result = match (&committed, outcomes.next()) {
                (Err(error), _) => Err(StoreError::Sqlite(error.to_string())),
                (Ok(()), None) => Err(StoreError::Closed),
                (Ok(()), Some(Ok(events))) => {
                    self.publish(events);
                    Ok(())
                }
                (Ok(()), Some(Err(error))) => Err(error),
            };
            answer(job, result);
        }
    }

    /// Deleted rows are overwritten in the database; the log still holds them until it is cut. Waits a while for those
    /// who read it; where they stay, returns when to try again.
    fn cut_log(&self) -> Option<Instant> {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        match self.connection.query_row(sql, [], |row| row.get::<_, bool>(0)) {
            Ok(false) => return None,
            Ok(true) => tracing::debug!("the store's log is read and was not cut"),
            Err(error) => tracing::warn!(%error, "the store's log was not cut"),
        }
        Some(Instant::now() + CUT_AGAIN)
    }

    /// The same without waiting: whoever saves is not held up by who reads.
    fn cut_log_again(&mut self) {
        let waits = |limit| {
            if let Err(error) = self.connection.busy_timeout(limit) {
                tracing::warn!(%error, "the store's patience was not set");
            }
        };
        waits(Duration::ZERO);
        let cut = self.cut_log();
        waits(BUSY_TIMEOUT);
        self.uncut = cut;
    }

    /// Applies each job in a savepoint of its own and commits those that succeed.
    fn transact(
        &mut self,
        group: &[Job],
        outcomes: &mut Vec<Result<Vec<Event>, StoreError>>,
    ) -> Result<(), StoreError> {
        self.run_sql("BEGIN IMMEDIATE")?;
        for job in group {
            self.run_sql("SAVEPOINT job")?;
            let mut events = Vec::new();
            let applied = job.changes.iter().try_for_each(|change| self.apply(change, &mut events));
            if let Err(error) = &applied {
                // A full disk or an I/O error ends the whole transaction, and the savepoints with it.
                if self.connection.is_autocommit() {
                    return Err(StoreError::Sqlite(error.to_string()));
                }
                self.run_sql("ROLLBACK TO job")?;
            }
            self.run_sql("RELEASE job")?;
            outcomes.push(applied.map(|()| events));
        }
        self.run_sql("COMMIT")
    }

    fn run_sql(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn publish(&self, events: Vec<Event>) {
        for event in events {
            // The number first: whoever sees the event can rely on `last_event`.
            self.last_event.store(event.id, Ordering::Release);
            // Without subscribers there is nobody to tell.
            let _ = self.events.send(Arc::new(event));
        }
    }
}

fn answer(job: Job, result: Result<(), StoreError>) {
    match job.answer {
        // Whoever gave up waiting does not hear it.
        Some(answer) => drop(answer.send(result)),
        None => {
            if let Err(error) = result {
                tracing::warn!(%error, changes = job.changes.len(), "a change was not saved");
            }
        }
    }
}

struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
