//! The armed boot: its kernel is served once, its work is taken once, and what it reports moves the operation.

use std::net::{Ipv4Addr, SocketAddrV4};

use ironwake_api::{
    Actor, CLAIM_BYTES_MAX, Claim, ClaimRequest, EventKind, MacAddr, Operation, OperationKind,
    OperationState, Progress, WorkReport,
};

use super::installer::runs_when_served;
use super::unmade::Unmade;
use super::{Site, SiteError};
use crate::operation::{Purpose, Record, Taker, Trigger};
use crate::script::ArmedBoot;
use crate::store::Change;

/// A report's text in bytes; the rest is cut.
const REASON_BYTES_MAX: usize = 2048;

impl Site {
    /// What the script of an armed machine carries; the same each time until its kernel was served. `None` where nothing is
    /// armed, or what all would boot is not here.
    pub(super) fn armed_boot(&self, machine: &str, http: SocketAddrV4) -> Result<Option<ArmedBoot>, Unmade> {
        let Some(record) = self.operations.of_machine(machine) else { return Ok(None) };
        let id = &record.operation.id;
        let token = |purpose| self.key.token(purpose, id, record.armings);
        let kernel = format!("/boot/v1/operations/{id}/{}/vmlinuz", token(Purpose::Kernel));
        if let Some(boot) = record.rebuild.as_ref().and_then(|rebuild| rebuild.boot.as_ref()) {
            let booted = self.profile_boot(&record, boot, kernel, http);
            return booted.map(Some).map_err(|error| Unmade::new(&record, &error));
        }
        let discovery = self.discovery.read().expect("no panic while held");
        let Some(files) = discovery.as_ref().map(|image| image.files.clone()) else { return Ok(None) };
        drop(discovery);
        let installing = ("installing", Some(files.installing));
        let behind = match record.operation.kind {
            OperationKind::Rebuild => vec![installing],
            OperationKind::Rescue => vec![installing, ("rescue", files.rescue)],
            OperationKind::Inspect | OperationKind::Wipe => Vec::new(),
        };
        let behind = behind.into_iter().filter_map(|(name, path)| Some((name, path?))).collect();
        Ok(Some(ArmedBoot::Agent { kernel, behind, token: format!("{id}_{}", token(Purpose::Work)) }))
    }

    /// The kernel of an armed boot is about to be served: its URL path, the first time only. That it was served is in the
    /// store when this returns, and with it the key of an installer's last steps, before any answer can hold its public half.
    pub async fn serve_armed(
        &self,
        id: &str,
        token: &str,
        from: Ipv4Addr,
        http: SocketAddrV4,
    ) -> Result<String, SiteError> {
        let of_discovery = self
            .discovery
            .read()
            .expect("no panic while held")
            .as_ref()
            .map(|image| image.files.kernel.clone());
        let _gate = self.gate.lock().await;
        let record = self.stored(id).await?;
        if !self.key.is_token(token, Purpose::Kernel, id, record.armings) {
            return Err(self.token_refused(&record, from, "its kernel was asked for with a wrong token"));
        }
        self.refuse_over(&record)?;
        let boot = record.rebuild.as_ref().and_then(|rebuild| rebuild.boot.as_ref());
        let own = boot.map(|boot| boot.kernel.path());
        let kernel = own.or(of_discovery);
        let kernel =
            kernel.ok_or_else(|| SiteError::Conflict("the discovery image is not built yet".into()))?;
        // Answers go to whoever took the kernel; work is taken by itself.
        let taker = boot.filter(|boot| !boot.agent).map(|_| Taker { from, at: self.now() });
        let runs = runs_when_served(&record);
        let what = format!("its kernel, to {from}");
        let served = Trigger::Served { what: what.clone() };
        let mut keyed = record.clone();
        // An agent is given it with its work.
        let key = match taker {
            Some(_) if record.operation.state == OperationState::PxeReady => {
                let given = self.give_login(&mut keyed, http).await;
                self.made_or_failed(id, "what is done on its host", given).await?
            }
            _ => None,
        };
        let also = |record: &mut Record| (record.taker, record.login) = (taker, keyed.login);
        self.advance_with(record, &served, &Actor::Machine, key.into_iter().collect(), also).await?;
        if runs {
            let record = self.stored(id).await?;
            self.advance(record, &Trigger::BeganWith { what }, &Actor::Machine, |_| {}).await?;
        }
        Ok(kernel)
    }

    /// Refuses what an operator has allowed until a time that is over, whether or not anyone came by to end it.
    fn refuse_over(&self, record: &Record) -> Result<(), SiteError> {
        let Operation { id, kind, state, arming, .. } = &record.operation;
        let holds = arming.as_ref().is_some_and(|arming| self.now() < arming.expires_at);
        match *state == OperationState::PxeReady && !holds {
            true => Err(SiteError::Conflict(format!(
                "the time that {kind} {id} was armed for is over: `ironwake operation retry {id}` arms it once more"
            ))),
            false => Ok(()),
        }
    }

    /// Hands the work to the agent that shows the token: once for each arming.
    pub async fn claim(
        &self,
        id: &str,
        token: &str,
        request: &ClaimRequest,
        from: Ipv4Addr,
        http: SocketAddrV4,
    ) -> Result<Claim, SiteError> {
        let _gate = self.gate.lock().await;
        let record = self.stored(id).await?;
        if !self.key.is_token(token, Purpose::Work, id, record.armings) {
            return Err(self.token_refused(&record, from, "its work was asked for with a wrong token"));
        }
        let operation = &record.operation;
        // Another machine with this token means that somebody looks on: nobody gets the work, or what came of it.
        let second = record.taker.filter(|taker| taker.from != from);
        let stranger = match second {
            Some(taker) => {
                Some(format!("its work was taken by {} and asked for by {from} again", taker.from))
            }
            None if request.machine != operation.machine => {
                let machine = plain(&self.called(&request.machine));
                Some(format!("its work was asked for by machine {machine} at {from}"))
            }
            None => self
                .another_machine(operation, from)
                .map(|mac| format!("its work was asked for by {from}, which is {mac}: another machine")),
        };
        if let Some(reason) = stranger {
            let error = self.token_refused(&record, from, &reason);
            if !operation.state.has_ended() {
                self.advance(record, &Trigger::Fail { reason }, &Actor::Daemon, |_| {}).await?;
            }
            return Err(error);
        }
        if operation.state != OperationState::PxeBooted {
            let message = format!("{} is {}: there is no work to take", operation.kind, operation.state);
            self.note_token(&operation.id, &operation.machine, from, &message);
            return Err(SiteError::Conflict(message));
        }
        let mut record = record;
        let made = self.claimed(&mut record, http).await;
        let (claim, key) = self.made_or_failed(id, "its work", made).await?;
        if record.taker.is_none() {
            record.taker = Some(Taker { from, at: self.now() });
            self.save_record(record, key).await?;
        }
        Ok(claim)
    }

    /// What the agent gets, and the key to be saved with it.
    async fn claimed(
        &self,
        record: &mut Record,
        http: SocketAddrV4,
    ) -> Result<(Claim, Option<Change>), SiteError> {
        // Said again to a taker whose answer was lost, with the same key.
        let key = match record.taker {
            None => self.give_login(record, http).await?,
            Some(_) => None,
        };
        let work = self.work(record, http)?;
        let claim = Claim { operation: record.operation.id.clone(), kind: record.operation.kind, work };
        fits_answer(&claim).map_err(SiteError::NotMade)?;
        Ok((claim, key))
    }

    /// Whether this is the token of the work of an operation's arming.
    pub(super) fn is_work_token(&self, record: &Record, operation: &str, token: &str) -> bool {
        operation == record.operation.id && self.key.is_token(token, Purpose::Work, operation, record.armings)
    }

    /// Notes how the work goes.
    pub async fn work_report(
        &self,
        id: &str,
        token: &str,
        report: WorkReport,
        from: Ipv4Addr,
    ) -> Result<(), SiteError> {
        let (operation, effects) = {
            let _gate = self.gate.lock().await;
            let record = self.stored(id).await?;
            if !self.key.is_token(token, Purpose::Work, id, record.armings) {
                return Err(self.token_refused(&record, from, "a report came with a wrong token"));
            }
            if record.taker.is_none_or(|taker| taker.from != from) {
                return Err(self.token_refused(
                    &record,
                    from,
                    "a report came from an address that did not take the work",
                ));
            }
            if let Some(mac) = self.another_machine(&record.operation, from) {
                let reason = format!("a report came from {from}, which is {mac}: another machine");
                self.note_token(id, &record.operation.machine, from, &reason);
                return Err(SiteError::AddressInDoubt(reason));
            }
            let kind = record.operation.kind;
            let trigger = match report {
                WorkReport::Progress { progress, what } => {
                    return self.progress(record, progress, what).await;
                }
                WorkReport::Disks { disks } => return self.disks_written(&record, disks).await,
                // An answer may have been lost on its way: the same report changes nothing.
                WorkReport::Began if record.operation.state == OperationState::Installing => return Ok(()),
                WorkReport::Done if is_done(&record) => return Ok(()),
                WorkReport::Began => Trigger::Began,
                WorkReport::Done if kind == OperationKind::Rebuild => Trigger::Wrote,
                WorkReport::Done => Trigger::Finished { what: "the machine has done its work".into() },
                WorkReport::Failed { reason } => Trigger::Fail { reason: plain(&reason) },
            };
            self.advance(record, &trigger, &Actor::Machine, |_| {}).await?
        };
        self.perform(&operation, &effects).await;
        Ok(())
    }

    /// Whether everything is written on the machine of this address, and its first boot is to come.
    pub fn awaits_first_boot(&self, mac: MacAddr) -> bool {
        let records = self.read();
        let state = records.id_of(mac).and_then(|machine| self.operations.state_of(machine));
        matches!(state, Some((_, OperationState::Installed)))
    }

    /// The machine was sent to its disk: where everything is written, that is its first boot.
    pub async fn sent_to_disk(&self, mac: MacAddr) -> Result<(), SiteError> {
        let Some(machine) = self.read().id_of(mac).map(str::to_owned) else { return Ok(()) };
        if !self.awaits_first_boot(mac) {
            return Ok(());
        }
        let _gate = self.gate.lock().await;
        match self.operations.of_machine(&machine) {
            Some(record) if record.operation.state == OperationState::Installed => {
                self.advance(record, &Trigger::BootedDisk, &Actor::Machine, |_| {}).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// An inventory came in: an inspection that waits for it is done. The gate must be held.
    pub(super) async fn inspected(&self, machine: &str) -> Result<(), SiteError> {
        match self.operations.of_machine(machine) {
            Some(record)
                if record.operation.kind == OperationKind::Inspect
                    && record.operation.state == OperationState::PxeBooted =>
            {
                let trigger = Trigger::Finished { what: "the inventory is in".into() };
                self.advance(record, &trigger, &Actor::Machine, |_| {}).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn progress(&self, mut record: Record, progress: Progress, what: String) -> Result<(), SiteError> {
        if record.operation.state != OperationState::Installing {
            let message = format!("{} is {}", record.operation.kind, record.operation.state);
            return Err(SiteError::Conflict(message));
        }
        record.operation.progress = Some(progress);
        let kind = EventKind::OperationProgress {
            operation: record.operation.id.clone(),
            progress,
            what: plain(&what),
        };
        let event = self.event(Actor::Machine, Some(&record.operation.machine), kind);
        // Lost with a crash: the next report is a second away.
        self.save_behind(vec![event]);
        self.operations.put(record);
        Ok(())
    }

    pub(super) async fn save_record(&self, record: Record, also: Option<Change>) -> Result<(), SiteError> {
        let changes = also.into_iter().chain([Change::Operation(Box::new(record.clone()))]);
        self.store.save(changes.collect()).await?;
        self.operations.put(record);
        Ok(())
    }
}

fn is_done(record: &Record) -> bool {
    matches!(record.operation.state, OperationState::Installed | OperationState::Ready)
}

/// Refuses work that no agent reads to its end; what is rendered when an operation is made is the same but for URLs.
fn fits_answer(claim: &Claim) -> Result<(), String> {
    let bytes = serde_json::to_vec(claim).map_err(|error| format!("it cannot be said: {error}"))?.len();
    match bytes <= CLAIM_BYTES_MAX {
        true => Ok(()),
        false => Err(format!(
            "it is too large for the agent: {bytes} bytes as JSON are more than {CLAIM_BYTES_MAX}"
        )),
    }
}

/// A machine's text without what would spoil a screen.
fn plain(text: &str) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    text
}
