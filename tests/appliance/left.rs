//! What a disk holds whose power went: its filesystem and the daemon's database, as the next start finds them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use ironwake::store::Store;

use super::cuts;
use crate::lab::{LabError, run};

/// What names of machines begin with that a test adds.
pub const ADDED: &str = "cut";

fn unexpected(what: &str, error: impl std::error::Error) -> LabError {
    LabError::Unexpected { what: what.into(), text: error.to_string() }
}

/// How many of the machines that were added are in the database, or nothing where there is no database yet. `folder` is for copies.
pub async fn machines(disk: &File, folder: &Path) -> Result<Option<usize>, LabError> {
    let Some(var) =
        cuts::partition(disk, "ironwake-var").map_err(LabError::io("read the partition table"))?
    else {
        return Ok(None);
    };
    let image = folder.join("var");
    cuts::extract(disk, var, &image).map_err(LabError::io("copy /var"))?;
    // As at the next boot: the journal is played back. 1 says that something was put right, 8 that there is no filesystem yet.
    let checked =
        Command::new("e2fsck").args(["-p", "-f"]).arg(&image).output().map_err(LabError::io("run e2fsck"))?;
    match checked.status.code() {
        Some(0 | 1) => {}
        Some(8) => return Ok(None),
        _ => {
            let text = String::from_utf8_lossy(&checked.stdout).into_owned();
            return Err(LabError::Unexpected { what: "the filesystem is broken".into(), text });
        }
    }
    // Nothing of the cut before, as the index of its log, is there any more.
    let state = folder.join("state");
    let _ = fs::remove_dir_all(&state);
    fs::create_dir(&state).map_err(LabError::io("make a folder"))?;
    for name in ["ironwake.db", "ironwake.db-wal", "ironwake.db-journal"] {
        // One that is not there is said on standard error, and no file is made.
        let dump = format!("dump /lib/ironwake/{name} {}", state.join(name).display());
        run(Command::new("debugfs").args(["-R", &dump]).arg(&image))?;
    }
    let database = state.join("ironwake.db");
    if !database.exists() {
        return Ok(None);
    }
    let opened = Store::open(&database).map_err(|error| unexpected("the database does not open", error))?;
    let machines =
        opened.machines().await.map_err(|error| unexpected("the database cannot be read", error))?;
    let added = machines
        .iter()
        .filter(|machine| machine.name.as_deref().is_some_and(|name| name.starts_with(ADDED)))
        .count();
    opened.close().await.map_err(|error| unexpected("close it", error))?;
    Ok(Some(added))
}
