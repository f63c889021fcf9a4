//! Enrolment by the agent: an inventory comes in, a record is found or made, a rule may make it known.

use std::net::Ipv4Addr;

use ironwake_api::{
    Actor, ClientStage, EnrollAnswer, EnrollRequest, Enrolment, EventKind, FieldProblem, Inventory,
    InventoryChange, Machine, OperationState, StageKind,
};

use super::{MACHINES_MAX, Site, SiteError};
use crate::config::EnrolmentPolicy;
use crate::machine::{Identity, Resolution, RuleFacts, diff, summary};
use crate::recorder::Observation;
use crate::store::Change;

/// Entries of one list in an inventory; no machine has so many, and a liar is cut short here.
const ENTRIES_MAX: usize = 4096;
/// Addresses of one machine, those of cards that it had once included: the inventory's own come first.
const MACS_MAX: usize = 64;
/// NICs of one machine; virtual functions are not there in discovery.
const NICS_MAX: usize = 64;
/// One text of an inventory in bytes; the rest is cut.
const TEXT_BYTES_MAX: usize = 512;
/// Conflicts told at one enrolment: more come from a default value that a whole batch shares.
const CONFLICTS_TOLD_MAX: usize = 8;
/// Differences named in an event; the inventories hold them all.
pub(super) const CHANGES_NAMED_MAX: usize = 20;

/// What an enrolment led to.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// For the agent.
    pub answer: EnrollAnswer,
    /// The machine was never seen before, or only by its packets.
    pub new: bool,
}

/// What makes a machine known.
struct Grounds {
    /// As the event names it.
    by: String,
    /// What the machine is given with it.
    tags: Vec<String>,
}

impl Site {
    /// Takes an inventory. While an operation runs on the machine, only its own boot may report one, by the
    /// operation and the token that it carries: anybody can say to be that machine. It is in the store when this returns.
    pub async fn enroll(
        &self,
        request: EnrollRequest,
        bearer: Option<(String, String)>,
        from: Ipv4Addr,
    ) -> Result<Enrolled, SiteError> {
        check(&request)?;
        let EnrollRequest { boot_mac, inventory, .. } = request;
        let mut inventory = shortened(inventory)?;
        (self.annotate)(&mut inventory);
        let identity = Identity::of_inventory(&inventory, boot_mac);

        let _gate = self.gate.lock().await;
        let (resolution, known) = {
            let records = self.read();
            let resolution = records.index.resolve(&identity);
            let known = resolution
                .machine
                .as_ref()
                .and_then(|id| records.machines.get(id))
                .map(|m| Machine::clone(m));
            if known.is_none() && records.machines.len() >= MACHINES_MAX {
                return Err(SiteError::Full { what: "machines", limit: MACHINES_MAX });
            }
            (resolution, known)
        };
        self.refuse_stranger(&resolution, bearer, from)?;
        let new = known.as_ref().is_none_or(|machine| machine.inventory_at.is_none());
        let before = match &known {
            Some(machine) => self.store.inventory(&machine.id).await?.map(|record| record.inventory),
            None => None,
        };
        let differences = before.as_ref().map(|before| diff(before, &inventory));
        let mut machine = known.unwrap_or_else(|| self.blank(&identity));
        self.refresh(&mut machine, &identity, &inventory, from);

        let mut changes = Vec::new();
        if let Some(grounds) = self.enrolment(&machine, &inventory, from) {
            changes.push(self.make_known(&mut machine, grounds));
        }
        let inventory_id = self.read().last_inventory + 1;
        let kind = EventKind::Inventory {
            inventory: inventory_id,
            changes: differences
                .as_deref()
                .unwrap_or_default()
                .iter()
                .take(CHANGES_NAMED_MAX)
                .map(named)
                .collect(),
            first: before.is_none(),
        };
        // The record comes first: what follows refers to it.
        changes.insert(0, Change::Machine(Box::new(machine.clone())));
        changes.extend(self.identity_events(&machine, &resolution));
        let moved = self.moved_cards(&identity, &resolution);
        changes.extend(moved.iter().map(|other| Change::Machine(Box::new(other.clone()))));
        changes.push(Change::Inventory {
            id: inventory_id,
            machine: machine.id.clone(),
            at: self.now(),
            inventory: Box::new(inventory),
        });
        changes.push(self.event(Actor::Machine, Some(&machine.id), kind));
        self.store.save(changes).await?;

        let answer = EnrollAnswer {
            machine: machine.id.clone(),
            name: machine.name.clone(),
            enrolled: machine.enrolment == Enrolment::Enrolled,
            idle_reboot_secs: self.settings.idle_secs,
        };
        {
            let mut records = self.write();
            records.last_inventory = inventory_id;
            for absorbed in &resolution.absorb {
                records.remove(absorbed);
            }
            for other in moved {
                records.put(other);
            }
            records.put(machine.clone());
        }
        for absorbed in &resolution.absorb {
            self.forget(absorbed, Some(&machine.id));
        }
        self.orders.enrolled(&machine.id);
        self.inspected(&machine.id).await?;
        self.fruitless.forget(&machine.macs);
        if machine.secure_boot_seen == Some(true) {
            self.learned.forget(&machine.macs);
        }
        self.believe_address(boot_mac, from);
        self.observe(Observation {
            at: self.now(),
            mac: boot_mac,
            client: ClientStage::Agent,
            arch: None,
            kind: StageKind::Inventory { changes: differences.map(|list| list.len() as u32) },
        });
        Ok(Enrolled { answer, new })
    }

    /// Refuses what would change the record of a machine that an operation is about, unless its own boot reports it.
    fn refuse_stranger(
        &self,
        resolution: &Resolution,
        bearer: Option<(String, String)>,
        from: Ipv4Addr,
    ) -> Result<(), SiteError> {
        let conflicting = resolution.conflicts.iter().map(|conflict| &conflict.other);
        for machine in resolution.machine.iter().chain(conflicting) {
            let Some(record) = self.operations.of_machine(machine) else { continue };
            let own = resolution.machine.as_ref() == Some(machine)
                && bearer
                    .as_ref()
                    .is_some_and(|(operation, token)| self.is_work_token(&record, operation, token));
            let operation = &record.operation;
            let waits = operation.state == OperationState::Registered && operation.batch.is_none();
            let served = !matches!(operation.state, OperationState::Registered | OperationState::PxeReady);
            let taken_by_another = record.taker.is_some_and(|taker| taker.from != from);
            let elsewhere = taken_by_another || self.another_machine(operation, from).is_some();
            if waits || (own && served && !elsewhere) {
                continue;
            }
            let reason = match own {
                false => "an inventory came without its token",
                true if !served => "an inventory came with its token before its kernel was served",
                true => "an inventory came with its token from another machine",
            };
            self.token_refused(&record, from, reason);
            return Err(SiteError::Conflict(format!(
                "{} {} runs on this machine: until it has ended, only its own boot may report an inventory",
                record.operation.kind, record.operation.id
            )));
        }
        Ok(())
    }

    /// Brings a record up to what the inventory says. Keys that the inventory lacks are kept.
    fn refresh(&self, machine: &mut Machine, identity: &Identity, inventory: &Inventory, from: Ipv4Addr) {
        let now = self.now();
        machine.uuid = identity.uuid.map(|uuid| uuid.to_string()).or(machine.uuid.take());
        machine.serial = identity.serial.clone().or(machine.serial.take());
        machine.asset_tag = identity.asset_tag.clone().or(machine.asset_tag.take());
        let mut macs = identity.macs.clone();
        macs.extend(machine.macs.iter().filter(|mac| !identity.macs.contains(mac)));
        macs.truncate(MACS_MAX);
        macs.sort();
        machine.macs = macs;
        machine.manufacturer = inventory.system.manufacturer.clone();
        machine.product = inventory.system.product.clone();
        machine.hardware = Some(Box::new(summary(inventory)));
        machine.secure_boot_seen = inventory.firmware.secure_boot;
        machine.address = Some(from.to_string());
        machine.discover_next = false;
        machine.seen_at = Some(now);
        machine.inventory_at = Some(now);
        machine.inventory = None;
    }

    /// What makes this machine known when its inventory comes in; `None` if it stays as it is.
    fn enrolment(&self, machine: &Machine, inventory: &Inventory, from: Ipv4Addr) -> Option<Grounds> {
        let grounds = |by: &str| Grounds { by: by.into(), tags: Vec::new() };
        match (machine.enrolment, self.live().policy) {
            (Enrolment::Enrolled, _) | (Enrolment::Unenrolled, EnrolmentPolicy::Manual) => None,
            (Enrolment::Unenrolled, EnrolmentPolicy::Auto) => Some(grounds("policy auto")),
            (Enrolment::Unenrolled, EnrolmentPolicy::Rules) => self.rule_for(machine, inventory, Some(from)),
            // The operator named it before it was seen: that was the enrolment. A rule that fits has
            // tags to give besides.
            (Enrolment::Registered, _) => {
                self.rule_for(machine, inventory, Some(from)).or_else(|| Some(grounds("registration")))
            }
        }
    }

    /// The first rule that fits, where rules decide.
    fn rule_for(
        &self,
        machine: &Machine,
        inventory: &Inventory,
        address: Option<Ipv4Addr>,
    ) -> Option<Grounds> {
        let live = self.live();
        if live.policy != EnrolmentPolicy::Rules {
            return None;
        }
        let facts = RuleFacts {
            manufacturer: inventory.system.manufacturer.as_deref(),
            product: inventory.system.product.as_deref(),
            serial: inventory.system.serial.as_deref(),
            address,
            tags: &machine.tags,
        };
        let rule = live.rules.iter().find(|rule| rule.fits(facts))?;
        Some(Grounds { by: format!("rule {}", rule.name), tags: rule.add_tags.clone() })
    }

    /// Judges a machine again whose tags an operator changed, so that nobody has to wait for its next
    /// boot. One without an inventory stays unknown: there is nothing yet to judge it by.
    pub(super) async fn judge_again(&self, machine: &mut Machine) -> Result<Option<Change>, SiteError> {
        let waits = machine.enrolment == Enrolment::Unenrolled && machine.inventory_at.is_some();
        if !waits || self.live().policy != EnrolmentPolicy::Rules {
            return Ok(None);
        }
        let Some(record) = self.store.inventory(&machine.id).await? else { return Ok(None) };
        let address = machine.address.as_ref().and_then(|text| text.parse().ok());
        let grounds = self.rule_for(machine, &record.inventory, address);
        Ok(grounds.map(|grounds| self.make_known(machine, grounds)))
    }

    /// Changes the record, and returns the event that says so.
    fn make_known(&self, machine: &mut Machine, Grounds { by, tags }: Grounds) -> Change {
        let kind = EventKind::Enrolment { from: machine.enrolment, to: Enrolment::Enrolled, by };
        machine.enrolment = Enrolment::Enrolled;
        machine.tags.extend(tags);
        machine.tags.sort();
        machine.tags.dedup();
        self.event(Actor::Daemon, Some(&machine.id), kind)
    }

    /// Records that list an address of this inventory and are other machines: the card is here, and they
    /// must not answer for it any longer.
    fn moved_cards(&self, identity: &Identity, resolution: &Resolution) -> Vec<Machine> {
        let records = self.read();
        let others = resolution.conflicts.iter().filter(|conflict| conflict.key == "mac");
        let mut moved: Vec<Machine> = others
            .filter_map(|conflict| records.machines.get(&conflict.other))
            .map(|m| Machine::clone(m))
            .collect();
        for machine in &mut moved {
            machine.macs.retain(|mac| !identity.macs.contains(mac));
        }
        moved
    }

    fn identity_events(&self, machine: &Machine, resolution: &Resolution) -> Vec<Change> {
        let mut changes = Vec::new();
        if resolution.machine.is_none()
            && let Some(mac) = machine.macs.first()
        {
            changes.push(self.event(Actor::Machine, Some(&machine.id), EventKind::MachineSeen { mac: *mac }));
        }
        for other in &resolution.absorb {
            let kind = EventKind::MachineAbsorbed { other: other.clone() };
            changes.push(self.event(Actor::Daemon, Some(&machine.id), kind));
            changes.push(Change::MachineAbsorbed { id: other.clone(), into: machine.id.clone() });
        }
        for conflict in resolution.conflicts.iter().take(CONFLICTS_TOLD_MAX) {
            if !self.conflicts.is_news(&machine.id, &conflict.other) {
                continue;
            }
            let kind = EventKind::IdentityConflict {
                other: conflict.other.clone(),
                key: conflict.key.into(),
                value: conflict.value.clone(),
            };
            changes.push(self.event(Actor::Daemon, Some(&machine.id), kind));
        }
        changes
    }
}

/// One difference in a line.
pub(super) fn named(change: &InventoryChange) -> String {
    let show = |value: &Option<serde_json::Value>| match value {
        None => "nothing".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => {
            let text = value.to_string();
            if text.len() > 60 { "...".to_owned() } else { text }
        }
    };
    format!("{}: {} -> {}", change.path, show(&change.before), show(&change.after))
}

/// The inventory with every text cut to a sane length: serial numbers and models have tens of characters.
pub(super) fn shortened(inventory: Inventory) -> Result<Inventory, SiteError> {
    let wrong = |error: serde_json::Error| SiteError::invalid("inventory", error.to_string());
    let mut value = serde_json::to_value(inventory).map_err(wrong)?;
    shorten(&mut value);
    serde_json::from_value(value).map_err(wrong)
}

fn shorten(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX)),
        serde_json::Value::Array(items) => items.iter_mut().for_each(shorten),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

/// What the type cannot refuse.
fn check(request: &EnrollRequest) -> Result<(), SiteError> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, message: String| wrong.push(FieldProblem { field: field.into(), message });
    let inventory = &request.inventory;
    if !request.boot_mac.is_unicast() {
        refuse("boot_mac", format!("{} is not the address of one interface", request.boot_mac));
    }
    if inventory.schema != 1 {
        refuse("inventory.schema", format!("{} is not 1, the only one there is", inventory.schema));
    }
    let lists = [
        ("inventory.cpus", inventory.cpus.len()),
        ("inventory.memory.dimms", inventory.memory.dimms.len()),
        ("inventory.disks", inventory.disks.len()),
        ("inventory.pci", inventory.pci.len()),
        ("inventory.gpus", inventory.gpus.len()),
        ("inventory.usb", inventory.usb.len()),
        ("inventory.notes", inventory.notes.len()),
    ];
    for (field, length) in lists {
        if length > ENTRIES_MAX {
            refuse(field, format!("{length} entries are more than {ENTRIES_MAX}"));
        }
    }
    if inventory.nics.len() > NICS_MAX {
        wrong.push(FieldProblem {
            field: "inventory.nics".into(),
            message: format!("{} entries are more than {NICS_MAX}", inventory.nics.len()),
        });
    }
    if wrong.is_empty() { Ok(()) } else { Err(SiteError::Invalid(wrong)) }
}
