//! Attempts that fail are slowed down, address by address.

use std::collections::HashMap;
use std::net::IpAddr;

use ironwake_api::Millis;

use super::Network;

/// So many wrong tokens of one address are answered at once: a script with an old one is noticed by then.
pub const FAILURES_FREE: u32 = 5;
/// The first wait; it doubles with each failure.
const WAIT_MIN: Millis = 1000;
/// The longest wait. Whoever shares an address with somebody who guesses waits with them, but not for long.
pub const WAIT_MAX: Millis = 30_000;
/// An address that has been quiet for so long begins anew.
const FORGET_AFTER: Millis = 15 * 60 * 1000;
/// Addresses that are remembered; beyond it the one that was quiet for longest is forgotten.
const ADDRESSES_MAX: usize = 4096;

/// Who failed how often.
#[derive(Debug, Default)]
pub struct Throttle {
    addresses: HashMap<Network, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Millis,
    until: Millis,
}

impl Throttle {
    /// How long an address still has to wait, if it has to.
    pub fn wait(&self, from: IpAddr, now: Millis) -> Option<Millis> {
        let failures = self.addresses.get(&from.into())?;
        // A clock that was set back must not make the wait longer.
        let left = failures.until.saturating_sub(now).min(WAIT_MAX);
        (left > 0).then_some(left)
    }

    /// An attempt failed; how many of this address have by now.
    pub fn failed(&mut self, from: IpAddr, now: Millis) -> u32 {
        let from = Network::from(from);
        if !self.addresses.contains_key(&from) && self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.retain(|_, failures| now.saturating_sub(failures.last) < FORGET_AFTER);
            let oldest = self.addresses.iter().min_by_key(|(_, failures)| failures.last);
            if let (true, Some(oldest)) =
                (self.addresses.len() >= ADDRESSES_MAX, oldest.map(|(address, _)| *address))
            {
                self.addresses.remove(&oldest);
            }
        }
        let failures = self.addresses.entry(from).or_insert(Failures { count: 0, last: now, until: 0 });
        if now.saturating_sub(failures.last) >= FORGET_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(doublings) = failures.count.checked_sub(FAILURES_FREE + 1) {
            let wait = WAIT_MIN.checked_shl(doublings).filter(|wait| *wait < WAIT_MAX && doublings < 32);
            failures.until = now + wait.unwrap_or(WAIT_MAX);
        }
        failures.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    #[test]
    fn waits_double_and_end_at_the_limit() {
        let mut throttle = Throttle::default();
        let mut now = 1_000_000;
        let waits: Vec<Option<Millis>> = (0..13)
            .map(|_| {
                throttle.failed(FROM, now);
                let wait = throttle.wait(FROM, now);
                now += wait.unwrap_or_default();
                wait
            })
            .collect();
        let (free, slowed) = waits.split_at(FAILURES_FREE as usize);
        assert!(free.iter().all(Option::is_none), "{waits:?}");
        let secs: Vec<Millis> = slowed.iter().map(|wait| wait.expect("a wait") / 1000).collect();
        assert_eq!(secs, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(throttle.wait(FROM, now), None);
        assert_eq!(throttle.wait(IpAddr::from([10, 0, 0, 8]), now - 1), None, "others do not wait");
        for _ in 0..100 {
            throttle.failed(FROM, now);
        }
        assert_eq!(throttle.wait(FROM, now), Some(WAIT_MAX));
        assert_eq!(throttle.wait(FROM, 0), Some(WAIT_MAX), "whatever the clock does");
    }

    #[test]
    fn a_quiet_address_begins_anew() {
        let mut throttle = Throttle::default();
        for _ in 0..FAILURES_FREE {
            throttle.failed(FROM, 5);
        }
        assert_eq!(throttle.failed(FROM, 5 + FORGET_AFTER), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_one_is_ipv4() {
        let mut throttle = Throttle::default();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(throttle.failed(address("2001:db8::1"), 1), 1);
        assert_eq!(throttle.failed(address("2001:db8::2:1"), 1), 2);
        assert_eq!(throttle.failed(address("2001:db8:0:1::1"), 1), 1);
        assert_eq!(throttle.failed(FROM, 1), 1);
        assert_eq!(throttle.failed(address("::ffff:10.0.0.7"), 1), 2);
    }

    #[test]
    fn a_flood_of_addresses_does_not_fill_memory_and_forgets_the_oldest() {
        let mut throttle = Throttle::default();
        throttle.failed(FROM, 0);
        for number in 0..ADDRESSES_MAX as u32 {
            throttle.failed(std::net::Ipv4Addr::from_bits(0x0b00_0000 + number).into(), 1);
        }
        assert_eq!(throttle.addresses.len(), ADDRESSES_MAX);
        assert_eq!(throttle.failed(FROM, 2), 1, "it was the oldest");
    }
}
