//! The appliance as it is flashed: the image that `./dev` built, in QEMU, on the disks that it is made for.
//!
//! A probe is handed to its systemd from outside, by SMBIOS (systemd.system-credentials(7)), so nothing of the image is
//! another for the test. What it tells is judged here; what stands on the screen is read by it from the screen's memory, and
//! seen here as a picture.

#[path = "lab/mod.rs"]
mod lab;
#[path = "appliance/machine.rs"]
mod machine;
#[path = "appliance/qmp.rs"]
mod qmp;
#[path = "appliance/report.rs"]
mod report;

use lab::Firmware;
use machine::{Attached, Machine};
use report::Report;

/// What the first boot makes of the disk, by the labels of partitions.
const PARTITIONS: &str = "bios-boot ironwake-esp ironwake_VERSION _empty ironwake-var";
/// Size of the disk that the image is flashed to, in MiB; the image itself has 674.
const DISK_MIB: u64 = 3072;
/// What of it is left for /var, less the filesystem's own tables: two slots of 512 MiB and 161 MiB are not.
const VAR_MIB_MIN: u64 = 1700;

fn is(report: &Report, name: &str, expected: &str) {
    assert_eq!(report.value(name), expected, "{name} in:\n{report}");
}

/// What holds at every boot.
fn runs(report: &Report) {
    is(report, "failed", "");
    for unit in [
        "ironwake",
        "ironwake-builder",
        "ironwake-console@tty1",
        "ironwake-ssh",
        "systemd-networkd",
        "systemd-resolved",
        "systemd-timesyncd",
    ] {
        is(report, unit, "active");
    }
    is(report, "failed-units", "");
    is(report, "restarts", "0");
    is(report, "partitions", &PARTITIONS.replace("VERSION", env!("CARGO_PKG_VERSION")));
    assert!(report.value("root").starts_with("squashfs ro,"), "{report}");
    is(report, "root-written", "no");
    is(report, "etc", "overlay");
    let var_mib: u64 = report.value("var-mib").parse().expect("a number");
    assert!((VAR_MIB_MIN..DISK_MIB).contains(&var_mib), "/var has {var_mib} MiB:\n{report}");
    let id = report.value("machine-id");
    assert_eq!(id.len(), 32, "{report}");
    is(report, "machine-id-kept", id);
    is(report, "journal", id);
    is(report, "changed-in-etc", "machine-id");
    assert!(report.value("journal-max").contains("max 128M"), "{report}");
    // QEMU's own DHCP server gives this one.
    assert!(report.value("address").contains(" UP 10.0.2.15/24"), "{report}");
    assert!(report.value("setup").starts_with("it is not set up"), "{report}");
    assert!(report.value("screen").contains("Ironwake"), "{report}");
}

fn check(firmware: Firmware, attached: Attached, boots: usize) {
    let machine = Machine::flashed(firmware, attached, DISK_MIB).expect("a machine with the image");
    let mut last: Option<Report> = None;
    for boot in 1..=boots {
        let report = machine.boot().expect("a boot");
        println!("boot {boot}:\n{report}");
        runs(&report);
        is(&report, "journal-boots", &boot.to_string());
        match &last {
            None => is(&report, "machines-before", "[]"),
            Some(before) => {
                for name in ["machine-id", "host-key"] {
                    is(&report, name, before.value(name));
                }
                is(&report, "machines-before", before.value("machines"));
            }
        }
        last = Some(report);
    }
}

#[test]
fn full_appliance_bios_from_usb_keeps_its_state() {
    check(Firmware::Bios, Attached::Usb, 2);
}

#[test]
fn full_appliance_uefi_from_nvme_keeps_its_state() {
    check(Firmware::Uefi, Attached::Nvme, 2);
}

#[test]
fn full_appliance_uefi_from_usb() {
    check(Firmware::Uefi, Attached::Usb, 1);
}

#[test]
fn full_appliance_bios_from_sata() {
    check(Firmware::Bios, Attached::Sata, 1);
}

#[test]
fn full_appliance_bios_from_virtio() {
    check(Firmware::Bios, Attached::Virtio, 1);
}
