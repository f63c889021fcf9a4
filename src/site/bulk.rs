//! Many machines at once: one change for each of a selection, and batches of operations that are armed so many at a time.

use std::collections::{BTreeMap, HashSet};

use ironwake_api::{
    Actor, Batch, BatchNew, BulkAction, BulkRequest, EventKind, FieldProblem, Machine, MachineQuery,
    Operation, OperationState, Selection,
};
use tracing::warn;

use super::operations::armed_for;
use super::{Site, SiteError};
use crate::machine::matches;
use crate::operation::{Record, Trigger};
use crate::store::Change;

/// Machines of one request: each is a change of its own on the disk.
const BULK_MACHINES_MAX: usize = 1000;
/// How many operations of a batch are under way at once, unless the operator says.
const AT_ONCE_DEFAULT: u32 = 10;
const AT_ONCE_MAX: u32 = 1000;

/// What became of one machine of a selection.
pub struct BulkOutcome {
    /// Its id; the key as it came where it names no machine.
    pub machine: String,
    /// Its name.
    pub name: Option<String>,
    /// What people call it; the key as it came where it names no machine.
    pub called: String,
    /// The operation that was made, if that was asked for.
    pub result: Result<Option<Operation>, SiteError>,
}

impl Site {
    /// Does the same with each machine of a selection. What is refused for one is done for the others.
    pub async fn bulk(&self, request: BulkRequest, actor: Actor) -> Result<Vec<BulkOutcome>, SiteError> {
        if let BulkAction::Operate(new) = &request.action
            && new.arm
        {
            return Err(SiteError::invalid("action.operate.arm", "several are armed as a batch"));
        }
        let mut outcomes = Vec::new();
        for selected in self.select(&request.machines)? {
            outcomes.push(match selected {
                Err((key, error)) => {
                    BulkOutcome { called: key.clone(), machine: key, name: None, result: Err(error) }
                }
                Ok(machine) => {
                    let result = self.do_one(&machine.id, &request.action, &actor).await;
                    BulkOutcome { called: machine.called(), machine: machine.id, name: machine.name, result }
                }
            });
        }
        Ok(outcomes)
    }

    async fn do_one(
        &self,
        id: &str,
        action: &BulkAction,
        actor: &Actor,
    ) -> Result<Option<Operation>, SiteError> {
        let actor = actor.clone();
        match action {
            BulkAction::Edit(patch) => self.edit(id, patch.clone(), actor).await.map(|_| None),
            BulkAction::Enroll => self.enroll_by_operator(id, actor).await.map(|_| None),
            BulkAction::Delete => self.delete(id, actor).await.map(|()| None),
            BulkAction::Operate(new) => self.operate(id, new.clone(), actor).await.map(Some),
        }
    }

    /// The machines of a selection, each once; keys in their order, what conditions select by age.
    #[allow(clippy::type_complexity, reason = "a key that names no machine has its own answer")]
    fn select(&self, wanted: &Selection) -> Result<Vec<Result<Machine, (String, SiteError)>>, SiteError> {
        let refuse = |message: String| Err(SiteError::invalid("machines", message));
        match (wanted.keys.is_empty(), wanted.has_condition()) {
            (true, false) => return refuse("name keys, or conditions that machines meet".into()),
            (false, true) => return refuse("either keys or conditions: not both".into()),
            _ => {}
        }
        let mut seen = HashSet::new();
        let mut selected = Vec::new();
        for key in &wanted.keys {
            match self.machine(key) {
                Ok(machine) if seen.insert(machine.id.clone()) => selected.push(Ok(machine)),
                Ok(_) => {}
                Err(error) => selected.push(Err((key.clone(), error))),
            }
        }
        if wanted.keys.is_empty() {
            let query = MachineQuery {
                manufacturer: wanted.manufacturer.clone(),
                product: wanted.product.clone(),
                search: wanted.search.clone(),
                ..MachineQuery::default()
            };
            let fits = |machine: &Machine| {
                wanted.tags.iter().all(|tag| machine.tags.contains(tag)) && matches(machine, &query)
            };
            let records = self.read();
            let mut fitting: Vec<&Machine> =
                records.machines.values().map(Box::as_ref).filter(|machine| fits(machine)).collect();
            fitting.sort_by(|a, b| a.id.cmp(&b.id));
            selected.extend(fitting.into_iter().cloned().map(Ok));
        }
        match selected.len() {
            0..=BULK_MACHINES_MAX => Ok(selected),
            count => refuse(format!("{count} machines are more than {BULK_MACHINES_MAX}: select fewer")),
        }
    }

    /// Has operations armed, so many at a time: all of them wait from here on, or none.
    pub async fn arm_batch(&self, new: BatchNew, actor: Actor) -> Result<Vec<Operation>, SiteError> {
        let armed_secs = armed_for(new.armed_secs)? / 1000;
        let at_once = new.at_once.unwrap_or(AT_ONCE_DEFAULT);
        if !(1..=AT_ONCE_MAX).contains(&at_once) {
            let message = format!("{at_once} is not between 1 and {AT_ONCE_MAX}");
            return Err(SiteError::invalid("at_once", message));
        }
        if new.operations.is_empty() || new.operations.len() > BULK_MACHINES_MAX {
            let message = format!("{} is not between 1 and {BULK_MACHINES_MAX}", new.operations.len());
            return Err(SiteError::invalid("operations", message));
        }
        let id = self.new_id();
        let batch = Batch { id, at_once, keep_going: new.keep_going, armed_secs, by: actor.clone() };
        {
            let _gate = self.gate.lock().await;
            let waiting = self.to_wait(&new.operations, &batch).await?;
            let mut changes = Vec::new();
            for record in &waiting {
                let Operation { id, machine, .. } = &record.operation;
                let kind = EventKind::OperationWaits { operation: id.clone(), batch: batch.id.clone() };
                changes.push(self.event(actor.clone(), Some(machine), kind));
                changes.push(Change::Operation(Box::new(record.clone())));
            }
            self.store.save(changes).await?;
            for record in waiting {
                self.operations.put(record);
            }
        }
        self.arm_waiting().await;
        let mut operations = Vec::new();
        for id in &new.operations {
            operations.push(self.operation(id).await?);
        }
        Ok(operations)
    }

    async fn to_wait(&self, ids: &[String], batch: &Batch) -> Result<Vec<Record>, SiteError> {
        let mut wrong = Vec::new();
        let mut waiting: Vec<Record> = Vec::new();
        for (n, id) in ids.iter().enumerate() {
            let problem = match self.stored(id).await {
                Err(error) => error.to_string(),
                Ok(record) if record.operation.state != OperationState::Registered => {
                    format!("operation {id} is {}, not registered", record.operation.state)
                }
                Ok(_) if ids[..n].contains(id) => format!("operation {id} is named twice"),
                // Nothing but an arming gets it out of the batch again.
                Ok(record) if record.is_full() => format!("operation {id} was armed and disarmed too often"),
                Ok(mut record) => {
                    record.operation.batch = Some(batch.clone());
                    // Its turn comes when others have ended, each of which has deadlines.
                    record.operation.deadline = None;
                    waiting.push(record);
                    continue;
                }
            };
            wrong.push(FieldProblem { field: format!("operations[{n}]"), message: problem });
        }
        if wrong.is_empty() { Ok(waiting) } else { Err(SiteError::Invalid(wrong)) }
    }

    /// Arms operations of batches that have room; to be called about once a second.
    pub async fn arm_waiting(&self) {
        for (id, batch) in next(self.operations.of_batches()) {
            if let Err(error) = self.arm_next(&id, &batch).await {
                warn!(operation = id, %error, "an operation that waits was not armed");
            }
        }
    }

    /// Arms an operation whose turn it is in its batch, unless somebody else has armed it since or taken it out of the batch.
    pub(super) async fn arm_next(&self, id: &str, batch: &Batch) -> Result<(), SiteError> {
        let until = self.now() + batch.armed_secs * 1000;
        let waits = |operation: &Operation| waits_in(operation, &batch.id);
        self.happen_if(id, Trigger::Arm { until }, &batch.by, waits).await.map(drop)
    }

    /// What is cancelled with an operation that has failed: what waits in its batch, unless that keeps going.
    pub(super) fn cancelled_with(&self, failed: &Operation) -> Vec<(Record, Record)> {
        let Some(batch) = failed.batch.as_ref().filter(|batch| !batch.keep_going) else { return Vec::new() };
        if failed.state != OperationState::Failed {
            return Vec::new();
        }
        let why = format!("operation {} of the same batch failed", failed.id);
        let cancel = Trigger::Cancel { why: Some(why) };
        let waits =
            |record: &Record| record.operation.id != failed.id && waits_in(&record.operation, &batch.id);
        let waiting = self.operations.all().into_iter().filter(waits);
        waiting
            .filter_map(|record| {
                let (after, _) = record.after(&cancel, &Actor::Daemon, self.now()).ok()?;
                Some((record, after))
            })
            .collect()
    }
}

/// Whether an operation waits for its turn in this batch.
fn waits_in(operation: &Operation, batch: &str) -> bool {
    operation.state == OperationState::Registered
        && operation.batch.as_ref().is_some_and(|theirs| theirs.id == batch)
}

/// The operations that there is room for, in the order in which they were made.
fn next(running: Vec<Operation>) -> Vec<(String, Batch)> {
    let mut batches: BTreeMap<String, (Batch, usize, Vec<String>)> = BTreeMap::new();
    for Operation { id, state, batch, .. } in running {
        let Some(batch) = batch else { continue };
        let (_, under_way, waiting) =
            batches.entry(batch.id.clone()).or_insert_with(|| (batch, 0, Vec::new()));
        match state {
            OperationState::Registered => waiting.push(id),
            _ => *under_way += 1,
        }
    }
    let mut next = Vec::new();
    for (batch, under_way, mut waiting) in batches.into_values() {
        waiting.sort();
        let room = (batch.at_once as usize).saturating_sub(under_way);
        next.extend(waiting.into_iter().take(room).map(|id| (id, batch.clone())));
    }
    next
}
