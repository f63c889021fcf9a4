//! What a host is called: as given, by a pattern, or from a pool of names.
//!
//! A name is unique among those that are taken, and stable: a machine keeps the one that it has as long as the
//! policy could give it to that machine.

use std::collections::BTreeMap;
use std::fmt;

use super::name::check_name;

/// Highest number that `{seq}` counts to: more machines than one site has.
const SEQUENCE_MAX: u32 = 99_999;
/// Most digits that `{seq:0N}` asks for.
const DIGITS_MAX: usize = 6;
/// Names of one pool.
pub const POOL_NAMES_MAX: usize = 10_000;
/// Longest pattern: a host name and its fields' names.
const PATTERN_BYTES_MAX: usize = 253;

/// How hosts are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostnamePolicy {
    /// An operator gives each its name.
    Given,
    /// `node-{rack}-{seq:03}`
    Pattern(HostnamePattern),
    /// The first of these that is free.
    Pool(Vec<String>),
}

/// A pattern of host names: text, fields in braces, and at most one number that counts up from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostnamePattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A variable of the machine, or a tag `NAME=value`.
    Field(String),
    /// With at least so many digits.
    Sequence(usize),
}

/// What is known of the machine that is to be named.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostnameFacts<'a> {
    /// The name that an operator gave the machine.
    pub given: Option<&'a str>,
    /// The host name that it has.
    pub current: Option<&'a str>,
    /// Its variables that are texts.
    pub variables: Option<&'a BTreeMap<String, String>>,
    /// Its tags; `rack=a` is the field `rack`.
    pub tags: &'a [String],
}

/// Why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The pattern cannot be read.
    #[error("{pattern:?} is not a pattern of host names, at character {column}: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// From 1.
        column: usize,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A name of the pool.
    #[error("the pool of host names: {0}")]
    Pool(String),
}

/// Why a host gets no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostnameError {
    /// Names are given, and this machine has none.
    #[error("the machine has no name: give it one, or let a pattern or a pool name hosts")]
    NotGiven,
    /// Another one has it.
    #[error("{name:?} is the name of another host")]
    Taken {
        /// The name.
        name: String,
    },
    /// A field of the pattern is not known of this machine.
    #[error(
        "the pattern {pattern:?} needs {field:?} of the machine: set the variable {field}, or a tag {field}=VALUE"
    )]
    Unknown {
        /// The pattern.
        pattern: String,
        /// The field.
        field: String,
    },
    /// What comes out is no host name.
    #[error("the pattern {pattern:?} gives no host name: {why}")]
    NotAName {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// Every name is taken.
    #[error("every name is taken: {0}")]
    Exhausted(String),
}

impl HostnamePolicy {
    /// A policy by pattern.
    pub fn pattern(text: &str) -> Result<Self, PolicyError> {
        HostnamePattern::parse(text).map(Self::Pattern)
    }

    /// A policy by pool. Names are taken in this order.
    pub fn pool(names: &[String]) -> Result<Self, PolicyError> {
        let wrong = |why: String| Err(PolicyError::Pool(why));
        if names.is_empty() || names.len() > POOL_NAMES_MAX {
            return wrong(format!("it has {} names; 1 to {POOL_NAMES_MAX}", names.len()));
        }
        let mut pool: Vec<String> = Vec::with_capacity(names.len());
        let mut seen = std::collections::BTreeSet::new();
        for name in names {
            let name = check_name(name).map_err(|error| PolicyError::Pool(error.to_string()))?;
            if !seen.insert(name.clone()) {
                return wrong(format!("{name:?} is in it twice"));
            }
            pool.push(name);
        }
        Ok(Self::Pool(pool))
    }

    /// The host name of a machine. `taken` says whether another host has a name.
    pub fn assign(
        &self,
        facts: HostnameFacts<'_>,
        taken: impl Fn(&str) -> bool,
    ) -> Result<String, HostnameError> {
        let free = |name: &str| !taken(name);
        match self {
            Self::Given => {
                let name = facts.given.ok_or(HostnameError::NotGiven)?;
                let name = check_name(name).map_err(|error| HostnameError::NotAName {
                    pattern: name.into(),
                    why: error.to_string(),
                })?;
                if free(&name) { Ok(name) } else { Err(HostnameError::Taken { name }) }
            }
            Self::Pool(pool) => {
                let kept = pool.iter().find(|name| facts.current == Some(name) && free(name));
                let first = || pool.iter().find(|name| free(name));
                let why = || HostnameError::Exhausted(format!("the pool has {} names; add some", pool.len()));
                kept.or_else(first).cloned().ok_or_else(why)
            }
            Self::Pattern(pattern) => pattern.assign(facts, free),
        }
    }
}

impl HostnamePattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let wrong = |at: usize, why: &str| PolicyError::Pattern {
            pattern: text.chars().take(PATTERN_BYTES_MAX).collect(),
            column: text[..at].chars().count() + 1,
            why: why.to_owned(),
        };
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
            return Err(wrong(0, "1 to 253 characters, such as node-{rack}-{seq:03}"));
        }
        let mut parts = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if let Some(inside) = rest.strip_prefix('{') {
                let end = inside.find('}').ok_or_else(|| wrong(at, "this { is not closed"))?;
                let part = part(&inside[..end]).map_err(|why| wrong(at + 1, &why))?;
                if matches!(part, Part::Sequence(_)) && parts.iter().any(|p| matches!(p, Part::Sequence(_))) {
                    return Err(wrong(at, "there is a {seq} already"));
                }
                parts.push(part);
                at += end + 2;
            } else {
                let end = rest.find('{').unwrap_or(rest.len());
                let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
                if let Some(bad) = rest[..end].find(|c| !legal(c)) {
                    return Err(wrong(
                        at + bad,
                        "letters, digits, '-', '.' and fields in braces are allowed",
                    ));
                }
                parts.push(Part::Text(rest[..end].to_ascii_lowercase()));
                at += end;
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The text before the number and behind it, and how many digits it has at least.
    fn fill(&self, facts: HostnameFacts<'_>) -> Result<(String, Option<usize>, String), HostnameError> {
        let (mut before, mut digits, mut behind) = (String::new(), None, String::new());
        for part in &self.parts {
            let side = if digits.is_none() { &mut before } else { &mut behind };
            match part {
                Part::Text(text) => side.push_str(text),
                Part::Sequence(least) => digits = Some(*least),
                Part::Field(field) => {
                    let unknown =
                        || HostnameError::Unknown { pattern: self.text.clone(), field: field.clone() };
                    side.push_str(&facts.field(field).ok_or_else(unknown)?.to_ascii_lowercase());
                }
            }
        }
        Ok((before, digits, behind))
    }

    fn assign(&self, facts: HostnameFacts<'_>, free: impl Fn(&str) -> bool) -> Result<String, HostnameError> {
        let (before, digits, behind) = self.fill(facts)?;
        let checked = |name: String| {
            let wrong = |error: super::NameError| HostnameError::NotAName {
                pattern: self.text.clone(),
                why: error.to_string(),
            };
            check_name(&name).map_err(wrong)
        };
        let Some(digits) = digits else {
            let name = checked(format!("{before}{behind}"))?;
            return if free(&name) { Ok(name) } else { Err(HostnameError::Taken { name }) };
        };
        let numbered = |number: u32| checked(format!("{before}{number:0digits$}{behind}"));
        let number = || facts.current?.strip_prefix(&before)?.strip_suffix(&behind)?.parse::<u32>().ok();
        if let (Some(current), Some(number)) = (facts.current, number())
            && (1..=SEQUENCE_MAX).contains(&number)
            && numbered(number)? == current
            && free(current)
        {
            return Ok(current.to_owned());
        }
        for number in 1..=SEQUENCE_MAX {
            let name = numbered(number)?;
            if free(&name) {
                return Ok(name);
            }
        }
        Err(HostnameError::Exhausted(format!("the pattern {:?} counts to {SEQUENCE_MAX}", self.text)))
    }
}

impl fmt::Display for HostnamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'a> HostnameFacts<'a> {
    /// A variable, or else the value of a tag `NAME=value`.
    fn field(&self, name: &str) -> Option<&'a str> {
        let variable = self.variables.and_then(|variables| variables.get(name)).map(String::as_str);
        let tag = || self.tags.iter().find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='));
        variable.or_else(tag).filter(|value| !value.is_empty())
    }
}

/// What stands between braces.
fn part(text: &str) -> Result<Part, String> {
    let (name, format) = match text.split_once(':') {
        Some((name, format)) => (name, Some(format)),
        None => (text, None),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    match (name, format) {
        ("seq", None) => Ok(Part::Sequence(1)),
        ("seq", Some(format)) => {
            let digits = format.strip_prefix('0').and_then(|digits| digits.parse().ok());
            let digits = digits.filter(|digits| (1..=DIGITS_MAX).contains(digits));
            digits.map(Part::Sequence).ok_or_else(|| format!("{{seq:0N}} has N from 1 to {DIGITS_MAX}"))
        }
        (name, Some(_)) => Err(format!("only {{seq}} takes a format, and {name:?} has one")),
        (name, None) if is_name => Ok(Part::Field(name.to_owned())),
        (name, None) => {
            Err(format!("{name:?} is not the name of a field: lower-case letters, digits and '_'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine in rack a with this name, where others have `taken`.
    #[track_caller]
    fn check(
        policy: &Result<HostnamePolicy, PolicyError>,
        current: Option<&str>,
        taken: &[&str],
        expected: &str,
    ) {
        let tags = ["gpu".to_owned(), "rack=A".to_owned()];
        let variables = BTreeMap::from([("row".to_owned(), "7".to_owned())]);
        let facts =
            HostnameFacts { given: Some("Given-1"), current, variables: Some(&variables), tags: &tags };
        let policy = policy.as_ref().expect("a policy");
        let named = policy.assign(facts, |name| taken.contains(&name));
        assert_eq!(named.unwrap_or_else(|error| error.to_string()), expected);
    }

    #[test]
    fn patterns_count_up_and_keep_what_fits() {
        let policy = HostnamePolicy::pattern("node-{rack}-{seq:03}");
        check(&policy, None, &[], "node-a-001");
        check(&policy, None, &["node-a-001", "node-a-002", "node-a-004"], "node-a-003");
        check(&policy, Some("node-a-017"), &["node-a-001"], "node-a-017");
        // In another rack, of another pattern, or somebody else's: a name that this policy would not give.
        check(&policy, Some("node-b-017"), &[], "node-a-001");
        check(&policy, Some("node-a-17"), &[], "node-a-001");
        check(&policy, Some("node-a-000"), &[], "node-a-001");
        check(&policy, Some("node-a-017"), &["node-a-017"], "node-a-001");
        check(&HostnamePolicy::pattern("r{row}n{seq}.example"), None, &["r7n1.example"], "r7n2.example");
        check(&HostnamePolicy::pattern("Row-{row}"), None, &[], "row-7");
        check(
            &HostnamePolicy::pattern("row-{row}"),
            None,
            &["row-7"],
            "\"row-7\" is the name of another host",
        );
        check(
            &HostnamePolicy::pattern("{site}-{seq}"),
            None,
            &[],
            "the pattern \"{site}-{seq}\" needs \"site\" of the machine: set the variable site, or a tag site=VALUE",
        );
        check(
            &HostnamePolicy::pattern("-{seq}"),
            None,
            &[],
            "the pattern \"-{seq}\" gives no host name: \"-1\" is not a host name: a label neither begins nor ends with '-'",
        );
    }

    #[test]
    fn a_pattern_that_is_full_says_so() {
        let policy = HostnamePolicy::pattern("n{seq}").expect("a policy");
        let error = policy.assign(HostnameFacts::default(), |_| true).expect_err("full");
        assert_eq!(error.to_string(), "every name is taken: the pattern \"n{seq}\" counts to 99999");
    }

    #[test]
    fn pools_give_the_first_free_name() {
        let names = ["rincewind", "Luggage", "weatherwax"].map(str::to_owned);
        let policy = HostnamePolicy::pool(&names);
        check(&policy, None, &[], "rincewind");
        check(&policy, None, &["rincewind"], "luggage");
        check(&policy, Some("weatherwax"), &["rincewind"], "weatherwax");
        check(&policy, Some("vimes"), &[], "rincewind");
        let all = ["rincewind", "luggage", "weatherwax"];
        check(&policy, None, &all, "every name is taken: the pool has 3 names; add some");
        let wrong = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            HostnamePolicy::pool(&names).expect_err("refused").to_string()
        };
        assert_eq!(wrong(&[]), "the pool of host names: it has 0 names; 1 to 10000");
        assert_eq!(wrong(&["a", "A"]), "the pool of host names: \"a\" is in it twice");
        assert!(wrong(&["a b"]).contains("is not a host name"));
    }

    #[test]
    fn given_names_are_given() {
        let policy = Ok(HostnamePolicy::Given);
        check(&policy, Some("other"), &[], "given-1");
        check(&policy, None, &["given-1"], "\"given-1\" is the name of another host");
        let error = HostnamePolicy::Given.assign(HostnameFacts::default(), |_| false);
        assert_eq!(error, Err(HostnameError::NotGiven));
    }

    #[test]
    fn mistakes_in_patterns_have_a_place() {
        let check = |pattern: &str, expected: &str| {
            let error = HostnamePattern::parse(pattern).expect_err("refused").to_string();
            assert_eq!(error, format!("{pattern:?} is not a pattern of host names, at character {expected}"));
        };
        check("", "1: 1 to 253 characters, such as node-{rack}-{seq:03}");
        check("node {seq}", "5: letters, digits, '-', '.' and fields in braces are allowed");
        check("n}", "2: letters, digits, '-', '.' and fields in braces are allowed");
        check("n{seq", "2: this { is not closed");
        check("n{seq}{seq}", "7: there is a {seq} already");
        check("n{seq:3}", "3: {seq:0N} has N from 1 to 6");
        check("n{rack:03}", "3: only {seq} takes a format, and \"rack\" has one");
        check("n{Rack}", "3: \"Rack\" is not the name of a field: lower-case letters, digits and '_'");
    }
}
