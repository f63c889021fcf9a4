//! PCI functions and display controllers.

use std::path::Path;

use ironwake_api::{Gpu, PciDevice};

use super::sysfs;

/// Functions of one machine at most.
const FUNCTIONS_MAX: usize = 2048;
/// The first two digits of a display controller's class.
const DISPLAY: &str = "03";

/// Reads all functions below `root`.
pub fn read(root: &Path) -> Vec<PciDevice> {
    let all = sysfs::entries(&root.join("sys/bus/pci/devices")).into_iter();
    all.filter(|(address, _)| is_address(address))
        .filter_map(|(address, folder)| read_function(address, &folder))
        .take(FUNCTIONS_MAX)
        .collect()
}

fn read_function(address: String, folder: &Path) -> Option<PciDevice> {
    let digits = |name: &str| {
        let text = sysfs::text(&folder.join(name))?;
        let digits = text.strip_prefix("0x")?.to_ascii_lowercase();
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)
    };
    let pair = |vendor: &str, device: &str| Some(format!("{}:{}", digits(vendor)?, digits(device)?));
    Some(PciDevice {
        id: pair("vendor", "device")?,
        subsystem: pair("subsystem_vendor", "subsystem_device").filter(|id| id != "0000:0000"),
        class: digits("class").unwrap_or_default(),
        driver: sysfs::link_name(&folder.join("driver")),
        address,
        ..PciDevice::default()
    })
}

/// The display controllers among them.
pub fn gpus(functions: &[PciDevice]) -> Vec<Gpu> {
    let display = functions.iter().filter(|function| function.class.starts_with(DISPLAY));
    display.map(|f| Gpu { pci: f.address.clone(), id: f.id.clone(), ..Gpu::default() }).collect()
}

/// Whether a name is a PCI address such as `0000:00:1f.2`.
pub fn is_address(name: &str) -> bool {
    let hex =
        |part: &str, length: usize| part.len() >= length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut parts = name.split([':', '.']);
    let (domain, bus, slot, function) = (parts.next(), parts.next(), parts.next(), parts.next());
    parts.next().is_none()
        && domain.is_some_and(|part| hex(part, 4))
        && bus.is_some_and(|part| hex(part, 2))
        && slot.is_some_and(|part| hex(part, 2))
        && function.is_some_and(|part| hex(part, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_names() {
        for (name, expected) in [
            ("0000:00:1f.2", true),
            ("10000:e1:00.0", true),
            ("pci0000:00", false),
            ("1-1:1.0", false),
            ("", false),
        ] {
            assert_eq!(is_address(name), expected, "{name}");
        }
    }
}
