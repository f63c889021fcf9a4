//! DHCP on raw sockets: reads frames, feeds [`crate::dhcp`], saves what changed, sends the answers.
//!
//! Leases are durable before their ACK leaves, one commit for everything that came in meanwhile; offers
//! do not wait for commits. An interface that goes down or changes its address is said and tried again.

mod clock;
mod commits;
pub(super) mod filter;
mod frame;
pub(super) mod interface;
mod news;
mod ports;
mod probe;
mod self_test;
mod session;
mod settings;
pub(super) mod socket;

pub use interface::{Interface, Unready};
pub use probe::{ProbeAnswer, ProbeError, ProbeOption, ProbeOptions, probe, servers};

use std::io;
use std::time::Duration;

use ironwake_api::{HealthState, NetworkHealth, Silence};
use tokio_util::sync::CancellationToken;

use crate::config::{DhcpMode, Network};
use crate::site::SharedSite;
use crate::store::StoreError;
use session::{Ended, Session};

/// How soon an interface that cannot serve is looked at again.
const RETRY: Duration = Duration::from_secs(2);

/// Why DHCP cannot be served at all.
#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    /// Usually CAP_NET_RAW is missing.
    #[error("open a packet socket on {interface} (CAP_NET_RAW is needed)")]
    Socket {
        /// Interface.
        interface: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The leases cannot be read.
    #[error("read the leases of {interface}")]
    Leases {
        /// Interface.
        interface: String,
        /// Cause.
        #[source]
        source: StoreError,
    },
}

/// Serves DHCP on one network until `shutdown`.
pub async fn run(network: Network, site: SharedSite, shutdown: CancellationToken) -> Result<(), DhcpError> {
    if network.dhcp == DhcpMode::Off {
        return Ok(());
    }
    let mut said = None;
    while !shutdown.is_cancelled() {
        let unready = match Interface::find(&network.interface, network.subnet) {
            Ok(interface) => {
                match Session::open(&network, interface, site.clone()).await {
                    Ok(session) => {
                        said = None;
                        match session.run(&shutdown).await {
                            Ended::Shutdown => break,
                            Ended::Interface(why) => why,
                        }
                    }
                    // The interface may go away between the look at it and the socket.
                    Err(DhcpError::Socket { interface, source })
                        if source.kind() != io::ErrorKind::PermissionDenied =>
                    {
                        format!("interface {interface}: {source}")
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(unready) => unready.to_string(),
        };
        if said.as_ref() != Some(&unready) {
            tracing::warn!(interface = network.interface, "DHCP waits: {unready}");
            let message = format!("{unready}; it is served as soon as that changes");
            site.set_network_health(idle(&network, HealthState::Failed, Silence::Interface, message));
            said = Some(unready);
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    Ok(())
}

fn mode_name(mode: DhcpMode) -> &'static str {
    match mode {
        DhcpMode::Proxy => "proxy",
        DhcpMode::Server => "server",
        DhcpMode::Off => "off",
    }
}

/// How a network is whose DHCP is off.
pub fn off(network: &Network) -> NetworkHealth {
    let message = "DHCP is off here: boot files are served to whoever asks for them";
    idle(network, HealthState::Ok, Silence::Off, message.into())
}

/// A network that answers nobody.
fn idle(network: &Network, state: HealthState, silence: Silence, message: String) -> NetworkHealth {
    NetworkHealth {
        interface: network.interface.clone(),
        dhcp: mode_name(network.dhcp).into(),
        state,
        answering: false,
        message,
        silence: Some(silence),
        other_server: None,
        other_servers: Vec::new(),
        addresses: 0,
        addresses_bound: 0,
        addresses_free: 0,
        link: None,
        traffic: None,
    }
}
