//! Where an answer goes (RFC 2131 section 4.1, and PXE's port 4011).

use std::net::Ipv4Addr;

use ironwake_api::MacAddr;

use super::Request;

/// Servers and relays listen here.
pub const PORT_SERVER: u16 = 67;
/// Clients listen here.
pub const PORT_CLIENT: u16 = 68;
/// PXE's boot service.
pub const PORT_PXE: u16 = 4011;

/// Where a request came from and to, as its frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Sender's link address: the client, or a relay or router on its behalf.
    pub mac: MacAddr,
    /// Sender's address.
    pub address: Ipv4Addr,
    /// Sender's port.
    pub port: u16,
    /// The port it was sent to.
    pub to_port: u16,
    /// It was sent to this server's own address, not broadcast.
    pub unicast: bool,
}

/// The link address of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkTarget {
    /// Everybody.
    Broadcast,
    /// One station.
    Station(MacAddr),
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Link address. The client cannot answer ARP yet, so nothing is resolved.
    pub link: LinkTarget,
    /// Address.
    pub address: Ipv4Addr,
    /// Port.
    pub port: u16,
    /// Port that the answer comes from.
    pub from_port: u16,
}

impl Destination {
    const BROADCAST: Self = Self {
        link: LinkTarget::Broadcast,
        address: Ipv4Addr::BROADCAST,
        port: PORT_CLIENT,
        from_port: PORT_SERVER,
    };

    /// An OFFER or ACK that carries `yiaddr`, which may be unspecified.
    pub fn of_answer(request: &Request<'_>, source: &Source, yiaddr: Ipv4Addr) -> Self {
        if let Some(relay) = request.relay {
            return Self::relay(source, relay);
        }
        if let Some(client) = request.client {
            // Through a router the frame's sender is the router, and the way back leads over it.
            let mac = if source.address == client { source.mac } else { request.mac };
            return Self { link: LinkTarget::Station(mac), address: client, ..Self::BROADCAST };
        }
        if request.wants_broadcast() || yiaddr.is_unspecified() {
            return Self::BROADCAST;
        }
        Self { link: LinkTarget::Station(request.mac), address: yiaddr, ..Self::BROADCAST }
    }

    /// A NAK: broadcast, since the client's address is what is wrong.
    pub fn of_nak(request: &Request<'_>, source: &Source) -> Self {
        request.relay.map_or(Self::BROADCAST, |relay| Self::relay(source, relay))
    }

    /// An answer on port 4011: back to where the request came from. OVMF listens on 4011, iPXE on 68.
    pub fn of_pxe(source: &Source) -> Self {
        Self {
            link: LinkTarget::Station(source.mac),
            address: source.address,
            port: source.port,
            from_port: PORT_PXE,
        }
    }

    fn relay(source: &Source, relay: Ipv4Addr) -> Self {
        Self {
            link: LinkTarget::Station(source.mac),
            address: relay,
            port: PORT_SERVER,
            from_port: PORT_SERVER,
        }
    }
}
