//! Machines boot from the real daemon, on real firmware in QEMU.
//!
//! One test of each row runs always; names that begin with `full_` run in the profile `all`.

#[path = "lab/mod.rs"]
mod lab;

use ironwake_api::{AttemptOutcome, EventKind, StageKind};
use lab::{Dhcp, Disk, Firmware, Lab, LabError, LabOptions, Machine, NicModel};

const MIB: u64 = 1 << 20;

fn options(dhcp: Dhcp) -> LabOptions {
    LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), dhcp)
}

/// A machine that nobody has seen is switched on, and its inventory is there.
fn check(firmware: Firmware, dhcp: Dhcp) -> Result<(), LabError> {
    let mut options = options(dhcp);
    if firmware == Firmware::SecureBoot {
        options.secure_boot = "on";
    }
    let lab = Lab::new(options)?;
    let machine = Machine::new(1, firmware);
    let on = lab.power_on(&machine)?;
    let (record, inventory) = on.wait_inventory()?;
    assert!(record.macs.contains(&machine.nics[0].mac));
    assert_eq!(inventory.system.serial.as_deref(), Some("LAB0001"));
    assert_eq!(inventory.firmware.mode.as_deref(), Some(if firmware.is_uefi() { "uefi" } else { "bios" }));
    assert_eq!(inventory.firmware.secure_boot.unwrap_or(false), firmware == Firmware::SecureBoot);
    Ok(())
}

#[test]
fn lab_bios_server() -> Result<(), LabError> {
    check(Firmware::Bios, Dhcp::Server)
}

#[test]
fn lab_uefi_server() -> Result<(), LabError> {
    check(Firmware::Uefi, Dhcp::Server)
}

#[test]
fn lab_secureboot_proxy() -> Result<(), LabError> {
    check(Firmware::SecureBoot, Dhcp::Proxy)
}

#[test]
fn full_bios_proxy() -> Result<(), LabError> {
    check(Firmware::Bios, Dhcp::Proxy)
}

#[test]
fn full_uefi_proxy() -> Result<(), LabError> {
    check(Firmware::Uefi, Dhcp::Proxy)
}

#[test]
fn full_secureboot_server() -> Result<(), LabError> {
    check(Firmware::SecureBoot, Dhcp::Server)
}

/// Nobody said that Secure Boot is on: the refused loader teaches it, and the inventory keeps it.
#[test]
fn full_secureboot_auto_learns() -> Result<(), LabError> {
    let lab = Lab::new(options(Dhcp::Server))?;
    let machine = Machine::new(1, Firmware::SecureBoot);
    let on = lab.power_on(&machine)?;
    on.expect("the refusal of the unsigned loader", |kind| match kind {
        EventKind::AttemptEnded { attempt } => {
            attempt.diagnosis.as_ref().is_some_and(|found| found.code == "loader_did_not_start")
        }
        _ => false,
    })?;
    let (record, _) = on.wait_inventory()?;
    assert_eq!(record.secure_boot_seen, Some(true));
    on.power_off();
    lab.cli().run(&["machine", "edit", &record.id, "--discover", "true"])?;
    let again = lab.power_on(&machine)?;
    again.expect("shim at once", |kind| match kind {
        EventKind::AttemptStage { stage, .. } => match &stage.kind {
            StageKind::Dhcp { file: Some(file), .. } => file.contains("shimx64.efi"),
            _ => false,
        },
        _ => false,
    })?;
    again.wait_inventory()?;
    Ok(())
}

#[test]
fn full_httpboot_server() -> Result<(), LabError> {
    check(Firmware::HttpBoot, Dhcp::Server)
}

#[test]
fn full_httpboot_proxy() -> Result<(), LabError> {
    check(Firmware::HttpBoot, Dhcp::Proxy)
}

/// Machines behind a DHCP relay come from another subnet.
#[test]
fn full_bios_relay() -> Result<(), LabError> {
    let mut options = options(Dhcp::Server);
    options.relay = true;
    let lab = Lab::new(options)?;
    let mut machine = Machine::new(1, Firmware::Bios);
    machine.behind_relay = true;
    let (record, _) = lab.power_on(&machine)?.wait_inventory()?;
    let address = record.address.unwrap_or_default();
    assert!(address.starts_with("10.78.0."), "address {address:?}");
    Ok(())
}

/// ME6: serial numbers that vendors leave at their default never join two machines.
#[test]
fn lab_junk_serials_stay_two_parity_me6() -> Result<(), LabError> {
    let lab = Lab::new(options(Dhcp::Server))?;
    let machines = [1, 2].map(|number| {
        let mut machine = Machine::new(number, Firmware::Uefi);
        machine.identity.serial = "To Be Filled By O.E.M.".into();
        machine.identity.asset_tag = "To Be Filled By O.E.M.".into();
        machine.identity.uuid = None;
        machine
    });
    let mut ids = Vec::new();
    for machine in &machines {
        let (record, inventory) = lab.power_on(machine)?.wait_inventory()?;
        assert_eq!(inventory.system.serial.as_deref(), Some("To Be Filled By O.E.M."), "reported as read");
        assert_eq!(record.serial, None, "and not taken for an identity");
        ids.push(record.id);
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(lab.machines()?.len(), 2);
    Ok(())
}

/// ME5: what an inventory has to hold.
#[test]
fn lab_inventory_fields_parity_me5() -> Result<(), LabError> {
    let lab = Lab::new(options(Dhcp::Server))?;
    let machine = Machine::new(1, Firmware::Uefi)
        .with_nics(&[NicModel::Virtio, NicModel::E1000e])
        .with_disk(Disk::blank(lab::Bus::Nvme, "NVME0001", 2048 * MIB))
        .with_disk(Disk::blank(lab::Bus::Sata, "SATA0001", 1024 * MIB))
        .with_disk(Disk::blank(lab::Bus::Virtio, "VIRT0001", 512 * MIB));
    let on = lab.power_on(&machine)?;
    let (record, mut inventory) = on.wait_inventory()?;
    // A link may still be negotiated when the first inventory leaves; a second one tells.
    if inventory.nics.iter().any(|nic| nic.link != Some(true)) {
        on.expect("a later inventory", |kind| matches!(kind, EventKind::Inventory { first: false, .. }))?;
        inventory = on.record()?.1;
    }
    assert_eq!(record.manufacturer.as_deref(), Some("Ironwake Lab"));
    assert_eq!(inventory.system.product.as_deref(), Some("Test Machine"));
    assert_eq!(inventory.system.uuid.map(|uuid| uuid.to_lowercase()), machine.identity.uuid);
    assert!(inventory.firmware.vendor.is_some() && inventory.firmware.version.is_some());

    let cpu = inventory.cpus.first().expect("a processor");
    assert!(cpu.model.is_some() && cpu.manufacturer.is_some(), "{cpu:?}");
    let threads: u32 = inventory.cpus.iter().filter_map(|cpu| cpu.threads).sum();
    assert_eq!(threads, machine.cpus);
    assert!(cpu.cores.is_some_and(|cores| cores > 0));

    let dimm = inventory.memory.dimms.first().expect("a memory module");
    assert_eq!(dimm.size_bytes, Some(512 * MIB));
    assert_eq!((dimm.part.as_deref(), dimm.serial.as_deref()), (Some("LAB-DIMM"), Some("D-LAB0001")));

    for (serial, transport, size_bytes, rotational) in [
        ("NVME0001", "nvme", 2048 * MIB, false),
        ("SATA0001", "sata", 1024 * MIB, true),
        ("VIRT0001", "virtio", 512 * MIB, true),
    ] {
        let disk = inventory.disks.iter().find(|disk| disk.serial.as_deref() == Some(serial));
        let disk = disk.unwrap_or_else(|| panic!("no disk {serial} in {:?}", inventory.disks));
        assert_eq!((disk.transport.as_deref(), disk.size_bytes), (Some(transport), size_bytes));
        assert!(disk.rotational == Some(rotational) || transport == "virtio", "{disk:?}");
    }
    for (nic, driver) in machine.nics.iter().zip(["virtio_net", "e1000e"]) {
        let found = inventory.nics.iter().find(|other| other.mac == Some(nic.mac)).expect("the NIC");
        assert_eq!((found.driver.as_deref(), found.link), (Some(driver), Some(true)));
        assert!(found.pci.is_some(), "{found:?}");
        assert_eq!(found.boot, nic.mac == machine.nics[0].mac, "{found:?}");
    }
    Ok(())
}

/// The daemon dies in the middle of a boot and comes back: the machine still gets there.
#[test]
fn lab_daemon_killed_midway() -> Result<(), LabError> {
    let lab = Lab::new(options(Dhcp::Server))?;
    let on = lab.power_on(&Machine::new(1, Firmware::Uefi))?;
    on.expect("the loader", |kind| {
        matches!(kind, EventKind::AttemptStage { stage, .. } if matches!(stage.kind, StageKind::Tftp { aborted: None, .. }))
    })?;
    lab.crash_daemon()?;
    on.wait_inventory()?;
    Ok(())
}

/// FL11: an unarmed machine's script has no installer, and its own disk runs.
fn check_second_boot(firmware: Firmware) -> Result<(), LabError> {
    let lab = Lab::new(options(Dhcp::Server))?;
    let machine = Machine::new(1, firmware).with_disk(Disk::bootable(lab::Bus::Virtio, "BOOT0001", 64 * MIB));
    let first = lab.power_on(&machine)?;
    let (_, inventory) = first.wait_inventory()?;
    assert_eq!(inventory.disks.len(), 1);
    first.power_off();

    let second = lab.power_on(&machine)?;
    second.expect("the end of the second attempt, by local boot", |kind| {
        matches!(kind, EventKind::AttemptEnded { attempt } if attempt.outcome == AttemptOutcome::LocalBoot)
    })?;
    second.wait_screen(lab::MARKER.trim_end())?;
    let script = lab.get(&format!("/ipxe/{}", machine.nics[0].mac.to_string().replace(':', "-")))?;
    assert_eq!(script.status, 200);
    let text = script.text();
    assert!(!text.contains("initrd") && !text.contains("vmlinuz"), "nothing to run but the disk: {text}");
    Ok(())
}

#[test]
fn lab_second_boot_is_local_parity_fl11() -> Result<(), LabError> {
    check_second_boot(Firmware::Uefi)
}

#[test]
fn full_second_boot_is_local_bios() -> Result<(), LabError> {
    check_second_boot(Firmware::Bios)
}
