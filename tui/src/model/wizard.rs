//! The steps towards an operation that writes: what, with which values, on which disk, and the name typed at the end.

use std::collections::BTreeMap;

use ironwake_api::{
    DryRun, FieldProblem, GivenValue, Inventory, Operation, OperationKind, Problem, ProfileFit,
    ProfileSummary, ProfileVariable, Profiles,
};

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
    /// What it is for this machine unless something is typed.
    pub given: Option<GivenValue>,
    /// What is typed.
    pub input: Input,
    /// What the daemon says of it.
    pub refused: Option<String>,
}

impl Field {
    /// Whether nothing but what is typed gives it a value.
    pub fn is_needed(&self) -> bool {
        self.variable.required && self.given.is_none()
    }

    /// What it can be, where it is chosen rather than typed.
    pub fn choices(&self) -> Vec<&str> {
        match self.variable.kind.as_str() {
            "boolean" => vec!["true", "false"],
            "choice" => self.variable.choices.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Goes to the next choice, and behind the last one to none.
    pub fn choose_next(&mut self) {
        let chosen = self.input.text();
        let choices = self.choices();
        let next = match choices.iter().position(|choice| *choice == chosen) {
            Some(place) => choices.get(place + 1).copied().unwrap_or_default(),
            None => choices.first().copied().unwrap_or_default(),
        };
        self.input = Input::new(next);
    }

    /// What it is where nothing is typed, and where that comes from.
    pub fn unless_typed(&self) -> String {
        let shown = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(items) if items.is_empty() => "none".into(),
            other => other.to_string(),
        };
        match (&self.given, &self.variable.default) {
            (Some(given), _) => format!("{}, by {}", shown(&given.value), given.from),
            (None, Some(default)) => format!("{}, by the profile", shown(default)),
            (None, None) if self.variable.required => "needed".into(),
            (None, None) => "as the profile has it".into(),
        }
    }

    /// What is wrong with what is typed.
    pub fn wrong(&self) -> Option<String> {
        if self.input.is_empty() {
            return self.is_needed().then(|| "has to be given".into());
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
    /// Which profiles fit a single machine, and why not the others.
    pub fits: Vec<ProfileFit>,
    /// What the daemon would record, of a single machine.
    pub run: Option<Box<DryRun>>,
    /// What the daemon said against machine, profile or disk, in lines.
    pub refused: Vec<String>,
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
            fits: Vec::new(),
            run: None,
            refused: Vec::new(),
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
            Stage::Values => self.fields.get(self.field).is_some_and(|field| field.choices().is_empty()),
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
        let given = self.fit(&profile.name).map(|fit| fit.given.clone()).unwrap_or_default();
        let field = |variable: &ProfileVariable| Field {
            given: given.get(&variable.name).cloned(),
            input: before.remove(&variable.name).unwrap_or_default(),
            variable: variable.clone(),
            refused: None,
        };
        self.fields = profile.variables.iter().map(field).collect();
        // What has to be given comes first.
        self.fields.sort_by_key(|field| !field.is_needed());
        (self.field, self.refused) = (0, Vec::new());
    }

    /// What can be written: the disks of a single machine, or rules for many.
    pub fn choices(&self) -> Vec<Choice> {
        let Some(inventory) = &self.inventory else {
            let rule = |(rule, title): &(&str, &str)| Choice {
                rule: (*rule).into(),
                title: (*title).into(),
                disk: None,
            };
            return RULES.iter().map(rule).collect();
        };
        let choice = |(place, disk): (usize, &ironwake_api::Disk)| {
            let rule = match (&disk.serial, &disk.wwn) {
                (Some(serial), _) => format!("serial={serial}"),
                (None, Some(wwn)) => format!("wwn={wwn}"),
                (None, None) => format!("name={}", disk.name),
            };
            Choice { rule, title: disk.name.clone(), disk: Some(place) }
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

    /// Whether a profile fits the machine, where that is known.
    pub fn fit(&self, profile: &str) -> Option<&ProfileFit> {
        self.fits.iter().find(|fit| fit.name == profile)
    }

    /// Takes what the daemon would record, with what is wrong with it.
    pub fn ran(&mut self, run: DryRun) {
        self.refuse(&run.mistakes);
        self.run = Some(Box::new(run));
    }

    /// Puts what is wrong to the fields that it is about; the rest concerns the whole.
    pub fn refuse(&mut self, mistakes: &[FieldProblem]) {
        let is_of = |mistake: &FieldProblem, field: &Field| {
            mistake.field.strip_prefix("variables.").unwrap_or(&mistake.field) == field.variable.name
        };
        for field in &mut self.fields {
            let found = mistakes.iter().find(|mistake| is_of(mistake, field));
            field.refused = found.map(|mistake| mistake.message.clone());
        }
        let rest = mistakes.iter().filter(|mistake| !self.fields.iter().any(|field| is_of(mistake, field)));
        let line = |mistake: &FieldProblem| match mistake.field.as_str() {
            "" => mistake.message.clone(),
            field => format!("{field}: {}", mistake.message),
        };
        self.refused = rest.map(line).collect();
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

/// Everything that is wrong, of a refusal: its fields, else what it says as a whole.
pub fn mistakes(problem: Problem) -> Vec<FieldProblem> {
    match problem.errors.is_empty() {
        true => vec![FieldProblem { field: String::new(), message: problem.detail }],
        false => problem.errors,
    }
}
