//! Why the store refuses: each with the path and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It was closed, or its writer ended.
    #[error("the store is closed")]
    Closed,
    /// SQLite refused a statement or a commit.
    #[error("{0}")]
    Sqlite(String),
    /// The file or its lock cannot be made or opened.
    #[error(
        "open the store {}: its directory must exist and be writable by the daemon's user",
        path.display()
    )]
    Open {
        /// The file concerned.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// SQLite cannot read or write the file.
    #[error(
        "open the store {}: {message}; the file, its -wal and -shm must be writable by the daemon's user",
        path.display()
    )]
    Unusable {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        message: String,
    },
    /// Another daemon has it open.
    #[error(
        "the store {} is in use by another daemon (which holds {}.lock): \
         stop that one, or set another `state`",
        path.display(), path.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file is something else.
    #[error(
        "{} is not an Ironwake database: move it away and a fresh one is made, or restore a copy",
        path.display()
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A later Ironwake wrote it.
    #[error(
        "the store {} has schema version {found}, this daemon knows up to {known}: \
         run the later Ironwake that wrote it, or restore the copy made before its migration",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// A migration or the copy before it failed; the database is as it was.
    #[error(
        "migrate the store {} from schema version {from}: {message}; it is left as it was",
        path.display()
    )]
    Migrate {
        /// The database.
        path: PathBuf,
        /// The version that it has.
        from: u32,
        /// What SQLite or the system said.
        message: String,
    },
    /// A snapshot was not made; the database is as it was.
    #[error("make the snapshot {} of the store: {message}", path.display())]
    Snapshot {
        /// The snapshot.
        path: PathBuf,
        /// What SQLite or the system said.
        message: String,
    },
    /// An earlier version could not take up its own copy.
    #[error("go back from the store {} of a later version: {message}; it is left where it is", path.display())]
    Back {
        /// The database.
        path: PathBuf,
        /// What SQLite or the system said.
        message: String,
    },
    /// The writer thread did not start.
    #[error("start the store's writer thread")]
    Thread(#[source] io::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(format!("the store refused: {error}"))
    }
}
