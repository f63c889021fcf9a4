//! Opening: the lock, the connections and their settings.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, OpenFlags};

use super::{Counters, StoreError, WentBack, back, migrate};

/// Connections that read; two, so that a long list does not hold up a short look-up.
const READERS: usize = 2;
/// Page cache of one connection: the rows in use are in memory already, so little is read twice.
const CACHE_KIB: i64 = 2048;
/// What the write-ahead log shrinks to after a checkpoint.
const WAL_BYTES_MAX: i64 = 16 << 20;
/// A backup program may hold the database this long before a statement fails.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Distinct statements of one connection; all fit.
const STATEMENTS_MAX: usize = 48;
/// The database will hold what only the daemon may read.
const FILE_MODE: u32 = 0o600;

/// What `open` leads to.
pub(super) struct Opened {
    pub writer: Connection,
    pub readers: Vec<Connection>,
    pub lock: Flock<File>,
    pub counters: Counters,
    pub last_event: i64,
}

pub(super) fn open(path: &Path, snapshots: Option<&Path>) -> Result<(Opened, Option<WentBack>), StoreError> {
    let lock = lock(path)?;
    let went_back = match snapshots {
        Some(folder) => back::go_back(path, folder)?,
        None => None,
    };
    make_file(path)?;
    let mut writer = connect(path)?;
    let version = migrate::version(&writer, path)?;
    let unusable =
        |error: rusqlite::Error| StoreError::Unusable { path: path.into(), message: error.to_string() };
    // WAL is a property of the file: set before the readers come, and before anything is written.
    let mode: String =
        writer.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(unusable)?;
    if mode != "wal" {
        let message = format!("its file system does not allow write-ahead logging (journal mode {mode})");
        return Err(StoreError::Unusable { path: path.into(), message });
    }
    migrate::migrate(&mut writer, path, version)?;
    let readers = (0..READERS)
        .map(|_| {
            let reader = connect(path)?;
            reader.pragma_update(None, "query_only", true).map_err(unusable)?;
            Ok(reader)
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let counters = Counters {
        inventory: highest(&writer, "inventories").map_err(unusable)?,
        attempt: highest(&writer, "attempts").map_err(unusable)?,
    };
    let last_event = highest(&writer, "events").map_err(unusable)?;
    Ok((Opened { writer, readers, lock, counters, last_event }, went_back))
}

/// The largest number that a table ever used.
fn highest(db: &Connection, table: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1";
    db.query_row(sql, [table], |row| row.get(0))
}

/// The lock is a file of its own: SQLite's locks on the database would let a second daemon in between
/// two transactions.
pub(super) fn lock(path: &Path) -> Result<Flock<File>, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |source: io::Error| StoreError::Open { path: name.clone(), source };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&name)
        .map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => StoreError::InUse { path: path.into() },
        errno => failed(errno.into()),
    })
}

/// SQLite gives the log and the shared index the mode of the database.
pub(super) fn make_file(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map(|_| ())
        .map_err(|source| StoreError::Open { path: path.into(), source })
}

pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let set = || -> rusqlite::Result<Connection> {
        // Each connection is used by one thread at a time, so SQLite's own mutex is not needed.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        // What is deleted is overwritten: keys that were destroyed are not found in free pages.
        db.pragma_update(None, "secure_delete", true)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        db.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
        Ok(db)
    };
    set().map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::NotADatabase { path: path.into() },
        _ => StoreError::Unusable { path: path.into(), message: error.to_string() },
    })
}
