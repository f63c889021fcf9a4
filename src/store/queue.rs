//! The bounded queue before the writer: savers wait for room, the writer waits for work.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

use super::{Change, StoreError};

/// Saves waiting; some seconds of work for a slow disk. Beyond it savers wait, and `save_behind` refuses.
pub(super) const JOBS_MAX: usize = 8192;
/// Saves that share one commit: bounds the time until the first of them is answered.
const GROUP_JOBS_MAX: usize = 1024;
/// How long a save that nobody waits for may wait for company.
const BEHIND_DELAY: Duration = Duration::from_millis(20);

/// Changes that are saved together, and who waits for that.
pub(super) struct Job {
    pub changes: Vec<Change>,
    /// Absent for what is saved behind.
    pub answer: Option<oneshot::Sender<Result<(), StoreError>>>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something for the writer to look at.
    wake: Condvar,
    /// One permit for each free place.
    room: Semaphore,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// When the writer is to take them; none while the queue is empty.
    due: Option<Instant>,
    closed: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), room: Semaphore::new(JOBS_MAX) }
    }
}

impl Queue {
    /// Waits for room, then queues a job to be saved at once.
    pub async fn push(&self, job: Job) -> Result<(), StoreError> {
        self.room.acquire().await.map_err(|_| StoreError::Closed)?.forget();
        if self.add(job, Instant::now()) { Ok(()) } else { Err(StoreError::Closed) }
    }

    /// Queues a job to be saved within a moment; false when full or closed.
    pub fn push_behind(&self, job: Job) -> bool {
        match self.room.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(_) => return false,
        }
        // A burst is taken early: waiting out the delay would fill the queue.
        let burst = self.room.available_permits() < JOBS_MAX / 2;
        let now = Instant::now();
        self.add(job, if burst { now } else { now + BEHIND_DELAY })
    }

    fn add(&self, job: Job, due: Instant) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.jobs.push_back(job);
        if state.due.is_none_or(|earlier| due < earlier) {
            state.due = Some(due);
            self.wake.notify_one();
        }
        true
    }

    /// The next group, oldest first; waits until one is due, or gives an empty one at `end`. None when closed and empty.
    pub fn take(&self, end: Option<Instant>) -> Option<Vec<Job>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            match (state.due, end) {
                (None, _) if state.closed => return None,
                (None, Some(end)) if end <= now => return Some(Vec::new()),
                (None, Some(end)) => {
                    let waited = self.wake.wait_timeout(state, end - now);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                (None, None) => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                (Some(due), _) if due > now && !state.closed => {
                    let waited = self.wake.wait_timeout(state, due - now);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                (Some(_), _) => break,
            }
        }
        let count = state.jobs.len().min(GROUP_JOBS_MAX);
        let group: Vec<Job> = state.jobs.drain(..count).collect();
        if state.jobs.is_empty() {
            state.due = None;
        }
        drop(state);
        self.room.add_permits(count);
        Some(group)
    }

    /// Refuses what comes from here on; what is queued is still taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.wake.notify_one();
    }

    /// Closes and drops what is queued, so that those who wait are told.
    pub fn abandon(&self) {
        self.close();
        let mut state = self.lock();
        state.due = None;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
