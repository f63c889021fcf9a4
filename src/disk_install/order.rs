//! What the daemon and the installation exchange: small files in `/run`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ironwake_api::{ApplianceDisks, InstallState, InstallThen};
use serde::{Deserialize, Serialize};

/// Where root's side writes and the daemon reads.
const RUN_FOLDER: &str = "run/ironwake-install";
/// The disks, in that folder.
pub const FACTS: &str = "disks.json";
/// How far the installation is, in that folder.
pub const STATE: &str = "state.json";
/// The order, in the daemon's own runtime directory.
const ORDER: &str = "run/ironwake/install.json";
/// A thousand disks of some partitions each.
const FACTS_BYTES_MAX: u64 = 16 << 20;
const STATE_BYTES_MAX: u64 = 1 << 20;
/// Three short fields.
const ORDER_BYTES_MAX: u64 = 4096;
const NAME_CHARS_MAX: usize = 64;
/// For root and the daemon's group.
const FILE_MODE: u32 = 0o640;

/// What the daemon orders. Which disk it is follows from the digest alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Kernel name, for people.
    pub disk: String,
    /// Of its identity and contents, as they were approved.
    pub digest: String,
    /// What is done then.
    pub then: InstallThen,
}

/// Where root's side writes, below `root`.
pub fn run_folder(root: &Path) -> PathBuf {
    root.join(RUN_FOLDER)
}

/// Where the order is, below `root`.
pub fn order_path(root: &Path) -> PathBuf {
    root.join(ORDER)
}

impl Order {
    /// Writes the order for root's side.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        write_whole(path, &serde_json::to_vec(self).map_err(io::Error::other)?)
    }

    /// Takes the order away and reads it: it is carried out once. Whoever wrote it may have written anything.
    pub fn take(path: &Path) -> io::Result<Self> {
        let read = read_limited(path, ORDER_BYTES_MAX);
        let removed = fs::remove_file(path);
        let order: Self = serde_json::from_slice(&read?).map_err(io::Error::other)?;
        removed?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_!:.".contains(c);
        let named = (1..=NAME_CHARS_MAX).contains(&order.disk.len()) && order.disk.chars().all(is_name);
        if !named {
            return Err(io::Error::other("its disk is no kernel name"));
        }
        Ok(order)
    }
}

/// The disks as they were read last; none where they never were.
pub fn load_facts(folder: &Path) -> io::Result<Option<ApplianceDisks>> {
    load(&folder.join(FACTS), FACTS_BYTES_MAX)
}

/// How far the installation is; none where none was begun.
pub fn load_state(folder: &Path) -> io::Result<Option<InstallState>> {
    load(&folder.join(STATE), STATE_BYTES_MAX)
}

fn load<T: for<'de> Deserialize<'de>>(path: &Path, bytes_max: u64) -> io::Result<Option<T>> {
    match read_limited(path, bytes_max) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A plain file, which no link leads to.
fn read_limited(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Replaces a file as a whole. It is in memory: no crash leaves anything of it.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let _ = fs::remove_file(&beside);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&beside)?;
    file.write_all(bytes)?;
    fs::rename(beside, path)
}
