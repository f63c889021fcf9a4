//! Ethernet, IPv4 and UDP around DHCP messages: the client has no address yet and no kernel to ask.

use std::net::Ipv4Addr;

use ironwake_api::MacAddr;

const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const PROTOCOL_UDP: u8 = 17;

/// A broadcast frame from this NIC to all DHCP servers.
pub fn encode_frame(mac: MacAddr, from: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let udp_bytes = UDP_BYTES + message.len();
    let mut ip = [0; IPV4_BYTES];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((IPV4_BYTES + udp_bytes) as u16).to_be_bytes());
    ip[8] = 64;
    ip[9] = PROTOCOL_UDP;
    ip[12..16].copy_from_slice(&from.octets());
    ip[16..20].copy_from_slice(&[255; 4]);
    let checksum = !sum(&ip, 0);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());

    let mut udp = Vec::with_capacity(udp_bytes);
    udp.extend(CLIENT_PORT.to_be_bytes());
    udp.extend(SERVER_PORT.to_be_bytes());
    udp.extend((udp_bytes as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(message);
    let pseudo = u32::from(sum(&ip[12..20], 0)) + u32::from(PROTOCOL_UDP) + udp_bytes as u32;
    // A checksum of zero would mean that there is none (RFC 768).
    let checksum = match !sum(&udp, pseudo) {
        0 => 0xffff,
        other => other,
    };
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());

    let mut frame = Vec::with_capacity(ETHERNET_BYTES + IPV4_BYTES + udp_bytes);
    frame.extend([0xff; 6]);
    frame.extend(mac.0);
    frame.extend([0x08, 0x00]);
    frame.extend(ip);
    frame.extend(udp);
    frame
}

/// The DHCP message in a frame from a server to a client, or `None`. The checksum is left to the receiver of
/// nonsense to notice: NICs of virtual machines deliver frames whose checksum was never filled in.
pub fn decode_frame(frame: &[u8]) -> Option<&[u8]> {
    if frame.get(12..14)? != [0x08, 0x00] {
        return None;
    }
    let ip = &frame[ETHERNET_BYTES..];
    let first = *ip.first()?;
    let header_bytes = usize::from(first & 15) * 4;
    let total_bytes = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    let fragment = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & 0x3fff;
    if first >> 4 != 4 || header_bytes < IPV4_BYTES || fragment != 0 || *ip.get(9)? != PROTOCOL_UDP {
        return None;
    }
    let udp = ip.get(header_bytes..total_bytes)?;
    let ports = udp.get(..4)?;
    if ports[..2] != SERVER_PORT.to_be_bytes() || ports[2..] != CLIENT_PORT.to_be_bytes() {
        return None;
    }
    let udp_bytes = usize::from(u16::from_be_bytes([*udp.get(4)?, *udp.get(5)?]));
    udp.get(UDP_BYTES..udp_bytes)
}

/// The Internet checksum's sum (RFC 1071), not complemented.
fn sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0xab, 0, 1]);

    #[test]
    fn checksums_are_right() {
        let frame = encode_frame(MAC, Ipv4Addr::UNSPECIFIED, b"odd");
        assert_eq!(sum(&frame[14..34], 0), 0xffff);
        let pseudo = u32::from(sum(&frame[26..34], 0)) + 17 + 11;
        assert_eq!(sum(&frame[34..], pseudo), 0xffff);
    }

    #[test]
    fn only_frames_to_clients_are_read() {
        let mut frame = encode_frame(MAC, Ipv4Addr::new(10, 0, 0, 1), b"message");
        assert_eq!(decode_frame(&frame), None);
        frame[34..38].copy_from_slice(&[0, 67, 0, 68]);
        assert_eq!(decode_frame(&frame), Some(&b"message"[..]));
        frame.extend([0; 12]);
        assert_eq!(decode_frame(&frame), Some(&b"message"[..]));
        assert_eq!(decode_frame(&frame[..40]), None);
    }

    proptest! {
        #[test]
        fn any_frame_is_answered(mut frame in proptest::collection::vec(any::<u8>(), 0..100)) {
            decode_frame(&frame);
            if frame.len() > 24 {
                frame[12..15].copy_from_slice(&[8, 0, 0x45]);
                frame[20..22].copy_from_slice(&[0, 0]);
                frame[23] = 17;
                decode_frame(&frame);
            }
        }
    }
}
