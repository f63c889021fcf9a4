//! `ironwake simulate`: what a machine would get at each step, and why. The daemon answers; nothing is
//! sent to any network.

use ironwake_api::{MacAddr, SimulateQuery};

use super::arch::ArchParser;
use super::output::{Style, clean};
use super::{Context, Failure};
use crate::boot::ArchRow;

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// MAC address that boots
    #[arg(long)]
    mac: MacAddr,
    /// Firmware and architecture, by name or by its number in option 93
    #[arg(long, value_parser = ArchParser)]
    arch: &'static ArchRow,
    /// SMBIOS UUID
    #[arg(long)]
    uuid: Option<String>,
    /// System serial number
    #[arg(long)]
    serial: Option<String>,
    /// Interface of the network by which it boots; the first one of the configuration unless given
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
}

pub async fn run(args: Args, context: &mut Context) -> Result<(), Failure> {
    let query = SimulateQuery {
        mac: args.mac.to_string(),
        arch: args.arch.name.to_owned(),
        uuid: args.uuid,
        serial: args.serial,
        network: args.interface,
    };
    let steps = context.client.simulate(&query).await?;
    if context.json {
        return Ok(context.output.json(&steps)?);
    }
    let output = &mut context.output;
    for (number, step) in steps.iter().enumerate() {
        output.line(format!("{}. {}, because {}", number + 1, step.step, clean(&step.why)))?;
        for line in step.gets.lines() {
            let line = output.styled(&clean(line), Style::Strong);
            output.line(format!("   {line}"))?;
        }
    }
    Ok(())
}
