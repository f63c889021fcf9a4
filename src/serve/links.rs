//! What the interfaces of the served networks are: looked at now and then, apart from DHCP, which must not wait for a driver.

use std::time::Duration;

use ironwake_api::{Millis, NetworkLink};
use tokio_util::sync::CancellationToken;

use super::dhcp::socket::{mtu, speed_mbps};
use crate::site::SharedSite;
use crate::vitals;

/// How often interfaces are looked at: a cable that was pulled out is seen while its finder still stands there.
const LOOK: Duration = Duration::from_secs(5);

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
pub fn look(name: &str, at: Millis) -> NetworkLink {
    let found = vitals::interface(name);
    let present = found.is_some();
    let found = found.unwrap_or_default();
    NetworkLink {
        at,
        present,
        enabled: found.up,
        up: found.link,
        speed_mbps: speed_mbps(name).filter(|_| found.link),
        mac: found.mac,
        mtu: mtu(name).ok().filter(|_| present),
        addresses: found.addresses,
    }
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
