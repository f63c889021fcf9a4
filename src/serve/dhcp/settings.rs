//! From the configuration, the interface and the store to what the core answers with.

use super::{DhcpError, Interface};
use crate::config::Network;
use crate::dhcp::{LeaseTable, ReservationSettings, Settings, SubnetSettings};
use crate::store::Store;

/// The lease table with every stored lease of the network.
pub(super) async fn load(
    config: &Network,
    settings: &Settings,
    store: &Store,
) -> Result<LeaseTable, DhcpError> {
    let stored = store
        .leases()
        .await
        .map_err(|source| DhcpError::Leases { interface: config.interface.clone(), source })?;
    let mut table =
        LeaseTable::new(&config.interface, settings.server, &settings.subnets, &settings.reservations);
    let foreign =
        stored.iter().filter(|lease| lease.network == config.interface && !table.load(lease)).count();
    if foreign > 0 {
        tracing::warn!(
            interface = config.interface,
            foreign,
            "stored leases lie outside the ranges and are left alone"
        );
    }
    Ok(table)
}

/// What the answers on the network carry while its interface is as it is.
pub(super) fn settings(config: &Network, interface: &Interface) -> Settings {
    let own = SubnetSettings {
        network: interface.network,
        ranges: config.ranges.clone(),
        routers: config.routers.clone(),
    };
    let relayed = config.relayed.iter().map(|subnet| SubnetSettings {
        network: subnet.subnet,
        ranges: subnet.ranges.clone(),
        routers: subnet.routers.clone(),
    });
    Settings {
        network: config.interface.clone(),
        server: interface.address,
        next_server: config.next_server.unwrap_or(interface.address),
        mtu: interface.mtu,
        lease_secs: u32::try_from(config.lease_time.as_secs()).unwrap_or(u32::MAX),
        dns: config.dns.clone(),
        domain: config.domain.clone(),
        subnets: std::iter::once(own).chain(relayed).collect(),
        reservations: config
            .reservations
            .iter()
            .map(|one| ReservationSettings {
                mac: one.mac,
                address: one.address,
                hostname: one.hostname.clone(),
            })
            .collect(),
    }
}
