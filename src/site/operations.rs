//! Operations: made, armed, carried on, ended. Every change is decided by the table of [`crate::operation`], saved, and
//! only then seen by anyone.

use std::collections::HashMap;
use std::sync::RwLock;

use ironwake_api::{
    Actor, ApprovedDisk, EventKind, Inventory, Millis, Operation, OperationBrief, OperationKind,
    OperationNew, OperationQuery, OperationState,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Site, SiteError};
use crate::boot::OperationView;
use crate::operation::{
    ARMED_FOR, ARMED_FOR_MAX, ARMED_FOR_MIN, Deadlines, Draft, Effect, Rebuild, Record, Trigger, register,
};
use crate::store::Change;

/// Operations of one page.
const LIMIT_MAX: u32 = 1000;
const LIMIT_DEFAULT: u32 = 100;

/// The operations that have not ended, by machine: there is one for each at most.
#[derive(Default)]
pub(super) struct Operations(RwLock<HashMap<String, Box<Record>>>);

impl Operations {
    pub fn new(running: Vec<Record>) -> Self {
        let by_machine =
            running.into_iter().map(|record| (record.operation.machine.clone(), Box::new(record)));
        Self(RwLock::new(by_machine.collect()))
    }

    /// Kind and state of the one that runs on a machine.
    pub fn state_of(&self, machine: &str) -> Option<(OperationKind, OperationState)> {
        let running = self.0.read().expect("no panic while held");
        running.get(machine).map(|record| (record.operation.kind, record.operation.state))
    }

    /// The one that runs on a machine, as boots are decided by it.
    pub fn view_of(&self, machine: &str) -> Option<OperationView> {
        let running = self.0.read().expect("no panic while held");
        running.get(machine).map(|record| OperationView {
            kind: record.operation.kind,
            state: record.operation.state,
            armed_until: record.operation.arming.as_ref().map(|arming| arming.expires_at),
            own_kernel: record.starts_own_kernel(),
        })
    }

    /// The one that runs on a machine, as the machine's record shows it.
    pub fn brief(&self, machine: &str) -> Option<Box<OperationBrief>> {
        let running = self.0.read().expect("no panic while held");
        running.get(machine).map(|record| Box::new((&record.operation).into()))
    }

    /// The one that runs on a machine.
    pub fn of_machine(&self, machine: &str) -> Option<Record> {
        self.0.read().expect("no panic while held").get(machine).map(|record| Record::clone(record))
    }

    fn by_id(&self, id: &str) -> Option<Record> {
        let running = self.0.read().expect("no panic while held");
        running.values().find(|record| record.operation.id == id).map(|record| Record::clone(record))
    }

    /// One that needs the bytes of this digest.
    pub fn of_image(&self, sha256: &str) -> Option<String> {
        let running = self.0.read().expect("no panic while held");
        let fits =
            |record: &Record| record.rebuild.iter().flat_map(Rebuild::digests).any(|digest| digest == sha256);
        running.values().find(|record| fits(record)).map(|record| record.operation.id.clone())
    }

    pub fn all(&self) -> Vec<Record> {
        self.0.read().expect("no panic while held").values().map(|record| Record::clone(record)).collect()
    }

    /// Those that belong to a batch.
    pub fn of_batches(&self) -> Vec<Operation> {
        let running = self.0.read().expect("no panic while held");
        let batched = running.values().filter(|record| record.operation.batch.is_some());
        batched.map(|record| Operation { history: Vec::new(), ..record.operation.clone() }).collect()
    }

    pub fn put(&self, record: Record) {
        let mut running = self.0.write().expect("no panic while held");
        match record.operation.state.has_ended() {
            true => running.remove(&record.operation.machine),
            false => running.insert(record.operation.machine.clone(), Box::new(record)),
        };
    }

    /// Those whose host has phoned home.
    pub fn joining(&self) -> Vec<Record> {
        let mut running = self.all();
        running.retain(|record| record.operation.state == OperationState::Joining);
        running
    }

    fn late(&self, now: Millis) -> Vec<String> {
        let running = self.0.read().expect("no panic while held");
        let late = running.values().filter(|record| record.operation.deadline.is_some_and(|at| at <= now));
        late.map(|record| record.operation.id.clone()).collect()
    }

    /// The machine's record is gone.
    pub fn forget(&self, machine: &str) {
        self.0.write().expect("no panic while held").remove(machine);
    }
}

impl Site {
    /// Makes an operation for a machine, and arms it where that is asked for.
    pub async fn operate(&self, key: &str, new: OperationNew, actor: Actor) -> Result<Operation, SiteError> {
        let armed_for = armed_for(new.armed_secs)?;
        let gate = self.gate.lock().await;
        let machine = self.machine(key)?;
        let inventory = self.store.inventory(&machine.id).await?.map(|record| record.inventory);
        let (draft, rebuild) = self.draft(&machine, &new, inventory.as_ref())?;
        self.refuse_written_since(&draft).await?;
        let operation = self.begin(draft, rebuild, &actor).await?;
        drop(gate);
        match new.arm {
            true => self.happen(&operation.id, Trigger::Arm { until: self.now() + armed_for }, &actor).await,
            false => Ok(operation),
        }
    }

    /// Tries an operation that failed or was cancelled again: same machine, same work, the disks as they are.
    pub async fn retry(
        &self,
        id: &str,
        armed_secs: Option<u64>,
        actor: Actor,
    ) -> Result<Operation, SiteError> {
        let armed_for = armed_for(armed_secs)?;
        let gate = self.gate.lock().await;
        let Record { operation: before, rebuild, .. } = self.stored(id).await?;
        if !matches!(before.state, OperationState::Failed | OperationState::Cancelled) {
            let message = format!(
                "operation {id} is {}: only one that failed or was cancelled is tried again",
                before.state
            );
            return Err(SiteError::Conflict(message));
        }
        if let Some(digest) = rebuild.iter().flat_map(Rebuild::digests).find(|digest| !self.holds(digest)) {
            let message = format!(
                "what operation {id} needs, sha256:{digest}, is not here any more: import it again, or make another \
                 operation"
            );
            return Err(SiteError::Conflict(message));
        }
        let inventory = self.store.inventory(&before.machine).await?.map(|record| record.inventory);
        let disks = before
            .disks
            .iter()
            .map(|disk| {
                // What an earlier try has begun stays so, however far the last one came.
                let begun = before.may_have_written || disk.begun;
                Ok(ApprovedDisk { begun, ..same_disk(disk, inventory.as_ref())? })
            })
            .collect::<Result<Vec<_>, SiteError>>()?;
        let draft = Draft {
            machine: before.machine,
            kind: before.kind,
            profile: before.profile,
            disks,
            retry_of: Some(before.id),
        };
        let operation = self.begin(draft, rebuild, &actor).await?;
        drop(gate);
        self.happen(&operation.id, Trigger::Arm { until: self.now() + armed_for }, &actor).await
    }

    /// Lets the machine's next boot begin the operation.
    pub async fn arm(&self, id: &str, armed_secs: Option<u64>, actor: Actor) -> Result<Operation, SiteError> {
        let until = self.now() + armed_for(armed_secs)?;
        self.happen(id, Trigger::Arm { until }, &actor).await
    }

    /// One operation, ended or not, with its history and steps.
    pub async fn operation(&self, id: &str) -> Result<Operation, SiteError> {
        let mut operation = self.stored(id).await?.operation;
        let steps = self.store.operation_steps(id).await?;
        operation.steps = steps.into_iter().map(|(_, step)| step).collect();
        Ok(operation)
    }

    /// Operations, newest first, without their histories.
    pub async fn operations(&self, query: &OperationQuery) -> Result<Vec<Operation>, SiteError> {
        let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(SiteError::invalid("limit", format!("{limit} is not between 1 and {LIMIT_MAX}")));
        }
        let machine = match query.machine.as_deref().map(|key| self.machine(key)).transpose() {
            Ok(machine) => machine.map(|machine| machine.id),
            Err(error) => return Err(SiteError::invalid("machine", error.to_string())),
        };
        let mut records = match query.running {
            Some(true) => {
                let mut running = self.operations.all();
                running.retain(|record| machine.as_ref().is_none_or(|id| record.operation.machine == *id));
                running.retain(|record| query.before.as_ref().is_none_or(|id| record.operation.id < *id));
                running.sort_by(|a, b| b.operation.id.cmp(&a.operation.id));
                running
            }
            _ => self.store.operations(machine, query.before.clone(), limit).await?,
        };
        if query.running == Some(false) {
            records.retain(|record| record.operation.state.has_ended());
        }
        records.truncate(limit as usize);
        let shown = |record: Record| Operation { history: Vec::new(), ..record.operation };
        Ok(records.into_iter().map(shown).collect())
    }

    /// What `trigger` leads to, saved before anyone sees it; then what it asks for is done.
    pub async fn happen(&self, id: &str, trigger: Trigger, actor: &Actor) -> Result<Operation, SiteError> {
        let happened = self.happen_if(id, trigger, actor, |_| true).await?;
        happened.ok_or_else(|| SiteError::NoSuchOperation(id.to_owned()))
    }

    /// The same where `still` holds of the operation once nobody else can change it; `None` where it does not.
    pub(super) async fn happen_if(
        &self,
        id: &str,
        trigger: Trigger,
        actor: &Actor,
        still: impl FnOnce(&Operation) -> bool,
    ) -> Result<Option<Operation>, SiteError> {
        let (operation, effects) = {
            let _gate = self.gate.lock().await;
            let record = self.stored(id).await?;
            if !still(&record.operation) {
                return Ok(None);
            }
            self.advance(record, &trigger, actor, |_| {}).await?
        };
        self.perform(&operation, &effects).await;
        Ok(Some(operation))
    }

    /// Applies a trigger to a record and saves it with what `also` changes. The gate must be held.
    pub(super) async fn advance(
        &self,
        record: Record,
        trigger: &Trigger,
        actor: &Actor,
        also: impl FnOnce(&mut Record),
    ) -> Result<(Operation, Vec<Effect>), SiteError> {
        self.advance_with(record, trigger, actor, Vec::new(), also).await
    }

    /// The same, where `with` is saved together with the record.
    pub(super) async fn advance_with(
        &self,
        record: Record,
        trigger: &Trigger,
        actor: &Actor,
        with: Vec<Change>,
        also: impl FnOnce(&mut Record),
    ) -> Result<(Operation, Vec<Effect>), SiteError> {
        if matches!(trigger, Trigger::Arm { .. }) && record.is_full() {
            let message = format!(
                "operation {} was armed and disarmed too often: make another one",
                record.operation.id
            );
            return Err(SiteError::Conflict(message));
        }
        let (mut after, effects) = record
            .after(trigger, actor, self.now())
            .map_err(|illegal| SiteError::Conflict(illegal.to_string()))?;
        also(&mut after);
        let mut changes = with;
        if after.operation.state.has_ended() {
            changes.extend(self.end_login(&mut after));
        }
        changes.extend(self.changes(&record, &after, actor));
        let cancelled = self.cancelled_with(&after.operation);
        for (before, after) in &cancelled {
            changes.extend(self.changes(before, after, &Actor::Daemon));
        }
        let host = self.host_change(&record, &after);
        changes.extend(host.clone());
        let machine = self.profile_change(&record, &after);
        changes.extend(machine.clone().map(|machine| Change::Machine(Box::new(machine))));
        self.store.save(changes).await?;
        if let Some(machine) = machine {
            self.write().put(machine);
        }
        self.hosts.saved(host);
        let operation = after.operation.clone();
        for after in cancelled.into_iter().map(|(_, after)| after).chain([after]) {
            self.operations.put(after);
        }
        if operation.state.has_ended() {
            self.shells.close(&operation.id);
        }
        self.login_changed(&operation);
        Ok((operation, effects))
    }

    /// A changed record and an event for each of its changes of state.
    fn changes(&self, before: &Record, after: &Record, actor: &Actor) -> Vec<Change> {
        let mut changes = vec![Change::Operation(Box::new(after.clone()))];
        // A note changes no state, and has an event of its own.
        for event in before.news(after).iter().filter(|event| event.from != event.to) {
            let kind = EventKind::OperationChanged {
                operation: after.operation.id.clone(),
                work: after.operation.kind,
                from: event.from,
                to: event.to,
                cause: event.cause.clone(),
            };
            changes.push(self.event(actor.clone(), Some(&after.operation.machine), kind));
        }
        changes
    }

    /// Does what a change asks for. All of it may be done twice, or be missed by a crash and be seen to later.
    pub(super) async fn perform(&self, operation: &Operation, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::RestartWaitingAgent => self.restart_waiting(operation).await,
                // Whoever attends to hosts was woken when the change was saved.
                Effect::RunSteps if self.has_login(operation) => {}
                Effect::RunSteps => {
                    // Where it is attended to already, that goes on from here.
                    let Some(attended) = self.logins.attend(&operation.id, &CancellationToken::new()) else {
                        continue;
                    };
                    let done = Box::pin(self.happen(&operation.id, Trigger::Joined, &Actor::Daemon)).await;
                    drop(attended);
                    if let Err(error) = done {
                        warn!(operation.id, %error, "that there are no last steps was not saved");
                        self.logins.wake();
                    }
                }
            }
        }
    }

    /// Ends operations whose state has lasted too long; to be called about once a second.
    pub async fn expire_operations(&self) {
        for id in self.operations.late(self.now()) {
            self.expire(&id).await;
        }
    }

    pub(super) async fn expire(&self, id: &str) {
        // A deadline in the last steps has a reason of its own, where the host is not reached.
        let trigger = match self.logins.problem(id) {
            Some(problem) => {
                Trigger::Fail { reason: format!("the profile's last steps were not done in time: {problem}") }
            }
            None => Trigger::Expire,
        };
        // It may have gone on since it was found late, and what it is in now has a deadline of its own.
        let now = self.now();
        let late = |operation: &Operation| operation.deadline.is_some_and(|at| at <= now);
        if let Err(error) = self.happen_if(id, trigger, &Actor::Daemon, late).await {
            warn!(operation = id, %error, "an operation that is late was not ended");
        }
    }

    fn has_login(&self, operation: &Operation) -> bool {
        self.operations.of_machine(&operation.machine).is_some_and(|record| record.login.is_some())
    }

    /// The operation of this id from memory, or from the store once it has ended.
    pub(super) async fn stored(&self, id: &str) -> Result<Record, SiteError> {
        if let Some(record) = self.operations.by_id(id) {
            return Ok(record);
        }
        self.store.operation(id).await?.ok_or_else(|| SiteError::NoSuchOperation(id.to_owned()))
    }

    /// Refuses a change of a machine that an operation is about.
    pub(super) fn refuse_under_operation(&self, machine: &str) -> Result<(), SiteError> {
        match self.operations.of_machine(machine) {
            None => Ok(()),
            Some(Record { operation, .. }) => Err(SiteError::Conflict(format!(
                "{} {} runs on machine {} and is {}: cancel it or wait until it has ended",
                operation.kind,
                operation.id,
                self.called(machine),
                operation.state
            ))),
        }
    }

    async fn begin(
        &self,
        draft: Draft,
        rebuild: Option<Rebuild>,
        actor: &Actor,
    ) -> Result<Operation, SiteError> {
        self.refuse_under_operation(&draft.machine)?;
        let deadlines = match (&rebuild, draft.kind) {
            (Some(rebuild), _) => rebuild.deadlines,
            (None, OperationKind::Rescue) => Deadlines::of_rescue(),
            (None, _) => Deadlines::default(),
        };
        let operation = register(self.new_id(), draft, actor.clone(), self.now(), &deadlines);
        let record = Record {
            operation: operation.clone(),
            deadlines,
            armings: 0,
            taker: None,
            fetched: Default::default(),
            reported: Default::default(),
            installed: None,
            rebuild,
            login: None,
        };
        let kind = EventKind::OperationMade { operation: operation.id.clone(), work: operation.kind };
        let event = self.event(actor.clone(), Some(&operation.machine), kind);
        let mut changes = vec![Change::Operation(Box::new(record.clone())), event];
        let hostname = record.rebuild.as_ref().and_then(|rebuild| rebuild.hostname.as_deref());
        let machine = self.machine(&operation.machine)?;
        // What is tried again has the name of that time, which may be another host's by now.
        self.hostname_is_free(hostname, Some(&machine.id))?;
        let named = hostname.and_then(|hostname| self.hostname_change(&machine, hostname));
        let name = match &named {
            Some(Change::Hostname { name, .. }) => Some(name.clone()),
            _ => None,
        };
        changes.extend(named);
        self.store.save(changes).await?;
        if let Some(name) = name {
            self.own.set_hostname(&machine.id, name.as_deref());
        }
        self.operations.put(record);
        Ok(operation)
    }
}

/// How long an arming lasts, in milliseconds.
pub(super) fn armed_for(secs: Option<u64>) -> Result<Millis, SiteError> {
    let Some(secs) = secs else { return Ok(ARMED_FOR) };
    let millis = secs.saturating_mul(1000);
    if (ARMED_FOR_MIN..=ARMED_FOR_MAX).contains(&millis) {
        return Ok(millis);
    }
    let (from, to) = (ARMED_FOR_MIN / 1000, ARMED_FOR_MAX / 1000);
    Err(SiteError::invalid("armed_secs", format!("{secs} is not between {from} and {to}")))
}

/// A disk that was approved before, as the last inventory knows it: what was begun on it has changed its table.
fn same_disk(disk: &ApprovedDisk, inventory: Option<&Inventory>) -> Result<ApprovedDisk, SiteError> {
    let disks = inventory.map(|inventory| inventory.disks.as_slice()).unwrap_or_default();
    let mut claiming = disks.iter().filter(|found| disk.is_claimed_by(found));
    match (claiming.next(), claiming.next()) {
        (Some(found), None) => Ok(found.into()),
        _ => Err(SiteError::Conflict(format!(
            "disk {} of the operation is not in the machine's last inventory: make a new operation",
            disk.name
        ))),
    }
}
