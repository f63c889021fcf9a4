//! What is kept of an update: root's record on the disk, its progress in memory, and the daemon's order. Each file is written
//! whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ironwake_api::{Millis, UpdateProgress};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{FileError, ORDER, Places, failed};

/// Where the kernel says which boot this is, below the root.
pub const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";
const RECORD: &str = "record.json";
const PROGRESS: &str = "state.json";
/// Some lines.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The last update, as root side has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version that was installed.
    pub version: String,
    /// The one that ran then.
    pub from: String,
    /// When, in milliseconds.
    pub at: Millis,
    /// The boot in which it was installed.
    pub boot_id: String,
    /// How it stands.
    pub state: RecordState,
    /// How often it was started, where it did not stay.
    #[serde(default)]
    pub boots: Option<u32>,
    /// What went wrong.
    #[serde(default)]
    pub why: Option<String>,
    /// What did not work before it either: it is not to blame for that.
    #[serde(default)]
    pub failed_before: Vec<String>,
}

/// How an update stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// The other slot is being written.
    Installing,
    /// It is on the disk, and the next start tries it.
    Installed,
    /// It runs and is healthy.
    Good,
    /// It was started and did not stay: the version before runs again.
    FellBack,
    /// It was not installed.
    Failed,
}

/// What the daemon wants of root side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What tells this order from the ones before.
    pub id: String,
    /// Whether an older version than the one that runs may be installed.
    pub allow_older: bool,
    /// Names of checks that fail already.
    pub failed_before: Vec<String>,
}

/// How far root side is with an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderProgress {
    /// The order's id.
    pub order: String,
    /// How far.
    #[serde(flatten)]
    pub progress: UpdateProgress,
}

/// Which boot this is.
pub fn boot_id(root: &Path) -> String {
    fs::read_to_string(root.join(BOOT_ID)).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The last update; `None` where there was none.
pub fn read_record(places: &Places) -> Result<Option<Record>, FileError> {
    read(&places.state.join(RECORD))
}

pub(super) fn write_record(places: &Places, record: &Record) -> Result<(), FileError> {
    write(&places.state.join(RECORD), record)
}

/// How far root side is; `None` where it never began since the start.
pub fn read_progress(places: &Places) -> Result<Option<OrderProgress>, FileError> {
    read(&places.run.join(PROGRESS))
}

pub(super) fn write_progress(places: &Places, progress: &OrderProgress) -> Result<(), FileError> {
    write(&places.run.join(PROGRESS), progress)
}

pub(super) fn read_order(places: &Places) -> Result<Option<Order>, FileError> {
    read(&places.inbox.join(ORDER))
}

/// Writes an order for root side.
pub fn write_order(places: &Places, order: &Order) -> Result<(), FileError> {
    write(&places.inbox.join(ORDER), order)
}

/// Reads a small file of JSON that is one: no link is followed. What cannot be read as such is an error.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let read = || {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other)
    };
    read().map_err(failed("read", path))
}

/// Writes a file that everybody may read. A power cut leaves the one before or this one.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let partial = path.with_extension("partial");
    let write = || {
        let text = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
        let _ = fs::remove_file(&partial);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&partial)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().map_err(failed("write", path))
}
