//! LLDP (IEEE 802.1AB): what the switch says of itself and of the port.

use std::net::Ipv4Addr;

use ironwake_api::Lldp;

use crate::inventory::sysfs::clean;

/// The Ethernet type of LLDP.
pub const ETHER_TYPE: u16 = 0x88cc;
/// Where switches send it: no bridge forwards this.
pub const MULTICAST: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
/// IEEE 802.1's OUI and the subtype of its port VLAN ID.
const PORT_VLAN: [u8; 4] = [0x00, 0x80, 0xc2, 1];

/// Reads one frame, Ethernet header and all. `None` if it is not LLDP or lacks chassis or port.
pub fn parse_frame(frame: &[u8]) -> Option<Lldp> {
    if frame.get(12..14)? != ETHER_TYPE.to_be_bytes() {
        return None;
    }
    let mut rest = &frame[14..];
    let mut neighbour = Lldp::default();
    while let [first, second, after @ ..] = rest {
        let length = usize::from(first & 1) << 8 | usize::from(*second);
        let Some(value) = after.get(..length) else { break };
        match first >> 1 {
            0 => break,
            1 => neighbour.chassis = identifier(value, 4, 5),
            2 => neighbour.port = identifier(value, 3, 4),
            4 => neighbour.port_description = clean(value),
            5 => neighbour.system = clean(value),
            127 if value.len() == 6 && value[..4] == PORT_VLAN => {
                let vlan = u16::from_be_bytes([value[4], value[5]]);
                neighbour.vlan = (1..4095).contains(&vlan).then_some(vlan);
            }
            _ => {}
        }
        rest = &after[length..];
    }
    (neighbour.chassis.is_some() && neighbour.port.is_some()).then_some(neighbour)
}

/// Chassis and port IDs differ only in which subtype is a MAC and which a network address.
fn identifier(value: &[u8], mac: u8, network: u8) -> Option<String> {
    let (&subtype, value) = value.split_first()?;
    match value {
        [a, b, c, d, e, f] if subtype == mac => {
            Some(ironwake_api::MacAddr([*a, *b, *c, *d, *e, *f]).to_string())
        }
        [1, a, b, c, d] if subtype == network => Some(Ipv4Addr::new(*a, *b, *c, *d).to_string()),
        _ => clean(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(items: &[(u8, &[u8])]) -> Vec<u8> {
        let mut frame = MULTICAST.to_vec();
        frame.extend([2, 0, 0, 0, 0, 1, 0x88, 0xcc]);
        for (kind, value) in items {
            frame.extend((u16::from(*kind) << 9 | value.len() as u16).to_be_bytes());
            frame.extend(*value);
        }
        frame
    }

    #[test]
    fn a_switch_is_read() {
        let frame = frame(&[
            (1, &[4, 0, 0x1b, 0x21, 1, 2, 3]),
            (2, b"\x05Gi1/0/7"),
            (3, &[0, 120]),
            (4, b"rack 4\0"),
            (5, b"sw-rack4"),
            (127, &[0, 0x80, 0xc2, 1, 0, 42]),
            (0, &[]),
            (5, b"behind the end"),
        ]);
        let expected = Lldp {
            chassis: Some("00:1b:21:01:02:03".into()),
            port: Some("Gi1/0/7".into()),
            port_description: Some("rack 4".into()),
            system: Some("sw-rack4".into()),
            vlan: Some(42),
        };
        assert_eq!(parse_frame(&frame), Some(expected));
    }

    #[test]
    fn addresses_and_truncation() {
        let good = frame(&[(1, &[5, 1, 10, 0, 0, 1]), (2, &[3, 2, 0, 0, 0, 0, 9]), (5, b"sw")]);
        let found = parse_frame(&good).expect("a neighbour");
        assert_eq!(found.chassis.as_deref(), Some("10.0.0.1"));
        assert_eq!(found.port.as_deref(), Some("02:00:00:00:00:09"));
        assert_eq!(parse_frame(&good[..good.len() - 1]).expect("a neighbour").system, None);
        assert_eq!(parse_frame(&good[..18]), None);
    }

    proptest! {
        #[test]
        fn any_frame_is_answered(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut frame = frame(&[]);
            frame.extend(&tail);
            parse_frame(&frame);
            parse_frame(&tail);
        }
    }
}
