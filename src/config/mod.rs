//! Settings: all defaults, and a file turned into validated settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv4Net;
use ironwake_api::{MacAddr, SecureBoot};

/// Everything that an operator can set, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Database, artifacts, keys.
    pub state: PathBuf,
    /// Socket of the operators' API.
    pub socket: PathBuf,
    /// What machines fetch from.
    pub http: Http,
    /// One for each interface; at least one.
    pub networks: Vec<Network>,
    /// Discovery of unknown machines.
    pub discovery: Discovery,
    /// Who becomes known.
    pub enrolment: Enrolment,
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
