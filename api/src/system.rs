//! The appliance's own system: what it is, and what of it can be changed.

use serde::{Deserialize, Serialize};

use crate::{MacAddr, Millis};

/// `GET /api/v1/system`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnSystem {
    /// Version of the daemon.
    pub version: String,
    /// Where operators on other hosts reach the API, such as `https://10.0.0.1:8443`; absent where it is not served to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The appliance's name.
    pub hostname: String,
    /// When the daemon was started.
    pub started_at: Millis,
    /// What its clock shows.
    pub now: Millis,
    /// Seconds since the appliance was switched on.
    pub uptime_secs: u64,
    /// Time zone, and how the clock is set.
    pub clock: SystemClock,
    /// Keyboard of the console; absent where it was never set or cannot be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyboard: Option<String>,
    /// Network interfaces, loopback apart.
    pub interfaces: Vec<SystemInterface>,
    /// Processors.
    pub cpu: SystemCpu,
    /// Memory.
    pub memory: SystemMemory,
    /// The filesystem of the state directory.
    pub disk: SystemDisk,
    /// The appliance's units.
    pub services: Vec<SystemService>,
    /// What can be changed here, and why not.
    pub changes: Vec<SystemChange>,
    /// An address that waits for its confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_change: Option<NetworkChange>,
}

impl OwnSystem {
    /// Why something cannot be changed here; none where it can be, or is not known.
    pub fn unavailable(&self, what: SystemAction) -> Option<&str> {
        self.changes.iter().find(|change| change.what == what)?.unavailable.as_deref()
    }
}

/// Time zone, and how the clock is set. What is absent cannot be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemClock {
    /// As in `Europe/Vienna`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Whether it is set from the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntp: Option<bool>,
    /// Whether it was set so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronized: Option<bool>,
    /// Servers that were named through the API; none where those of the system count.
    pub ntp_servers: Vec<String>,
}

/// A network interface of the appliance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemInterface {
    /// Its name.
    pub name: String,
    /// Its MAC address; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether there is somebody at the other end of the cable.
    pub link: bool,
    /// Addresses with their prefix lengths: `10.0.0.1/24`.
    pub addresses: Vec<String>,
}

/// Processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemCpu {
    /// How many the kernel runs on.
    pub count: u32,
    /// Busy since it was asked before, or since the start: 0 to 100 of all together. Over half a second at least.
    pub used_percent: u8,
}

/// Memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemMemory {
    /// All of it.
    pub total_bytes: u64,
    /// What programs can have without swapping.
    pub available_bytes: u64,
}

/// A filesystem.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemDisk {
    /// All of it.
    pub total_bytes: u64,
    /// What the daemon may still write.
    pub free_bytes: u64,
}

/// A unit of the appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemService {
    /// As `POST /api/v1/system/units/{name}/restart` takes it.
    pub name: String,
    /// What it is.
    pub what: String,
    /// How it is.
    pub state: ServiceState,
    /// Whether it may be started again through the API.
    pub restartable: bool,
}

/// How a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It runs, or waits for its time.
    Active,
    /// It does not run.
    Inactive,
    /// It ended with an error.
    Failed,
    /// It is being started, stopped or read again.
    Changing,
    /// It is not installed, or masked.
    Absent,
    /// systemd cannot be asked.
    Unknown,
}

/// Something that can be changed, if it can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemChange {
    /// What.
    pub what: SystemAction,
    /// Why it cannot; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// What can be done with the appliance's own system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SystemAction {
    /// Name it.
    Hostname,
    /// Set its time zone.
    Timezone,
    /// Set its clock from the network, or not.
    Ntp,
    /// Name the servers that its clock is set from.
    NtpServers,
    /// Set its keyboard.
    Keyboard,
    /// Set an interface's address.
    Network,
    /// Start a unit again.
    Restart,
    /// Restart it.
    Reboot,
    /// Switch it off.
    PowerOff,
}

impl SystemAction {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::Hostname,
        Self::Timezone,
        Self::Ntp,
        Self::NtpServers,
        Self::Keyboard,
        Self::Network,
        Self::Restart,
        Self::Reboot,
        Self::PowerOff,
    ];

    /// As it is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hostname => "hostname",
            Self::Timezone => "timezone",
            Self::Ntp => "ntp",
            Self::NtpServers => "ntp_servers",
            Self::Keyboard => "keyboard",
            Self::Network => "network",
            Self::Restart => "restart",
            Self::Reboot => "reboot",
            Self::PowerOff => "power_off",
        }
    }
}

impl std::fmt::Display for SystemAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// `PATCH /api/v1/system`: a field left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SystemPatch {
    /// The appliance's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// One of those that `GET /api/v1/system/choices` lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Whether the clock is set from the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntp: Option<bool>,
    /// Names or addresses of servers, all of them; with none, those of the system count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntp_servers: Option<Vec<String>>,
    /// One of those that `GET /api/v1/system/choices` lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyboard: Option<String>,
}

/// `GET /api/v1/system/choices`: what may be set. Empty where this host does not list any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SystemChoices {
    /// Time zones.
    pub timezones: Vec<String>,
    /// Keyboards of the console.
    pub keyboards: Vec<String>,
}

/// `PUT /api/v1/system/network/{interface}`: either `dhcp`, or an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OwnAddress {
    /// Another DHCP server gives it.
    #[serde(default)]
    pub dhcp: bool,
    /// Its address with the prefix length: `10.0.0.2/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its way to other networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
}

/// An address that goes back to what it was unless it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkChange {
    /// Which interface.
    pub interface: String,
    /// What it gets, in words.
    pub to: String,
    /// Until when `POST /api/v1/system/network/confirm` keeps it.
    pub confirm_by: Millis,
    /// What the confirmation has to show; only in the answer to the change itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// How long a changed address has to be confirmed in: long enough to open another connection and log in, short enough to
/// wait for before walking to the machine.
pub const CONFIRM_WITHIN: Millis = 60_000;

/// `POST /api/v1/system/network/confirm`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkConfirm {
    /// What the answer to the change showed.
    pub token: String,
}
