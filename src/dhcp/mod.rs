//! DHCP: what a message says, what is answered and to where. Server, proxy and relays.
//!
//! Bytes become a [`Packet`], a legal packet becomes a [`Request`], and a [`Service`] turns the
//! request into an [`Outcome`]: an answer, what must be saved before it leaves, and what to probe.
//! What a client boots is not decided here: it is handed in as a closure that yields a
//! [`Handoff`](crate::boot::Handoff).

mod option;
mod packet;
mod request;
mod subnet;
mod lease;
mod reply;
mod destination;
mod outcome;
mod settings;
mod proxy;
mod server;
mod watch;

pub use destination::{Destination, LinkTarget, PORT_CLIENT, PORT_PXE, PORT_SERVER, Source};
pub use lease::{ClientKey, Exhausted, LeaseTable, Offer, Unbound};
pub use option::code;
pub use outcome::{Conflict, Outcome, Reply};
pub use packet::{BOOT_REPLY, BOOT_REQUEST, FLAG_BROADCAST, Options, Packet, PacketError};
pub use proxy::Proxy;
pub use reply::message_bytes_max;
pub use request::{Ignored, MessageKind, Request, VendorClass};
pub use server::Server;
pub use settings::{ReservationSettings, Settings, SubnetSettings};
pub use subnet::SubnetIndex;
pub use watch::{OTHERS_MAX, OtherServer, PATROL_MILLIS, REPROBE_MILLIS, Watch, WatchAction, WatchMode};

use ironwake_api::Millis;

use crate::boot::{Handoff, Sighting};

/// What answers on one network.
#[derive(Debug)]
pub enum Service {
    /// Boot information only, beside another DHCP server.
    Proxy(Proxy),
    /// Addresses too.
    Server(Box<Server>),
}

impl Service {
    /// Answers one request. `handoff` is asked only for clients that boot from the network.
    pub fn handle(
        &mut self,
        request: &Request<'_>,
        source: &Source,
        handoff: impl FnOnce(&Sighting) -> Handoff,
        now: Millis,
    ) -> Outcome {
        match self {
            Self::Proxy(proxy) => proxy.handle(request, source, handoff, now),
            Self::Server(server) => server.handle(request, source, handoff, now),
        }
    }

    /// No answer is longer than `mtu` from here on.
    pub fn set_mtu(&mut self, mtu: u16) {
        match self {
            Self::Proxy(proxy) => proxy.set_mtu(mtu),
            Self::Server(server) => server.set_mtu(mtu),
        }
    }

    /// Notes that `mac` answered an address probe.
    pub fn in_use(
        &mut self,
        address: std::net::Ipv4Addr,
        mac: ironwake_api::MacAddr,
        now: Millis,
    ) -> Outcome {
        match self {
            Self::Proxy(_) => Outcome::silent("a proxy gives no addresses"),
            Self::Server(server) => server.in_use(address, mac, now),
        }
    }
}
