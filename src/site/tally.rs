//! DHCP messages, counted: one addition for each, by whoever answers them, and read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};

use ironwake_api::{DhcpTraffic, Millis};

use crate::dhcp::MessageKind;

/// The counters of one network.
#[derive(Debug)]
pub struct DhcpTally {
    since: Millis,
    requests: AtomicU64,
    offers: AtomicU64,
    acks: AtomicU64,
    naks: AtomicU64,
    dropped: AtomicU64,
}

impl DhcpTally {
    pub(super) fn new(since: Millis) -> Self {
        let zero = || AtomicU64::new(0);
        Self { since, requests: zero(), offers: zero(), acks: zero(), naks: zero(), dropped: zero() }
    }

    /// A client's request was understood.
    pub fn requested(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer was made.
    pub fn answered(&self, kind: MessageKind) {
        let counter = match kind {
            MessageKind::Offer => &self.offers,
            MessageKind::Nak => &self.naks,
            _ => &self.acks,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was dropped, since the store is behind.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn shown(&self, at: Millis) -> DhcpTraffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (offers, acks, naks) = (read(&self.offers), read(&self.acks), read(&self.naks));
        DhcpTraffic {
            since: self.since,
            at,
            requests: read(&self.requests),
            answers: offers.saturating_add(acks).saturating_add(naks),
            offers,
            acks,
            naks,
            dropped: read(&self.dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_counted_once() {
        let tally = DhcpTally::new(5);
        (0..4).for_each(|_| tally.requested());
        tally.answered(MessageKind::Offer);
        tally.answered(MessageKind::Ack);
        tally.answered(MessageKind::Nak);
        tally.dropped();
        let expected =
            DhcpTraffic { since: 5, at: 9, requests: 4, answers: 3, offers: 1, acks: 1, naks: 1, dropped: 1 };
        assert_eq!(tally.shown(9), expected);
    }
}
