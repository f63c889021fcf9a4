//! Encoding and decoding against each other, and against another implementation of the format.

use dhcproto::v4;
use dhcproto::{Decodable, Decoder, Encodable};
use ironwake::dhcp::{Packet, code};
use proptest::collection::vec;
use proptest::prelude::*;

fn packet() -> impl Strategy<Value = Packet<'static>> {
    let options = vec((1..=254_u8, vec(any::<u8>(), 0..600)), 0..20);
    (any::<u32>(), any::<[u8; 4]>(), any::<[u8; 16]>(), options).prop_map(
        |(xid, address, chaddr, options)| {
            let mut packet = Packet::new(1, xid);
            packet.yiaddr = address.into();
            packet.chaddr = chaddr;
            packet.file[..3].copy_from_slice(b"abc");
            // Overload changes what the header means, so it cannot come back as it went out.
            for (code, value) in options.into_iter().filter(|(code, _)| *code != code::OVERLOAD) {
                packet.options.set(code, value);
            }
            packet
        },
    )
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_encoded_is_decoded(packet in packet()) {
        let bytes = packet.encode();
        prop_assert_eq!(bytes.len(), packet.encoded_bytes());
        prop_assert!(bytes.len() >= 300);
        prop_assert_eq!(Packet::decode(&bytes).unwrap(), packet);
    }

    #[test]
    fn another_decoder_agrees(
        xid in any::<u32>(), yiaddr in any::<[u8; 4]>(), file in "[a-z/.]{1,120}",
        requested in any::<[u8; 4]>(), class in "[ -~]{1,250}",
    ) {
        let mut packet = Packet::new(2, xid);
        packet.yiaddr = yiaddr.into();
        packet.file[..file.len()].copy_from_slice(file.as_bytes());
        packet.options.set(code::MESSAGE_KIND, vec![2]);
        packet.options.set(code::REQUESTED_ADDRESS, requested.to_vec());
        packet.options.set(code::VENDOR_CLASS, class.clone().into_bytes());
        let theirs = v4::Message::decode(&mut Decoder::new(&packet.encode())).unwrap();
        prop_assert_eq!(theirs.xid(), xid);
        prop_assert_eq!(theirs.yiaddr(), packet.yiaddr);
        let name = theirs.fname_str().and_then(Result::ok).map(|name| name.trim_end_matches('\0'));
        prop_assert_eq!(name, Some(file.as_str()));
        prop_assert_eq!(theirs.opts().msg_type(), Some(v4::MessageType::Offer));
        let requested_option = v4::DhcpOption::RequestedIpAddress(requested.into());
        prop_assert_eq!(theirs.opts().get(v4::OptionCode::RequestedIpAddress), Some(&requested_option));
        let class_option = v4::DhcpOption::ClassIdentifier(class.into_bytes());
        prop_assert_eq!(theirs.opts().get(v4::OptionCode::ClassIdentifier), Some(&class_option));
    }

    #[test]
    fn another_encoder_is_understood(xid in any::<u32>(), mac in any::<[u8; 6]>(), name in "[a-z]{1,63}") {
        let none = std::net::Ipv4Addr::UNSPECIFIED;
        let mut theirs = v4::Message::new_with_id(xid, none, none, none, none, &mac);
        theirs.opts_mut().insert(v4::DhcpOption::MessageType(v4::MessageType::Discover));
        theirs.opts_mut().insert(v4::DhcpOption::Hostname(name.clone()));
        let bytes = theirs.to_vec().unwrap();
        let ours = Packet::decode(&bytes).unwrap();
        prop_assert_eq!((ours.xid, &ours.chaddr[..6]), (xid, &mac[..]));
        prop_assert_eq!(ours.options.get(code::HOSTNAME), Some(name.as_bytes()));
        prop_assert_eq!(ours.options.get(code::MESSAGE_KIND), Some(&[1_u8][..]));
    }
}
