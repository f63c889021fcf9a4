//! The appliance as it is flashed: the image that `./dev` built, in QEMU, on the disks that it is made for.
//!
//! A probe is handed to its systemd from outside, by SMBIOS (systemd.system-credentials(7)), so nothing of the image is
//! another for the test. What it tells is judged here; what stands on the screen is read by it from the screen's memory, and
//! seen here as a picture.

#[path = "appliance/mod.rs"]
mod appliance;
#[path = "lab/mod.rs"]
mod lab;

use appliance::image::Image;
use appliance::machine::{Attached, Machine, Running};
use appliance::report::Report;
use lab::Firmware;

/// What the first boot makes of the disk, by the labels of partitions.
const PARTITIONS: &str = "bios-boot ironwake-esp ironwake_VERSION _empty ironwake-var";
/// Size of the disk that the image is flashed to, in MiB; the image itself has 674.
const DISK_MIB: u64 = 3072;
/// What the disk grows by in one test, in MiB.
const GROWN_MIB: u64 = 512;
/// The version that the image has.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A version that an update might have brought.
const BROKEN: &str = "9.9.9";
/// What of it is left for /var, less the filesystem's own tables: two slots of 512 MiB and 161 MiB are not.
const VAR_MIB_MIN: u64 = 1700;

/// What holds at every boot of whatever it was booted from.
fn starts(report: &Report) {
    report.is("failed", "");
    for unit in [
        "ironwake",
        "ironwake-builder",
        "ironwake-console@tty1",
        "ironwake-ssh",
        "systemd-networkd",
        "systemd-resolved",
        "systemd-timesyncd",
    ] {
        report.is(unit, "active");
    }
    report.is("failed-units", "");
    report.is("restarts", "0");
    report.is("version", VERSION);
    assert!(report.value("root").starts_with("squashfs ro,"), "{report}");
    report.is("verity", "CRYPT-VERITY");
    report.is("root-written", "no");
    report.is("etc", "overlay");
    let id = report.value("machine-id");
    assert_eq!(id.len(), 32, "{report}");
    report.is("machine-id-kept", id);
    report.is("journal", id);
    // QEMU's own DHCP server gives this one.
    assert!(report.value("address").contains(" UP 10.0.2.15/24"), "{report}");
    assert!(report.value("setup").starts_with("it is not set up"), "{report}");
    assert!(report.value("screen").contains("Ironwake"), "{report}");
    // Nobody can log in, by whatever password.
    assert!(report.value("root-password").split(' ').all(|entry| entry.starts_with("root:*")), "{report}");
    report.is("logins", "");
    report.is("efi-mode", "700 root");
}

/// What holds at every boot from a disk.
fn runs(report: &Report) {
    starts(report);
    report.is("medium", "disk");
    report.is("links", "disk esp root root-other var");
    report.is("partitions", &PARTITIONS.replace("VERSION", VERSION));
    report.is("link-esp", "ironwake-esp");
    report.is("link-root", &format!("ironwake_{VERSION}"));
    report.is("link-root-other", "_empty");
    report.is("link-var", "ironwake-var");
    report.is("var", "ext4");
    let var_mib = number(report, "var-mib");
    assert!((VAR_MIB_MIN..DISK_MIB).contains(&var_mib), "/var has {var_mib} MiB:\n{report}");
    report.is("changed-in-etc", "machine-id");
    assert!(report.value("journal-max").contains("max 128M"), "{report}");
    report.is("grubenv", &format!("good={VERSION}"));
}

/// Counted by systemd-boot, the first boot is good, and so is the version from then on.
fn is_blessed(report: &Report) {
    report.is("kernels", &format!("ironwake_{VERSION}.efi"));
}

/// The number of a name.
fn number(report: &Report, name: &str) -> u64 {
    report.value(name).parse().unwrap_or_else(|error| panic!("{name}: {error}:\n{report}"))
}

fn check(firmware: Firmware, attached: Attached, boots: usize) {
    let machine = Machine::flashed(firmware, attached, DISK_MIB).expect("a machine with the image");
    check_boots(&machine, firmware, boots, "");
}

/// Looks at each of so many boots. At the end of each a script may say what time was kept, in seconds since 1970.
fn check_boots(machine: &Machine, firmware: Firmware, boots: usize, script: &str) {
    let mut last: Option<Report> = None;
    for boot in 1..=boots {
        let report = machine.boot_and(script, |_| Ok(())).expect("a boot");
        println!("boot {boot}:\n{report}");
        runs(&report);
        if firmware.is_uefi() {
            is_blessed(&report);
        }
        report.is("journal-boots", &boot.to_string());
        assert!(
            number(&report, "clock") >= number(&report, "built"),
            "time began before the image:\n{report}"
        );
        match &last {
            None => report.is("machines-before", "[]"),
            Some(before) => {
                let kept = number(before, if script.is_empty() { "clock" } else { "did" });
                assert!(number(&report, "clock") >= kept, "time went back behind {kept}:\n{report}");
                for name in ["machine-id", "host-key"] {
                    report.is(name, before.value(name));
                }
                report.is("machines-before", before.value("machines"));
            }
        }
        last = Some(report);
    }
}

/// Whatever was there is not there any more.
fn is_fresh(report: &Report, before: &Report) {
    runs(report);
    report.is("machines-before", "[]");
    report.is("journal-boots", "1");
    for name in ["machine-id", "host-key"] {
        assert_ne!(report.value(name), before.value(name), "{name} outlived a factory reset:\n{report}");
    }
}

/// A mini PC whose battery is empty: its clock begins in 2001 each time, and time goes on where systemd-timesyncd kept it, which
/// it does each minute.
#[test]
fn full_appliance_bios_from_usb_keeps_its_state_and_the_time() {
    // A day later, which no machine takes to boot.
    let keeps = "clock=/var/lib/systemd/timesync/clock
date --set '+1 day' >/dev/null
now=$(date +%s)
until [ \"$(stat -c %Y $clock)\" -ge \"$now\" ]; do sleep 1; done
stat -c %Y $clock";
    let machine =
        Machine::flashed(Firmware::Bios, Attached::Usb, DISK_MIB).expect("a machine with the image");
    check_boots(&machine.without_battery(), Firmware::Bios, 2, keeps);
}

#[test]
fn full_appliance_uefi_from_nvme_keeps_its_state() {
    check(Firmware::Uefi, Attached::Nvme, 2);
}

#[test]
fn full_appliance_uefi_from_usb() {
    check(Firmware::Uefi, Attached::Usb, 1);
}

/// /var has all of the disk when that has grown, as a virtual one does.
#[test]
fn full_appliance_bios_from_sata_grows_with_the_disk() {
    let machine =
        Machine::flashed(Firmware::Bios, Attached::Sata, DISK_MIB).expect("a machine with the image");
    let before = machine.boot().expect("a boot");
    runs(&before);
    machine.resize_disk(DISK_MIB + GROWN_MIB).expect("a larger disk");
    let after = machine.boot().expect("a boot");
    println!("{after}");
    runs(&after);
    let [was, is] = [&before, &after].map(|report| number(report, "var-mib"));
    assert!(
        is > was + GROWN_MIB * 9 / 10,
        "/var had {was} MiB, and has {is} on a disk that grew by {GROWN_MIB}"
    );
    after.is("machines-before", before.value("machines"));
}

#[test]
fn full_appliance_bios_from_nvme() {
    check(Firmware::Bios, Attached::Nvme, 1);
}

// ME23: no default password. `starts` asks, whatever is booted; of the rows this one is the quickest.
#[test]
fn full_appliance_bios_from_virtio_parity_me23() {
    check(Firmware::Bios, Attached::Virtio, 1);
}

fn check_secure_boot(attached: Attached) {
    let machine = Machine::with(Image::SignedDisk, Firmware::SecureBoot, attached, Some(DISK_MIB))
        .expect("a machine with the signed image");
    let report = machine.boot().expect("a boot");
    println!("{report}");
    runs(&report);
    is_blessed(&report);
    report.is("secure-boot", "1");
    // The kernel takes no module that is not signed either.
    report.is("lockdown", "integrity");
}

#[test]
fn full_appliance_secureboot_with_own_keys_from_nvme() {
    check_secure_boot(Attached::Nvme);
}

#[test]
fn full_appliance_secureboot_with_own_keys_from_usb() {
    check_secure_boot(Attached::Usb);
}

#[test]
fn full_appliance_secureboot_refuses_what_is_not_signed() {
    let machine = Machine::with(Image::Disk, Firmware::SecureBoot, Attached::Nvme, Some(DISK_MIB))
        .expect("a machine with the image");
    machine.boot_until_it_says("Access Denied").expect("the firmware's refusal");
}

fn check_iso(firmware: Firmware, attached: Attached) {
    let machine = Machine::with(Image::Iso, firmware, attached, None).expect("a machine with the ISO");
    let report = machine.boot().expect("a boot");
    println!("{report}");
    starts(&report);
    report.is("medium", "iso");
    report.is("links", "esp iso root");
    report.is("var", "tmpfs");
    report.is("kernels", &format!("ironwake_{VERSION}.efi"));
}

#[test]
fn full_appliance_iso_bios() {
    check_iso(Firmware::Bios, Attached::CdRom);
}

#[test]
fn full_appliance_iso_uefi() {
    check_iso(Firmware::Uefi, Attached::CdRom);
}

#[test]
fn full_appliance_iso_on_a_stick_bios() {
    check_iso(Firmware::Bios, Attached::Usb);
}

#[test]
fn full_appliance_iso_on_a_stick_uefi() {
    check_iso(Firmware::Uefi, Attached::Usb);
}

/// Which of the two is meant nobody knows but whoever takes one out.
#[test]
fn full_appliance_waits_while_two_disks_have_the_same_image() {
    let machine = Machine::flashed(Firmware::Bios, Attached::Virtio, DISK_MIB).expect("a machine");
    let machine = machine.with_twin().expect("a stick like it");
    let take_out = |running: &mut Running| {
        machine.hears(running, "/dev/sda /dev/vda were flashed with the same image")?;
        running.qmp.execute("device_del", serde_json::json!({ "id": "twin" })).map(drop)
    };
    let report = machine.boot_and("", take_out).expect("a boot");
    println!("{report}");
    runs(&report);
    report.is("disk", "vda virtio");
}

#[test]
fn full_appliance_factory_reset_by_the_command() {
    let machine = Machine::flashed(Firmware::Bios, Attached::Virtio, DISK_MIB).expect("a machine");
    let order = "ironwake appliance factory-reset --yes-reset \"$(cat /proc/sys/kernel/hostname)\"";
    let before = machine.boot_until_it_restarts(order).expect("a boot");
    runs(&before);
    let report = machine.boot().expect("a boot");
    println!("{report}");
    is_fresh(&report, &before);
}

/// Chooses the factory reset, the second entry of the boot menu, and answers the question.
fn choose_factory_reset(machine: &Machine, answer: &[&str]) -> Report {
    machine
        .boot_and("", |running| {
            // A key stops the menu's clock.
            machine.hears(running, "Factory reset")?;
            for key in ["down", "ret"] {
                running.qmp.press(&[key])?;
            }
            machine.hears(running, "Type RESET and press Enter")?;
            answer.iter().try_for_each(|key| running.qmp.press(&[key]))
        })
        .expect("a boot")
}

#[test]
fn full_appliance_factory_reset_from_the_boot_menu_bios() {
    check_reset_from_the_menu(Firmware::Bios);
}

#[test]
fn full_appliance_factory_reset_from_the_boot_menu_uefi() {
    check_reset_from_the_menu(Firmware::Uefi);
}

fn check_reset_from_the_menu(firmware: Firmware) {
    let machine = Machine::flashed(firmware, Attached::Sata, DISK_MIB).expect("a machine");
    let before = machine.boot().expect("a boot");
    let report = choose_factory_reset(&machine, &["y", "e", "s", "ret"]);
    println!("{report}");
    runs(&report);
    for name in ["machine-id", "host-key"] {
        report.is(name, before.value(name));
    }
    report.is("machines-before", before.value("machines"));
    let capitals = ["caps_lock", "r", "e", "s", "e", "t", "caps_lock", "ret"];
    let report = choose_factory_reset(&machine, &capitals);
    println!("{report}");
    is_fresh(&report, &before);
}

/// A later version whose kernel finds no program to start, and an environment that cannot be read: GRUB starts what is newest.
#[test]
fn full_appliance_bios_boots_the_newest_without_an_environment() {
    let machine = Machine::flashed(Firmware::Bios, Attached::Virtio, DISK_MIB).expect("a machine");
    let esp = machine.esp();
    for part in ["vmlinuz", "initrd"] {
        let content = esp.get(&format!("ironwake/ironwake_{VERSION}.{part}")).expect("what boots");
        esp.put(&format!("ironwake/ironwake_{BROKEN}.{part}"), &content).expect("room for two versions");
    }
    let words = "rdinit=/nothing panic=1 console=ttyS0,115200";
    let fragment = format!("version={BROKEN}\nbuilt=2000000000\ncommand_line=\"{words}\"\n");
    esp.put(&format!("ironwake/ironwake_{BROKEN}.cfg"), fragment.as_bytes()).expect("a fragment");
    esp.put("ironwake/grubenv", b"no block").expect("a file");
    machine.boot_until_it_says("Unable to mount root fs").expect("the newest, which cannot start");
}
