//! `ironwake probe`: what this network answers to a netboot client.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::Context as _;
use ironwake_api::MacAddr;
use serde::Serialize;
use uuid::Uuid;

use super::arch::ArchParser;
use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure, human};
use crate::boot::{ArchRow, Transport};
use crate::serve::{dhcp, tftp};

/// How long `probe dhcp` gathers answers: dnsmasq pings an address for three seconds before it offers it.
const DHCP_TIMEOUT_MILLIS: u64 = 5_000;

/// Commands below `probe`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Send one DHCP DISCOVER as netboot firmware does, and show every answer; needs CAP_NET_RAW
    Dhcp(DhcpArgs),
    /// Fetch one file by TFTP, and show what was agreed and how fast it came
    Tftp(TftpArgs),
}

/// Arguments of `probe dhcp`.
#[derive(Debug, clap::Args)]
pub struct DhcpArgs {
    /// Interface to ask on
    #[arg(long, short, value_name = "NAME")]
    interface: String,
    /// Firmware and architecture to ask as, by name or by its number in option 93
    #[arg(long, default_value = "uefi-x64", value_parser = ArchParser)]
    arch: &'static ArchRow,
    /// MAC address to ask as
    #[arg(long, default_value = "02:00:00:00:00:01")]
    mac: MacAddr,
    /// SMBIOS UUID to ask as
    #[arg(long)]
    uuid: Option<Uuid>,
    /// Ask as iPXE, the second stage
    #[arg(long)]
    ipxe: bool,
    /// How long to gather answers
    #[arg(long, value_name = "MS", default_value_t = DHCP_TIMEOUT_MILLIS)]
    timeout_ms: u64,
}

/// Arguments of `probe tftp`.
#[derive(Debug, clap::Args)]
pub struct TftpArgs {
    /// Server, with a port if it is not 69
    server: String,
    /// File to fetch
    file: String,
    /// Block size to ask for
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(8..=65464))]
    blksize: Option<u16>,
    /// Window size to ask for
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u16).range(1..))]
    windowsize: Option<u16>,
    /// How long to wait for a packet before asking again
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    timeout_ms: u64,
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Dhcp(args) => probe_dhcp(args, context).await,
        Command::Tftp(args) => probe_tftp(args, context).await,
    }
}

async fn probe_dhcp(args: DhcpArgs, context: &mut Context) -> Result<(), Failure> {
    let options = dhcp::ProbeOptions {
        interface: args.interface,
        arch: args.arch,
        mac: args.mac,
        uuid: args.uuid,
        http: args.arch.transport == Transport::Http,
        user_class_ipxe: args.ipxe,
        timeout: Duration::from_millis(args.timeout_ms),
    };
    let answers = dhcp::probe(options).await.map_err(anyhow::Error::from)?;
    if context.json {
        return Ok(context.output.json(&answers)?);
    }
    let mut table = Table::new(&["AFTER", "ANSWER", "SERVER", "ADDRESS", "NEXT SERVER", "BOOT FILE", "MAC"]);
    for answer in &answers {
        let address =
            |address: Option<Ipv4Addr>| address.map(|address| address.to_string()).unwrap_or_default();
        let cells = [
            human::duration(answer.after_ms),
            answer.kind.clone(),
            answer.server.to_string(),
            address(answer.address),
            address(answer.next_server),
            answer.file.clone().unwrap_or_default(),
            answer.mac.to_string(),
        ];
        table.row(cells.map(|cell| (cell, Style::Plain)));
    }
    let nothing =
        "no answer: nobody on this network serves netboot clients of this kind, or a switch drops them";
    table.write(&mut context.output, nothing)?;
    for answer in &answers {
        let heading = format!("options of {}", answer.server);
        let heading = context.output.styled(&heading, Style::Strong);
        context.output.line(heading)?;
        for option in &answer.options {
            let value = option.text.as_deref().unwrap_or(&option.hex);
            context.output.line(format!("  {:>3}  {}", option.code, clean(value)))?;
        }
    }
    Ok(())
}

/// A TFTP probe's report in the shape that scripts read.
#[derive(Serialize)]
struct TftpJson {
    bytes: u64,
    duration_ms: u64,
    bytes_per_second: f64,
    sha256: String,
    retries: u32,
    blksize: Option<u16>,
    windowsize: Option<u16>,
    tsize: Option<u64>,
}

async fn probe_tftp(args: TftpArgs, context: &mut Context) -> Result<(), Failure> {
    let options = tftp::probe::ProbeOptions {
        server: server(&args.server)?,
        file: args.file,
        blksize: args.blksize,
        windowsize: args.windowsize,
        timeout: Duration::from_millis(args.timeout_ms),
    };
    let report = tftp::probe::probe(options).await.map_err(anyhow::Error::from)?;
    let report = TftpJson {
        bytes: report.bytes,
        duration_ms: u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        bytes_per_second: report.rate,
        sha256: report.sha256,
        retries: report.retries,
        blksize: report.acked.blksize,
        windowsize: report.acked.windowsize,
        tsize: report.acked.tsize,
    };
    if context.json {
        return Ok(context.output.json(&report)?);
    }
    let (size, took) = (human::size(report.bytes), human::duration(report.duration_ms));
    let rate = human::size(report.bytes_per_second as u64);
    let output = &mut context.output;
    output.line(format!("{size} in {took}, {rate} in a second, {} packets sent again", report.retries))?;
    let agreed = [
        report.blksize.map(|value| format!("blksize {value}")),
        report.windowsize.map(|value| format!("windowsize {value}")),
        report.tsize.map(|value| format!("tsize {value}")),
    ];
    let agreed: Vec<String> = agreed.into_iter().flatten().collect();
    output
        .line(format!("agreed: {}", if agreed.is_empty() { "nothing".into() } else { agreed.join(", ") }))?;
    Ok(output.line(format!("SHA-256 {}", report.sha256))?)
}

fn server(text: &str) -> anyhow::Result<SocketAddrV4> {
    let with_port = text.parse().ok();
    let alone = || text.parse().ok().map(|address: Ipv4Addr| SocketAddrV4::new(address, crate::tftp::PORT));
    with_port
        .or_else(alone)
        .with_context(|| format!("{text:?} is not an IPv4 address, with or without a port"))
}
