//! `ironwake simulate`: what a machine would get at each step, and why. Nothing is sent to any network.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::Context as _;
use ironwake_api::client::ClientError;
use ironwake_api::{ArtifactState, ClientStage, MacAddr, Machine, SecureBoot};
use serde::Serialize;
use uuid::Uuid;

use super::output::{Style, clean};
use super::{Context, Failure, human};
use crate::boot::{
    ARCHES, ArchRow, BootPlan, Handoff, LoaderPolicy, MachineView, Sighting, SitePolicy, Transport, decide,
    handoff,
};
use crate::config::{self, Config, DhcpMode, Network};

/// What the address of a server that listens on every address is written as, where it cannot be known.
const SERVER_UNKNOWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1); // RFC 5737: for documentation

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file
    #[arg(long, default_value = config::FILE, value_name = "FILE")]
    config: PathBuf,
    /// MAC address that boots
    #[arg(long)]
    mac: MacAddr,
    /// Firmware and architecture
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(ARCHES.iter().map(|row| row.name)))]
    arch: String,
    /// SMBIOS UUID
    #[arg(long)]
    uuid: Option<Uuid>,
    /// System serial number
    #[arg(long)]
    serial: Option<String>,
    /// Secure Boot is on
    #[arg(long)]
    secure_boot: bool,
    /// Interface by which it boots; the first one of the file unless given
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
}

/// One step of a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimulatedStep {
    /// What asks, and how.
    pub step: &'static str,
    /// What it gets.
    pub gets: String,
    /// Why that.
    pub why: String,
}

#[derive(Serialize)]
struct Simulation {
    /// What was assumed where it could not be asked.
    assumed: Vec<String>,
    steps: Vec<SimulatedStep>,
}

/// Everything the steps follow from.
struct Case<'a> {
    network: &'a Network,
    row: &'static ArchRow,
    sighting: Sighting,
    http: SocketAddrV4,
    loader: LoaderPolicy,
    plan: BootPlan,
}

pub async fn run(args: &Args, context: &mut Context) -> Result<(), Failure> {
    let config = Config::load(&args.config)
        .with_context(|| format!("`ironwake config check {}` shows it in full", args.config.display()))?;
    let network = network(&config, args.interface.as_deref())?;
    let row = ArchRow::by_name(&args.arch).context("the architecture is in no table")?;
    let mut assumed = Vec::new();
    let machine = known(args, context, &mut assumed).await?;
    let site = SitePolicy {
        discovery: config.discovery.enabled,
        discovery_ready: discovery_ready(context, &mut assumed).await,
        rediscover_after: u64::try_from(config.discovery.rediscover_after.as_millis()).unwrap_or(u64::MAX),
    };
    let server = server_address(&config, network, &mut assumed);
    let steps = steps(&Case {
        network,
        row,
        sighting: sighting(args, row, network, server),
        http: SocketAddrV4::new(server, config.http.listen.port()),
        loader: LoaderPolicy { secure_boot: secure_boot(args, network, machine.as_ref()), fallback: false },
        plan: decide(machine.as_ref().map(view), site, human::now()),
    });
    show(&Simulation { assumed, steps }, context)
}

fn network<'a>(config: &'a Config, interface: Option<&str>) -> Result<&'a Network, Failure> {
    let found = match interface {
        Some(name) => config.networks.iter().find(|network| network.interface == name),
        None => config.networks.first(),
    };
    let name = interface.unwrap_or("any");
    Ok(found.with_context(|| format!("the configuration has no [[network]] with interface {name:?}"))?)
}

/// What the daemon knows of this machine, by the strongest key given.
async fn known(
    args: &Args,
    context: &Context,
    assumed: &mut Vec<String>,
) -> Result<Option<Machine>, Failure> {
    let keys = [args.uuid.map(|uuid| uuid.to_string()), args.serial.clone(), Some(args.mac.to_string())];
    for key in keys.into_iter().flatten() {
        match context.client.machine(&key).await {
            Ok(machine) => return Ok(Some(machine)),
            Err(ClientError::Refused(problem)) if problem.status == 404 => {}
            Err(ClientError::NotReachable { .. }) => {
                assumed.push("the machine is unknown: the daemon is not reachable to ask".into());
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

async fn discovery_ready(context: &Context, assumed: &mut Vec<String>) -> bool {
    let Ok(artifacts) = context.client.artifacts().await else {
        assumed.push("the discovery image is built".into());
        return true;
    };
    let mut parts = artifacts.iter().filter(|artifact| artifact.name.starts_with("discovery/")).peekable();
    parts.peek().is_some() && parts.all(|part| part.state == ArtifactState::Done)
}

/// The address that answers name: as configured, else the interface's own.
fn server_address(config: &Config, network: &Network, assumed: &mut Vec<String>) -> Ipv4Addr {
    if let Some(address) = network.next_server {
        return address;
    }
    match config.http.listen.ip() {
        IpAddr::V4(address) if !address.is_unspecified() => return address,
        _ => {}
    }
    super::doctor::interface_address(&network.interface).unwrap_or_else(|| {
        assumed.push(format!(
            "{SERVER_UNKNOWN} stands for the address of {}, which has none",
            network.interface
        ));
        SERVER_UNKNOWN
    })
}

fn secure_boot(args: &Args, network: &Network, machine: Option<&Machine>) -> bool {
    let policy = match machine.map(|machine| machine.secure_boot) {
        Some(SecureBoot::Auto) | None => network.secure_boot,
        Some(policy) => policy,
    };
    match policy {
        SecureBoot::On => true,
        SecureBoot::Off => false,
        SecureBoot::Auto => args.secure_boot,
    }
}

fn view(machine: &Machine) -> MachineView {
    MachineView {
        enrolment: machine.enrolment,
        inventory_at: machine.inventory_at,
        discover_next: machine.discover_next,
    }
}

fn sighting(args: &Args, row: &ArchRow, network: &Network, server: Ipv4Addr) -> Sighting {
    Sighting {
        mac: args.mac,
        uuid: args.uuid,
        arches: vec![row.number],
        stage: ClientStage::Firmware,
        http_boot: row.transport == Transport::Http,
        http_capable: true,
        server,
        network: network.interface.clone(),
    }
}

/// Step by step, until the machine runs what its plan says or cannot go on.
fn steps(case: &Case<'_>) -> Vec<SimulatedStep> {
    let mut steps = Vec::new();
    if case.network.dhcp == DhcpMode::Off {
        let why = format!("dhcp = \"off\" on {}", case.network.interface);
        steps.push(SimulatedStep { step: "firmware asks DHCP", gets: "no answer".into(), why });
        return steps;
    }
    let first = handoff(&case.sighting, &case.plan, case.loader, case.http);
    let (goes_on, mut step) = dhcp_step("firmware asks DHCP", first);
    if case.network.dhcp == DhcpMode::Proxy {
        step.gets.push_str(", and an address from the other DHCP server");
    }
    steps.push(step);
    if !goes_on {
        return steps;
    }
    let script = if case.loader.secure_boot && case.row.shim.is_some() {
        "GRUB asks for its script"
    } else {
        let ipxe = Sighting { stage: ClientStage::Ipxe, ..case.sighting.clone() };
        let (goes_on, step) = dhcp_step("iPXE asks DHCP", handoff(&ipxe, &case.plan, case.loader, case.http));
        steps.push(step);
        if !goes_on {
            return steps;
        }
        "iPXE asks for its script"
    };
    steps.push(SimulatedStep {
        step: script,
        gets: case.plan.name().into(),
        why: case.plan.why().to_string(),
    });
    steps
}

fn dhcp_step(step: &'static str, handoff: Handoff) -> (bool, SimulatedStep) {
    match handoff {
        Handoff::File { file, why } => (true, SimulatedStep { step, gets: format!("{file} by TFTP"), why }),
        Handoff::Url { url, why } => (true, SimulatedStep { step, gets: url, why }),
        Handoff::AddressOnly => (
            false,
            SimulatedStep { step, gets: "an address only".into(), why: "it does not boot from here".into() },
        ),
        Handoff::Refused(found) => {
            let why = format!("{}; {}", found.message, found.remedy);
            (false, SimulatedStep { step, gets: format!("no boot file ({})", found.code), why })
        }
    }
}

fn show(simulation: &Simulation, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        return Ok(context.output.json(simulation)?);
    }
    let output = &mut context.output;
    for assumed in &simulation.assumed {
        let line = output.styled(&format!("assumed: {}", clean(assumed)), Style::Warning);
        output.line(line)?;
    }
    for (number, step) in simulation.steps.iter().enumerate() {
        let gets = output.styled(&clean(&step.gets), Style::Strong);
        output.line(format!("{}. {}: {gets}", number + 1, step.step))?;
        output.line(format!("   because {}", clean(&step.why)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::Why;

    fn check(arch: &str, dhcp: DhcpMode, secure_boot: bool, expected: &[&str]) {
        let mut network = Network::on("br0");
        network.dhcp = dhcp;
        let row = ArchRow::by_name(arch).expect("an architecture");
        let args = Args {
            config: PathBuf::new(),
            mac: "52:54:00:12:34:56".parse().expect("a MAC address"),
            arch: arch.into(),
            uuid: None,
            serial: None,
            secure_boot,
            interface: None,
        };
        let server = Ipv4Addr::new(10, 0, 0, 1);
        let case = Case {
            network: &network,
            row,
            sighting: sighting(&args, row, &network, server),
            http: SocketAddrV4::new(server, 8080),
            loader: LoaderPolicy { secure_boot, fallback: false },
            plan: BootPlan::Discovery(Why::Unknown),
        };
        let steps: Vec<String> =
            steps(&case).iter().map(|step| format!("{}: {}", step.step, step.gets)).collect();
        assert_eq!(steps, expected, "{arch}");
    }

    #[test]
    fn each_step_leads_to_the_next() {
        let script = "iPXE asks DHCP: http://10.0.0.1:8080/ipxe/52-54-00-12-34-56";
        let last = "iPXE asks for its script: discovery";
        check("bios", DhcpMode::Server, false, &["firmware asks DHCP: undionly.kpxe by TFTP", script, last]);
        check(
            "uefi-x64",
            DhcpMode::Proxy,
            true,
            &[
                "firmware asks DHCP: shimx64.efi by TFTP, and an address from the other DHCP server",
                "GRUB asks for its script: discovery",
            ],
        );
        check(
            "uefi-ia32",
            DhcpMode::Server,
            false,
            &["firmware asks DHCP: no boot file (no_loader_for_arch)"],
        );
        check("bios", DhcpMode::Off, false, &["firmware asks DHCP: no answer"]);
    }
}
