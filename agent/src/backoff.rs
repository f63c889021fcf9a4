//! Waits between retries: doubling from one second to thirty, with jitter.

use std::time::Duration;

/// The first wait: a daemon that restarts is back within it.
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// The longest wait: a rack full of waiting machines then asks about once a second in all.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The waits of one thing that is retried.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure. `random` picks within a quarter below and above it, so that
    /// machines which were powered on together do not ask together for ever.
    pub fn next(&mut self, random: u16) -> Duration {
        let wait = WAIT_FIRST.saturating_mul(1 << self.failures.min(8)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        let share = 750 + u32::from(random) * 500 / u32::from(u16::MAX);
        (wait * share / 1000).min(WAIT_MAX)
    }

    /// It worked: the next failure starts again with the first wait.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How often it failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failures_before: u32, random: u16, expected_ms: std::ops::RangeInclusive<u128>) {
        let mut backoff = Backoff { failures: failures_before };
        let wait = backoff.next(random).as_millis();
        assert!(expected_ms.contains(&wait), "{failures_before} failures, random {random}: {wait} ms");
    }

    #[test]
    fn waits_double_to_the_limit_within_their_jitter() {
        check(0, 0, 750..=750);
        check(0, u16::MAX, 1250..=1250);
        check(1, u16::MAX / 2, 1990..=2000);
        check(4, 0, 12_000..=12_000);
        check(5, u16::MAX, 30_000..=30_000);
        check(u32::MAX, 0, 22_500..=22_500);
    }

    #[test]
    fn success_starts_again() {
        let mut backoff = Backoff { failures: 7 };
        backoff.reset();
        assert!(backoff.next(0) < WAIT_FIRST);
        assert_eq!(backoff.failures(), 1);
    }
}
