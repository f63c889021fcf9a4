//! Installation by a file on a stick, with nobody there.

use std::fs;
use std::path::{Path, PathBuf};

use ironwake_api::{ApplianceDisks, InstallThen, Inventory};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::facts;
use super::layout::Span;
use super::perform::{Host, InstallError, run as install};
use super::progress::Progress;
use super::source::{Place, Source};
use crate::builders::Child;
use crate::operation::{DiskRule, resolve};
use crate::updates::image_version;

/// The file, on the ESP of the stick that was booted, or on a stick of this label.
const FILE: &str = "ironwake-install.toml";
const LABELLED: &str = "dev/disk/by-label/IRONWAKE";
const BYTES_MAX: usize = 64 << 10;
/// What has to stand in it: a file that was put there for another reason wipes nothing.
const WORD: &str = "yes, everything on it";
const VAR: &str = "ironwake-var";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unattended {
    /// Which disk.
    pub disk: DiskRule,
    /// What is done then.
    pub then: InstallThen,
    /// Identifier of the `/var` that is made: it follows from the file and the version, so that the same stick in the same host
    /// installs once.
    pub mark: Uuid,
}

/// Why nothing is installed.
#[derive(Debug, thiserror::Error)]
pub enum UnattendedError {
    /// The file is wrong.
    #[error("{FILE}: {0}")]
    File(String),
    /// The disk, or the installation.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// Its rule names no disk that may be written.
    #[error("{FILE}: {0}: nothing was written")]
    Disk(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    disk: String,
    wipe: String,
    then: String,
}

impl Unattended {
    /// Reads the file's text, for the version that runs.
    pub fn parse(text: &str, version: &str) -> Result<Self, UnattendedError> {
        let wrong = |reason: String| UnattendedError::File(reason);
        let raw: Raw =
            toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        let disk = raw.disk.parse::<DiskRule>().map_err(|error| wrong(format!("disk: {error}")))?;
        if raw.wipe != WORD {
            return Err(wrong(format!(
                "wipe is {:?}, and nothing is overwritten unless it is {WORD:?}",
                raw.wipe
            )));
        }
        let then = match raw.then.as_str() {
            "poweroff" => InstallThen::PowerOff,
            "reboot" => InstallThen::Reboot,
            other => return Err(wrong(format!("then is {other:?}, and may be \"poweroff\" or \"reboot\""))),
        };
        let bytes = Sha256::digest(format!("ironwake {version}\n{text}").as_bytes());
        let mut mark = [0; 16];
        mark.copy_from_slice(&bytes[..16]);
        Ok(Self { disk, then, mark: uuid::Builder::from_custom_bytes(mark).into_uuid() })
    }
}

/// Does what the file says, if there is one; what is to be done then, if it was done. Why it was not is in [`Host::run`] too.
pub fn run(host: &Host) -> Result<Option<InstallThen>, UnattendedError> {
    let done = try_run(host);
    match &done {
        Err(error @ (UnattendedError::File(_) | UnattendedError::Disk(_))) => {
            Progress::refused(&host.run, host.now, error.to_string());
        }
        // The installation says so itself.
        Err(UnattendedError::Install(_)) | Ok(_) => {}
    }
    done
}

fn try_run(host: &Host) -> Result<Option<InstallThen>, UnattendedError> {
    let Some(version) = image_version(&host.root) else { return Ok(None) };
    let disks = facts::read(&host.root, host.now);
    // An appliance that runs from its own disk is installed.
    if !disks.booted_from.removable {
        return Ok(None);
    }
    let Some(text) = places(&host.root, &disks).iter().find_map(read) else { return Ok(None) };
    let order = Unattended::parse(&text, version.as_str())?;
    if let Some(disk) = marked(&disks, order.mark) {
        tracing::info!(disk, "the appliance was installed by this file before: it is not installed again");
        return Ok(None);
    }
    let found = candidates(&disks);
    let approved = resolve(&order.disk, &found).map_err(|error| UnattendedError::Disk(error.to_string()))?;
    let chosen = disks.disks.iter().find(|found| found.disk.name == approved.name);
    let Some(chosen) = chosen else { return Ok(None) };
    install(host, &approved.name, &chosen.digest, order.mark)?;
    Ok(Some(order.then))
}

/// Every disk but the one that was booted: with `only`, a disk that is too small or in use is a second one all the same.
fn candidates(disks: &ApplianceDisks) -> Inventory {
    let booted = disks.booted_from.disk.as_ref();
    let others = disks.disks.iter().filter(|found| Some(&found.disk.name) != booted);
    Inventory { disks: others.map(|found| found.disk.clone()).collect(), ..Inventory::default() }
}

/// The disk that this file was carried out on.
fn marked(disks: &ApplianceDisks, mark: Uuid) -> Option<&str> {
    let mark = mark.to_string();
    let has = |found: &&ironwake_api::ApplianceDisk| {
        found.disk.partitions.iter().any(|partition| {
            partition.name.as_deref() == Some(VAR)
                && partition.uuid.as_ref().is_some_and(|uuid| *uuid == mark)
        })
    };
    disks.disks.iter().find(has).map(|found| found.disk.name.as_str())
}

fn places(root: &Path, disks: &ApplianceDisks) -> Vec<Place> {
    let whole = |path: PathBuf| Place { path, span: Span { start: 0, size: 0 } };
    let mut places: Vec<Place> = fs::canonicalize(root.join(LABELLED)).ok().map(whole).into_iter().collect();
    if let Ok(source) = Source::find(root, disks) {
        places.insert(0, source.esp);
    }
    places
}

/// The file's text, if it is there.
fn read(place: &Place) -> Option<String> {
    let show =
        Child::new("mtype", "look for a file").env("MTOOLS_SKIP_CHECK", "1").env("MTOOLSRC", "/dev/null");
    let text = show.args(["-i", &place.for_mtools(), &format!("::{FILE}")]).output(&mut |_| ()).ok()?;
    Some(text).filter(|text| text.len() <= BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use ironwake_api::{ApplianceDisk, Disk, Partition};

    use super::*;

    const FILE: &str = "disk = \"serial=S1\"\nwipe = \"yes, everything on it\"\nthen = \"poweroff\"\n";

    #[test]
    fn a_file_says_which_disk_and_says_it_expressly() {
        let read = Unattended::parse(FILE, "0.1.0").expect("it is right");
        assert_eq!((read.disk, read.then), (DiskRule::Serial("S1".into()), InstallThen::PowerOff));
        let check = |text: &str, expected: &str| {
            let error = Unattended::parse(text, "0.1.0").expect_err("it is wrong").to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&FILE.replace("yes, everything on it", "yes"), "unless it is \"yes, everything on it\"");
        check(&FILE.replace("serial=S1", "first"), "\"first\" is no disk rule");
        check(&FILE.replace("poweroff", "dance"), "\"poweroff\" or \"reboot\"");
        check(&FILE.replace("wipe =", "wife ="), "wife");
        check("disk = \"only\"\n", "wipe");
    }

    #[test]
    fn the_same_file_of_the_same_version_is_carried_out_once() {
        let mark = |text: &str, version: &str| Unattended::parse(text, version).expect("it is right").mark;
        assert_eq!(mark(FILE, "0.1.0"), mark(FILE, "0.1.0"));
        assert_ne!(mark(FILE, "0.1.0"), mark(FILE, "0.2.0"));
        assert_ne!(mark(FILE, "0.1.0"), mark(&FILE.replace("poweroff", "reboot"), "0.1.0"));
        let var = |uuid: Uuid| Partition {
            name: Some(VAR.into()),
            uuid: Some(uuid.to_string()),
            ..Partition::default()
        };
        let disk = Disk { name: "sdb".into(), partitions: vec![var(mark(FILE, "0.1.0"))], ..Disk::default() };
        let disks = ApplianceDisks {
            disks: vec![ApplianceDisk { disk, ..ApplianceDisk::default() }],
            ..ApplianceDisks::default()
        };
        assert_eq!(marked(&disks, mark(FILE, "0.1.0")), Some("sdb"));
        assert_eq!(marked(&disks, mark(FILE, "0.2.0")), None);
    }

    #[test]
    fn the_disk_that_was_booted_is_no_candidate() {
        let disk = |name: &str| ApplianceDisk {
            disk: Disk { name: name.into(), size_bytes: 1 << 40, ..Disk::default() },
            ..ApplianceDisk::default()
        };
        let mut disks = ApplianceDisks { disks: vec![disk("sda"), disk("sdb")], ..ApplianceDisks::default() };
        disks.booted_from.disk = Some("sda".into());
        let found = resolve(&DiskRule::Only, &candidates(&disks)).expect("the other");
        assert_eq!(found.name, "sdb");
    }
}
