//! The files of the ESP: those of the version that runs, and those of no version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::boot_code::{SECTOR, environment};
use super::layout::{ESP_CLUSTER_SECTORS, Span};
use super::perform::InstallError;
use super::source::Place;
use crate::builders::Child;

/// What is of the medium that was booted, and not of the appliance.
const NOT_COPIED: [&str; 4] = [
    // What GRUB remembers, which begins anew.
    "ironwake/grubenv",
    // A seed that two disks have is none.
    "loader/random-seed",
    "ironwake-install.toml",
    "System Volume Information",
];
const ENVIRONMENT: &str = "ironwake/grubenv";
/// Folders of an ESP are a few deep.
const DEPTH_MAX: usize = 16;
/// What the filesystem is called.
const LABEL: &str = "IRONWAKEESP";

/// mtools look at disks as DOS did otherwise.
fn mtools(program: &str, what: &'static str) -> Child {
    Child::new(program, what).env("MTOOLS_SKIP_CHECK", "1").env("MTOOLSRC", "/dev/null")
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> InstallError {
    move |error| InstallError::step(what, error.to_string())
}

/// Copies what belongs on the disk into `folder`; how many bytes that is.
pub fn gather(esp: &Place, version: &str, folder: &Path) -> Result<u64, InstallError> {
    const WHAT: &str = "read the boot files";
    fs::create_dir_all(folder).map_err(failed(WHAT))?;
    // What is mounted may have files that are not on the disk yet.
    nix::unistd::sync();
    let copy =
        mtools("mcopy", WHAT).args(["-s", "-n", "-Q", "-m", "-i", &esp.for_mtools(), "::*"]).arg(folder);
    copy.run(&mut |line| tracing::debug!(line))?;
    keep(folder, Path::new(""), version, 0).map_err(failed(WHAT))?;
    let environment_path = folder.join(ENVIRONMENT);
    if let Some(parent) = environment_path.parent() {
        fs::create_dir_all(parent).map_err(failed(WHAT))?;
    }
    fs::write(environment_path, environment(&[("good", version)])).map_err(failed(WHAT))?;
    size(folder, 0).map_err(failed(WHAT))
}

/// Removes what is not copied, and gives the kernel the name of one that booted well.
fn keep(folder: &Path, below: &Path, version: &str, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let (path, relative) = (entry.path(), below.join(entry.file_name()));
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type()?.is_dir();
        let unwanted = NOT_COPIED.iter().any(|unwanted| relative == Path::new(unwanted))
            || version_of(&name, below, is_folder).is_some_and(|of| of != version);
        match (unwanted, is_folder) {
            (true, true) => fs::remove_dir_all(&path)?,
            (true, false) => fs::remove_file(&path)?,
            (false, true) if depth < DEPTH_MAX => keep(folder, &relative, version, depth + 1)?,
            (false, true) => return Err(io::Error::other(format!("{} is too deep", relative.display()))),
            (false, false) => {
                if let Some(blessed) = blessed(&name) {
                    fs::rename(&path, path.with_file_name(blessed))?;
                }
            }
        }
    }
    Ok(())
}

/// The version that a file or folder is of: `ironwake_0.1.0+3.efi`, `ironwake_0.1.0.vmlinuz`, or a folder of that name.
fn version_of<'a>(name: &'a str, below: &Path, is_folder: bool) -> Option<&'a str> {
    if is_folder {
        let begins_so = name.starts_with(|c: char| c.is_ascii_digit());
        return (below == Path::new("ironwake") && begins_so).then_some(name);
    }
    let rest = name.strip_prefix("ironwake_")?;
    let is_kind = |kind: &str| !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase());
    let stem = rest.rsplit_once('.').filter(|(_, kind)| is_kind(kind)).map_or(rest, |(stem, _)| stem);
    Some(stem.split_once('+').map_or(stem, |(version, _)| version))
}

/// A kernel without its count of tries (systemd-boot's Automatic Boot Assessment): the version that runs has booted.
fn blessed(name: &str) -> Option<String> {
    let (stem, _) = name.strip_suffix(".efi")?.split_once('+')?;
    stem.starts_with("ironwake_").then(|| format!("{stem}.efi"))
}

fn size(folder: &Path, depth: usize) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true if depth < DEPTH_MAX => size(&entry.path(), depth + 1)?,
            _ => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

/// Makes the filesystem on the disk, and puts the files into it.
pub fn write(folder: &Path, disk: &Path, span: Span) -> Result<(), InstallError> {
    const WHAT: &str = "write the boot files";
    let place = Place { path: disk.to_owned(), span }.for_mtools();
    let sectors = (span.size / SECTOR as u64).to_string();
    let cluster = ESP_CLUSTER_SECTORS.to_string();
    let format = mtools("mformat", WHAT).args(["-i", &place, "-F", "-c", &cluster, "-T", &sectors]);
    format.args(["-h", "255", "-s", "63", "-v", LABEL, "::"]).run(&mut |_| ())?;
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(failed(WHAT))?;
    entries.sort();
    let copy = mtools("mcopy", WHAT).args(["-s", "-Q", "-m", "-i", &place]).args(entries).arg("::");
    Ok(copy.run(&mut |_| ())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_versions_are_told_apart() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(version_of(name, Path::new("EFI/Linux"), false), expected, "{name}");
        };
        check("ironwake_0.1.0+3.efi", Some("0.1.0"));
        check("ironwake_0.1.0+2-1.efi", Some("0.1.0"));
        check("ironwake_0.1.0.efi", Some("0.1.0"));
        check("ironwake_0.1.0.1.vmlinuz", Some("0.1.0.1"));
        check("ironwake_0.2.0~rc1.initrd", Some("0.2.0~rc1"));
        check("BOOTX64.EFI", None);
        check("grub.cfg", None);
        assert_eq!(version_of("0.2.0", Path::new("ironwake"), true), Some("0.2.0"));
        assert_eq!(version_of("Linux", Path::new("EFI"), true), None);
        assert_eq!(blessed("ironwake_0.1.0+2-1.efi").as_deref(), Some("ironwake_0.1.0.efi"));
        assert_eq!(blessed("ironwake_0.1.0.efi"), None);
        assert_eq!(blessed("other+1.efi"), None);
    }
}
