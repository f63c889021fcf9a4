//! Events: everything that happened, in order, as the event stream sends it.

use serde::{Deserialize, Serialize};

use crate::{EventKind, Millis};

/// One event. Ids grow by time and are never reused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Number, for `Last-Event-ID`.
    pub id: i64,
    /// When.
    pub at: Millis,
    /// Who caused it.
    pub actor: Actor,
    /// The machine concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The machine itself.
    Machine,
    /// The daemon: a rule, a deadline, a watch.
    Daemon,
    /// An operator of this host, by user name or id.
    Operator(String),
    /// Whoever shows this token, by its name.
    Token(String),
}
