//! What a machine's record says of its hardware and its profile, so that lists read no inventories and no operations.

use ironwake_api::{Machine, MachineProfile, OperationKind, OperationState, ProfileStanding};

use super::Site;
use crate::machine::summary;
use crate::operation::Record;
use crate::store::{Change, Store, StoreError};

/// Operations of a machine that are looked at for what was written to it last.
const LOOKED_AT_MAX: u32 = 50;

impl Site {
    /// A machine's record where an operation changes what is known to be on its disks. The gate must be held.
    pub(super) fn profile_change(&self, before: &Record, after: &Record) -> Option<Machine> {
        let (was, is) = (&before.operation, &after.operation);
        let began = is.may_have_written && !was.may_have_written;
        let ended = is.state.has_ended() && !was.state.has_ended();
        if !(is.kind.writes() && is.may_have_written && (began || ended)) {
            return None;
        }
        let mut machine = self.machine(&is.machine).ok()?;
        machine.profile = written(after).map(Box::new);
        Some(machine)
    }
}

/// The profile that an operation has written, or is writing; a wipe leaves none.
fn written(record: &Record) -> Option<MachineProfile> {
    let operation = &record.operation;
    if operation.kind != OperationKind::Rebuild {
        return None;
    }
    let choice = operation.profile.as_ref()?;
    Some(MachineProfile {
        name: choice.name.clone(),
        version: choice.version.clone(),
        standing: match operation.state {
            OperationState::Ready => ProfileStanding::Installed,
            OperationState::Failed | OperationState::Cancelled => ProfileStanding::Failed,
            _ => ProfileStanding::Installing,
        },
        operation: operation.id.clone(),
        since: operation.state_since,
    })
}

/// Fills in what records lack that were saved before records said it, and saves that once.
pub(super) async fn complete(store: &Store, mut machines: Vec<Machine>) -> Result<Vec<Machine>, StoreError> {
    let mut changes = Vec::new();
    for machine in &mut machines {
        if machine.hardware.is_some() || machine.inventory_at.is_none() {
            continue;
        }
        let Some(record) = store.inventory(&machine.id).await? else { continue };
        machine.hardware = Some(Box::new(summary(&record.inventory)));
        let operations = store.operations(Some(machine.id.clone()), None, LOOKED_AT_MAX).await?;
        let wrote = |record: &&Record| record.operation.kind.writes() && record.operation.may_have_written;
        machine.profile = operations.iter().find(wrote).and_then(written).map(Box::new);
        changes.push(Change::Machine(Box::new(machine.clone())));
    }
    if !changes.is_empty() {
        store.save(changes).await?;
    }
    Ok(machines)
}
