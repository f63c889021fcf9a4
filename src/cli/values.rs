//! `ironwake machine set`: what profiles are filled with for one machine.

use std::collections::BTreeMap;

use ironwake_api::{MachineValues, MachineValuesPatch};
use serde_json::Value as Json;

use super::assignment::{Assignment, FromFile, read};
use super::output::{Style, clean};
use super::{Context, Failure};

/// Arguments of `machine set`.
#[derive(Debug, clap::Args)]
#[group(id = "assignment", required = true, multiple = true, args = ["values", "files", "unset"])]
pub struct Args {
    /// Id, its beginning, name, MAC, UUID or serial
    key: String,
    /// Value of a variable; may be repeated. Every user of this host can read it while the command runs
    #[arg(long = "value", value_name = "NAME=VALUE")]
    values: Vec<Assignment>,
    /// Value of a variable from a file, for secrets; may be repeated
    #[arg(long = "value-file", value_name = "NAME=FILE")]
    files: Vec<FromFile>,
    /// Remove the value of a variable; may be repeated
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
}

impl Args {
    /// Whether any of the values is in a file.
    pub fn reads_files(&self) -> bool {
        !self.files.is_empty()
    }
}

pub async fn set(args: Args, context: &mut Context) -> Result<(), Failure> {
    let mut values = read(args.values, args.files)?;
    values.extend(args.unset.into_iter().map(|name| (name, Json::Null)));
    let shown = context.client.edit_machine_values(&args.key, &MachineValuesPatch { values }).await?;
    if context.json {
        return Ok(context.output.json(&shown)?);
    }
    Ok(write(&shown, context)?)
}

/// Writes the host's name and the machine's own values, where there are any.
pub fn write(shown: &MachineValues, context: &mut Context) -> std::io::Result<()> {
    if let Some(hostname) = &shown.hostname {
        context.output.line(format!("hostname    {}", clean(hostname)))?;
    }
    if shown.values.is_empty() {
        return Ok(());
    }
    let title = context.output.styled("values", Style::Strong);
    context.output.line(title)?;
    lines(&shown.values).iter().try_for_each(|line| context.output.line(line))
}

fn lines(values: &BTreeMap<String, Json>) -> Vec<String> {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.iter().map(|(name, value)| format!("  {name} = {}", clean(&text(value)))).collect()
}
