//! The inventory in a few lines, for the screen.

use ironwake_api::{Disk, Inventory, Nic};

const MIB: u64 = 1 << 20;

/// Who the machine is.
pub fn identity(inventory: &Inventory) -> String {
    let system = &inventory.system;
    let maker = system.manufacturer.as_deref().unwrap_or("unknown maker");
    let product = system.product.as_deref().unwrap_or("unknown product");
    let serial = system.serial.as_deref().unwrap_or("none");
    let uuid = system.uuid.as_deref().unwrap_or("none");
    format!("this machine: {maker} {product}, serial {serial}, UUID {uuid}")
}

/// What was found: processors, memory, each disk, each NIC, and what looked wrong.
pub fn hardware(inventory: &Inventory) -> Vec<String> {
    let threads: u32 = inventory.cpus.iter().filter_map(|cpu| cpu.threads).sum();
    let model = inventory.cpus.first().and_then(|cpu| cpu.model.as_deref()).unwrap_or("unknown");
    let memory = inventory.memory.installed_bytes.or(inventory.memory.total_bytes).unwrap_or(0) / MIB;
    let mut lines = vec![
        format!("processors: {} x {model}, {threads} threads", inventory.cpus.len()),
        format!("memory: {memory} MiB in {} modules", inventory.memory.dimms.len()),
    ];
    lines.extend(inventory.disks.iter().map(disk));
    lines.extend(inventory.nics.iter().map(nic));
    lines.extend(inventory.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn disk(disk: &Disk) -> String {
    let held = match (&disk.table, &disk.filesystem) {
        (Some(table), _) => format!("{table}, {} partitions", disk.partitions.len()),
        (None, Some(filesystem)) => filesystem.clone(),
        (None, None) => "no partition table".into(),
    };
    format!(
        "disk {}: {} MB, {} {}, serial {}, {held}",
        disk.name,
        disk.size_bytes / 1_000_000,
        disk.transport.as_deref().unwrap_or("disk"),
        disk.model.as_deref().unwrap_or("of unknown model"),
        disk.serial.as_deref().unwrap_or("none"),
    )
}

fn nic(nic: &Nic) -> String {
    let mac = nic.mac.map_or_else(|| "no address".into(), |mac| mac.to_string());
    let link = match (nic.link, nic.speed_mbps) {
        (Some(true), Some(speed)) => format!("link, {speed} Mbit/s"),
        (Some(true), None) => "link".into(),
        _ => "no link".into(),
    };
    let boot = if nic.boot { ", booted from" } else { "" };
    format!("NIC {}: {mac}, {}, {link}{boot}", nic.name, nic.driver.as_deref().unwrap_or("no driver"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let mut inventory = Inventory::default();
        inventory.disks.push(Disk { name: "sda".into(), size_bytes: 4_000_000, ..Disk::default() });
        inventory.nics.push(Nic { name: "eth0".into(), boot: true, ..Nic::default() });
        assert_eq!(
            identity(&inventory),
            "this machine: unknown maker unknown product, serial none, UUID none"
        );
        let expected = [
            "processors: 0 x unknown, 0 threads",
            "memory: 0 MiB in 0 modules",
            "disk sda: 4 MB, disk of unknown model, serial none, no partition table",
            "NIC eth0: no address, no driver, no link, booted from",
        ];
        assert_eq!(hardware(&inventory), expected);
    }
}
