//! What the network edges show and ask: clients seen, stages of their boots.

use std::net::SocketAddrV4;

use ironwake_api::{Actor, AttemptOutcome, ClientStage, EventKind, MacAddr, Machine};

use super::{SEEN_MAX, Site};
use crate::boot::{Handoff, Sighting, handoff};
use crate::machine::Identity;
use crate::recorder::diagnose::LOADER_DID_NOT_START;
use crate::recorder::{Observation, Record};
use crate::store::{Change, NewEvent};

impl Site {
    /// What a DHCP answer points this client to. Notes a netboot client as seen; never waits.
    pub fn handoff(&self, sighting: &Sighting) -> Handoff {
        if sighting.stage == ClientStage::Os {
            return Handoff::AddressOnly;
        }
        let identity = Identity::of_sighting(sighting.mac, sighting.uuid);
        let (known, alias, policy) = {
            let records = self.read();
            let id = records.resolve(&identity);
            let machine = id.as_ref().and_then(|id| records.machines.get(id)).map(Box::as_ref);
            let alias = machine.is_some_and(|machine| !machine.macs.contains(&sighting.mac))
                && !records.aliases.contains_key(&sighting.mac);
            (id.clone(), alias, self.loader_policy(sighting.mac, machine, &sighting.network))
        };
        match known {
            Some(id) => {
                self.present(&id, None);
                if alias {
                    self.write().alias(sighting.mac, &id);
                }
            }
            None => self.first_sight(&identity, sighting.mac),
        }
        handoff(sighting, policy, SocketAddrV4::new(sighting.server, self.settings.http_port))
    }

    /// What a DHCP answer would point an unknown client to; nothing is noted of it.
    pub fn would_hand_off(&self, sighting: &Sighting) -> Handoff {
        let policy = self.loader_policy(sighting.mac, None, &sighting.network);
        handoff(sighting, policy, SocketAddrV4::new(sighting.server, self.settings.http_port))
    }

    /// Makes a record for a machine that was never seen. Written behind: nothing was promised to anyone.
    fn first_sight(&self, identity: &Identity, mac: MacAddr) {
        // While a change is being saved no record may come or go; the machine's next packet will do.
        let Ok(_gate) = self.gate.try_lock() else { return };
        if !mac.is_unicast() || self.read().resolve(identity).is_some() {
            return;
        }
        let machine = self.blank(identity);
        let id = machine.id.clone();
        let mut changes = self.make_room();
        let kind = EventKind::MachineSeen { mac };
        changes.push(Change::Machine(Box::new(machine.clone())));
        changes.push(self.event(Actor::Machine, Some(&id), kind));
        // A record that the store does not get must not be in memory: its attempts would refer to nothing.
        if self.save_behind(changes) {
            self.write().put(machine);
            self.present(&id, None);
        }
    }

    /// Lets the oldest record that was only seen go, where there are too many. The gate must be held.
    fn make_room(&self) -> Vec<Change> {
        let oldest = {
            let mut records = self.write();
            if records.only_seen.len() < SEEN_MAX {
                return Vec::new();
            }
            let Some(oldest) = records.only_seen.first().cloned() else { return Vec::new() };
            records.remove(&oldest);
            oldest
        };
        self.forget(&oldest, None);
        vec![Change::MachineDeleted(oldest)]
    }

    /// A record of an unknown machine.
    pub(super) fn blank(&self, identity: &Identity) -> Machine {
        let now = self.now();
        Machine {
            uuid: identity.uuid.map(|uuid| uuid.to_string()),
            serial: identity.serial.clone(),
            asset_tag: identity.asset_tag.clone(),
            macs: identity.macs.clone(),
            seen_at: Some(now),
            ..Machine::new(self.new_id(), now)
        }
    }

    pub(super) fn event(&self, actor: Actor, machine: Option<&str>, kind: EventKind) -> Change {
        let machine = machine.map(str::to_owned);
        Change::Event(Box::new(NewEvent { at: self.now(), actor, machine, kind }))
    }

    /// Saves what was only observed. A full queue drops it, which health shows.
    pub(super) fn save_behind(&self, changes: Vec<Change>) -> bool {
        let saved = changes.is_empty() || self.store.save_behind(changes);
        if !saved {
            self.health.observation_dropped(self.now());
        }
        saved
    }

    /// Notes one stage of a boot; cheap, never waits.
    pub fn observe(&self, observation: Observation) {
        if !observation.mac.is_unicast() {
            return;
        }
        let id = self.read().id_of(observation.mac).map(str::to_owned);
        if let Some(id) = &id {
            self.present(id, None);
        }
        self.fruitless.observe(&observation);
        // Queued under the lock, so that the changes of one attempt stay in order.
        let mut recorder = self.recorder();
        let records = recorder.observe(observation, id.as_deref());
        self.keep(records);
    }

    /// Whether a boot attempt of this address runs.
    pub fn is_booting(&self, mac: MacAddr) -> bool {
        let recorder = self.recorder();
        recorder.attempt(mac).is_some_and(|attempt| attempt.outcome == AttemptOutcome::Running)
    }

    /// Saves repeats and ends silent attempts; to be called about once a second.
    pub fn tick(&self) {
        let mut recorder = self.recorder();
        let mut records = recorder.flush();
        records.extend(recorder.expire(self.now()));
        self.keep(records);
    }

    fn keep(&self, records: Vec<Record>) {
        let mut changes = Vec::with_capacity(records.len() * 3);
        for record in records {
            match &record {
                Record::Started(attempt)
                | Record::Reached { attempt, .. }
                | Record::Repeated { attempt, .. }
                | Record::Ended(attempt) => self.attempts.note(attempt),
            }
            match record {
                Record::Started(attempt) => {
                    let kind = EventKind::AttemptStarted { attempt: attempt.id, mac: attempt.mac };
                    changes.push(self.event(Actor::Machine, attempt.machine.as_deref(), kind));
                    changes.push(Change::Attempt(Box::new(attempt)));
                }
                Record::Reached { attempt, seq, stage } => {
                    let kind = EventKind::AttemptStage {
                        attempt: attempt.id,
                        mac: attempt.mac,
                        stage: stage.clone(),
                    };
                    changes.push(self.event(Actor::Machine, attempt.machine.as_deref(), kind));
                    let stage = Change::Stage { attempt: attempt.id, seq, stage: Box::new(stage) };
                    changes.extend([Change::Attempt(Box::new(attempt)), stage]);
                }
                Record::Repeated { attempt, seq, stage } => {
                    let stage = Change::Stage { attempt: attempt.id, seq, stage: Box::new(stage) };
                    changes.extend([Change::Attempt(Box::new(attempt)), stage]);
                }
                Record::Ended(attempt) => {
                    let failed = attempt.outcome == AttemptOutcome::Failed;
                    let code = attempt.diagnosis.as_ref().map(|diagnosis| diagnosis.code.as_str());
                    if failed && code == Some(LOADER_DID_NOT_START) {
                        self.learned.loader_failed(attempt.mac);
                    }
                    let kind = EventKind::AttemptEnded { attempt: attempt.clone() };
                    changes.push(self.event(Actor::Daemon, attempt.machine.as_deref(), kind));
                    changes.push(Change::Attempt(Box::new(attempt)));
                }
            }
        }
        self.save_behind(changes);
    }
}
