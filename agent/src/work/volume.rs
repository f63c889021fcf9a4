//! The partitions of the written disk: waited for, mounted, and grown where the kernel can do that.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ironwake_api::{ApprovedDisk, Disk, Partition};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::inventory::disk;

/// The kernel makes nodes while it reads the table; a disk that is slow to answer is given this long.
const NODE_WAIT: Duration = Duration::from_secs(10);
const NODE_PAUSE: Duration = Duration::from_millis(100);
/// Where a filesystem is mounted while files are put into it.
const MOUNT_POINT: &str = "run/ironwake-volume";

/// What a probe calls it, what the kernel mounts it as, and the modules for that. Checksums and character sets are
/// asked for by mounting only, through a helper program that the image does not have: they are named here.
const FILESYSTEMS: [(&str, &str, &[&str]); 6] = [
    ("ext2", "ext4", &["crc32c_generic", "ext4"]),
    ("ext3", "ext4", &["crc32c_generic", "ext4"]),
    ("ext4", "ext4", &["crc32c_generic", "ext4"]),
    ("xfs", "xfs", &["crc32c_generic", "xfs"]),
    ("btrfs", "btrfs", &["crc32c_generic", "btrfs"]),
    ("vfat", "vfat", &["vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"]),
];

/// Why a filesystem could not be used.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// It has none that could be.
    #[error(
        "partition {number} holds {kind}, which the agent cannot mount: ext4, xfs, btrfs and vfat it can"
    )]
    Unknown {
        /// Partition.
        number: u32,
        /// What it holds.
        kind: String,
    },
    /// The kernel knows nothing of the partition.
    #[error("partition {0} does not appear")]
    Missing(u32),
    /// The kernel refuses.
    #[error("{what} partition {number}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Partition.
        number: u32,
        /// Why not.
        source: io::Error,
    },
}

mod ioctl {
    // fs/ext4/ext4.h.
    nix::ioctl_write_ptr!(ext4_resize, b'f', 16, u64);
}

/// Reads what lies on the written disk.
pub fn read(root: &Path, name: &str) -> io::Result<Disk> {
    let mut found = disk::list(root)
        .into_iter()
        .find(|disk| disk.name == name)
        .ok_or_else(|| io::Error::other(format!("{name} has gone")))?;
    let file = fs::File::open(root.join("dev").join(name))?;
    let sector_bytes = found.sector_bytes.unwrap_or(512);
    disk::read_contents(&file, found.size_bytes, sector_bytes).fill(&mut found);
    Ok(found)
}

/// Every disk that claims to be one of these, as it is now. One that cannot be read is left out.
pub fn as_they_are(root: &Path, approved: &[ApprovedDisk]) -> Vec<Disk> {
    let disks = disk::list(root).into_iter();
    let written = disks.filter(|disk| approved.iter().any(|approved| approved.is_claimed_by(disk)));
    written.filter_map(|disk| read(root, &disk.name).ok()).collect()
}

/// A partition's node. Where the disk's name ends in a digit, a `p` stands between.
pub fn node(root: &Path, disk: &str, number: u32) -> PathBuf {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    root.join("dev").join(format!("{disk}{between}{number}"))
}

/// Waits until the kernel has made the node.
pub fn wait_for(root: &Path, disk: &str, number: u32) -> Result<PathBuf, VolumeError> {
    let (path, began) = (node(root, disk, number), Instant::now());
    while !path.exists() {
        if began.elapsed() > NODE_WAIT {
            return Err(VolumeError::Missing(number));
        }
        thread::sleep(NODE_PAUSE);
    }
    Ok(path)
}

/// A mounted filesystem; unmounted when it goes out of scope.
#[derive(Debug)]
pub struct Volume {
    number: u32,
    kind: &'static str,
    point: PathBuf,
    root: Option<OwnedFd>,
}

impl Volume {
    /// Mounts a partition of `disk`. `load` loads a module by its name.
    pub fn mount(
        root: &Path,
        disk: &str,
        partition: &Partition,
        load: &mut dyn FnMut(&str),
    ) -> Result<Self, VolumeError> {
        let number = partition.number;
        let held = partition.filesystem.as_deref().unwrap_or("nothing known");
        let Some((_, kind, modules)) = FILESYSTEMS.iter().find(|(probed, _, _)| *probed == held) else {
            return Err(VolumeError::Unknown { number, kind: held.to_owned() });
        };
        modules.iter().for_each(|module| load(module));
        let node = wait_for(root, disk, number)?;
        let point = root.join(MOUNT_POINT);
        let failed = |source| VolumeError::Io { what: "mount", number, source };
        fs::create_dir_all(&point).map_err(failed)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some(&node), &point, Some(*kind), flags, None::<&str>).map_err(|errno| failed(errno.into()))?;
        let mut volume = Self { number, kind, point, root: None };
        let opened = fs::File::open(&volume.point).map_err(failed)?;
        volume.root = Some(opened.into());
        Ok(volume)
    }

    /// Its root, open as long as it is mounted.
    pub fn root(&self) -> Option<&OwnedFd> {
        self.root.as_ref()
    }

    /// Whether it keeps permission bits.
    pub fn has_modes(&self) -> bool {
        self.kind != "vfat"
    }

    /// Makes an ext4 filesystem fill its partition.
    pub fn grow(&self, partition_bytes: u64) -> Result<(), VolumeError> {
        let failed = |source| VolumeError::Io { what: "grow the filesystem of", number: self.number, source };
        let Some(root) = &self.root else { return Ok(()) };
        let state = nix::sys::statvfs::fstatvfs(root).map_err(|errno| failed(errno.into()))?;
        let blocks = partition_bytes / state.fragment_size().max(1024);
        // SAFETY: the ioctl reads one number, the blocks wanted, which lives until it returns.
        unsafe { ioctl::ext4_resize(root.as_raw_fd(), &blocks) }.map_err(|errno| failed(errno.into()))?;
        Ok(())
    }

    /// Everything is on the medium, and nothing is mounted any more.
    pub fn close(mut self) -> Result<(), VolumeError> {
        let synced = self.root.as_ref().map_or(Ok(()), nix::unistd::syncfs);
        let unmounted = self.unmount();
        synced.and(unmounted).map_err(|errno| VolumeError::Io {
            what: "unmount",
            number: self.number,
            source: errno.into(),
        })
    }

    fn unmount(&mut self) -> nix::Result<()> {
        // A folder that is open would keep it mounted.
        match self.root.take() {
            Some(root) => drop(root),
            None => return Ok(()),
        }
        umount2(&self.point, MntFlags::empty())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::testing::{Fixture, dos_table};

    #[test]
    fn nodes_have_the_kernels_names() {
        let check = |disk, number, expected: &str| {
            assert_eq!(node(Path::new("/"), disk, number), Path::new("/dev").join(expected));
        };
        check("sda", 1, "sda1");
        check("nvme0n1", 15, "nvme0n1p15");
        check("mmcblk0", 2, "mmcblk0p2");
        check("vdab", 3, "vdab3");
    }

    #[test]
    fn what_was_written_is_read_again() {
        let machine = Fixture::new();
        machine.add_disk("sda", Some("S1"), 2 << 20);
        assert_eq!(read(machine.root(), "sda").expect("a disk").partitions.len(), 0);
        machine.write("sda", 0, &dos_table());
        let disk = read(machine.root(), "sda").expect("a disk");
        let error = Volume::mount(machine.root(), "sda", &disk.partitions[0], &mut |_| {}).expect_err("no");
        assert!(error.to_string().contains("partition 1 holds nothing known"), "{error}");
        assert!(read(machine.root(), "sdb").is_err());
    }
}
