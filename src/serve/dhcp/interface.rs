//! The interface of a network as the kernel has it at present.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use ironwake_api::MacAddr;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use super::socket;

const ETHERNET_MTU: u16 = 1500;

/// An interface that can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its link address.
    pub mac: MacAddr,
    /// Its address.
    pub address: Ipv4Addr,
    /// The network that its address lies in.
    pub network: Ipv4Net,
    /// Its MTU.
    pub mtu: u16,
}

/// Why an interface cannot serve at present.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// There is none of that name.
    #[error("there is no interface {0}")]
    Missing(String),
    /// It is down.
    #[error("interface {0} is down")]
    Down(String),
    /// It is not Ethernet.
    #[error("interface {0} has no Ethernet address")]
    NoMac(String),
    /// It has no address.
    #[error("interface {0} has no IPv4 address")]
    NoAddress(String),
    /// The kernel does not say.
    #[error("the kernel lists no interfaces: {0}")]
    Unknown(nix::Error),
}

impl Interface {
    /// Whether this is `before` with at most another link address or MTU: a bridge takes the lowest MAC
    /// address of its ports, so a port that joins or leaves changes its own.
    pub fn continues(&self, before: &Self) -> bool {
        let lasting = |interface: &Self| (interface.index, interface.address, interface.network);
        lasting(self) == lasting(before)
    }

    /// Looks an interface up, in this thread's network namespace. Of several addresses the one in
    /// `subnet` counts.
    pub fn find(name: &str, subnet: Option<Ipv4Net>) -> Result<Self, Unready> {
        let index = if_nametoindex(name).map_err(|_| Unready::Missing(name.into()))?;
        let (mut mac, mut flags, mut networks) = (None, InterfaceFlags::empty(), Vec::new());
        let addresses = getifaddrs().map_err(Unready::Unknown)?;
        for entry in addresses.filter(|entry| entry.interface_name == name) {
            flags |= entry.flags;
            let Some(storage) = entry.address else { continue };
            if let Some(link) = storage.as_link_addr().and_then(|link| link.addr()) {
                mac = Some(MacAddr(link));
            }
            let mask = entry.netmask.and_then(|mask| mask.as_sockaddr_in().map(|mask| mask.ip()));
            if let (Some(address), Some(mask)) = (storage.as_sockaddr_in(), mask)
                && let Ok(network) = Ipv4Net::with_netmask(address.ip(), mask)
            {
                networks.push(network);
            }
        }
        let mac = mac.filter(MacAddr::is_unicast).ok_or_else(|| Unready::NoMac(name.into()))?;
        if !flags.contains(InterfaceFlags::IFF_UP) {
            return Err(Unready::Down(name.into()));
        }
        let fitting = networks.iter().find(|own| subnet.is_none_or(|subnet| subnet.contains(&own.addr())));
        let own = fitting.or(networks.first()).ok_or_else(|| Unready::NoAddress(name.into()))?;
        let mtu = socket::mtu(name).unwrap_or(ETHERNET_MTU);
        Ok(Self { index, mac, address: own.addr(), network: subnet.unwrap_or(own.trunc()), mtu })
    }
}
