//! Which events to list.

use serde::{Deserialize, Serialize};

/// Which stored events to list: all given conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
pub struct EventQuery {
    /// Only those with a larger id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Only those with a smaller id: the next page of a list that begins with the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Only those of the machine with this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Only those of the operation with this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only those of these kinds, such as `enrolment,operation_changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `asc` for the oldest first, `desc` for the newest first; `asc` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<EventOrder>,
    /// At most this many, 1 to 1000; 100 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// In which order events are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventOrder {
    /// The oldest first.
    #[default]
    Asc,
    /// The newest first.
    Desc,
}
