//! Rules that enrol machines.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// A rule that enrols machines: every condition given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnrolmentRule {
    /// Its name, shown in the event.
    pub name: String,
    /// Manufacturer, case-insensitive, with `*` for any text.
    pub manufacturer: Option<String>,
    /// Product, case-insensitive, with `*` for any text.
    pub product: Option<String>,
    /// Serial number, case-insensitive, with `*` for any text.
    pub serial: Option<String>,
    /// The machine's address lies here.
    pub subnet: Option<Ipv4Net>,
    /// The machine carries all of these.
    pub tags: Vec<String>,
    /// Tags that a machine enrolled by this rule is given.
    pub add_tags: Vec<String>,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleFacts<'a> {
    /// System manufacturer.
    pub manufacturer: Option<&'a str>,
    /// System product.
    pub product: Option<&'a str>,
    /// System serial number.
    pub serial: Option<&'a str>,
    /// Address that the inventory came from.
    pub address: Option<Ipv4Addr>,
    /// Tags that an operator put on the machine, before or after it was first seen.
    pub tags: &'a [String],
}

impl EnrolmentRule {
    /// Whether there is a condition; a rule without one would fit every machine. What it gives is none.
    pub fn is_conditional(&self) -> bool {
        [&self.manufacturer, &self.product, &self.serial].into_iter().any(Option::is_some)
            || self.subnet.is_some()
            || !self.tags.is_empty()
    }

    /// Whether the rule enrols a machine with these facts. A rule without conditions fits none.
    pub fn fits(&self, facts: RuleFacts<'_>) -> bool {
        let texts = [
            (&self.manufacturer, facts.manufacturer),
            (&self.product, facts.product),
            (&self.serial, facts.serial),
        ];
        self.is_conditional()
            && texts.iter().all(|(pattern, value)| match (pattern, value) {
                (None, _) => true,
                (Some(pattern), Some(value)) => glob(pattern, value),
                (Some(_), None) => false,
            })
            && self.subnet.is_none_or(|subnet| facts.address.is_some_and(|address| subnet.contains(&address)))
            && self.tags.iter().all(|tag| facts.tags.contains(tag))
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any text; case-insensitive.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let text = text.trim().to_ascii_lowercase();
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let check = |pattern: &str, text: &str, fits: bool| {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        };
        check("dell*", "Dell Inc.", true);
        check("*proliant*gen10*", "HPE ProLiant DL380 Gen10 Plus", true);
        check("*", "", true);
        check("qemu", "QEMU", true);
        check("qemu", "QEMU x", false);
        check("a*a", "a", false);
        check("*b", "ab", true);
        check("a*b*c", "a-b-b-c", true);
    }

    #[test]
    fn every_condition_must_hold_and_one_is_needed() {
        let facts = RuleFacts {
            manufacturer: Some("Dell Inc."),
            address: Some(Ipv4Addr::new(10, 0, 1, 7)),
            tags: &["rack1".to_owned(), "owner=lab".to_owned()],
            ..RuleFacts::default()
        };
        let check = |rule: EnrolmentRule, fits: bool| assert_eq!(rule.fits(facts), fits, "{rule:?}");
        let dell = EnrolmentRule { manufacturer: Some("dell*".into()), ..EnrolmentRule::default() };
        check(dell.clone(), true);
        check(EnrolmentRule { subnet: Some("10.0.1.0/24".parse().unwrap()), ..dell.clone() }, true);
        check(EnrolmentRule { subnet: Some("10.0.2.0/24".parse().unwrap()), ..dell.clone() }, false);
        check(EnrolmentRule { product: Some("*".into()), ..dell.clone() }, false);
        let tagged = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        for (tags, fits) in [
            (tagged(&["rack1"]), true),
            (tagged(&["owner=lab", "rack1"]), true),
            (tagged(&["rack1", "rack2"]), false),
            (tagged(&["rack"]), false),
            (tagged(&["Rack1"]), false),
        ] {
            check(EnrolmentRule { tags: tags.clone(), ..EnrolmentRule::default() }, fits);
            check(EnrolmentRule { tags, ..dell.clone() }, fits);
        }
        let gives = EnrolmentRule { add_tags: tagged(&["rack1"]), ..EnrolmentRule::default() };
        check(EnrolmentRule { add_tags: tagged(&["new"]), ..dell }, true);
        check(gives, false);
        check(EnrolmentRule::default(), false);
    }
}
