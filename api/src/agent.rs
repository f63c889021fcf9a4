//! What the agent and the daemon say to each other under `/boot/v1`.

use serde::{Deserialize, Serialize};

use crate::{Inventory, MacAddr};

/// `POST /boot/v1/enroll`: who the machine is and what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrollRequest {
    /// Version of the agent.
    pub agent: String,
    /// The MAC address that this boot came through.
    pub boot_mac: MacAddr,
    /// The inventory.
    pub inventory: Inventory,
}

/// Answer to an enrol request: 201 for a machine first seen now, 200 for one seen before. Carries no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrollAnswer {
    /// The machine's id.
    pub machine: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is enrolled.
    pub enrolled: bool,
    /// With no order in this many seconds, reboot.
    pub idle_reboot_secs: u64,
}

/// `POST /boot/v1/machines/{id}/report`: a line about what the agent does, for the boot attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentReport {
    /// The MAC address that this boot came through.
    pub boot_mac: MacAddr,
    /// What happened, in a sentence without a full stop.
    pub message: String,
    /// The agent gives up or something failed.
    #[serde(default)]
    pub failed: bool,
}

/// `GET /boot/v1/machines/{id}/orders?wait_secs=30`: 200 with one order, or 204 when none came in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Order {
    /// What to do.
    pub order: OrderKind,
    /// Why, for the screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the daemon can ask of a waiting agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Reboot now.
    Reboot,
    /// Power off now.
    PowerOff,
    /// Read the inventory again and report it.
    Inventory,
}
