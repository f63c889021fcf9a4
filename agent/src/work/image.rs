//! Writes a disk image: guard, permission, disk, table, filesystems, firmware. Up to the first block, which is
//! written last, whatever goes wrong leaves a disk that boots nothing.

use std::{io, path::Path};

use ironwake_api::{Disk, ImageWork, InjectedFile};
use nix::mount::{MsFlags, mount};

use super::{
    Failure, Site, efi_boot,
    guard::{self, ApprovedTarget},
    holders, inject, signature,
    table::{self, Grown},
    target::{DiskTarget, Target},
    volume::{self, Volume},
    write::{self, WriteError},
};

/// Where the firmware's variables are mounted.
const VARIABLES: &str = "sys/firmware/efi/efivars";

/// Does the work. On a failure the disk has no partition table, or is as it was.
pub fn run(work: &ImageWork, site: &mut Site<'_>) -> Result<(), Failure> {
    check_wishes(work)?;
    guard::check(site.root, &work.disk)?;
    site.reports.began()?;
    site.began = true;
    let approved = prepare(work, site)?;
    let mut target = DiskTarget::open(&approved)?;
    let name = approved.name();
    site.reports.screen.say(format!("writing {} over {name}", work.image.path));
    let reports = site.reports;
    let result = reports
        .while_reporting(site.meter, || write_disk(work, site.base_url, &approved, &mut target, site.meter));
    let grown = match result {
        Ok(grown) => grown,
        Err(error) => return Err(undone(error.into(), &mut target)),
    };
    // Partitions that do not appear are a failure only to files that need them, which will say so.
    if let Err(error) = target.reread_partitions() {
        site.reports.screen.say(format!("the kernel does not read {name}'s table again: {error}"));
    }
    // Partitions cannot be mounted while the whole disk is held.
    drop(target);
    if let Err(failure) = fill(work, site, name, &grown) {
        return Err(match DiskTarget::open(&approved) {
            Ok(mut target) => undone(failure, &mut target),
            Err(error) => failure.and(&format!("the partition table could not be wiped: {error}")),
        });
    }
    add_boot_entry(work, site, name);
    Ok(())
}

/// What can be known to be wrong before anything is written.
fn check_wishes(work: &ImageWork) -> Result<(), Failure> {
    let image = &work.image;
    if !image.path.starts_with('/') || image.path.contains(|c: char| c.is_control() || c == ' ') {
        return Err(format!("{:?} is no path on the server", image.path).into());
    }
    if image.sha256.len() != 64 || !image.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{:?} is no SHA-256: 64 hexadecimal digits are", image.sha256).into());
    }
    if image.size_bytes == 0 {
        return Err("the image is empty".to_owned().into());
    }
    if image.disk_bytes.is_some_and(|bytes| bytes > work.disk.size_bytes) {
        return Err(WriteError::TooLarge(work.disk.size_bytes).into());
    }
    work.files.iter().try_for_each(|file| inject::parse_path(file).map(drop))?;
    Ok(())
}

/// Stops what holds the disk, and looks once more: minutes may have passed since the first look.
fn prepare(work: &ImageWork, site: &Site<'_>) -> Result<ApprovedTarget, Failure> {
    let approved = guard::check(site.root, &work.disk)?;
    let stopped = holders::release(site.root, approved.name())?;
    if stopped.is_empty() {
        return Ok(approved);
    }
    site.reports.screen.say(format!("{} held {} and was stopped", stopped.join(", "), approved.name()));
    Ok(guard::check(site.root, &work.disk)?)
}

/// Everything that happens to the disk itself, its first block last.
fn write_disk(
    work: &ImageWork,
    base_url: &str,
    approved: &ApprovedTarget,
    target: &mut dyn Target,
    meter: &super::meter::Meter,
) -> Result<Grown, WriteError> {
    let disk_error = |source| WriteError::Disk { offset: 0, source };
    let total = work.image.disk_bytes.unwrap_or(work.image.size_bytes);
    meter.begin(format!("writing {}", approved.name()), total);
    signature::wipe(target, approved.partitions()).map_err(disk_error)?;
    let mut rest = write::write(base_url, &work.image, target, meter)?;
    let mut grown = Grown::default();
    if work.grow {
        grown = table::grow(&mut rest.first, target.size_bytes(), target.sector_bytes())?;
    }
    if let Some((offset, bytes)) = &grown.backup {
        target.write_at(*offset, bytes).map_err(|source| WriteError::Disk { offset: *offset, source })?;
    }
    target.flush().map_err(disk_error)?;
    target.write_at(0, &rest.first).map_err(disk_error)?;
    target.flush().map_err(disk_error)?;
    Ok(grown)
}

/// No half-written system boots.
fn undone(failure: Failure, target: &mut DiskTarget) -> Failure {
    let wiped = signature::wipe(target, &[]).and_then(|()| target.flush());
    // The kernel may keep the old partitions; nothing else will look at them before the reboot.
    let _ = target.reread_partitions();
    failure.and(&match wiped {
        Ok(()) => {
            format!("{}'s partition table was wiped, so that nothing half-written boots", target.name())
        }
        Err(error) => format!("{}'s partition table could not be wiped either: {error}", target.name()),
    })
}

/// Grows the last filesystem and puts files into the filesystems.
fn fill(work: &ImageWork, site: &mut Site<'_>, name: &str, grown: &Grown) -> Result<(), Failure> {
    if let Some(note) = grown.note {
        site.reports.note(&format!("{name} was not grown: {note}"));
    }
    if grown.partition.is_none() && work.files.is_empty() {
        return Ok(());
    }
    let disk = volume::read(site.root, name).map_err(|error| format!("read {name} again: {error}"))?;
    if let Some((number, size_bytes)) = grown.partition {
        site.reports.screen.say(format!("partition {number} of {name} has grown to {size_bytes} bytes"));
        if let Err(reason) = grow_filesystem(site, &disk, number) {
            site.reports
                .note(&format!("partition {number} of {name} has grown, its filesystem has not: {reason}"));
        }
    }
    // One mount for all files of a partition.
    let mut by_partition: Vec<(u32, Vec<&InjectedFile>)> = Vec::new();
    for file in &work.files {
        let number = inject::choose(&disk, file)?.number;
        match by_partition.iter_mut().find(|(other, _)| *other == number) {
            Some((_, files)) => files.push(file),
            None => by_partition.push((number, vec![file])),
        }
    }
    for (number, files) in by_partition {
        site.meter.begin(format!("putting {} files into partition {number} of {name}", files.len()), 0);
        let Some(partition) = disk.partitions.iter().find(|partition| partition.number == number) else {
            continue;
        };
        let volume = Volume::mount(site.root, name, partition, site.load)?;
        if let Some(root) = volume.root() {
            files.iter().try_for_each(|file| inject::write_file(root, file, volume.has_modes()))?;
        }
        volume.close()?;
        site.reports.screen.say(format!("{} files put into partition {number} of {name}", files.len()));
    }
    Ok(())
}

fn grow_filesystem(site: &mut Site<'_>, disk: &Disk, number: u32) -> Result<(), String> {
    let Some(partition) = disk.partitions.iter().find(|partition| partition.number == number) else {
        return Err("it is not there".to_owned());
    };
    match partition.filesystem.as_deref() {
        Some("ext4") => {}
        held => return Err(format!("{} is left to the system itself", held.unwrap_or("what it holds"))),
    }
    let volume =
        Volume::mount(site.root, &disk.name, partition, site.load).map_err(|error| error.to_string())?;
    let grown = volume.grow(partition.size_bytes);
    let closed = volume.close();
    grown.and(closed).map_err(|error| error.to_string())
}

/// A machine without its entry may still boot the loader that firmware looks for by itself, so this is no failure.
fn add_boot_entry(work: &ImageWork, site: &Site<'_>, name: &str) {
    let Some(entry) = &work.boot_entry else { return };
    let folder = site.root.join(VARIABLES);
    if !folder.exists() {
        site.reports.screen.say("this machine booted without UEFI: it gets no boot entry");
        return;
    }
    let written = set_writable(&folder, true)
        .map_err(|error| format!("make the firmware's variables writable: {error}"))
        .and_then(|()| volume::read(site.root, name).map_err(|error| error.to_string()))
        .and_then(|disk| efi_boot::write(&folder, entry, &disk).map_err(|error| error.to_string()));
    let _ = set_writable(&folder, false);
    match written {
        Ok(number) => site.reports.screen.say(format!("Boot{number:04X} {:?} comes first", entry.label)),
        Err(error) => {
            site.reports.note(&format!("the boot entry {:?} was not written: {error}", entry.label))
        }
    }
}

/// The agent mounts the variables so that they can only be read.
fn set_writable(folder: &Path, writable: bool) -> io::Result<()> {
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_RDONLY, !writable);
    let remount = flags | MsFlags::MS_REMOUNT;
    mount(None::<&str>, folder, None::<&str>, remount, None::<&str>)
        // Not mounted yet: the module came late.
        .or_else(|_| mount(Some("efivarfs"), folder, Some("efivarfs"), flags, None::<&str>))?;
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod device_tests;
