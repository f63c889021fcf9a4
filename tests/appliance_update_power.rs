//! The plug of an appliance is pulled while an update is written: whatever its disk held at that moment, the loaders find the version
//! that ran, or all of the new one, and nothing that was acknowledged is lost. Some of these disks are booted.

#[path = "appliance/mod.rs"]
mod appliance;
#[path = "lab/mod.rs"]
mod lab;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use appliance::bundle::{self, NEXT, SAY_AND_FIND_STICK};
use appliance::cuts::{self, Cuts};
use appliance::esp::Esp;
use appliance::left;
use appliance::machine::{Attached, Machine};
use lab::{Firmware, LabError};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The disk: small, for each cut looks at all of it.
const DISK_MIB: u64 = 2560;
/// Power cuts that are looked at.
const POINTS: usize = 210;
/// What these leave is booted: while it is unpacked, while it is written, and at the end.
const BOOTED: [usize; 3] = [POINTS / 5, POINTS * 3 / 4, POINTS - 1];
/// Machines that are acknowledged before.
const MACHINES: usize = 3;
const ADD: &str = r#"
for n in 1 2 3; do ironwake machine add --mac "52:54:00:aa:00:0$n" --name "cut$n" >/dev/null || exit 1; done
echo added
"#;
/// The beginning and the end are marked on the disk itself.
const UPDATE: &str = r#"
mark() { printf '%s' "$1" | dd of=/var/mark bs=4096 conv=sync oflag=direct,dsync status=none; }
mark 'update begins'
ironwake update install --stick "$stick/good.update" --wait 2>&1 | paste -sd ' '
mark 'update ended'
"#;

/// What the loaders start of a version.
struct Boots {
    version: &'static str,
    /// For BIOS: names on the ESP, each with what is in it.
    bios: Vec<(String, Vec<u8>)>,
    /// For UEFI.
    kernel: Vec<u8>,
}

impl Boots {
    /// Of a version with these parts.
    fn of(version: &'static str, parts: &Path, fragment: Vec<u8>) -> Result<Self, LabError> {
        let content = [read(parts.join("vmlinuz"))?, read(parts.join("initrd"))?, fragment];
        let names = ["vmlinuz", "initrd", "cfg"].map(|end| format!("ironwake/ironwake_{version}.{end}"));
        Ok(Self {
            version,
            bios: names.into_iter().zip(content).collect(),
            kernel: read(parts.join("kernel.efi"))?,
        })
    }

    /// Whether what BIOS starts is whole.
    fn is_whole_in_bios(&self, esp: &Esp) -> bool {
        self.bios.iter().all(|(name, content)| esp.get(name).is_ok_and(|found| found == *content))
    }

    /// Whether what UEFI starts is whole, by its name there.
    fn is_whole_in_uefi(&self, esp: &Esp, name: &str) -> bool {
        esp.get(&format!("EFI/Linux/{name}")).is_ok_and(|found| found == self.kernel)
    }

    /// What UEFI would start of it: one with tries left, or without any count.
    fn in_uefi<'n>(&self, names: &'n [String]) -> Option<&'n String> {
        let begin = format!("ironwake_{}", self.version);
        names.iter().find(|name| {
            let count = name.strip_prefix(&begin).and_then(|end| end.strip_suffix(".efi"));
            count.is_some_and(|count| {
                count.is_empty() || count.strip_prefix('+').is_some_and(|left| !left.starts_with('0'))
            })
        })
    }
}

/// What a disk is looked at for.
struct Look<'a> {
    folder: &'a Path,
    old: Boots,
    new: Boots,
    root: Vec<u8>,
    esp: (u64, u64),
    /// The slot that runs.
    running: (u64, u64),
    /// The other one.
    slot: (u64, u64),
}

/// What would start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Starts {
    new_in_bios: bool,
    new_in_uefi: bool,
}

impl Look<'_> {
    /// Of the loaders' part: what runs is whole, and so is what they would start in its place.
    fn loaders(&self, disk: &File) -> Result<Starts, LabError> {
        let copy = self.folder.join("esp");
        cuts::extract(disk, self.esp, &copy).map_err(LabError::io("copy the ESP"))?;
        let esp = Esp::alone(&copy);
        let names = esp.names("EFI/Linux")?;
        let env = esp.grubenv()?;
        let has = |name: &str, version: &str| env.contains(&format!("{name}={version}"));
        let broken = |what: &str| {
            Err(LabError::Unexpected { what: what.into(), text: format!("{names:?}\n{}", env.join("\n")) })
        };
        if self.named(disk, VERSION)? != Some(self.running) {
            return broken("the slot that runs is not found any more");
        }
        if !has("good", VERSION) || !self.old.is_whole_in_bios(&esp) {
            return broken("BIOS does not start what ran");
        }
        let kept = self.old.in_uefi(&names).is_some_and(|name| self.old.is_whole_in_uefi(&esp, name));
        if !kept {
            return broken("UEFI does not start what ran");
        }
        let new_in_bios = has("trial", NEXT);
        if new_in_bios && !(self.new.is_whole_in_bios(&esp) && self.is_slot_whole(disk)?) {
            return broken("BIOS would start half of an update");
        }
        let uefi = self.new.in_uefi(&names);
        if let Some(name) = uefi {
            let (kernel, slot) = (self.new.is_whole_in_uefi(&esp, name), self.is_slot_whole(disk)?);
            if !(kernel && slot) {
                return broken(&format!("UEFI would start half of an update (kernel {kernel}, slot {slot})"));
            }
        }
        Ok(Starts { new_in_bios, new_in_uefi: uefi.is_some() })
    }

    /// Where the slot of a version is, by its name, as the initrd looks for it.
    fn named(&self, disk: &File, version: &str) -> Result<Option<(u64, u64)>, LabError> {
        cuts::partition(disk, &format!("ironwake_{version}"))
            .map_err(LabError::io("read the partition table"))
    }

    /// Whether the new version's slot has its name and all of its root.
    fn is_slot_whole(&self, disk: &File) -> Result<bool, LabError> {
        if self.named(disk, NEXT)? != Some(self.slot) {
            return Ok(false);
        }
        let mut found = vec![0; self.root.len()];
        disk.read_exact_at(&mut found, self.slot.0).map_err(LabError::io("read the slot"))?;
        Ok(found == self.root)
    }
}

fn read(path: PathBuf) -> Result<Vec<u8>, LabError> {
    fs::read(&path).map_err(LabError::io(format!("read {}", path.display())))
}

#[test]
fn full_appliance_update_power_cuts_leave_a_version_that_starts() -> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
    let path = |name: &str| folder.path().join(name);
    bundle::make(&path("good.update"), "")?;
    bundle::stick(&path("stick"), &[&path("good.update")])?;
    let machine = Machine::flashed(Firmware::Bios, Attached::Virtio, DISK_MIB)?;
    let report = machine.boot_and(ADD, |_| Ok(()))?;
    assert_eq!(report.value("did"), "added", "{report}");
    let replayed = path("disk");
    lab::run(Command::new("cp").arg("--sparse=always").args([&machine.disk(), &replayed]))?;
    let machine = machine.recorded().with_stick(&path("stick"));
    let report = machine.boot_and(&[SAY_AND_FIND_STICK, UPDATE].concat(), |_| Ok(()))?;
    assert!(report.value("did").starts_with(&format!("{NEXT} is installed")), "{report}");

    let disk = File::open(&replayed).map_err(LabError::io("open the disk"))?;
    let part = |label: &str| -> Result<(u64, u64), LabError> {
        let found = cuts::partition(&disk, label).map_err(LabError::io("read the partition table"))?;
        Ok(found.unwrap_or_else(|| panic!("no partition {label}")))
    };
    let (new, old) = (bundle::parts()?, bundle::parts_of_image()?);
    let running = part(&format!("ironwake_{VERSION}"))?;
    let look = Look {
        folder: folder.path(),
        old: Boots::of(VERSION, &old, read(old.join("boot.cfg"))?)?,
        // As a test's update has it.
        new: Boots::of(NEXT, &new, bundle::fragment("")?.into_bytes())?,
        root: read(new.join("root.squashfs"))?,
        esp: part("ironwake-esp")?,
        running,
        slot: part("_empty")?,
    };
    let mut cuts = Cuts::of(&machine.disk(), &replayed)?;
    let (first, last) = (cuts.after("update begins")?, cuts.after("update ended")?);
    assert!(!cuts.touch(0..cuts.len(), running), "the slot that runs was written");

    let runtime = tokio::runtime::Runtime::new().map_err(LabError::io("make a runtime"))?;
    let mut found = Vec::new();
    for number in 0..POINTS {
        let point = first + (last - first) * (number + 1) / POINTS;
        let kept = BOOTED.contains(&number).then(|| path(&format!("kept{number}")));
        let (machines, starts) = cuts
            .cut(point, number as u64, kept.as_deref(), |disk| {
                let machines = runtime.block_on(left::machines(disk, folder.path()))?;
                Ok((machines, look.loaders(disk)?))
            })
            .inspect_err(|_| println!("cut {number} of {POINTS}, after {point} of {last} writes"))?;
        assert_eq!(machines, Some(MACHINES), "cut {number} after {point} of {last} writes");
        found.push(starts);
        if let Some(copy) = &kept {
            let report = Machine::with_disk(Firmware::Bios, Attached::Virtio, copy)?.boot()?;
            println!("what cut {number} left starts:\n{report}");
            assert_eq!((report.value("failed"), report.value("failed-units")), ("", ""), "{report}");
            assert_eq!(report.value("version"), if starts.new_in_bios { NEXT } else { VERSION }, "{report}");
            assert_eq!(report.value("machines-before").matches("\"cut").count(), MACHINES, "{report}");
        }
    }
    let begins = found.iter().position(|starts| starts.new_in_uefi || starts.new_in_bios);
    println!("{POINTS} cuts in {} writes; the new version would start from cut {begins:?} on", last - first);
    // The cuts are where they hurt: before anything of it starts, and at its end.
    assert!(begins.is_some_and(|begins| begins > POINTS / 2), "{found:?}");
    assert_eq!(found.last(), Some(&Starts { new_in_bios: true, new_in_uefi: true }));
    Ok(())
}
