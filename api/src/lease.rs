//! DHCP leases.

use serde::{Deserialize, Serialize};

use crate::{MacAddr, Millis};

/// One DHCP lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lease {
    /// The address.
    pub address: String,
    /// Interface of the network it belongs to.
    pub network: String,
    /// The client's hardware address.
    pub mac: MacAddr,
    /// Option 61 in hexadecimal, where the client sends one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Option 12 as the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// How it stands.
    pub state: LeaseState,
    /// When it began or was last renewed.
    pub renewed_at: Millis,
    /// When it ends.
    pub expires_at: Millis,
}

/// How a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Bound to its client.
    Bound,
    /// Given back by its client.
    Released,
    /// Found in use by somebody else; set aside.
    Declined,
}

/// An address that was given to a client or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaseNews {
    /// The address.
    pub address: String,
    /// The client's hardware address.
    pub mac: MacAddr,
    /// The name that the client gave itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Why it ended; absent where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<LeaseEnd>,
}

/// Why an address is a client's no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseEnd {
    /// The client gave it back.
    Released,
    /// It was not renewed in time.
    Expired,
    /// Somebody else uses it; it is set aside.
    Declined,
}

impl LeaseEnd {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Declined => "declined",
        }
    }
}
