//! `[hostnames]`, `[values]` and `[tag.NAME.values]`: what hosts are called, and what profiles are filled with.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;
use toml::de::DeValue;

use super::value;
use crate::document::value::{Wrong, quoted};
use crate::document::{Field, Findings, Reader, Section, Value, describe};
use crate::machine::HostnamePolicy;
use crate::profile::{VALUES_MAX, Written, check_value, is_variable_name};

/// Tags that have values.
const TAGS_MAX: usize = 1024;

/// What profiles are filled with at this site, unless something stronger says otherwise.
///
/// Which of the values are secret only the profiles know: `Debug` shows none.
#[derive(Clone, Default, PartialEq)]
pub struct SiteValues {
    /// For every machine.
    pub site: Written,
    /// For the machines that carry a tag.
    pub tags: BTreeMap<String, Written>,
}

impl fmt::Debug for SiteValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |written: &Written| written.keys().cloned().collect::<Vec<_>>();
        let tags: Vec<_> = self.tags.iter().map(|(tag, written)| (tag, names(written))).collect();
        f.debug_struct("SiteValues").field("site", &names(&self.site)).field("tags", &tags).finish()
    }
}

/// `[hostnames]`
pub(super) struct RawHostnames {
    pattern: Field<HostnamePolicy>,
    pool: Field<HostnamePolicy>,
}

pub(super) fn read_hostnames(section: Option<Section<'_, '_>>, findings: &mut Findings) -> RawHostnames {
    let mut reader = Reader::new(section, findings);
    let hostnames = RawHostnames {
        pattern: reader.text("pattern", "node-{rack}-{seq:03}", pattern),
        pool: reader.field("pool", pool),
    };
    reader.finish();
    hostnames
}

pub(super) fn check_hostnames(raw: RawHostnames, findings: &mut Findings) -> HostnamePolicy {
    if let (Some(_), Some(pool)) = (raw.pattern.given(), raw.pool.given()) {
        let help = "keep the one that is to name hosts".to_owned();
        findings.add(pool.span.clone(), "a pattern names the hosts already", help);
    }
    raw.pattern.value().or(raw.pool.value()).unwrap_or(HostnamePolicy::Given)
}

fn pattern(text: &str) -> Result<HostnamePolicy, Wrong> {
    let help = || "text, fields such as {rack}, and one number {seq:03}: \"node-{rack}-{seq:03}\"".to_owned();
    HostnamePolicy::pattern(text).map_err(|error| (error.to_string(), help()))
}

fn pool(value: &Value<'_>, findings: &mut Findings) -> Option<HostnamePolicy> {
    let help = || "a list of names, such as [\"rincewind\", \"weatherwax\"]".to_owned();
    let DeValue::Array(items) = value.get_ref() else {
        findings.add(value.span(), format!("found {}, expected a list", describe(value.get_ref())), help());
        return None;
    };
    let mut names = Vec::new();
    for item in items.iter() {
        match item.get_ref() {
            DeValue::String(name) => names.push(name.clone().into_owned()),
            other => {
                findings.add(item.span(), format!("found {}, expected a name", describe(other)), help());
                return None;
            }
        }
    }
    let pool = HostnamePolicy::pool(&names);
    pool.map_err(|error| findings.add(value.span(), error.to_string(), help())).ok()
}

/// Reads `[values]` and every `[tag.NAME.values]` below the top.
pub(super) fn read_values(top: &mut Section<'_, '_>, findings: &mut Findings) -> SiteValues {
    let site = top.section("values", "[values]", findings).map(|section| values(section, findings));
    let mut tags = BTreeMap::new();
    for (name, section) in top.named_sections("tag", findings) {
        if let Err((message, help)) = value::tag(&name.value) {
            findings.add(name.span.clone(), message, help);
        }
        if tags.len() >= TAGS_MAX {
            findings.add(name.span, format!("more than {TAGS_MAX} tags have values"), None);
            break;
        }
        let mut reader = Reader::new(section, findings);
        let written =
            reader.table("values", "[tag.NAME.values]", |section, _, findings| values(section, findings));
        reader.finish();
        tags.insert(name.value, written.unwrap_or_default());
    }
    SiteValues { site: site.unwrap_or_default(), tags }
}

fn values(section: Section<'_, '_>, findings: &mut Findings) -> Written {
    let mut written = Written::new();
    for (name, value) in section.entries() {
        if !is_variable_name(&name.value) {
            let help = "lower-case letters, digits and `_`, as in a profile's `[variables.NAME]`".to_owned();
            findings.add_veiled(
                name.span,
                format!("{} is not the name of a variable", quoted(&name.value)),
                help,
            );
            continue;
        }
        if written.len() >= VALUES_MAX {
            findings.add(name.span, format!("more than {VALUES_MAX} values"), None);
            break;
        }
        let read = json(value).ok_or_else(|| format!("found {}", kind_of(value)));
        match read.and_then(|json| check_value(&json).map(|()| json)) {
            Ok(json) => {
                written.insert(name.value, json);
            }
            Err(message) => {
                let help = "a string, a whole number, true, false, or a list of strings".to_owned();
                findings.add_veiled(name.span, message, help);
            }
        }
    }
    written
}

/// What a value is, without itself: it may be a secret.
fn kind_of(value: &Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number that is not written in decimal, or is too large",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list of something else than strings",
        DeValue::Table(_) => "a table",
    }
}

fn json(value: &Value<'_>) -> Option<Json> {
    match value.get_ref() {
        DeValue::String(text) => Some(Json::from(text.as_ref())),
        DeValue::Integer(number) => number.as_str().replace('_', "").parse::<i64>().ok().map(Json::from),
        DeValue::Boolean(on) => Some(Json::from(*on)),
        DeValue::Array(items) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Some(Json::from(text.as_ref())),
                _ => None,
            })
            .collect(),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Result<Config, Vec<String>> {
        let text = format!("[[network]]\ninterface = \"br0\"\n{text}\n");
        Config::parse(&text, "f").map_err(|m| m.list.into_iter().map(|mistake| mistake.message).collect())
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(parse(text).err().unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn values_are_read_for_the_site_and_for_tags_and_shown_nowhere() {
        let text = "[values]\ntimezone = \"UTC\"\nport = 1_024\nkeys = [\"a\", \"b\"]\n\
                    [tag.\"rack=a\".values]\npassword = \"hunter2\"\n[tag.gpu.values]\non = true";
        let config = parse(text).expect("legal");
        let expected = serde_json::json!({"timezone": "UTC", "port": 1024, "keys": ["a", "b"]});
        assert_eq!(serde_json::to_value(&config.values.site).expect("JSON"), expected);
        assert_eq!(config.values.tags["rack=a"]["password"], "hunter2");
        assert_eq!(config.values.tags["gpu"]["on"], true);
        let shown = format!("{config:?}");
        assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_no_variable_takes_is_said_without_the_value() {
        check("[values]\nA = 1", &["\"A\" is not the name of a variable"]);
        check("[values]\na = 1.5", &["found a number with a fraction"]);
        check("[values]\na = 0xff", &["found a number that is not written in decimal, or is too large"]);
        check("[values]\na = [\"hunter2\", 1]", &["found a list of something else than strings"]);
        check("[values]\na = {b = 1}", &["found a table"]);
        check("[tag.\"a b\".values]", &["\"a b\" is not a tag"]);
        check("[tag.a]\nvalue = 1", &["unknown key `value` in [tag.a]"]);
    }

    #[test]
    fn hosts_are_named_by_pattern_or_pool() {
        assert_eq!(parse("").expect("legal").hostnames, HostnamePolicy::Given);
        let pattern = parse("[hostnames]\npattern = \"node-{rack}-{seq:03}\"").expect("legal").hostnames;
        assert!(matches!(pattern, HostnamePolicy::Pattern(_)), "{pattern:?}");
        let pool = parse("[hostnames]\npool = [\"Rincewind\", \"weatherwax\"]").expect("legal").hostnames;
        assert_eq!(pool, HostnamePolicy::Pool(vec!["rincewind".into(), "weatherwax".into()]));
        check(
            "[hostnames]\npattern = \"a{\"",
            &["\"a{\" is not a pattern of host names, at character 2: this { is not closed"],
        );
        check("[hostnames]\npool = [\"a\", \"A\"]", &["the pool of host names: \"a\" is in it twice"]);
        check("[hostnames]\npool = \"a\"", &["found the string \"a\", expected a list"]);
        check("[hostnames]\npattern = \"n{seq}\"\npool = [\"a\"]", &["a pattern names the hosts already"]);
    }
}
