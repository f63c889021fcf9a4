//! What is plugged into the guest's USB: a stick with keys, and a disk that says that it is not removable.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::run;

/// What the guest needs for them, below the kernel's modules; the checks load it.
pub const MODULES: &[&str] = &[
    "drivers/usb/common/usb-common",
    "drivers/usb/core/usbcore",
    "drivers/usb/host/xhci-hcd",
    "drivers/usb/host/xhci-pci",
    "drivers/usb/storage/usb-storage",
    "drivers/scsi/scsi_common",
    "drivers/scsi/scsi_mod",
    "drivers/scsi/sd_mod",
    "fs/fat/fat",
    "fs/fat/vfat",
    "fs/nls/nls_ascii",
    "fs/nls/nls_cp437",
];
/// A key on the stick.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ anna@laptop\n";
const IMAGE_BYTES: u64 = 32 << 20;
/// Where the one partition begins, as mtools says it.
const PARTITION: &str = "@@1M";

/// Arguments of QEMU.
pub fn plugged(folder: &Path) -> io::Result<Vec<String>> {
    let mut arguments = vec!["-device".to_owned(), "qemu-xhci".into()];
    for (name, removable) in [("stick", "on"), ("disk", "off")] {
        let image = image(folder, name)?;
        let drive = format!("if=none,id={name},format=raw,file={}", image.display());
        let device = format!("usb-storage,drive={name},removable={removable}");
        arguments.extend(["-drive".into(), drive, "-device".into(), device]);
    }
    Ok(arguments)
}

/// A disk with one partition of FAT, labelled in capitals, and the key in it.
fn image(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let path = folder.join(format!("{name}.img"));
    File::create(&path)?.set_len(IMAGE_BYTES)?;
    let mut sfdisk = Command::new("sfdisk").arg("--quiet").arg(&path).stdin(Stdio::piped()).spawn()?;
    sfdisk.stdin.take().expect("it is piped").write_all(b"label: dos\nstart=2048, type=c\n")?;
    if !sfdisk.wait()?.success() {
        return Err(io::Error::other("sfdisk (package fdisk) failed"));
    }
    let key = folder.join("anna.pub");
    std::fs::write(&key, KEY)?;
    let partition = format!("{}{PARTITION}", path.display());
    let mtool = |program: &str| {
        let mut command = Command::new(program);
        command.args(["-i", &partition]).env("MTOOLS_SKIP_CHECK", "1");
        command
    };
    let mut commands = [mtool("mformat"), mtool("mmd"), mtool("mcopy")];
    commands[0].args(["-v", &name.to_uppercase(), "::"]);
    commands[1].arg("::/ironwake");
    commands[2].arg(&key).arg("::/ironwake/anna.pub");
    for command in &mut commands {
        run(command).map_err(io::Error::other)?;
    }
    Ok(path)
}
