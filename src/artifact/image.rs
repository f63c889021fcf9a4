//! Disk images as bytes: how they are packed, and how large the disk is that they hold.

use ironwake_api::Packing;

/// Sectors of the disks that images are written to; a disk has a whole number of them.
const SECTOR_BYTES: u64 = 512;

/// So many bytes from the beginning tell what an image is.
pub const HEAD_BYTES: usize = 512;

/// Packings by how their bytes begin; what is none of them is a disk as it is.
const PACKINGS: &[(&[u8], Packing)] = &[
    (b"\x1f\x8b\x08", Packing::Gzip), // RFC 1952 section 2.3: the method is always deflate
    (b"\xfd7zXZ\0", Packing::Xz),     // The .xz File Format, section 2.1.1.1
    (b"\x28\xb5\x2f\xfd", Packing::Zstd), // RFC 8878 section 3.1.1
    (b"BZh", Packing::Bzip2),         // bzip2: a digit follows, the block size
];

/// Formats of virtual machines, by what stands where; written as they are, they would not boot.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"KDMV", "VMDK"),
    (0, b"vhdxfile", "VHDX"),
    (0, b"conectix", "VHD"),
    (0x40, b"\x7f\x10\xda\xbe", "VDI"),
];

/// An image that cannot be written to a disk as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is a {0} image, which no machine boots from: convert it, `qemu-img convert -O qcow2 IMAGE disk.qcow2`, \
     and import disk.qcow2, or a raw image packed with xz, zstd, gzip or bzip2"
)]
pub struct ForeignFormat(pub &'static str);

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A disk, packed like this.
    Disk(Packing),
    /// An image of QEMU, which is converted.
    Qcow2,
}

/// What an image is that begins with `head` ([`HEAD_BYTES`], or all of it). Only bytes count, never a name.
pub fn recognise(head: &[u8]) -> Result<Shape, ForeignFormat> {
    let stands = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((.., name)) = FOREIGN.iter().find(|(at, magic, _)| stands(*at, magic)) {
        return Err(ForeignFormat(name));
    }
    if head.starts_with(super::qcow2::MAGIC) {
        return Ok(Shape::Qcow2);
    }
    let packing = PACKINGS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, packing)| *packing);
    Ok(Shape::Disk(match packing {
        // Three letters are few: a disk may begin with them.
        Some(Packing::Bzip2) if !head.get(3).is_some_and(|digit| matches!(digit, b'1'..=b'9')) => {
            Packing::Raw
        }
        found => found.unwrap_or(Packing::Raw),
    }))
}

/// Bytes of the disk that is packed in `bytes`, a whole number of sectors. `None` where the format does not say it,
/// or the bytes are not what they seem: gzip knows its size only modulo 4 GiB, bzip2 not at all.
pub fn disk_bytes(packing: Packing, bytes: &[u8]) -> Option<u64> {
    let size = match packing {
        Packing::Raw => Some(bytes.len() as u64),
        Packing::Xz => xz_bytes(bytes),
        Packing::Zstd => zstd_bytes(bytes),
        Packing::Gzip | Packing::Bzip2 => None,
    };
    size?.checked_next_multiple_of(SECTOR_BYTES)
}

/// Length of the header and of the footer of an xz stream.
const XZ_HEADER_BYTES: usize = 12;
/// Zeros between streams and after the last; whoever writes more writes something else.
const XZ_PADDING_BYTES_MAX: usize = 1 << 20;

/// The .xz File Format, sections 2 and 4: streams end with an index of their blocks, so they are read backwards.
fn xz_bytes(bytes: &[u8]) -> Option<u64> {
    let mut rest = bytes;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let mut padding = 0;
        while let Some(shorter) = rest.strip_suffix(&[0; 4]) {
            (rest, padding) = (shorter, padding + 4);
            if padding > XZ_PADDING_BYTES_MAX {
                return None;
            }
        }
        let (before, footer) = rest.split_last_chunk::<XZ_HEADER_BYTES>()?;
        let backward = u32::from_le_bytes(*footer[4..].first_chunk()?);
        if footer[10..] != *b"YZ" {
            return None;
        }
        let index_bytes = usize::try_from((u64::from(backward) + 1) * 4).ok()?;
        let index = before.get(before.len().checked_sub(index_bytes)?..)?;
        let (blocks_bytes, unpacked) = xz_index(index)?;
        let stream_bytes = blocks_bytes.checked_add((2 * XZ_HEADER_BYTES + index_bytes) as u64)?;
        let start = rest.len().checked_sub(usize::try_from(stream_bytes).ok()?)?;
        if !rest[start..].starts_with(b"\xfd7zXZ\0") {
            return None;
        }
        total = total.checked_add(unpacked)?;
        rest = &rest[..start];
    }
    Some(total)
}

/// Section 4.3: bytes of all blocks as they stand in the file, and unpacked.
fn xz_index(index: &[u8]) -> Option<(u64, u64)> {
    let mut rest = index.strip_prefix(&[0])?;
    let (mut packed, mut unpacked) = (0_u64, 0_u64);
    for _ in 0..xz_number(&mut rest)? {
        packed = packed.checked_add(xz_number(&mut rest)?.checked_next_multiple_of(4)?)?;
        unpacked = unpacked.checked_add(xz_number(&mut rest)?)?;
    }
    Some((packed, unpacked))
}

/// Section 1.2: seven bits in each byte, the least significant first.
fn xz_number(bytes: &mut &[u8]) -> Option<u64> {
    const BYTES_MAX: u32 = 9;
    let mut number = 0;
    for place in 0..BYTES_MAX {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// RFC 8878 section 3.1: frames one after the other, each with its size at its head if its writer knew it.
fn zstd_bytes(bytes: &[u8]) -> Option<u64> {
    let mut rest = bytes;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let magic = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
        match magic {
            0xfd2f_b528 => total = total.checked_add(zstd_frame(&mut rest)?)?,
            // Frames that decoders skip.
            0x184d_2a50..=0x184d_2a5f => {
                let length = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
                rest.split_off(..length as usize)?;
            }
            _ => return None,
        }
    }
    Some(total)
}

/// Takes one frame behind its magic number; its content's size.
fn zstd_frame(rest: &mut &[u8]) -> Option<u64> {
    let descriptor = *rest.split_off_first()?;
    let single_segment = descriptor & 0x20 != 0;
    let window_bytes = usize::from(!single_segment);
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    rest.split_off(..window_bytes + dictionary_bytes)?;
    let size_bytes = match descriptor >> 6 {
        0 if !single_segment => return None,
        power => 1 << power,
    };
    let mut size = [0; 8];
    size[..size_bytes].copy_from_slice(rest.split_off(..size_bytes)?);
    // Two bytes count from 256 on: smaller sizes fit into one.
    let size = u64::from_le_bytes(size) + if size_bytes == 2 { 256 } else { 0 };
    loop {
        let [low, middle, high] = *rest.split_off(..3)?.first_chunk()?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let content_bytes = match header >> 1 & 3 {
            0 | 2 => header >> 3,
            // One byte, again and again.
            1 => 1,
            _ => return None,
        };
        rest.split_off(..content_bytes as usize)?;
        if header & 1 != 0 {
            break;
        }
    }
    let checksum_bytes = if descriptor & 4 != 0 { 4 } else { 0 };
    rest.split_off(..checksum_bytes)?;
    Some(size)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn check(head: &[u8], expected: Result<Packing, &str>) {
        let found = recognise(head).map_err(|format| format.0);
        assert_eq!(found, expected.map(Shape::Disk), "{head:?}");
    }

    #[test]
    fn packings_are_told_by_their_bytes() {
        check(b"\x1f\x8b\x08\0", Ok(Packing::Gzip));
        check(b"\xfd7zXZ\0\0\x04", Ok(Packing::Xz));
        check(b"\x28\xb5\x2f\xfd\x24", Ok(Packing::Zstd));
        check(b"BZh91AY&SY", Ok(Packing::Bzip2));
        for raw in [&b""[..], b"\xeb\x63\x90", b"BZhello", b"\x1f\x8b\x07", b"\xfd7zXZ"] {
            check(raw, Ok(Packing::Raw));
        }
    }

    #[test]
    fn what_installers_boot_from_is_taken_as_it_is() {
        let mut kernel = b"MZ\xea\x07\0\xc0\x07".to_vec();
        kernel.resize(HEAD_BYTES, 0);
        check(&kernel, Ok(Packing::Raw));
        check(b"070701000002d1", Ok(Packing::Raw));
        // The first 32 KiB of an ISO 9660 filesystem are the loader's.
        check(&[0; HEAD_BYTES], Ok(Packing::Raw));
    }

    #[test]
    fn formats_of_virtual_machines_are_refused_with_a_remedy() {
        assert_eq!(recognise(b"QFI\xfb\0\0\0\x03"), Ok(Shape::Qcow2));
        check(b"KDMV\x01", Err("VMDK"));
        let mut vdi = b"<<< Oracle VM VirtualBox Disk Image >>>\n".to_vec();
        vdi.resize(0x40, 0);
        check(&[&vdi[..], b"\x7f\x10\xda\xbe"].concat(), Err("VDI"));
        assert!(ForeignFormat("VMDK").to_string().contains("qemu-img convert -O qcow2"));
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_size_of_a_disk_is_whole_sectors_of_all_that_is_packed() {
        assert_eq!(disk_bytes(Packing::Raw, &[1; 513]), Some(1024));
        assert_eq!(disk_bytes(Packing::Gzip, &[0; 64]), None);
        let one = xz(&[7; 100_000]);
        assert_eq!(disk_bytes(Packing::Xz, &one), Some(100_352));
        let two = [&one[..], &[0; 8], &xz(&[1; 412]), &[0; 4]].concat();
        assert_eq!(disk_bytes(Packing::Xz, &two), Some(100_864));
        for spoilt in [&one[..one.len() - 1], &one[4..], b"\xfd7zXZ\0", &[0; 64][..]] {
            assert_eq!(disk_bytes(Packing::Xz, spoilt), None);
        }
    }

    /// A frame of zeros in blocks of one repeated byte, with its size in a field of this length.
    fn zstd(blocks: u32, size_bytes: usize) -> Vec<u8> {
        const BLOCK_BYTES: u32 = 1000;
        let flag =
            [(1, 0x20), (2, 0x40), (4, 0x80), (8, 0xc0)].iter().find(|row| row.0 == size_bytes).unwrap().1;
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, flag];
        if size_bytes != 1 {
            frame.push(0x58);
        }
        let size = u64::from(blocks * BLOCK_BYTES) - if size_bytes == 2 { 256 } else { 0 };
        frame.extend(&size.to_le_bytes()[..size_bytes]);
        for number in 1..=blocks {
            let header = BLOCK_BYTES << 3 | 1 << 1 | u32::from(number == blocks);
            frame.extend(&header.to_le_bytes()[..3]);
            frame.push(0);
        }
        frame
    }

    #[test]
    fn zstandard_says_its_size_in_every_frame() {
        assert_eq!(disk_bytes(Packing::Zstd, &zstd(2, 2)), Some(2048));
        let skipped = b"\x50\x2a\x4d\x18\x02\0\0\0ab";
        let frames = [&zstd(3, 8)[..], skipped, &zstd(1, 4)].concat();
        assert_eq!(disk_bytes(Packing::Zstd, &frames), Some(4096));
        assert_eq!(disk_bytes(Packing::Zstd, &frames[..frames.len() - 1]), None);
        // Written by a program that did not know how much would come.
        assert_eq!(disk_bytes(Packing::Zstd, b"\x28\xb5\x2f\xfd\0\x58\x01\0\0"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
            let real = xz(&bytes);
            let spoilt = [&real[..cut.min(real.len())], &bytes[..], &real[cut.min(real.len())..]].concat();
            for packing in [Packing::Raw, Packing::Xz, Packing::Zstd] {
                disk_bytes(packing, &bytes);
                disk_bytes(packing, &spoilt);
                disk_bytes(packing, &[b"\x28\xb5\x2f\xfd", &bytes[..]].concat());
            }
            let _ = recognise(&bytes);
        }
    }
}
