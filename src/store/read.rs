//! What is read, each on a connection of its own, beside the writer.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use ironwake_api::{
    Attempt, Build, Event, InventoryRecord, Lease, MacAddr, Machine, StepResult, Token, WebhookDelivery,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use tokio::sync::Semaphore;

use super::{READ_ROWS_MAX, StoreError, row};
use crate::access::{AddedKey, Kept};
use crate::appliance::Known;
use crate::artifact::{Download, Import};
use crate::operation::{HostRecord, Record};
use crate::profile::Written;

/// The connections that read. Each read takes one, on a thread that may block.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
}

impl Readers {
    pub fn new(connections: Vec<Connection>) -> Self {
        let free = Arc::new(Semaphore::new(connections.len()));
        Self { idle: Mutex::new(connections), free }
    }

    /// Runs `query` on a free connection.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.free.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = self.clone();
        let run = move || {
            let db = readers.lock().pop().ok_or(StoreError::Closed)?;
            let taken = Taken { readers: &readers, db: Some(db) };
            let result = taken.db.as_ref().map(query).ok_or(StoreError::Closed)?;
            // The connection is back before its permit is.
            drop(taken);
            drop(permit);
            Ok(result?)
        };
        tokio::task::spawn_blocking(run).await.map_err(|_| StoreError::Closed)?
    }

    /// Refuses further reads; those under way end.
    pub fn close(&self) {
        self.free.close();
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use; it goes back even when the query panics.
struct Taken<'a> {
    readers: &'a Readers,
    db: Option<Connection>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(db) = self.db.take()
            && !self.readers.free.is_closed()
        {
            self.readers.lock().push(db);
        }
    }
}

pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: row.get(0)?,
        at: row::millis(row.get(1)?),
        machine: row.get(2)?,
        actor: row::decode(row, 3)?,
        kind: row::decode(row, 4)?,
    })
}

pub(super) fn machines(db: &Connection) -> rusqlite::Result<Vec<Machine>> {
    all(db, "SELECT doc FROM machines ORDER BY created_at, id", [], |row| row::decode(row, 0))
}

pub(super) fn inventories(
    db: &Connection,
    machine: &str,
    limit: u32,
) -> rusqlite::Result<Vec<InventoryRecord>> {
    let sql = "SELECT id, at, doc FROM inventories WHERE machine = ?1 ORDER BY id DESC LIMIT ?2";
    all(db, sql, params![machine, limit.min(READ_ROWS_MAX)], |row| {
        Ok(InventoryRecord { id: row.get(0)?, at: row::millis(row.get(1)?), inventory: row::decode(row, 2)? })
    })
}

pub(super) fn attempts(db: &Connection, machine: &str, limit: u32) -> rusqlite::Result<Vec<Attempt>> {
    let sql = "SELECT doc FROM attempts WHERE machine = ?1 ORDER BY id DESC LIMIT ?2";
    with_stages(db, all(db, sql, params![machine, limit.min(READ_ROWS_MAX)], |row| row::decode(row, 0))?)
}

pub(super) fn attempt(db: &Connection, id: i64) -> rusqlite::Result<Option<Attempt>> {
    let sql = "SELECT doc FROM attempts WHERE id = ?1";
    let found = db.prepare_cached(sql)?.query_row([id], |row| row::decode(row, 0)).optional()?;
    Ok(with_stages(db, found.into_iter().collect())?.pop())
}

pub(super) fn attempts_running(db: &Connection) -> rusqlite::Result<Vec<Attempt>> {
    with_stages(
        db,
        all(db, "SELECT doc FROM attempts WHERE running ORDER BY id", [], |row| row::decode(row, 0))?,
    )
}

pub(super) fn attempts_newest(db: &Connection) -> rusqlite::Result<Vec<Attempt>> {
    let sql = "SELECT doc FROM attempts WHERE id IN \
               (SELECT max(id) FROM attempts WHERE machine IS NOT NULL GROUP BY machine)";
    all(db, sql, [], |row| row::decode(row, 0))
}

fn with_stages(db: &Connection, mut attempts: Vec<Attempt>) -> rusqlite::Result<Vec<Attempt>> {
    for attempt in &mut attempts {
        let sql = "SELECT doc FROM stages WHERE attempt = ?1 ORDER BY seq";
        attempt.stages = all(db, sql, [attempt.id], |row| row::decode(row, 0))?;
    }
    Ok(attempts)
}

pub(super) fn operations_running(db: &Connection) -> rusqlite::Result<Vec<Record>> {
    all(db, "SELECT doc FROM operations WHERE running ORDER BY id", [], |row| row::decode(row, 0))
}

pub(super) fn operation(db: &Connection, id: &str) -> rusqlite::Result<Option<Record>> {
    let mut query = db.prepare_cached("SELECT doc FROM operations WHERE id = ?1")?;
    query.query_row([id], |row| row::decode(row, 0)).optional()
}

pub(super) fn operations(
    db: &Connection,
    machine: Option<&str>,
    before: Option<&str>,
    limit: u32,
) -> rusqlite::Result<Vec<Record>> {
    let limit = limit.min(READ_ROWS_MAX);
    // Every id begins with a digit of a UUID, all of which stand before `g`.
    let before = before.unwrap_or("g");
    match machine {
        None => {
            let sql = "SELECT doc FROM operations WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
            all(db, sql, params![before, limit], |row| row::decode(row, 0))
        }
        Some(machine) => {
            let sql = "SELECT doc FROM operations WHERE machine = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
            all(db, sql, params![machine, before, limit], |row| row::decode(row, 0))
        }
    }
}

pub(super) fn login_key(db: &Connection, operation: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut query = db.prepare_cached("SELECT sealed FROM login_keys WHERE operation = ?1")?;
    query.query_row([operation], |row| row.get(0)).optional()
}

pub(super) fn login_keys(db: &Connection) -> rusqlite::Result<Vec<String>> {
    all(db, "SELECT operation FROM login_keys ORDER BY operation", [], |row| row.get(0))
}

pub(super) fn operation_steps(db: &Connection, operation: &str) -> rusqlite::Result<Vec<(u32, StepResult)>> {
    let sql = "SELECT seq, doc FROM operation_steps WHERE operation = ?1 ORDER BY seq";
    all(db, sql, [operation], |row| Ok((row.get(0)?, row::decode(row, 1)?)))
}

pub(super) fn imports(db: &Connection) -> rusqlite::Result<Vec<Import>> {
    let sql = "SELECT name, sha256, size_bytes, packing, disk_bytes, pinned, imported_at, imported_by, \
               used_at, origin \
               FROM imports ORDER BY name";
    all(db, sql, [], |row| {
        Ok(Import {
            name: row.get(0)?,
            sha256: row::digest(row, 1)?,
            size_bytes: row::bytes(row.get(2)?),
            packing: row::decode(row, 3)?,
            disk_bytes: row.get::<_, Option<i64>>(4)?.map(row::bytes),
            pinned: row.get(5)?,
            imported_at: row::millis(row.get(6)?),
            imported_by: row::decode(row, 7)?,
            used_at: row::millis(row.get(8)?),
            origin: row::decode(row, 9)?,
        })
    })
}

pub(super) fn builds(db: &Connection) -> rusqlite::Result<Vec<Build>> {
    all(db, "SELECT doc FROM builds ORDER BY name", [], |row| row::decode(row, 0))
}

pub(super) fn tokens(db: &Connection) -> rusqlite::Result<Vec<Kept>> {
    let sql = "SELECT name, digest, scope, created_at, created_by, expires_at FROM tokens ORDER BY name";
    all(db, sql, [], |row| {
        Ok(Kept {
            digest: row.get(1)?,
            token: Token {
                name: row.get(0)?,
                scope: row::decode(row, 2)?,
                created_at: row::millis(row.get(3)?),
                created_by: row::decode(row, 4)?,
                expires_at: row.get::<_, Option<i64>>(5)?.map(row::millis),
            },
        })
    })
}

pub(super) fn ssh_keys(db: &Connection) -> rusqlite::Result<Vec<AddedKey>> {
    all(db, "SELECT doc FROM ssh_keys ORDER BY id", [], |row| row::decode(row, 0))
}

pub(super) fn machine_values(db: &Connection) -> rusqlite::Result<Vec<(String, Written)>> {
    all(db, "SELECT machine, doc FROM machine_values", [], |row| Ok((row.get(0)?, row::decode(row, 1)?)))
}

pub(super) fn hostnames(db: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    all(db, "SELECT machine, name FROM hostnames", [], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn hosts(db: &Connection) -> rusqlite::Result<Vec<HostRecord>> {
    all(db, "SELECT doc FROM hosts ORDER BY machine", [], |row| row::decode(row, 0))
}

pub(super) fn webhook_cursor(db: &Connection, webhook: &str) -> rusqlite::Result<Option<i64>> {
    let mut query = db.prepare_cached("SELECT event FROM webhook_cursors WHERE webhook = ?1")?;
    query.query_row([webhook], |row| row.get(0)).optional()
}

pub(super) fn webhook_deliveries(
    db: &Connection,
    webhook: &str,
    limit: u32,
) -> rusqlite::Result<Vec<WebhookDelivery>> {
    let sql = "SELECT doc FROM webhook_deliveries WHERE webhook = ?1 ORDER BY id DESC LIMIT ?2";
    all(db, sql, params![webhook, limit.min(READ_ROWS_MAX)], |row| row::decode(row, 0))
}

pub(super) fn downloads(db: &Connection) -> rusqlite::Result<Vec<Download>> {
    all(db, "SELECT doc FROM downloads ORDER BY name", [], |row| row::decode(row, 0))
}

pub(super) fn clock(db: &Connection) -> rusqlite::Result<Option<Known>> {
    let mut query = db.prepare_cached("SELECT boot, since_boot, at FROM clock")?;
    let read = |row: &Row<'_>| {
        let (since_boot, at) = (row::millis(row.get(1)?), row::millis(row.get(2)?));
        Ok(Known { boot: row.get(0)?, since_boot, at })
    };
    query.query_row([], read).optional()
}

pub(super) fn leases(db: &Connection) -> rusqlite::Result<Vec<Lease>> {
    let sql = "SELECT address, network, mac, client_id, hostname, state, renewed_at, expires_at \
               FROM leases ORDER BY address";
    all(db, sql, [], |row| {
        Ok(Lease {
            address: Ipv4Addr::from_bits(row.get(0)?).to_string(),
            network: row.get(1)?,
            mac: MacAddr(row.get(2)?),
            client_id: row.get(3)?,
            hostname: row.get(4)?,
            state: row::lease_state_of(row, 5)?,
            renewed_at: row::millis(row.get(6)?),
            expires_at: row::millis(row.get(7)?),
        })
    })
}

pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(values, read)?.collect()
}
