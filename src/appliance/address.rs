//! An interface's own address: what is asked for, checked against what is around it, and as systemd-networkd reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;
use ironwake_api::{FieldProblem, OwnAddress, SystemInterface};

use super::server::AddressOrigin;

/// Name servers that are used: the resolver of the C library asks three (resolv.conf(5)).
const DNS_MAX: usize = 3;
/// Longest name of an interface (IFNAMSIZ less its end).
const NAME_BYTES_MAX: usize = 15;
/// Longest prefix of a network with hosts besides us: in a /31 or /32 there is no machine to serve.
const PREFIX_MAX: u8 = 30;

/// What an interface gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// What another DHCP server gives.
    Dhcp,
    /// Its own.
    Static {
        /// With the prefix of its network.
        address: Ipv4Net,
        /// The way to other networks.
        gateway: Option<Ipv4Addr>,
        /// Name servers.
        dns: Vec<Ipv4Addr>,
    },
}

/// What an address has to get on with.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Every interface of the appliance.
    pub interfaces: Vec<SystemInterface>,
    /// Where their addresses come from, by name, as far as that was asked.
    pub origins: BTreeMap<String, AddressOrigin>,
    /// Interfaces that are served with addresses.
    pub servers: Vec<String>,
    /// Addresses that are given to machines.
    pub leased: Vec<Leased>,
}

/// Addresses that are given to machines.
#[derive(Debug, Clone)]
pub struct Leased {
    /// On which interface.
    pub interface: String,
    /// First to last.
    pub range: RangeInclusive<Ipv4Addr>,
    /// Whether they have to be within the interface's own network: no other one is configured for them.
    pub within: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Static { address, gateway, .. } = self else {
            return f.write_str("an address by DHCP");
        };
        write!(f, "{address}")?;
        gateway.map_or(Ok(()), |gateway| write!(f, " behind {gateway}"))
    }
}

/// The address that an interface is to have; or each field that is wrong.
pub fn check_address(
    interface: &str,
    asked: &OwnAddress,
    around: &Surroundings,
) -> Result<Address, Vec<FieldProblem>> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, message: String| wrong.push(FieldProblem { field: field.into(), message });
    if !around.interfaces.iter().any(|known| known.name == interface) || !is_name(interface) {
        let names: Vec<&str> = around.interfaces.iter().map(|known| known.name.as_str()).collect();
        refuse("interface", format!("there is no interface {interface:?}; there are {}", names.join(", ")));
    }
    let address = match (asked.dhcp, &asked.address) {
        (true, None) => {
            if around.servers.iter().any(|name| name == interface) {
                let message = format!(
                    "{interface} is served with addresses (dhcp = \"server\"), and cannot wait for its own: give it one"
                );
                refuse("dhcp", message);
            }
            for (field, given) in [("gateway", asked.gateway.is_some()), ("dns", !asked.dns.is_empty())] {
                if given {
                    refuse(field, "comes by DHCP too: leave it out, or give an address".into());
                }
            }
            Some(Address::Dhcp)
        }
        (true, Some(_)) => {
            refuse("address", "comes by DHCP: leave it out, or set dhcp to false".into());
            None
        }
        (false, None) => {
            refuse(
                "address",
                "is missing: an address with its prefix, such as \"10.0.0.2/24\", or dhcp".into(),
            );
            None
        }
        (false, Some(text)) => {
            let address = own(text, interface, around).map_err(|message| refuse("address", message)).ok();
            let gateway = asked
                .gateway
                .as_deref()
                .and_then(|text| gateway(text, address).map_err(|message| refuse("gateway", message)).ok());
            if asked.dns.len() > DNS_MAX {
                refuse("dns", format!("there are {}; at most {DNS_MAX} are asked", asked.dns.len()));
            }
            let mut dns = Vec::new();
            for (index, text) in asked.dns.iter().enumerate() {
                match text.parse::<Ipv4Addr>().ok().filter(is_host) {
                    Some(server) => dns.push(server),
                    None => refuse(
                        &format!("dns[{index}]"),
                        format!("{text:?} is not an IPv4 address of a server"),
                    ),
                }
            }
            address.map(|address| Address::Static { address, gateway, dns })
        }
    };
    match address {
        Some(address) if wrong.is_empty() => Ok(address),
        _ => Err(wrong),
    }
}

/// Nothing that would mean something else in a path, or to systemd-networkd in `Name=`.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with('.')
}

/// Whether a single host can have it.
fn is_host(address: &Ipv4Addr) -> bool {
    // Class E, which ends with the broadcast address, and the networks 0 and 127 are nobody's.
    (1..240).contains(&address.octets()[0]) && !address.is_multicast() && !address.is_loopback()
}

fn own(text: &str, interface: &str, around: &Surroundings) -> Result<Ipv4Net, String> {
    let example = "an address with its prefix, such as \"10.0.0.2/24\"";
    let net: Ipv4Net = text.parse().map_err(|_| match text.parse::<Ipv4Addr>() {
        Ok(_) => format!("{text:?} has no prefix: {example}"),
        Err(_) => format!("{text:?} is not {example}"),
    })?;
    let address = net.addr();
    if net.prefix_len() == 0 || net.prefix_len() > PREFIX_MAX {
        return Err(format!("/{} leaves no room for machines: /1 to /{PREFIX_MAX}", net.prefix_len()));
    }
    if !is_host(&address) || address.is_link_local() {
        return Err(format!("{address} is not an address that a host can have"));
    }
    if address == net.network() || address == net.broadcast() {
        let (first, last) = (u32::from(net.network()) + 1, u32::from(net.broadcast()) - 1);
        let what = if address == net.network() { "names the network itself" } else { "is its broadcast" };
        return Err(format!("{address} {what}: {} to {}", Ipv4Addr::from(first), Ipv4Addr::from(last)));
    }
    let others = around.interfaces.iter().filter(|known| known.name != interface);
    for (other, found) in others.flat_map(|known| known.addresses.iter().map(move |found| (known, found))) {
        let Ok(found) = found.parse::<Ipv4Net>() else { continue };
        if found.contains(&net.network()) || net.contains(&found.network()) {
            return Err(format!(
                "{net} overlaps {found} of {}: packets would leave by the wrong interface",
                other.name
            ));
        }
    }
    for Leased { interface: on, range, within } in &around.leased {
        let (first, last) = (range.start(), range.end());
        if range.contains(&address) {
            return Err(format!(
                "{address} lies in the range {first}-{last} of {on}: it would be leased to a machine"
            ));
        }
        if *within && on == interface && !(net.contains(first) && net.contains(last)) {
            let net = net.trunc();
            return Err(format!(
                "the range {first}-{last} that {interface} is served with is not within {net}: change the range first"
            ));
        }
    }
    Ok(net)
}

fn gateway(text: &str, own: Option<Ipv4Net>) -> Result<Ipv4Addr, String> {
    let gateway: Ipv4Addr =
        text.parse().map_err(|_| format!("{text:?} is not an IPv4 address, such as \"10.0.0.1\""))?;
    let Some(own) = own else { return Ok(gateway) };
    if !own.contains(&gateway) || gateway == own.network() || gateway == own.broadcast() {
        return Err(format!("{gateway} is no host of {}: nothing would find it", own.trunc()));
    }
    if gateway == own.addr() {
        return Err(format!("{gateway} is the interface's own address: leave it out where there is none"));
    }
    Ok(gateway)
}

/// The file that systemd-networkd reads for an interface; of all files the first that fits counts, in the order of their
/// names.
pub fn file_name(interface: &str) -> String {
    format!("05-ironwake-{interface}.network")
}

/// What is in it (systemd.network(5)).
pub fn network_file(interface: &str, address: &Address) -> String {
    let mut text = format!(
        "# Written by Ironwake: `ironwake system network {interface}` changes it.\n[Match]\nName={interface}\n\n\
         # Found as NAME.local (RFC 6762) where systemd-resolved does so too.\n[Network]\nMulticastDNS=yes\n"
    );
    match address {
        Address::Dhcp => text.push_str("DHCP=yes\n"),
        Address::Static { address, gateway, dns } => {
            text.push_str(&format!("DHCP=no\nAddress={address}\n"));
            gateway.iter().for_each(|gateway| text.push_str(&format!("Gateway={gateway}\n")));
            dns.iter().for_each(|server| text.push_str(&format!("DNS={server}\n")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn around() -> Surroundings {
        let interface = |name: &str, addresses: &[&str]| SystemInterface {
            name: name.into(),
            mac: None,
            up: true,
            link: true,
            addresses: addresses.iter().map(|&text| text.to_owned()).collect(),
        };
        Surroundings {
            interfaces: vec![
                interface("eth0", &["10.0.0.1/24", "fe80::1/64"]),
                interface("eth1", &["10.1.0.1/16"]),
            ],
            servers: vec!["eth1".into()],
            leased: vec![Leased {
                interface: "eth1".into(),
                range: Ipv4Addr::new(10, 1, 2, 0)..=Ipv4Addr::new(10, 1, 2, 99),
                within: true,
            }],
            ..Surroundings::default()
        }
    }

    #[track_caller]
    fn check(interface: &str, asked: Value, expected: &str) {
        let asked = serde_json::from_value(asked).expect("an address");
        let said = match check_address(interface, &asked, &around()) {
            Ok(address) => address.to_string(),
            Err(wrong) => {
                wrong.iter().map(|w| format!("{}: {}", w.field, w.message)).collect::<Vec<_>>().join("\n")
            }
        };
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn an_address_has_to_get_on_with_what_is_around_it() {
        check("eth0", json!({"dhcp": true}), "an address by DHCP");
        check("eth0", json!({"address": "10.0.0.2/24"}), "10.0.0.2/24");
        let all = json!({"address": "10.0.0.2/24", "gateway": "10.0.0.1", "dns": ["9.9.9.9"]});
        check("eth0", all, "10.0.0.2/24 behind 10.0.0.1");
        // What the interface has already is in nobody's way.
        check("eth0", json!({"address": "10.0.0.1/24"}), "10.0.0.1/24");
        check("eth1", json!({"address": "10.1.3.1/16"}), "10.1.3.1/16");
        check(
            "eth9",
            json!({"dhcp": true}),
            "interface: there is no interface \"eth9\"; there are eth0, eth1",
        );
        check("../x", json!({"dhcp": true}), "interface: there is no");
        check("eth0", json!({}), "address: is missing");
        check("eth0", json!({"dhcp": true, "address": "10.0.0.2/24"}), "address: comes by DHCP");
        check("eth0", json!({"dhcp": true, "gateway": "10.0.0.1"}), "gateway: comes by DHCP too");
        check("eth0", json!({"address": "10.0.0.2"}), "address: \"10.0.0.2\" has no prefix");
        check("eth0", json!({"address": "10.0.0.256/24"}), "is not an address with its prefix");
        check("eth0", json!({"address": "10.0.0.0/24"}), "names the network itself: 10.0.0.1 to 10.0.0.254");
        check("eth0", json!({"address": "10.0.0.255/24"}), "10.0.0.255 is its broadcast");
        check("eth0", json!({"address": "10.0.0.2/31"}), "/31 leaves no room for machines");
        for none in ["127.0.0.1/8", "224.0.0.1/4", "0.0.0.5/8", "255.255.255.254/1", "169.254.1.1/16"] {
            check("eth0", json!({"address": none}), "is not an address that a host can have");
        }
        check("eth0", json!({"address": "10.1.9.9/24"}), "10.1.9.9/24 overlaps 10.1.0.1/16 of eth1");
        check("eth0", json!({"address": "10.9.9.9/8"}), "overlaps 10.1.0.1/16 of eth1");
        check(
            "eth0",
            json!({"address": "10.0.0.2/24", "gateway": "10.2.0.1"}),
            "gateway: 10.2.0.1 is no host of",
        );
        check(
            "eth0",
            json!({"address": "10.0.0.2/24", "gateway": "10.0.0.255"}),
            "is no host of 10.0.0.0/24",
        );
        check("eth0", json!({"address": "10.0.0.2/24", "gateway": "10.0.0.2"}), "own address");
        check("eth0", json!({"address": "10.0.0.2/24", "dns": ["x"]}), "dns[0]: \"x\" is not");
        check(
            "eth0",
            json!({"address": "10.0.0.2/24", "dns": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]}),
            "at most 3",
        );
    }

    #[test]
    fn whoever_gives_addresses_has_one_of_its_own_beside_them() {
        check("eth1", json!({"dhcp": true}), "dhcp: eth1 is served with addresses");
        check("eth1", json!({"address": "10.1.2.5/16"}), "lies in the range 10.1.2.0-10.1.2.99 of eth1");
        check("eth1", json!({"address": "10.1.7.5/24"}), "is not within 10.1.7.0/24: change the range first");
    }

    #[test]
    fn networkd_reads_what_was_asked_for() {
        let address = Address::Static {
            address: "10.0.0.2/24".parse().expect("one"),
            gateway: Some(Ipv4Addr::new(10, 0, 0, 1)),
            dns: vec![Ipv4Addr::new(9, 9, 9, 9)],
        };
        let text = network_file("eth0", &address);
        let kept: Vec<&str> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let expected = [
            "[Match]",
            "Name=eth0",
            "[Network]",
            "MulticastDNS=yes",
            "DHCP=no",
            "Address=10.0.0.2/24",
            "Gateway=10.0.0.1",
            "DNS=9.9.9.9",
        ];
        assert_eq!(kept, expected);
        assert!(network_file("eth0", &Address::Dhcp).ends_with("[Network]\nMulticastDNS=yes\nDHCP=yes\n"));
        assert_eq!(file_name("eth0"), "05-ironwake-eth0.network");
    }
}
