//! How far the work is: counted where it is done, shown and reported elsewhere.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ironwake_api::Progress;

/// Counters that several threads share.
#[derive(Debug, Default)]
pub struct Meter {
    done: AtomicU64,
    /// Zero where it is not known.
    total: AtomicU64,
    what: Mutex<String>,
    ended: AtomicBool,
}

impl Meter {
    /// Another part of the work begins.
    pub fn begin(&self, what: String, total_bytes: u64) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total_bytes, Ordering::Relaxed);
    }

    /// So many more bytes are done.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes done of this part.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// What is being done.
    pub fn what(&self) -> String {
        self.what.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The daemon has ended the operation: whatever writes is to stop.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether the daemon has ended the operation.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }
}

/// The rate since the last look.
#[derive(Debug)]
pub struct Rate {
    done: u64,
    at: Instant,
}

impl Rate {
    /// Begins to look.
    pub fn new(now: Instant) -> Self {
        Self { done: 0, at: now }
    }

    /// How far it is, and how fast since the last look.
    pub fn look(&mut self, meter: &Meter, now: Instant) -> Progress {
        let done = meter.done();
        let elapsed = now.saturating_duration_since(self.at).max(Duration::from_millis(1));
        // Another part has begun if there is less than before.
        let more = done.checked_sub(self.done).unwrap_or(done);
        *self = Self { done, at: now };
        let bytes_per_sec = (more as f64 / elapsed.as_secs_f64()) as u64;
        Progress { done_bytes: done, total_bytes: meter.total(), bytes_per_sec }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_interval() {
        let (meter, start) = (Meter::default(), Instant::now());
        let mut rate = Rate::new(start);
        let mut check = |secs, done_bytes, total_bytes, bytes_per_sec| {
            let progress = rate.look(&meter, start + Duration::from_secs(secs));
            assert_eq!(progress, Progress { done_bytes, total_bytes, bytes_per_sec });
        };
        meter.begin("zeroing sda".into(), 1000);
        meter.add(100);
        check(1, 100, Some(1000), 100);
        meter.add(600);
        check(3, 700, Some(1000), 300);
        meter.begin("writing sda".into(), 0);
        meter.add(50);
        check(4, 50, None, 50);
    }
}
