//! Operations on machines in the lab: nothing is written without an arming, and nothing but what was approved.
//!
//! One test of each row runs always; names that begin with `full_` run in the profile `all`.

#[path = "lab/mod.rs"]
mod lab;

use std::fs;
use std::path::{Path, PathBuf};

use ironwake::artifact::Digest;
use ironwake_api::OperationState;
use lab::{
    Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, MARKER, MIB, Machine, add_marker, add_profile,
    boots_its_disk, digest, enroll, image, operation, reaches, tool,
};

fn options() -> LabOptions {
    LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server)
}

fn lab() -> Result<Lab, LabError> {
    Lab::new(options())
}

/// A machine whose first disk boots and whose second holds data that is nobody's business.
fn machine(firmware: Firmware) -> Machine {
    Machine::new(1, firmware)
        .with_disk(Disk::bootable(Bus::Virtio, "SYSTEM", 64 * MIB))
        .with_disk(Disk::bootable(Bus::Virtio, "DATA", 64 * MIB))
}

/// Invariant 1: a known machine that is not armed boots its disk, and no byte of its disks changes.
fn unarmed(firmware: Firmware) -> Result<(), LabError> {
    const BOOTS: usize = 3;
    let lab = lab()?;
    let machine = machine(firmware);
    let (on, _) = enroll(&lab, &machine)?;
    on.power_off();
    let before = [digest(&lab, &machine, 0), digest(&lab, &machine, 1)];
    for _ in 0..BOOTS {
        let on = lab.power_on(&machine)?;
        on.expect("local boot", boots_its_disk)?;
        on.wait_screen(MARKER.trim())?;
    }
    assert_eq!([digest(&lab, &machine, 0), digest(&lab, &machine, 1)], before);
    Ok(())
}

#[test]
fn lab_unarmed_bios_disks_stay() -> Result<(), LabError> {
    unarmed(Firmware::Bios)
}

#[test]
fn full_unarmed_uefi_disks_stay() -> Result<(), LabError> {
    unarmed(Firmware::Uefi)
}

/// Armed for one disk of two: that one is wiped, the other keeps every byte, and it happens once.
fn wipe(firmware: Firmware) -> Result<(), LabError> {
    let mut options = options();
    if firmware == Firmware::SecureBoot {
        options.secure_boot = "on";
    }
    let lab = Lab::new(options)?;
    let machine = machine(firmware);
    let (on, id) = enroll(&lab, &machine)?;
    let data = digest(&lab, &machine, 1);
    let made = operation(&lab, &["wipe", &id, "--disk", "serial=SYSTEM", "--yes"])?;
    assert_eq!(made.state, OperationState::PxeReady);
    assert_eq!(made.disks.iter().map(|disk| disk.serial.as_deref()).collect::<Vec<_>>(), [Some("SYSTEM")]);
    // The agent that waits is told to restart: the boot that began before the arming writes nothing.
    on.expect("the end of the operation", reaches(OperationState::Ready))?;
    on.expect("local boot after it", boots_its_disk)?;
    on.power_off();
    let wiped = fs::read(image(&lab, &machine, 0)).expect("a disk image");
    assert!(wiped[..MIB as usize].iter().all(|byte| *byte == 0), "the boot sector is still there");
    assert_eq!(digest(&lab, &machine, 1), data, "the other disk was touched");
    let done = operation(&lab, &["operation", "show", &made.id])?;
    let states: Vec<OperationState> = done.history.iter().map(|event| event.to).collect();
    use OperationState::*;
    assert_eq!(states, [PxeReady, PxeBooted, Installing, Ready]);
    Ok(())
}

#[test]
fn lab_wipe_uefi_one_disk_of_two() -> Result<(), LabError> {
    wipe(Firmware::Uefi)
}

#[test]
fn full_wipe_bios_one_disk_of_two() -> Result<(), LabError> {
    wipe(Firmware::Bios)
}

#[test]
fn full_wipe_secureboot_one_disk_of_two() -> Result<(), LabError> {
    wipe(Firmware::SecureBoot)
}

/// From a blank disk to a system that boots from it, with nothing but `rebuild`; the other disk keeps every byte.
fn rebuild(firmware: Firmware) -> Result<(), LabError> {
    let lab = lab()?;
    add_marker(&lab, "");
    let file = lab.folder().join("marker.raw");
    Disk::bootable(Bus::Virtio, "", 8 * MIB).create(&file)?;
    let image_digest = Digest::of(&fs::read(&file).expect("an image"));
    lab.cli().run(&["artifact", "import", "marker", &file.display().to_string()])?;

    let machine = Machine::new(1, firmware)
        .with_disk(Disk::blank(Bus::Virtio, "SYSTEM", 64 * MIB))
        .with_disk(Disk::bootable(Bus::Virtio, "DATA", 64 * MIB));
    let (on, id) = enroll(&lab, &machine)?;
    let data = digest(&lab, &machine, 1);
    let rule = "serial=SYSTEM";
    let made = operation(&lab, &["rebuild", &id, "--profile", "marker", "--disk", rule, "--yes"])?;
    on.expect("an image that is written", reaches(OperationState::Installed))?;
    on.expect("the first boot", reaches(OperationState::FirstBoot))?;
    on.wait_screen(MARKER.trim())?;
    on.power_off();
    let written = fs::read(image(&lab, &machine, 0)).expect("a disk image");
    assert_eq!(Digest::of(&written[..8 * MIB as usize]), image_digest, "the disk holds the image");
    assert_eq!(digest(&lab, &machine, 1), data, "the other disk was touched");
    // Whoever switches it on again gets its disk, not the installer.
    let on = lab.power_on(&machine)?;
    on.expect("local boot", boots_its_disk)?;
    on.wait_screen(MARKER.trim())?;
    let shown = operation(&lab, &["operation", "show", &made.id])?;
    assert_eq!(shown.state, OperationState::FirstBoot);
    Ok(())
}

#[test]
fn lab_rebuild_uefi() -> Result<(), LabError> {
    rebuild(Firmware::Uefi)
}

#[test]
fn full_rebuild_bios() -> Result<(), LabError> {
    rebuild(Firmware::Bios)
}

const SEEDED_PROFILE: &str = r#"
name = "seeded"
version = "1"
summary = "a filesystem that files are put into"
kind = "image"
architectures = ["amd64"]
firmware = ["bios", "uefi"]

[variables.greeting]
type = "string"
required = true

[image]
artifact = "seeded"
grow = true

[[file]]
template = "seed.j2"
partition = "root"
path = "/etc/ironwake/seed"
mode = "0600"
"#;
const SEED: &str = "{{ hostname }}\n{{ greeting | line }}\n{{ urls.phone_home }}\n";
/// Where the image's one partition begins.
const PARTITION_AT: u64 = MIB;

/// An image with a GPT and an ext4 filesystem labelled `root`.
fn seeded_image(folder: &Path) -> PathBuf {
    const SIZE: u64 = 64 * MIB;
    let (image, filesystem) = (folder.join("seeded.raw"), folder.join("seeded.ext4"));
    let (image_text, filesystem_text) = (image.display().to_string(), filesystem.display().to_string());
    fs::File::create(&filesystem).and_then(|file| file.set_len(SIZE - 2 * MIB)).expect("a file");
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "root", &filesystem_text]);
    fs::File::create(&image).and_then(|file| file.set_len(SIZE)).expect("a file");
    let (start, sectors) = (PARTITION_AT / 512, (SIZE - 2 * MIB) / 512);
    let script = format!("label: gpt\nstart={start}, size={sectors}, name=root\n");
    let scripted = folder.join("table");
    fs::write(&scripted, script).expect("a file");
    tool("sh", &["-c", &format!("sfdisk -q {image_text} < {}", scripted.display())]);
    let bytes = fs::read(&filesystem).expect("a filesystem");
    let file = fs::File::options().write(true).open(&image).expect("an image");
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, PARTITION_AT).expect("written");
    image
}

/// The whole way: an image is written and grown, files with the operation's own URL are put into its filesystem, and the
/// host that calls it makes the operation ready.
#[test]
fn full_rebuild_with_files_until_the_host_phones_home() -> Result<(), LabError> {
    const DISK: u64 = 128 * MIB;
    let lab = lab()?;
    add_profile(&lab, "seeded", SEEDED_PROFILE, &[("seed.j2", SEED)]);
    let file = seeded_image(lab.folder()).display().to_string();
    let packed = format!("{file}.xz");
    tool("sh", &["-c", &format!("xz -T1 -1 -c {file} > {packed}")]);
    lab.cli().run(&["artifact", "import", "seeded", &packed])?;

    let machine = Machine::new(1, Firmware::Uefi).with_disk(Disk::blank(Bus::Nvme, "SYSTEM", DISK));
    let (on, id) = enroll(&lab, &machine)?;
    lab.cli().run(&["machine", "edit", &id, "--name", "node-1"])?;
    let greeting = "greeting=hello $(id) 'x'";
    let made = operation(&lab, &["rebuild", &id, "--profile", "seeded", "--var", greeting, "--yes"])?;
    on.expect("an image that is written", reaches(OperationState::Installed))?;
    on.power_off();

    let disk = image(&lab, &machine, 0).display().to_string();
    tool("sfdisk", &["--verify", &disk]);
    let table = tool("sfdisk", &["--json", &disk]);
    let table: serde_json::Value = serde_json::from_str(&table).expect("a table");
    let partition = &table["partitiontable"]["partitions"][0];
    let size = partition["size"].as_u64().expect("a size") * 512;
    assert!(size > 120 * MIB, "the partition has grown to {size} bytes only");
    let filesystem = format!("{disk}?offset={PARTITION_AT}");
    tool("e2fsck", &["-f", "-n", &filesystem]);
    let seed = tool("debugfs", &["-R", "cat /etc/ironwake/seed", &filesystem]);
    let lines: Vec<&str> = seed.lines().collect();
    assert_eq!(lines[..2], ["node-1", "hello $(id) 'x'"]);
    let path = lines[2].strip_prefix("http://10.77.0.1:8080").expect("the daemon's address");

    let answer = lab.post(path, r#"{"hostname":"node-1","serial":"LAB0001"}"#)?;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let done = operation(&lab, &["operation", "show", &made.id])?;
    assert_eq!(done.state, OperationState::Ready);
    assert_eq!(done.host.expect("a host").hostname.as_deref(), Some("node-1"));
    Ok(())
}

/// The disk behind the approved serial number is another one by the time that the machine boots: nothing is written.
#[test]
fn full_a_swapped_disk_is_refused() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = machine(Firmware::Uefi);
    let (on, id) = enroll(&lab, &machine)?;
    on.power_off();
    let made = operation(&lab, &["wipe", &id, "--disk", "serial=SYSTEM", "--yes"])?;
    let mut swapped = fs::read(image(&lab, &machine, 0)).expect("a disk image");
    // A partition table where there was none: somebody used this disk in between.
    swapped[446..462].copy_from_slice(&[0x80, 0, 2, 0, 0x83, 0, 63, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
    fs::write(image(&lab, &machine, 0), &swapped).expect("written");
    let before = [digest(&lab, &machine, 0), digest(&lab, &machine, 1)];
    let on = lab.power_on(&machine)?;
    on.expect("the refusal", reaches(OperationState::Failed))?;
    on.power_off();
    assert_eq!([digest(&lab, &machine, 0), digest(&lab, &machine, 1)], before);
    let failed = operation(&lab, &["operation", "show", &made.id])?;
    assert!(!failed.may_have_written);
    let reason = failed.failure.expect("a reason").reason;
    assert!(reason.contains("table_fingerprint"), "{reason}");
    Ok(())
}

/// A new inventory on request, and the daemon killed between the arming and the boot.
#[test]
fn full_inspect_survives_a_crash() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = machine(Firmware::Bios);
    let (on, id) = enroll(&lab, &machine)?;
    on.power_off();
    let made = operation(&lab, &["inspect", &id])?;
    lab.crash_daemon()?;
    let on = lab.power_on(&machine)?;
    on.expect("the end of the operation", reaches(OperationState::Ready))?;
    let done = operation(&lab, &["operation", "show", &made.id])?;
    assert_eq!(done.state, OperationState::Ready);
    Ok(())
}
