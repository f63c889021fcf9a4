//! Health and version.

use serde::{Deserialize, Serialize};

use crate::{MacAddr, Millis};

/// `GET /api/v1/health` and `GET /boot/v1/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// The worst of all checks.
    pub state: HealthState,
    /// Each check.
    pub checks: Vec<HealthCheck>,
    /// Each served network.
    pub networks: Vec<NetworkHealth>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Works.
    Ok,
    /// Works in part.
    Degraded,
    /// Does not work.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthCheck {
    /// What was checked: `store`, `discovery`, `loaders`, ...
    pub name: String,
    /// How it is.
    pub state: HealthState,
    /// In a sentence.
    pub message: String,
    /// What to do, where something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How one network is served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkHealth {
    /// Interface.
    pub interface: String,
    /// `proxy`, `server` or `off`.
    pub dhcp: String,
    /// How it is.
    pub state: HealthState,
    /// Whether DHCP requests are answered: not while it listens for another server, nor silenced by one.
    pub answering: bool,
    /// In a sentence.
    pub message: String,
    /// Why DHCP requests are not answered; absent while they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// The DHCP server of these that was heard last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_server: Option<String>,
    /// Other DHCP servers that were heard here and do not count as gone, the one heard last first. In proxy mode one is
    /// expected, and none ever counts as gone: see when it was heard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_servers: Vec<OtherServer>,
    /// Addresses in the ranges.
    pub addresses: u64,
    /// Addresses in use.
    pub addresses_bound: u64,
    /// Addresses that a client could be given: neither in use nor offered, nor set aside since somebody else uses them.
    #[serde(default)]
    pub addresses_free: u64,
    /// The interface itself, as it was looked at last; absent before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<NetworkLink>,
    /// What was asked and answered; absent where DHCP is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<DhcpTraffic>,
}

/// Why a network's DHCP requests are not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// The configuration says so.
    Off,
    /// The interface cannot serve: it is missing, down, or without an address.
    Interface,
    /// It is listened for another DHCP server first.
    Listening,
    /// Another DHCP server answers here.
    OtherServer,
}

impl Silence {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Interface => "interface not ready",
            Self::Listening => "listening",
            Self::OtherServer => "another DHCP server",
        }
    }
}

/// Another DHCP server on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OtherServer {
    /// Its address.
    pub address: String,
    /// The MAC address that its messages came from.
    pub mac: MacAddr,
    /// When it was heard last.
    pub heard_at: Millis,
}

/// A network's interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkLink {
    /// When it was looked at.
    pub at: Millis,
    /// Whether there is an interface of this name.
    pub present: bool,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether there is a link.
    pub up: bool,
    /// Its speed in Mbit/s; absent where there is no link or its driver does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mbps: Option<u32>,
    /// Its MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// Its addresses with their prefix lengths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// DHCP messages of one network, counted. The difference of two answers over the difference of their times is a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DhcpTraffic {
    /// Since when they are counted: the start of the daemon.
    pub since: Millis,
    /// When these counts were read.
    pub at: Millis,
    /// Requests of clients that were understood.
    pub requests: u64,
    /// Answers that were made, all kinds together.
    pub answers: u64,
    /// Of these, addresses or boot files offered (OFFER).
    pub offers: u64,
    /// Of these, addresses or boot files given (ACK).
    pub acks: u64,
    /// Of these, refusals (NAK).
    pub naks: u64,
    /// Requests that were dropped unanswered because leases are saved too slowly.
    pub dropped: u64,
}

/// `GET /api/v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    /// Version of the daemon.
    pub version: String,
    /// Version of the store's schema.
    pub schema: u32,
}
