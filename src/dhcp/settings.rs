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
