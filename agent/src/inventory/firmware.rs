//! Firmware, Secure Boot and the TPM.

use std::path::Path;

use ironwake_api::{Firmware, Tpm};

use super::{smbios::Facts, sysfs};

/// The vendor GUID of the UEFI specification's own variables.
const GLOBAL_VARIABLE: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// efivarfs puts the variable's attributes before its value.
const ATTRIBUTES_BYTES: usize = 4;

/// Reads firmware facts below `root`.
pub fn read(root: &Path, facts: &Facts, notes: &mut Vec<String>) -> Firmware {
    let efi = root.join("sys/firmware/efi");
    let is_uefi = efi.exists();
    let variable = |name: &str| {
        let file = sysfs::read_limited(&efi.join("efivars").join(format!("{name}-{GLOBAL_VARIABLE}")), 64);
        file.ok().and_then(|bytes| efi_flag(&bytes))
    };
    let (secure_boot, setup_mode) = (variable("SecureBoot"), variable("SetupMode"));
    if is_uefi && secure_boot.is_none() {
        notes.push("the firmware does not say whether Secure Boot is on".into());
    }
    let [vendor, version, date] = facts.firmware.clone();
    Firmware {
        vendor,
        version,
        date,
        mode: Some(if is_uefi { "uefi" } else { "bios" }.into()),
        secure_boot,
        setup_mode,
        tpm: read_tpm(root, facts.tpm.clone()),
    }
}

/// The one byte of a UEFI variable such as `SecureBoot`.
pub fn efi_flag(file: &[u8]) -> Option<bool> {
    match file.get(ATTRIBUTES_BYTES..)? {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

/// The kernel's driver knows which TPM answers; SMBIOS may describe one that is switched off.
fn read_tpm(root: &Path, described: Option<Tpm>) -> Option<Tpm> {
    let folder = root.join("sys/class/tpm/tpm0");
    if !folder.exists() {
        return described;
    }
    let version = match sysfs::text(&folder.join("tpm_version_major")).as_deref() {
        Some("2") => Some("2.0".to_owned()),
        Some("1") => Some("1.2".to_owned()),
        _ => described.as_ref().and_then(|tpm| tpm.version.clone()),
    };
    let driver = || sysfs::link_name(&folder.join("device/driver"));
    let description = sysfs::text(&folder.join("device/description"));
    Some(Tpm {
        version,
        description: described.and_then(|tpm| tpm.description).or(description).or_else(driver),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_behind_their_attributes() {
        assert_eq!(efi_flag(&[6, 0, 0, 0, 1]), Some(true));
        assert_eq!(efi_flag(&[6, 0, 0, 0, 0]), Some(false));
        assert_eq!(efi_flag(&[6, 0, 0, 0]), None);
        assert_eq!(efi_flag(&[6, 0, 0, 0, 2]), None);
        assert_eq!(efi_flag(&[]), None);
    }
}
