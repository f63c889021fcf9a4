//! What the answers on one network carry.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;
use ironwake_api::MacAddr;

/// One network as its answers describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Name of the interface, which names the network.
    pub network: String,
    /// The interface's address: option 54, and where answers come from.
    pub server: Ipv4Addr,
    /// siaddr, option 66 and the address in URLs.
    pub next_server: Ipv4Addr,
    /// The interface's MTU: no answer is longer.
    pub mtu: u16,
    /// Option 51.
    pub lease_secs: u32,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Option 15.
    pub domain: Option<String>,
    /// The interface's own subnet first, then those behind relays.
    pub subnets: Vec<SubnetSettings>,
    /// Fixed addresses.
    pub reservations: Vec<ReservationSettings>,
}

/// One subnet.
#[derive(Debug, Clone, PartialEq)]
pub struct SubnetSettings {
    /// Its network: options 1 and 28.
    pub network: Ipv4Net,
    /// Ranges to lease from.
    pub ranges: Vec<RangeInclusive<Ipv4Addr>>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
}

/// One fixed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationSettings {
    /// Whose.
    pub mac: MacAddr,
    /// Which.
    pub address: Ipv4Addr,
    /// Option 12.
    pub hostname: Option<String>,
}

impl Settings {
    pub(super) fn fuzz() -> Self {
        let server = Ipv4Addr::new(10, 0, 0, 1);
        Self {
            network: "fuzz".into(),
            server,
            next_server: server,
            mtu: 1500,
            lease_secs: 3600,
            dns: vec![server],
            domain: Some("example.net".into()),
            subnets: Self::fuzz_subnets(),
            reservations: Vec::new(),
        }
    }

    pub(super) fn fuzz_subnets() -> Vec<SubnetSettings> {
        vec![SubnetSettings {
            network: Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 24),
            ranges: vec![Ipv4Addr::new(10, 0, 0, 100)..=Ipv4Addr::new(10, 0, 0, 110)],
            routers: vec![Ipv4Addr::new(10, 0, 0, 1)],
        }]
    }
}
