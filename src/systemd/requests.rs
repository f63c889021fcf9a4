//! What is asked of systemd's services, each call with its types.

use std::collections::HashSet;

use serde::Deserialize;
use zbus::OwnedObjectPath;

use super::bus::{Bus, BusError, Properties};
use super::keymaps::KeyboardKind;
use super::method::{self, Service};
use crate::appliance::AddressOrigin;

/// Time zone, and how the clock is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    /// As in `Europe/Vienna`.
    pub timezone: Option<String>,
    /// Whether the clock is set from the network.
    pub ntp: Option<bool>,
    /// Whether it was set so.
    pub synchronized: Option<bool>,
}

/// A unit as systemd has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, …
    pub active: String,
}

/// A unit as `ListUnitsByNames` answers it (org.freedesktop.systemd1(5)).
type ListedUnit =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

impl Bus {
    /// Which services are there, or come when they are asked.
    pub async fn services(&self) -> Result<HashSet<String>, BusError> {
        let here: Vec<String> = self.call(&method::LIST_NAMES, &()).await?;
        let come: Vec<String> = self.call(&method::LIST_ACTIVATABLE_NAMES, &()).await?;
        Ok(here.into_iter().chain(come).collect())
    }

    /// The host's name as it is configured; none where it was never set.
    pub async fn hostname(&self) -> Result<Option<String>, BusError> {
        let properties = self.properties(method::HOSTNAME).await?;
        Ok(text(&properties, "StaticHostname").filter(|name| !name.is_empty()))
    }

    /// Sets the host's name, for good and at once.
    pub async fn set_hostname(&self, name: &str) -> Result<(), BusError> {
        self.call(&method::SET_STATIC_HOSTNAME, &(name, false)).await
    }

    /// Time zone, and how the clock is set.
    pub async fn time(&self) -> Result<Time, BusError> {
        let properties = self.properties(method::TIME).await?;
        Ok(Time {
            timezone: text(&properties, "Timezone").filter(|zone| !zone.is_empty()),
            ntp: truth(&properties, "NTP"),
            synchronized: truth(&properties, "NTPSynchronized"),
        })
    }

    /// Every time zone that can be set.
    pub async fn timezones(&self) -> Result<Vec<String>, BusError> {
        self.call(&method::LIST_TIMEZONES, &()).await
    }

    /// Sets the time zone.
    pub async fn set_timezone(&self, zone: &str) -> Result<(), BusError> {
        self.call(&method::SET_TIMEZONE, &(zone, false)).await
    }

    /// Sets the clock from the network, or not.
    pub async fn set_ntp(&self, on: bool) -> Result<(), BusError> {
        self.call(&method::SET_NTP, &(on, false)).await
    }

    /// Names the servers that the clock is set from, until systemd-timesyncd starts again; with none, those of its own
    /// configuration.
    pub async fn set_ntp_servers(&self, servers: &[String]) -> Result<(), BusError> {
        self.call(&method::SET_RUNTIME_NTP_SERVERS, &(servers,)).await
    }

    /// The keyboard of the console; none where it was never set.
    pub async fn keyboard(&self) -> Result<Option<String>, BusError> {
        let properties = self.properties(method::LOCALE).await?;
        let named = ["VConsoleKeymap", "X11Layout"].iter().filter_map(|name| text(&properties, name));
        Ok(named.into_iter().find(|keyboard| !keyboard.is_empty()))
    }

    /// Sets the keyboard of the console, by what this host has of them.
    pub async fn set_keyboard(&self, name: &str, kind: KeyboardKind) -> Result<(), BusError> {
        match kind {
            // Each is converted to the one of the other kind that is closest to it.
            KeyboardKind::Console => {
                self.call(&method::SET_VCONSOLE_KEYBOARD, &(name, "", true, false)).await
            }
            KeyboardKind::X11 => self.call(&method::SET_X11_KEYBOARD, &(name, "", "", "", true, false)).await,
        }
    }

    /// Has the files of networks read again, and an interface, by its index, set up by its file.
    pub async fn reconfigure(&self, index: i32) -> Result<(), BusError> {
        let () = self.call(&method::RELOAD_NETWORKS, &()).await?;
        self.call(&method::RECONFIGURE_LINK, &(index,)).await
    }

    /// Where the IPv4 address of an interface, by its index, comes from.
    pub async fn address_origin(&self, index: i32) -> Result<AddressOrigin, BusError> {
        let text: String = self.call(&method::DESCRIBE_LINK, &(index,)).await?;
        Ok(origin(&text))
    }

    /// Whether this daemon may restart the host: `yes`, `no`, `challenge` (it would have to log in) or `na`.
    pub async fn can_reboot(&self) -> Result<String, BusError> {
        self.call(&method::CAN_REBOOT, &()).await
    }

    /// Whether this daemon may switch the host off, as [`Self::can_reboot`].
    pub async fn can_power_off(&self) -> Result<String, BusError> {
        self.call(&method::CAN_POWER_OFF, &()).await
    }

    /// Restarts the host.
    pub async fn reboot(&self) -> Result<(), BusError> {
        self.call(&method::REBOOT, &(false,)).await
    }

    /// Switches the host off.
    pub async fn power_off(&self) -> Result<(), BusError> {
        self.call(&method::POWER_OFF, &(false,)).await
    }

    /// State of units, in the order of their names.
    pub async fn units(&self, names: &[&str]) -> Result<Vec<Unit>, BusError> {
        let listed: Vec<ListedUnit> = self.call(&method::LIST_UNITS_BY_NAMES, &(names,)).await?;
        let unit = |(name, _, load, active, ..): ListedUnit| Unit { name, load, active };
        Ok(listed.into_iter().map(unit).collect())
    }

    /// Starts a unit again.
    pub async fn restart_unit(&self, name: &str) -> Result<(), BusError> {
        let _job: OwnedObjectPath = self.call(&method::RESTART_UNIT, &(name, "replace")).await?;
        Ok(())
    }

    /// Starts a unit that ends by itself; one that runs goes on. It is not waited for.
    pub async fn start_unit(&self, name: &str) -> Result<(), BusError> {
        let _job: OwnedObjectPath = self.call(&method::START_UNIT, &(name, "replace")).await?;
        Ok(())
    }
}

impl BusError {
    /// There is no such service among those that the bus lists.
    pub fn missing(asked: &str, service: Service) -> Self {
        let said = "neither runs nor can be started by its name".to_owned();
        Self::NoService { asked: asked.to_owned(), service: service.name, said }
    }
}

fn text(properties: &Properties, name: &str) -> Option<String> {
    properties.get(name)?.downcast_ref::<&str>().ok().map(str::to_owned)
}

fn truth(properties: &Properties, name: &str) -> Option<bool> {
    properties.get(name)?.downcast_ref::<bool>().ok()
}

/// What is read of the answer to `DescribeLink`.
#[derive(Deserialize)]
struct DescribedLink {
    #[serde(default, rename = "Addresses")]
    addresses: Vec<DescribedAddress>,
}

#[derive(Deserialize)]
struct DescribedAddress {
    #[serde(rename = "Family")]
    family: i32,
    #[serde(default, rename = "ConfigSource")]
    source: String,
}

/// An address that is configured counts more than one that came.
fn origin(text: &str) -> AddressOrigin {
    let Ok(link) = serde_json::from_str::<DescribedLink>(text) else { return AddressOrigin::Unknown };
    let came = |source: &str| {
        link.addresses.iter().any(|found| found.family == libc::AF_INET && found.source == source)
    };
    if came("static") {
        AddressOrigin::Own
    } else if came("DHCPv4") {
        AddressOrigin::Dhcp
    } else {
        AddressOrigin::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_address_comes_from_is_read() {
        let check = |text: &str, expected| assert_eq!(origin(text), expected, "{text}");
        let address = |family: i32, source: &str| {
            format!(
                r#"{{"Family":{family},"Address":[10,0,0,1],"PrefixLength":24,"ConfigSource":"{source}"}}"#
            )
        };
        let link = |addresses: &[String]| format!(r#"{{"Index":7,"Addresses":[{}]}}"#, addresses.join(","));
        check(&link(&[address(10, "DHCPv6"), address(2, "static")]), AddressOrigin::Own);
        check(&link(&[address(2, "DHCPv4"), address(10, "static")]), AddressOrigin::Dhcp);
        check(&link(&[address(2, "DHCPv4"), address(2, "static")]), AddressOrigin::Own);
        check(&link(&[address(2, "foreign")]), AddressOrigin::Unknown);
        check(r#"{"Index":7}"#, AddressOrigin::Unknown);
        check("none", AddressOrigin::Unknown);
    }
}
