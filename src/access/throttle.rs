//! Attempts that fail are slowed down, caller by caller.

use std::collections::HashMap;
use std::hash::Hash;

use ironwake_api::Millis;

/// So many failures of one caller are answered at once: a script with an old token is noticed by then, and a person who
/// mistypes is not held up.
pub const FAILURES_FREE: u32 = 5;
/// The first wait; it doubles with each failure.
const WAIT_MIN: Millis = 1000;
/// The longest wait. Whoever counts as one caller with somebody who guesses waits with them, but not for long.
pub const WAIT_MAX: Millis = 30_000;
/// A caller who has been quiet for so long begins anew.
const FORGET_AFTER: Millis = 15 * 60 * 1000;
/// Callers that are remembered; beyond it the one that was quiet for longest is forgotten.
const CALLERS_MAX: usize = 4096;

/// Who failed how often; `C` is whom a limit counts as one caller.
#[derive(Debug)]
pub struct Throttle<C> {
    free: u32,
    callers: HashMap<C, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Millis,
    until: Millis,
}

impl<C: Eq + Hash + Copy> Throttle<C> {
    /// One that answers `free` failures of a caller at once.
    pub fn new(free: u32) -> Self {
        Self { free, callers: HashMap::new() }
    }

    /// How long the caller still has to wait, if it has to.
    pub fn wait(&self, caller: C, now: Millis) -> Option<Millis> {
        let failures = self.callers.get(&caller)?;
        // A clock that was set back must not make the wait longer.
        let left = failures.until.saturating_sub(now).min(WAIT_MAX);
        (left > 0).then_some(left)
    }

    /// An attempt failed; how many of this caller have by now.
    pub fn failed(&mut self, caller: C, now: Millis) -> u32 {
        if !self.callers.contains_key(&caller) && self.callers.len() >= CALLERS_MAX {
            self.callers.retain(|_, failures| now.saturating_sub(failures.last) < FORGET_AFTER);
            let oldest = self.callers.iter().min_by_key(|(_, failures)| failures.last);
            if let (true, Some(oldest)) =
                (self.callers.len() >= CALLERS_MAX, oldest.map(|(caller, _)| *caller))
            {
                self.callers.remove(&oldest);
            }
        }
        let failures = self.callers.entry(caller).or_insert(Failures { count: 0, last: now, until: 0 });
        if now.saturating_sub(failures.last) >= FORGET_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(doublings) = failures.count.checked_sub(self.free + 1) {
            let wait = WAIT_MIN.checked_shl(doublings).filter(|wait| *wait < WAIT_MAX && doublings < 32);
            failures.until = now + wait.unwrap_or(WAIT_MAX);
        }
        failures.count
    }

    /// An attempt succeeded: what failed before were mistakes.
    pub fn succeeded(&mut self, caller: C) {
        self.callers.remove(&caller);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::Network;
    use super::*;

    fn from(last: u8) -> Network {
        IpAddr::from([10, 0, 0, last]).into()
    }

    #[test]
    fn waits_double_and_end_at_the_limit() {
        let mut throttle = Throttle::new(FAILURES_FREE);
        let mut now = 1_000_000;
        let waits: Vec<Option<Millis>> = (0..13)
            .map(|_| {
                throttle.failed(from(7), now);
                let wait = throttle.wait(from(7), now);
                now += wait.unwrap_or_default();
                wait
            })
            .collect();
        let (free, slowed) = waits.split_at(FAILURES_FREE as usize);
        assert!(free.iter().all(Option::is_none), "{waits:?}");
        let secs: Vec<Millis> = slowed.iter().map(|wait| wait.expect("a wait") / 1000).collect();
        assert_eq!(secs, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(throttle.wait(from(7), now), None);
        assert_eq!(throttle.wait(from(8), now - 1), None, "others do not wait");
        for _ in 0..100 {
            throttle.failed(from(7), now);
        }
        assert_eq!(throttle.wait(from(7), now), Some(WAIT_MAX));
        assert_eq!(throttle.wait(from(7), 0), Some(WAIT_MAX), "whatever the clock does");
    }

    #[test]
    fn who_was_quiet_or_succeeded_begins_anew() {
        let mut throttle = Throttle::new(FAILURES_FREE);
        for _ in 0..FAILURES_FREE {
            throttle.failed(from(7), 5);
        }
        assert_eq!(throttle.failed(from(7), 5 + FORGET_AFTER), 1);
        throttle.succeeded(from(7));
        assert_eq!(throttle.failed(from(7), 6 + FORGET_AFTER), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_one_is_ipv4() {
        let mut throttle = Throttle::new(FAILURES_FREE);
        let address = |text: &str| Network::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(throttle.failed(address("2001:db8::1"), 1), 1);
        assert_eq!(throttle.failed(address("2001:db8::2:1"), 1), 2);
        assert_eq!(throttle.failed(address("2001:db8:0:1::1"), 1), 1);
        assert_eq!(throttle.failed(from(7), 1), 1);
        assert_eq!(throttle.failed(address("::ffff:10.0.0.7"), 1), 2);
    }

    #[test]
    fn a_flood_of_callers_does_not_fill_memory_and_forgets_the_oldest() {
        let mut throttle = Throttle::new(FAILURES_FREE);
        throttle.failed(from(7), 0);
        for number in 0..CALLERS_MAX as u32 {
            let address = IpAddr::from(Ipv4Addr::from_bits(0x0b00_0000 + number));
            throttle.failed(address.into(), 1);
        }
        assert_eq!(throttle.callers.len(), CALLERS_MAX);
        assert_eq!(throttle.failed(from(7), 2), 1, "it was the oldest");
    }
}
