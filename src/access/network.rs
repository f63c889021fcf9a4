//! Whom a limit counts as one caller.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Somebody with IPv6 has a /64 of addresses at least (RFC 6177).
const IPV6_NETWORK: u128 = !0 << 64;

/// What callers share a limit by: an address of IPv4, or a /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & IPV6_NETWORK)),
            v4 => v4,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, network: &str) {
        let address: IpAddr = address.parse().expect("an address");
        assert_eq!(Network::from(address).to_string(), network);
    }

    #[test]
    fn an_address_of_ipv4_is_one_caller_and_so_is_a_64_of_ipv6() {
        check("10.0.0.7", "10.0.0.7");
        check("::ffff:10.0.0.7", "10.0.0.7");
        check("2001:db8::1", "2001:db8::/64");
        check("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64");
        check("2001:db8:0:1::1", "2001:db8:0:1::/64");
        check("::1", "::/64");
    }
}
