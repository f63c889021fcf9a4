//! The variables of an operation: which layer says what, checked by their types.

use std::collections::BTreeMap;
use std::fmt;

use ironwake_api::FieldProblem;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::input::{ITEMS_MAX, TEXT_BYTES_MAX, Value};
use super::mask::{MASKED_BYTES_MIN, can_be_masked};
use super::quote::texts;
use super::secret::{HIDDEN, Secret};
use super::shape::{Profile, Variable};
use crate::document::{nearest, shorten};

/// Values as they are written in one place, by variable.
pub type Written = BTreeMap<String, Json>;

/// Values that are written in one place: more than several profiles have variables.
pub const VALUES_MAX: usize = 256;

/// Whether a value is of a kind that variables take; what it is, without itself, if not.
pub fn check_value(value: &Json) -> Result<(), String> {
    let bytes = |text: &str| match text.len() <= TEXT_BYTES_MAX {
        true => Ok(()),
        false => Err(format!("found {} bytes, more than {TEXT_BYTES_MAX}", text.len())),
    };
    match value {
        Json::String(text) => bytes(text),
        Json::Bool(_) => Ok(()),
        Json::Number(number) if number.is_i64() => Ok(()),
        Json::Number(_) => Err("found a number with a fraction, or a large one".into()),
        Json::Array(items) if items.len() > ITEMS_MAX => {
            Err(format!("found {} items, more than {ITEMS_MAX}", items.len()))
        }
        Json::Array(items) => items.iter().try_for_each(|item| match item {
            Json::String(text) => bytes(text),
            _ => Err("found a list of something else than strings".into()),
        }),
        Json::Null => Err("found nothing".into()),
        Json::Object(_) => Err("found an object".into()),
    }
}

/// Where values are written, from the weakest to the strongest but for the profile's own defaults, which stand
/// between the site and the tags.
///
/// Site, tags and machine are written for many profiles: what a profile does not know there is none of its business.
/// What an operation names that the profile does not know is a mistake.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// The site's.
    pub site: &'a Written,
    /// Those of the machine's tags, by tag, in the order of the tags on the machine; later ones win.
    pub tags: &'a [(String, Written)],
    /// The machine's own.
    pub machine: &'a Written,
    /// The operation's.
    pub operation: &'a Written,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// For the site.
    Site,
    /// In the profile.
    Profile,
    /// For a tag.
    Tag(String),
    /// For the machine.
    Machine,
    /// In the operation.
    Operation,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site => f.write_str("site"),
            Self::Profile => f.write_str("profile"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Machine => f.write_str("machine"),
            Self::Operation => f.write_str("operation"),
        }
    }
}

/// What one variable is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Nothing was written, and nothing has to be.
    Unset,
    /// A value and where it was written.
    Plain(Value, Origin),
    /// A value that is never shown.
    Secret(Secret<Value>, Origin),
    /// A value that is never shown, and is not even there.
    Masked(Origin),
}

impl Setting {
    /// The value, secret or not.
    pub(super) fn reveal(&self) -> Option<&Value> {
        match self {
            Self::Unset | Self::Masked(_) => None,
            Self::Plain(value, _) => Some(value),
            Self::Secret(secret, _) => Some(secret.reveal()),
        }
    }
}

/// Every variable of a profile with what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(pub(super) BTreeMap<String, Setting>);

impl Values {
    /// What a variable is.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// Every variable in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.0.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// The same with `***` for each secret: what is rendered from it may be shown.
    pub fn masked(&self) -> Self {
        let mask = |setting: &Setting| match setting {
            Setting::Secret(_, origin) => Setting::Masked(origin.clone()),
            other => other.clone(),
        };
        Self(self.0.iter().map(|(name, setting)| (name.clone(), mask(setting))).collect())
    }
}

impl Values {
    /// What was written anywhere but in the profile, secrets included: as an operation's values it settles to the
    /// same, whatever becomes of where it was written.
    pub fn written(&self) -> Written {
        let written = |(name, setting): (&String, &Setting)| {
            let from_profile = matches!(setting, Setting::Plain(_, Origin::Profile));
            let value = setting.reveal().filter(|_| !from_profile)?;
            Some((name.clone(), Json::from(value)))
        };
        self.0.iter().filter_map(written).collect()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = |setting: &Setting| match setting {
            Setting::Unset => Json::Null,
            Setting::Plain(value, _) => Json::from(value),
            Setting::Secret(..) | Setting::Masked(_) => Json::from(HIDDEN),
        };
        serializer.collect_map(self.0.iter().map(|(name, setting)| (name, shown(setting))))
    }
}

/// Settles every variable of a profile. Everything that is wrong is reported, each under `variables.NAME`.
pub fn resolve(profile: &Profile, layers: Layers<'_>) -> Result<Values, Vec<FieldProblem>> {
    let (values, problems) = settle_all(profile, layers);
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// The same for those that can be settled, beside what is wrong with the others.
pub fn settle_all(profile: &Profile, layers: Layers<'_>) -> (Values, Vec<FieldProblem>) {
    let mut problems = unknown(profile, layers.operation);
    let mut values = BTreeMap::new();
    for (name, variable) in &profile.variables {
        match settle(name, variable, layers) {
            Ok(setting) => {
                values.insert(name.clone(), setting);
            }
            Err(message) => problems.push(FieldProblem { field: format!("variables.{name}"), message }),
        }
    }
    (Values(values), problems)
}

fn unknown(profile: &Profile, operation: &Written) -> Vec<FieldProblem> {
    let known: Vec<&str> = profile.variables.keys().map(String::as_str).collect();
    let unknown = operation.keys().filter(|name| !profile.variables.contains_key(*name));
    let problem = |name: &String| {
        let help = match nearest(name, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => "it has no variables".into(),
            None => format!("it has {}", known.join(", ")),
        };
        let shown = shorten(name);
        FieldProblem {
            field: format!("variables.{shown}"),
            message: format!("profile {} has no variable `{shown}`; {help}", profile.name),
        }
    };
    unknown.map(problem).collect()
}

/// The strongest layer that says something counts; `null` says that the weaker ones count.
fn settle(name: &str, variable: &Variable, layers: Layers<'_>) -> Result<Setting, String> {
    let said = |written: &Written| written.get(name).filter(|json| !json.is_null()).cloned();
    let tag = || layers.tags.iter().rev().find_map(|(tag, written)| Some((said(written)?, tag.clone())));
    let (given, origin) = if let Some(json) = said(layers.operation) {
        (json, Origin::Operation)
    } else if let Some(json) = said(layers.machine) {
        (json, Origin::Machine)
    } else if let Some((json, tag)) = tag() {
        (json, Origin::Tag(tag))
    } else if let Some(value) = &variable.default {
        return Ok(Setting::Plain(value.clone(), Origin::Profile));
    } else if let Some(json) = said(layers.site) {
        (json, Origin::Site)
    } else if variable.required {
        let help = if variable.help.is_empty() { variable.input.name() } else { &variable.help };
        return Err(format!("a value is needed: {help}"));
    } else {
        return Ok(Setting::Unset);
    };
    let from = match &origin {
        Origin::Operation => String::new(),
        other => format!(" (from {other})"),
    };
    match variable.input.read(&given) {
        Ok(value) if variable.secret && !texts(&value).iter().all(|text| can_be_masked(text)) => {
            Err(format!(
                "the secret value{from} is too short to be hidden in what programs write: at least {MASKED_BYTES_MIN} bytes"
            ))
        }
        Ok(value) if variable.secret => Ok(Setting::Secret(Secret::new(value), origin)),
        Ok(value) => Ok(Setting::Plain(value, origin)),
        // What is wrong with a secret is said without repeating it.
        Err((_, help)) if variable.secret => Err(format!("the secret value{from} does not fit: {help}")),
        Err((message, help)) => Err(format!("{message}{from}; {help}")),
    }
}
