//! Whether an interface can be served with addresses: whoever gives them has one of its own, and keeps it.

use ipnet::Ipv4Net;
use ironwake_api::SystemInterface;

/// Where an interface's own address comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressOrigin {
    /// It is configured.
    Own,
    /// Another DHCP server gave it, and may give another one.
    Dhcp,
    /// It was just given, and goes back unless it is confirmed.
    Unconfirmed,
    /// Somebody else than systemd-networkd gave it, or that cannot be asked.
    #[default]
    Unknown,
}

/// Whether addresses can be given on an interface; what is to be looked at where nobody knows, or why not. What would be right
/// is for whoever asked: it is another command with each.
pub fn check_server(found: &SystemInterface, origin: AddressOrigin) -> Result<Option<String>, String> {
    let name = &found.name;
    if !found.addresses.iter().any(|text| text.parse::<Ipv4Net>().is_ok()) {
        return Err(format!("{name} has no address, and whoever gives addresses needs one of its own"));
    }
    match origin {
        AddressOrigin::Own => Ok(None),
        AddressOrigin::Dhcp => Err(format!(
            "the address of {name} comes from another DHCP server, and whoever gives addresses needs one of its own"
        )),
        AddressOrigin::Unconfirmed => {
            Err(format!("the address of {name} was just given, and goes back unless it is confirmed"))
        }
        AddressOrigin::Unknown => Ok(Some(format!(
            "whether the address of {name} is its own is not known, for systemd-networkd did not give it: see that none of \
             another DHCP server is in use there"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, origin: AddressOrigin, expected: Result<&str, &str>) {
        let addresses = [address].map(str::to_owned).into_iter().filter(|text| !text.is_empty()).collect();
        let found = SystemInterface { name: "eth0".into(), mac: None, up: true, link: true, addresses };
        let said = check_server(&found, origin).map(Option::unwrap_or_default);
        match (&said, expected) {
            (Ok(said), Ok(part)) | (Err(said), Err(part)) => {
                assert!(said.contains(part) && said.is_empty() == part.is_empty(), "{said}");
            }
            _ => panic!("{said:?}, not {expected:?}"),
        }
    }

    #[test]
    fn whoever_gives_addresses_needs_one_of_its_own() {
        check("10.0.0.1/24", AddressOrigin::Own, Ok(""));
        check("10.0.0.1/24", AddressOrigin::Dhcp, Err("the address of eth0 comes from another DHCP server"));
        check("10.0.0.1/24", AddressOrigin::Unconfirmed, Err("unless it is confirmed"));
        check("10.0.0.1/24", AddressOrigin::Unknown, Ok("is not known"));
        for none in ["", "fe80::1/64"] {
            check(none, AddressOrigin::Own, Err("eth0 has no address"));
        }
    }
}
