//! Files put into a written filesystem. Symbolic links are followed within it and never out of it.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
};

use ironwake_api::{Disk, InjectedFile, Partition, PartitionChoice};
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, renameat},
    sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat},
    unistd::{UnlinkatFlags, unlinkat},
};

use crate::chance;

/// Folders of a path at most.
const DEPTH_MAX: usize = 64;
/// One name, on every filesystem.
const NAME_BYTES_MAX: usize = 200;
/// Permission bits, with set-user-ID, set-group-ID and sticky.
const MODE_MAX: u32 = 0o7777;
const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o755);

/// Why a file could not be put there.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// Such a path or mode is not allowed.
    #[error("{path:?}: {reason}")]
    Unusable {
        /// The file.
        path: String,
        /// What would be right.
        reason: &'static str,
    },
    /// No partition, or several.
    #[error("{path:?}: {found} partitions of the written disk are {choice}, one is needed")]
    Partition {
        /// The file.
        path: String,
        /// How many.
        found: usize,
        /// Which was meant.
        choice: String,
    },
    /// The filesystem refuses.
    #[error("write {path:?}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The names that a path consists of, if it is an absolute one without detours.
pub fn parse_path(file: &InjectedFile) -> Result<Vec<&str>, InjectError> {
    let unusable = |reason| Err(InjectError::Unusable { path: file.path.clone(), reason });
    let Some(path) = file.path.strip_prefix('/') else {
        return unusable("a path begins with a slash");
    };
    let names: Vec<&str> = path.split('/').collect();
    let sane = |name: &&str| {
        !matches!(*name, "" | "." | "..") && name.len() <= NAME_BYTES_MAX && !name.contains('\0')
    };
    if names.len() > DEPTH_MAX || !names.iter().all(sane) {
        return unusable("a path has no empty, `.` or `..` part, at most 64 parts of at most 200 bytes");
    }
    if file.mode > MODE_MAX {
        return unusable("a mode has permission bits only, 0o7777 at most");
    }
    Ok(names)
}

/// The partition that is meant; exactly one has to be.
pub fn choose<'a>(disk: &'a Disk, file: &InjectedFile) -> Result<&'a Partition, InjectError> {
    let meant = |partition: &&Partition| match &file.partition {
        PartitionChoice::Number(number) => partition.number == *number,
        PartitionChoice::Label(label) => {
            partition.label.as_ref() == Some(label) || partition.name.as_ref() == Some(label)
        }
    };
    let found: Vec<&Partition> = disk.partitions.iter().filter(meant).collect();
    match found[..] {
        [partition] => Ok(partition),
        _ => Err(InjectError::Partition {
            path: file.path.clone(),
            found: found.len(),
            choice: match &file.partition {
                PartitionChoice::Number(number) => format!("number {number}"),
                PartitionChoice::Label(label) => format!("labelled {label:?}"),
            },
        }),
    }
}

/// Writes one file below `root`, in place of whatever has its name. It is on the medium when this returns.
/// `has_modes` is false where the filesystem (FAT) keeps none.
pub fn write_file(root: &OwnedFd, file: &InjectedFile, has_modes: bool) -> Result<(), InjectError> {
    let names = parse_path(file)?;
    let (Some(name), folders) = (names.last(), &names[..names.len() - 1]) else { return Ok(()) };
    let failed = |source: io::Error| InjectError::Io { path: file.path.clone(), source };
    let folder = open_folder(root, folders).map_err(|errno| failed(errno.into()))?;
    // Written beside its place and moved there: a link of that name is replaced, not followed.
    let beside = format!(".{:016x}", chance::bits());
    let result = write_beside(&folder, &beside, file, has_modes).and_then(|()| {
        renameat(&folder, beside.as_str(), &folder, *name)?;
        File::from(folder.try_clone()?).sync_all()
    });
    result.map_err(|error| {
        let _ = unlinkat(&folder, beside.as_str(), UnlinkatFlags::NoRemoveDir);
        failed(error)
    })
}

fn write_beside(folder: &OwnedFd, name: &str, file: &InjectedFile, has_modes: bool) -> io::Result<()> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    // Nobody else reads it before it has its mode.
    let mut out = File::from(openat(folder, name, flags, Mode::from_bits_truncate(0o600))?);
    out.write_all(file.content.as_bytes())?;
    if has_modes {
        out.set_permissions(Permissions::from_mode(file.mode))?;
    }
    out.sync_all()
}

/// Opens the folder that `names` lead to, and makes those that are missing.
fn open_folder(root: &OwnedFd, names: &[&str]) -> nix::Result<OwnedFd> {
    let mut folder = open_within(root, ".")?;
    for depth in 1..=names.len() {
        let path = names[..depth].join("/");
        folder = match open_within(root, &path) {
            Err(Errno::ENOENT) => {
                match mkdirat(&folder, names[depth - 1], FOLDER_MODE) {
                    // The process's own mask may have taken bits away.
                    Ok(()) => {
                        let _ =
                            fchmodat(&folder, names[depth - 1], FOLDER_MODE, FchmodatFlags::FollowSymlink);
                    }
                    // A link into nowhere.
                    Err(Errno::EEXIST) => return Err(Errno::ENOENT),
                    Err(errno) => return Err(errno),
                }
                open_within(root, &path)?
            }
            result => result?,
        };
    }
    Ok(folder)
}

/// `root` is the root of everything that the path and its links name.
fn open_within(root: &OwnedFd, path: &str) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    openat2(root, path, how)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::*;

    fn file(path: &str, mode: u32) -> InjectedFile {
        let partition = PartitionChoice::Label("root".into());
        InjectedFile { partition, path: path.into(), mode, content: format!("of {path}") }
    }

    fn put(root: &Path, path: &str, mode: u32) -> Result<(), InjectError> {
        let root = OwnedFd::from(File::open(root).expect("a folder"));
        write_file(&root, &file(path, mode), true)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("a file")
    }

    #[test]
    fn folders_are_made_and_modes_set() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        put(root, "/etc/ironwake/token", 0o600).expect("written");
        put(root, "/etc/ironwake/run", 0o755).expect("written");
        let mode =
            |path: &str| fs::metadata(root.join(path)).expect("an entry").permissions().mode() & 0o7777;
        assert_eq!((mode("etc"), mode("etc/ironwake")), (0o755, 0o755));
        assert_eq!((mode("etc/ironwake/token"), mode("etc/ironwake/run")), (0o600, 0o755));
        assert_eq!(text(&root.join("etc/ironwake/token")), "of /etc/ironwake/token");
        put(root, "/etc/ironwake/token", 0o640).expect("replaced");
        assert_eq!(mode("etc/ironwake/token"), 0o640);
        assert_eq!(fs::read_dir(root.join("etc/ironwake")).expect("a folder").count(), 2);
    }

    #[test]
    fn links_are_followed_within_and_never_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, outside) = (folder.path().join("mounted"), folder.path().join("outside"));
        fs::create_dir_all(root.join("usr/etc")).expect("a folder");
        fs::create_dir(&outside).expect("a folder");
        symlink("/usr/etc", root.join("etc")).expect("a link");
        put(&root, "/etc/host", 0o644).expect("written");
        assert_eq!(text(&root.join("usr/etc/host")), "of /etc/host");
        symlink("../outside", root.join("up")).expect("a link");
        symlink(&outside, root.join("away")).expect("a link");
        for path in ["/up/x", "/away/x"] {
            assert!(put(&root, path, 0o644).is_err(), "{path}");
        }
        fs::write(outside.join("victim"), "untouched").expect("a file");
        symlink(outside.join("victim"), root.join("usr/etc/conf")).expect("a link");
        put(&root, "/etc/conf", 0o644).expect("replaced");
        assert_eq!(text(&root.join("usr/etc/conf")), "of /etc/conf");
        assert_eq!(text(&outside.join("victim")), "untouched");
        assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 1);
    }

    #[test]
    fn paths_and_modes_that_make_no_sense_are_refused() {
        let path = |path: &str, mode| parse_path(&file(path, mode)).is_ok();
        assert!(path("/a", 0o7777) && path("/a/b.c/d", 0));
        for bad in
            ["", "a", "/", "/a//b", "/a/", "/../a", "/a/./b", "/a\0b", &format!("/{}", "x".repeat(201))]
        {
            assert!(!path(bad, 0o600), "{bad:?}");
        }
        assert!(!path("/a", 0o10000));
    }

    #[test]
    fn exactly_one_partition_is_meant() {
        let partition = |number, label: &str, name: &str| Partition {
            number,
            label: Some(label.into()),
            name: Some(name.into()),
            ..Partition::default()
        };
        let disk = Disk {
            partitions: vec![partition(1, "root", "a"), partition(2, "x", "b"), partition(3, "y", "b")],
            ..Disk::default()
        };
        let check = |choice| {
            let file = InjectedFile { partition: choice, ..file("/x", 0) };
            choose(&disk, &file).map(|partition| partition.number).map_err(|error| error.to_string())
        };
        assert_eq!(check(PartitionChoice::Number(2)), Ok(2));
        assert_eq!(check(PartitionChoice::Label("root".into())), Ok(1));
        assert_eq!(check(PartitionChoice::Label("a".into())), Ok(1));
        for (choice, found) in [
            (PartitionChoice::Label("b".into()), "2 partitions"),
            (PartitionChoice::Number(9), "0 partitions"),
        ] {
            let error = check(choice).expect_err("a refusal");
            assert!(error.contains(found), "{error}");
        }
    }
}
