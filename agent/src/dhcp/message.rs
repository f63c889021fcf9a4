//! DHCP messages as the agent sends and reads them (RFC 2131, 2132, 4578).

use std::net::Ipv4Addr;

use ironwake_api::MacAddr;

/// The fixed part of a message and the cookie before its options.
const HEADER_BYTES: usize = 240;
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// RFC 1542 asks for at least 300 bytes; some relays drop shorter messages.
const MESSAGE_BYTES_MIN: usize = 300;
/// What fits into one frame of 1500 bytes behind its IP and UDP headers.
const MESSAGE_BYTES_MAX: u16 = 1472;
/// Option 60: by this the daemon tells the agent from firmware and from an operating system.
const VENDOR_CLASS: &[u8] = b"ironwake-agent";
/// Netmask, router, DNS, lease, server, T1, T2.
const WANTED: [u8; 7] = [1, 3, 6, 51, 54, 58, 59];
/// A lease of a minute at least: a shorter one would only be renewed all the time.
const LEASE_SECS_MIN: u32 = 60;
const LEASE_SECS_DEFAULT: u32 = 3600;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The NIC's address.
    pub mac: MacAddr,
    /// The machine's UUID as SMBIOS holds it, byte for byte (option 97).
    pub uuid: Option<[u8; 16]>,
}

/// Message types (option 53) that a client sends or gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1
    Discover,
    /// 2
    Offer,
    /// 3
    Request,
    /// 5
    Ack,
    /// 6
    Nak,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Ack => 5,
            Self::Nak => 6,
        }
    }
}

/// What was offered or granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix_length: u8,
    /// The first router.
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// The server that granted it.
    pub server: Ipv4Addr,
    /// Seconds it is good for.
    pub lease_secs: u32,
    /// Seconds until it is renewed (T1).
    pub renew_secs: u32,
}

/// A server's message to this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Offer, ACK or NAK.
    pub kind: Kind,
    /// The transaction.
    pub xid: u32,
    /// What it grants; meaningless in a NAK.
    pub lease: Lease,
}

/// Encodes a DISCOVER or REQUEST. `requested` and `server` are options 50 and 54; `in_use` is the address that
/// is held already (ciaddr), when a lease is renewed.
pub fn encode_request(
    kind: Kind,
    identity: &Identity,
    xid: u32,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    in_use: Option<Ipv4Addr>,
) -> Vec<u8> {
    let mut message = vec![0; HEADER_BYTES];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(&xid.to_be_bytes());
    message[12..16].copy_from_slice(&in_use.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    message[28..34].copy_from_slice(&identity.mac.0);
    message[236..240].copy_from_slice(&MAGIC_COOKIE);
    let mut option = |code: u8, value: &[u8]| {
        message.extend([code, value.len() as u8]);
        message.extend(value);
    };
    option(53, &[kind.code()]);
    let mut client_id = vec![1];
    client_id.extend(identity.mac.0);
    option(61, &client_id);
    if let Some(address) = requested {
        option(50, &address.octets());
    }
    if let Some(address) = server {
        option(54, &address.octets());
    }
    option(57, &MESSAGE_BYTES_MAX.to_be_bytes());
    option(60, VENDOR_CLASS);
    option(55, &WANTED);
    if let Some(uuid) = identity.uuid {
        let mut value = vec![0];
        value.extend(uuid);
        option(97, &value);
    }
    message.push(255);
    message.resize(message.len().max(MESSAGE_BYTES_MIN), 0);
    message
}

impl Reply {
    /// Reads a server's message to this NIC; `None` for anything else or anything unusable. Never panics.
    pub fn parse(message: &[u8], mac: MacAddr) -> Option<Self> {
        if message.len() < HEADER_BYTES
            || message[0] != 2
            || message[1..3] != [1, 6]
            || message[28..34] != mac.0
            || message[236..240] != MAGIC_COOKIE
        {
            return None;
        }
        let options = Options::of(message);
        let kind = match options.first(53)? {
            [2] => Kind::Offer,
            [5] => Kind::Ack,
            [6] => Kind::Nak,
            _ => return None,
        };
        let address = Ipv4Addr::new(message[16], message[17], message[18], message[19]);
        let siaddr = Ipv4Addr::new(message[20], message[21], message[22], message[23]);
        let usable = !address.is_unspecified() && !address.is_broadcast() && !address.is_multicast();
        if kind != Kind::Nak && (!usable || address.is_loopback()) {
            return None;
        }
        let lease_secs = options.seconds(51).unwrap_or(LEASE_SECS_DEFAULT).max(LEASE_SECS_MIN);
        let renew_secs =
            options.seconds(58).filter(|&t1| t1 > 0 && t1 < lease_secs).unwrap_or(lease_secs / 2);
        let lease = Lease {
            address,
            prefix_length: options
                .address(1)
                .and_then(prefix_length)
                .unwrap_or_else(|| classful_prefix(address)),
            router: options.address(3).filter(|router| !router.is_unspecified()),
            dns: options.addresses(6),
            server: options.address(54).unwrap_or(siaddr),
            lease_secs,
            renew_secs,
        };
        Some(Self { kind, xid: u32::from_be_bytes(message[4..8].try_into().ok()?), lease })
    }
}

/// The options, those in `file` and `sname` too where option 52 says so.
struct Options<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Options<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut options = Self(Vec::new());
        options.read(&message[HEADER_BYTES..]);
        let overload = options.first(52).and_then(|value| value.first()).copied().unwrap_or(0);
        if overload & 1 != 0 {
            options.read(&message[108..236]);
        }
        if overload & 2 != 0 {
            options.read(&message[44..108]);
        }
        options
    }

    /// What comes before a truncated option counts.
    fn read(&mut self, mut bytes: &'a [u8]) {
        while let [code, rest @ ..] = bytes {
            match (code, rest) {
                (0, _) => bytes = rest,
                (255, _) => return,
                (code, [length, rest @ ..]) if rest.len() >= usize::from(*length) => {
                    let (value, after) = rest.split_at(usize::from(*length));
                    self.0.push((*code, value));
                    bytes = after;
                }
                _ => return,
            }
        }
    }

    fn first(&self, code: u8) -> Option<&'a [u8]> {
        self.0.iter().find(|(found, _)| *found == code).map(|(_, value)| *value)
    }

    fn seconds(&self, code: u8) -> Option<u32> {
        self.first(code)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let value = self.first(code).unwrap_or_default();
        value.chunks_exact(4).map(|a| Ipv4Addr::new(a[0], a[1], a[2], a[3])).collect()
    }

    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.addresses(code).first().copied()
    }
}

fn prefix_length(netmask: Ipv4Addr) -> Option<u8> {
    let bits = netmask.to_bits();
    (bits != 0 && bits.leading_ones() + bits.trailing_zeros() == 32).then(|| bits.leading_ones() as u8)
}

/// The old classes, for a server that sends no netmask (RFC 2131 leaves nothing better).
fn classful_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0xab, 0, 1]);

    pub fn reply(kind: u8, xid: u32, address: [u8; 4], options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = vec![0; HEADER_BYTES];
        message[..4].copy_from_slice(&[2, 1, 6, 0]);
        message[4..8].copy_from_slice(&xid.to_be_bytes());
        message[16..20].copy_from_slice(&address);
        message[20..24].copy_from_slice(&[10, 0, 0, 9]);
        message[28..34].copy_from_slice(&MAC.0);
        message[236..240].copy_from_slice(&MAGIC_COOKIE);
        message.extend([53, 1, kind]);
        for (code, value) in options {
            message.extend([*code, value.len() as u8]);
            message.extend(*value);
        }
        message.push(255);
        message
    }

    #[test]
    fn an_ack_is_read() {
        let options: [(u8, &[u8]); 6] = [
            (1, &[255, 255, 0, 0]),
            (3, &[10, 0, 0, 1, 10, 0, 0, 2]),
            (6, &[9, 9, 9, 9]),
            (51, &600u32.to_be_bytes()),
            (54, &[10, 0, 0, 3]),
            (58, &200u32.to_be_bytes()),
        ];
        let found = Reply::parse(&reply(5, 7, [10, 0, 0, 50], &options), MAC).expect("an ACK");
        let lease = Lease {
            address: Ipv4Addr::new(10, 0, 0, 50),
            prefix_length: 16,
            router: Some(Ipv4Addr::new(10, 0, 0, 1)),
            dns: vec![Ipv4Addr::new(9, 9, 9, 9)],
            server: Ipv4Addr::new(10, 0, 0, 3),
            lease_secs: 600,
            renew_secs: 200,
        };
        assert_eq!(found, Reply { kind: Kind::Ack, xid: 7, lease });
    }

    #[test]
    fn what_is_missing_or_silly_has_a_default() {
        let options: [(u8, &[u8]); 4] =
            [(1, &[255, 0, 255, 0]), (3, &[1]), (51, &[0, 0, 0, 1]), (58, &900u32.to_be_bytes())];
        let lease = Reply::parse(&reply(2, 7, [192, 168, 1, 50], &options), MAC).expect("an offer").lease;
        assert_eq!(
            (lease.prefix_length, lease.router, lease.lease_secs, lease.renew_secs),
            (24, None, 60, 30)
        );
        assert_eq!(lease.server, Ipv4Addr::new(10, 0, 0, 9));
    }

    #[test]
    fn options_in_the_file_field_count() {
        let mut message = reply(5, 7, [10, 0, 0, 50], &[(52, &[1])]);
        message[108..115].copy_from_slice(&[1, 4, 255, 255, 255, 0, 255]);
        assert_eq!(Reply::parse(&message, MAC).expect("an ACK").lease.prefix_length, 24);
    }

    #[test]
    fn what_is_not_for_us_is_left() {
        let good = reply(5, 7, [10, 0, 0, 50], &[]);
        assert!(Reply::parse(&good, MacAddr([2; 6])).is_none());
        assert!(Reply::parse(&good[..200], MAC).is_none());
        assert!(Reply::parse(&reply(5, 7, [0; 4], &[]), MAC).is_none());
        assert!(Reply::parse(&reply(6, 7, [0; 4], &[]), MAC).is_some());
        assert!(Reply::parse(&reply(1, 7, [10, 0, 0, 50], &[]), MAC).is_none());
    }

    #[test]
    fn a_request_says_who_asks() {
        let identity = Identity { mac: MAC, uuid: Some([7; 16]) };
        let server = Ipv4Addr::new(10, 0, 0, 3);
        let message = encode_request(
            Kind::Request,
            &identity,
            9,
            Some(Ipv4Addr::new(10, 0, 0, 50)),
            Some(server),
            None,
        );
        assert!(message.len() >= MESSAGE_BYTES_MIN);
        let options = Options::of(&message);
        assert_eq!(options.first(53), Some(&[3][..]));
        assert_eq!(options.first(60), Some(VENDOR_CLASS));
        assert_eq!(options.first(97).map(|value| (value[0], value.len())), Some((0, 17)));
        assert_eq!(options.address(50), Some(Ipv4Addr::new(10, 0, 0, 50)));
        assert_eq!(options.address(54), Some(server));
        assert_eq!(options.first(61).map(<[u8]>::len), Some(7));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            Reply::parse(&bytes, MAC);
        }

        #[test]
        fn any_options_are_answered(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut message = reply(5, 1, [10, 0, 0, 50], &[]);
            message.pop();
            message.extend(tail);
            Reply::parse(&message, MAC);
        }
    }
}
