//! What makes a disk boot by BIOS: GRUB's first sector before the table, and its core in the BIOS boot partition.
//!
//! It is what grub-bios-setup does, which wants a mounted system; `appliance/make/mbr.py` does the same when the image is made.

/// A sector.
pub const SECTOR: usize = 512;
/// The code of the first sector; behind it stand the disk's signature and the protective table.
pub const CODE_BYTES: usize = 440;
/// Where it keeps the sector at which the core begins (`GRUB_BOOT_MACHINE_KERNEL_SECTOR`).
const KERNEL_SECTOR_AT: usize = 0x5c;
/// A jump that distrusts the number that the BIOS gave the drive; on disks it is taken out (`GRUB_BOOT_MACHINE_DRIVE_CHECK`).
const DRIVE_CHECK_AT: usize = 0x66;
const NO_OPERATIONS: [u8; 2] = [0x90, 0x90];
/// Where the core's first sector lists the sectors of the rest.
const CORE_LIST_AT: usize = SECTOR - 12;

/// The first sector's code, for a core that begins at sector `core_at`. `boot` is GRUB's boot.img, or the first sector of a disk
/// that boots by it.
pub fn first_sector(boot: &[u8], core_at: u64) -> Option<[u8; CODE_BYTES]> {
    let mut code: [u8; CODE_BYTES] = boot.get(..CODE_BYTES)?.try_into().ok()?;
    // An empty one starts nothing.
    if code.iter().all(|byte| *byte == 0) {
        return None;
    }
    code[KERNEL_SECTOR_AT..][..8].copy_from_slice(&core_at.to_le_bytes());
    code[DRIVE_CHECK_AT..][..2].copy_from_slice(&NO_OPERATIONS);
    Some(code)
}

/// The core, for its place at sector `core_at`: the list in its first sector says that the rest follows.
pub fn core(mut bytes: Vec<u8>, core_at: u64) -> Option<Vec<u8>> {
    bytes
        .get_mut(..SECTOR)?
        .get_mut(CORE_LIST_AT..)?
        .get_mut(..8)?
        .copy_from_slice(&(core_at + 1).to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    Some(bytes)
}

/// GRUB's environment block (`grub-editenv create`): 1024 bytes, filled with `#`.
pub fn environment(variables: &[(&str, &str)]) -> Vec<u8> {
    const BYTES: usize = 1024;
    let mut text = String::from("# GRUB Environment Block\n");
    for (name, value) in variables {
        text.push_str(&format!("{name}={value}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(BYTES, b'#');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_as_grub_has_it() {
        let bytes = environment(&[("good", "0.1.0")]);
        assert_eq!(bytes.len(), 1024);
        assert!(bytes.starts_with(b"# GRUB Environment Block\ngood=0.1.0\n####"));
        assert!(bytes.ends_with(b"###"));
    }

    #[test]
    fn what_is_no_boot_code_is_refused() {
        assert_eq!(first_sector(&[1; 439], 2048), None);
        assert_eq!(first_sector(&[0; 512], 2048), None);
        assert_eq!(core(vec![1; 511], 2048), None);
        assert_eq!(core(vec![1; 513], 2048).map(|core| core.len()), Some(1024));
    }
}
