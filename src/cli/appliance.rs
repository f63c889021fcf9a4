//! `ironwake appliance`: the image that this appliance runs from, and the disk that it is on.

use super::{Context, Failure, install, install_root};

/// Commands below `appliance`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
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
        matches!(self, Self::ReadDisks | Self::InstallDisk | Self::InstallUnattended | Self::MarkFactoryReset)
    }
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Disks => install::disks(context).await,
        Command::Install(args) => install::install(args, context).await,
        Command::FactoryReset(args) => install::factory_reset(args, context).await,
        Command::ReadDisks => install_root::read_disks(),
        Command::InstallDisk => install_root::install_disk(),
        Command::InstallUnattended => install_root::install_unattended(),
        Command::MarkFactoryReset => install_root::mark_factory_reset(),
    }
}
