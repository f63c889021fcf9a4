//! The image that `./dev` made, on a disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64ct::{Base64, Encoding as _};

use crate::lab::{LabError, run};

/// Where the image is.
pub fn path() -> Result<PathBuf, LabError> {
    let place = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = place("IRONWAKE_CACHE").or_else(|| Some(place("HOME")?.join(".cache/ironwake")));
    let path =
        place("IRONWAKE_APPLIANCE").or_else(|| Some(cache?.join("appliance/test.img"))).expect("a HOME");
    if path.is_file() {
        return Ok(path);
    }
    Err(LabError::Missing {
        what: "the appliance's image".into(),
        tried: vec![path],
        remedy: "./dev test makes it",
    })
}

/// Makes a disk of so many MiB that begins with the image.
pub fn flash(disk: &Path, mib: u64) -> Result<(), LabError> {
    run(Command::new("cp").arg("--sparse=always").arg(path()?).arg(disk))?;
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
