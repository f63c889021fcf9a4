//! Going back to an earlier version of the program: a database of a later schema is put aside, never deleted, and the newest copy
//! that this version can read takes its place. Copies are the snapshot made before an update, and that made before a migration.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::migrate::{SCHEMA_VERSION, copy_path};
use super::{StoreError, open};

/// Snapshots that are kept: of the version that runs, and of the one before.
const SNAPSHOTS_MAX: usize = 2;
/// How their names begin and end; the version that made one stands between.
const PREFIX: &str = "ironwake-";
const ENDING: &str = ".db";

/// What was done to go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WentBack {
    /// Where the later database is.
    pub aside: PathBuf,
    /// The copy that took its place.
    pub from: PathBuf,
    /// Its last event, with its time in milliseconds; none where it has none.
    pub last_event: Option<(i64, u64)>,
    /// Events that are only in the database that was put aside.
    pub events_lost: u64,
}

/// Where the snapshot is that a version leaves before another is installed.
pub fn snapshot_path(folder: &Path, version: &str) -> PathBuf {
    folder.join(format!("{PREFIX}{version}{ENDING}"))
}

/// Makes a consistent copy of the database at `path`, while it is in use: whole and on the disk, or not there. Older snapshots
/// make room.
pub(super) fn snapshot(path: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |message: String| StoreError::Snapshot { path: to.into(), message };
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    let partial = to.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let name = partial.to_str().ok_or_else(|| failed("the path is not UTF-8".into()))?;
    let db = open::connect(path)?;
    db.execute("VACUUM INTO ?1", [name]).map_err(|error| failed(error.to_string()))?;
    put(&partial, to).map_err(|error| failed(error.to_string()))?;
    prune(folder, to);
    Ok(())
}

/// Where the database at `path` is of a later schema, puts it aside and a copy in its place; `None` where there is nothing to go
/// back from. The store's lock must be held.
pub(super) fn go_back(path: &Path, snapshots: &Path) -> Result<Option<WentBack>, StoreError> {
    let restoring = beside(path, "restoring");
    let failed = |message: String| StoreError::Back { path: path.into(), message };
    let io = |error: std::io::Error| failed(error.to_string());
    // It went off between the two renamings: what is to be restored is whole.
    if !path.exists() && restoring.exists() {
        fs::rename(&restoring, path).map_err(io)?;
        return Ok(None);
    }
    let Some(found) = look(path).filter(|found| found.schema > SCHEMA_VERSION) else { return Ok(None) };
    let candidates = copies(path, snapshots).into_iter().filter_map(|copy| {
        let seen = look(&copy).filter(|seen| (1..=SCHEMA_VERSION).contains(&seen.schema))?;
        Some((copy, seen))
    });
    // The one that knows most; of two that know the same, that which needs the least migration.
    let newest = candidates.max_by_key(|(_, seen)| (seen.last_event.map_or(0, |(id, _)| id), seen.schema));
    // Without a copy nothing is touched, and whoever opens it says what there is to do.
    let Some((from, seen)) = newest else { return Ok(None) };
    fs::copy(&from, &restoring).map_err(io)?;
    File::open(&restoring).and_then(|file| file.sync_all()).map_err(io)?;
    // What is in the write-ahead log belongs to the file that is put aside.
    let db = open::connect(path)?;
    let emptied = db.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0));
    let mode = emptied.map_err(|error| failed(error.to_string()))?;
    if mode != "delete" {
        return Err(failed(format!("its write-ahead log cannot be taken in (journal mode {mode})")));
    }
    drop(db);
    let aside = free_name(path, found.schema);
    fs::rename(path, &aside).map_err(io)?;
    put(&restoring, path).map_err(io)?;
    let last = |seen: &Seen| seen.last_event.map_or(0, |(id, _)| id);
    let events_lost = u64::try_from(last(&found) - last(&seen)).unwrap_or_default();
    Ok(Some(WentBack { aside, from, last_event: seen.last_event, events_lost }))
}

/// What a database is.
struct Seen {
    schema: u32,
    last_event: Option<(i64, u64)>,
}

/// Looks into a database; `None` for what is none.
fn look(path: &Path) -> Option<Seen> {
    if !path.is_file() {
        return None;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).ok()?;
    let schema = db.pragma_query_value(None, "user_version", |row| row.get(0)).ok()?;
    let sql = "SELECT id, at FROM events ORDER BY id DESC LIMIT 1";
    let last_event = db.query_row(sql, [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).ok();
    Some(Seen { schema, last_event: last_event.map(|(id, at)| (id, u64::try_from(at).unwrap_or_default())) })
}

/// Every copy that could take the place of the database at `path`.
pub fn copies(path: &Path, snapshots: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = (1..=SCHEMA_VERSION).map(|version| copy_path(path, version)).collect();
    found.extend(all_snapshots(snapshots));
    found.into_iter().filter(|copy| copy.is_file()).collect()
}

fn all_snapshots(folder: &Path) -> Vec<PathBuf> {
    let named = |name: &str| name.starts_with(PREFIX) && name.ends_with(ENDING);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(named)).map(|entry| entry.path()).collect()
}

/// Removes the oldest snapshots beyond the limit, but not this one.
fn prune(folder: &Path, kept: &Path) {
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|found| found.modified()).ok();
    let mut others: Vec<PathBuf> = all_snapshots(folder).into_iter().filter(|path| path != kept).collect();
    others.sort_by_key(changed);
    let surplus = (others.len() + 1).saturating_sub(SNAPSHOTS_MAX);
    for path in &others[..surplus] {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(%error, path = %path.display(), "an old snapshot stays");
        }
    }
}

/// Gives a whole file its name, on the disk too.
fn put(partial: &Path, path: &Path) -> std::io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::rename(partial, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// A name that nothing has, for a database of a later schema.
fn free_name(path: &Path, schema: u32) -> PathBuf {
    let name = |number: u32| beside(path, &format!("later-v{schema}.{number}"));
    (1..=u32::MAX).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}
