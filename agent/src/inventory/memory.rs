//! Memory: what the kernel can use, and the modules by SMBIOS.

use std::path::Path;

use ironwake_api::Memory;

use super::{smbios::Facts, sysfs};

const MEMINFO_BYTES_MAX: u64 = 64 << 10;

/// Reads memory below `root`.
pub fn read(root: &Path, facts: &Facts) -> Memory {
    let meminfo = sysfs::read_limited(&root.join("proc/meminfo"), MEMINFO_BYTES_MAX).unwrap_or_default();
    let installed = facts.dimms.iter().filter_map(|dimm| dimm.size_bytes).fold(0u64, u64::saturating_add);
    Memory {
        total_bytes: parse_total_bytes(&String::from_utf8_lossy(&meminfo)),
        installed_bytes: (installed > 0).then_some(installed),
        slots: facts.slots,
        dimms: facts.dimms.clone(),
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
pub fn parse_total_bytes(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_in_bytes() {
        assert_eq!(parse_total_bytes("MemTotal:         482212 kB\nMemFree: 1 kB\n"), Some(482_212 * 1024));
        assert_eq!(parse_total_bytes("MemTotal: lots\n"), None);
        assert_eq!(parse_total_bytes("MemTotal: 18446744073709551615 kB\n"), None);
        assert_eq!(parse_total_bytes(""), None);
    }
}
