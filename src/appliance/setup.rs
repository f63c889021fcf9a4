//! The first set-up: what is suggested, and a document with everything, checked as a whole.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;
use ironwake_api::{DhcpChoice, FieldProblem, OwnAddress, Setup, SystemInterface};
use serde_json::{Value as Json, json};

use super::address::{Address, Leased, Surroundings, check_address};
use super::server::check_server;

/// Addresses that are suggested at most: some racks of machines, each of which needs one for a few minutes.
const SUGGESTED_MAX: u32 = 200;
/// Networks with fewer hosts are left to whoever knows who else is there.
const SUGGESTED_HOSTS_MIN: u32 = 14;

/// A set-up that can be done.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedSetup {
    /// The interface's address; none where it stays.
    pub address: Option<Address>,
    /// The settings, as a merge patch.
    pub settings: Json,
    /// What is to be looked at, for nobody knows it here.
    pub warnings: Vec<String>,
}

/// Addresses that server mode could give: the upper half of the interface's network, without its own address.
pub fn suggested_range(own: Ipv4Net) -> Option<RangeInclusive<Ipv4Addr>> {
    let (network, broadcast) = (u32::from(own.network()), u32::from(own.broadcast()));
    let hosts = broadcast.checked_sub(network)?.checked_sub(1)?;
    if hosts < SUGGESTED_HOSTS_MIN {
        return None;
    }
    let (first, last) = (network + 1 + hosts / 2, broadcast - 1);
    let last = last.min(first + SUGGESTED_MAX - 1);
    let own = u32::from(own.addr());
    // Where the own address lies among them, the longer part without it.
    let (first, last) = match own {
        own if !(first..=last).contains(&own) => (first, last),
        own if own - first >= last - own => (first, own - 1),
        own => (own + 1, last),
    };
    Some(Ipv4Addr::from(first)..=Ipv4Addr::from(last))
}

/// The same beside the address that a set-up gives, or leaves as it is.
pub fn suggested_beside(setup: &Setup, interfaces: &[SystemInterface]) -> Option<RangeInclusive<Ipv4Addr>> {
    let own = match &setup.address {
        Some(asked) => asked.address.as_ref()?.parse().ok()?,
        None => {
            let found = interfaces.iter().find(|known| known.name == setup.interface)?;
            found.addresses.iter().find_map(|text| text.parse().ok())?
        }
    };
    suggested_range(own)
}

/// What a set-up comes to; or each field that is wrong. `parse` reads a range as the configuration does.
pub fn check_setup(
    setup: &Setup,
    around: &Surroundings,
    parse: impl Fn(&str) -> Result<RangeInclusive<Ipv4Addr>, String>,
) -> Result<PlannedSetup, Vec<FieldProblem>> {
    let mut mistakes = Mistakes::default();
    let found = check_interface(setup, around, &mut mistakes);
    let ranges = check_ranges(setup, parse, &mut mistakes);
    let mut warnings = Vec::new();
    let (address, net) = match (&setup.address, found) {
        (Some(asked), _) => check_given(setup, asked, &ranges, around, &mut mistakes),
        (None, None) => (None, None),
        (None, Some(found)) => {
            if setup.dhcp == DhcpChoice::Server {
                let origin = around.origins.get(&found.name).copied().unwrap_or_default();
                match check_server(found, origin) {
                    Ok(warning) => warnings.extend(warning),
                    Err(why) => mistakes.add("address", format!("{why}: give it one here")),
                }
            }
            (None, check_kept(found, &ranges, &mut mistakes))
        }
    };
    check_told(setup, net, &mut mistakes);
    if !mistakes.0.is_empty() {
        return Err(mistakes.0);
    }
    let mut network = json!({"interface": setup.interface, "dhcp": setup.dhcp.name()});
    if setup.dhcp == DhcpChoice::Server {
        network["range"] = json!(setup.range);
        if let Some(router) = &setup.router {
            network["router"] = json!(router);
        }
        if !setup.dns.is_empty() {
            network["dns"] = json!(setup.dns);
        }
    }
    Ok(PlannedSetup { address, settings: json!({"network": [network]}), warnings })
}

/// What is wrong, field by field.
#[derive(Default)]
struct Mistakes(Vec<FieldProblem>);

impl Mistakes {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldProblem { field: field.into(), message: message.into() });
    }
}

fn check_interface<'a>(
    setup: &Setup,
    around: &'a Surroundings,
    mistakes: &mut Mistakes,
) -> Option<&'a SystemInterface> {
    let name = &setup.interface;
    let found = around.interfaces.iter().find(|known| known.name == *name);
    match found {
        Some(known) if known.mac.is_none() => {
            mistakes.add("interface", format!("{name} has no MAC address: machines cannot boot from it"));
        }
        Some(_) => {}
        None => {
            let names: Vec<&str> = around.interfaces.iter().map(|known| known.name.as_str()).collect();
            let names = names.join(", ");
            mistakes.add("interface", format!("there is no interface {name:?}; there are {names}"));
        }
    }
    found
}

/// The addresses that are to be given, and whether the mode gives any.
fn check_ranges(
    setup: &Setup,
    parse: impl Fn(&str) -> Result<RangeInclusive<Ipv4Addr>, String>,
    mistakes: &mut Mistakes,
) -> Vec<RangeInclusive<Ipv4Addr>> {
    let server = setup.dhcp == DhcpChoice::Server;
    if server && setup.range.is_empty() {
        mistakes.add("range", "server mode needs addresses to give, such as \"10.0.0.100-10.0.0.200\"");
    }
    let mut ranges = Vec::new();
    for (index, text) in setup.range.iter().enumerate() {
        match parse(text) {
            Ok(range) => ranges.push(range),
            Err(message) => mistakes.add(format!("range[{index}]"), message),
        }
    }
    let fields = [
        ("range", !setup.range.is_empty()),
        ("router", setup.router.is_some()),
        ("dns", !setup.dns.is_empty()),
    ];
    for (field, _) in fields.into_iter().filter(|(_, given)| *given && !server) {
        let mode = setup.dhcp.name();
        mistakes.add(field, format!("dhcp {mode} gives no addresses: leave it out, or choose server"));
    }
    ranges
}

/// The address that the interface gets, and its network.
fn check_given(
    setup: &Setup,
    asked: &OwnAddress,
    ranges: &[RangeInclusive<Ipv4Addr>],
    around: &Surroundings,
    mistakes: &mut Mistakes,
) -> (Option<Address>, Option<Ipv4Net>) {
    let interface = &setup.interface;
    let leased = |range: &RangeInclusive<Ipv4Addr>| Leased {
        interface: interface.clone(),
        range: range.clone(),
        within: true,
    };
    let server = setup.dhcp == DhcpChoice::Server;
    let around = Surroundings {
        servers: server.then(|| interface.clone()).into_iter().collect(),
        leased: ranges.iter().map(leased).collect(),
        ..around.clone()
    };
    match check_address(interface, asked, &around) {
        Ok(Address::Static { address, gateway, dns }) => {
            (Some(Address::Static { address, gateway, dns }), Some(address))
        }
        Ok(Address::Dhcp) => (Some(Address::Dhcp), None),
        Err(found) => {
            // That the interface is not there was said.
            for mistake in found.into_iter().filter(|mistake| mistake.field != "interface") {
                mistakes.add(format!("address.{}", mistake.field), mistake.message);
            }
            (None, None)
        }
    }
}

/// The network of the address that the interface has and keeps.
fn check_kept(
    found: &SystemInterface,
    ranges: &[RangeInclusive<Ipv4Addr>],
    mistakes: &mut Mistakes,
) -> Option<Ipv4Net> {
    let net: Option<Ipv4Net> = found.addresses.iter().find_map(|text| text.parse().ok());
    for (index, range) in ranges.iter().enumerate() {
        if let Some(message) = net.and_then(|net| unfit(range, net)) {
            mistakes.add(format!("range[{index}]"), message);
        }
    }
    net
}

/// What machines are told.
fn check_told(setup: &Setup, net: Option<Ipv4Net>, mistakes: &mut Mistakes) {
    let router = setup.router.iter().map(|text| ("router".to_owned(), text));
    let dns = setup.dns.iter().enumerate().map(|(index, text)| (format!("dns[{index}]"), text));
    for (field, text) in router.chain(dns) {
        match text.parse::<Ipv4Addr>() {
            Err(_) => mistakes.add(field, format!("{text:?} is not an IPv4 address")),
            Ok(router) if field == "router" && net.is_some_and(|net| !net.contains(&router)) => {
                let message = format!("{router} is not in the interface's network: no machine would find it");
                mistakes.add(field, message);
            }
            Ok(_) => {}
        }
    }
}

/// Why addresses cannot be given on a network that has an address of ours.
fn unfit(range: &RangeInclusive<Ipv4Addr>, net: Ipv4Net) -> Option<String> {
    let (first, last) = (range.start(), range.end());
    if !(net.contains(first) && net.contains(last)) {
        return Some(format!("{first}-{last} is not within {}", net.trunc()));
    }
    range.contains(&net.addr()).then(|| format!("the appliance's own address {} lies in it", net.addr()))
}

#[cfg(test)]
mod tests {
    use ironwake_api::MacAddr;

    use super::*;
    use crate::appliance::AddressOrigin;

    fn around() -> Surroundings {
        let interface = |name: &str, mac: Option<MacAddr>, address: &str| SystemInterface {
            name: name.into(),
            mac,
            up: true,
            link: true,
            addresses: (!address.is_empty()).then(|| address.to_owned()).into_iter().collect(),
        };
        let mac = Some(MacAddr([0x52, 0x54, 0, 0, 0, 1]));
        let interfaces = vec![
            interface("eth0", mac, "10.0.0.1/24"),
            interface("eth1", mac, ""),
            interface("eth2", mac, "10.2.0.7/24"),
            interface("eth3", mac, "10.3.0.1/24"),
            interface("tun0", None, "10.9.0.1/24"),
        ];
        let origins = [("eth0".into(), AddressOrigin::Own), ("eth2".into(), AddressOrigin::Dhcp)].into();
        Surroundings { interfaces, origins, ..Surroundings::default() }
    }

    /// Two addresses; what the configuration reads besides is its own affair.
    fn range(text: &str) -> Result<RangeInclusive<Ipv4Addr>, String> {
        let (first, last) = text.split_once('-').ok_or("it has no `-`")?;
        let address = |text: &str| text.parse().map_err(|_| format!("{text:?} is no address"));
        Ok(address(first)?..=address(last)?)
    }

    #[track_caller]
    fn check(setup: Json, expected: &[&str]) {
        let setup = serde_json::from_value(setup).expect("a set-up");
        let said = match check_setup(&setup, &around(), range) {
            Ok(planned) => vec![planned.settings.to_string()],
            Err(wrong) => wrong.iter().map(|w| format!("{}: {}", w.field, w.message)).collect(),
        };
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for (said, part) in said.iter().zip(expected) {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn the_upper_half_without_the_own_address_is_suggested() {
        let check = |own: &str, expected: &str| {
            let range = suggested_range(own.parse().expect("an address"));
            let shown = range.map(|range| format!("{}-{}", range.start(), range.end()));
            assert_eq!(shown.unwrap_or_default(), expected, "{own}");
        };
        check("10.0.0.1/24", "10.0.0.128-10.0.0.254");
        check("10.0.0.200/24", "10.0.0.128-10.0.0.199");
        check("10.0.0.130/24", "10.0.0.131-10.0.0.254");
        check("10.0.0.1/16", "10.0.128.0-10.0.128.199");
        check("10.0.0.1/28", "10.0.0.8-10.0.0.14");
        check("10.0.0.1/29", "");
        check("10.0.0.1/31", "");
        check("10.0.0.1/32", "");
    }

    #[test]
    fn what_is_suggested_goes_by_the_address_that_the_interface_gets_or_keeps() {
        let check = |setup: Json, expected: &str| {
            let setup: Setup = serde_json::from_value(setup).expect("a set-up");
            let range = suggested_beside(&setup, &around().interfaces);
            let shown = range.map(|range| format!("{}-{}", range.start(), range.end()));
            assert_eq!(shown.unwrap_or_default(), expected);
        };
        check(json!({"interface": "eth0"}), "10.0.0.128-10.0.0.254");
        let given = json!({"interface": "eth0", "address": {"address": "10.5.0.2/28"}});
        check(given, "10.5.0.8-10.5.0.14");
        check(json!({"interface": "eth0", "address": {"dhcp": true}}), "");
        check(json!({"interface": "eth0", "address": {"address": "10.5.0.2"}}), "");
        check(json!({"interface": "eth1"}), "");
        check(json!({"interface": "nowhere0"}), "");
    }

    #[test]
    fn a_set_up_becomes_settings() {
        check(json!({"interface": "eth1"}), &[r#"{"network":[{"dhcp":"proxy","interface":"eth1"}]}"#]);
        let server = json!({"interface": "eth1", "dhcp": "server", "range": ["10.5.0.100-10.5.0.200"],
            "router": "10.5.0.1", "dns": ["9.9.9.9"], "address": {"address": "10.5.0.2/24", "gateway": "10.5.0.1"}});
        check(server, &[r#""range":["10.5.0.100-10.5.0.200"],"router":"10.5.0.1""#]);
        let kept = json!({"interface": "eth0", "dhcp": "server", "range": ["10.0.0.100-10.0.0.200"]});
        check(kept, &[r#""dhcp":"server""#]);
    }

    #[test]
    fn whoever_is_to_give_addresses_keeps_its_own() {
        let server = |name: &str, range: &str| json!({"interface": name, "dhcp": "server", "range": [range]});
        check(
            server("eth2", "10.2.0.100-10.2.0.200"),
            &[
                "address: the address of eth2 comes from another DHCP server, and whoever gives addresses needs one of its \
               own: give it one here",
            ],
        );
        let warnings = |setup: Json| {
            let setup = serde_json::from_value(setup).expect("a set-up");
            check_setup(&setup, &around(), range).expect("it can be done").warnings
        };
        assert_eq!(warnings(server("eth0", "10.0.0.100-10.0.0.200")), [""; 0]);
        let said = warnings(server("eth3", "10.3.0.100-10.3.0.200"));
        assert!(said.len() == 1 && said[0].contains("address of eth3 is its own is not known"), "{said:?}");
        assert_eq!(warnings(json!({"interface": "eth2"})), [""; 0], "a proxy gives none");
    }

    #[test]
    fn every_mistake_is_told_at_once_by_its_field() {
        check(json!({"interface": "eth7"}), &["interface: there is no interface \"eth7\""]);
        check(json!({"interface": "tun0"}), &["interface: tun0 has no MAC address"]);
        check(
            json!({"interface": "eth1", "dhcp": "server", "address": {"dhcp": true}}),
            &["range: server mode needs addresses", "address.dhcp: eth1 is served with addresses"],
        );
        check(
            json!({"interface": "eth1", "dhcp": "server", "range": ["x", "10.5.0.1-10.5.0.9"], "router": "y"}),
            &["range[0]: it has no `-`", "address: eth1 has no address", "router: \"y\" is not"],
        );
        check(
            json!({"interface": "eth0", "dhcp": "server", "range": ["10.0.0.1-10.0.0.9", "10.7.0.1-10.7.0.9"],
                "router": "10.7.0.1"}),
            &[
                "range[0]: the appliance's own address 10.0.0.1",
                "range[1]: 10.7.0.1-10.7.0.9 is not",
                "router: ",
            ],
        );
        check(
            json!({"interface": "eth1", "range": ["10.5.0.1-10.5.0.9"], "dns": ["9.9.9.9"]}),
            &["range: dhcp proxy gives no addresses", "dns: dhcp proxy gives no addresses"],
        );
        check(
            json!({"interface": "eth1", "dhcp": "server", "range": ["10.5.0.1-10.5.0.9"],
                "address": {"address": "10.5.0.2/24"}}),
            &["address.address: 10.5.0.2 lies in the range 10.5.0.1-10.5.0.9 of eth1"],
        );
    }
}
