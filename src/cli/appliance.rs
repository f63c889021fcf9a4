//! `ironwake appliance`: the image that this appliance runs from, and the disk that it is on.

use super::{Context, Failure, install, install_root, update_root};

/// Commands below `appliance`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show its version, the disk that it was booted from, and its slots
    Show,
    /// Show whether a machine that boots would be answered on every network that is served
    SelfTest,
    /// Make a signed update of the parts of a version
    Bundle(update_root::BundleArgs),
    /// Do what the daemon ordered: ironwake-update-install.service
    #[command(hide = true)]
    InstallUpdate,
    /// Wait until the version that runs is healthy: ironwake-healthy.service
    #[command(hide = true)]
    Healthy {
        /// Seconds that it has for that; the unit waits longer
        #[arg(long, value_name = "SECONDS", default_value_t = update_root::HEALTHY_WITHIN_SECS)]
        within: u64,
    },
    /// Have the version that runs stay: ironwake-bless.service
    #[command(hide = true)]
    Bless,
    /// Show the disks of this appliance, what is on them, and which of them it can be installed on
    Disks,
    /// Install this appliance on one of its disks, with its configuration; everything on that disk is destroyed
    Install(install::InstallArgs),
    /// Destroy configuration, machines, keys and images of this appliance, and restart it as it was made
    FactoryReset(install::ResetArgs),
    /// Read the disks for the daemon: ironwake-disks.service
    #[command(hide = true)]
    ReadDisks,
    /// Do what the daemon ordered: ironwake-install.service
    #[command(hide = true)]
    InstallDisk,
    /// Do what a file on the stick says: ironwake-unattended.service
    #[command(hide = true)]
    InstallUnattended,
    /// Have the next boot begin anew: ironwake-factory-reset.service
    #[command(hide = true)]
    MarkFactoryReset,
}

impl Command {
    /// Whether it is for a unit that is root, and asks no daemon.
    pub fn is_of_a_unit(&self) -> bool {
        matches!(
            self,
            Self::InstallUpdate
                | Self::Healthy { .. }
                | Self::Bless
                | Self::ReadDisks
                | Self::InstallDisk
                | Self::InstallUnattended
                | Self::MarkFactoryReset
        )
    }
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Show => show(context).await,
        Command::SelfTest => self_test(context).await,
        Command::Bundle(args) => update_root::bundle(&args, context),
        Command::InstallUpdate => update_root::install_update(),
        Command::Healthy { within } => update_root::healthy(within, context).await,
        Command::Bless => update_root::bless(),
        Command::Disks => install::disks(context).await,
        Command::Install(args) => install::install(args, context).await,
        Command::FactoryReset(args) => install::factory_reset(args, context).await,
        Command::ReadDisks => install_root::read_disks(),
        Command::InstallDisk => install_root::install_disk(),
        Command::InstallUnattended => install_root::install_unattended(),
        Command::MarkFactoryReset => install_root::mark_factory_reset(),
    }
}

async fn show(context: &mut Context) -> Result<(), Failure> {
    let appliance = context.client.appliance().await?;
    if context.json {
        return Ok(context.output.json(&appliance)?);
    }
    let output = &mut context.output;
    let trial = if appliance.trial { ", on trial" } else { "" };
    let kind = match appliance.kind {
        ironwake_api::ApplianceKind::Appliance => "appliance",
        ironwake_api::ApplianceKind::Host => "host",
    };
    output.line(format!("{kind:12}{}{trial}", super::output::clean(&appliance.version)))?;
    if let Some(boot) = &appliance.booted_from {
        let disk = boot.disk.as_deref().unwrap_or("an ISO");
        let bus = boot.bus.as_deref().map(|bus| format!(" ({bus})")).unwrap_or_default();
        output.line(format!("{:12}{disk}{bus}", "booted from"))?;
    }
    for slot in &appliance.slots {
        let version = slot.version.as_deref().unwrap_or("empty");
        let runs = if slot.running { ", runs" } else { "" };
        output.line(format!("{:12}{}: {version}{runs}", "slot", slot.device))?;
    }
    Ok(())
}

async fn self_test(context: &mut Context) -> Result<(), Failure> {
    let tested = context.client.self_test().await?;
    if context.json {
        context.output.json(&tested)?;
    } else {
        for network in &tested.networks {
            let word = if network.passed { "passed" } else { "failed" };
            context.output.line(format!(
                "{word:8}{}: {}",
                network.interface,
                super::output::clean(&network.message)
            ))?;
        }
        context.output.line(super::output::clean(&tested.message))?;
    }
    if tested.passed { Ok(()) } else { Err(Failure::Findings) }
}
