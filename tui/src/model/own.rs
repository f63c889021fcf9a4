//! The appliance's own system: what it is, what of it can be changed, and an address that waits to be kept.

use ironwake_api::{
    Millis, NetworkChange, NetworkConfirm, OwnAddress, OwnSystem, SystemAction, SystemChoices, Update,
};

/// What is typed for an address that another DHCP server gives.
pub const DHCP: &str = "dhcp";
/// What is typed in the place of a gateway that is not there.
const NO_GATEWAY: &str = "none";

/// The appliance's own system.
#[derive(Debug, Default)]
pub struct Own {
    /// As it was told last.
    pub system: Option<OwnSystem>,
    /// What can be chosen.
    pub choices: Option<SystemChoices>,
    /// How its updates stand.
    pub update: Option<Update>,
    /// The address that was given from here, with what keeps it.
    changed: Option<NetworkChange>,
    /// Lines above the screen.
    pub scroll: usize,
}

impl Own {
    /// Takes what the daemon tells.
    pub fn put(&mut self, system: OwnSystem) {
        // Of none it may have been told before the change: it waits until its time is up, or its end is told.
        let other = system.network_change.as_ref();
        let is_same =
            |changed: &NetworkChange| other.is_none_or(|other| other.confirm_by == changed.confirm_by);
        self.changed = self.changed.take().filter(is_same);
        self.system = Some(system);
    }

    /// The address that waited is kept, or has gone back.
    pub fn settled(&mut self) {
        self.changed = None;
        if let Some(system) = &mut self.system {
            system.network_change = None;
        }
    }

    /// Takes an address that was given from here.
    pub fn changed(&mut self, change: NetworkChange) {
        if let Some(system) = &mut self.system {
            system.network_change = Some(NetworkChange { token: None, ..change.clone() });
        }
        self.changed = Some(change);
    }

    /// The address that goes back unless it is kept.
    pub fn waiting(&self, now: Millis) -> Option<&NetworkChange> {
        let told = self.system.as_ref().and_then(|system| system.network_change.as_ref());
        self.changed.as_ref().or(told).filter(|change| change.confirm_by > now)
    }

    /// What keeps the address that was given from here.
    pub fn keeps(&self) -> Option<NetworkConfirm> {
        let token = self.changed.as_ref()?.token.clone()?;
        Some(NetworkConfirm { token })
    }

    /// Why something cannot be changed here.
    pub fn unavailable(&self, what: SystemAction) -> Option<&str> {
        self.system.as_ref()?.unavailable(what)
    }

    /// What cannot be changed here, by the reason why.
    pub fn closed(&self) -> Vec<(&str, Vec<SystemAction>)> {
        let mut closed: Vec<(&str, Vec<SystemAction>)> = Vec::new();
        for change in self.system.iter().flat_map(|system| &system.changes) {
            let Some(why) = change.unavailable.as_deref() else { continue };
            match closed.iter_mut().find(|(other, _)| *other == why) {
                Some((_, actions)) => actions.push(change.what),
                None => closed.push((why, vec![change.what])),
            }
        }
        closed
    }
}

/// Reads an address as it is typed: `dhcp`, or the address with its prefix, the gateway and name servers, with spaces between.
/// What the daemon can judge better is left to it.
pub fn address(text: &str) -> Result<OwnAddress, String> {
    let mut words = text.split_whitespace().map(str::to_owned);
    let (first, gateway) = (words.next(), words.next());
    match first {
        None => Err(format!("type {DHCP}, or an address with its prefix, such as 10.0.0.2/24")),
        Some(word) if word.eq_ignore_ascii_case(DHCP) => match gateway {
            None => Ok(OwnAddress { dhcp: true, ..OwnAddress::default() }),
            Some(rest) => Err(format!("{rest}: behind {DHCP} stands nothing, for everything comes by it")),
        },
        address => Ok(OwnAddress {
            dhcp: false,
            address,
            gateway: gateway.filter(|word| !word.eq_ignore_ascii_case(NO_GATEWAY)),
            dns: words.collect(),
        }),
    }
}

/// What of the appliance is meant, for people.
pub fn word(what: SystemAction) -> &'static str {
    match what {
        SystemAction::Hostname => "host name",
        SystemAction::Timezone => "time zone",
        SystemAction::Ntp => "clock from the network",
        SystemAction::NtpServers => "time servers",
        SystemAction::Keyboard => "keyboard",
        SystemAction::Network => "address",
        SystemAction::Restart => "restart of services",
        SystemAction::Reboot => "reboot",
        SystemAction::PowerOff => "power off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_typed_in_a_line() {
        let fixed = |address: &str, gateway: Option<&str>, dns: &[&str]| OwnAddress {
            dhcp: false,
            address: Some(address.into()),
            gateway: gateway.map(Into::into),
            dns: dns.iter().map(|server| (*server).into()).collect(),
        };
        assert_eq!(address(" DHCP "), Ok(OwnAddress { dhcp: true, ..OwnAddress::default() }));
        assert_eq!(address("10.0.0.2/24"), Ok(fixed("10.0.0.2/24", None, &[])));
        let all = fixed("10.0.0.2/24", Some("10.0.0.1"), &["9.9.9.9", "1.1.1.1"]);
        assert_eq!(address("10.0.0.2/24 10.0.0.1  9.9.9.9 1.1.1.1"), Ok(all));
        assert_eq!(address("10.0.0.2/24 none 9.9.9.9"), Ok(fixed("10.0.0.2/24", None, &["9.9.9.9"])));
        assert!(address("").is_err() && address("dhcp 10.0.0.1").is_err());
    }
}
