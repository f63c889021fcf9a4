//! Every method of systemd's services that is called: who answers it, and what polkit has to allow for it.
//!
//! The polkit rule that is installed grants what this table names and nothing else (`tests/polkit.rs`).

use super::units::{RESTARTABLE, STARTABLE};

/// Who answers on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// Its name on the bus.
    pub name: &'static str,
    /// Where its object is.
    pub path: &'static str,
    /// The interface that has its methods and properties.
    pub interface: &'static str,
}

/// One method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Whose it is.
    pub service: Service,
    /// Its name.
    pub member: &'static str,
    /// Which actions polkit has to allow; none for what everybody may ask.
    pub actions: &'static [&'static str],
    /// Whether it may be asked again where the connection broke and nobody knows whether it was heard.
    pub repeatable: bool,
}

const fn at(name: &'static str, path: &'static str, interface: &'static str) -> Service {
    Service { name, path, interface }
}

/// The bus itself.
pub const BUS: Service = at("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus");
/// The name of the host.
pub const HOSTNAME: Service =
    at("org.freedesktop.hostname1", "/org/freedesktop/hostname1", "org.freedesktop.hostname1");
/// Time zone, and whether the clock is set from the network.
pub const TIME: Service =
    at("org.freedesktop.timedate1", "/org/freedesktop/timedate1", "org.freedesktop.timedate1");
/// Which servers the clock is set from.
pub const CLOCK: Service =
    at("org.freedesktop.timesync1", "/org/freedesktop/timesync1", "org.freedesktop.timesync1.Manager");
/// The keyboard of the console.
pub const LOCALE: Service =
    at("org.freedesktop.locale1", "/org/freedesktop/locale1", "org.freedesktop.locale1");
/// Addresses.
pub const NETWORK: Service =
    at("org.freedesktop.network1", "/org/freedesktop/network1", "org.freedesktop.network1.Manager");
/// Reboot and power-off.
pub const LOGIN: Service =
    at("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager");
/// Units.
pub const UNITS: Service =
    at("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");

const fn asks(service: Service, member: &'static str) -> Method {
    Method { service, member, actions: &[], repeatable: true }
}

const fn changes(service: Service, member: &'static str, actions: &'static [&'static str]) -> Method {
    Method { service, member, actions, repeatable: true }
}

const fn once(service: Service, member: &'static str, actions: &'static [&'static str]) -> Method {
    Method { service, member, actions, repeatable: false }
}

/// Names that somebody has on the bus.
pub const LIST_NAMES: Method = asks(BUS, "ListNames");
/// Names that somebody takes once they are asked.
pub const LIST_ACTIVATABLE_NAMES: Method = asks(BUS, "ListActivatableNames");
/// Every time zone.
pub const LIST_TIMEZONES: Method = asks(TIME, "ListTimezones");
/// State of some units.
pub const LIST_UNITS_BY_NAMES: Method = asks(UNITS, "ListUnitsByNames");
/// An interface as systemd-networkd has it, as JSON.
pub const DESCRIBE_LINK: Method = asks(NETWORK, "DescribeLink");
/// Whether this host could be restarted by the caller.
pub const CAN_REBOOT: Method = asks(LOGIN, "CanReboot");
/// Whether this host could be switched off by the caller.
pub const CAN_POWER_OFF: Method = asks(LOGIN, "CanPowerOff");

/// Sets the host's name.
pub const SET_STATIC_HOSTNAME: Method =
    changes(HOSTNAME, "SetStaticHostname", &["org.freedesktop.hostname1.set-static-hostname"]);
/// Sets the time zone.
pub const SET_TIMEZONE: Method = changes(TIME, "SetTimezone", &["org.freedesktop.timedate1.set-timezone"]);
/// Sets the clock from the network, or not.
pub const SET_NTP: Method = changes(TIME, "SetNTP", &["org.freedesktop.timedate1.set-ntp"]);
/// Names the servers that the clock is set from until systemd-timesyncd starts again.
pub const SET_RUNTIME_NTP_SERVERS: Method =
    changes(CLOCK, "SetRuntimeNTPServers", &["org.freedesktop.timesync1.set-runtime-servers"]);
/// Sets the keyboard of the console.
pub const SET_VCONSOLE_KEYBOARD: Method =
    changes(LOCALE, "SetVConsoleKeyboard", &["org.freedesktop.locale1.set-keyboard"]);
/// Sets the keyboard of X11, which Debian's console has too (console-setup).
pub const SET_X11_KEYBOARD: Method =
    changes(LOCALE, "SetX11Keyboard", &["org.freedesktop.locale1.set-keyboard"]);
/// Has the files of networks read again.
pub const RELOAD_NETWORKS: Method = changes(NETWORK, "Reload", &["org.freedesktop.network1.reload"]);
/// Has an interface set up by its file anew.
pub const RECONFIGURE_LINK: Method =
    changes(NETWORK, "ReconfigureLink", &["org.freedesktop.network1.reconfigure"]);
/// Restarts this host. Somebody who is logged in does not keep it from that, a block that a program holds does.
pub const REBOOT: Method = once(
    LOGIN,
    "Reboot",
    &["org.freedesktop.login1.reboot", "org.freedesktop.login1.reboot-multiple-sessions"],
);
/// Switches this host off.
pub const POWER_OFF: Method = once(
    LOGIN,
    "PowerOff",
    &["org.freedesktop.login1.power-off", "org.freedesktop.login1.power-off-multiple-sessions"],
);
/// Starts a unit again; polkit looks at the unit and the verb as well ([`RESTARTABLE`]).
pub const RESTART_UNIT: Method = once(UNITS, "RestartUnit", &["org.freedesktop.systemd1.manage-units"]);

/// Starts a unit that ends by itself; polkit looks at the unit and the verb as well ([`STARTABLE`]).
pub const START_UNIT: Method = once(UNITS, "StartUnit", &["org.freedesktop.systemd1.manage-units"]);

/// The verb that polkit is told with [`RESTART_UNIT`].
pub const RESTART_VERB: &str = "restart";
/// The verb that polkit is told with [`START_UNIT`].
pub const START_VERB: &str = "start";

/// Every method that is called.
pub const METHODS: &[Method] = &[
    LIST_NAMES,
    LIST_ACTIVATABLE_NAMES,
    LIST_TIMEZONES,
    LIST_UNITS_BY_NAMES,
    DESCRIBE_LINK,
    CAN_REBOOT,
    CAN_POWER_OFF,
    SET_STATIC_HOSTNAME,
    SET_TIMEZONE,
    SET_NTP,
    SET_RUNTIME_NTP_SERVERS,
    SET_VCONSOLE_KEYBOARD,
    SET_X11_KEYBOARD,
    RELOAD_NETWORKS,
    RECONFIGURE_LINK,
    REBOOT,
    POWER_OFF,
    RESTART_UNIT,
    START_UNIT,
];

/// What polkit has to allow, and nothing else: the action, and, where it is about units, which of them and the verb.
pub fn granted() -> Vec<(&'static str, Option<(&'static str, &'static str)>)> {
    let mut granted = Vec::new();
    for method in METHODS {
        for action in method.actions {
            let (units, verb) = match *method {
                RESTART_UNIT => (RESTARTABLE, RESTART_VERB),
                START_UNIT => (STARTABLE, START_VERB),
                _ => {
                    granted.push((*action, None));
                    continue;
                }
            };
            granted.extend(units.iter().map(|unit| (*action, Some((*unit, verb)))));
        }
    }
    granted
}
