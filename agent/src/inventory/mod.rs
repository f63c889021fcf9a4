//! The inventory: everything that the kernel and the firmware say of this machine. All of it is read below a root
//! path, so that fixtures stand in for a machine; what needs a system call is added by [`ask_hardware`].

mod cpu;
pub mod disk;
mod firmware;
mod hypervisor;
mod ipmi;
mod memory;
pub mod nic;
mod pci;
pub mod smbios;
pub mod sysfs;
mod usb;

use std::path::Path;

use ironwake_api::{Bmc, Inventory, MacAddr};

pub use cpu::parse as parse_cpuinfo;
pub use firmware::efi_flag;
pub use hypervisor::identify as identify_hypervisor;
pub use memory::parse_total_bytes;

/// Version of the inventory's shape.
const SCHEMA: u32 = 1;
/// SMBIOS tables are some KiB; 1 MiB is far beyond any.
const SMBIOS_BYTES_MAX: u64 = 1 << 20;
/// Notes of one inventory at most: a machine whose every disk is broken should still fit into one message.
const NOTES_MAX: usize = 100;

/// Reads the firmware's table below `root`, or what the kernel kept of it.
pub fn read_smbios(root: &Path) -> smbios::Facts {
    let tables = root.join("sys/firmware/dmi/tables");
    let entry_point =
        sysfs::read_limited(&tables.join("smbios_entry_point"), SMBIOS_BYTES_MAX).unwrap_or_default();
    let table = sysfs::read_limited(&tables.join("DMI"), SMBIOS_BYTES_MAX).unwrap_or_default();
    let mut facts = smbios::read(&entry_point, &table);
    fill_from_kernel(root, &mut facts);
    facts
}

/// The kernel keeps some of the table as attributes, which helps where the table cannot be read.
fn fill_from_kernel(root: &Path, facts: &mut smbios::Facts) {
    let id = |name: &str| sysfs::text(&root.join("sys/class/dmi/id").join(name));
    let fill = |field: &mut Option<String>, name: &str| {
        if field.is_none() {
            *field = id(name);
        }
    };
    fill(&mut facts.system.manufacturer, "sys_vendor");
    fill(&mut facts.system.product, "product_name");
    fill(&mut facts.system.version, "product_version");
    fill(&mut facts.system.serial, "product_serial");
    fill(&mut facts.system.uuid, "product_uuid");
    fill(&mut facts.board.manufacturer, "board_vendor");
    fill(&mut facts.board.product, "board_name");
    fill(&mut facts.board.serial, "board_serial");
    fill(&mut facts.chassis.serial, "chassis_serial");
    fill(&mut facts.chassis.asset_tag, "chassis_asset_tag");
    for (field, name) in facts.firmware.iter_mut().zip(["bios_vendor", "bios_version", "bios_date"]) {
        fill(field, name);
    }
}

/// Reads everything below `root`. `boot_mac` marks the NIC this boot came through.
pub fn read(root: &Path, facts: smbios::Facts, boot_mac: Option<MacAddr>) -> Inventory {
    let mut notes = facts.notes.clone();
    let disks = disk::read(root, &mut notes);
    let pci = pci::read(root);
    let memory = memory::read(root, &facts);
    let cpus = cpu::read(root, &facts.processors);
    let firmware = firmware::read(root, &facts, &mut notes);
    let hypervisor = hypervisor::identify(
        None,
        facts.system.manufacturer.as_deref(),
        facts.system.product.as_deref(),
        root,
    );
    notes.truncate(NOTES_MAX);
    Inventory {
        schema: SCHEMA,
        cpus,
        memory,
        disks,
        nics: nic::read(root, boot_mac),
        gpus: pci::gpus(&pci),
        pci,
        usb: usb::read(root),
        bmc: facts.bmc.map(|(interface, ipmi_version)| Bmc { interface, ipmi_version, ..Bmc::default() }),
        hypervisor,
        firmware,
        system: facts.system,
        board: facts.board,
        chassis: facts.chassis,
        notes,
    }
}

/// Adds what only a system call or an instruction tells: NIC drivers, the BMC, the hypervisor's signature.
pub fn ask_hardware(inventory: &mut Inventory) {
    for nic in &mut inventory.nics {
        crate::nic_control::ask_driver(nic);
    }
    inventory.bmc = ipmi::ask(inventory.bmc.take());
    if let Some(found) = hypervisor::from_processor() {
        inventory.hypervisor = Some(found.to_owned());
    }
}

/// Bytes as lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sixteen bytes as a UUID, in the order they have.
fn uuid_text(bytes: &[u8; 16]) -> String {
    let text = hex(bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests;
