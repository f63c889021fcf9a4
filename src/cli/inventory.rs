//! An inventory by sections, one line for each part.

use std::io;

use ironwake_api::{Cpu, Dimm, Disk, Inventory, Nic, Partition};

use super::human;
use super::output::{Output, Style, clean};

/// Writes every section that has something to say.
pub fn write(inventory: &Inventory, output: &mut Output) -> io::Result<()> {
    section("system", identity(inventory), output)?;
    section("firmware", firmware(inventory), output)?;
    section("processors", inventory.cpus.iter().map(cpu).collect(), output)?;
    section("memory", memory(inventory), output)?;
    section("disks", inventory.disks.iter().flat_map(disk).collect(), output)?;
    section("network interfaces", inventory.nics.iter().map(nic).collect(), output)?;
    let gpus = inventory.gpus.iter();
    let gpus = gpus.map(|gpu| {
        words([Some(gpu.pci.clone()), gpu.vendor.clone(), gpu.name.clone().or(Some(gpu.id.clone()))])
    });
    section("graphics", gpus.collect(), output)?;
    let usb = inventory.usb.iter();
    let usb = usb.map(|usb| {
        words([Some(usb.path.clone()), Some(usb.id.clone()), usb.manufacturer.clone(), usb.product.clone()])
    });
    section("USB", usb.collect(), output)?;
    section("management controller", bmc(inventory), output)?;
    if !inventory.pci.is_empty() {
        section("PCI", vec![format!("{} functions; --json lists them", inventory.pci.len())], output)?;
    }
    section("notes", inventory.notes.clone(), output)
}

fn section(name: &str, lines: Vec<String>, output: &mut Output) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let heading = output.styled(name, Style::Strong);
    output.line(heading)?;
    for line in lines {
        output.line(format!("  {}", clean(&line)))?;
    }
    Ok(())
}

/// What is known, with blanks between.
fn words<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn named(name: &str, value: &Option<String>) -> Option<String> {
    value.as_ref().map(|value| format!("{name} {value}"))
}

fn lines<const N: usize>(lines: [Option<String>; N]) -> Vec<String> {
    lines.into_iter().flatten().filter(|line| !line.is_empty()).collect()
}

fn identity(inventory: &Inventory) -> Vec<String> {
    let (system, board, chassis) = (&inventory.system, &inventory.board, &inventory.chassis);
    let product = [system.manufacturer.clone(), system.product.clone(), system.version.clone()];
    let board_line = words([
        board.manufacturer.clone(),
        board.product.clone(),
        board.version.clone(),
        named("serial", &board.serial),
    ]);
    let chassis_line = words([
        chassis.kind.clone(),
        named("serial", &chassis.serial),
        named("asset tag", &chassis.asset_tag),
    ]);
    lines([
        Some(words(product)),
        named("serial", &system.serial),
        named("UUID", &system.uuid),
        named("SKU", &system.sku),
        (!board_line.is_empty()).then(|| format!("board: {board_line}")),
        (!chassis_line.is_empty()).then(|| format!("chassis: {chassis_line}")),
        inventory.hypervisor.as_ref().map(|name| format!("virtual, under {name}")),
    ])
}

fn firmware(inventory: &Inventory) -> Vec<String> {
    let firmware = &inventory.firmware;
    let mode = firmware.mode.as_ref().map(|mode| match mode.as_str() {
        "uefi" => "UEFI".to_owned(),
        "bios" => "BIOS".to_owned(),
        other => other.to_owned(),
    });
    let secure_boot = firmware.secure_boot.map(|on| format!("Secure Boot {}", if on { "on" } else { "off" }));
    let tpm = firmware
        .tpm
        .as_ref()
        .map(|tpm| format!("TPM {}", words([tpm.version.clone(), tpm.description.clone()])));
    let setup_mode = firmware.setup_mode.filter(|on| *on).map(|_| "setup mode: no platform key".to_owned());
    lines([
        Some(words([mode, firmware.vendor.clone(), firmware.version.clone(), firmware.date.clone()])),
        secure_boot,
        setup_mode,
        tpm,
    ])
}

fn cpu(cpu: &Cpu) -> String {
    let count = match (cpu.cores, cpu.threads) {
        (Some(cores), Some(threads)) => Some(format!("{cores} cores, {threads} threads")),
        (Some(cores), None) => Some(format!("{cores} cores")),
        _ => None,
    };
    let mhz = cpu.mhz_max.or(cpu.mhz).map(|mhz| format!("{mhz} MHz"));
    let socket = cpu.socket.as_ref().map(|socket| format!("{socket}:"));
    let model = cpu.model.clone().or(cpu.manufacturer.clone());
    let details = lines([count, mhz, cpu.virtualization.clone(), named("microcode", &cpu.microcode)]);
    words([socket, model, (!details.is_empty()).then(|| format!("({})", details.join(", ")))])
}

fn memory(inventory: &Inventory) -> Vec<String> {
    let memory = &inventory.memory;
    let total = memory.installed_bytes.or(memory.total_bytes).map(|bytes| {
        let slots = memory.slots.map(|slots| format!(" in {} of {slots} slots", memory.dimms.len()));
        format!("{}{}", human::size(bytes), slots.unwrap_or_default())
    });
    total.into_iter().chain(memory.dimms.iter().map(dimm)).collect()
}

fn dimm(dimm: &Dimm) -> String {
    words([
        dimm.slot.as_ref().map(|slot| format!("{slot}:")),
        dimm.size_bytes.map(human::size),
        dimm.kind.clone(),
        dimm.speed_mts.map(|speed| format!("{speed} MT/s")),
        dimm.manufacturer.clone(),
        dimm.part.clone(),
        named("serial", &dimm.serial),
    ])
}

fn disk(disk: &Disk) -> Vec<String> {
    let spins = disk.rotational.map(|spins| if spins { "rotating" } else { "solid state" }.to_owned());
    let removable = disk.removable.filter(|on| *on).map(|_| "removable".to_owned());
    let head = words([
        Some(format!("{}:", disk.name)),
        Some(human::size(disk.size_bytes)),
        disk.transport.clone(),
        spins,
        removable,
        disk.model.clone(),
        named("serial", &disk.serial),
        disk.table.clone().or(disk.filesystem.clone()).map(|table| format!("[{table}]")),
    ]);
    std::iter::once(head).chain(disk.partitions.iter().map(partition)).collect()
}

fn partition(partition: &Partition) -> String {
    let name = partition.label.clone().or(partition.name.clone()).map(|name| format!("{name:?}"));
    let size = Some(human::size(partition.size_bytes));
    format!("  {}", words([Some(partition.number.to_string()), size, partition.filesystem.clone(), name]))
}

fn nic(nic: &Nic) -> String {
    let link = nic.link.map(|up| match (up, nic.speed_mbps) {
        (true, Some(speed)) => format!("link {speed} Mbit/s"),
        (true, None) => "link".into(),
        (false, _) => "no link".into(),
    });
    let neighbour = nic.lldp.as_ref().map(|lldp| {
        let system = lldp.system.clone().or(lldp.chassis.clone());
        format!("→ {}", words([system, lldp.port.clone()]))
    });
    words([
        Some(format!("{}:", nic.name)),
        nic.permanent_mac.or(nic.mac).map(|mac| mac.to_string()),
        nic.driver.clone(),
        link,
        nic.boot.then(|| "booted through it".into()),
        Some(nic.addresses.join(" ")),
        neighbour,
    ])
}

fn bmc(inventory: &Inventory) -> Vec<String> {
    let Some(bmc) = &inventory.bmc else { return Vec::new() };
    let mac = bmc.mac.map(|mac| mac.to_string());
    vec![words([
        bmc.interface.clone(),
        named("IPMI", &bmc.ipmi_version),
        bmc.address.clone(),
        mac,
        named("firmware", &bmc.firmware),
    ])]
}
