//! Firmware of the lab's machines and where its files are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::LabError;

/// What starts a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, with the network ROM that QEMU ships.
    Bios,
    /// OVMF, booting by PXE.
    Uefi,
    /// OVMF with Microsoft's keys enrolled and Secure Boot on, booting by PXE.
    SecureBoot,
    /// OVMF, booting by UEFI HTTP Boot only.
    HttpBoot,
}

/// A firmware, its name as the command line takes it, and its two flash images: code and variables.
type Row = (Firmware, &'static str, Option<(&'static str, &'static str)>);

const FIRMWARES: &[Row] = &[
    (Firmware::Bios, "bios", None),
    (Firmware::Uefi, "uefi", Some(("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"))),
    (Firmware::SecureBoot, "secureboot", Some(("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"))),
    (Firmware::HttpBoot, "httpboot", Some(("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"))),
];

impl Firmware {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        FIRMWARES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Whether it is UEFI.
    pub fn is_uefi(self) -> bool {
        self.flash().is_some()
    }

    fn flash(self) -> Option<(&'static str, &'static str)> {
        FIRMWARES.iter().find(|row| row.0 == self).and_then(|row| row.2)
    }

    /// QEMU's arguments. `vars` is the machine's own variable store, made from the template if it is not there:
    /// a machine that is switched off and on again keeps its variables.
    pub fn arguments(self, vars: &Path) -> Result<Vec<OsString>, LabError> {
        let mut words: Vec<OsString> = Vec::new();
        let machine = match self {
            // Without graphics SeaBIOS and what runs on it write to the serial port, which reports show.
            Self::Bios => "q35,graphics=off",
            Self::Uefi | Self::HttpBoot => "q35",
            // The variables' flash may be written from system management mode only, or Secure Boot is a fiction.
            Self::SecureBoot => "q35,smm=on",
        };
        words.extend(["-machine".into(), machine.into()]);
        let Some((code, template)) = self.flash() else {
            return Ok(words);
        };
        if self == Self::SecureBoot {
            words.extend(["-global".into(), "driver=cfi.pflash01,property=secure,value=on".into()]);
        }
        let code = find(code)?;
        if !vars.exists() {
            std::fs::copy(find(template)?, vars).map_err(LabError::io(format!("copy {template}")))?;
        }
        for (unit, path, access) in [(0, code.as_path(), ",readonly=on"), (1, vars, "")] {
            let mut drive = OsString::from(format!("if=pflash,format=raw,unit={unit}{access},file="));
            drive.push(path);
            words.extend(["-drive".into(), drive]);
        }
        // No machine of the lab has IPv6 boot servers; the firmware would wait a minute for one.
        let off: &[&str] = match self {
            Self::HttpBoot => &["IPv4PXESupport", "IPv6PXESupport"],
            _ => &["IPv6PXESupport"],
        };
        for setting in off {
            words.push("-fw_cfg".into());
            words.push(format!("name=opt/org.tianocore/{setting},string=n").into());
        }
        Ok(words)
    }
}

impl FromStr for Firmware {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        FIRMWARES.iter().find(|row| row.1 == text).map(|row| row.0).ok_or_else(|| {
            let names: Vec<&str> = FIRMWARES.iter().map(|row| row.1).collect();
            format!("firmware {text:?} is not known: {}", names.join(", "))
        })
    }
}

/// Where firmware files may be, best first.
fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(boot) = std::env::var_os("IRONWAKE_BOOT") {
        folders.push(PathBuf::from(boot).join("ovmf"));
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/ironwake"));
    if let Some(cache) = std::env::var_os("IRONWAKE_CACHE").map(PathBuf::from).or(home) {
        folders.push(cache.join("boot/ovmf"));
    }
    folders.push("/usr/share/OVMF".into());
    folders
}

fn find(file: &str) -> Result<PathBuf, LabError> {
    let tried: Vec<PathBuf> = folders().into_iter().map(|folder| folder.join(file)).collect();
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(LabError::Missing { what: file.into(), tried, remedy: "run ./dev setup" }),
    }
}
