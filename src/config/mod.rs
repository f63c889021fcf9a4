//! Settings: all defaults, and a file turned into validated settings.
//!
//! `raw` is all that can be written, [`Config`] is what is legal, `check` leads from one to the other
//! and reports every mistake at its place.

mod api;
mod check;
mod console;
mod error;
mod layers;
mod naming;
mod raw;
mod value;
mod webhook;

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::Ipv4Net;
use ironwake_api::{MacAddr, SecureBoot};

use crate::document;
pub use crate::document::{Mistake, Mistakes};
use crate::machine::HostnamePolicy;
pub use api::{Api, CertificateFiles};
pub use console::Console;
pub use error::ConfigErrors;
pub use layers::{Layers, Planned, SETTINGS, SettingsError};
pub use naming::SiteValues;
pub use webhook::{
    REGISTRATION, Registration, SecretSource, Webhook, parse_header, templates, url_templates,
};

/// Largest file that is read: 65,536 reservations fit, and a wrong path (a disk) is refused at once.
pub const FILE_BYTES_MAX: u64 = 16 << 20;
/// The credential that the daemon takes its configuration from, if systemd passes it one of this name.
pub const CREDENTIAL: &str = "ironwake.toml";
/// Where the operator's file lies unless `--config` says otherwise.
pub const FILE: &str = "/etc/ironwake/ironwake.toml";
/// Where the API's socket lies unless the file says otherwise.
pub const SOCKET: &str = "/run/ironwake/api.sock";
/// A commented file with every key, as it is installed.
pub const REFERENCE: &str = include_str!("../../systemd/etc/ironwake/ironwake.toml");

/// Everything that an operator can set, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Database, artifacts, keys.
    pub state: PathBuf,
    /// Socket of the operators' API.
    pub socket: PathBuf,
    /// Where people log in.
    pub console: Console,
    /// The operator's own profiles, a folder each.
    pub profiles: PathBuf,
    /// What machines fetch from.
    pub http: Http,
    /// The operators' API over HTTPS.
    pub api: Api,
    /// One for each interface; none before the appliance is set up.
    pub networks: Vec<Network>,
    /// Discovery of unknown machines.
    pub discovery: Discovery,
    /// Who becomes known.
    pub enrolment: Enrolment,
    /// What hosts are called.
    pub hostnames: HostnamePolicy,
    /// What profiles are filled with.
    pub values: SiteValues,
    /// Where events are sent.
    pub webhooks: Vec<Webhook>,
    /// Where hosts that are ready are registered.
    pub registration: Option<Registration>,
    /// How much is kept of what is imported.
    pub artifacts: Artifacts,
    /// Where new versions of the appliance are looked for.
    pub update: UpdateChannel,
}

/// `[update]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateChannel {
    /// A folder that has bundles, and the manifest of the newest with its signature; off where absent.
    pub url: Option<String>,
}

/// `[artifacts]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifacts {
    /// Bytes of all imports together.
    pub bytes_max: u64,
    /// How long an import is kept that nothing uses.
    pub keep: Duration,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// Where machines fetch boot scripts and files; port 8080 on every address by default.
    pub listen: SocketAddr,
}

/// How DHCP is served on a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DhcpMode {
    /// Boot information for PXE and HTTP Boot clients beside another DHCP server; no addresses.
    #[default]
    Proxy,
    /// Addresses too.
    Server,
    /// Nothing.
    Off,
}

/// `[[network]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Interface name.
    pub interface: String,
    /// Mode.
    pub dhcp: DhcpMode,
    /// Address ranges to lease from, server mode only; together at most a /16.
    pub ranges: Vec<RangeInclusive<Ipv4Addr>>,
    /// Option 1's network; the interface's own prefix by default.
    pub subnet: Option<Ipv4Net>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Option 15.
    pub domain: Option<String>,
    /// Option 51.
    pub lease_time: Duration,
    /// Fixed addresses.
    pub reservations: Vec<Reservation>,
    /// siaddr and the address in URLs; the interface's own address by default.
    pub next_server: Option<Ipv4Addr>,
    /// Serve beside another DHCP server.
    pub allow_rogue: bool,
    /// Serve TFTP here.
    pub tftp: bool,
    /// Secure Boot policy of this network's machines.
    pub secure_boot: SecureBoot,
    /// Networks behind relays, each with its own ranges and router.
    pub relayed: Vec<RelayedSubnet>,
}

/// `[[network.relayed]]`: a subnet whose requests arrive through a relay.
#[derive(Debug, Clone, PartialEq)]
pub struct RelayedSubnet {
    /// The subnet that giaddr lies in.
    pub subnet: Ipv4Net,
    /// Ranges to lease from.
    pub ranges: Vec<RangeInclusive<Ipv4Addr>>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
}

/// `[[network.reservation]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Whose.
    pub mac: MacAddr,
    /// Which address.
    pub address: Ipv4Addr,
    /// Option 12, if set.
    pub hostname: Option<String>,
}

/// `[discovery]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Unknown machines run the discovery image.
    pub enabled: bool,
    /// An agent without an order reboots its machine after this long.
    pub idle_reboot: Duration,
    /// An unknown machine's inventory is good for this long.
    pub rediscover_after: Duration,
    /// Further kernel parameters for the discovery image, such as `console=ttyS1,115200`.
    pub kernel_parameters: String,
}

/// `[enrolment]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// What happens to a machine whose inventory came in.
    pub policy: EnrolmentPolicy,
    /// With policy `rules`: the first that fits enrols.
    pub rules: Vec<crate::machine::EnrolmentRule>,
}

/// `enrolment.policy`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EnrolmentPolicy {
    /// It waits until an operator enrols it.
    #[default]
    Manual,
    /// It is enrolled.
    Auto,
    /// It is enrolled if a rule fits.
    Rules,
}

impl Default for Config {
    /// Every default; there is none for the interface, so it serves no network.
    fn default() -> Self {
        Self {
            state: PathBuf::from("/var/lib/ironwake"),
            socket: PathBuf::from(SOCKET),
            console: Console::beside(Path::new(SOCKET)),
            profiles: PathBuf::from("/etc/ironwake/profiles"),
            http: Http { listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)) },
            api: Api::default(),
            networks: Vec::new(),
            discovery: Discovery {
                enabled: true,
                idle_reboot: Duration::from_secs(10 * 60),
                rediscover_after: Duration::from_secs(24 * 60 * 60),
                kernel_parameters: String::new(),
            },
            enrolment: Enrolment { policy: EnrolmentPolicy::Manual, rules: Vec::new() },
            hostnames: HostnamePolicy::Given,
            values: SiteValues::default(),
            webhooks: Vec::new(),
            registration: None,
            // Some fifty images of a distribution; one that nothing used for half a year is out of date.
            artifacts: Artifacts { bytes_max: 200 << 30, keep: Duration::from_secs(180 * 86_400) },
            update: UpdateChannel::default(),
        }
    }
}

impl Network {
    /// The defaults of a network on `interface`.
    pub fn on(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            dhcp: DhcpMode::Proxy,
            ranges: Vec::new(),
            subnet: None,
            routers: Vec::new(),
            dns: Vec::new(),
            domain: None,
            lease_time: Duration::from_secs(12 * 60 * 60),
            reservations: Vec::new(),
            next_server: None,
            allow_rogue: false,
            tftp: true,
            secure_boot: SecureBoot::Auto,
            relayed: Vec::new(),
        }
    }
}

impl Config {
    /// Reads and validates a file.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read_text(path)?;
        Self::parse(&text, &path.display().to_string()).map_err(ConfigErrors::Wrong)
    }

    /// Validates the text of a file called `name`. Every mistake is reported, in the order of the text.
    pub fn parse(text: &str, name: &str) -> Result<Self, Mistakes> {
        document::read(text, name, raw::read, check::check)
    }
}

/// A range of addresses, as `range` of a network is written; or what is wrong with it, and what would be right.
pub fn parse_range(text: &str) -> Result<RangeInclusive<Ipv4Addr>, String> {
    value::range(text).map_err(|(message, help)| format!("{message}: {help}"))
}

/// The text of a file.
fn read_text(path: &Path) -> Result<String, ConfigErrors> {
    let read = |source| ConfigErrors::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(read)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigErrors::TooLarge { path: path.into(), bytes: bytes.len() as u64 });
    }
    String::from_utf8(bytes).map_err(|error| {
        let name = path.display().to_string();
        ConfigErrors::Wrong(Mistakes::not_utf8(error.as_bytes(), error.utf8_error(), &name))
    })
}
