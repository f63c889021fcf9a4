//! An answer to IPv6 router solicitations of machines that are booting from this network.
//!
//! iPXE configures IPv6 before it fetches anything and waits for a router: builds of 2019, which many
//! NIC ROMs are, wait sixteen seconds where there is none. An advertisement that offers nothing (lifetime
//! 0: not a default router; no prefix; no flags: RFC 4861 section 6.2.3 allows it) ends that wait. It goes
//! to the one machine that asked, by its own link address, and only while its boot attempt runs.

use std::io;
use std::net::Ipv6Addr;

use ironwake_api::MacAddr;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpProtocol,
    Ipv6Packet, Ipv6Repr, NdiscRepr, NdiscRouterFlags,
};
use tokio_util::sync::CancellationToken;

use super::dhcp::filter;
use super::dhcp::interface::{Interface, Unready};
use super::dhcp::socket::{Inbox, PacketSocket};
use crate::site::SharedSite;

/// RFC 4861 section 4.1: a packet with another value has crossed a router.
const HOP_LIMIT: u8 = 255;
/// `ff02::2`, all routers, as Ethernet writes it (RFC 2464 section 7).
const ALL_ROUTERS: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 2]);
const ETHERNET_BYTES: usize = 14;
const IPV6_BYTES: usize = 40;

/// Why solicitations cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The interface is not ready.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// The packet socket.
    #[error("listen for router solicitations on {interface}")]
    Socket {
        /// Interface.
        interface: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Answers solicitations on an interface until `shutdown`.
pub async fn run(interface: String, site: SharedSite, shutdown: CancellationToken) -> Result<(), RouterError> {
    let failed = |source| RouterError::Socket { interface: interface.clone(), source };
    let found = Interface::find(&interface, None)?;
    let socket = PacketSocket::open(found.index, libc::ETH_P_IPV6, &filter::ROUTER_SOLICITATIONS);
    let socket = socket.map_err(failed)?;
    socket.join(found.index, ALL_ROUTERS).map_err(failed)?;
    let mut inbox = Inbox::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            received = socket.receive(&mut inbox) => received.map_err(failed)?,
        }
        let answers: Vec<Vec<u8>> = inbox
            .iter()
            .filter_map(|(frame, _)| Solicitation::parse(frame))
            .filter(|solicitation| site.is_booting(solicitation.mac))
            .map(|solicitation| solicitation.answer(found.mac))
            .collect();
        socket.send(&answers).await.map_err(failed)?;
    }
}

/// A router solicitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Solicitation {
    mac: MacAddr,
    address: Ipv6Addr,
}

impl Solicitation {
    fn parse(frame: &[u8]) -> Option<Self> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv6 {
            return None;
        }
        let ip = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
        if ip.next_header() != IpProtocol::Icmpv6 || ip.hop_limit() != HOP_LIMIT {
            return None;
        }
        let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
        let (source, destination) = (ip.src_addr(), ip.dst_addr());
        let repr = Icmpv6Repr::parse(&source, &destination, &icmp, &ChecksumCapabilities::default()).ok()?;
        let mac = MacAddr(ethernet.src_addr().0);
        match repr {
            Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { .. }) if mac.is_unicast() => {
                Some(Self { mac, address: source })
            }
            _ => None,
        }
    }

    /// An advertisement that offers nothing, from the interface with this address.
    fn answer(&self, own: MacAddr) -> Vec<u8> {
        let source = link_local(own);
        let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let destination = if self.address.is_unspecified() { all_nodes } else { self.address };
        let advertisement = Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
            hop_limit: 0,
            flags: NdiscRouterFlags::empty(),
            router_lifetime: Duration::ZERO,
            reachable_time: Duration::ZERO,
            retrans_time: Duration::ZERO,
            lladdr: Some(EthernetAddress(own.0).into()),
            mtu: None,
            prefix_info: None,
        });
        let ip = Ipv6Repr {
            src_addr: source,
            dst_addr: destination,
            next_header: IpProtocol::Icmpv6,
            payload_len: advertisement.buffer_len(),
            hop_limit: HOP_LIMIT,
        };
        let ethernet = EthernetRepr {
            src_addr: EthernetAddress(own.0),
            dst_addr: EthernetAddress(self.mac.0),
            ethertype: EthernetProtocol::Ipv6,
        };
        let mut frame = vec![0; ETHERNET_BYTES + IPV6_BYTES + advertisement.buffer_len()];
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        ip.emit(&mut Ipv6Packet::new_unchecked(&mut frame[ETHERNET_BYTES..]));
        let mut icmp = Icmpv6Packet::new_unchecked(&mut frame[ETHERNET_BYTES + IPV6_BYTES..]);
        advertisement.emit(&source, &destination, &mut icmp, &ChecksumCapabilities::default());
        frame
    }
}

/// The link-local address of an interface (RFC 4291 appendix A).
fn link_local(MacAddr([a, b, c, d, e, f]): MacAddr) -> Ipv6Addr {
    let pair = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    fn solicitation(hop_limit: u8) -> Vec<u8> {
        let (source, destination) = (link_local(MACHINE), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2));
        let repr = Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { lladdr: None });
        let ip = Ipv6Repr {
            src_addr: source,
            dst_addr: destination,
            next_header: IpProtocol::Icmpv6,
            payload_len: repr.buffer_len(),
            hop_limit,
        };
        let ethernet = EthernetRepr {
            src_addr: EthernetAddress(MACHINE.0),
            dst_addr: EthernetAddress(ALL_ROUTERS.0),
            ethertype: EthernetProtocol::Ipv6,
        };
        let mut frame = vec![0; ETHERNET_BYTES + IPV6_BYTES + repr.buffer_len()];
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        ip.emit(&mut Ipv6Packet::new_unchecked(&mut frame[ETHERNET_BYTES..]));
        let mut icmp = Icmpv6Packet::new_unchecked(&mut frame[ETHERNET_BYTES + IPV6_BYTES..]);
        repr.emit(&source, &destination, &mut icmp, &ChecksumCapabilities::default());
        frame
    }

    #[test]
    fn the_answer_offers_no_route_no_prefix_and_reaches_one_machine() {
        let asked = Solicitation::parse(&solicitation(HOP_LIMIT)).expect("a solicitation");
        assert_eq!(asked, Solicitation { mac: MACHINE, address: link_local(MACHINE) });
        let frame = asked.answer(OWN);
        let ethernet = EthernetFrame::new_checked(&frame[..]).expect("a frame");
        assert_eq!(ethernet.dst_addr(), EthernetAddress(MACHINE.0));
        let ip = Ipv6Packet::new_checked(ethernet.payload()).expect("a packet");
        assert_eq!((ip.src_addr(), ip.hop_limit()), (link_local(OWN), HOP_LIMIT));
        let icmp = Icmpv6Packet::new_checked(ip.payload()).expect("a message");
        let repr =
            Icmpv6Repr::parse(&ip.src_addr(), &ip.dst_addr(), &icmp, &ChecksumCapabilities::default());
        let Ok(Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert { flags, router_lifetime, prefix_info, .. })) = repr
        else {
            panic!("no advertisement: {repr:?}");
        };
        assert_eq!((flags, router_lifetime), (NdiscRouterFlags::empty(), Duration::ZERO));
        assert_eq!(prefix_info, None);
    }

    #[test]
    fn what_crossed_a_router_or_is_cut_off_is_no_solicitation() {
        assert_eq!(Solicitation::parse(&solicitation(64)), None);
        let whole = solicitation(HOP_LIMIT);
        for end in 0..whole.len() {
            assert_eq!(Solicitation::parse(&whole[..end]), None, "{end}");
        }
    }
}
