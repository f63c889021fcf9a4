//! The frames of the self-test: a machine that boots, and what it has to be answered.

use std::net::Ipv4Addr;

use ironwake_api::MacAddr;

use super::frame::{self, Datagram};
use crate::dhcp::{
    BOOT_REQUEST, Destination, FLAG_BROADCAST, LinkTarget, MessageKind, PORT_CLIENT, PORT_SERVER, Packet,
    code,
};

/// The machine's address: locally administered, so that it is nobody's.
const MAC: MacAddr = MacAddr([0x02, 0x49, 0x52, 0x4f, 0x4e, 0x57]);
/// What UEFI on x86-64 says of itself (PXE 2.1, RFC 4578).
const CLASS: &[u8] = b"PXEClient:Arch:00007:UNDI:003016";
/// RFC 4578, section 2.1: 7 is UEFI on x86-64.
const ARCH: [u8; 2] = [0, 7];
const TRANSACTION: u32 = 0x4952_4f4e;

/// A DISCOVER, as it comes from the wire.
pub(super) fn discover() -> Vec<u8> {
    let mut packet = Packet::new(BOOT_REQUEST, TRANSACTION);
    packet.flags = FLAG_BROADCAST;
    packet.chaddr[..6].copy_from_slice(&MAC.0);
    packet.options.set(code::MESSAGE_KIND, vec![MessageKind::Discover as u8]);
    packet.options.set(code::VENDOR_CLASS, CLASS.to_vec());
    packet.options.set(code::CLIENT_ARCH, ARCH.to_vec());
    let everybody = Destination {
        link: LinkTarget::Broadcast,
        address: Ipv4Addr::BROADCAST,
        port: PORT_SERVER,
        from_port: PORT_CLIENT,
    };
    frame::encode(MAC, Ipv4Addr::UNSPECIFIED, &everybody, &packet.encode())
}

/// Whether a frame is the offer that such a machine waits for.
pub(super) fn check_offer(frame: &[u8]) -> Result<(), String> {
    let datagram =
        Datagram::parse(frame, true).ok_or("the answer is no UDP datagram with right checksums")?;
    let packet =
        Packet::decode(datagram.payload).map_err(|error| format!("the answer is no DHCP: {error}"))?;
    let kind = packet.options.get(code::MESSAGE_KIND).and_then(|kind| MessageKind::by_number(*kind.first()?));
    match (kind, packet.xid == TRANSACTION) {
        (Some(MessageKind::Offer), true) => Ok(()),
        (Some(kind), true) => Err(format!("the answer is {}, not OFFER", kind.name())),
        _ => Err("the answer is to another message".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::Request;

    #[test]
    fn the_discover_is_of_a_machine_that_boots() {
        let sent = discover();
        let datagram = Datagram::parse(&sent, true).expect("a datagram");
        let packet = Packet::decode(datagram.payload).expect("DHCP");
        let request = Request::try_from(&packet).expect("a request");
        assert!(request.is_netboot() && request.arch().is_some());
        assert!(check_offer(&sent).expect_err("no offer").contains("is DISCOVER, not OFFER"));
        assert!(check_offer(&sent[..60]).is_err());
    }
}
