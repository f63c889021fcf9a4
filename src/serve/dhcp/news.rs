//! Addresses given and ended, gathered until they are told: one event for all that happens on a network between two looks. A
//! fleet that is switched on gets thousands of addresses within seconds, and renewals would be an event for each host and hour.

use ironwake_api::{EventKind, Lease, LeaseEnd, LeaseNews, LeaseState};

/// Addresses that one event names; the rest of a burst is a number, and the leases are listed elsewhere.
const NAMED_MAX: usize = 20;

/// What was not told yet.
#[derive(Debug, Default)]
pub(super) struct News {
    given: Told,
    ended: Told,
}

#[derive(Debug, Default)]
struct Told {
    named: Vec<LeaseNews>,
    count: u64,
}

impl Told {
    fn add(&mut self, lease: &Lease, end: Option<LeaseEnd>) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            let (address, mac, hostname) = (lease.address.clone(), lease.mac, lease.hostname.clone());
            self.named.push(LeaseNews { address, mac, hostname, end });
        }
    }
}

impl News {
    /// A lease changed; `given` where its client did not have the address before.
    pub fn note(&mut self, lease: &Lease, given: bool) {
        match lease.state {
            LeaseState::Bound if given => self.given.add(lease, None),
            LeaseState::Bound => {}
            LeaseState::Released => self.ended.add(lease, Some(LeaseEnd::Released)),
            LeaseState::Declined => self.ended.add(lease, Some(LeaseEnd::Declined)),
        }
    }

    /// A lease was not renewed.
    pub fn expired(&mut self, lease: &Lease) {
        self.ended.add(lease, Some(LeaseEnd::Expired));
    }

    /// What is to be told, if anything is.
    pub fn take(&mut self, interface: &str) -> Option<EventKind> {
        let Self { given, ended } = std::mem::take(self);
        (given.count + ended.count > 0).then(|| EventKind::LeasesChanged {
            interface: interface.to_owned(),
            given: given.named,
            ended: ended.named,
            given_count: given.count,
            ended_count: ended.count,
        })
    }
}

#[cfg(test)]
mod tests {
    use ironwake_api::MacAddr;

    use super::*;

    fn lease(last: u8, state: LeaseState) -> Lease {
        Lease {
            address: format!("10.0.0.{last}"),
            network: "br0".into(),
            mac: MacAddr([2, 0, 0, 0, 0, last]),
            client_id: None,
            hostname: None,
            state,
            renewed_at: 1,
            expires_at: 2,
        }
    }

    #[test]
    fn a_burst_is_one_event_and_renewals_are_none() {
        let mut news = News::default();
        (0..100).for_each(|last| news.note(&lease(last, LeaseState::Bound), false));
        assert_eq!(news.take("br0"), None);
        (0..100).for_each(|last| news.note(&lease(last, LeaseState::Bound), true));
        news.note(&lease(7, LeaseState::Released), false);
        news.expired(&lease(8, LeaseState::Bound));
        let Some(EventKind::LeasesChanged { given, ended, given_count, ended_count, .. }) = news.take("br0")
        else {
            panic!("nothing is told");
        };
        assert_eq!((given.len(), given_count, ended_count), (NAMED_MAX, 100, 2));
        assert_eq!(given[3].address, "10.0.0.3");
        let ends: Vec<_> = ended.iter().map(|one| one.end).collect();
        assert_eq!(ends, [Some(LeaseEnd::Released), Some(LeaseEnd::Expired)]);
        assert_eq!(news.take("br0"), None, "once");
    }
}
