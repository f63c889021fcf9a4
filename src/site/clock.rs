//! A clock that was set: everything that lasts until a time is moved with it, in the store first.

use std::sync::RwLock;

use ironwake_api::{Actor, EventKind, Millis, OperationState};

use super::{Site, SiteError};
use crate::appliance::{Jump, Known};
use crate::operation::Record;
use crate::store::{Change, NewEvent};

/// Jumps since the start, in order. Whoever keeps times of its own asks which of them it has not seen.
#[derive(Default)]
pub(super) struct Jumps(RwLock<Vec<Jump>>);

impl Site {
    /// The time, and how many jumps of the clock are behind it.
    pub fn moment(&self) -> (Millis, usize) {
        let jumps = self.jumps.0.read().expect("no panic while held");
        (self.now(), jumps.len())
    }

    /// The jumps from this one on.
    pub fn jumps_since(&self, seen: usize) -> Vec<Jump> {
        let jumps = self.jumps.0.read().expect("no panic while held");
        jumps.get(seen..).unwrap_or_default().to_vec()
    }

    /// Moves everything that lasts until a time with a clock that was set, and has `switch` show the time from then on. All of
    /// it is in the store before, in one piece, with what is known of the clock: a crash leaves all of it or none.
    pub async fn clock_jumped(
        &self,
        jump: Jump,
        known: Known,
        switch: impl FnOnce(),
    ) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        let moved: Vec<Record> = self.operations.all().iter().map(|record| moved(record, &jump)).collect();
        let mut changes = vec![Change::ClockJumped(jump), Change::Clock(Box::new(known))];
        changes.extend(moved.iter().cloned().map(|record| Change::Operation(Box::new(record))));
        let kind = EventKind::ClockJumped { from: jump.from, to: jump.to };
        changes.push(Change::Event(Box::new(NewEvent {
            at: jump.to,
            actor: Actor::Daemon,
            machine: None,
            kind,
        })));
        self.store.save(changes).await?;
        {
            let mut jumps = self.jumps.0.write().expect("no panic while held");
            switch();
            jumps.push(jump);
            moved.into_iter().for_each(|record| self.operations.put(record));
            self.logged.clock_jumped(&jump);
            self.tokens.clock_jumped(&jump);
        }
        self.recorder().clock_jumped(&jump);
        self.hosts.listen_since(jump.to);
        for mut import in self.imports.all() {
            if jump.given_since_boot(import.used_at) {
                import.used_at = jump.moved(import.used_at);
                self.imports.put(import);
            }
        }
        if let Ok(own) = self.own() {
            own.clock_jumped(&jump);
        }
        Ok(())
    }
}

/// An operation by the clock as it is.
fn moved(record: &Record, jump: &Jump) -> Record {
    let mut record = record.clone();
    let operation = &mut record.operation;
    let since = operation.state_since;
    if let Some(arming) = &mut operation.arming {
        arming.expires_at = jump.arming(arming.at, arming.expires_at);
        if jump.given_since_boot(arming.at) {
            arming.at = jump.moved(arming.at);
        }
    }
    operation.deadline = operation.deadline.map(|until| match (operation.state, &operation.arming) {
        (OperationState::PxeReady, Some(arming)) => arming.expires_at,
        _ => jump.deadline(since, until),
    });
    if jump.given_since_boot(since) {
        operation.state_since = jump.moved(since);
    }
    record
}
