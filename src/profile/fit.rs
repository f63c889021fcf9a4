//! Whether a machine can become what a profile says.

use ironwake_api::human::size;
use ironwake_api::{ApprovedDisk, Inventory};

use super::shape::{Architecture, Firmware, Profile};

/// What is known of a machine. What is not known is no reason against it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hardware<'a> {
    /// Its last inventory.
    pub inventory: Option<&'a Inventory>,
    /// Its instruction set.
    pub architecture: Option<Architecture>,
    /// How it boots; the inventory's word unless given.
    pub firmware: Option<Firmware>,
    /// Whether Secure Boot is enforced; the inventory's word unless given.
    pub secure_boot: Option<bool>,
    /// The disk that is to be written.
    pub disk: Option<&'a ApprovedDisk>,
}

/// Firmware and kernel keep some memory for themselves: a machine sold with 4 GiB reports a tenth less.
const RAM_KEPT_PERCENT: u64 = 10;

/// Every reason why the machine cannot become it, in sentences without a full stop; none if it can.
pub fn fits(profile: &Profile, hardware: Hardware<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    let inventory = hardware.inventory;
    if let Some(architecture) = hardware.architecture
        && !profile.architectures.contains(&architecture)
    {
        reasons
            .push(format!("it runs on {}, and the machine is {architecture}", list(&profile.architectures)));
    }
    let reported = inventory.and_then(|inventory| inventory.firmware.mode.as_deref());
    let reported = Firmware::WORDS.iter().find(|(word, _)| Some(*word) == reported).map(|(_, mode)| *mode);
    let firmware = hardware.firmware.or(reported);
    if let Some(firmware) = firmware
        && !profile.firmware.contains(&firmware)
    {
        reasons.push(format!("it starts from {}, and the machine has {firmware}", list(&profile.firmware)));
    }
    let enforced = hardware.secure_boot.or(inventory.and_then(|inventory| inventory.firmware.secure_boot));
    if enforced == Some(true) && firmware != Some(Firmware::Bios) && !profile.secure_boot {
        reasons.push("the machine enforces Secure Boot, and not everything that it starts is signed".into());
    }
    let memory = inventory.map(|inventory| &inventory.memory);
    let ram = memory.and_then(|memory| memory.installed_bytes.max(memory.total_bytes));
    let needed = profile.needs.ram_bytes - profile.needs.ram_bytes / 100 * RAM_KEPT_PERCENT;
    if let Some(ram) = ram.filter(|ram| *ram < needed) {
        reasons.push(format!(
            "it needs {} of memory, and the machine has {}",
            size(profile.needs.ram_bytes),
            size(ram)
        ));
    }
    if let Some(disk) = hardware.disk.filter(|disk| disk.size_bytes < profile.needs.disk_bytes) {
        let (needed, there) = (size(profile.needs.disk_bytes), size(disk.size_bytes));
        reasons.push(format!("it needs a disk of {needed}, and {} has {there}", disk.name));
    }
    if let (true, None, Some(inventory)) = (profile.kind.writes(), hardware.disk, inventory)
        && !inventory.disks.iter().any(|disk| disk.size_bytes >= profile.needs.disk_bytes)
    {
        reasons
            .push(format!("it needs a disk of {}, and the machine has none", size(profile.needs.disk_bytes)));
    }
    reasons
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" and ")
}
