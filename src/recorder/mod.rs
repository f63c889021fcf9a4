//! The flight recorder: stages of boot attempts, and what they say about a boot that failed.
//!
//! Observations go in, changes of attempts come out; nothing here captures packets or saves rows.

pub mod diagnose;
mod reached;
mod running;

use std::collections::{BTreeSet, HashMap};

use ironwake_api::{Attempt, AttemptOutcome, ClientStage, MacAddr, Millis, Stage, StageKind};

use crate::appliance::Jump;
use crate::boot::BootPlan;
pub use reached::Reached;
use running::Running;

/// One thing that was seen of one machine's boot.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When.
    pub at: Millis,
    /// The address that boots.
    pub mac: MacAddr,
    /// Which program spoke.
    pub client: ClientStage,
    /// Architecture's name, where the request says it.
    pub arch: Option<&'static str>,
    /// What happened.
    pub kind: StageKind,
}

/// A change of the record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// An attempt began.
    Started(Attempt),
    /// A stage was reached; `attempt` as it stands after it.
    Reached {
        /// The attempt, without its stages.
        attempt: Attempt,
        /// The stage's number, from 0.
        seq: u32,
        /// What happened.
        stage: Stage,
    },
    /// A stage that was recorded before happened again.
    Repeated {
        /// The attempt, without its stages.
        attempt: Attempt,
        /// The stage's number, from 0.
        seq: u32,
        /// With its count.
        stage: Stage,
    },
    /// An attempt ended, or its end was told anew.
    Ended(Attempt),
}

/// Attempts that are followed at once; the one silent for longest makes room. Forty racks booting together fit.
pub const RUNNING_MAX: usize = 16_384;
/// Stages that one attempt records; later ones are dropped, for a boot has some thirty.
pub const STAGES_MAX: u32 = 512;
/// An attempt that says nothing for this long has failed. Slow disks and 26 MB over 10 Mbit/s fit.
pub const SILENCE_MAX: Millis = 180_000;
/// An attempt that ended is followed for this long: a waiting agent still speaks.
pub const FOLLOW_MAX: Millis = 3_600_000;

/// Every attempt that is followed.
#[derive(Debug, Default)]
pub struct Recorder {
    running: HashMap<MacAddr, Running>,
    /// When each attempt last spoke, oldest first.
    by_last: BTreeSet<(Millis, MacAddr)>,
    /// Attempts whose last stage repeated since the last [`Recorder::flush`].
    dirty: BTreeSet<MacAddr>,
    /// Addresses without an attempt that were told to boot their disks: the fetch that follows begins one.
    local_boot: BTreeSet<MacAddr>,
    last_id: i64,
}

impl Recorder {
    /// A recorder whose first attempt gets the number after `last_id`.
    pub fn new(last_id: i64) -> Self {
        Self { last_id, ..Self::default() }
    }

    /// Takes up an attempt that was running when the daemon ended; `attempt.stages` are those recorded.
    pub fn resume(&mut self, attempt: Attempt) {
        self.by_last.insert((attempt.last_at, attempt.mac));
        self.running.insert(attempt.mac, Running::resume(attempt));
    }

    /// The attempt of an address, if one is followed.
    pub fn attempt(&self, mac: MacAddr) -> Option<&Attempt> {
        self.running.get(&mac).map(|running| &running.attempt)
    }

    /// Whether the firmware of an address fetched its loader and nothing ran since: if it asks again, it
    /// refused that loader.
    pub fn loader_is_idle(&self, mac: MacAddr) -> bool {
        self.running.get(&mac).is_some_and(Running::loader_is_idle)
    }

    /// Remembers what was decided, for the fetch of the script that carries it.
    pub fn planned(&mut self, mac: MacAddr, plan: &BootPlan) {
        let local_boot = matches!(plan, BootPlan::LocalBoot(_));
        if let Some(running) = self.running.get_mut(&mac) {
            running.local_boot = local_boot;
        } else if local_boot && self.local_boot.len() < RUNNING_MAX {
            self.local_boot.insert(mac);
        } else {
            self.local_boot.remove(&mac);
        }
    }

    /// The attempts of one machine are another's from here on, or nobody's: those are followed no more.
    pub fn reassign(&mut self, machine: &str, to: Option<&str>) {
        let of_machine = |running: &Running| running.attempt.machine.as_deref() == Some(machine);
        let macs: Vec<MacAddr> =
            self.running.iter().filter(|(_, running)| of_machine(running)).map(|(mac, _)| *mac).collect();
        for mac in macs {
            match (to, self.running.get_mut(&mac)) {
                (Some(to), Some(running)) => running.attempt.machine = Some(to.to_owned()),
                _ => drop(self.forget(mac)),
            }
        }
    }

    /// Takes one observation. `machine` is the record that the address belongs to.
    pub fn observe(&mut self, seen: Observation, machine: Option<&str>) -> Vec<Record> {
        let mut records = Vec::new();
        let begins = match self.running.get(&seen.mac) {
            // A browser or a health check at a machine's address is no boot.
            None if seen.client == ClientStage::Os => return records,
            None => true,
            Some(running) => running.begins_anew(&seen),
        };
        if begins {
            self.begin(&seen, machine, &mut records);
        }
        let Some(running) = self.running.get_mut(&seen.mac) else { return records };
        self.by_last.remove(&(running.attempt.last_at, seen.mac));
        self.by_last.insert((seen.at, seen.mac));
        if running.attempt.machine.is_none() || machine.is_some() {
            running.attempt.machine = machine.map(str::to_owned);
        }
        if running.repeats(&seen) {
            running.repeat(seen.at);
            self.dirty.insert(seen.mac);
            return records;
        }
        if self.dirty.remove(&seen.mac) {
            records.extend(running.repeated());
        }
        records.extend(running.reach(seen));
        records
    }

    fn begin(&mut self, seen: &Observation, machine: Option<&str>, records: &mut Vec<Record>) {
        if let Some(old) = self.forget(seen.mac) {
            records.extend(old.closed());
        } else if self.running.len() >= RUNNING_MAX
            && let Some((_, quietest)) = self.by_last.first().copied()
            && let Some(old) = self.forget(quietest)
        {
            records.extend(old.closed());
        }
        self.last_id += 1;
        let attempt = Attempt {
            id: self.last_id,
            machine: machine.map(str::to_owned),
            mac: seen.mac,
            arch: None,
            started_at: seen.at,
            last_at: seen.at,
            outcome: AttemptOutcome::Running,
            diagnosis: None,
            stages: Vec::new(),
        };
        records.push(Record::Started(attempt.clone()));
        self.by_last.insert((seen.at, seen.mac));
        let local_boot = self.local_boot.remove(&seen.mac);
        let mut running = Running::new(attempt);
        running.local_boot = local_boot;
        self.running.insert(seen.mac, running);
    }

    fn forget(&mut self, mac: MacAddr) -> Option<Running> {
        let old = self.running.remove(&mac)?;
        self.by_last.remove(&(old.attempt.last_at, mac));
        self.dirty.remove(&mac);
        Some(old)
    }

    /// The repeats since the last call, to be saved.
    pub fn flush(&mut self) -> Vec<Record> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.iter().filter_map(|mac| self.running.get(mac)?.repeated()).collect()
    }

    /// The clock was set: what is followed is no quieter than it was.
    pub fn clock_jumped(&mut self, jump: &Jump) {
        for running in self.running.values_mut() {
            running.attempt.last_at = jump.moved(running.attempt.last_at);
            running.attempt.started_at = jump.moved(running.attempt.started_at);
        }
        self.by_last = self.running.iter().map(|(mac, running)| (running.attempt.last_at, *mac)).collect();
    }

    /// Ends what has been silent for too long, with the reason.
    pub fn expire(&mut self, now: Millis) -> Vec<Record> {
        let mut records = Vec::new();
        let silent: Vec<MacAddr> = self
            .by_last
            .iter()
            .take_while(|(last, _)| now.saturating_sub(*last) >= SILENCE_MAX)
            .map(|(_, mac)| *mac)
            .collect();
        for mac in silent {
            let Some(running) = self.running.get_mut(&mac) else { continue };
            if running.attempt.outcome == AttemptOutcome::Running {
                records.extend(running.fail());
            } else if now.saturating_sub(running.attempt.last_at) >= FOLLOW_MAX {
                self.forget(mac);
            }
        }
        records
    }
}

#[cfg(test)]
mod tests;
