//! Names of PCI vendors and devices, from the `pci.ids` file.

use std::path::Path;

use bytes::Bytes;

use super::{ArtifactError, map_file};

/// The names of `pci.ids`: the file is mapped, and only where each vendor begins is kept (8 bytes each).
#[derive(Debug, Clone, Default)]
pub struct PciNames {
    text: Bytes,
    /// Vendor and the offset of its line, sorted by vendor.
    vendors: Vec<(u16, u32)>,
}

impl PciNames {
    /// Maps the file and finds its vendors. A line that is no vendor's is skipped.
    pub fn load(path: &Path) -> Result<Self, ArtifactError> {
        Ok(Self::index(map_file(path)?))
    }

    fn index(text: Bytes) -> Self {
        let mut vendors = Vec::new();
        let mut offset = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            // The classes stand last, each behind a `C`; nothing of theirs is a vendor.
            if line.starts_with(b"C ") {
                break;
            }
            if let (Some((vendor, _)), Ok(at)) = (entry(line), u32::try_from(offset)) {
                vendors.push((vendor, at));
            }
            offset += line.len();
        }
        vendors.sort_unstable();
        Self { text, vendors }
    }

    /// Name of a vendor, such as `Intel Corporation` for 0x8086.
    pub fn vendor(&self, vendor: u16) -> Option<&str> {
        let (_, name) = entry(self.block(vendor)?.split(|&byte| byte == b'\n').next()?)?;
        std::str::from_utf8(name).ok()
    }

    /// Name of a vendor's device.
    pub fn device(&self, vendor: u16, device: u16) -> Option<&str> {
        let mut lines = self.block(vendor)?.split(|&byte| byte == b'\n');
        lines.next();
        // Comments may stand between devices; an unindented entry is the next vendor.
        lines
            .take_while(|line| line.is_empty() || matches!(line[0], b'\t' | b'#'))
            .filter_map(|line| entry(line.strip_prefix(b"\t")?))
            .find(|(id, _)| *id == device)
            .and_then(|(_, name)| std::str::from_utf8(name).ok())
    }

    /// Everything from a vendor's line on.
    fn block(&self, vendor: u16) -> Option<&[u8]> {
        let at = self.vendors.binary_search_by_key(&vendor, |(id, _)| *id).ok()?;
        self.text.get(self.vendors[at].1 as usize..)
    }
}

/// `8086  Intel Corporation`: four hex digits, two spaces and a name.
fn entry(line: &[u8]) -> Option<(u16, &[u8])> {
    let (id, name) = line.split_at_checked(4)?;
    let id = std::str::from_utf8(id).ok().filter(|id| !id.starts_with('+'))?;
    Some((u16::from_str_radix(id, 16).ok()?, name.strip_prefix(b"  ")?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"# pci.ids\n\n1af4  Red Hat, Inc.\n\t1000  Virtio network device\n\
        \t\t1af4 0001  Virtio subsystem\n# a remark\n\t1001  Virtio block device\n\
        8086  Intel Corporation\n\t1000  82542\nC 02  Network controller\n\t00  Ethernet\nffff  Not a vendor\n";

    #[test]
    fn names_are_found() {
        let names = PciNames::index(Bytes::from_static(TEXT));
        let check = |vendor, device, expected: (Option<&str>, Option<&str>)| {
            assert_eq!((names.vendor(vendor), names.device(vendor, device)), expected);
        };
        check(0x1af4, 0x1000, (Some("Red Hat, Inc."), Some("Virtio network device")));
        check(0x1af4, 0x1001, (Some("Red Hat, Inc."), Some("Virtio block device")));
        check(0x8086, 0x1000, (Some("Intel Corporation"), Some("82542")));
        check(0x8086, 0x1001, (Some("Intel Corporation"), None));
        check(0x1234, 0x1000, (None, None));
        check(0xffff, 0x0000, (None, None));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "([0-9a-f+]{4}  |\t|\n|C |#|.){0,60}", vendor: u16, device: u16) {
            let names = PciNames::index(Bytes::from(text));
            for (vendor, _) in &names.vendors {
                names.vendor(*vendor);
                names.device(*vendor, device);
            }
            names.device(vendor, device);
        }
    }
}
