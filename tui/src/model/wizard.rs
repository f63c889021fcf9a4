//! The steps towards an operation that writes: what, with which values, on which disk, and the name typed at the end.

use std::collections::BTreeMap;

use ironwake_api::{Inventory, Operation, OperationKind, Problem, ProfileSummary, ProfileVariable, Profiles};

use super::values;
use crate::confirm::Demand;
use crate::input::Input;
use crate::request::Plan;

/// Rules that name a disk of any machine, with what they mean.
const RULES: [(&str, &str); 3] = [
    ("only", "the only disk; refused where there are several"),
    ("smallest", "the smallest disk"),
    ("largest", "the largest disk"),
];
/// Kinds of profiles that write no disk by themselves.
const WITHOUT_DISK: [&str; 2] = ["live", "local"];

/// Which step is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What the machine is made into.
    Profile,
    /// What the profile is filled with.
    Values,
    /// Which disk is written.
    Disk,
    /// What will be destroyed, and the name.
    Confirm,
}

/// A value that is typed.
#[derive(Debug, Clone)]
pub struct Field {
    /// What it is.
    pub variable: ProfileVariable,
    /// What is typed.
    pub input: Input,
    /// What the daemon says of it.
    pub refused: Option<String>,
}

impl Field {
    /// What is wrong with what is typed.
    pub fn wrong(&self) -> Option<String> {
        if self.input.is_empty() {
            return self.variable.required.then(|| "has to be given".into());
        }
        values::wrong(&self.variable.kind, &self.input.text()).or_else(|| self.refused.clone())
    }
}

/// A disk, or a rule for one, that may be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The rule of the API.
    pub rule: String,
    /// What it is.
    pub title: String,
    /// What is on it, a line each.
    pub contents: Vec<String>,
    /// Its place among the disks of the inventory.
    pub disk: Option<usize>,
}

/// The steps and what was chosen in each.
#[derive(Debug)]
pub struct Wizard {
    /// Rebuild or wipe.
    pub kind: OperationKind,
    /// Ids of the machines.
    pub machines: Vec<String>,
    /// Their names.
    pub names: Vec<String>,
    /// The inventory, of a single machine.
    pub inventory: Option<Box<Inventory>>,
    /// Which step is open.
    pub stage: Stage,
    /// The profile under the cursor.
    pub profile: usize,
    /// What is filled in.
    pub fields: Vec<Field>,
    /// The field under the cursor.
    pub field: usize,
    /// The disk under the cursor.
    pub disk: usize,
    /// Which check of the values was asked for last.
    pub check: u64,
    /// What the daemon said against profile or disk as a whole.
    pub refused: Option<Problem>,
    /// Whether the operation was asked for.
    pub making: bool,
    /// What was made, with the machines' names.
    pub made: Vec<(String, Operation)>,
    /// What was refused, with the machines' names.
    pub refusals: Vec<(String, String)>,
    /// What has to be typed.
    pub demand: Option<Demand>,
    /// What is typed.
    pub typed: Input,
    /// Whether the arming was asked for.
    pub arming: bool,
    /// Lines above the screen.
    pub scroll: usize,
}

impl Wizard {
    /// The first step.
    pub fn new(
        kind: OperationKind,
        machines: Vec<String>,
        names: Vec<String>,
        inventory: Option<Box<Inventory>>,
    ) -> Self {
        Self {
            kind,
            machines,
            names,
            inventory,
            stage: if kind == OperationKind::Wipe { Stage::Disk } else { Stage::Profile },
            profile: 0,
            fields: Vec::new(),
            field: 0,
            disk: 0,
            check: 0,
            refused: None,
            making: false,
            made: Vec::new(),
            refusals: Vec::new(),
            demand: None,
            typed: Input::default(),
            arming: false,
            scroll: 0,
        }
    }

    /// Whether keys are typed into a text.
    pub fn is_typing(&self) -> bool {
        match self.stage {
            Stage::Values => {
                self.fields.get(self.field).is_some_and(|field| field.variable.kind != "boolean")
            }
            Stage::Confirm => self.demand.is_some(),
            Stage::Profile | Stage::Disk => false,
        }
    }

    /// Whether what is typed is not to be seen or recorded.
    pub fn is_secret(&self) -> bool {
        self.stage == Stage::Values && self.fields.get(self.field).is_some_and(|field| field.variable.secret)
    }

    /// Profiles that a machine can be made into.
    pub fn profiles<'a>(&self, profiles: Option<&'a Profiles>) -> Vec<&'a ProfileSummary> {
        let all = profiles.map(|profiles| profiles.profiles.as_slice()).unwrap_or_default();
        all.iter().filter(|profile| !WITHOUT_DISK.contains(&profile.kind.as_str())).collect()
    }

    /// Makes the fields of a profile; what was typed for a variable of the same name stays.
    pub fn choose(&mut self, profile: &ProfileSummary) {
        let mut before: BTreeMap<String, Input> =
            self.fields.drain(..).map(|field| (field.variable.name, field.input)).collect();
        let field = |variable: &ProfileVariable| Field {
            input: before.remove(&variable.name).unwrap_or_default(),
            variable: variable.clone(),
            refused: None,
        };
        self.fields = profile.variables.iter().map(field).collect();
        // What has to be given comes first.
        self.fields.sort_by_key(|field| !field.variable.required);
        (self.field, self.refused) = (0, None);
    }

    /// What can be written: the disks of a single machine, or rules for many.
    pub fn choices(&self) -> Vec<Choice> {
        let Some(inventory) = &self.inventory else {
            let rule = |(rule, title): &(&str, &str)| Choice {
                rule: (*rule).into(),
                title: (*title).into(),
                contents: Vec::new(),
                disk: None,
            };
            return RULES.iter().map(rule).collect();
        };
        let choice = |(place, disk): (usize, &ironwake_api::Disk)| {
            let approved = ironwake_api::ApprovedDisk::from(disk);
            let rule = match (&disk.serial, &disk.wwn) {
                (Some(serial), _) => format!("serial={serial}"),
                (None, Some(wwn)) => format!("wwn={wwn}"),
                (None, None) => format!("name={}", disk.name),
            };
            Choice { rule, title: disk.name.clone(), contents: approved.contents, disk: Some(place) }
        };
        inventory.disks.iter().enumerate().map(choice).collect()
    }

    /// What is planned so far.
    pub fn plan(&self, profile: Option<&ProfileSummary>) -> Plan {
        let given = self.fields.iter().filter(|field| !field.input.is_empty());
        Plan {
            kind: self.kind,
            profile: profile.map(|profile| profile.name.clone()),
            variables: given
                .map(|field| {
                    (field.variable.name.clone(), values::parse(&field.variable.kind, &field.input.text()))
                })
                .collect(),
            disks: self.choices().get(self.disk).map(|choice| choice.rule.clone()).into_iter().collect(),
        }
    }

    /// Puts what the daemon refused to the fields that it is about; the rest concerns the whole.
    pub fn refuse(&mut self, problem: Option<Problem>) {
        for field in &mut self.fields {
            let names = [field.variable.name.clone(), format!("variables.{}", field.variable.name)];
            let found = problem.iter().flat_map(|problem| &problem.errors);
            field.refused =
                found.filter(|error| names.contains(&error.field)).map(|error| error.message.clone()).next();
        }
        let fields: Vec<&str> = self.fields.iter().map(|field| field.variable.name.as_str()).collect();
        self.refused = problem.filter(|problem| {
            let of_field = |field: &str| fields.contains(&field.trim_start_matches("variables."));
            problem.errors.is_empty() || problem.errors.iter().any(|error| !of_field(&error.field))
        });
    }

    /// Takes the operations that were recorded: their word has to be typed.
    pub fn take(&mut self, made: Vec<(String, Operation)>, refusals: Vec<(String, String)>) {
        self.making = false;
        let ids = made.iter().map(|(_, operation)| operation.id.clone()).collect();
        let word = match made.as_slice() {
            [] => None,
            [(name, _)] if self.machines.len() == 1 => Some(name.clone()),
            many => Some(many.len().to_string()),
        };
        self.demand = word.map(|word| Demand::new(word, ids));
        (self.made, self.refusals, self.typed) = (made, refusals, Input::default());
        self.scroll = 0;
    }

    /// Operations that were recorded and not armed.
    pub fn unarmed(&self) -> Vec<String> {
        if self.arming {
            Vec::new()
        } else {
            self.made.iter().map(|(_, operation)| operation.id.clone()).collect()
        }
    }
}
