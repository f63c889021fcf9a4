//! What profiles are filled with for a machine: values of the site, of its tags, and its own; and its host name.

use std::collections::{BTreeMap, HashMap};
use std::sync::RwLock;

use ironwake_api::{Actor, EventKind, FieldProblem, Inventory, Machine, MachineValues, MachineValuesPatch};
use serde_json::Value as Json;

use super::rebuild::{name_of, seen};
use super::{Site, SiteError, only_seen};
use crate::machine::{HostnameError, HostnameFacts, HostnamePolicy};
use crate::profile::{
    HIDDEN, Layers, Profile, Secret, VALUES_MAX, Values, Written, check_value, is_variable_name, resolve,
    settle_all,
};
use crate::store::Change;

/// What is kept of each machine, by id.
#[derive(Default)]
pub(super) struct OwnValues {
    values: RwLock<HashMap<String, Written>>,
    hostnames: RwLock<Hostnames>,
}

/// Host names that a pattern or a pool gave.
#[derive(Default)]
struct Hostnames {
    by_machine: HashMap<String, String>,
    by_name: HashMap<String, String>,
}

impl Hostnames {
    fn put(&mut self, machine: &str, name: Option<&str>) {
        if let Some(before) = self.by_machine.remove(machine) {
            self.by_name.remove(&before);
        }
        if let Some(name) = name {
            self.by_machine.insert(machine.to_owned(), name.to_owned());
            self.by_name.insert(name.to_owned(), machine.to_owned());
        }
    }
}

impl OwnValues {
    pub fn new(values: Vec<(String, Written)>, hostnames: Vec<(String, String)>) -> Self {
        let mut named = Hostnames::default();
        for (machine, name) in &hostnames {
            named.put(machine, Some(name));
        }
        Self { values: RwLock::new(values.into_iter().collect()), hostnames: RwLock::new(named) }
    }

    /// The machine's record is gone.
    pub fn forget(&self, machine: &str) {
        self.values.write().expect("no panic while held").remove(machine);
        self.set_hostname(machine, None);
    }

    pub fn set_hostname(&self, machine: &str, name: Option<&str>) {
        self.hostnames.write().expect("no panic while held").put(machine, name);
    }

    fn of(&self, machine: &str) -> Written {
        self.values.read().expect("no panic while held").get(machine).cloned().unwrap_or_default()
    }

    fn hostname(&self, machine: &str) -> Option<String> {
        self.hostnames.read().expect("no panic while held").by_machine.get(machine).cloned()
    }

    /// Whose host is called so by a pattern or a pool.
    pub fn owner_of(&self, name: &str) -> Option<String> {
        self.hostnames.read().expect("no panic while held").by_name.get(name).cloned()
    }
}

/// Values below those of an operation.
pub(super) struct OwnLayers {
    site: Written,
    tags: Vec<(String, Written)>,
    machine: Written,
}

impl OwnLayers {
    /// Settles the variables of a profile.
    pub fn resolve(&self, profile: &Profile, operation: &Written) -> Result<Values, Vec<FieldProblem>> {
        resolve(profile, Layers { site: &self.site, tags: &self.tags, machine: &self.machine, operation })
    }

    /// Settles those variables of a profile that can be without an operation; what is wrong with the others.
    pub fn settle(&self, profile: &Profile) -> (Values, Vec<FieldProblem>) {
        let none = Written::new();
        let layers = Layers { site: &self.site, tags: &self.tags, machine: &self.machine, operation: &none };
        settle_all(profile, layers)
    }

    /// What is a text of all of it, the strongest of each name.
    fn texts(&self) -> BTreeMap<String, String> {
        let layers = std::iter::once(&self.site).chain(self.tags.iter().map(|(_, written)| written));
        let all = layers.chain([&self.machine]).flatten();
        all.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    }
}

impl Site {
    /// What the site, its tags and the machine itself say.
    pub(super) fn layers(&self, machine: &Machine) -> OwnLayers {
        let live = self.live();
        let values = &live.values;
        let of_tag = |tag: &String| Some((tag.clone(), values.tags.get(tag)?.clone()));
        OwnLayers {
            site: values.site.clone(),
            tags: machine.tags.iter().filter_map(of_tag).collect(),
            machine: self.own.of(&machine.id),
        }
    }

    /// A machine's own values, with `***` for each that may be secret, and the name that its host was given.
    pub fn machine_values(&self, key: &str) -> Result<MachineValues, SiteError> {
        let machine = self.machine(key)?;
        let hostname = machine.name.clone().or_else(|| self.own.hostname(&machine.id));
        Ok(MachineValues { hostname, values: self.shown_values(&self.own.of(&machine.id)) })
    }

    /// Values as they may be shown. Which are secret is a profile's word: a value is shown if some profile in force
    /// has a variable of its name, and none has a secret one.
    pub fn shown_values(&self, written: &Written) -> BTreeMap<String, Json> {
        let profiles = self.catalog.list();
        let open = |name: &str| {
            let mut variables =
                profiles.iter().filter_map(|entry| entry.profile.variables.get(name)).peekable();
            variables.peek().is_some() && variables.all(|variable| !variable.secret)
        };
        let shown = |(name, value): (&String, &Json)| {
            (name.clone(), if open(name) { value.clone() } else { HIDDEN.into() })
        };
        written.iter().map(shown).collect()
    }

    /// Changes the values that `patch` names; `null` removes one.
    pub async fn set_machine_values(
        &self,
        key: &str,
        patch: MachineValuesPatch,
        actor: Actor,
    ) -> Result<MachineValues, SiteError> {
        let mut wrong = Vec::new();
        for (name, value) in &patch.values {
            let mut refuse =
                |message: String| wrong.push(FieldProblem { field: format!("values.{name}"), message });
            if !is_variable_name(name) {
                refuse("it is not the name of a variable: lower-case letters, digits and `_`".into());
            } else if let (false, Err(message)) = (value.is_null(), check_value(value)) {
                refuse(format!("{message}: a string, a whole number, true, false, or a list of strings"));
            }
        }
        let _gate = self.gate.lock().await;
        let machine = self.machine(key)?;
        let before = self.own.of(&machine.id);
        let mut values = before.clone();
        let mut fields = Vec::new();
        for (name, value) in patch.values {
            let changed = match value {
                Json::Null => values.remove(&name).is_some(),
                value => values.insert(name.clone(), value.clone()) != Some(value),
            };
            fields.extend(changed.then(|| format!("values.{name}")));
        }
        if values.len() > VALUES_MAX {
            let message = format!("{} are more than {VALUES_MAX}", values.len());
            wrong.push(FieldProblem { field: "values".into(), message });
        }
        if !wrong.is_empty() {
            return Err(SiteError::Invalid(wrong));
        }
        if only_seen(&machine) {
            // Such a record makes room for others, and its values would go with it.
            return Err(SiteError::Conflict(format!(
                "machine {} was only seen on the network: enrol it, or give it a name, before it gets values",
                machine.called()
            )));
        }
        if !fields.is_empty() {
            let event = self.event(actor, Some(&machine.id), EventKind::MachineEdited { fields });
            let saved = Secret::new(values.clone());
            let change = Change::MachineValues { machine: machine.id.clone(), values: saved };
            self.store.save(vec![change, event]).await?;
            self.own.values.write().expect("no panic while held").insert(machine.id.clone(), values);
        }
        self.machine_values(&machine.id)
    }

    /// What a machine's host is called: as an operator named the machine; else by the site's policy, which keeps a
    /// name that it gave. Nothing is noted.
    pub(super) fn hostname_for(
        &self,
        machine: &Machine,
        inventory: Option<&Inventory>,
        layers: &OwnLayers,
    ) -> Result<String, HostnameError> {
        if let Some(name) = &machine.name {
            return Ok(name.clone());
        }
        let live = self.live();
        let policy = &live.hostnames;
        if *policy == HostnamePolicy::Given {
            return Ok(name_of(machine, seen(machine, inventory)));
        }
        let (texts, current) = (layers.texts(), self.own.hostname(&machine.id));
        let facts = HostnameFacts {
            given: None,
            current: current.as_deref(),
            variables: Some(&texts),
            tags: &machine.tags,
        };
        let records = self.read();
        policy.assign(facts, |name| {
            let named = records.by_name.get(name).is_some_and(|id| *id != machine.id);
            named || self.own.owner_of(name).is_some_and(|id| id != machine.id)
        })
    }

    /// What is saved so that a machine keeps its host's name; nothing if it has it already.
    pub(super) fn hostname_change(&self, machine: &Machine, hostname: &str) -> Option<Change> {
        let policy = self.live().hostnames != HostnamePolicy::Given && machine.name.is_none();
        let next = policy.then(|| hostname.to_owned());
        (self.own.hostname(&machine.id) != next)
            .then(|| Change::Hostname { machine: machine.id.clone(), name: next })
    }

    /// An operator may not give a machine the name that another host has by policy.
    pub(super) fn hostname_is_free(&self, name: Option<&str>, own: Option<&str>) -> Result<(), SiteError> {
        let owner = name.and_then(|name| self.own.owner_of(name)).filter(|owner| Some(owner.as_str()) != own);
        match owner {
            Some(owner) => Err(SiteError::Conflict(format!(
                "the host of machine {} is called {} already",
                self.called(&owner),
                name.unwrap_or_default()
            ))),
            None => Ok(()),
        }
    }
}
