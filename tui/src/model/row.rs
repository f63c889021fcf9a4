//! One machine as the table has it: its record, and what events told since.

use ironwake_api::{
    AttemptBrief, AttemptOutcome, Diagnosis, Failure, Machine, MachineProfile, Millis, ProfileStanding,
    Progress, Stage,
};

use super::condition::Condition;
use super::hardware::Brief;

/// One machine in the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The record.
    pub machine: Machine,
    /// In which condition it is.
    pub condition: Condition,
    /// Its last boot.
    pub boot: Option<Boot>,
    /// How far its operation is.
    pub progress: Option<(Progress, String)>,
    /// Why its last operation failed.
    pub failure: Option<Failure>,
    /// What a search looks at.
    pub(super) haystack: String,
    /// What names are sorted by.
    pub(super) name_key: String,
}

impl Row {
    /// Its hardware in a few words, once it has an inventory.
    pub fn hardware(&self) -> Option<Brief> {
        self.machine.hardware.as_deref().map(Brief::of)
    }

    /// The name of the profile that was last written to it.
    pub fn profile(&self) -> Option<&str> {
        self.machine.profile.as_ref().map(|profile| profile.name.as_str())
    }

    /// The profile that its record says failed.
    fn failed_profile(&self) -> Option<&MachineProfile> {
        self.machine.profile.as_deref().filter(|profile| profile.standing == ProfileStanding::Failed)
    }

    /// Whether its last operation failed, or what was written to it last, which its record says whichever operations are here.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some() || self.failed_profile().is_some()
    }

    /// Why, in words, as far as that is known here.
    pub fn why_failed(&self) -> Option<String> {
        let told = self.failure.as_ref().map(|failure| failure.reason.clone());
        told.or_else(|| Some(format!("{} failed while it was written", self.failed_profile()?.name)))
    }
}

/// A boot attempt as its record and its events told it.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Its number.
    pub attempt: i64,
    /// The last stage.
    pub stage: Option<Stage>,
    /// When that was.
    pub at: Millis,
    /// The name of why it failed, if it has.
    pub failed: Option<String>,
    /// Why it failed, once that was told in full.
    pub diagnosis: Option<Diagnosis>,
    /// Whether it has ended.
    pub ended: bool,
}

impl Boot {
    /// An attempt as lists tell of it.
    pub fn of(brief: &AttemptBrief) -> Self {
        Self {
            attempt: brief.id,
            stage: None,
            at: brief.last_at,
            failed: brief.diagnosis.clone().filter(|_| brief.outcome == AttemptOutcome::Failed),
            diagnosis: None,
            ended: brief.outcome != AttemptOutcome::Running,
        }
    }

    /// Whether stages still come.
    pub fn is_running(&self) -> bool {
        !self.ended
    }

    /// Why it failed, in a sentence as far as that is known.
    pub fn why(&self) -> Option<String> {
        let told = self.diagnosis.as_ref().map(|found| found.message.clone());
        told.or_else(|| Some(self.failed.as_ref()?.replace('_', " ")))
    }
}

/// A name under which numbers sort by their value; machines without a name come last.
pub(super) fn name_key(machine: &Machine) -> String {
    /// Longer numbers are no numbers.
    const DIGITS_MAX: usize = 12;
    let name = machine.called().to_lowercase();
    let mut key = String::from(if machine.name.is_some() { "0" } else { "1" });
    let mut digits = String::new();
    for c in name.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_digit() && machine.name.is_some() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            key.push_str(&format!("{digits:0>DIGITS_MAX$}"));
            digits.clear();
        }
        key.push(c);
    }
    key
}

/// What a search looks at, in small letters.
pub(super) fn haystack(machine: &Machine) -> String {
    let mut text = String::new();
    let fields = [&machine.name, &machine.serial, &machine.uuid, &machine.asset_tag, &machine.manufacturer]
        .into_iter()
        .chain([&machine.product, &machine.address, &machine.notes])
        .flatten();
    for part in fields.chain(&machine.tags) {
        text.push_str(&part.to_lowercase());
        text.push('\n');
    }
    // Of the id only what people see of it: all hexadecimal digits of a UUID would fit most short searches.
    text.push_str(crate::human::short(&machine.id));
    text.push('\n');
    for mac in &machine.macs {
        text.push_str(&mac.to_string());
        text.push('\n');
    }
    if let Some(hostname) = machine.host.as_ref().and_then(|host| host.host.hostname.as_ref()) {
        text.push_str(&hostname.to_lowercase());
    }
    text
}
