//! What the interfaces of the served networks are: looked at now and then, apart from DHCP, which must not wait for a driver.

use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use ironwake_api::{MacAddr, NetworkLink};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use tokio_util::sync::CancellationToken;

use super::dhcp::socket::{mtu, speed_mbps};
use crate::site::SharedSite;

/// How often interfaces are looked at: a cable that was pulled out is seen while its finder still stands there.
const LOOK: Duration = Duration::from_secs(5);
/// Addresses of one interface that are shown; one that routes may have hundreds.
const ADDRESSES_MAX: usize = 32;

/// Tells the site of these interfaces until `shutdown`.
pub async fn run(interfaces: Vec<String>, site: SharedSite, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = interval.tick() => {
                for interface in &interfaces {
                    site.set_network_link(interface, look(interface, site.now()));
                }
            }
        }
    }
}

/// Looks at one interface, in this thread's network namespace.
pub fn look(name: &str, at: ironwake_api::Millis) -> NetworkLink {
    let mut link = NetworkLink {
        at,
        present: false,
        enabled: false,
        up: false,
        speed_mbps: None,
        mac: None,
        mtu: None,
        addresses: Vec::new(),
    };
    let Ok(entries) = getifaddrs() else { return link };
    for entry in entries.filter(|entry| entry.interface_name == name) {
        link.present = true;
        link.enabled |= entry.flags.contains(InterfaceFlags::IFF_UP);
        // The kernel's word for a carrier, and what is beneath being ready.
        link.up |= entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING);
        let (Some(address), mask) = (entry.address, entry.netmask) else { continue };
        if let Some(mac) = address.as_link_addr().and_then(|link| link.addr()) {
            link.mac = Some(MacAddr(mac)).filter(MacAddr::is_unicast);
        }
        let shown = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(own), _) => mask.and_then(|mask| {
                let mask = mask.as_sockaddr_in()?.ip();
                Ipv4Net::with_netmask(own.ip(), mask).ok().map(|net| net.to_string())
            }),
            (_, Some(own)) => mask.and_then(|mask| {
                let mask = mask.as_sockaddr_in6()?.ip();
                Ipv6Net::with_netmask(own.ip(), mask).ok().map(|net| net.to_string())
            }),
            _ => None,
        };
        link.addresses.extend(shown.filter(|_| link.addresses.len() < ADDRESSES_MAX));
    }
    if link.present {
        link.mtu = mtu(name).ok();
        link.speed_mbps = speed_mbps(name).filter(|_| link.up);
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_from_what_is_not() {
        let loopback = look("lo", 7);
        assert!(loopback.present, "{loopback:?}");
        assert_eq!((loopback.at, loopback.mac), (7, None), "it has no address of one interface");
        let nothing = look("no-such-link", 8);
        assert!(!nothing.present && !nothing.up && nothing.addresses.is_empty(), "{nothing:?}");
    }
}
