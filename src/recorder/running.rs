//! One attempt that is followed.

use ironwake_api::{Attempt, AttemptOutcome, ClientStage, Diagnosis, Millis, Stage, StageKind};

use super::{Observation, Reached, Record, STAGES_MAX, diagnose::diagnose, reached::carries_plan};

/// How the plans of local boot begin, where a stage names its plan.
const LOCAL_BOOT: &str = "local boot";

/// One attempt that is followed.
#[derive(Debug)]
pub(super) struct Running {
    /// Without its stages.
    pub attempt: Attempt,
    /// The plan last decided is local boot.
    pub local_boot: bool,
    reached: Reached,
    stages: u32,
    last: Option<Stage>,
    /// Files of loaders that the firmware fetched whole.
    loader: Option<String>,
    /// Why a transfer broke, or DHCP refused.
    trouble: Option<String>,
}

impl Running {
    pub fn new(attempt: Attempt) -> Self {
        Self {
            attempt,
            local_boot: false,
            reached: Reached::Nothing,
            stages: 0,
            last: None,
            loader: None,
            trouble: None,
        }
    }

    /// An attempt as the store has it.
    pub fn resume(mut attempt: Attempt) -> Self {
        let stages = std::mem::take(&mut attempt.stages);
        let mut running = Self::new(attempt);
        for stage in &stages {
            if let StageKind::Http { plan: Some(plan), .. } = &stage.kind {
                running.local_boot = plan.starts_with(LOCAL_BOOT);
            }
            running.note(&Observation {
                at: stage.at,
                mac: running.attempt.mac,
                client: stage.client,
                arch: None,
                kind: stage.kind.clone(),
            });
        }
        running.stages = stages.len() as u32;
        running.last = stages.into_iter().next_back();
        running
    }

    /// Whether `seen` is the beginning of another attempt: a program speaks that this one is past.
    ///
    /// QEMU's and many servers' NIC ROMs are iPXE themselves, so iPXE that asks for an address after a
    /// script was fetched is the ROM of the next boot, unless that script chained to another iPXE.
    pub fn begins_anew(&self, seen: &Observation) -> bool {
        let StageKind::Dhcp { message, .. } = &seen.kind else { return false };
        let asks = message == "DISCOVER";
        match seen.client {
            ClientStage::Firmware => asks && self.reached >= Reached::LoaderBroken,
            ClientStage::Ipxe => asks && self.reached >= Reached::Script,
            _ => false,
        }
    }

    /// The loader was fetched whole, and nothing was heard of it.
    pub fn loader_is_idle(&self) -> bool {
        self.reached == Reached::Loader
    }

    /// Whether `seen` is the last stage once more.
    pub fn repeats(&self, seen: &Observation) -> bool {
        let Some(last) = &self.last else { return false };
        last.client == seen.client
            && match (&last.kind, &seen.kind) {
                (
                    StageKind::Http { method, path, status, bytes, .. },
                    StageKind::Http { method: m, path: p, status: s, bytes: b, .. },
                ) => method == m && path == p && status == s && bytes == b,
                (a, b) => a == b,
            }
    }

    pub fn repeat(&mut self, at: Millis) {
        self.attempt.last_at = at;
        if let Some(last) = &mut self.last {
            last.repeats = last.repeats.saturating_add(1);
        }
    }

    pub fn repeated(&self) -> Option<Record> {
        let stage = self.last.clone()?;
        Some(Record::Repeated { attempt: self.attempt.clone(), seq: self.stages - 1, stage })
    }

    /// Records a stage.
    pub fn reach(&mut self, seen: Observation) -> Vec<Record> {
        self.attempt.last_at = seen.at;
        if let Some(arch) = seen.arch {
            self.attempt.arch = Some(arch.to_owned());
        }
        let before = self.attempt.outcome;
        let outcome = self.note(&seen).unwrap_or(match before {
            // What was taken for dead speaks again.
            AttemptOutcome::Failed => AttemptOutcome::Running,
            other => other,
        });
        if outcome != before {
            self.attempt.outcome = outcome;
            self.attempt.diagnosis = None;
        }
        let mut records = Vec::new();
        if self.stages < STAGES_MAX {
            let stage = Stage { at: seen.at, client: seen.client, kind: seen.kind, repeats: 0 };
            self.last = Some(stage.clone());
            records.push(Record::Reached { attempt: self.attempt.clone(), seq: self.stages, stage });
            self.stages += 1;
        }
        if outcome != before && outcome != AttemptOutcome::Running {
            records.push(Record::Ended(self.attempt.clone()));
        }
        records
    }

    /// Learns from a stage; gives the outcome that it decides, if any.
    fn note(&mut self, seen: &Observation) -> Option<AttemptOutcome> {
        let reached = Reached::by(seen);
        match &seen.kind {
            StageKind::Tftp { file, aborted: Some(reason), bytes, .. } if *bytes > 0 => {
                self.trouble = Some(format!("{file}: {reason}"));
                if seen.client == ClientStage::Firmware && self.reached < Reached::LoaderBroken {
                    self.reached = Reached::LoaderBroken;
                }
            }
            StageKind::Tftp { file, .. } if reached == Reached::Loader => self.loader = Some(file.clone()),
            StageKind::Http { path, .. } if reached == Reached::Loader => self.loader = Some(path.clone()),
            StageKind::Dhcp { why, .. } if reached == Reached::Refused => self.trouble = Some(why.clone()),
            StageKind::Agent { message, failed: true } => self.trouble = Some(message.clone()),
            _ => {}
        }
        self.reached = self.reached.max(reached);
        match reached {
            Reached::Inventory => Some(AttemptOutcome::Inventoried),
            Reached::Script if carries_plan(seen) && self.local_boot => Some(AttemptOutcome::LocalBoot),
            _ => None,
        }
    }

    /// Ends the attempt as failed, with the reason.
    pub fn fail(&mut self) -> Option<Record> {
        self.attempt.outcome = AttemptOutcome::Failed;
        self.attempt.diagnosis = Some(self.diagnosis());
        Some(Record::Ended(self.attempt.clone()))
    }

    /// The last words of an attempt that another one follows.
    pub fn closed(mut self) -> Option<Record> {
        (self.attempt.outcome == AttemptOutcome::Running).then(|| self.fail()).flatten()
    }

    fn diagnosis(&self) -> Diagnosis {
        diagnose(self.reached, self.attempt.arch.as_deref(), self.loader.as_deref(), self.trouble.as_deref())
    }
}
