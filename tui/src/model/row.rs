//! One machine as the table has it: its record, and what events told since.

use ironwake_api::{Diagnosis, Failure, Machine, Millis, Progress, Stage};

use super::condition::Condition;
use super::hardware::Brief;

/// One machine in the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The record.
    pub machine: Machine,
    /// In which condition it is.
    pub condition: Condition,
    /// Its hardware in a few words, once it was asked for.
    pub hardware: Option<Brief>,
    /// The inventory that `hardware` is of, or was asked for.
    pub hardware_at: Option<Option<Millis>>,
    /// Its last boot, as far as it was seen from here.
    pub boot: Option<Boot>,
    /// How far its operation is.
    pub progress: Option<(Progress, String)>,
    /// The profile of its last rebuild.
    pub profile: Option<String>,
    /// Why its last operation failed.
    pub failure: Option<Failure>,
    /// What a search looks at.
    pub(super) haystack: String,
    /// What names are sorted by.
    pub(super) name_key: String,
}

/// A boot attempt as its events told it.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Its number.
    pub attempt: i64,
    /// The last stage.
    pub stage: Option<Stage>,
    /// When that was.
    pub at: Millis,
    /// Why it failed.
    pub diagnosis: Option<Diagnosis>,
    /// Whether it has ended.
    pub ended: bool,
}

impl Boot {
    /// Whether stages still come.
    pub fn is_running(&self) -> bool {
        !self.ended
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
