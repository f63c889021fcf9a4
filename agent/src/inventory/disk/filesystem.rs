//! What holds a disk or a partition: filesystems, and what joins or encrypts disks. Magic numbers and offsets
//! are those of each format's own documentation or header in the Linux kernel.

use super::contents::Medium;
use crate::inventory::{hex, sysfs::clean, uuid_text};

/// What is read of each partition: ZFS keeps its uberblocks up to here.
const HEAD_BYTES: usize = 256 << 10;
/// Small partitions are probed too, with as much as they have.
const HEAD_BYTES_SMALL: usize = 4096;
const KIB: usize = 1024;

/// What a probe found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// `ext4`, `LVM2_member`, …
    pub kind: String,
    /// Label.
    pub label: Option<String>,
    /// UUID or what the format has in its place.
    pub uuid: Option<String>,
}

type Probe = fn(&[u8]) -> Option<Found>;

/// In this order: what joins or encrypts disks may hold leftovers of a filesystem behind its own header.
const PROBES: [Probe; 16] = [
    luks,
    lvm,
    raid_at_start,
    btrfs,
    xfs,
    squashfs,
    ext,
    swap,
    ntfs,
    exfat,
    fat,
    iso9660,
    zfs,
    erofs,
    f2fs,
    bcachefs,
];

/// Probes the bytes from `start` on, `size_bytes` long.
pub fn probe(medium: &(impl Medium + ?Sized), start: u64, size_bytes: u64) -> Option<Found> {
    let whole = usize::try_from(size_bytes).unwrap_or(usize::MAX).min(HEAD_BYTES);
    let head = medium.read_at(start, whole).or_else(|| medium.read_at(start, whole.min(HEAD_BYTES_SMALL)))?;
    let at_start = PROBES.iter().find_map(|probe| probe(&head));
    // A mirror with its superblock at the end shows its filesystem at the start.
    match at_start {
        Some(found) if found.kind.ends_with("_member") || found.kind == "crypto_LUKS" => Some(found),
        other => raid_at_end(medium, start, size_bytes).or(other),
    }
}

fn found(kind: &str, label: Option<String>, uuid: Option<String>) -> Option<Found> {
    Some(Found { kind: kind.to_owned(), label, uuid })
}

fn has(head: &[u8], at: usize, magic: &[u8]) -> bool {
    head.get(at..at + magic.len()) == Some(magic)
}

fn uuid(head: &[u8], at: usize) -> Option<String> {
    let bytes: &[u8; 16] = head.get(at..at + 16)?.try_into().ok()?;
    (bytes != &[0; 16]).then(|| uuid_text(bytes))
}

fn label(head: &[u8], at: usize, length: usize) -> Option<String> {
    clean(head.get(at..at + length)?)
}

fn number(head: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?))
}

fn luks(head: &[u8]) -> Option<Found> {
    if !has(head, 0, b"LUKS\xba\xbe") {
        return None;
    }
    let label = if has(head, 6, &[0, 2]) { label(head, 24, 48) } else { None };
    found("crypto_LUKS", label, clean(head.get(168..208)?))
}

fn lvm(head: &[u8]) -> Option<Found> {
    let at = (0..4)
        .map(|sector| sector * 512)
        .find(|&at| has(head, at, b"LABELONE") && has(head, at + 24, b"LVM2 001"))?;
    let header = at + usize::try_from(number(head, at + 20)?).ok()?;
    let id = head.get(header..header.checked_add(32)?).filter(|id| id.iter().all(u8::is_ascii_graphic));
    let id = id.map(|id| {
        let text = String::from_utf8_lossy(id);
        let cuts = [0, 6, 10, 14, 18, 22, 26, 32];
        cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect::<Vec<_>>().join("-")
    });
    found("LVM2_member", None, id)
}

const RAID_MAGIC: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();

fn raid_1(superblock: &[u8]) -> Option<Found> {
    if !has(superblock, 0, &RAID_MAGIC) || number(superblock, 4)? != 1 {
        return None;
    }
    found("linux_raid_member", label(superblock, 32, 32), uuid(superblock, 16))
}

/// Versions 1.1 (at the start) and 1.2 (4 KiB behind it).
fn raid_at_start(head: &[u8]) -> Option<Found> {
    raid_1(head).or_else(|| raid_1(head.get(4096..)?))
}

/// Versions 1.0 (8 to 12 KiB before the end, at 4 KiB) and 0.90 (the last whole 64 KiB).
fn raid_at_end(medium: &(impl Medium + ?Sized), start: u64, size_bytes: u64) -> Option<Found> {
    let at = |back: u64, align: u64| start.checked_add((size_bytes & !(align - 1)).checked_sub(back)?);
    let superblock = |offset: Option<u64>| medium.read_at(offset?, 4096);
    let end_1_0 = size_bytes.checked_sub(8192).map(|at| at & !4095).and_then(|at| start.checked_add(at));
    if let Some(found) = superblock(end_1_0).and_then(|bytes| raid_1(&bytes)) {
        return Some(found);
    }
    let old = superblock(at(65_536, 65_536))?;
    if !has(&old, 0, &RAID_MAGIC) || number(&old, 4)? != 0 {
        return None;
    }
    let mut id = old.get(20..24)?.to_vec();
    id.extend(old.get(52..64)?);
    found("linux_raid_member", None, uuid(&id, 0))
}

fn btrfs(head: &[u8]) -> Option<Found> {
    let block = head.get(64 * KIB..)?;
    has(block, 64, b"_BHRfS_M").then(|| found("btrfs", label(block, 0x12b, 256), uuid(block, 32)))?
}

fn xfs(head: &[u8]) -> Option<Found> {
    has(head, 0, b"XFSB").then(|| found("xfs", label(head, 108, 12), uuid(head, 32)))?
}

fn squashfs(head: &[u8]) -> Option<Found> {
    (has(head, 0, b"hsqs") && has(head, 28, &[4, 0])).then(|| found("squashfs", None, None))?
}

fn ext(head: &[u8]) -> Option<Found> {
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    /// What only ext4 has: extents, 64 bit, flexible groups; huge files, checksums, links, inodes.
    const EXT4_INCOMPATIBLE: u32 = 0x40 | 0x80 | 0x200;
    const EXT4_READ_ONLY: u32 = 0x8 | 0x10 | 0x20 | 0x40 | 0x400;
    let block = head.get(KIB..2 * KIB)?;
    if !has(block, 0x38, &[0x53, 0xef]) {
        return None;
    }
    let (compatible, incompatible, read_only) =
        (number(block, 0x5c)?, number(block, 0x60)?, number(block, 0x64)?);
    let kind = if incompatible & JOURNAL_DEVICE != 0 {
        "jbd"
    } else if incompatible & EXT4_INCOMPATIBLE != 0 || read_only & EXT4_READ_ONLY != 0 {
        "ext4"
    } else if compatible & HAS_JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    };
    found(kind, label(block, 0x78, 16), uuid(block, 0x68))
}

fn swap(head: &[u8]) -> Option<Found> {
    let page = [4096, 8192, 16_384, 65_536]
        .into_iter()
        .find(|page| has(head, page - 10, b"SWAPSPACE2") || has(head, page - 10, b"SWAP-SPACE"))?;
    let modern = has(head, page - 10, b"SWAPSPACE2");
    found("swap", label(head, 1052, 16).filter(|_| modern), uuid(head, 1036).filter(|_| modern))
}

fn ntfs(head: &[u8]) -> Option<Found> {
    if !has(head, 3, b"NTFS    ") {
        return None;
    }
    let serial: Vec<u8> = head.get(72..80)?.iter().rev().copied().collect();
    found("ntfs", None, Some(hex(&serial).to_uppercase()))
}

fn exfat(head: &[u8]) -> Option<Found> {
    has(head, 3, b"EXFAT   ").then(|| found("exfat", None, volume_id(head, 100)))?
}

fn fat(head: &[u8]) -> Option<Found> {
    // The type's text alone also stands in boot code: the sector size must be one.
    let sector_bytes = u16::from_le_bytes(head.get(11..13)?.try_into().ok()?);
    if !has(head, 510, &[0x55, 0xaa]) || ![512, 1024, 2048, 4096].contains(&sector_bytes) {
        return None;
    }
    let (text, id) = if has(head, 82, b"FAT32   ") {
        (71, 67)
    } else if [&b"FAT12   "[..], b"FAT16   ", b"FAT     "].iter().any(|kind| has(head, 54, kind)) {
        (43, 39)
    } else {
        return None;
    };
    found("vfat", label(head, text, 11).filter(|label| label != "NO NAME"), volume_id(head, id))
}

fn volume_id(head: &[u8], at: usize) -> Option<String> {
    number(head, at).map(|id| format!("{:04X}-{:04X}", id >> 16, id & 0xffff))
}

fn iso9660(head: &[u8]) -> Option<Found> {
    let descriptor = head.get(32 * KIB..34 * KIB)?;
    if !has(descriptor, 1, b"CD001") {
        return None;
    }
    // The creation time stands in for a UUID.
    let created = descriptor.get(813..829).filter(|time| time.iter().all(u8::is_ascii_digit));
    let id = created.map(|time| {
        let text = String::from_utf8_lossy(time);
        let cuts = [0, 4, 6, 8, 10, 12, 14, 16];
        cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect::<Vec<_>>().join("-")
    });
    found("iso9660", label(descriptor, 40, 32), id)
}

fn zfs(head: &[u8]) -> Option<Found> {
    const UBERBLOCK: u64 = 0x00ba_b10c;
    let ring = head.get(128 * KIB..256 * KIB)?;
    let both = [UBERBLOCK.to_le_bytes(), UBERBLOCK.to_be_bytes()];
    ring.chunks(KIB)
        .any(|block| both.iter().any(|magic| block.starts_with(magic)))
        .then(|| found("zfs_member", None, None))?
}

fn erofs(head: &[u8]) -> Option<Found> {
    let block = head.get(KIB..)?;
    has(block, 0, &0xe0f5_e1e2_u32.to_le_bytes())
        .then(|| found("erofs", label(block, 64, 16), uuid(block, 48)))?
}

fn f2fs(head: &[u8]) -> Option<Found> {
    let block = head.get(KIB..)?;
    has(block, 0, &0xf2f5_2010_u32.to_le_bytes()).then(|| found("f2fs", None, uuid(block, 108)))?
}

fn bcachefs(head: &[u8]) -> Option<Found> {
    const MAGIC: [u8; 16] =
        [0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef];
    let block = head.get(4096..)?;
    has(block, 24, &MAGIC).then(|| found("bcachefs", label(block, 72, 32), uuid(block, 56)))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &[u8] = &[0x11; 16];
    const ID_TEXT: &str = "11111111-1111-1111-1111-111111111111";

    fn disk(fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut disk = vec![0; 512 * KIB];
        for (at, bytes) in fields {
            disk[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        disk
    }

    fn check(fields: &[(usize, &[u8])], kind: &str, label: Option<&str>, uuid: Option<&str>) {
        let disk = disk(fields);
        let found = probe(&disk[..], 0, disk.len() as u64).unwrap_or_default();
        assert_eq!((found.kind.as_str(), found.label.as_deref(), found.uuid.as_deref()), (kind, label, uuid));
    }

    #[test]
    fn filesystems_are_recognised() {
        let ext = |extra: (usize, &'static [u8])| -> Vec<(usize, &'static [u8])> {
            vec![
                (1080, &[0x53, 0xef]),
                (1024 + 0x68, ID),
                (1024 + 0x78, b"root\0"),
                (1024 + 0x5c, &[4]),
                extra,
            ]
        };
        check(&ext((1024 + 0x60, &[0x42, 2])), "ext4", Some("root"), Some(ID_TEXT));
        check(&ext((0, &[0])), "ext3", Some("root"), Some(ID_TEXT));
        check(&ext((1024 + 0x5c, &[0])), "ext2", Some("root"), Some(ID_TEXT));
        check(&[(0, b"XFSB"), (32, ID), (108, b"data")], "xfs", Some("data"), Some(ID_TEXT));
        check(&[(65_600, b"_BHRfS_M"), (65_568, ID)], "btrfs", None, Some(ID_TEXT));
        let fat32: [(usize, &[u8]); 5] = [
            (82, b"FAT32   "),
            (11, &[0, 2]),
            (510, &[0x55, 0xaa]),
            (71, b"EFI        "),
            (67, &[1, 2, 3, 0xa4]),
        ];
        check(&fat32, "vfat", Some("EFI"), Some("A403-0201"));
        check(
            &[(3, b"NTFS    "), (72, &[1, 2, 3, 4, 5, 6, 7, 0xab])],
            "ntfs",
            None,
            Some("AB07060504030201"),
        );
        check(&[(4086, b"SWAPSPACE2"), (1036, ID), (1052, b"swap")], "swap", Some("swap"), Some(ID_TEXT));
        let iso: [(usize, &[u8]); 3] =
            [(32_769, b"CD001"), (32_808, b"DEBIAN 13      "), (33_581, b"20250809112233000")];
        check(&iso, "iso9660", Some("DEBIAN 13"), Some("2025-08-09-11-22-33-00"));
        check(&[(0, b"hsqs"), (28, &[4, 0])], "squashfs", None, None);
        check(&[], "", None, None);
    }

    #[test]
    fn members_come_before_filesystems() {
        let lvm: [(usize, &[u8]); 5] = [
            (512, b"LABELONE"),
            (532, &[32, 0, 0, 0]),
            (536, b"LVM2 001"),
            (544, b"abcdefghijklmnopqrstuvwxyz012345"),
            (1080, &[0x53, 0xef]),
        ];
        check(&lvm, "LVM2_member", None, Some("abcdef-ghij-klmn-opqr-stuv-wxyz-012345"));
        let luks: [(usize, &[u8]); 4] =
            [(0, b"LUKS\xba\xbe\0\x02"), (24, b"secret"), (168, ID_TEXT.as_bytes()), (1080, &[0x53, 0xef])];
        check(&luks, "crypto_LUKS", Some("secret"), Some(ID_TEXT));
        let raid = |at: usize| -> Vec<(usize, Vec<u8>)> {
            vec![
                (at, RAID_MAGIC.to_vec()),
                (at + 4, vec![1]),
                (at + 16, ID.to_vec()),
                (at + 32, b"host:0".to_vec()),
            ]
        };
        for at in [0, 4096, 512 * KIB - 8192] {
            let mut fields = raid(at);
            fields.push((1080, vec![0x53, 0xef]));
            let fields: Vec<(usize, &[u8])> =
                fields.iter().map(|(at, bytes)| (*at, bytes.as_slice())).collect();
            check(&fields, "linux_raid_member", Some("host:0"), Some(ID_TEXT));
        }
        let old = 448 * KIB;
        check(
            &[(old, &RAID_MAGIC), (old + 20, &[0x11; 4]), (old + 52, &[0x11; 12])],
            "linux_raid_member",
            None,
            Some(ID_TEXT),
        );
        check(&[(140 * KIB, &[0x0c, 0xb1, 0xba, 0])], "zfs_member", None, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_probed(bytes in proptest::collection::vec(any::<u8>(), 0..2048), size in 0u64..4096, which in 0usize..8) {
            let mut disk = bytes;
            let magic: [(usize, &[u8]); 8] = [
                (0, b"LUKS\xba\xbe"), (0, b"LABELONE"), (0, &RAID_MAGIC), (1080, &[0x53, 0xef]),
                (0, b"XFSB"), (3, b"NTFS    "), (510, &[0x55, 0xaa]), (24, b"LVM2 001"),
            ];
            let (at, bytes) = magic[which];
            if disk.len() > at + bytes.len() {
                disk[at..at + bytes.len()].copy_from_slice(bytes);
            }
            probe(&disk[..], 0, size);
            probe(&disk[..], 100, u64::MAX);
        }
    }
}
