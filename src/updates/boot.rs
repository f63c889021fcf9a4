//! What the firmware starts, on the ESP: unified kernels with their counters for UEFI, kernels of GRUB and its environment block
//! for BIOS.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::{FileError, Places, failed};
use crate::appliance::{GRUBENV_BYTES, Grubenv, TRIES, Version};

/// Folders on the ESP.
const UKIS: &str = "EFI/Linux";
const BIOS: &str = "ironwake";
const GRUBENV: &str = "grubenv";
/// Every name of ours begins so.
const PREFIX: &str = "ironwake_";
/// What GRUB passes to the kernel.
const BIOS_MARK: &str = "ironwake.boot=bios";
/// Endings of the files that GRUB starts a version by.
const BIOS_ENDINGS: &[&str] = &["vmlinuz", "initrd", "cfg"];

/// Who started the appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// GRUB, from the MBR.
    Bios,
    /// systemd-boot.
    Uefi,
}

impl Firmware {
    /// Who started what runs.
    pub fn of(places: &Places) -> Self {
        let command_line = fs::read_to_string(places.root.join("proc/cmdline")).unwrap_or_default();
        match command_line.split_whitespace().any(|word| word == BIOS_MARK) || !places.efivars.exists() {
            true => Self::Bios,
            false => Self::Uefi,
        }
    }
}

/// A unified kernel, as the Boot Loader Specification counts its starts: `ironwake_VERSION+LEFT-DONE.efi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uki {
    /// Its name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Starts left and done, while it is counted.
    pub counter: Option<(u32, u32)>,
}

impl Uki {
    /// What a name says; `None` for one that is not ours.
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_prefix(PREFIX)?.strip_suffix(".efi")?;
        let (version, counter) = match stem.split_once('+') {
            None => (stem, None),
            Some((version, counter)) => {
                let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
                (version, Some((left.parse().ok()?, done.parse().ok()?)))
            }
        };
        let version = version.parse::<Version>().ok()?.to_string();
        Some(Self { name: name.into(), version, counter })
    }
}

/// The files on a mounted ESP.
#[derive(Debug)]
pub struct BootFiles(PathBuf);

impl BootFiles {
    /// Of the ESP that is mounted here. One that is not is an error: what was written would be nowhere.
    pub fn open(places: &Places) -> Result<Self, FileError> {
        let esp = places.esp.clone();
        let ukis = esp.join(UKIS);
        fs::metadata(&ukis).map_err(failed("find the ESP by its folder", &ukis))?;
        Ok(Self(esp))
    }

    /// Every unified kernel.
    pub fn ukis(&self) -> Result<Vec<Uki>, FileError> {
        let names = names(&self.0.join(UKIS))?;
        Ok(names.iter().filter_map(|name| Uki::parse(name)).collect())
    }

    /// That of a version.
    pub fn uki(&self, version: &str) -> Result<Option<Uki>, FileError> {
        Ok(self.ukis()?.into_iter().find(|uki| uki.version == version))
    }

    /// Whether GRUB finds everything of a version.
    pub fn has_for_bios(&self, version: &str) -> bool {
        let stem = self.0.join(BIOS).join(format!("{PREFIX}{version}"));
        BIOS_ENDINGS.iter().all(|ending| PathBuf::from(format!("{}.{ending}", stem.display())).exists())
    }

    /// GRUB's environment block; an empty one where there is none that can be read.
    pub fn grubenv(&self) -> Grubenv {
        let mut block = Vec::new();
        let read = File::open(self.grubenv_path())
            .and_then(|file| file.take(GRUBENV_BYTES as u64 + 1).read_to_end(&mut block));
        let parsed = read.ok().and_then(|_| Grubenv::parse(&block).ok());
        parsed.unwrap_or_default()
    }

    /// Writes GRUB's environment block where it lies: all of it is in one sector, and no entry of the folder changes.
    pub fn write_grubenv(&self, grubenv: &Grubenv) -> Result<(), FileError> {
        let path = self.grubenv_path();
        let write = || {
            let block = grubenv.encode().map_err(io::Error::other)?;
            let whole = fs::metadata(&path).is_ok_and(|found| found.len() == GRUBENV_BYTES as u64);
            let target = if whole { path.clone() } else { path.with_extension("new") };
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&target)?;
            file.write_all(&block)?;
            file.sync_all()?;
            if !whole {
                fs::rename(&target, &path)?;
            }
            self.sync()
        };
        write().map_err(failed("write", &path))
    }

    /// This version boots from here on, in both kinds of firmware: its counter is taken away.
    pub fn bless(&self, version: &Version) -> Result<(), FileError> {
        if let Some(uki) = self.uki(version.as_str())?.filter(|uki| uki.counter.is_some()) {
            self.rename(&uki, &format!("{PREFIX}{version}.efi"))?;
        }
        let before = self.grubenv();
        let mut after = before.clone();
        after.bless(version);
        // Each write of the ESP is a chance to be cut short.
        match before == after {
            true => Ok(()),
            false => self.write_grubenv(&after),
        }
    }

    /// systemd-boot takes this version from here on, and counts its starts.
    pub fn offer(&self, version: &Version) -> Result<(), FileError> {
        match self.uki(version.as_str())? {
            Some(uki) => self.rename(&uki, &format!("{PREFIX}{version}+{TRIES}-0.efi")),
            None => Ok(()),
        }
    }

    /// systemd-boot takes this version only where no other has starts left. An older one is tried that way.
    pub fn put_last(&self, version: &Version) -> Result<(), FileError> {
        match self.uki(version.as_str())? {
            Some(uki) => self.rename(&uki, &format!("{PREFIX}{version}+0.efi")),
            None => Ok(()),
        }
    }

    /// Removes what boots any version but this one.
    pub fn keep_only(&self, version: &Version) -> Result<(), FileError> {
        for uki in self.ukis()?.iter().filter(|uki| uki.version != version.as_str()) {
            self.remove(&self.0.join(UKIS).join(&uki.name))?;
        }
        for name in names(&self.0.join(BIOS))? {
            let stem = BIOS_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'));
            let other = stem
                .and_then(|stem| stem.strip_prefix(PREFIX))
                .is_some_and(|found| found != version.as_str());
            if other {
                self.remove(&self.0.join(BIOS).join(&name))?;
            }
        }
        self.sync().map_err(failed("write", &self.0))
    }

    /// Everything is on the disk when this returns.
    pub fn sync(&self) -> io::Result<()> {
        let folder = File::open(&self.0)?;
        nix::unistd::syncfs(folder.as_fd())?;
        Ok(())
    }

    fn grubenv_path(&self) -> PathBuf {
        self.0.join(BIOS).join(GRUBENV)
    }

    fn rename(&self, uki: &Uki, name: &str) -> Result<(), FileError> {
        let folder = self.0.join(UKIS);
        let from = folder.join(&uki.name);
        let rename = || {
            if uki.name != name {
                fs::rename(&from, folder.join(name))?;
            }
            self.sync()
        };
        rename().map_err(failed("rename", &from))
    }

    fn remove(&self, path: &Path) -> Result<(), FileError> {
        fs::remove_file(path).map_err(failed("remove", path))
    }
}

fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let list = || -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    list().map_err(failed("list", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esp(names: &[&str]) -> (tempfile::TempDir, BootFiles) {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places::below(folder.path());
        for name in names {
            let path = places.esp.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, name).expect("written");
        }
        let files = BootFiles::open(&places).expect("an ESP");
        (folder, files)
    }

    fn ukis(files: &BootFiles) -> Vec<String> {
        let mut names: Vec<_> = files.ukis().expect("listed").into_iter().map(|uki| uki.name).collect();
        names.sort();
        names
    }

    #[test]
    fn names_are_those_of_the_boot_loader_specification() {
        let check = |name: &str, expected: Option<(&str, Option<(u32, u32)>)>| {
            let found = Uki::parse(name);
            assert_eq!(found.as_ref().map(|uki| (uki.version.as_str(), uki.counter)), expected, "{name}");
        };
        check("ironwake_0.2.0+3-0.efi", Some(("0.2.0", Some((3, 0)))));
        check("ironwake_0.2.0+3.efi", Some(("0.2.0", Some((3, 0)))));
        check("ironwake_0.2.0.efi", Some(("0.2.0", None)));
        for other in [
            "debian.efi",
            "ironwake_.efi",
            "ironwake_1+x.efi",
            ".#sysupdateironwake_1.efi",
            "ironwake_1.efi.bak",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn a_version_is_blessed_for_both_firmwares() {
        let (_folder, files) =
            esp(&["EFI/Linux/ironwake_0.1.0.efi", "EFI/Linux/ironwake_0.2.0+2-1.efi", "ironwake/grub.cfg"]);
        let mut block = files.grubenv();
        block.try_version(&"0.2.0".parse().expect("a version"));
        files.write_grubenv(&block).expect("written");
        assert_eq!(files.grubenv().trial(), Some(("0.2.0", 3)));
        files.bless(&"0.2.0".parse().expect("a version")).expect("blessed");
        assert_eq!(ukis(&files), ["ironwake_0.1.0.efi", "ironwake_0.2.0.efi"]);
        assert_eq!((files.grubenv().get("good"), files.grubenv().trial()), (Some("0.2.0"), None));
        files.put_last(&"0.2.0".parse().expect("a version")).expect("renamed");
        assert_eq!(ukis(&files), ["ironwake_0.1.0.efi", "ironwake_0.2.0+0.efi"]);
    }

    #[test]
    fn what_is_not_of_the_running_version_goes() {
        let (_folder, files) = esp(&[
            "EFI/Linux/ironwake_1.efi",
            "EFI/Linux/ironwake_2+0-3.efi",
            "EFI/Linux/other.efi",
            "ironwake/ironwake_1.vmlinuz",
            "ironwake/ironwake_2.vmlinuz",
            "ironwake/ironwake_2.cfg",
            "ironwake/grub.cfg",
        ]);
        files.keep_only(&"1".parse().expect("a version")).expect("removed");
        let left = |folder: &str| {
            let mut names = names(&files.0.join(folder)).expect("listed");
            names.sort();
            names
        };
        assert_eq!(left("EFI/Linux"), ["ironwake_1.efi", "other.efi"]);
        assert_eq!(left("ironwake"), ["grub.cfg", "ironwake_1.vmlinuz"]);
    }
}
