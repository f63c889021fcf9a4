//! Hosts: what runs on each machine, in memory as it is in the store; and which of them have fallen silent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use ironwake_api::{Actor, EventKind, MachineHost, Millis, OperationKind, OperationState};
use tracing::warn;

use super::Site;
use crate::operation::{HostRecord, Record};
use crate::store::Change;

/// Hosts of one change that are told to be silent: a switch that fails takes all of its hosts with it.
const SILENT_AT_ONCE_MAX: usize = 500;

/// What runs on each machine.
pub(super) struct Hosts {
    known: RwLock<Known>,
    /// From here on calls can be heard.
    listening_since: AtomicU64,
}

#[derive(Default)]
struct Known {
    by_machine: HashMap<String, Box<HostRecord>>,
    /// The machine of each operation whose host is known.
    by_operation: HashMap<String, String>,
}

impl Known {
    fn put(&mut self, host: HostRecord) {
        self.remove(&host.machine);
        self.by_operation.insert(host.operation.clone(), host.machine.clone());
        self.by_machine.insert(host.machine.clone(), Box::new(host));
    }

    fn remove(&mut self, machine: &str) {
        if let Some(before) = self.by_machine.remove(machine) {
            self.by_operation.remove(&before.operation);
        }
    }
}

impl Hosts {
    pub fn new(hosts: Vec<HostRecord>, now: Millis) -> Self {
        let mut known = Known::default();
        hosts.into_iter().for_each(|host| known.put(host));
        Self { known: RwLock::new(known), listening_since: AtomicU64::new(now) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().expect("no panic while held")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().expect("no panic while held")
    }

    /// What this operation has installed, while that is what runs.
    pub fn of_operation(&self, operation: &str) -> Option<HostRecord> {
        let known = self.read();
        let machine = known.by_operation.get(operation)?;
        known.by_machine.get(machine).map(|host| HostRecord::clone(host))
    }

    /// What runs on a machine, as its record shows it.
    pub fn shown(&self, machine: &str, now: Millis) -> Option<Box<MachineHost>> {
        let known = self.read();
        known
            .by_machine
            .get(machine)
            .map(|host| Box::new(host.shown(now, self.listening_since.load(Ordering::Relaxed))))
    }

    pub fn put(&self, host: HostRecord) {
        self.write().put(host);
    }

    /// The machine's record or its system is gone.
    pub fn forget(&self, machine: &str) {
        self.write().remove(machine);
    }

    /// Nothing that was heard before is compared with the clock.
    pub fn listen_since(&self, now: Millis) {
        self.listening_since.store(now, Ordering::Relaxed);
    }

    /// Follows a change that is in the store.
    pub fn saved(&self, change: Option<Change>) {
        match change {
            Some(Change::Host(host)) => self.put(*host),
            Some(Change::HostGone(machine)) => self.forget(&machine),
            _ => {}
        }
    }

    /// Those that have fallen silent and were not told to be.
    fn late(&self, now: Millis) -> Vec<HostRecord> {
        let (known, since) = (self.read(), self.listening_since.load(Ordering::Relaxed));
        let late = known.by_machine.values().filter(|host| !host.silent && host.is_late(now, since));
        late.map(|host| HostRecord::clone(host)).collect()
    }
}

impl Site {
    /// What a change of an operation means for what runs on its machine: a host phones home, or what was there is
    /// overwritten.
    pub(super) fn host_change(&self, before: &Record, after: &Record) -> Option<Change> {
        let operation = &after.operation;
        match &operation.host {
            Some(host) if before.operation.host.is_none() => {
                Some(Change::Host(Box::new(HostRecord::new(after, host.clone()))))
            }
            _ if operation.kind.writes()
                && operation.may_have_written
                && !before.operation.may_have_written =>
            {
                Some(Change::HostGone(operation.machine.clone()))
            }
            _ => None,
        }
    }

    /// Tells once of each host that has fallen silent; to be called about once a second.
    pub async fn note_silent_hosts(&self) {
        let now = self.now();
        if !self.hosts.late(now).iter().any(|host| !self.is_away(&host.machine)) {
            return;
        }
        let _gate = self.gate.lock().await;
        let mut late = self.hosts.late(now);
        late.retain(|host| !self.is_away(&host.machine));
        late.truncate(SILENT_AT_ONCE_MAX);
        let mut changes = Vec::with_capacity(2 * late.len());
        for host in &mut late {
            host.silent = true;
            let kind = EventKind::HostSilent {
                operation: host.operation.clone(),
                called_at: host.host.at,
                heartbeat_secs: host.heartbeat_secs.unwrap_or_default(),
            };
            changes.push(Change::Host(Box::new(host.clone())));
            changes.push(self.event(Actor::Daemon, Some(&host.machine), kind));
        }
        match self.store.save(changes).await {
            Ok(()) => late.into_iter().for_each(|host| self.hosts.put(host)),
            Err(error) => warn!(%error, "that hosts are silent was not saved"),
        }
    }

    /// Whether a machine is known to run something else than its host: an operation has booted it.
    fn is_away(&self, machine: &str) -> bool {
        let running: Option<(OperationKind, OperationState)> = self.operations.state_of(machine);
        running.is_some_and(|(_, state)| {
            matches!(
                state,
                OperationState::PxeBooted | OperationState::Installing | OperationState::Installed
            )
        })
    }
}
