//! Machines: identity, matching, naming rules, enrolment rules.
//!
//! Nothing here knows how facts were read or where records are kept.

mod diff;
mod hostname;
mod identity;
mod index;
mod name;
mod query;
mod rule;
mod summary;

pub use diff::diff;
pub use hostname::{
    HostnameError, HostnameFacts, HostnamePattern, HostnamePolicy, POOL_NAMES_MAX, PolicyError,
};
pub use identity::{Identity, identifying_text, identifying_uuid};
pub use index::{Candidate, Conflict, Index, Resolution};
pub use name::{NameError, TAG_BYTES_MAX, check_name, check_tag};
pub use query::{LIMIT_DEFAULT, LIMIT_MAX, matches};
pub(crate) use rule::glob;
pub use rule::{EnrolmentRule, RuleFacts};
pub use summary::{is_built_in, summary};
