//! Updates that are made of what `./dev` built, and a stick that they are on.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64ct::{Base64, Encoding as _};

use super::image::{Image, cache};
use crate::lab::{LabError, run};

/// The version that they bring (`appliance_next` in `./dev`).
pub const NEXT: &str = "9.9.9";
/// For scripts in the machine: something can be said at once, and `stick` is the name of the stick, once it is there.
pub const SAY_AND_FIND_STICK: &str = r#"
say() { printf '%s: %s\n' "$1" "$2" >/dev/ttyS1; }
until stick=$(ironwake update --json | grep -o '"[a-z0-9]*/good.update"'); do sleep 0.5; done
stick=${stick#\"}
stick=${stick%/*}
"#;
/// When it was built, as its list has it: any time.
const BUILT: u64 = 1_780_000_000;

/// The parts of the version, beside the image.
pub fn parts() -> Result<PathBuf, LabError> {
    beside_image("-next.update")
}

/// The parts of the version that the image has.
pub fn parts_of_image() -> Result<PathBuf, LabError> {
    beside_image(".update")
}

fn beside_image(ending: &str) -> Result<PathBuf, LabError> {
    let image = Image::Disk.path()?;
    let stem = image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = image.with_file_name(format!("{stem}{ending}"));
    match folder.is_dir() {
        true => Ok(folder),
        false => Err(LabError::Missing {
            what: "the parts of an update".into(),
            tried: vec![folder],
            remedy: "./dev test makes them",
        }),
    }
}

/// What GRUB starts the version by, with these words for its kernel too.
pub fn fragment(words: &str) -> Result<String, LabError> {
    let fragment = fs::read_to_string(parts()?.join("boot.cfg")).map_err(LabError::io("read boot.cfg"))?;
    let begin = fragment.trim_end().strip_suffix('"').expect("the command line comes last");
    Ok(format!("{begin} {words}\"\n"))
}

/// Makes an update at `output`. In BIOS its kernel gets these words too.
pub fn make(output: &Path, words: &str) -> Result<(), LabError> {
    let (made, folder) = (parts()?, tempfile::tempdir().map_err(LabError::io("make a folder"))?);
    for part in ["root.squashfs", "kernel.efi", "vmlinuz", "initrd"] {
        symlink(made.join(part), folder.path().join(part)).map_err(LabError::io("make a link"))?;
    }
    fs::write(folder.path().join("boot.cfg"), fragment(words)?).map_err(LabError::io("write boot.cfg"))?;
    let key = cache()?.join("appliance/keys/update.key");
    let version = NEXT.parse().expect("a version");
    ironwake::updates::make(&version, BUILT, folder.path(), &key, "", output).map(drop).map_err(|error| {
        LabError::Unexpected { what: "no update is made".into(), text: format!("{error:?}") }
    })
}

/// Words for the kernel with which a unit has these lines too (systemd.system-credentials(7)).
pub fn unit_words(unit: &str, lines: &str) -> String {
    let lines = Base64::encode_string(lines.as_bytes());
    format!("systemd.set_credential_binary=systemd.unit-dropin.{unit}:{lines}")
}

/// Changes one byte in the middle of a file.
pub fn tamper(file: &Path) -> Result<(), LabError> {
    let change = || {
        let file = File::options().read(true).write(true).open(file)?;
        let (middle, mut byte) = (file.metadata()?.len() / 2, [0]);
        file.read_exact_at(&mut byte, middle)?;
        file.write_all_at(&[byte[0] ^ 1], middle)
    };
    change().map_err(LabError::io("change a byte"))
}

/// A stick with these files.
pub fn stick(path: &Path, files: &[&Path]) -> Result<(), LabError> {
    let mut kib = 64 << 10;
    for file in files {
        kib += fs::metadata(file).map_err(LabError::io("read an update"))?.len() >> 10;
    }
    run(Command::new("mkfs.vfat").args(["-F", "32", "-C"]).arg(path).arg(kib.to_string()))?;
    run(Command::new("mcopy").arg("-i").arg(path).args(files).arg("::/")).map(drop)
}
