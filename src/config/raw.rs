//! All that can be written in the file: each value for itself, with its place. Whether they go together
//! is for `check`.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv4Net;
use ironwake_api::{MacAddr, SecureBoot};
use toml::de::DeTable;

use super::api::{self, RawApi};
use super::console::{self, RawConsole};
use super::naming::{self, RawHostnames, SiteValues};
use super::value;
use super::webhook::{self, RawRegistration, RawWebhook};
use super::{DhcpMode, EnrolmentPolicy};
use crate::document::{At, Field, Findings, Reader, Section};

/// Shorter leases would have clients renew without pause; longer ones are never given back.
const LEASE_TIME: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(365 * 86_400);
/// The agent needs some seconds to report; a week is a machine that nobody waits for.
const IDLE_REBOOT: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(7 * 86_400);
/// Zero is discovery at every boot.
const REDISCOVER_AFTER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(365 * 86_400);

/// An image that was imported for tomorrow is there tomorrow.
const KEEP: RangeInclusive<Duration> = Duration::from_secs(86_400)..=Duration::from_secs(3650 * 86_400);

type Addresses = Field<Vec<At<Ipv4Addr>>>;
type Ranges = Field<Vec<At<RangeInclusive<Ipv4Addr>>>>;

/// The whole file.
pub(super) struct Raw {
    pub state: Field<PathBuf>,
    pub socket: Field<PathBuf>,
    pub console_socket: Field<PathBuf>,
    pub ssh_socket: Field<PathBuf>,
    pub profiles: Field<PathBuf>,
    pub listen: Field<SocketAddr>,
    pub api: RawApi,
    pub console: RawConsole,
    /// `None` where `network` is something else than tables.
    pub networks: Option<Vec<RawNetwork>>,
    pub discovery: RawDiscovery,
    pub enrolment: RawEnrolment,
    pub hostnames: RawHostnames,
    pub values: SiteValues,
    pub webhooks: Vec<RawWebhook>,
    pub registration: Option<RawRegistration>,
    pub artifacts: RawArtifacts,
    pub update_url: Field<String>,
}

/// `[artifacts]`
pub(super) struct RawArtifacts {
    pub max_size: Field<u64>,
    pub keep: Field<Duration>,
}

/// `[[network]]`
pub(super) struct RawNetwork {
    pub span: Range<usize>,
    pub interface: Field<String>,
    pub dhcp: Field<DhcpMode>,
    pub range: Ranges,
    pub subnet: Field<Ipv4Net>,
    pub router: Addresses,
    pub dns: Addresses,
    pub domain: Field<String>,
    pub lease_time: Field<Duration>,
    pub next_server: Field<Ipv4Addr>,
    pub allow_rogue: Field<bool>,
    pub tftp: Field<bool>,
    pub secure_boot: Field<SecureBoot>,
    pub reservations: Vec<RawReservation>,
    pub relayed: Vec<RawRelayed>,
}

/// `[[network.reservation]]`
pub(super) struct RawReservation {
    pub span: Range<usize>,
    pub mac: Field<MacAddr>,
    pub address: Field<Ipv4Addr>,
    pub hostname: Field<String>,
}

/// `[[network.relayed]]`
pub(super) struct RawRelayed {
    pub span: Range<usize>,
    pub subnet: Field<Ipv4Net>,
    pub range: Ranges,
    pub router: Addresses,
}

/// `[discovery]`
pub(super) struct RawDiscovery {
    pub enabled: Field<bool>,
    pub idle_reboot: Field<Duration>,
    pub rediscover_after: Field<Duration>,
    pub kernel_parameters: Field<String>,
}

/// `[enrolment]`
pub(super) struct RawEnrolment {
    pub policy: Field<EnrolmentPolicy>,
    pub rules: Vec<RawRule>,
}

/// `[[enrolment.rule]]`
pub(super) struct RawRule {
    pub span: Range<usize>,
    pub name: Field<String>,
    pub manufacturer: Field<String>,
    pub product: Field<String>,
    pub serial: Field<String>,
    pub subnet: Field<Ipv4Net>,
    pub tags: Field<Vec<At<String>>>,
    pub add_tags: Field<Vec<At<String>>>,
}

/// Reads the file's top.
pub(super) fn read(table: &DeTable<'_>, findings: &mut Findings) -> Raw {
    let mut top = Section::new("the file", table);
    let mut reader = Reader::new(top.section("http", "[http]", findings), findings);
    let listen = reader.text("listen", "10.0.0.1:8080", value::listen);
    reader.finish();
    let api = api::read(top.section("api", "[api]", findings), findings);
    let console = console::read(top.section("console", "[console]", findings), findings);
    let discovery = read_discovery(top.section("discovery", "[discovery]", findings), findings);
    let enrolment = read_enrolment(top.section("enrolment", "[enrolment]", findings), findings);
    let hostnames = naming::read_hostnames(top.section("hostnames", "[hostnames]", findings), findings);
    let values = naming::read_values(&mut top, findings);
    let mut reader = Reader::new(top.section("artifacts", "[artifacts]", findings), findings);
    let artifacts = RawArtifacts {
        max_size: reader.text("max_size", "200GiB", value::size),
        keep: reader.duration("keep", KEEP),
    };
    reader.finish();
    let mut reader = Reader::new(top.section("update", "[update]", findings), findings);
    let update_url = reader.text("url", "https://example.org/ironwake/", value::channel);
    reader.finish();
    let mut reader = Reader::new(top, findings);
    let raw = Raw {
        state: reader.text("state", "/var/lib/ironwake", value::path),
        socket: reader.text("socket", "/run/ironwake/api.sock", value::socket_path),
        console_socket: reader.text("console_socket", "/run/ironwake/console.sock", value::socket_path),
        ssh_socket: reader.text("ssh_socket", "/run/ironwake/ssh.sock", value::socket_path),
        profiles: reader.text("profiles", "/etc/ironwake/profiles", value::path),
        listen,
        api,
        console,
        networks: reader.tables("network", "[[network]]", read_network),
        webhooks: reader.tables("webhook", "[[webhook]]", webhook::read_webhook).unwrap_or_default(),
        registration: reader.table("registration", "[registration]", webhook::read_registration),
        discovery,
        enrolment,
        hostnames,
        values,
        artifacts,
        update_url,
    };
    reader.finish();
    raw
}

fn read_network(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawNetwork {
    let mut reader = Reader::new(section, findings);
    let network = RawNetwork {
        span,
        interface: reader.text("interface", "br0", value::interface),
        dhcp: reader.text("dhcp", "proxy", value::dhcp_mode),
        range: reader.texts("range", "10.0.0.100-10.0.0.200", value::range),
        subnet: reader.text("subnet", "10.0.0.0/16", value::network),
        router: reader.texts("router", "10.0.0.1", value::address),
        dns: reader.texts("dns", "10.0.0.1", value::address),
        domain: reader.text("domain", "example.org", value::hostname),
        lease_time: reader.duration("lease_time", LEASE_TIME),
        next_server: reader.text("next_server", "10.0.0.1", value::address),
        allow_rogue: reader.boolean("allow_rogue"),
        tftp: reader.boolean("tftp"),
        secure_boot: reader.text("secure_boot", "auto", value::secure_boot),
        reservations: reader
            .tables("reservation", "[[network.reservation]]", read_reservation)
            .unwrap_or_default(),
        relayed: reader.tables("relayed", "[[network.relayed]]", read_relayed).unwrap_or_default(),
    };
    reader.finish();
    network
}

fn read_reservation(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawReservation {
    let mut reader = Reader::new(section, findings);
    let reservation = RawReservation {
        span,
        mac: reader.text("mac", "52:54:00:12:34:56", value::mac),
        address: reader.text("address", "10.0.0.50", value::address),
        hostname: reader.text("hostname", "node-1", value::hostname),
    };
    reader.finish();
    reservation
}

fn read_relayed(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawRelayed {
    let mut reader = Reader::new(section, findings);
    let relayed = RawRelayed {
        span,
        subnet: reader.text("subnet", "10.1.0.0/24", value::network),
        range: reader.texts("range", "10.1.0.100-10.1.0.200", value::range),
        router: reader.texts("router", "10.1.0.1", value::address),
    };
    reader.finish();
    relayed
}

fn read_discovery(section: Option<Section<'_, '_>>, findings: &mut Findings) -> RawDiscovery {
    let mut reader = Reader::new(section, findings);
    let discovery = RawDiscovery {
        enabled: reader.boolean("enabled"),
        idle_reboot: reader.duration("idle_reboot", IDLE_REBOOT),
        rediscover_after: reader.duration("rediscover_after", REDISCOVER_AFTER),
        kernel_parameters: reader.text("kernel_parameters", "console=ttyS1,115200", value::kernel_parameters),
    };
    reader.finish();
    discovery
}

fn read_enrolment(section: Option<Section<'_, '_>>, findings: &mut Findings) -> RawEnrolment {
    let mut reader = Reader::new(section, findings);
    let enrolment = RawEnrolment {
        policy: reader.text("policy", "manual", value::enrolment_policy),
        rules: reader.tables("rule", "[[enrolment.rule]]", read_rule).unwrap_or_default(),
    };
    reader.finish();
    enrolment
}

fn read_rule(section: Section<'_, '_>, span: Range<usize>, findings: &mut Findings) -> RawRule {
    let mut reader = Reader::new(section, findings);
    let rule = RawRule {
        span,
        name: reader.text("name", "rack 1", value::line),
        manufacturer: reader.text("manufacturer", "Dell*", value::line),
        product: reader.text("product", "PowerEdge*", value::line),
        serial: reader.text("serial", "ABC*", value::line),
        subnet: reader.text("subnet", "10.0.0.0/16", value::network),
        tags: reader.texts("tags", "rack1", value::tag),
        add_tags: reader.texts("add_tags", "rack1", value::tag),
    };
    reader.finish();
    rule
}
