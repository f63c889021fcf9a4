//! An initramfs: an uncompressed newc archive, the same bytes for the same entries.

use std::collections::BTreeSet;

use hadris_cpio::CpioOptions;
use hadris_cpio::sync::Writer;
use hadris_fs::{Content, DeviceNumber, FileType, Node, PathError, Permissions, SetAttr};

/// Archives are built in memory; what is left of an entry beside its bytes is small.
const ENTRY_BYTES: usize = 512;

/// Packs an archive. Directories that the files stand in are made; times are zero, the owner is root, and
/// inodes are numbered in the order of the entries, which is that of their names.
pub(super) fn pack(
    directories: &[&str],
    devices: &[(&str, u32, u32)],
    files: &[(String, u32, &[u8])],
) -> Result<Vec<u8>, PathError> {
    let mut parents: BTreeSet<&str> = BTreeSet::new();
    let paths = files.iter().map(|(path, ..)| path.as_str()).chain(devices.iter().map(|(path, ..)| *path));
    for path in paths {
        parents.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    parents.extend(directories);
    let size = files.iter().map(|(.., bytes)| bytes.len() + ENTRY_BYTES).sum();
    let mut archive = Writer::new(Vec::with_capacity(size), &CpioOptions::new());
    let mode = |mode| SetAttr::new().with_permissions(Permissions::new(mode));
    // A sorted list has every directory before what is in it.
    for path in parents {
        archive.append(path, &Node::dir().with_attrs(mode(0o755)))?;
    }
    for (path, major, minor) in devices {
        let number = DeviceNumber::new(*major, *minor);
        let node = Node::special(FileType::CharDevice, Some(number));
        archive.append(path, &node.with_attrs(mode(0o600)))?;
    }
    let mut files: Vec<_> = files.iter().collect();
    files.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    for (path, permissions, bytes) in files {
        let node = Node::file(Content::bytes(*bytes)).with_attrs(mode(*permissions));
        archive.append(path, &node)?;
    }
    archive.finish().map(|(bytes, _)| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_the_arguments_does_not_matter() {
        let pack = |files: &[(&str, &[u8])]| {
            let files: Vec<_> =
                files.iter().map(|(path, bytes)| ((*path).to_owned(), 0o644, *bytes)).collect();
            pack(&["proc", "dev"], &[("dev/console", 5, 1)], &files).unwrap()
        };
        let archive = pack(&[("init", b"agent"), ("lib/modules/index", b"index")]);
        assert_eq!(archive, pack(&[("lib/modules/index", b"index"), ("init", b"agent")]));
        assert!(archive.starts_with(b"070701"));
        assert_eq!(archive.len() % 4, 0);
        // Every entry's time, the fifth field behind the magic, is zero.
        let at = archive.windows(4).position(|window| window == b"init").unwrap() - 110;
        assert_eq!(&archive[at + 46..at + 54], b"00000000");
    }
}
