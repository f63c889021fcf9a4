//! What of `/var` goes along: the appliance's state and what it changed in `/etc`, as they are at one moment.
//!
//! The copy is made of hard links beside what it is a copy of, so it takes no room: files of the state directory are replaced
//! whole, never rewritten, but for the database, of which SQLite makes a copy.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use super::layout::Span;
use super::perform::InstallError;
use crate::builders::{Child, ChildError};
use crate::store;

/// Folders of `/var` that go along; the journal, caches and what is being built do not. The machine-id is in what was changed in
/// `/etc`: the disk is the same appliance, with the same address from a DHCP server and the same key of sealed credentials.
const KEPT: [&str; 5] = [
    "lib/ironwake",
    "lib/ironwake-ssh",
    "lib/appliance",
    // When the clock was right last, and the key of credentials that are bound to this host.
    "lib/systemd/timesync",
    "lib/systemd/credential.secret",
];
/// What of these does not: half of something, and what is for the medium that was booted, as the mounts of an ISO.
const LEFT: [&str; 3] =
    ["lib/appliance/factory-reset", "lib/appliance/etc/work", "lib/appliance/etc/upper/fstab"];
/// Endings of files that are not whole yet.
const PARTIAL: [&str; 3] = [".partial", ".download", ".new"];
const DATABASE: &str = "lib/ironwake/ironwake.db";
/// The overlay's own folder, which it wants empty.
const OVERLAY_WORK: &str = "lib/appliance/etc/work";
/// A file that goes while its folder is copied makes the copy fail.
const TRIES: u32 = 3;
/// What ext4 takes of a partition for itself, at most: a sixty-fourth for inodes, a journal, and copies of its superblock.
const OVERHEAD_SHARE: u64 = 40;
const OVERHEAD_BYTES: u64 = 96 << 20;
const BLOCK_BYTES: u64 = 4096;
const LABEL: &str = "ironwake-var";
const DEPTH_MAX: usize = 64;

const WHAT: &str = "copy configuration and state";

fn failed(error: io::Error) -> InstallError {
    InstallError::step(WHAT, error.to_string())
}

/// Makes the copy of `var` in `folder`, on the same filesystem; how many bytes it has.
pub fn gather(var: &Path, folder: &Path) -> Result<u64, InstallError> {
    let mut tried = 0;
    while let Err(error) = link(var, folder) {
        tried += 1;
        if tried == TRIES {
            return Err(error.into());
        }
    }
    for left in LEFT {
        remove(&folder.join(left)).map_err(failed)?;
    }
    prune(folder, 0).map_err(failed)?;
    database(var, folder)?;
    let work = folder.join(OVERLAY_WORK);
    if let Some(parent) = work.parent().filter(|parent| parent.is_dir()) {
        fs::create_dir(parent.join("work")).map_err(failed)?;
    }
    size(folder, 0).map_err(failed)
}

fn link(var: &Path, folder: &Path) -> Result<(), ChildError> {
    let file = |source| ChildError::File { path: folder.to_owned(), source };
    remove(folder).map_err(file)?;
    fs::create_dir_all(folder).map_err(file)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(file)?;
    let there: Vec<&str> = KEPT.into_iter().filter(|kept| var.join(kept).exists()).collect();
    if there.is_empty() {
        return Ok(());
    }
    // Attributes too: a folder that the overlay replaces is marked by one.
    let copy =
        Child::new("cp", WHAT).args(["--archive", "--link", "--parents", "--one-file-system"]).args(there);
    copy.arg(folder).within(var).run(&mut |line| tracing::debug!(line))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Takes out what is not whole.
fn prune(folder: &Path, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEPTH_MAX {
            prune(&entry.path(), depth + 1)?;
        } else if kind.is_file() && PARTIAL.iter().any(|ending| name.ends_with(ending)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The database as it is between two transactions, without its log.
fn database(var: &Path, folder: &Path) -> Result<(), InstallError> {
    let (from, to) = (var.join(DATABASE), folder.join(DATABASE));
    for ending in ["", "-wal", "-shm", "-journal", ".lock"] {
        remove(&folder.join(format!("{DATABASE}{ending}"))).map_err(failed)?;
    }
    let metadata = match fs::metadata(&from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(failed)?,
    };
    store::snapshot(&from, &to).map_err(|error| {
        let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        InstallError::step(WHAT, format!("{error}{why}"))
    })?;
    fs::set_permissions(&to, fs::Permissions::from_mode(metadata.mode() & 0o7777)).map_err(failed)?;
    chown(&to, Some(metadata.uid()), Some(metadata.gid())).map_err(failed)
}

fn size(folder: &Path, depth: usize) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true if depth < DEPTH_MAX => BLOCK_BYTES + size(&entry.path(), depth + 1)?,
            _ => entry.metadata()?.len().next_multiple_of(BLOCK_BYTES),
        };
    }
    Ok(bytes)
}

/// Whether so much fits into a partition.
pub fn fits(bytes: u64, span: Span) -> bool {
    let room = span.size - span.size / OVERHEAD_SHARE;
    bytes.saturating_add(OVERHEAD_BYTES) <= room
}

/// Makes the filesystem on the disk with the copy in it. Nothing is mounted.
pub fn write(folder: &Path, disk: &Path, span: Span, uuid: uuid::Uuid) -> Result<(), InstallError> {
    let offset = format!("offset={},nodiscard,lazy_itable_init=1", span.start);
    let blocks = (span.size / BLOCK_BYTES).to_string();
    let make = Child::new("mkfs.ext4", WHAT)
        .args(["-q", "-F", "-b", "4096", "-I", "256", "-m", "0", "-O", "has_journal", "-L", LABEL])
        .args(["-U", &uuid.to_string(), "-E", &offset, "-d"])
        .arg(folder)
        .arg(disk)
        .arg(blocks);
    Ok(make.run(&mut |line| tracing::debug!(line))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_known_before() {
        const GIB: u64 = 1 << 30;
        let span = Span { start: 0, size: 4 * GIB };
        assert!(fits(0, span) && fits(3 * GIB, span));
        assert!(!fits(4 * GIB, span) && !fits(u64::MAX, span));
    }

    #[test]
    fn the_copy_has_state_and_nothing_of_the_medium() {
        let root = tempfile::tempdir().expect("a folder");
        let var = root.path().join("var");
        let put = |name: &str| {
            let path = var.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, name).expect("a file");
        };
        let kept = [
            "lib/ironwake/site.key",
            "lib/ironwake/imports/aa",
            "lib/ironwake-ssh/host_key",
            "lib/appliance/etc/upper/machine-id",
        ];
        let left = [
            "lib/ironwake/imports/k.download",
            "lib/ironwake/ironwake.db-wal",
            "lib/appliance/factory-reset",
            "log/journal/x",
            "lib/systemd/random-seed",
            concat!("lib/appliance/etc/work", "/index"),
            "lib/appliance/etc/upper/fstab",
        ];
        kept.into_iter().chain(left).for_each(put);
        let copy = root.path().join("copy");
        let bytes = gather(&var, &copy).expect("a copy");
        assert!(bytes >= 4 * BLOCK_BYTES, "{bytes}");
        for name in kept {
            assert_eq!(fs::read_to_string(copy.join(name)).expect(name), name);
        }
        for name in left {
            assert!(!copy.join(name).exists() && var.join(name).exists(), "{name}");
        }
        assert_eq!(fs::read_dir(copy.join(OVERLAY_WORK)).expect("the overlay's folder").count(), 0);
        let links = fs::metadata(copy.join("lib/ironwake/imports/aa")).expect("a file").nlink();
        assert_eq!(links, 2, "it takes no room");
        gather(&var, &copy).expect("again");
    }
}
