//! Webhooks: events that are sent to others, and how that went.

use serde::{Deserialize, Serialize};

use crate::Millis;

/// A webhook of the configuration, or the registration of ready hosts. Its secret is never shown, nor is the path of its URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// Its name; `registration` is that of the registration.
    pub name: String,
    /// Scheme and host of its URL.
    pub target: String,
    /// Patterns of the events that it is sent; all without any.
    pub events: Vec<String>,
    /// Whether what is sent is signed.
    pub signed: bool,
    /// The last event that it is done with.
    pub cursor: i64,
    /// Events behind that one; those that it is not sent count too.
    pub behind: i64,
    /// How the last try went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<WebhookDelivery>,
}

/// One try to send one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookDelivery {
    /// The webhook's name.
    pub webhook: String,
    /// The event's number; 0 for a test.
    pub event: i64,
    /// The event's name.
    pub kind: String,
    /// Which try of this event it was, from 1.
    #[serde(rename = "try")]
    pub try_number: u32,
    /// When it began.
    pub at: Millis,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What becomes of the event.
    pub outcome: DeliveryOutcome,
    /// The answer's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was not taken, in a sentence without a full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What becomes of an event after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOutcome {
    /// It was taken.
    Delivered,
    /// It is sent again.
    Retried,
    /// It is not sent again.
    GivenUp,
}
