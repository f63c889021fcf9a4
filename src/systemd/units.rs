//! The units of the appliance: which are shown, and which may be started again.

/// A unit that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnUnit {
    /// How the API names it.
    pub name: &'static str,
    /// How systemd names it.
    pub unit: &'static str,
    /// What it is.
    pub what: &'static str,
}

/// The daemon's own.
pub const DAEMON: &str = "ironwake.service";

/// Every unit that is shown.
pub const OWN_UNITS: &[OwnUnit] = &[
    OwnUnit { name: "ironwake", unit: DAEMON, what: "the daemon" },
    OwnUnit { name: "ironwake-builder", unit: "ironwake-builder.service", what: "the builder of images" },
    OwnUnit {
        name: "ironwake-console@tty1",
        unit: "ironwake-console@tty1.service",
        what: "the console on the screen",
    },
    OwnUnit { name: "ironwake-ssh", unit: "ironwake-ssh.service", what: "the console over SSH" },
    OwnUnit {
        name: "ironwake-update",
        unit: "ironwake-update.timer",
        what: "the look for new versions of the appliance",
    },
];

/// Those that may be started again: Ironwake's own.
pub const RESTARTABLE: &[&str] =
    &[DAEMON, "ironwake-builder.service", "ironwake-console@tty1.service", "ironwake-ssh.service"];

/// Installs an update of the appliance.
pub const UPDATE_INSTALL: &str = "ironwake-update-install.service";
/// Reads the appliance's own disks.
pub const DISKS: &str = "ironwake-disks.service";
/// Installs the appliance on a disk.
pub const INSTALL: &str = "ironwake-install.service";
/// The same, as a file on a stick says; nobody else starts it.
pub const UNATTENDED: &str = "ironwake-unattended.service";
/// Makes this appliance one that was never set up.
pub const FACTORY_RESET: &str = "ironwake-factory-reset.service";

/// Those that are root and end by themselves: the daemon starts them, and nothing else of them.
pub const STARTABLE: &[&str] = &[UPDATE_INSTALL, DISKS, INSTALL, FACTORY_RESET];

impl OwnUnit {
    /// The unit that the API or systemd calls so.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        OWN_UNITS.iter().find(|unit| unit.name == name || unit.unit == name)
    }

    /// Whether it may be started again.
    pub fn restartable(&self) -> bool {
        RESTARTABLE.contains(&self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_started_again_is_ours() {
        for unit in RESTARTABLE {
            let shown = OwnUnit::by_name(unit).expect("it is shown");
            assert!(shown.restartable() && shown.unit.starts_with("ironwake"), "{unit}");
        }
        assert!(OwnUnit::by_name("ironwake-update").is_some_and(|unit| !unit.restartable()));
        assert_eq!(OwnUnit::by_name("ssh.service"), None);
    }
}
