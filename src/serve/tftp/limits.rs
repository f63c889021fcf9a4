//! How many transfers run at once, and what becomes of requests beyond that.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// Transfers at once: forty racks that are switched on together.
pub const TRANSFERS_MAX: usize = 4096;
/// Transfers of one address at once: a rack behind one address translation. A machine needs one or two,
/// and one host that asks from all its ports leaves fifteen sixteenths to the others.
pub const CLIENT_TRANSFERS_MAX: usize = 256;
/// How long a client may ask in vain. Firmware asks six times in 24 seconds and then gives up without a
/// reason to show; its last request is answered with one.
pub const WAIT_MAX: Duration = Duration::from_secs(20);
/// Clients that wait and are remembered: as many again as are served.
const WAITING_MAX: usize = TRANSFERS_MAX;
/// A client that has not asked for so long asks no more: the longest pause of the clients known is ten seconds.
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// How many transfers run at once, and how long others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub transfers_max: usize,
    /// From one address.
    pub client_transfers_max: usize,
    /// Requests beyond the limits are not answered, and clients repeat them; one that still asks after
    /// this is answered with an error.
    pub wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { transfers_max: TRANSFERS_MAX, client_transfers_max: CLIENT_TRANSFERS_MAX, wait_max: WAIT_MAX }
    }
}

impl Limits {
    /// Why one more transfer of a client is beyond a limit, where `all` run, `of_client` of them its own.
    pub(super) fn reached(&self, all: usize, of_client: usize) -> Option<String> {
        if all >= self.transfers_max {
            Some(format!("{all} transfers run, as many as the server takes at once"))
        } else if of_client >= self.client_transfers_max {
            Some(format!("{of_client} transfers of this address run, as many as one may have at once"))
        } else {
            None
        }
    }
}

/// What to do with a request for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its first: record that it waits, and do not answer.
    First,
    /// A repeated one: do not answer.
    Again,
    /// It has asked for long enough: answer with an error.
    Last,
}

/// The clients that wait for room.
#[derive(Debug, Default)]
pub(super) struct Waiting(HashMap<SocketAddrV4, Asked>);

#[derive(Debug, Clone, Copy)]
struct Asked {
    first: Instant,
    last: Instant,
}

impl Waiting {
    /// Notes a request in vain.
    pub fn asks(&mut self, client: SocketAddrV4, wait_max: Duration, now: Instant) -> Turn {
        let is_silent = |asked: &Asked| now.duration_since(asked.last) >= SILENT_AFTER;
        if self.0.len() >= WAITING_MAX && !self.0.contains_key(&client) {
            self.0.retain(|_, asked| !is_silent(asked));
            if self.0.len() >= WAITING_MAX {
                return Turn::Again;
            }
        }
        let known = self.0.get(&client).copied().filter(|asked| !is_silent(asked));
        let first = known.map_or(now, |asked| asked.first);
        if now.duration_since(first) >= wait_max {
            self.0.remove(&client);
            return Turn::Last;
        }
        self.0.insert(client, Asked { first, last: now });
        if known.is_none() { Turn::First } else { Turn::Again }
    }

    /// There is room for this client.
    pub fn done(&mut self, client: SocketAddrV4) {
        self.0.remove(&client);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn client(number: u32) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000 + number), 2070)
    }

    #[test]
    fn a_client_waits_in_silence_and_then_hears_why() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let mut check = |secs: u64, turn: Turn| {
            let now = start + Duration::from_secs(secs);
            assert_eq!(waiting.asks(client(1), WAIT_MAX, now), turn, "after {secs} s");
        };
        check(0, Turn::First);
        check(4, Turn::Again);
        check(16, Turn::Again);
        check(20, Turn::Last);
        // What comes after the error, or after a long silence, is another attempt.
        check(21, Turn::First);
        check(30, Turn::Again);
        check(60, Turn::First);
    }

    #[test]
    fn one_that_was_served_begins_anew() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        assert_eq!(waiting.asks(client(1), WAIT_MAX, now), Turn::First);
        waiting.done(client(1));
        assert_eq!(waiting.asks(client(1), WAIT_MAX, now + WAIT_MAX), Turn::First);
        assert_eq!(waiting.asks(client(1), Duration::ZERO, now + WAIT_MAX), Turn::Last);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_silent() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        for number in 0..WAITING_MAX as u32 {
            assert_eq!(waiting.asks(client(number), WAIT_MAX, now), Turn::First);
        }
        let other = client(WAITING_MAX as u32);
        assert_eq!(waiting.asks(other, WAIT_MAX, now + WAIT_MAX), Turn::Again);
        assert_eq!(waiting.0.len(), WAITING_MAX);
        assert_eq!(waiting.asks(other, WAIT_MAX, now + SILENT_AFTER), Turn::First);
        assert_eq!(waiting.0.len(), 1);
    }

    #[test]
    fn the_limit_that_is_reached_is_named() {
        let check = |all: usize, of_client: usize, named: Option<&str>| {
            let reason = Limits::default().reached(all, of_client);
            assert_eq!(reason.as_deref().map(|text| text.split(" run").next().unwrap()), named);
        };
        check(0, 0, None);
        check(4095, 255, None);
        check(4096, 0, Some("4096 transfers"));
        check(4095, 256, Some("256 transfers of this address"));
    }
}
