//! Ethernet frames that carry DHCP messages and address probes.

use std::net::Ipv4Addr;

use ironwake_api::MacAddr;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use crate::dhcp::{Destination, LinkTarget};

const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const ARP_BYTES: usize = 28;
const HOP_LIMIT: u8 = 64;

/// A UDP datagram with where it came from and went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Sender's link address.
    pub mac: MacAddr,
    /// Sender.
    pub source: (Ipv4Addr, u16),
    /// Receiver.
    pub destination: (Ipv4Addr, u16),
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a frame. `None`: it is not one whole UDP datagram with right checksums. Where the
    /// sender's kernel left the UDP checksum to hardware that does not exist, `checksum_ready` is
    /// false and it is not looked at.
    pub fn parse(frame: &'a [u8], checksum_ready: bool) -> Option<Self> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        let fragment = ip.more_frags() || ip.frag_offset() != 0;
        if ip.version() != 4 || ip.next_header() != IpProtocol::Udp || fragment || !ip.verify_checksum() {
            return None;
        }
        let (source, destination) = (ip.src_addr(), ip.dst_addr());
        let udp = UdpPacket::new_checked(ip.payload()).ok()?;
        // A checksum of zero was not computed by the sender (RFC 768), which the check accepts.
        if checksum_ready && !udp.verify_checksum(&source.into(), &destination.into()) {
            return None;
        }
        Some(Self {
            mac: MacAddr(ethernet.src_addr().0),
            source: (source, udp.src_port()),
            destination: (destination, udp.dst_port()),
            payload: udp.payload(),
        })
    }
}

/// A frame with a DHCP message.
pub fn encode(mac: MacAddr, source: Ipv4Addr, destination: &Destination, payload: &[u8]) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    let udp_bytes = UDP_BYTES + payload.len();
    let mut frame = vec![0; ETHERNET_BYTES + IPV4_BYTES + udp_bytes];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    EthernetRepr {
        src_addr: EthernetAddress(mac.0),
        dst_addr: match destination.link {
            LinkTarget::Broadcast => EthernetAddress::BROADCAST,
            LinkTarget::Station(mac) => EthernetAddress(mac.0),
        },
        ethertype: EthernetProtocol::Ipv4,
    }
    .emit(&mut ethernet);
    let mut ip = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    Ipv4Repr {
        src_addr: source,
        dst_addr: destination.address,
        next_header: IpProtocol::Udp,
        payload_len: udp_bytes,
        hop_limit: HOP_LIMIT,
    }
    .emit(&mut ip, &checksums);
    let mut udp = UdpPacket::new_unchecked(ip.payload_mut());
    UdpRepr { src_port: destination.from_port, dst_port: destination.port }.emit(
        &mut udp,
        &source.into(),
        &destination.address.into(),
        payload.len(),
        |room| room.copy_from_slice(payload),
        &checksums,
    );
    frame
}

/// An ARP probe for `address`: the sender's own address stays out of it (RFC 5227 section 1.1).
pub fn encode_probe(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET_BYTES + ARP_BYTES];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    EthernetRepr {
        src_addr: EthernetAddress(mac.0),
        dst_addr: EthernetAddress::BROADCAST,
        ethertype: EthernetProtocol::Arp,
    }
    .emit(&mut ethernet);
    ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(mac.0),
        source_protocol_addr: Ipv4Addr::UNSPECIFIED,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: address,
    }
    .emit(&mut ArpPacket::new_unchecked(ethernet.payload_mut()));
    frame
}

/// Who has which address, as an ARP reply says.
pub fn parse_arp_reply(frame: &[u8]) -> Option<(MacAddr, Ipv4Addr)> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let arp = ArpPacket::new_checked(ethernet.payload()).ok()?;
    match ArpRepr::parse(&arp).ok()? {
        ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr,
            source_protocol_addr,
            ..
        } => Some((MacAddr(source_hardware_addr.0), source_protocol_addr)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    fn frame() -> Vec<u8> {
        let destination = Destination {
            link: LinkTarget::Broadcast,
            address: Ipv4Addr::BROADCAST,
            port: 68,
            from_port: 67,
        };
        encode(MAC, Ipv4Addr::new(10, 0, 0, 1), &destination, b"payload!")
    }

    #[test]
    fn what_is_encoded_is_read() {
        let frame = frame();
        let datagram = Datagram::parse(&frame, true).unwrap();
        assert_eq!((datagram.mac, datagram.source.1, datagram.destination.1), (MAC, 67, 68));
        assert_eq!(datagram.payload, b"payload!");
    }

    #[test]
    fn a_wrong_checksum_is_refused_unless_it_is_not_filled_in_or_absent() {
        let mut frame = frame();
        frame[ETHERNET_BYTES + IPV4_BYTES + 6] ^= 0x55;
        assert_eq!(Datagram::parse(&frame, true), None);
        assert!(Datagram::parse(&frame, false).is_some());
        frame[ETHERNET_BYTES + IPV4_BYTES + 6..][..2].fill(0);
        assert!(Datagram::parse(&frame, true).is_some());
        frame[ETHERNET_BYTES + 10] ^= 1;
        assert_eq!(Datagram::parse(&frame, false), None, "the header's checksum is always there");
    }

    #[test]
    fn fragments_and_stumps_are_refused() {
        let mut fragment = frame();
        fragment[ETHERNET_BYTES + 6] = 0x20;
        assert_eq!(Datagram::parse(&fragment, true), None);
        let whole = frame();
        for bytes in 0..whole.len() {
            assert_eq!(Datagram::parse(&whole[..bytes], true), None, "{bytes} bytes");
        }
    }

    #[test]
    fn a_probe_is_no_reply() {
        assert_eq!(parse_arp_reply(&encode_probe(MAC, Ipv4Addr::new(10, 0, 0, 9))), None);
    }
}
