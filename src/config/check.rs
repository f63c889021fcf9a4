//! From what is written to what is legal: defaults, and whether the values go together.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Range, RangeInclusive};

use ipnet::Ipv4Net;

use super::raw::{Raw, RawDiscovery, RawEnrolment, RawNetwork, RawRelayed, RawReservation, RawRule};
use super::*;
use crate::document::{At, Field, Findings};

/// Addresses that the ranges of one network may have together: a /16, which the lease table is made for.
const RANGE_ADDRESSES_MAX: u64 = 65_536;
/// Interfaces served at once: each has a socket and a task.
const NETWORKS_MAX: usize = 256;
/// Subnets behind relays on one network.
const RELAYED_MAX: usize = 1024;
/// Reservations on one network: no more than it can have addresses.
const RESERVATIONS_MAX: usize = 65_536;

/// Something that owns addresses, for finding two that own the same.
struct Owned {
    range: RangeInclusive<Ipv4Addr>,
    span: Range<usize>,
}

/// Reports everything that does not go together; the result counts only if nothing is reported.
pub(super) fn check(raw: Raw, findings: &mut Findings) -> Config {
    let defaults = Config::default();
    let mut owned = Vec::new();
    let listen = raw.listen.given().map(|at| (at.value.ip(), at.span.clone()));
    let networks = match raw.networks {
        Some(networks) => check_networks(networks, &mut owned, findings),
        None => Vec::new(),
    };
    check_overlaps(&mut owned, findings);
    if let Some((IpAddr::V4(ip), span)) = listen {
        check_not_leased(ip, &span, "the daemon's own address", &networks, findings);
    }
    let http = raw.listen.value_or(defaults.http.listen);
    let socket = raw.socket.value_or(defaults.socket);
    Config {
        state: raw.state.value_or(defaults.state),
        console: console::check(raw.console, &socket, [raw.console_socket, raw.ssh_socket], findings),
        socket,
        profiles: raw.profiles.value_or(defaults.profiles),
        http: Http { listen: http },
        api: api::check(raw.api, http, findings),
        networks,
        discovery: check_discovery(raw.discovery, defaults.discovery),
        enrolment: check_enrolment(raw.enrolment, findings),
        hostnames: naming::check_hostnames(raw.hostnames, findings),
        values: raw.values,
        webhooks: webhook::check_webhooks(raw.webhooks, findings),
        registration: webhook::check_registration(raw.registration, findings),
        artifacts: Artifacts {
            bytes_max: raw.artifacts.max_size.value_or(defaults.artifacts.bytes_max),
            keep: raw.artifacts.keep.value_or(defaults.artifacts.keep),
        },
        update: UpdateChannel { url: raw.update_url.value() },
    }
}

fn check_networks(raw: Vec<RawNetwork>, owned: &mut Vec<Owned>, findings: &mut Findings) -> Vec<Network> {
    if let Some(network) = raw.get(NETWORKS_MAX) {
        findings.add(network.span.clone(), format!("more than {NETWORKS_MAX} networks"), None);
        return Vec::new();
    }
    let mut networks: Vec<Network> = Vec::new();
    for network in raw {
        if let Some(interface) = network.interface.given()
            && networks.iter().any(|other| other.interface == interface.value)
        {
            let message = format!("interface {:?} has a [[network]] already", interface.value);
            findings.add(interface.span.clone(), message, "one section for each interface".to_owned());
        }
        networks.push(check_network(network, owned, findings));
    }
    networks
}

fn check_network(raw: RawNetwork, owned: &mut Vec<Owned>, findings: &mut Findings) -> Network {
    if raw.interface.is_absent() {
        let help = "add interface = \"NAME\", the only key without a default".to_owned();
        findings.add(raw.span.clone(), "this [[network]] names no interface", help);
    }
    // A mode that is wrong is reported as such; what depends on it then is not.
    let mode_known = !matches!(raw.dhcp, Field::Bad);
    let dhcp = raw.dhcp.given().map_or(DhcpMode::default(), |at| at.value);
    if mode_known {
        check_mode(&raw, dhcp, findings);
    }
    let subnet = raw.subnet.given().map(|at| at.value);
    check_ranges(&raw.range, subnet, owned, findings);
    let (subnets, ranges, routers) = (subnets(&raw), ranges(&raw), routers(&raw));
    check_addresses(&raw.router, subnet, "router", &ranges, findings);
    if let Some(next_server) = raw.next_server.given() {
        check_outside(next_server.value, &next_server.span, "next_server", &ranges, findings);
    }
    let mut network = Network::on(raw.interface.value_or(String::new()));
    let reservations = check_reservations(raw.reservations, &subnets, &routers, findings);
    let relayed = check_relayed(raw.relayed, subnet, owned, findings);
    network.dhcp = dhcp;
    network.ranges = plain(raw.range);
    network.subnet = subnet;
    network.routers = plain(raw.router);
    network.dns = plain(raw.dns);
    network.domain = raw.domain.value();
    network.lease_time = raw.lease_time.value_or(network.lease_time);
    network.reservations = reservations;
    network.next_server = raw.next_server.value();
    network.allow_rogue = raw.allow_rogue.value_or(network.allow_rogue);
    network.tftp = raw.tftp.value_or(network.tftp);
    network.secure_boot = raw.secure_boot.value_or(network.secure_boot);
    network.relayed = relayed;
    network
}

/// The network's own subnet and the relayed ones; nothing if one of them is not written.
fn subnets(raw: &RawNetwork) -> Vec<Ipv4Net> {
    let relayed = raw.relayed.iter().map(|relayed| &relayed.subnet);
    let written = std::iter::once(&raw.subnet).chain(relayed);
    written.map(|field| field.given().map(|at| at.value)).collect::<Option<_>>().unwrap_or_default()
}

/// The network's own ranges and those of its relayed subnets.
fn ranges(raw: &RawNetwork) -> Vec<RangeInclusive<Ipv4Addr>> {
    let written = std::iter::once(&raw.range).chain(raw.relayed.iter().map(|relayed| &relayed.range));
    written.flat_map(listed).cloned().collect()
}

/// The network's own routers and those of its relayed subnets.
fn routers(raw: &RawNetwork) -> Vec<Ipv4Addr> {
    let written = std::iter::once(&raw.router).chain(raw.relayed.iter().map(|relayed| &relayed.router));
    written.flat_map(listed).copied().collect()
}

fn listed<T>(field: &Field<Vec<At<T>>>) -> impl Iterator<Item = &T> {
    field.given().into_iter().flat_map(|list| list.value.iter().map(|at| &at.value))
}

/// Only a server gives addresses, and it needs some.
fn check_mode(raw: &RawNetwork, dhcp: DhcpMode, findings: &mut Findings) {
    if dhcp == DhcpMode::Server {
        let nothing = raw.range.is_absent() && raw.reservations.is_empty() && raw.relayed.is_empty();
        if let (true, Some(mode)) = (nothing, raw.dhcp.given()) {
            let help =
                "add range = \"FIRST-LAST\", or use dhcp = \"proxy\" beside another DHCP server".to_owned();
            findings.add(mode.span.clone(), "a DHCP server without range has no address to give", help);
        }
        return;
    }
    let name = if dhcp == DhcpMode::Proxy { "proxy" } else { "off" };
    let mut refuse = |span: Range<usize>, what: &str| {
        let message = format!("dhcp = \"{name}\" gives no addresses, so {what} has no use here");
        findings.add(span, message, "remove it, or set dhcp = \"server\"".to_owned());
    };
    if let Some(range) = raw.range.given() {
        refuse(range.span.clone(), "range");
    }
    if let Some(reservation) = raw.reservations.first() {
        refuse(reservation.span.clone(), "a reservation");
    }
    if let Some(relayed) = raw.relayed.first() {
        refuse(relayed.span.clone(), "a relayed subnet");
    }
}

fn plain<T>(field: Field<Vec<At<T>>>) -> Vec<T> {
    field.value().unwrap_or_default().into_iter().map(|at| at.value).collect()
}

fn size(range: &RangeInclusive<Ipv4Addr>) -> u64 {
    u64::from(u32::from(*range.end())) - u64::from(u32::from(*range.start())) + 1
}

fn check_ranges(
    ranges: &Field<Vec<At<RangeInclusive<Ipv4Addr>>>>,
    subnet: Option<Ipv4Net>,
    owned: &mut Vec<Owned>,
    findings: &mut Findings,
) {
    let Some(list) = ranges.given() else { return };
    if list.value.is_empty() {
        let help = "\"10.0.0.100-10.0.0.200\", or leave the key out".to_owned();
        findings.add(list.span.clone(), "an empty list of ranges", help);
    }
    let total: u64 = list.value.iter().map(|at| size(&at.value)).sum();
    if total > RANGE_ADDRESSES_MAX {
        let message = format!("{total} addresses in range");
        findings.add(list.span.clone(), message, format!("at most {RANGE_ADDRESSES_MAX} together, a /16"));
    }
    for at in &list.value {
        if let Some(subnet) = subnet
            && !(subnet.contains(at.value.start()) && subnet.contains(at.value.end()))
        {
            let message = format!("{} is not within the subnet {subnet}", shown(&at.value));
            let (first, last) = (subnet.network(), subnet.broadcast());
            findings.add(at.span.clone(), message, format!("it lies between {first} and {last}"));
        }
        owned.push(Owned { range: at.value.clone(), span: at.span.clone() });
    }
}

fn shown(range: &RangeInclusive<Ipv4Addr>) -> String {
    format!("{}-{}", range.start(), range.end())
}

/// Leases are kept by address, so no two ranges anywhere may share one.
fn check_overlaps(owned: &mut [Owned], findings: &mut Findings) {
    owned.sort_by_key(|owned| (*owned.range.start(), owned.span.start));
    let mut widest: Option<&Owned> = None;
    for next in owned.iter() {
        if let Some(before) = widest
            && next.range.start() <= before.range.end()
        {
            // The one that stands later in the file is blamed.
            let (blamed, other) =
                if next.span.start > before.span.start { (next, before) } else { (before, next) };
            let message = format!("{} overlaps the range {}", shown(&blamed.range), shown(&other.range));
            findings.add(blamed.span.clone(), message, "each address in one range only".to_owned());
        }
        if widest.is_none_or(|before| next.range.end() > before.range.end()) {
            widest = Some(next);
        }
    }
}

fn check_addresses(
    addresses: &Field<Vec<At<Ipv4Addr>>>,
    subnet: Option<Ipv4Net>,
    what: &str,
    ranges: &[RangeInclusive<Ipv4Addr>],
    findings: &mut Findings,
) {
    for at in addresses.given().map_or(&[][..], |list| &list.value) {
        check_in_subnet(at.value, &at.span, what, subnet.as_slice(), findings);
        check_outside(at.value, &at.span, what, ranges, findings);
    }
}

fn check_in_subnet(
    address: Ipv4Addr,
    span: &Range<usize>,
    what: &str,
    subnets: &[Ipv4Net],
    findings: &mut Findings,
) {
    let Some((subnet, relayed)) = subnets.split_first() else { return };
    if subnets.iter().any(|subnet| subnet.contains(&address)) {
        return;
    }
    let or_relayed = if relayed.is_empty() { "" } else { " and every relayed one" };
    let message = format!("the {what} {address} is outside the subnet {subnet}{or_relayed}");
    let help = format!("it lies between {} and {}", subnet.network(), subnet.broadcast());
    findings.add(span.clone(), message, help);
}

fn check_outside(
    address: Ipv4Addr,
    span: &Range<usize>,
    what: &str,
    ranges: &[RangeInclusive<Ipv4Addr>],
    findings: &mut Findings,
) {
    if let Some(range) = ranges.iter().find(|range| range.contains(&address)) {
        let message = format!("the {what} {address} lies in the range {}", shown(range));
        findings.add(
            span.clone(),
            message,
            "it would be leased to a machine: leave it out of the range".to_owned(),
        );
    }
}

fn check_not_leased(
    address: Ipv4Addr,
    span: &Range<usize>,
    what: &str,
    networks: &[Network],
    findings: &mut Findings,
) {
    let own = networks.iter().flat_map(|network| &network.ranges);
    let relayed = networks.iter().flat_map(|network| &network.relayed).flat_map(|relayed| &relayed.ranges);
    if let Some(range) = own.chain(relayed).find(|range| range.contains(&address)) {
        let message = format!("{address}, {what}, lies in the range {}", shown(range));
        findings.add(
            span.clone(),
            message,
            "it would be leased to a machine: leave it out of the range".to_owned(),
        );
    }
}

fn required<T: Clone>(
    field: &Field<T>,
    section: &Range<usize>,
    message: &str,
    help: &str,
    findings: &mut Findings,
) -> Option<At<T>> {
    if field.is_absent() {
        findings.add(section.clone(), message, help.to_owned());
    }
    field.given().cloned()
}

fn check_reservations(
    raw: Vec<RawReservation>,
    subnets: &[Ipv4Net],
    routers: &[Ipv4Addr],
    findings: &mut Findings,
) -> Vec<Reservation> {
    if let Some(reservation) = raw.get(RESERVATIONS_MAX) {
        findings.add(reservation.span.clone(), format!("more than {RESERVATIONS_MAX} reservations"), None);
        return Vec::new();
    }
    let mut macs = std::collections::HashSet::new();
    let mut addresses = std::collections::HashSet::new();
    let mut reservations = Vec::new();
    for raw in raw {
        let span = &raw.span;
        let mac = required(&raw.mac, span, "this reservation has no mac", "add mac = \"52:54:…\"", findings);
        let help = "add address = \"10.…\"";
        let address = required(&raw.address, span, "this reservation has no address", help, findings);
        if let Some(mac) = &mac
            && !macs.insert(mac.value)
        {
            let message = format!("{} has a reservation already", mac.value);
            findings.add(mac.span.clone(), message, "one for each MAC address".to_owned());
        }
        if let Some(address) = &address {
            check_in_subnet(address.value, &address.span, "reservation", subnets, findings);
            if !addresses.insert(address.value) {
                let message = format!("{} is reserved already", address.value);
                findings.add(address.span.clone(), message, "one reservation for each address".to_owned());
            }
            if routers.contains(&address.value) {
                let message = format!("{} is the router's address", address.value);
                findings.add(address.span.clone(), message, "reserve another one".to_owned());
            }
        }
        if let (Some(mac), Some(address)) = (mac, address) {
            let hostname = raw.hostname.value();
            reservations.push(Reservation { mac: mac.value, address: address.value, hostname });
        }
    }
    reservations
}

fn check_relayed(
    raw: Vec<RawRelayed>,
    own: Option<Ipv4Net>,
    owned: &mut Vec<Owned>,
    findings: &mut Findings,
) -> Vec<RelayedSubnet> {
    if let Some(relayed) = raw.get(RELAYED_MAX) {
        findings.add(relayed.span.clone(), format!("more than {RELAYED_MAX} relayed subnets"), None);
        return Vec::new();
    }
    let mut relayed: Vec<RelayedSubnet> = Vec::new();
    for raw in raw {
        let help = "add subnet = \"10.1.0.0/24\", where the relay's address lies";
        let subnet = required(&raw.subnet, &raw.span, "this relayed subnet has no subnet", help, findings);
        let help = "add range = \"FIRST-LAST\"";
        let _ = required(&raw.range, &raw.span, "this relayed subnet has no range", help, findings);
        let net = subnet.as_ref().map(|at| at.value);
        check_ranges(&raw.range, net, owned, findings);
        let ranges: Vec<_> = listed(&raw.range).cloned().collect();
        check_addresses(&raw.router, net, "router", &ranges, findings);
        let Some(subnet) = subnet else { continue };
        let shares = |other: &Ipv4Net| other.contains(&subnet.value) || subnet.value.contains(other);
        if let Some(other) =
            own.iter().chain(relayed.iter().map(|relayed| &relayed.subnet)).find(|net| shares(net))
        {
            let message = format!("the relayed subnet {} overlaps {other}", subnet.value);
            findings.add(subnet.span.clone(), message, "each subnet once".to_owned());
        }
        relayed.push(RelayedSubnet {
            subnet: subnet.value,
            ranges: plain(raw.range),
            routers: plain(raw.router),
        });
    }
    relayed
}

fn check_discovery(raw: RawDiscovery, defaults: Discovery) -> Discovery {
    Discovery {
        enabled: raw.enabled.value_or(defaults.enabled),
        idle_reboot: raw.idle_reboot.value_or(defaults.idle_reboot),
        rediscover_after: raw.rediscover_after.value_or(defaults.rediscover_after),
        kernel_parameters: raw.kernel_parameters.value_or(defaults.kernel_parameters),
    }
}

fn check_enrolment(raw: RawEnrolment, findings: &mut Findings) -> Enrolment {
    let policy_known = !matches!(raw.policy, Field::Bad);
    let policy = raw.policy.given().map_or(EnrolmentPolicy::default(), |at| at.value);
    let rules_used = policy == EnrolmentPolicy::Rules;
    if let (true, true, Some(at)) = (rules_used, raw.rules.is_empty(), raw.policy.given()) {
        let help = "add [[enrolment.rule]], or choose \"manual\" or \"auto\"".to_owned();
        findings.add(at.span.clone(), "policy \"rules\" without a rule enrols nothing", help);
    }
    if let (true, false, Some(rule)) = (policy_known, rules_used, raw.rules.first()) {
        let help = "set enrolment.policy = \"rules\", or remove the rules".to_owned();
        findings.add(rule.span.clone(), "rules have no effect under this enrolment.policy", help);
    }
    let mut rules: Vec<crate::machine::EnrolmentRule> = Vec::new();
    for (index, raw) in raw.rules.into_iter().enumerate() {
        if let Some(name) = raw.name.given()
            && rules.iter().any(|rule| rule.name == name.value)
        {
            let message = format!("there is a rule {:?} already", name.value);
            findings.add(name.span.clone(), message, "give each its own name".to_owned());
        }
        rules.push(check_rule(raw, index, findings));
    }
    Enrolment { policy, rules }
}

fn check_rule(raw: RawRule, index: usize, findings: &mut Findings) -> crate::machine::EnrolmentRule {
    let texts = [&raw.manufacturer, &raw.product, &raw.serial];
    let others = texts.iter().any(|field| !field.is_absent()) || !raw.subnet.is_absent();
    let empty = raw.tags.given().filter(|list| list.value.is_empty());
    if let Some(at) = empty {
        let help = "name a tag that the machine has to carry, or remove the key".to_owned();
        findings.add(at.span.clone(), "an empty list of tags is no condition", help);
    } else if !others && raw.tags.is_absent() {
        let gives = if raw.add_tags.is_absent() { "" } else { " (add_tags is what it gives)" };
        let help = "add manufacturer, product, serial, subnet or tags; policy \"auto\" enrols all".to_owned();
        let message = format!("this rule has no condition{gives} and would fit every machine");
        findings.add(raw.span.clone(), message, help);
    }
    crate::machine::EnrolmentRule {
        name: raw.name.value_or(format!("rule {}", index + 1)),
        manufacturer: raw.manufacturer.value(),
        product: raw.product.value(),
        serial: raw.serial.value(),
        subnet: raw.subnet.value(),
        tags: plain(raw.tags),
        add_tags: plain(raw.add_tags),
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    const NETWORK: &str = r#"
[[network]]
interface = "br0"
dhcp = "server"
subnet = "10.0.0.0/24"
range = "10.0.0.100-10.0.0.199"
"#;
    const RELAYED: &str = r#"
[[network.relayed]]
subnet = "10.1.0.0/24"
range = "10.1.0.100-10.1.0.199"
router = "10.1.0.1"
"#;

    fn check(own: &str, more: &str, expected: &[&str]) {
        let text = format!("{own}{RELAYED}{more}");
        let text = text.trim_start_matches('\n');
        let said = match Config::parse(text, "f") {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.list.into_iter().map(|mistake| mistake.message).collect(),
        };
        assert_eq!(said, expected, "{text}");
    }

    fn reservation(address: &str) -> String {
        format!("[[network.reservation]]\nmac = \"52:54:00:00:00:01\"\naddress = \"{address}\"\n")
    }

    #[test]
    fn reservations_lie_in_the_own_or_in_a_relayed_subnet() {
        check(NETWORK, &reservation("10.0.0.7"), &[]);
        check(NETWORK, &reservation("10.1.0.7"), &[]);
        let outside = "the reservation 10.2.0.7 is outside the subnet 10.0.0.0/24 and every relayed one";
        check(NETWORK, &reservation("10.2.0.7"), &[outside]);
        check(NETWORK, &reservation("10.1.0.1"), &["10.1.0.1 is the router's address"]);
        // The interface's own subnet is not known yet.
        check(&NETWORK.replace("subnet", "#subnet"), &reservation("10.2.0.7"), &[]);
    }

    #[test]
    fn addresses_that_relayed_ranges_lease_are_found() {
        let inside = "the next_server 10.1.0.150 lies in the range 10.1.0.100-10.1.0.199";
        check(&format!("{NETWORK}next_server = \"10.1.0.150\"\n"), "", &[inside]);
        check(&format!("{NETWORK}next_server = \"10.1.0.2\"\n"), "", &[]);
        let own = "10.1.0.150, the daemon's own address, lies in the range 10.1.0.100-10.1.0.199";
        check(&format!("[http]\nlisten = \"10.1.0.150:8080\"\n{NETWORK}"), "", &[own]);
        let second = NETWORK.replace("br0", "br1").replace("10.0.0.", "10.1.0.");
        let overlap = "10.1.0.100-10.1.0.199 overlaps the range 10.1.0.100-10.1.0.199";
        check(NETWORK, &second, &[overlap]);
    }
}
