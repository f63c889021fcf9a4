//! What the appliance runs from, the disks that it could be installed on, and an installation that is under way.

use ironwake_api::{ApplianceDisk, ApplianceDisks, InstallState};

use crate::human;

/// Why the disks were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Awaited {
    /// To know what the appliance runs from.
    #[default]
    Nothing,
    /// One is to be chosen.
    Choice,
    /// An appliance that was set up just now is offered a disk, if it runs from a stick.
    Offer,
}

/// Disks of the appliance.
#[derive(Debug, Default)]
pub struct Medium {
    /// As they were told last.
    pub disks: Option<ApplianceDisks>,
    /// What they were asked for.
    pub awaited: Awaited,
    /// How far an installation is.
    pub install: Option<InstallState>,
}

impl Medium {
    /// The installation that is under way.
    pub fn running(&self) -> Option<&InstallState> {
        self.install.as_ref().filter(|state| state.phase.is_running())
    }

    /// The stick that the appliance runs from, if it is one.
    pub fn stick(&self) -> Option<&str> {
        let booted = &self.disks.as_ref()?.booted_from;
        booted.disk.as_deref().filter(|_| booted.removable)
    }

    /// A disk by its name.
    pub fn disk(&self, name: &str) -> Option<&ApplianceDisk> {
        self.disks.as_ref()?.disks.iter().find(|found| found.disk.name == name)
    }
}

/// A disk in a few words: how large it is, and which.
pub fn about(found: &ApplianceDisk) -> String {
    let disk = &found.disk;
    let words = [disk.model.as_deref(), disk.serial.as_deref()];
    let words = words.into_iter().flatten().collect::<Vec<_>>().join("  ");
    format!("{}  {words}", human::disk(disk.size_bytes)).trim_end().to_owned()
}
