//! What each change does to the database.

use ironwake_api::{Attempt, AttemptOutcome, Event, Lease, Machine};
use rusqlite::params;

use super::writer::Writer;
use super::{
    ATTEMPTS_PER_MACHINE_MAX, Change, DELIVERIES_PER_WEBHOOK_MAX, EVENTS_MAX, INVENTORIES_PER_MACHINE_MAX,
    NewEvent, StoreError, row,
};
use crate::access::Kept;
use crate::appliance::Jump;
use crate::artifact::Import;

/// Old events go in portions: each time this many have come.
const EVENTS_PRUNE_EVERY: i64 = 1000;

impl Writer {
    /// Applies one change within the open savepoint.
    pub(super) fn apply(&mut self, change: &Change, events: &mut Vec<Event>) -> Result<(), StoreError> {
        match change {
            Change::Machine(machine) => self.put_machine(machine),
            Change::MachineDeleted(id) => self.execute("DELETE FROM machines WHERE id = ?1", [id]),
            Change::MachineAbsorbed { id, into } => {
                // The document names the machine too: it is what readers get.
                self.execute(
                    "UPDATE attempts SET machine = ?2, doc = json_set(doc, '$.machine', ?2) \
                     WHERE machine = ?1",
                    [id, into],
                )?;
                self.execute("DELETE FROM machines WHERE id = ?1", [id])
            }
            Change::Inventory { id, machine, at, inventory } => {
                let sql = "INSERT INTO inventories (id, machine, at, doc) VALUES (?1, ?2, ?3, ?4)";
                self.execute(sql, params![id, machine, row::time(*at), row::encode(inventory)?])?;
                self.execute(
                    "DELETE FROM inventories WHERE machine = ?1 AND id <= (SELECT id FROM inventories \
                     WHERE machine = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                    params![machine, INVENTORIES_PER_MACHINE_MAX],
                )
            }
            Change::Attempt(attempt) => self.put_attempt(attempt),
            Change::Stage { attempt, seq, stage } => self.execute(
                "INSERT INTO stages (attempt, seq, doc) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (attempt, seq) DO UPDATE SET doc = excluded.doc",
                params![attempt, seq, row::encode(stage)?],
            ),
            Change::Operation(record) => self.execute(
                "INSERT INTO operations (id, machine, running, doc) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (id) DO UPDATE SET running = excluded.running, doc = excluded.doc",
                params![
                    record.operation.id,
                    record.operation.machine,
                    !record.operation.state.has_ended(),
                    row::encode(record)?
                ],
            ),
            Change::LoginKey { operation, sealed } => self.execute(
                "INSERT OR REPLACE INTO login_keys (operation, sealed) VALUES (?1, ?2)",
                params![operation, sealed],
            ),
            Change::LoginKeyDestroyed(operation) => {
                self.secret_deleted = true;
                self.execute("DELETE FROM login_keys WHERE operation = ?1", [operation])
            }
            Change::OperationStep { operation, seq, step } => self.execute(
                "INSERT OR REPLACE INTO operation_steps (operation, seq, doc) VALUES (?1, ?2, ?3)",
                params![operation, seq, row::encode(step)?],
            ),
            Change::Import(import) => self.put_import(import),
            Change::ImportDeleted(name) => self.execute("DELETE FROM imports WHERE name = ?1", [name]),
            Change::Build(build) => self.execute(
                "INSERT OR REPLACE INTO builds (name, doc) VALUES (?1, ?2)",
                params![build.name, row::encode(build)?],
            ),
            Change::Token(kept) => self.put_token(kept),
            Change::TokenDeleted(name) => self.execute("DELETE FROM tokens WHERE name = ?1", [name]),
            Change::SshKey(added) => self.execute(
                "INSERT INTO ssh_keys (fingerprint, doc) VALUES (?1, ?2)",
                params![added.key.fingerprint(), row::encode(added)?],
            ),
            Change::SshKeyDeleted(fingerprint) => {
                self.execute("DELETE FROM ssh_keys WHERE fingerprint = ?1", [fingerprint])
            }
            Change::MachineValues { machine, values } => self.execute(
                "INSERT INTO machine_values (machine, doc) VALUES (?1, ?2) \
                 ON CONFLICT (machine) DO UPDATE SET doc = excluded.doc",
                params![machine, row::encode(values.reveal())?],
            ),
            Change::Hostname { machine, name: Some(name) } => self.execute(
                "INSERT INTO hostnames (machine, name) VALUES (?1, ?2) \
                 ON CONFLICT (machine) DO UPDATE SET name = excluded.name",
                params![machine, name],
            ),
            Change::Hostname { machine, name: None } => {
                self.execute("DELETE FROM hostnames WHERE machine = ?1", [machine])
            }
            Change::Host(host) => self.execute(
                "INSERT INTO hosts (machine, doc) VALUES (?1, ?2) \
                 ON CONFLICT (machine) DO UPDATE SET doc = excluded.doc",
                params![host.machine, row::encode(host)?],
            ),
            Change::HostGone(machine) => self.execute("DELETE FROM hosts WHERE machine = ?1", [machine]),
            Change::WebhookCursor { webhook, event } => self.execute(
                "INSERT OR REPLACE INTO webhook_cursors (webhook, event) VALUES (?1, ?2)",
                params![webhook, event],
            ),
            Change::WebhookDelivery(delivery) => {
                self.execute(
                    "INSERT INTO webhook_deliveries (webhook, doc) VALUES (?1, ?2)",
                    params![delivery.webhook, row::encode(delivery)?],
                )?;
                self.execute(
                    "DELETE FROM webhook_deliveries WHERE webhook = ?1 AND id <= (SELECT id FROM \
                     webhook_deliveries WHERE webhook = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                    params![delivery.webhook, DELIVERIES_PER_WEBHOOK_MAX],
                )
            }
            Change::Download(download) => self.execute(
                "INSERT OR REPLACE INTO downloads (name, doc) VALUES (?1, ?2)",
                params![download.name, row::encode(download)?],
            ),
            Change::DownloadDeleted(name) => self.execute("DELETE FROM downloads WHERE name = ?1", [name]),
            Change::ClockJumped(jump) => self.move_times(jump),
            Change::Clock(known) => self.execute(
                "INSERT OR REPLACE INTO clock (id, boot, since_boot, at) VALUES (0, ?1, ?2, ?3)",
                params![known.boot, row::time(known.since_boot), row::time(known.at)],
            ),
            Change::Lease(lease) => self.put_lease(lease),
            Change::Event(event) => {
                events.push(self.add_event(event)?);
                Ok(())
            }
        }
    }

    fn put_machine(&self, machine: &Machine) -> Result<(), StoreError> {
        // The inventory has a table of its own.
        let doc = match machine.inventory {
            None => row::encode(machine)?,
            Some(_) => row::encode(&Machine { inventory: None, ..machine.clone() })?,
        };
        // Not INSERT OR REPLACE: replacing deletes first, and its inventories and attempts with it.
        self.execute(
            "INSERT INTO machines (id, name, created_at, doc) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, doc = excluded.doc",
            params![machine.id, machine.name, row::time(machine.created_at), doc],
        )
    }

    fn put_attempt(&mut self, attempt: &Attempt) -> Result<(), StoreError> {
        let doc = match attempt.stages.is_empty() {
            true => row::encode(attempt)?,
            false => row::encode(&Attempt { stages: Vec::new(), ..attempt.clone() })?,
        };
        let running = attempt.outcome == AttemptOutcome::Running;
        self.execute(
            // The record may be gone by the time that its attempt is saved: the attempt is nobody's then.
            "INSERT INTO attempts (id, machine, running, doc) \
             VALUES (?1, (SELECT id FROM machines WHERE id = ?2), ?3, ?4) \
             ON CONFLICT (id) DO UPDATE SET machine = excluded.machine, running = excluded.running, \
             doc = excluded.doc",
            params![attempt.id, attempt.machine, running, doc],
        )?;
        if attempt.id <= self.attempt_newest {
            return Ok(());
        }
        self.attempt_newest = attempt.id;
        self.execute(
            "DELETE FROM attempts WHERE machine IS ?1 AND id <= (SELECT id FROM attempts \
             WHERE machine IS ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![attempt.machine, ATTEMPTS_PER_MACHINE_MAX],
        )
    }

    fn put_import(&self, import: &Import) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO imports \
             (name, sha256, size_bytes, packing, disk_bytes, pinned, imported_at, imported_by, used_at, origin) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                import.name,
                import.sha256.to_string(),
                row::size(import.size_bytes),
                row::encode(&import.packing)?,
                import.disk_bytes.map(row::size),
                import.pinned,
                row::time(import.imported_at),
                row::encode(&import.imported_by)?,
                row::time(import.used_at),
                row::encode(&import.origin)?
            ],
        )
    }

    fn put_token(&self, kept: &Kept) -> Result<(), StoreError> {
        let token = &kept.token;
        self.execute(
            "INSERT INTO tokens (name, digest, scope, created_at, created_by, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                token.name,
                kept.digest,
                row::encode(&token.scope)?,
                row::time(token.created_at),
                row::encode(&token.created_by)?,
                token.expires_at.map(row::time)
            ],
        )
    }

    /// The same as [`Jump::lease`], for all at once; tokens and images of before the start of the system keep their dates.
    fn move_times(&self, jump: &Jump) -> Result<(), StoreError> {
        let (to, by) = (row::time(jump.to), jump.delta());
        // Nothing is given at the end of time.
        let booted = jump.booted_at.map_or(i64::MAX, row::time);
        self.execute(
            "UPDATE leases SET expires_at = ?1 + max(0, expires_at - renewed_at), renewed_at = ?1 \
             WHERE renewed_at > ?1 AND renewed_at < ?2",
            [to, booted],
        )?;
        for sql in [
            "UPDATE leases SET renewed_at = max(0, renewed_at + ?1), expires_at = max(0, expires_at + ?1) \
             WHERE renewed_at >= ?2",
            "UPDATE tokens SET created_at = max(0, created_at + ?1), expires_at = max(0, expires_at + ?1) \
             WHERE created_at >= ?2",
            "UPDATE imports SET used_at = max(0, used_at + ?1) WHERE used_at >= ?2",
        ] {
            self.execute(sql, [by, booted])?;
        }
        Ok(())
    }

    fn put_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO leases (address, network, mac, client_id, hostname, state, renewed_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (address) DO UPDATE SET network = excluded.network, mac = excluded.mac, \
             client_id = excluded.client_id, hostname = excluded.hostname, state = excluded.state, \
             renewed_at = excluded.renewed_at, expires_at = excluded.expires_at",
            params![
                row::address(&lease.address)?,
                lease.network,
                lease.mac.0,
                lease.client_id,
                lease.hostname,
                row::lease_state(lease.state),
                row::time(lease.renewed_at),
                row::time(lease.expires_at)
            ],
        )
    }

    fn add_event(&self, event: &NewEvent) -> Result<Event, StoreError> {
        self.execute(
            "INSERT INTO events (at, machine, actor, doc) VALUES (?1, ?2, ?3, ?4)",
            params![
                row::time(event.at),
                event.machine,
                row::encode(&event.actor)?,
                row::encode(&event.kind)?
            ],
        )?;
        let id = self.connection.last_insert_rowid();
        if id % EVENTS_PRUNE_EVERY == 0 {
            self.execute("DELETE FROM events WHERE id <= ?1", [id - EVENTS_MAX])?;
        }
        let NewEvent { at, actor, machine, kind } = event.clone();
        Ok(Event { id, at, actor, machine, kind })
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}
