//! What is on disks that an operation has written: the inventory goes on to say what is there, so that the next operation
//! can be confirmed and guarded by it.

use ironwake_api::{Actor, ApprovedDisk, Disk, EventKind, InventoryRecord, Millis, OperationState};

use super::enroll::{CHANGES_NAMED_MAX, named, shortened};
use super::{Site, SiteError};
use crate::machine::{diff, summary};
use crate::operation::{Draft, Record};
use crate::store::{Change, INVENTORIES_PER_MACHINE_MAX};

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
        let mut reported = Vec::new();
        for disk in &mut inventory.disks {
            let approved = operation.disks.iter().find(|approved| approved.is_claimed_by(disk));
            let found = |approved: &ApprovedDisk| disks.iter().find(|found| approved.is_claimed_by(found));
            if let Some((approved, found)) = approved.and_then(|approved| Some((approved, found(approved)?)))
            {
                reported.push(approved.name.clone());
                *disk = found.clone();
            }
        }
        let inventory = shortened(inventory)?;
        machine.hardware = Some(Box::new(summary(&inventory)));
        let differences = diff(&before.inventory, &inventory);
        let id = self.read().last_inventory + 1;
        let at = self.now();
        machine.inventory_at = Some(at);
        let changes = differences.iter().take(CHANGES_NAMED_MAX).map(named).collect();
        let kind = EventKind::Inventory { inventory: id, changes, first: false };
        let event = self.event(Actor::Machine, Some(&machine.id), kind);
        let inventory =
            Change::Inventory { id, machine: machine.id.clone(), at, inventory: Box::new(inventory) };
        let mut record = record.clone();
        record.reported.extend(reported.into_iter().map(|name| (name, id)));
        let changes = vec![
            Change::Machine(Box::new(machine.clone())),
            inventory,
            Change::Operation(Box::new(record.clone())),
            event,
        ];
        self.store.save(changes).await?;
        self.operations.put(record);
        let mut records = self.write();
        records.last_inventory = id;
        records.put(machine);
        Ok(())
    }

    /// Refuses disks that were written after they were last reported: nobody knows what would be confirmed.
    pub(super) async fn refuse_written_since(&self, draft: &Draft) -> Result<(), SiteError> {
        let operations = self.store.operations(Some(draft.machine.clone()), None, LOOKED_AT_MAX).await?;
        let Some(whole_at) = self.last_whole_inventory(&draft.machine, &operations).await? else {
            return Ok(());
        };
        for disk in &draft.disks {
            let same =
                |written: &ApprovedDisk| (&written.serial, &written.path) == (&disk.serial, &disk.path);
            // The newest one that began on the disk; whatever others did to it before, or to other disks since, is no matter.
            let last = operations.iter().find_map(|record| {
                let began = began_at(record)?;
                let written = record.operation.disks.iter().find(|written| same(written))?;
                Some((record, began, written))
            });
            let Some((Record { operation: last, reported, .. }, began, written)) = last else { continue };
            if began > whole_at && !reported.contains_key(&written.name) {
                return Err(SiteError::Conflict(format!(
                    "{} {} began to write {} after it was last reported, and nobody knows what is on it: `ironwake inspect {}` \
                     has the machine report it, `ironwake operation retry {}` does the same once more",
                    last.kind,
                    last.id,
                    disk.name,
                    self.called(&draft.machine),
                    last.id
                )));
            }
        }
        Ok(())
    }

    /// When the machine last reported all of its disks, and not those alone that an operation had written; zero where that is
    /// not kept any more.
    async fn last_whole_inventory(
        &self,
        machine: &str,
        operations: &[Record],
    ) -> Result<Option<Millis>, SiteError> {
        let is_whole = |inventory: &InventoryRecord| {
            !operations.iter().any(|record| record.reported.values().any(|id| *id == inventory.id))
        };
        let Some(last) = self.store.inventory(machine).await? else { return Ok(None) };
        if is_whole(&last) {
            return Ok(Some(last.at));
        }
        let kept = self.store.inventories(machine, INVENTORIES_PER_MACHINE_MAX).await?;
        Ok(Some(kept.iter().find(|inventory| is_whole(inventory)).map_or(0, |inventory| inventory.at)))
    }
}

/// When an operation began to write.
fn began_at(record: &Record) -> Option<Millis> {
    let Record { operation, .. } = record;
    let began = operation.history.iter().rfind(|event| event.to == OperationState::Installing)?;
    operation.kind.writes().then_some(began.at)
}
