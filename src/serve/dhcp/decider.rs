//! What the DHCP edge asks of the rest of the daemon. Tests hand in their own.

use std::future::Future;
use std::net::Ipv4Addr;

use ironwake_api::{Lease, MacAddr, Millis, NetworkHealth};

use crate::boot::{Handoff, Sighting};
use crate::recorder::Observation;
use crate::site::Site;
use crate::store::{Change, StoreError};

/// What the DHCP edge asks of the rest of the daemon. All but `save` and `leases` are in memory and
/// never wait.
pub trait Decider: Send + Sync + 'static {
    /// Milliseconds since the epoch.
    fn now(&self) -> Millis;
    /// What an answer points this client to.
    fn handoff(&self, sighting: &Sighting) -> Handoff;
    /// Notes one stage of a boot.
    fn observe(&self, observation: Observation);
    /// Learns that `address` belongs to `mac`.
    fn learn_address(&self, mac: MacAddr, address: Ipv4Addr);
    /// Learns by which address machines of a network reach this server.
    fn set_server_address(&self, _network: &str, _address: Ipv4Addr) {}
    /// How the network stands.
    fn set_network_health(&self, health: NetworkHealth);
    /// Saves durably before it returns.
    fn save(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Every stored lease.
    fn leases(&self) -> impl Future<Output = Result<Vec<Lease>, StoreError>> + Send;
}

impl Decider for Site {
    fn now(&self) -> Millis {
        Site::now(self)
    }

    fn handoff(&self, sighting: &Sighting) -> Handoff {
        Site::handoff(self, sighting)
    }

    fn observe(&self, observation: Observation) {
        Site::observe(self, observation);
    }

    fn learn_address(&self, mac: MacAddr, address: Ipv4Addr) {
        Site::learn_address(self, mac, address);
    }

    fn set_server_address(&self, network: &str, address: Ipv4Addr) {
        Site::set_server_address(self, network, address);
    }

    fn set_network_health(&self, health: NetworkHealth) {
        Site::set_network_health(self, health);
    }

    async fn save(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.store().save(changes).await
    }

    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.store().leases().await
    }
}
