//! What becomes of each machine: how it gets where its part begins, and what it does from then on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use ironwake_api::client::{Client, ClientError};
use ironwake_api::{MachineNew, MachinePatch, OperationKind, OperationNew};
use serde_json::json;
use tokio::time::{interval, sleep};

use super::fleet::{self, Part};
use super::machine::{Machine, Taken};

/// The profile of hosts that call home once.
pub const PROFILE: &str = "debian-13";
/// The profile of hosts that have to call every minute.
pub const CALLING_PROFILE: &str = "edge-node";
/// What is written.
const IMAGE_BYTES: u64 = 2_147_483_648;
/// How often a machine that is written says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(1500);
/// How often a machine in discovery says what it does.
const LINE_EVERY: Duration = Duration::from_millis(1200);
/// How long a host runs before it is rebuilt again, at least.
const RUN_SECS_MIN: u64 = 10;
/// Why rebuilds fail, as agents say it.
const FAILURES: [&str; 5] = [
    "the disk nvme0n1 refuses writes: Input/output error at byte 671088640",
    "the image broke off at 1.2 GiB and did not go on within 60 s",
    "nvme0n1 holds another partition table than the one that was approved: 3 partitions, now 4",
    "the digest of what was read back differs at byte 1073741824",
    "no space for the last partition: the disk is 4 MiB too small",
];

/// What machines and operators share.
#[derive(Clone)]
pub struct World {
    /// The operators' API.
    pub operators: Client,
}

impl World {
    /// Brings a machine to where its part begins; the work that it has begun, where it goes on with that.
    pub async fn settle(&self, machine: &mut Machine, part: Part) -> Result<Option<Taken>> {
        if part == Part::Awaited {
            return self.register(machine).await.map(|()| None);
        }
        machine.enroll().await?;
        if matches!(part, Part::Unknown | Part::Booting | Part::Stuck) {
            if part == Part::Stuck {
                machine.script().await?;
            }
            return Ok(None);
        }
        let patch = MachinePatch {
            name: Some(Some(machine.name.clone())),
            tags: Some(fleet::tags(machine.number)),
            ..MachinePatch::default()
        };
        self.operators.edit(&machine.id, &patch).await?;
        self.operators.enroll(&machine.id).await?;
        match part {
            Part::Known => Ok(None),
            Part::Recorded => self.order(machine, PROFILE, false).await.map(|()| None),
            Part::Armed => self.order(machine, PROFILE, true).await.map(|()| None),
            Part::Silent => self.rebuild(machine, CALLING_PROFILE).await.map(|()| None),
            Part::Ready => self.rebuild(machine, PROFILE).await.map(|()| None),
            Part::Failed => self.fail(machine).await.map(|()| None),
            Part::Working => self.begin(machine, PROFILE).await.map(Some),
            Part::Unknown | Part::Awaited | Part::Booting | Part::Stuck => Ok(None),
        }
    }

    async fn register(&self, machine: &Machine) -> Result<()> {
        let new = MachineNew {
            name: Some(machine.name.clone()),
            macs: vec![machine.mac().to_owned()],
            tags: fleet::tags(machine.number),
            ..MachineNew::default()
        };
        self.operators.register(&new).await?;
        Ok(())
    }

    async fn order(&self, machine: &Machine, profile: &str, arm: bool) -> Result<()> {
        let new = OperationNew {
            kind: OperationKind::Rebuild,
            profile: Some(profile.into()),
            variables: BTreeMap::new(),
            disks: vec![machine.disk_rule()],
            arm,
            armed_secs: None,
        };
        self.operators.operate(&machine.id, &new).await?;
        Ok(())
    }

    /// Arms a rebuild, boots it, and begins to write.
    async fn begin(&self, machine: &Machine, profile: &str) -> Result<Taken> {
        self.order(machine, profile, true).await?;
        let taken = machine.take_work().await?.context("what was armed is served")?;
        machine.report(&taken, json!({ "report": "began" })).await?;
        Ok(taken)
    }

    async fn rebuild(&self, machine: &Machine, profile: &str) -> Result<()> {
        let taken = self.begin(machine, profile).await?;
        machine.installed(&taken).await
    }

    async fn fail(&self, machine: &Machine) -> Result<()> {
        let taken = self.begin(machine, PROFILE).await?;
        let reason = FAILURES[machine.number as usize % FAILURES.len()];
        machine.report(&taken, json!({ "report": "failed", "reason": reason })).await
    }

    /// Goes on from there, for as long as the demo runs.
    pub async fn go_on(&self, machine: Machine, part: Part, taken: Option<Taken>) -> Result<()> {
        match part {
            Part::Working => self.work(&machine, taken).await,
            Part::Booting => self.boot(machine).await,
            _ => Ok(()),
        }
    }

    /// Writes, boots, waits, and is rebuilt again. What an operator takes back meanwhile is taken back.
    async fn work(&self, machine: &Machine, mut taken: Option<Taken>) -> Result<()> {
        let rate = 24_000_000 + u64::from(fleet::mixed(machine.number, 3)) * 2_000_000;
        // They are not all at the beginning together.
        let mut done = IMAGE_BYTES / 100 * u64::from(fleet::mixed(machine.number, 4));
        loop {
            if let Some(work) = taken.take() {
                let every = rate * PROGRESS_EVERY.as_millis() as u64 / 1000;
                let mut stopped = false;
                let mut beat = interval(PROGRESS_EVERY);
                while done < IMAGE_BYTES && !stopped {
                    beat.tick().await;
                    stopped = machine.progress(&work, done, IMAGE_BYTES, rate).await.is_err();
                    done += every;
                }
                if !stopped {
                    machine.installed(&work).await.ok();
                }
            }
            done = 0;
            sleep(Duration::from_secs(RUN_SECS_MIN + u64::from(fleet::mixed(machine.number, 5)) / 4)).await;
            // An operator may have begun something else with it.
            taken = self.begin(machine, PROFILE).await.ok();
        }
    }

    /// Boots into discovery, reads its hardware line by line, reports it, and restarts.
    async fn boot(&self, mut machine: Machine) -> Result<()> {
        const LINES: [&str; 6] = [
            "the agent runs",
            "network card eno1 has a link",
            "an address came by DHCP",
            "reading processors and memory",
            "reading disks",
            "reading what LLDP says of the switch",
        ];
        loop {
            sleep(Duration::from_secs(u64::from(fleet::mixed(machine.number, 6)) / 4)).await;
            let discover = MachinePatch { discover_next: Some(true), ..MachinePatch::default() };
            self.operators.edit(&machine.id, &discover).await?;
            machine.script().await?;
            let mut beat = interval(LINE_EVERY);
            for line in LINES {
                beat.tick().await;
                machine.says(line, false).await?;
            }
            machine.enroll().await?;
        }
    }
}

/// What the daemon refused, in its words.
pub fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused(problem)) => problem.detail.clone(),
        _ => format!("{error:#}"),
    }
}
