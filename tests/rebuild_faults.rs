//! Rebuilds in the lab that something goes wrong with: nothing half-written boots, and what can go on goes on.

#[path = "lab/mod.rs"]
mod lab;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use ironwake::artifact::Digest;
use ironwake_api::{EventKind, Operation, OperationState};
use lab::{
    Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, MARKER, MIB, Machine, PoweredOn, Quirk, Writes,
    add_marker, boots_its_disk, digest, enroll, image, operation, reaches, tool,
};

const DISK: u64 = 256 * MIB;
const REBUILD: [&str; 4] = ["--profile", "marker", "--disk", "serial=SYSTEM"];

fn lab() -> Result<Lab, LabError> {
    let lab = Lab::new(LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server))?;
    // A machine that lost its power is given up after a minute.
    add_marker(&lab, "grow = false\n[deadlines]\ninstalling = \"1m\"\n");
    Ok(lab)
}

/// A machine whose disk holds a system that boots: what is to be replaced.
fn machine(number: u8) -> Machine {
    Machine::new(number, Firmware::Bios).with_disk(Disk::bootable(Bus::Virtio, "SYSTEM", DISK))
}

/// A system that boots, so many MiB large, with bytes behind it that no compressor makes smaller.
fn marker(lab: &Lab, size: u64) -> PathBuf {
    let path = lab.folder().join(format!("marker-{size}.raw"));
    Disk::bootable(Bus::Virtio, "", 4 * MIB).create(&path).expect("an image");
    let file = fs::File::options().write(true).open(&path).expect("an image");
    let mut state = 0x1dea_0f4b_ad1d_ea51_u64;
    for number in 4..size {
        let mut block = Vec::with_capacity(MIB as usize);
        while block.len() < MIB as usize {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend(state.to_le_bytes());
        }
        file.write_all_at(&block, number * MIB).expect("written");
    }
    path
}

fn import(lab: &Lab, file: &std::path::Path) -> Result<(), LabError> {
    lab.cli().run(&["artifact", "import", "marker", &file.display().to_string()]).map(drop)
}

fn rebuild(lab: &Lab, id: &str) -> Result<Operation, LabError> {
    let words: Vec<&str> = ["rebuild", id, "--yes"].into_iter().chain(REBUILD).collect();
    operation(lab, &words)
}

/// Waits until some of the image is on the disk.
fn writes(on: &PoweredOn<'_>) -> Result<(), LabError> {
    let begun = |kind: &EventKind| match kind {
        EventKind::OperationProgress { progress, what, .. } => {
            what.starts_with("writing") && progress.done_bytes > 0
        }
        _ => false,
    };
    on.expect("an image that is being written", begun).map(drop)
}

/// The machine's rebuild fails for this reason, and what is left on its disk boots nothing.
#[track_caller]
fn fails_and_boots_nothing(
    lab: &Lab,
    machine: &Machine,
    (on, id): (PoweredOn<'_>, String),
    expected: &[&str],
) -> Result<(), LabError> {
    let made = rebuild(lab, &id)?;
    let reason = fails(lab, &on, &made)?;
    assert!(expected.iter().all(|part| reason.contains(part)), "{reason}");
    on.power_off();
    check_nothing_boots(lab, machine);
    Ok(())
}

/// Waits for the failure, and gives its reason.
fn fails(lab: &Lab, on: &PoweredOn<'_>, made: &Operation) -> Result<String, LabError> {
    on.expect("the failure", reaches(OperationState::Failed))?;
    let failed = operation(lab, &["operation", "show", &made.id])?;
    Ok(failed.failure.expect("a reason").reason)
}

/// Whether neither firmware nor kernel find anything to boot on this disk: no boot sector, no table at either end.
fn boots_nothing(disk: &[u8]) -> bool {
    let table = |at: usize| &disk[at..at + 8] == b"EFI PART";
    disk[510..512] != [0x55, 0xaa] && !table(512) && !table(disk.len() - 512)
}

#[track_caller]
fn check_nothing_boots(lab: &Lab, machine: &Machine) {
    let disk = fs::read(image(lab, machine, 0)).expect("a disk image");
    assert!(boots_nothing(&disk), "what was half-written may boot");
}

/// An image that spoilt on the daemon's disk: all of it is written before that can be seen. At no moment does what is on
/// the machine's disk boot, the old system's first sectors least of all.
#[test]
fn full_a_spoilt_image_leaves_nothing_that_boots() -> Result<(), LabError> {
    let lab = lab()?;
    let file = marker(&lab, 16);
    import(&lab, &file)?;
    let sha256 = Digest::of(&fs::read(&file).expect("an image"));
    let kept = lab.folder().join("state/imports").join(sha256.to_string());
    let mut machine = machine(1);
    machine.disks = vec![Disk::bootable(Bus::Virtio, "SYSTEM", 32 * MIB).with_quirk(Quirk::Recorded)];
    let enrolled = enroll(&lab, &machine)?;
    let old = fs::read(image(&lab, &machine, 0)).expect("a disk image");
    fs::File::options()
        .write(true)
        .open(&kept)
        .and_then(|file| file.write_all_at(b"spoilt", 15 * MIB))
        .expect("spoilt");
    fails_and_boots_nothing(&lab, &machine, enrolled, &["SHA-256", "partition table was wiped"])?;

    let record = Writes::of(&image(&lab, &machine, 0));
    let mut disk = old.clone();
    let mut wiped_at = None;
    record.replay(&mut disk, |number, disk| match (wiped_at, boots_nothing(disk)) {
        (None, true) => wiped_at = Some(number),
        (None, false) => assert_eq!(disk, old, "something was written before the old table was wiped"),
        (Some(_), nothing) => assert!(nothing, "write {number} of {} boots", record.len()),
    });
    assert!(wiped_at.is_some());
    assert_eq!(disk, fs::read(image(&lab, &machine, 0)).expect("a disk image"), "the record is whole");
    Ok(())
}

/// The first block comes last, behind a flush: until then a power cut leaves a disk that boots nothing.
#[test]
fn full_the_first_block_is_written_last() -> Result<(), LabError> {
    let lab = lab()?;
    let file = marker(&lab, 16);
    import(&lab, &file)?;
    let mut machine = machine(1);
    machine.disks = vec![Disk::bootable(Bus::Virtio, "SYSTEM", 32 * MIB).with_quirk(Quirk::Recorded)];
    let (on, id) = enroll(&lab, &machine)?;
    let mut disk = fs::read(image(&lab, &machine, 0)).expect("a disk image");
    rebuild(&lab, &id)?;
    on.expect("an image that is written", reaches(OperationState::Installed))?;
    on.power_off();
    let record = Writes::of(&image(&lab, &machine, 0));
    let (mut wiped_at, mut bootable_at) = (None, None);
    record.replay(&mut disk, |number, disk| match (wiped_at, boots_nothing(disk)) {
        (None, true) => wiped_at = Some(number),
        (Some(_), false) => bootable_at = bootable_at.or(Some(number)),
        _ => {}
    });
    let (wiped_at, bootable_at) = (wiped_at.expect("wiped"), bootable_at.expect("a system that boots"));
    assert!(wiped_at < bootable_at);
    let (others, flushes) = record.touching(8192, DISK / 512);
    let last = others.into_iter().max().expect("the rest of the image");
    assert!(
        flushes.iter().any(|flush| last < *flush && *flush < bootable_at),
        "the rest (to write {last}) is not known to be on the disk when the first block is written ({bootable_at})"
    );
    Ok(())
}

/// An image that was cut off before it was imported: the packing shows it.
#[test]
fn full_a_truncated_image_leaves_nothing_that_boots() -> Result<(), LabError> {
    let lab = lab()?;
    let raw = marker(&lab, 16).display().to_string();
    let packed = lab.folder().join("marker.xz");
    let text = packed.display();
    tool("sh", &["-c", &format!("xz -T1 -0 -c {raw} | head -c $((9 << 20)) > {text}")]);
    import(&lab, &packed)?;
    let machine = machine(1);
    fails_and_boots_nothing(&lab, &machine, enroll(&lab, &machine)?, &["cannot be unpacked as Xz"])
}

/// An image that says nothing of its size and is larger than the disk.
#[test]
fn full_an_image_larger_than_the_disk_leaves_nothing_that_boots() -> Result<(), LabError> {
    let lab = lab()?;
    let raw = marker(&lab, 48).display().to_string();
    let packed = lab.folder().join("marker.gz");
    tool("sh", &["-c", &format!("gzip -1 -c {raw} > {}", packed.display())]);
    import(&lab, &packed)?;
    let mut machine = machine(1);
    machine.disks = vec![Disk::bootable(Bus::Virtio, "SYSTEM", 32 * MIB)];
    fails_and_boots_nothing(&lab, &machine, enroll(&lab, &machine)?, &["more than the disk's 33554432 bytes"])
}

/// A disk with a sector that cannot be written any more.
#[test]
fn full_a_failing_disk_leaves_nothing_that_boots() -> Result<(), LabError> {
    const SECTOR: u64 = 12 * MIB / 512;
    let lab = lab()?;
    import(&lab, &marker(&lab, 16))?;
    let mut machine = machine(1);
    let quirk = Quirk::FailsAt(SECTOR);
    machine.disks = vec![Disk::bootable(Bus::Virtio, "SYSTEM", 32 * MIB).with_quirk(quirk)];
    fails_and_boots_nothing(&lab, &machine, enroll(&lab, &machine)?, &["cannot be written"])
}

/// The daemon is killed while it sends the image, and started again: the download goes on where it broke.
#[test]
fn full_a_killed_daemon_does_not_stop_the_writing() -> Result<(), LabError> {
    let lab = lab()?;
    let file = marker(&lab, 224);
    import(&lab, &file)?;
    let machine = machine(1);
    let (on, id) = enroll(&lab, &machine)?;
    let made = rebuild(&lab, &id)?;
    writes(&on)?;
    lab.crash_daemon()?;
    on.expect("an image that is written", reaches(OperationState::Installed))?;
    on.expect("local boot", boots_its_disk)?;
    on.wait_screen(MARKER.trim())?;
    on.power_off();
    let written = fs::read(image(&lab, &machine, 0)).expect("a disk image");
    let expected = Digest::of(&fs::read(&file).expect("an image"));
    assert_eq!(Digest::of(&written[..224 * MIB as usize]), expected);
    let shown = operation(&lab, &["operation", "show", &made.id])?;
    assert_eq!(shown.state, OperationState::FirstBoot);
    Ok(())
}

/// The machine loses its power while it writes: its disk boots nothing, the deadline ends the operation, and a retry
/// makes it whole.
#[test]
fn full_a_power_cut_ends_by_its_deadline_and_a_retry_succeeds() -> Result<(), LabError> {
    let lab = lab()?;
    let file = marker(&lab, 224);
    import(&lab, &file)?;
    let machine = machine(1);
    let (on, id) = enroll(&lab, &machine)?;
    let made = rebuild(&lab, &id)?;
    writes(&on)?;
    on.power_off();
    check_nothing_boots(&lab, &machine);
    // Whoever gives it power again gets no installer: it was served.
    let on = lab.power_on(&machine)?;
    on.expect("local boot", boots_its_disk)?;
    let reason = fails(&lab, &on, &made)?;
    assert_eq!(reason, "writing was not done in time");
    on.power_off();
    let again = operation(&lab, &["operation", "retry", &made.id])?;
    assert_eq!(again.retry_of.as_deref(), Some(made.id.as_str()));
    let on = lab.power_on(&machine)?;
    on.expect("an image that is written", reaches(OperationState::Installed))?;
    on.expect("local boot", boots_its_disk)?;
    on.wait_screen(MARKER.trim())?;
    Ok(())
}

/// Two machines write at once, each its own disk.
#[test]
fn full_two_machines_are_rebuilt_at_once() -> Result<(), LabError> {
    let lab = lab()?;
    let file = marker(&lab, 64);
    import(&lab, &file)?;
    let machines = [machine(1), machine(2)];
    let mut on = Vec::new();
    for machine in &machines {
        on.push(enroll(&lab, machine)?);
    }
    let words = ["rebuild", &on[0].1, &on[1].1, "--at-once", "2", "--yes"];
    let words: Vec<&str> = words.into_iter().chain(REBUILD).collect();
    let made: Vec<Operation> = serde_json::from_value(lab.cli().json(&words)?).expect("operations");
    assert_eq!(made.len(), 2);
    for (on, _) in &on {
        on.expect("an image that is written", reaches(OperationState::Installed))?;
        on.wait_screen(MARKER.trim())?;
    }
    drop(on);
    for machine in &machines {
        let written = fs::read(image(&lab, machine, 0)).expect("a disk image");
        let expected = Digest::of(&fs::read(&file).expect("an image"));
        assert_eq!(Digest::of(&written[..64 * MIB as usize]), expected);
    }
    Ok(())
}

/// Parity FL13: a disk that was an LVM physical volume is shown as one, and is one no more.
#[test]
fn full_an_old_physical_volume_is_gone_parity_fl13() -> Result<(), LabError> {
    let lab = lab()?;
    import(&lab, &marker(&lab, 8))?;
    let mut machine = machine(1);
    machine.disks =
        vec![Disk::blank(Bus::Virtio, "SYSTEM", 64 * MIB), Disk::blank(Bus::Virtio, "OTHER", 64 * MIB)];
    // What pvcreate of LVM 2.03 writes.
    let volume =
        fs::read(format!("{}/tests/data/disks/lvm2.bin", env!("CARGO_MANIFEST_DIR"))).expect("a file");
    for number in 0..2 {
        let path = image(&lab, &machine, number);
        machine.disks[number].create(&path)?;
        let file = fs::File::options().write(true).open(&path).expect("a disk image");
        file.write_all_at(&volume, 0).expect("written");
    }
    let other = digest(&lab, &machine, 1);
    let (on, id) = enroll(&lab, &machine)?;
    let made = rebuild(&lab, &id)?;
    assert!(made.disks[0].holders == [ironwake_api::DiskHolder::Lvm], "{:?}", made.disks[0]);
    on.expect("an image that is written", reaches(OperationState::Installed))?;
    on.wait_screen(MARKER.trim())?;
    on.power_off();
    let found = tool(
        "sh",
        &["-c", &format!("blkid -p -o value -s TYPE {} || true", image(&lab, &machine, 0).display())],
    );
    assert!(!found.contains("LVM"), "{found}");
    assert_eq!(digest(&lab, &machine, 1), other, "the other disk was touched");
    Ok(())
}
