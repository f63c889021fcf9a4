//! One subnet of a lease table: which of its addresses are leased, and which of them comes next.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ironwake_api::Millis;

use super::settings::SubnetSettings;

/// Number of a subnet; 0 is the interface's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubnetIndex(pub(super) u16);

impl SubnetIndex {
    /// Whether it is the interface's own: its addresses can be probed by ARP.
    pub fn is_own(self) -> bool {
        self.0 == 0
    }
}

/// One subnet. Entries are known here by their number in the table.
#[derive(Debug)]
pub(super) struct Subnet {
    /// What its answers carry.
    pub settings: SubnetSettings,
    /// Range and offset of the next address that was never used.
    cursor: (usize, u32),
    /// Leasable entries by when they run out.
    expiry: BTreeSet<(Millis, u32)>,
}

impl Subnet {
    pub fn new(settings: SubnetSettings) -> Self {
        Self { settings, cursor: (0, 0), expiry: BTreeSet::new() }
    }

    /// Addresses in its ranges.
    pub fn addresses(&self) -> u64 {
        let span = |range: &RangeInclusive<Ipv4Addr>| {
            (u64::from(u32::from(*range.end())) + 1).saturating_sub(u32::from(*range.start()).into())
        };
        self.settings.ranges.iter().map(span).sum()
    }

    /// Whether an address lies in a range and can be a host's.
    pub fn leases(&self, address: Ipv4Addr) -> bool {
        let network = self.settings.network;
        network.contains(&address)
            && self.settings.ranges.iter().any(|range| range.contains(&address))
            && (network.prefix_len() > 30 || ![network.network(), network.broadcast()].contains(&address))
    }

    /// The next address of the ranges, each of which is given once.
    pub fn next_address(&mut self) -> Option<Ipv4Addr> {
        loop {
            let range = self.settings.ranges.get(self.cursor.0)?;
            let address = u32::from(*range.start()).checked_add(self.cursor.1).map(Ipv4Addr::from);
            if let Some(address) = address.filter(|address| address <= range.end()) {
                self.cursor.1 += 1;
                return Some(address);
            }
            self.cursor = (self.cursor.0 + 1, 0);
        }
    }

    /// The entry that ran out first.
    pub fn expired(&self, now: Millis) -> Option<u32> {
        let (until, at) = *self.expiry.first()?;
        (until <= now).then_some(at)
    }

    /// The entry can be given to others from `until` on.
    pub fn expires(&mut self, until: Millis, at: u32) {
        self.expiry.insert((until, at));
    }

    /// Forgets when an entry runs out. False: it never did.
    pub fn forget(&mut self, until: Millis, at: u32) -> bool {
        self.expiry.remove(&(until, at))
    }
}
