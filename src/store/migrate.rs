//! Brings a database to the schema of this program, one numbered step at a time.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::StoreError;

/// Step n takes a database from version n to n + 1. A step that has shipped is never edited.
const STEPS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
];

/// The version of the schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = STEPS.len() as u32;

/// The version of a database; 0 for an empty file. Refuses what this program must not touch.
pub(super) fn version(db: &Connection, path: &Path) -> Result<u32, StoreError> {
    let read = || -> rusqlite::Result<(u32, bool)> {
        let version = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables = db.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
        Ok((version, tables))
    };
    match read() {
        Ok((found, _)) if found > SCHEMA_VERSION => {
            Err(StoreError::Newer { path: path.into(), found, known: SCHEMA_VERSION })
        }
        // Tables without a version are some other program's.
        Ok((0, true)) => Err(StoreError::NotADatabase { path: path.into() }),
        Ok((version, _)) => Ok(version),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(StoreError::NotADatabase { path: path.into() })
        }
        Err(error) => Err(StoreError::Unusable { path: path.into(), message: error.to_string() }),
    }
}

/// Applies every step that is missing, each in a transaction of its own.
pub(super) fn migrate(db: &mut Connection, path: &Path, from: u32) -> Result<(), StoreError> {
    let failed = |message: String| StoreError::Migrate { path: path.into(), from, message };
    if from != 0 && from < SCHEMA_VERSION {
        copy(db, path, from).map_err(failed)?;
    }
    for (step, version) in STEPS.iter().zip(1_u32..).skip(from as usize) {
        let mut run = || -> rusqlite::Result<()> {
            let transaction = db.transaction()?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()
        };
        run().map_err(|error| failed(error.to_string()))?;
        tracing::debug!(version, "store migrated");
    }
    Ok(())
}

/// Where the copy of version `from` is kept.
pub(super) fn copy_path(path: &Path, from: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{from}"));
    name.into()
}

/// Keeps a consistent copy, what is still in the write-ahead log included.
fn copy(db: &Connection, path: &Path, from: u32) -> Result<(), String> {
    let kept = copy_path(path, from);
    let partial = kept.with_extension(format!("v{from}.partial"));
    let context = |error: &dyn std::fmt::Display| format!("copy it to {}: {error}", kept.display());
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(context(&error)),
        _ => {}
    }
    let name = partial.to_str().ok_or_else(|| context(&"the path is not UTF-8"))?;
    db.execute("VACUUM INTO ?1", [name]).map_err(|error| context(&error))?;
    let sync = || fs::File::open(&partial)?.sync_all();
    sync().and_then(|()| fs::rename(&partial, &kept)).map_err(|error| context(&error))
}
