//! The first set-up of an appliance: what there is to choose from, and everything chosen in one document.

use serde::{Deserialize, Serialize};

use crate::{FieldProblem, MacAddr, Millis, NetworkChange, OwnAddress, SystemPatch};

/// `GET /api/v1/setup`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetupState {
    /// Whether the appliance is as it was made: no network is configured, and nothing is served.
    pub needed: bool,
    /// Interfaces that could be served: those with a MAC address.
    pub interfaces: Vec<SetupInterface>,
}

/// Whether to look for other DHCP servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
pub struct SetupQuery {
    /// Ask on every interface with a cable, which takes four seconds. What was found is good for half a minute.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
}

/// An interface that could be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetupInterface {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: MacAddr,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether there is somebody at the other end of the cable.
    pub link: bool,
    /// Addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// What answered when it was asked for DHCP servers; absent where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<SetupDhcp>,
    /// The mode to begin with: `proxy`, which disturbs nobody.
    pub suggested: DhcpChoice,
    /// Addresses that could be given in server mode, `FIRST-LAST`; absent where it has no address of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_range: Option<String>,
}

/// What a network answered to somebody who looks for a DHCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetupDhcp {
    /// When it was asked.
    pub asked_at: Millis,
    /// Servers that offered an address.
    pub servers: Vec<String>,
    /// Why nobody could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How DHCP is to be served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DhcpChoice {
    /// Boot information beside another DHCP server; no addresses.
    #[default]
    Proxy,
    /// Addresses too.
    Server,
    /// No DHCP at all.
    Off,
}

impl DhcpChoice {
    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Server => "server",
            Self::Off => "off",
        }
    }
}

/// `POST /api/v1/setup`: everything at once. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The interface to serve.
    pub interface: String,
    /// Its own address. Server mode needs one that is not given by another server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<OwnAddress>,
    /// How DHCP is to be served there.
    #[serde(default)]
    pub dhcp: DhcpChoice,
    /// Server mode: addresses to give, each `FIRST-LAST` or a network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub range: Vec<String>,
    /// Server mode: the router that machines are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    /// Server mode: the name servers that machines are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Name, time and keyboard of the appliance.
    #[serde(default)]
    pub system: SystemPatch,
}

/// `POST /api/v1/setup/dry-run`: what a set-up would do if it was asked for at this moment, and everything that is wrong with
/// it. Nothing is saved and nothing happens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetupDryRun {
    /// Every mistake with its field; `network` where only the settings know it. A set-up with none would be done.
    pub mistakes: Vec<FieldProblem>,
    /// What would be done, in order, as [`SetupStep::what`] tells it; none where there are mistakes.
    pub steps: Vec<String>,
    /// What is to be looked at, for the daemon cannot know it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether the address is changed, which has to be confirmed then.
    pub confirms: bool,
    /// Addresses that could be given in server mode beside the address that the interface gets or keeps, `FIRST-LAST`; absent
    /// where it has none, or no room for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_range: Option<String>,
    /// Whether the daemon would start again by itself.
    pub restarts: bool,
}

/// What became of a set-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetupAnswer {
    /// What was done, in order.
    pub steps: Vec<SetupStep>,
    /// An address that has to be confirmed before the rest goes on; absent where none was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_change: Option<NetworkChange>,
    /// The daemon starts again by itself, and serves then: at once, or once the address is confirmed.
    pub restarts: bool,
    /// What a person should look at, for the daemon cannot know it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One thing of a set-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetupStep {
    /// What, in words.
    pub what: String,
    /// Why it came to nothing; absent where it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
