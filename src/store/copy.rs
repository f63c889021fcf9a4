//! Copies of a database: made while it is in use, looked at before they are taken up.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::open::connect;
use super::{SCHEMA_VERSION, StoreError, open};

/// What a copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The version of its schema.
    pub schema: u32,
    /// Machines that are more than sightings or not: all of them.
    pub machines: u64,
    /// Names of images, each with the digest of its bytes.
    pub imports: Vec<(String, String)>,
}

/// Held while files of a state directory are replaced: no daemon opens the database meanwhile.
pub struct Locked {
    _lock: nix::fcntl::Flock<std::fs::File>,
}

impl Locked {
    /// Takes the lock of the database at `path`, which need not be there; refused while a daemon runs.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { _lock: open::lock(path)? })
    }
}

/// Copies the database at `from`, with what its log holds, to a new file. Whoever saves meanwhile is not held up, and what
/// they save behind the beginning is not in the copy. What was deleted is in no page of it. Blocks.
pub fn snapshot(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |why: &dyn std::fmt::Display| {
        StoreError::Sqlite(format!("copy {} to {}: {why}", from.display(), to.display()))
    };
    let name = to.to_str().ok_or_else(|| failed(&"the path is not UTF-8"))?;
    // SQLite takes an empty file that is there, and leaves its mode.
    open::make_file(to)?;
    let db = connect(from)?;
    db.execute("VACUUM INTO ?1", [name]).map_err(|error| failed(&error))?;
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| failed(&error))
}

/// Looks at a copy that nobody has open: whole, ours, of a version that is known. Blocks.
pub fn inspect(path: &Path) -> Result<Inspected, StoreError> {
    let unusable =
        |error: rusqlite::Error| StoreError::Unusable { path: path.into(), message: error.to_string() };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(unusable)?;
    let schema = super::migrate::version(&db, path)?;
    if schema == 0 {
        return Err(StoreError::NotADatabase { path: path.into() });
    }
    debug_assert!(schema <= SCHEMA_VERSION);
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(unusable)?;
    if found != "ok" {
        return Err(StoreError::Unusable { path: path.into(), message: found });
    }
    let machines: i64 =
        db.query_row("SELECT count(*) FROM machines", [], |row| row.get(0)).map_err(unusable)?;
    // The table came with a migration.
    let known = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'imports')";
    let imports = match db.query_row(known, [], |row| row.get::<_, bool>(0)).map_err(unusable)? {
        false => Vec::new(),
        true => {
            let mut select =
                db.prepare("SELECT name, sha256 FROM imports ORDER BY name").map_err(unusable)?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(unusable)?;
            rows.collect::<Result<_, _>>().map_err(unusable)?
        }
    };
    Ok(Inspected { schema, machines: u64::try_from(machines).unwrap_or_default(), imports })
}
