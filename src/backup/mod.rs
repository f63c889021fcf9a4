//! Backup and restore of everything that makes an appliance what it is: records, keys, settings, and images where asked for.
//!
//! A backup is a tar that age(1) encrypts with a passphrase. Its first file, `backup.json`, says what follows, with the
//! digest of each ([`Manifest`]). It is made while the daemon serves ([`prepare`]): the database by a copy that SQLite makes,
//! which is all that is on the disk for it, in a folder of the daemon's that goes whatever happens.
//!
//! It is restored in two steps, so that there is never a mix of two appliances: everything is unpacked beside the state
//! and checked ([`Staged`]), then one rename says that it counts ([`Staged::commit`]). The next daemon puts it in its place
//! before it opens anything ([`take_up`]); each of those steps may be done again, so that a crash among them only delays it.

mod manifest;
mod read;
mod take_up;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::path::PathBuf;

pub use manifest::{CONFIGURATION, DATABASE, Entry, FORMAT, MANIFEST, Manifest, SSH_HOST_KEY, STATE_FILES};
pub use read::{BrokenOff, Settle, Staged};
pub use take_up::{NOTE, Note, note, take_up};
pub use write::{Prepared, Sources, prepare};

use crate::private::PrivateError;
use crate::store::StoreError;

/// Where a backup's copy of the database is while it is sent, in the state directory.
const BACKING_UP: &str = "backup.partial";
/// Where a backup is unpacked, in the state directory.
const STAGING: &str = "restore.partial";
/// What [`STAGING`] is called once it counts.
const COMMITTED: &str = "restore";
/// The manifest of a backup with a hundred thousand files.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Work of a passphrase: 2^16 rounds take 64 MiB and some tenths of a second, on an appliance that has little of both.
const WORK: u8 = if cfg!(test) { 4 } else { 16 };
/// What age(1) gives a passphrase on a desktop is 18, which takes 256 MiB.
const WORK_MAX: u8 = 18;

/// Why a backup is not made or not restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The passphrase is not the one that it was encrypted with.
    #[error("the passphrase does not open this backup: nothing was changed")]
    Passphrase,
    /// It is something else.
    #[error("this is no backup of Ironwake ({0}): nothing was changed")]
    Foreign(String),
    /// Bytes are missing or not what they were.
    #[error("the backup is damaged or cut off ({0}): copy it again; nothing was changed")]
    Damaged(String),
    /// A later Ironwake made it.
    #[error(
        "the backup is of Ironwake {version} (format {format}, schema {schema}), and this one is {} (format {FORMAT}, \
         schema {}): update this appliance first; nothing was changed",
        env!("CARGO_PKG_VERSION"), crate::store::SCHEMA_VERSION
    )]
    Newer {
        /// Of the program.
        version: String,
        /// Of the file.
        format: u32,
        /// Of the database.
        schema: u32,
    },
    /// What was sent broke off.
    #[error("the backup was not sent to its end: nothing was changed")]
    BrokenOff,
    /// The settings do not validate here.
    #[error("the settings of the backup cannot be used here: {0}; nothing was changed")]
    Settings(String),
    /// A unit passes another key.
    #[error(
        "this daemon is passed another site.key than the one in the backup, by LoadCredential= or \
         LoadCredentialEncrypted= of its unit: take that out, or pass the key of the backup (`age -d FILE | tar x \
         state/site.key`); nothing was changed"
    )]
    Credential,
    /// The disk is full.
    #[error("no room: {free} bytes are free in {}, and {wanted} are needed; nothing was changed", dir.display())]
    NoRoom {
        /// Where.
        dir: PathBuf,
        /// What is free.
        free: u64,
        /// What is needed.
        wanted: u64,
    },
    /// Another one is under way.
    #[error("another backup or restore is under way: try again when it is done")]
    Busy,
    /// An image on the disk is not what it was.
    #[error("the image {0} is not what its digest says: delete it, or back up without images")]
    Image(String),
    /// A file.
    #[error("{what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file that only the daemon reads.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// Says what was tried with a file.
    fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}
