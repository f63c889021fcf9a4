//! Finding records.

use ironwake_api::{FieldProblem, MacAddr, Machine, MachineQuery, Page};
use uuid::Uuid;

use super::{Records, Site, SiteError};
use crate::machine::{LIMIT_DEFAULT, LIMIT_MAX, matches};

/// Shorter beginnings of an id fit too many by chance.
const PREFIX_CHARS_MIN: usize = 4;

impl Site {
    /// Finds by id, name, MAC address, UUID, serial number, or the unique beginning or end of an id;
    /// without inventory.
    pub fn machine(&self, key: &str) -> Result<Machine, SiteError> {
        let records = self.read();
        let id = records.find(key)?;
        let machine = id.and_then(|id| records.machines.get(id));
        machine
            .map(|machine| self.with_presence(machine))
            .ok_or_else(|| SiteError::NoSuchMachine(key.to_owned()))
    }

    /// One machine as it is shown: with the operation that runs on it, its host and its newest inventory.
    pub async fn shown_machine(&self, key: &str) -> Result<Machine, SiteError> {
        let mut machine = self.with_work(self.machine(key)?);
        machine.inventory = self.store.inventory(&machine.id).await?.map(|record| Box::new(record.inventory));
        Ok(machine)
    }

    /// What people call the machine of this id; the id, where there is no record of it.
    pub(super) fn called(&self, id: &str) -> String {
        self.read().called(id)
    }

    fn with_work(&self, machine: Machine) -> Machine {
        let host = self.hosts.shown(&machine.id, self.now());
        let mut operation = self.operations.brief(&machine.id);
        if let Some(running) = &mut operation {
            running.step = self.logins.step(&running.id);
        }
        Machine { operation, host, last_attempt: self.attempts.of(&machine.id), ..machine }
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
            records.machines.values().map(Box::as_ref).filter(|machine| matches(machine, query)).collect();
        selected.sort_by(|a, b| a.id.cmp(&b.id));
        let total = selected.len() as u64;
        let page = selected.into_iter().skip(offset as usize).take(limit as usize);
        let items = page.map(|machine| self.with_work(self.with_presence(machine))).collect();
        Ok(Page { items, total, limit, offset })
    }
}

impl Records {
    /// What people call the machine of this id; the id, where there is no record of it.
    pub(super) fn called(&self, id: &str) -> String {
        self.machines.get(id).map_or_else(|| id.to_owned(), |machine| machine.called())
    }

    /// The id that a key stands for: what is most exact is looked for first.
    fn find<'a>(&'a self, key: &'a str) -> Result<Option<&'a str>, SiteError> {
        if self.machines.contains_key(key) {
            return Ok(Some(key));
        }
        if let Some(id) = self.by_name.get(&key.to_ascii_lowercase()) {
            return Ok(Some(id));
        }
        if let Some(id) = key.parse::<MacAddr>().ok().and_then(|mac| self.id_of(mac)) {
            return Ok(Some(id));
        }
        let by_uuid = key.parse::<Uuid>().map_or(&[][..], |uuid| self.index.by_uuid(uuid));
        for ids in [by_uuid, self.index.by_serial(key)] {
            if let Some(id) = only(ids.iter().map(String::as_str), key)? {
                return Ok(Some(id));
            }
        }
        if key.len() < PREFIX_CHARS_MIN {
            return Ok(None);
        }
        let fits = |id: &&str| id.starts_with(key) || id.ends_with(key);
        only(self.machines.keys().map(String::as_str).filter(fits), key)
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
