//! Machines: identity, matching, naming rules, enrolment rules.

pub mod diff;

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
    /// Tags that a machine enrolled by this rule gets.
    pub tags: Vec<String>,
}
