//! What operators change.

use ironwake_api::{
    Actor, Enrolment, EventKind, FieldProblem, MacAddr, Machine, MachineNew, MachinePatch, SecureBoot,
};
use uuid::Uuid;

use super::{MACHINES_MAX, Records, Site, SiteError};
use crate::machine::{Identity, check_name, check_tag, identifying_text, identifying_uuid};
use crate::store::Change;

/// Notes in bytes: a page of text.
const NOTES_BYTES_MAX: usize = 16 * 1024;
/// Tags of one machine.
const TAGS_MAX: usize = 64;

impl Site {
    /// Registers a machine before it is ever seen.
    pub async fn register(&self, new: MachineNew, actor: Actor) -> Result<Machine, SiteError> {
        let mut wrong = Vec::new();
        let identity = identity(&new, &mut wrong);
        let name = name(new.name.as_deref(), &mut wrong);
        let tags = checked_tags(&new.tags, &mut wrong);
        notes(new.notes.as_deref(), &mut wrong);
        if !wrong.is_empty() {
            return Err(SiteError::Invalid(wrong));
        }
        let _gate = self.gate.lock().await;
        self.refuse_duplicate(&identity, name.as_deref())?;
        let machine = Machine {
            name,
            enrolment: Enrolment::Registered,
            tags,
            notes: new.notes,
            secure_boot: SecureBoot::Auto,
            seen_at: None,
            ..self.blank(&identity)
        };
        let event = self.event(actor, Some(&machine.id), EventKind::MachineRegistered);
        self.store.save(vec![Change::Machine(Box::new(machine.clone())), event]).await?;
        self.write().put(machine.clone());
        Ok(machine)
    }

    fn refuse_duplicate(&self, identity: &Identity, name: Option<&str>) -> Result<(), SiteError> {
        self.hostname_is_free(name, None)?;
        let records = self.read();
        let taken = |key: &str, value: &str, id: &str| {
            Err(SiteError::Conflict(format!("machine {} has {key} {value} already", records.called(id))))
        };
        for mac in &identity.macs {
            if let Some(id) = records.index.by_mac(*mac) {
                return taken("MAC address", &mac.to_string(), id);
            }
        }
        if let Some(uuid) = identity.uuid
            && let [id, ..] = records.index.by_uuid(uuid)
        {
            return taken("UUID", &uuid.to_string(), id);
        }
        if let Some(serial) = &identity.serial
            && let [id, ..] = records.index.by_serial(serial)
        {
            return taken("serial number", serial, id);
        }
        name_is_free(&records, name, None)?;
        if records.machines.len() >= MACHINES_MAX {
            return Err(SiteError::Full { what: "machines", limit: MACHINES_MAX });
        }
        Ok(())
    }

    /// Changes the fields that `patch` names.
    pub async fn edit(&self, id: &str, patch: MachinePatch, actor: Actor) -> Result<Machine, SiteError> {
        let mut wrong = Vec::new();
        let name = patch.name.as_ref().map(|value| name(value.as_deref(), &mut wrong));
        let tags = patch.tags.as_ref().map(|list| checked_tags(list, &mut wrong));
        let (add, remove) = (checked_tags(&patch.add_tags, &mut wrong), patch.remove_tags);
        notes(patch.notes.as_ref().and_then(|value| value.as_deref()), &mut wrong);
        if !wrong.is_empty() {
            return Err(SiteError::Invalid(wrong));
        }
        let _gate = self.gate.lock().await;
        let before = self.machine(id)?;
        let mut machine = before.clone();
        let mut fields = Vec::new();
        if let Some(name) = name {
            name_is_free(&self.read(), name.as_deref(), Some(&machine.id))?;
            self.hostname_is_free(name.as_deref(), Some(&machine.id))?;
            changed(&mut machine.name, name, "name", &mut fields);
        }
        if let Some(notes) = patch.notes {
            changed(&mut machine.notes, notes, "notes", &mut fields);
        }
        let mut tags = tags.unwrap_or_else(|| machine.tags.clone());
        tags.extend(add);
        tags.retain(|tag| !remove.contains(tag));
        let mut wrong = Vec::new();
        let tags = checked_tags(&tags, &mut wrong);
        if !wrong.is_empty() {
            return Err(SiteError::Invalid(wrong));
        }
        let tagged = changed(&mut machine.tags, tags, "tags", &mut fields);
        if let Some(policy) = patch.secure_boot {
            changed(&mut machine.secure_boot, policy, "secure_boot", &mut fields);
        }
        if let Some(discover) = patch.discover_next {
            changed(&mut machine.discover_next, discover, "discover_next", &mut fields);
            self.fruitless.forget(&machine.macs);
        }
        if fields.is_empty() {
            return Ok(before);
        }
        let mut events = vec![self.event(actor, Some(&machine.id), EventKind::MachineEdited { fields })];
        if tagged {
            events.extend(self.judge_again(&mut machine).await?);
        }
        self.replace(machine, events).await
    }

    /// Makes a machine known. Doing it twice changes nothing.
    pub async fn enroll_by_operator(&self, id: &str, actor: Actor) -> Result<Machine, SiteError> {
        let _gate = self.gate.lock().await;
        let mut machine = self.machine(id)?;
        if machine.enrolment == Enrolment::Enrolled {
            return Ok(machine);
        }
        let kind =
            EventKind::Enrolment { from: machine.enrolment, to: Enrolment::Enrolled, by: "operator".into() };
        machine.enrolment = Enrolment::Enrolled;
        let event = self.event(actor, Some(&machine.id), kind);
        self.replace(machine, vec![event]).await
    }

    /// Deletes a record. A machine that boots again is unknown again.
    pub async fn delete(&self, id: &str, actor: Actor) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        let machine = self.machine(id)?;
        self.refuse_under_operation(&machine.id)?;
        let event = self.event(actor, Some(&machine.id), EventKind::MachineDeleted);
        self.store.save(vec![Change::MachineDeleted(machine.id.clone()), event]).await?;
        self.write().remove(&machine.id);
        self.forget(&machine.id, None);
        Ok(())
    }

    /// Saves a changed record and its events, then shows it. The gate must be held.
    async fn replace(&self, machine: Machine, events: Vec<Change>) -> Result<Machine, SiteError> {
        let record = Change::Machine(Box::new(machine.clone()));
        self.store.save(std::iter::once(record).chain(events).collect()).await?;
        self.write().put(machine.clone());
        Ok(machine)
    }
}

/// Sets a field and notes its name; whether it had another value.
fn changed<T: PartialEq>(field: &mut T, value: T, name: &str, fields: &mut Vec<String>) -> bool {
    let differs = *field != value;
    if differs {
        *field = value;
        fields.push(name.into());
    }
    differs
}

fn name_is_free(records: &Records, name: Option<&str>, own: Option<&str>) -> Result<(), SiteError> {
    match name.and_then(|name| records.by_name.get(name)) {
        Some(owner) if Some(owner.as_str()) != own => Err(SiteError::Conflict(format!(
            "machine {} has the name {} already",
            records.called(owner),
            name.unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}

fn identity(new: &MachineNew, wrong: &mut Vec<FieldProblem>) -> Identity {
    let mut refuse = |field: String, message: String| wrong.push(FieldProblem { field, message });
    let mut identity = Identity::default();
    for (n, text) in new.macs.iter().enumerate() {
        match text.parse::<MacAddr>() {
            Ok(mac) if mac.is_unicast() => identity.macs.push(mac),
            Ok(mac) => refuse(format!("macs[{n}]"), format!("{mac} is not the address of one interface")),
            Err(error) => refuse(format!("macs[{n}]"), error.to_string()),
        }
    }
    identity.macs.sort();
    identity.macs.dedup();
    if let Some(text) = &new.uuid {
        match text.parse::<Uuid>() {
            Ok(uuid) if identifying_uuid(&uuid) => identity.uuid = Some(uuid),
            Ok(uuid) => {
                refuse("uuid".into(), format!("{uuid} is shared by many machines and identifies none"))
            }
            Err(_) => refuse(
                "uuid".into(),
                format!("{text:?} is not a UUID such as 8a3f1c52-7d0e-4b11-9f65-2f1f0e6a9b01"),
            ),
        }
    }
    if let Some(text) = &new.serial {
        match identifying_text(text) {
            Some(serial) => identity.serial = Some(serial.to_owned()),
            None => refuse("serial".into(), format!("{text:?} is a value that identifies no machine")),
        }
    }
    if new.macs.is_empty() && new.uuid.is_none() && new.serial.is_none() {
        refuse("macs".into(), "at least one of macs, uuid and serial is needed".into());
    }
    identity
}

fn name(text: Option<&str>, wrong: &mut Vec<FieldProblem>) -> Option<String> {
    match check_name(text?) {
        Ok(name) => Some(name),
        Err(error) => {
            wrong.push(FieldProblem { field: "name".into(), message: error.to_string() });
            None
        }
    }
}

fn checked_tags(list: &[String], wrong: &mut Vec<FieldProblem>) -> Vec<String> {
    for (n, tag) in list.iter().enumerate() {
        if let Err(error) = check_tag(tag) {
            wrong.push(FieldProblem { field: format!("tags[{n}]"), message: error.to_string() });
        }
    }
    if list.len() > TAGS_MAX {
        let message = format!("{} tags are more than {TAGS_MAX}", list.len());
        wrong.push(FieldProblem { field: "tags".into(), message });
    }
    let mut tags = list.to_vec();
    tags.sort();
    tags.dedup();
    tags
}

fn notes(text: Option<&str>, wrong: &mut Vec<FieldProblem>) {
    if let Some(text) = text
        && text.len() > NOTES_BYTES_MAX
    {
        let message = format!("{} bytes are more than {NOTES_BYTES_MAX}", text.len());
        wrong.push(FieldProblem { field: "notes".into(), message });
    }
}
