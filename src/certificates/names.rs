//! What this host is called, for the certificate that it shows.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

use crate::machine::check_name;

/// Names and addresses of one certificate: a host with more is reached by the first of them.
const NAMES_MAX: usize = 128;

/// Name and addresses of this host, and `further` ones, each once and in order.
pub(super) fn of_this_host(further: &[String]) -> Vec<String> {
    let mut names: Vec<String> = further.to_vec();
    names.push("localhost".into());
    let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    // A name that is no host name cannot be asked for.
    names.extend(hostname.as_deref().and_then(|name| check_name(name).ok()));
    let mut addresses: Vec<IpAddr> = getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let address = entry.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .filter(|address| !is_link_local(address))
        .collect();
    addresses.sort();
    names.extend(addresses.iter().map(ToString::to_string));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names.truncate(NAMES_MAX);
    names
}

/// Addresses that need an interface beside them, and that no URL names.
fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
