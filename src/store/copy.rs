//! A copy of the database as it is between two transactions, while the daemon writes.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use super::open::BUSY_TIMEOUT;

/// Copies the database `from` into the file `to`, which is not there yet: one file without a log, with what was committed.
pub fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let unusable =
        |error: rusqlite::Error| StoreError::Unusable { path: from.into(), message: error.to_string() };
    // The log's index is written by readers too.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(from, flags).map_err(unusable)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(unusable)?;
    db.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(unusable)?;
    Ok(())
}
