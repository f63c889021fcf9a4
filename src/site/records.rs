//! Finding records.

use ironwake_api::{FieldProblem, MacAddr, Machine, MachineQuery, Page};
use uuid::Uuid;

use super::{Site, SiteError};
use crate::machine::{LIMIT_DEFAULT, LIMIT_MAX, matches};

/// Shorter beginnings of an id fit too many by chance.
const PREFIX_CHARS_MIN: usize = 4;

impl Site {
    /// Finds by id, name, MAC address, UUID, serial number, or the unique beginning or end of an id;
    /// without inventory.
    pub fn machine(&self, key: &str) -> Option<Machine> {
        self.found(key).ok()
    }

    pub(super) fn found(&self, key: &str) -> Result<Machine, SiteError> {
        let records = self.read();
        let missing = || SiteError::NoSuchMachine(key.to_owned());
        let id = if records.machines.contains_key(key) {
            Some(key)
        } else if let Some(id) = records.by_name.get(&key.to_ascii_lowercase()) {
            Some(id.as_str())
        } else if let Ok(mac) = key.parse::<MacAddr>() {
            records.index.by_mac(mac)
        } else if let Ok(uuid) = key.parse::<Uuid>() {
            only(records.index.by_uuid(uuid).iter().map(String::as_str), key)?
        } else if let ids @ [_, ..] = records.index.by_serial(key) {
            only(ids.iter().map(String::as_str), key)?
        } else if key.len() >= PREFIX_CHARS_MIN {
            let fits = |id: &&str| id.starts_with(key) || id.ends_with(key);
            only(records.machines.keys().map(String::as_str).filter(fits), key)?
        } else {
            None
        };
        let machine = id.and_then(|id| records.machines.get(id)).ok_or_else(missing)?;
        Ok(self.with_presence(machine))
    }

    /// The machines that a query selects, oldest record first.
    pub fn list(&self, query: &MachineQuery) -> Result<Page<Machine>, SiteError> {
        let mut wrong = Vec::new();
        let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let message = format!("{limit} is not between 1 and {LIMIT_MAX}");
            wrong.push(FieldProblem { field: "limit".into(), message });
        }
        if let Some(Err(error)) = query.mac.as_ref().map(|mac| mac.parse::<MacAddr>()) {
            wrong.push(FieldProblem { field: "mac".into(), message: error.to_string() });
        }
        if !wrong.is_empty() {
            return Err(SiteError::Invalid(wrong));
        }
        let offset = query.offset.unwrap_or_default();
        let records = self.read();
        let mut selected: Vec<&Machine> =
            records.machines.values().filter(|machine| matches(machine, query)).collect();
        selected.sort_by(|a, b| a.id.cmp(&b.id));
        let total = selected.len() as u64;
        let page = selected.into_iter().skip(offset as usize).take(limit as usize);
        let items = page.map(|machine| self.with_presence(machine)).collect();
        Ok(Page { items, total, limit, offset })
    }
}

/// The only one, if there is one; several are a conflict.
fn only<'a>(mut ids: impl Iterator<Item = &'a str>, key: &str) -> Result<Option<&'a str>, SiteError> {
    let first = ids.next();
    match ids.next() {
        None => Ok(first),
        Some(_) => Err(SiteError::Conflict(format!("{key:?} is the key of several machines: use an id"))),
    }
}
