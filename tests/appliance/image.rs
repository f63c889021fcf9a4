//! The images that `./dev` made, on disks.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64ct::{Base64, Encoding as _};

use crate::lab::{LabError, run};

/// What `./dev` made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// The disk.
    Disk,
    /// The disk, with what UEFI starts signed by the tests' keys.
    SignedDisk,
    /// The ISO.
    Iso,
}

impl Image {
    /// What stands in place of `.img` in the name of the first one (`appliance/build --raw`).
    fn ending(self) -> &'static str {
        match self {
            Self::Disk => ".img",
            Self::SignedDisk => "-secureboot.img",
            Self::Iso => ".iso",
        }
    }

    /// Where it is.
    pub fn path(self) -> Result<PathBuf, LabError> {
        let named =
            std::env::var_os("IRONWAKE_APPLIANCE").filter(|value| !value.is_empty()).map(PathBuf::from);
        let disk = match named {
            Some(path) => path,
            None => cache()?.join("appliance/test.img"),
        };
        let stem = disk.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = disk.with_file_name(format!("{stem}{}", self.ending()));
        if path.is_file() {
            return Ok(path);
        }
        Err(LabError::Missing {
            what: "the appliance's image".into(),
            tried: vec![path],
            remedy: "./dev test makes it",
        })
    }
}

/// Where `./dev` keeps what tests need.
pub fn cache() -> Result<PathBuf, LabError> {
    let place = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    place("IRONWAKE_CACHE").or_else(|| Some(place("HOME")?.join(".cache/ironwake"))).ok_or_else(|| {
        LabError::Missing { what: "a home".into(), tried: Vec::new(), remedy: "set HOME or IRONWAKE_CACHE" }
    })
}

/// Makes a disk of so many MiB that begins with the image.
pub fn flash(disk: &Path, mib: u64) -> Result<(), LabError> {
    run(Command::new("cp").arg("--sparse=always").arg(Image::Disk.path()?).arg(disk))?;
    resize(disk, mib)
}

/// Makes a disk so large.
pub fn resize(disk: &Path, mib: u64) -> Result<(), LabError> {
    let file = File::options().write(true).open(disk).map_err(LabError::io("open the disk"))?;
    file.set_len(mib << 20).map_err(LabError::io("make the disk as large as it is"))
}

/// Has QEMU hand credentials (name and text) to systemd by SMBIOS (systemd.system-credentials(7)).
pub fn credentials(qemu: &mut Command, folder: &Path, all: &[(&str, &str)]) -> Result<(), LabError> {
    for (number, (name, text)) in all.iter().enumerate() {
        let path = folder.join(format!("credential{number}"));
        let encoded = Base64::encode_string(text.as_bytes());
        fs::write(&path, format!("io.systemd.credential.binary:{name}={encoded}"))
            .map_err(LabError::io("write what SMBIOS has"))?;
        qemu.arg("-smbios").arg(format!("type=11,path={}", path.display()));
    }
    Ok(())
}
