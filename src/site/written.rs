//! What is on disks that an operation has written: the inventory goes on to say what is there, so that the next operation
//! can be confirmed and guarded by it.

use ironwake_api::{Actor, ApprovedDisk, Disk, EventKind, OperationState};

use super::enroll::{CHANGES_NAMED_MAX, named, shortened};
use super::{Site, SiteError};
use crate::machine::diff;
use crate::operation::{Draft, Record};
use crate::store::Change;

/// Operations of a machine that are looked at for what was written last: some may have been cancelled since.
const LOOKED_AT_MAX: u32 = 20;

impl Site {
    /// The agent reports the disks that it has written: a new inventory, which differs from the last one in these alone. The
    /// gate must be held.
    pub(super) async fn disks_written(&self, record: &Record, disks: Vec<Disk>) -> Result<(), SiteError> {
        let operation = &record.operation;
        if operation.state != OperationState::Installing {
            return Err(SiteError::Conflict(format!("{} is {}", operation.kind, operation.state)));
        }
        let mut machine = self.machine(&operation.machine)?;
        let Some(before) = self.store.inventory(&machine.id).await? else { return Ok(()) };
        let mut inventory = before.inventory.clone();
        for disk in &mut inventory.disks {
            let approved = operation.disks.iter().find(|approved| approved.is_claimed_by(disk));
            let found = |approved: &ApprovedDisk| disks.iter().find(|found| approved.is_claimed_by(found));
            if let Some(found) = approved.and_then(found) {
                *disk = found.clone();
            }
        }
        let inventory = shortened(inventory)?;
        let differences = diff(&before.inventory, &inventory);
        let id = self.read().last_inventory + 1;
        machine.inventory_at = Some(self.now());
        let changes = differences.iter().take(CHANGES_NAMED_MAX).map(named).collect();
        let kind = EventKind::Inventory { inventory: id, changes, first: false };
        let event = self.event(Actor::Machine, Some(&machine.id), kind);
        let at = self.now();
        let inventory =
            Change::Inventory { id, machine: machine.id.clone(), at, inventory: Box::new(inventory) };
        self.store.save(vec![Change::Machine(Box::new(machine.clone())), inventory, event]).await?;
        let mut records = self.write();
        records.last_inventory = id;
        records.put(machine);
        Ok(())
    }

    /// Refuses disks that were written after the last inventory: nobody knows what would be confirmed.
    pub(super) async fn refuse_written_since(&self, draft: &Draft) -> Result<(), SiteError> {
        let Some(inventory) = self.store.inventory(&draft.machine).await? else { return Ok(()) };
        let operations = self.store.operations(Some(draft.machine.clone()), None, LOOKED_AT_MAX).await?;
        let stale = |record: &Record| {
            let began = record.operation.history.iter().rfind(|event| event.to == OperationState::Installing);
            record.operation.kind.writes() && began.is_some_and(|event| event.at > inventory.at)
        };
        let Some(Record { operation: last, .. }) = operations.into_iter().find(stale) else { return Ok(()) };
        let same = |disk: &&ApprovedDisk| {
            last.disks.iter().any(|written| (&written.serial, &written.path) == (&disk.serial, &disk.path))
        };
        match draft.disks.iter().find(same) {
            Some(disk) => Err(SiteError::Conflict(format!(
                "{} {} began to write {} after the last inventory, and nobody knows what is on it: `ironwake inspect {}` \
                 has the machine report it, `ironwake operation retry {}` does the same once more",
                last.kind, last.id, disk.name, draft.machine, last.id
            ))),
            None => Ok(()),
        }
    }
}
