//! What holds a disk: mapped devices (LVM, multipath, crypt) and arrays. They are stopped from the top down,
//! never written.
//!
//! The image carries no tools that would start any of these, but the kernel may assemble arrays by itself. One
//! that spans other disks too is stopped as a whole: the disks that were not chosen keep what is on them.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::Path,
};

use crate::inventory::sysfs;

/// Devices on top of each other at most; the kernel itself refuses deep stacks.
const DEPTH_MAX: usize = 16;
/// `DM_NAME_LEN` of linux/dm-ioctl.h, with its final zero.
const MAPPER_NAME_BYTES: usize = 128;

/// Why a disk could not be released.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// Neither mapped nor an array.
    #[error("{disk} is held by {holder}, which the agent cannot stop: only mapped devices and arrays can be")]
    Unknown {
        /// The disk.
        disk: String,
        /// What holds it.
        holder: String,
    },
    /// It does not stop.
    #[error("{holder}, which holds {disk}, does not stop: {source}")]
    Stuck {
        /// The disk.
        disk: String,
        /// What holds it.
        holder: String,
        /// Why.
        source: io::Error,
    },
}

/// Stops everything that holds the disk or one of its partitions. Gives back what was stopped, in order.
pub fn release(root: &Path, disk: &str) -> Result<Vec<String>, HolderError> {
    let stack = stack(root, disk);
    for holder in &stack {
        let folder = root.join("sys/block").join(holder);
        let stuck = |source| HolderError::Stuck { disk: disk.to_owned(), holder: holder.clone(), source };
        if folder.join("md").exists() {
            fs::write(folder.join("md/array_state"), "clear").map_err(stuck)?;
        } else if let Some(name) = sysfs::text(&folder.join("dm/name")) {
            remove_mapped(root, &name).map_err(stuck)?;
        } else {
            return Err(HolderError::Unknown { disk: disk.to_owned(), holder: holder.clone() });
        }
    }
    Ok(stack)
}

/// All holders of the disk or of one of its partitions, each before what it stands on. Nothing is stopped.
pub fn stack(root: &Path, disk: &str) -> Vec<String> {
    let mut found = Vec::new();
    visit(root, disk, 0, &mut HashSet::new(), &mut found);
    // Of two visits the one from further down comes later: what others stand on goes last.
    found.pop();
    found
}

fn visit(root: &Path, device: &str, depth: usize, seen: &mut HashSet<String>, found: &mut Vec<String>) {
    if depth > DEPTH_MAX || !seen.insert(device.to_owned()) {
        return;
    }
    let folder = root.join("sys/block").join(device);
    let partitions = sysfs::entries(&folder).into_iter().filter(|(_, path)| path.join("partition").exists());
    for place in std::iter::once(folder.clone()).chain(partitions.map(|(_, path)| path)) {
        for (holder, _) in sysfs::entries(&place.join("holders")) {
            visit(root, &holder, depth + 1, seen, found);
        }
    }
    found.push(device.to_owned());
}

/// `struct dm_ioctl` of linux/dm-ioctl.h.
#[repr(C)]
struct MapperRequest {
    version: [u32; 3],
    data_bytes: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event: u32,
    padding: u32,
    device: u64,
    name: [u8; MAPPER_NAME_BYTES],
    uuid: [u8; 129],
    data: [u8; 7],
}

mod ioctl {
    use super::MapperRequest;

    // DM_DEV_REMOVE of linux/dm-ioctl.h.
    nix::ioctl_readwrite!(dev_remove, 0xfd, 4, MapperRequest);
}

fn request(name: &str) -> io::Result<MapperRequest> {
    let mut field = [0; MAPPER_NAME_BYTES];
    if name.len() >= field.len() {
        return Err(io::Error::other("its name is longer than the kernel allows"));
    }
    field[..name.len()].copy_from_slice(name.as_bytes());
    let bytes = size_of::<MapperRequest>() as u32;
    Ok(MapperRequest {
        version: [4, 0, 0],
        data_bytes: bytes,
        data_start: bytes,
        target_count: 0,
        open_count: 0,
        flags: 0,
        event: 0,
        padding: 0,
        device: 0,
        name: field,
        uuid: [0; 129],
        data: [0; 7],
    })
}

fn remove_mapped(root: &Path, name: &str) -> io::Result<()> {
    let control = File::options().read(true).write(true).open(root.join("dev/mapper/control"))?;
    let mut request = request(name)?;
    // SAFETY: the kernel reads and writes `data_bytes` bytes from the request's start, which is its size.
    unsafe { ioctl::dev_remove(control.as_raw_fd(), &mut request) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::testing::Fixture;

    fn machine(holders: &[(&str, &str)]) -> Fixture {
        let machine = Fixture::new();
        machine.add_disk("sda", Some("S1"), 1 << 20);
        machine.set("sda", "sda1/partition", "1");
        machine.set("sda", "sda2/partition", "2");
        for (place, holder) in holders {
            machine.set(place, &format!("holders/{holder}"), "");
        }
        machine
    }

    #[track_caller]
    fn check(holders: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(stack(machine(holders).root(), "sda"), expected);
    }

    #[test]
    fn what_stands_on_others_is_stopped_first() {
        check(&[], &[]);
        check(&[("sda", "md127")], &["md127"]);
        check(
            &[("sda/sda2", "md0"), ("md0", "dm-0"), ("dm-0", "dm-2"), ("dm-0", "dm-1")],
            &["dm-1", "dm-2", "dm-0", "md0"],
        );
        check(
            &[("sda/sda1", "dm-0"), ("sda/sda2", "dm-0"), ("sda/sda2", "dm-1"), ("dm-0", "dm-1")],
            &["dm-1", "dm-0"],
        );
        check(&[("sda", "dm-0"), ("dm-0", "dm-1"), ("dm-1", "dm-0")], &["dm-1", "dm-0"]);
    }

    #[test]
    fn arrays_are_stopped_and_others_are_named() {
        let machine = machine(&[("sda", "md0")]);
        machine.set("md0", "md/array_state", "active");
        assert_eq!(release(machine.root(), "sda").expect("released"), ["md0"]);
        assert_eq!(machine.get("md0", "md/array_state"), "clear");
        machine.set("sda", "holders/bcache0", "");
        let error = release(machine.root(), "sda").expect_err("a refusal").to_string();
        assert!(error.contains("sda is held by bcache0"), "{error}");
    }

    #[test]
    fn the_mappers_request_is_as_the_kernel_has_it() {
        assert_eq!(size_of::<MapperRequest>(), 312);
        assert_eq!(std::mem::offset_of!(MapperRequest, device), 40);
        assert_eq!(std::mem::offset_of!(MapperRequest, name), 48);
        let request = request("vg-root").expect("a request");
        assert_eq!((&request.name[..8], request.data_bytes), (&b"vg-root\0"[..], 312));
        assert!(super::request(&"x".repeat(128)).is_err());
    }
}
