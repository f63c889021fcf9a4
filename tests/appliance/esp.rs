//! The EFI system partition of an appliance's disk, from outside, by mtools.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::lab::{LabError, run};

/// Where it begins: behind the first MiB and the BIOS boot partition.
const OFFSET: u64 = 2 << 20;

/// The partition, in a disk's file.
pub struct Esp {
    /// As mtools name it.
    image: String,
}

impl Esp {
    /// That of a disk.
    pub fn of(disk: &Path) -> Self {
        Self { image: format!("{}@@{OFFSET}", disk.display()) }
    }

    /// One that is a file of its own.
    pub fn alone(partition: &Path) -> Self {
        Self { image: partition.display().to_string() }
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("MTOOLS_SKIP_CHECK", "1").args(["-i", &self.image]);
        command
    }

    /// The content of a file.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, LabError> {
        let place = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
        let copy = place.path().join("file");
        run(self.tool("mcopy").arg("-n").arg(format!("::/{path}")).arg(&copy))?;
        fs::read(&copy).map_err(LabError::io(format!("read {path}")))
    }

    /// Writes a file, over the one that is there.
    pub fn put(&self, path: &str, content: &[u8]) -> Result<(), LabError> {
        let place = tempfile::tempdir().map_err(LabError::io("make a folder"))?;
        let copy = place.path().join("file");
        fs::write(&copy, content).map_err(LabError::io(format!("write {path}")))?;
        run(self.tool("mcopy").arg("-o").arg(&copy).arg(format!("::/{path}"))).map(|_| ())
    }

    /// GRUB's variables, each as `NAME=VALUE`.
    pub fn grubenv(&self) -> Result<Vec<String>, LabError> {
        let block = String::from_utf8_lossy(&self.get("ironwake/grubenv")?).into_owned();
        Ok(block.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
    }

    /// Names of the files in a folder.
    pub fn names(&self, path: &str) -> Result<Vec<String>, LabError> {
        let text = run(self.tool("mdir").arg("-b").arg(format!("::/{path}")))?;
        let mut names: Vec<String> =
            text.lines().filter_map(|line| Some(line.rsplit_once('/')?.1.to_owned())).collect();
        names.sort();
        Ok(names)
    }
}
