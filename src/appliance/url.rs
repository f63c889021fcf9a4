//! Under which URL the operators' API is reached from other hosts.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ironwake_api::SystemInterface;

/// The origin of the API, such as `https://boot.example.org:8443`: by the first name that its certificate was given, else by
/// the address that it listens on, else by the first address of an interface. Nothing, where only this host reaches it.
pub fn url(listen: Option<SocketAddr>, names: &[String], interfaces: &[SystemInterface]) -> Option<String> {
    let listen = listen.filter(|listen| !listen.ip().is_loopback())?;
    let host = match names.first() {
        Some(name) => name.parse().map_or_else(|_| name.clone(), host),
        None if !listen.ip().is_unspecified() => host(listen.ip()),
        None => host(own_address(listen.is_ipv4(), interfaces)?),
    };
    Some(format!("https://{host}:{}", listen.port()))
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// An address that other hosts can use, IPv4 first: a socket on `[::]` takes both.
fn own_address(v4_only: bool, interfaces: &[SystemInterface]) -> Option<IpAddr> {
    let all = interfaces.iter().filter(|interface| interface.up).flat_map(|interface| &interface.addresses);
    let addresses: Vec<IpAddr> =
        all.filter_map(|text| Some(text.parse::<IpNet>().ok()?.addr())).filter(|ip| !is_local(ip)).collect();
    let v6 = addresses.iter().find(|ip| ip.is_ipv6()).filter(|_| !v4_only);
    addresses.iter().find(|ip| ip.is_ipv4()).or(v6).copied()
}

/// Whether an address means something on its own link only.
fn is_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces() -> Vec<SystemInterface> {
        let on = |name: &str, up, addresses: &[&str]| SystemInterface {
            name: name.into(),
            up,
            addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
            ..SystemInterface::default()
        };
        vec![
            on("eth0", false, &["10.9.0.1/24"]),
            on("eth1", true, &["fe80::1/64", "169.254.0.1/16", "2001:db8::1/64", "10.0.0.1/24"]),
        ]
    }

    #[track_caller]
    fn check(listen: &str, names: &[&str], expected: Option<&str>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let listen = (!listen.is_empty()).then(|| listen.parse().expect("an address"));
        assert_eq!(url(listen, &names, &interfaces()).as_deref(), expected, "{listen:?} {names:?}");
    }

    #[test]
    fn it_is_what_other_hosts_reach() {
        check("", &["boot"], None);
        check("127.0.0.1:8443", &["boot"], None);
        check("10.0.0.1:8443", &[], Some("https://10.0.0.1:8443"));
        check("0.0.0.0:8443", &[], Some("https://10.0.0.1:8443"));
        check("[::]:8443", &[], Some("https://10.0.0.1:8443"));
        check("[2001:db8::1]:443", &[], Some("https://[2001:db8::1]:443"));
        check("0.0.0.0:8443", &["boot.example.org", "10.0.0.1"], Some("https://boot.example.org:8443"));
        check("0.0.0.0:8443", &["2001:db8::2"], Some("https://[2001:db8::2]:8443"));
        assert_eq!(url("0.0.0.0:1".parse().ok(), &[], &[]), None, "no interface has an address");
    }
}
