//! One change for many machines, and one arming for many operations.

use serde::{Deserialize, Serialize};

use crate::{MachinePatch, Operation, OperationNew, Problem};

/// Which machines: those of `keys`, or those that meet every condition given. One of the two is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Each the key of one machine: id, its beginning, name, MAC, UUID or serial.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Machines that have all these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Of this manufacturer (case-insensitive).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// This product (case-insensitive).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// With this text in name, serial, UUID, asset tag, manufacturer, product, MAC, tag or notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
}

impl Selection {
    /// Whether it has a condition; a search for nothing, or for what every MAC address has, is none.
    pub fn has_condition(&self) -> bool {
        !self.tags.is_empty()
            || self.manufacturer.is_some()
            || self.product.is_some()
            || self.search.as_deref().is_some_and(|text| text.contains(char::is_alphanumeric))
    }
}

/// `POST /api/v1/bulk`: what is to be done with each machine of a selection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// Which machines.
    pub machines: Selection,
    /// What with each.
    pub action: BulkAction,
}

/// What is done with each machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// Change these fields.
    Edit(MachinePatch),
    /// Make it known.
    Enroll,
    /// Delete its record.
    Delete,
    /// Make an operation, which has to leave `arm` out: `POST /api/v1/batches` arms several.
    Operate(OperationNew),
}

/// What became of each machine, in the order of the selection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkAnswer {
    /// How many it was done for.
    pub done: u64,
    /// How many it was refused for.
    pub refused: u64,
    /// One for each machine.
    pub results: Vec<BulkResult>,
}

/// What became of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkResult {
    /// Its id; the key as it came where it names no machine.
    pub machine: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What people call it: its name, or what else tells it apart; the key as it came where it names no machine.
    pub called: String,
    /// The operation that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Box<Operation>>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

/// `POST /api/v1/batches`: arm these operations, so many at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BatchNew {
    /// Ids of operations that are `registered`.
    pub operations: Vec<String>,
    /// How many may be under way at once; ten when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// Whether the rest goes on after one has failed; unless it does, those that wait are cancelled.
    #[serde(default)]
    pub keep_going: bool,
    /// How long each arming lasts, in seconds; an hour when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_secs: Option<u64>,
}

/// The batch that an operation belongs to. While such an operation is `registered`, it waits to be armed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Batch {
    /// A UUID (version 7).
    pub id: String,
    /// How many of the batch may be under way at once.
    pub at_once: u32,
    /// Whether the rest goes on after one has failed.
    pub keep_going: bool,
    /// How long each arming lasts, in seconds.
    pub armed_secs: u64,
    /// Who armed the batch.
    pub by: crate::Actor,
}
