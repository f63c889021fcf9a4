//! How far an import is: written by whoever works, read by whoever looks.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ironwake_api::DownloadStep;
use tokio_util::sync::CancellationToken;

use crate::artifact::Tries;

/// Shared between an import's work and those who watch it. Zero bytes in all means that nobody knows.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<State>);

#[derive(Debug, Default)]
struct State {
    step: AtomicU8,
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
    in_vain: AtomicU32,
    losses: AtomicU32,
    cancelled: AtomicBool,
    over: CancellationToken,
}

/// A gauge for as long as somebody works by it.
#[derive(Debug, Clone)]
pub struct Watched(Weak<State>);

impl Watched {
    /// It, while the work goes on.
    pub fn gauge(&self) -> Option<Gauge> {
        self.0.upgrade().map(Gauge)
    }
}

/// Steps by the number that stands for them.
const STEPS: [DownloadStep; 5] = [
    DownloadStep::Waiting,
    DownloadStep::Fetching,
    DownloadStep::Retrying,
    DownloadStep::Checking,
    DownloadStep::Converting,
];

impl Gauge {
    /// Looks at it without keeping it.
    pub fn watch(&self) -> Watched {
        Watched(Arc::downgrade(&self.0))
    }

    /// What is being done.
    pub fn step(&self) -> DownloadStep {
        STEPS[usize::from(self.0.step.load(Ordering::Relaxed)).min(STEPS.len() - 1)]
    }

    /// Bytes done, and in all where that is known.
    pub fn bytes(&self) -> (u64, Option<u64>) {
        let total = self.0.total_bytes.load(Ordering::Relaxed);
        (self.0.done_bytes.load(Ordering::Relaxed), (total > 0).then_some(total))
    }

    /// Another step.
    pub(super) fn enter(&self, step: DownloadStep) {
        let number = STEPS.iter().position(|known| *known == step).unwrap_or_default();
        self.0.step.store(number as u8, Ordering::Relaxed);
    }

    /// So many bytes are done.
    pub(super) fn set(&self, done_bytes: u64) {
        self.0.done_bytes.store(done_bytes, Ordering::Relaxed);
    }

    /// So many there are.
    pub(super) fn set_total(&self, total_bytes: Option<u64>) {
        self.0.total_bytes.store(total_bytes.unwrap_or_default(), Ordering::Relaxed);
    }

    /// What the tries have come to.
    pub(super) fn set_tries(&self, tries: Tries) {
        self.0.in_vain.store(tries.in_vain, Ordering::Relaxed);
        self.0.losses.store(tries.losses, Ordering::Relaxed);
    }

    /// What the tries have come to.
    pub fn tries(&self) -> Tries {
        Tries {
            in_vain: self.0.in_vain.load(Ordering::Relaxed),
            losses: self.0.losses.load(Ordering::Relaxed),
        }
    }

    /// A conversion begins.
    pub(super) fn begin(&self, total_bytes: u64) {
        self.set(0);
        self.set_total(Some(total_bytes));
        self.enter(DownloadStep::Converting);
    }

    /// Nobody wants it any more: it ends, and leaves nothing.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
        self.0.over.cancel();
    }

    /// The daemon ends, or others are to go on instead: it ends, and leaves what has come.
    pub fn interrupt(&self) {
        self.0.over.cancel();
    }

    /// Waits for either.
    pub async fn over(&self) {
        self.0.over.cancelled().await;
    }

    /// Whether either has happened.
    pub fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }
}
