//! Putting a backup that counts in its place, before a daemon opens anything.
//!
//! The folder of the backup stays until everything is there: whatever ends this in between, the next start goes on, since each
//! step may be done again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ironwake_api::{Actor, Millis};
use serde::{Deserialize, Serialize};

use super::manifest::{DATABASE, Manifest, STATE_FILES, STATE_REMNANTS};
use super::read::sync_folder;
use super::write::remove_folder;
use super::{BACKING_UP, BackupError, COMMITTED, STAGING};
use crate::private;
use crate::store::{Locked, copies};
use crate::systemd::NetworkFiles;
use crate::updates::INBOX;

/// Tells the daemon that goes on from a backup so, in the state directory.
pub const NOTE: &str = "restored.json";
/// Some names.
const NOTE_BYTES_MAX: u64 = 16 << 20;

/// What was restored, and what is still to be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When the backup was made.
    pub made_at: Millis,
    /// The appliance that it is of.
    pub hostname: String,
    /// Who restored it.
    pub actor: Actor,
    /// Whether its name and addresses count too.
    pub address: bool,
    /// Files of addresses.
    pub networks: Vec<String>,
    /// Files of the state directory that it has.
    #[serde(default)]
    pub state: Vec<String>,
}

impl Note {
    /// Of a backup, before it is known which files of it are unpacked.
    pub fn of(manifest: &Manifest, actor: Actor, address: bool) -> Self {
        Self {
            made_at: manifest.made_at,
            hostname: manifest.hostname.clone(),
            actor,
            address,
            networks: manifest.networks().map(str::to_owned).collect(),
            state: Vec::new(),
        }
    }
}

/// One step, which may be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A file that is not in the backup goes.
    Remove(PathBuf),
    /// A file is moved to where it belongs; or was, before.
    Move { from: PathBuf, to: PathBuf },
    /// A folder is made, if it is not there.
    Make(PathBuf),
    /// A file of addresses has this text, or goes.
    Network { name: String, from: Option<PathBuf> },
    /// What was done so far is on the disk.
    Sync(PathBuf),
}

/// What has to be done with the backup of a state directory, in order; nothing without one.
pub(super) fn steps(state: &Path, network: &NetworkFiles) -> Result<Vec<Step>, BackupError> {
    let folder = state.join(COMMITTED);
    // The last file that is moved is the note: without it, everything is in its place.
    let note = match read_note(&folder.join(NOTE))? {
        Some(note) => note,
        None if folder.exists() => return Ok(ending(state)),
        None => return Ok(Vec::new()),
    };
    let mut steps: Vec<Step> = STATE_REMNANTS.iter().map(|name| Step::Remove(state.join(name))).collect();
    // Going back to an earlier version would find the records of before in them.
    steps.extend(copies(&state.join(DATABASE), &state.join(INBOX)).into_iter().map(Step::Remove));
    let has = |name: &str| note.state.iter().any(|has| has == name);
    steps.extend(STATE_FILES.iter().filter(|name| !has(name)).map(|name| Step::Remove(state.join(name))));
    let moved = note.state.iter().filter(|name| STATE_FILES.contains(&name.as_str()));
    steps
        .extend(moved.map(|name| Step::Move { from: folder.join("state").join(name), to: state.join(name) }));
    let imports = state.join("imports");
    steps.push(Step::Make(imports.clone()));
    for name in names(&folder.join("imports"))? {
        steps.push(Step::Move { from: folder.join("imports").join(&name), to: imports.join(&name) });
    }
    steps.push(Step::Sync(imports));
    if note.address {
        let before = network.all().map_err(BackupError::file("read", "the files of networks"))?;
        let gone = before.into_iter().map(|(name, _)| name).filter(|name| !note.networks.contains(name));
        steps.extend(gone.map(|name| Step::Network { name, from: None }));
        let put = note.networks.iter();
        steps.extend(
            put.map(|name| Step::Network {
                name: name.clone(),
                from: Some(folder.join("network").join(name)),
            }),
        );
    }
    steps.push(Step::Sync(state.into()));
    steps.push(Step::Move { from: folder.join(NOTE), to: state.join(NOTE) });
    steps.extend(ending(state));
    Ok(steps)
}

/// The end: from here on a daemon may write, so the folder must not come back with a loss of power.
fn ending(state: &Path) -> Vec<Step> {
    vec![
        Step::Sync(state.into()),
        Step::Move { from: state.join(COMMITTED), to: state.join(STAGING) },
        Step::Sync(state.into()),
    ]
}

fn names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let failed = || BackupError::file("read", folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        names.push(entry.map_err(failed())?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Does one step.
pub(super) fn perform(step: &Step, network: &NetworkFiles) -> Result<(), BackupError> {
    let unless_gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    match step {
        Step::Remove(path) => unless_gone(fs::remove_file(path)).map_err(BackupError::file("remove", path)),
        Step::Move { from, to } => {
            unless_gone(fs::rename(from, to)).map_err(BackupError::file("move to", to))
        }
        Step::Make(path) => fs::create_dir_all(path).map_err(BackupError::file("make", path)),
        Step::Network { name, from } => {
            let text = from.as_ref().map(fs::read_to_string).transpose();
            let text = text.map_err(BackupError::file("read", name))?;
            network.put(name, text.as_deref()).map_err(BackupError::file("write", name))
        }
        Step::Sync(path) => sync_folder(path),
    }
}

/// Puts a backup that counts in its place, if there is one, and removes what was not finished of others. To be called
/// before anything of the state directory is opened. Returns whether there was one.
pub fn take_up(state: &Path, network: &NetworkFiles) -> Result<bool, BackupError> {
    if !state.exists() {
        return Ok(false);
    }
    let left = [BACKING_UP, STAGING, COMMITTED].iter().any(|name| state.join(name).exists());
    if !left {
        return Ok(false);
    }
    let _locked = Locked::take(&state.join(DATABASE))?;
    for name in [BACKING_UP, STAGING] {
        remove_folder(&state.join(name))?;
    }
    let steps = steps(state, network)?;
    for step in &steps {
        match (step, perform(step, network)) {
            // A daemon that does not start for an address helps nobody: everything else is as it was.
            (Step::Network { name, .. }, Err(error)) => {
                tracing::warn!(%error, file = name, "an address of the backup is not taken on");
            }
            (_, done) => done?,
        }
    }
    remove_folder(&state.join(STAGING))?;
    if !steps.is_empty() {
        tracing::info!("the appliance goes on from a backup");
    }
    Ok(!steps.is_empty())
}

/// What is still to be done about a backup that was put in its place.
pub fn note(state: &Path) -> Result<Option<Note>, BackupError> {
    read_note(&state.join(NOTE))
}

fn read_note(path: &Path) -> Result<Option<Note>, BackupError> {
    let Some(bytes) = private::read(path, NOTE_BYTES_MAX)? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes);
    Ok(Some(read.map_err(|error| BackupError::file("read", path)(error.into()))?))
}
