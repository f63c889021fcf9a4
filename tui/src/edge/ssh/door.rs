//! Who may come in: how many at once, and how long an address waits whose logins fail.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Consoles at once. Each follows the daemon's events by a connection of its own, and the daemon takes 256 in all.
pub const SESSIONS_MAX: usize = 64;
/// Consoles at once of one address: an office behind one address, and room that it cannot take from others.
pub const SESSIONS_EACH_MAX: usize = 56;
/// Connections at once that have not got a console: they cost a key exchange.
pub const ENTERING_MAX: usize = 64;
/// Those of one address: a person who opens a row of terminals.
pub const ENTERING_EACH_MAX: usize = 16;
/// Connections without a login that cost nothing: a person tries with the wrong key.
const FAILURES_FREE: u32 = 5;
/// How long the next one waits; it doubles.
const WAIT: Duration = Duration::from_secs(1);
/// The longest wait: a person who has put the right key there does not want to wait for longer.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// After so long without another one, failures are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Addresses that are remembered, some 100 bytes each. Behind that the one goes that has been quiet for longest.
const ADDRESSES_MAX: usize = 4096;
/// How often the log says that connections are turned away.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// What one subscriber of IPv6 usually has.
const NETWORK_BITS: u32 = 64;

/// The door of one server.
#[derive(Debug, Default)]
pub(super) struct Door {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    entering: usize,
    sessions: usize,
    addresses: HashMap<IpAddr, Record>,
}

#[derive(Debug)]
struct Record {
    entering: usize,
    sessions: usize,
    failures: u32,
    /// When the next connection is taken.
    free_at: Instant,
    /// When it was last heard of.
    seen_at: Instant,
}

/// Why nobody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Shut {
    /// Logins failed.
    #[error("logins from there failed, so it has to wait")]
    Waiting,
    /// The address has as many as one may.
    #[error("that address has {0} connections, the most that one address may have at once")]
    Address(usize),
    /// There are as many as there may be.
    #[error("there are {0} connections, the most at once")]
    All(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entering,
    Session,
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    door: Arc<Door>,
    address: IpAddr,
    kind: Kind,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.held().count(self.address, self.kind, -1);
    }
}

impl Door {
    /// A connection from `address`, which has not logged in.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Place, Shut> {
        self.take(address, Kind::Entering, now)
    }

    /// A console for somebody who has logged in.
    pub(super) fn open(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Place, Shut> {
        self.take(address, Kind::Session, now)
    }

    fn take(self: &Arc<Self>, address: IpAddr, kind: Kind, now: Instant) -> Result<Place, Shut> {
        let address = network(address);
        let mut held = self.held();
        held.tidy(now);
        let (all, all_max, each_max) = match kind {
            Kind::Entering => (held.entering, ENTERING_MAX, ENTERING_EACH_MAX),
            Kind::Session => (held.sessions, SESSIONS_MAX, SESSIONS_EACH_MAX),
        };
        let record = held.record(address, now);
        let (each, waits) = match kind {
            Kind::Entering => (record.entering, now < record.free_at),
            Kind::Session => (record.sessions, false),
        };
        match () {
            () if waits => return Err(Shut::Waiting),
            () if each >= each_max => return Err(Shut::Address(each_max)),
            () if all >= all_max => return Err(Shut::All(all_max)),
            () => held.count(address, kind, 1),
        }
        Ok(Place { door: self.clone(), address, kind })
    }

    /// Somebody came who could not log in; gives how long that address waits, if it does.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut held = self.held();
        let record = held.record(network(address), now);
        if now.duration_since(record.seen_at) > FORGOTTEN_AFTER {
            record.failures = 0;
        }
        record.failures = record.failures.saturating_add(1);
        record.seen_at = now;
        let over = record.failures.checked_sub(FAILURES_FREE + 1)?;
        let wait = WAIT.saturating_mul(2_u32.saturating_pow(over)).min(WAIT_MAX);
        record.free_at = now + wait;
        Some(wait)
    }

    /// Somebody logged in: what failed before was a person.
    pub(super) fn succeeded(&self, address: IpAddr, now: Instant) {
        self.held().record(network(address), now).failures = 0;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Counts stay right whoever panicked.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn record(&mut self, address: IpAddr, now: Instant) -> &mut Record {
        let fresh = || Record { entering: 0, sessions: 0, failures: 0, free_at: now, seen_at: now };
        self.addresses.entry(address).or_insert_with(fresh)
    }

    fn count(&mut self, address: IpAddr, kind: Kind, by: isize) {
        let Some(record) = self.addresses.get_mut(&address) else { return };
        let (all, each) = match kind {
            Kind::Entering => (&mut self.entering, &mut record.entering),
            Kind::Session => (&mut self.sessions, &mut record.sessions),
        };
        *all = all.saturating_add_signed(by);
        *each = each.saturating_add_signed(by);
    }

    /// Makes room for another address.
    fn tidy(&mut self, now: Instant) {
        if self.addresses.len() < ADDRESSES_MAX {
            return;
        }
        let idle = |record: &Record| record.entering + record.sessions == 0;
        self.addresses.retain(|_, record| {
            !idle(record) || (record.failures > 0 && now.duration_since(record.seen_at) <= FORGOTTEN_AFTER)
        });
        if self.addresses.len() >= ADDRESSES_MAX {
            let quiet = self.addresses.iter().filter(|(_, record)| idle(record));
            let quietest = quiet.min_by_key(|(_, record)| record.seen_at).map(|(address, _)| *address);
            quietest.map(|address| self.addresses.remove(&address));
        }
    }
}

/// Connections that were turned away, as the log has them: whoever knocks without end does not fill it.
#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl TurnedAway {
    /// One more. Gives how many came since the last line, if it is time for another one.
    pub(super) fn another(&mut self, now: Instant) -> Option<u64> {
        if self.said_at.is_some_and(|said| now.duration_since(said) < SAID_EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// What is counted together: an address of IPv4, a network of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - NETWORK_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn failures_slow_an_address_down_and_no_other() {
        let (door, start) = (Arc::new(Door::default()), Instant::now());
        let (one, other) = (address("2001:db8::1"), address("2001:db8:0:1::1"));
        for _ in 0..FAILURES_FREE {
            assert_eq!(door.failed(one, start), None);
        }
        door.enter(one, start).expect("some failures are free");
        assert_eq!(door.failed(one, start), Some(WAIT));
        let neighbour = address("2001:db8::ffff:1");
        assert_eq!(door.enter(neighbour, start).unwrap_err(), Shut::Waiting);
        door.enter(other, start).expect("another network");
        door.enter(one, start + WAIT).expect("the wait is over");
        assert_eq!(door.failed(one, start + WAIT), Some(WAIT * 2));
        for _ in 0..100 {
            assert!(door.failed(one, start).expect("a wait") <= WAIT_MAX);
        }
        door.succeeded(one, start);
        assert_eq!(door.failed(one, start), None);
    }

    #[test]
    fn failures_are_forgotten() {
        let (door, start) = (Arc::new(Door::default()), Instant::now());
        let one = address("10.0.0.1");
        for _ in 0..=FAILURES_FREE {
            door.failed(one, start);
        }
        assert_eq!(door.failed(one, start + FORGOTTEN_AFTER + WAIT), None);
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let (door, now) = (Arc::new(Door::default()), Instant::now());
        let (one, mapped, other) = (address("10.0.0.1"), address("::ffff:10.0.0.1"), address("10.0.0.2"));
        let mut places: Vec<Place> =
            (0..SESSIONS_EACH_MAX).map(|_| door.open(one, now).expect("a place")).collect();
        assert_eq!(door.open(mapped, now).unwrap_err(), Shut::Address(SESSIONS_EACH_MAX));
        for _ in SESSIONS_EACH_MAX..SESSIONS_MAX {
            places.push(door.open(other, now).expect("a place"));
        }
        assert_eq!(door.open(address("10.0.0.3"), now).unwrap_err(), Shut::All(SESSIONS_MAX));
        // Who only comes is counted apart.
        let entering: Vec<_> =
            (0..ENTERING_EACH_MAX).map(|_| door.enter(one, now).expect("a place")).collect();
        assert_eq!(door.enter(one, now).unwrap_err(), Shut::Address(ENTERING_EACH_MAX));
        drop((places, entering));
        let held = door.held();
        assert_eq!((held.sessions, held.entering), (0, 0));
    }

    #[test]
    fn who_is_turned_away_is_said_once_a_minute_with_all_others() {
        let (mut turned, start) = (TurnedAway::default(), Instant::now());
        assert_eq!(turned.another(start), Some(0));
        for _ in 0..100 {
            assert_eq!(turned.another(start + SAID_EVERY / 2), None);
        }
        assert_eq!(turned.another(start + SAID_EVERY), Some(100));
        assert_eq!(turned.another(start + SAID_EVERY * 2), Some(0));
        let said = Shut::Address(ENTERING_EACH_MAX).to_string();
        assert_eq!(said, "that address has 16 connections, the most that one address may have at once");
    }

    #[test]
    fn a_flood_of_addresses_is_remembered_in_part() {
        let (door, start) = (Arc::new(Door::default()), Instant::now());
        for number in 0..ADDRESSES_MAX as u32 + 100 {
            let address = IpAddr::from(number.to_be_bytes());
            let now = start + Duration::from_millis(number.into());
            drop(door.enter(address, now).expect("a place"));
            door.failed(address, now);
        }
        assert!(door.held().addresses.len() <= ADDRESSES_MAX);
    }
}
