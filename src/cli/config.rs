//! `ironwake config`: is a file legal, together with what the API changed of it, and what is wrong with them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Context, Failure, settings};
use crate::config::{Config, ConfigErrors, Layers, Mistakes, REFERENCE, SettingsError};

/// Commands below `config`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a file, and what the API changed in the state directory that it names, as the daemon reads them: every
    /// mistake with its place and what would be right
    Check {
        /// The file
        #[arg(default_value = crate::config::FILE)]
        file: PathBuf,
    },
    /// Show every setting of the daemon and where it comes from
    Show,
    /// Change settings of the daemon, which win over its file; all of them or none
    Set(settings::SetArgs),
    /// Take changes back
    Unset(settings::UnsetArgs),
    /// Print a commented file with every key and its default
    Example,
}

#[derive(Serialize)]
struct Checked<'a> {
    file: &'a str,
    ok: bool,
    mistakes: Vec<MistakeJson<'a>>,
}

#[derive(Serialize)]
struct MistakeJson<'a> {
    line: usize,
    column: usize,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

pub async fn run(command: &Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Check { file } => check(file, context),
        Command::Show => settings::show(context).await,
        Command::Set(args) => settings::set(args, context).await,
        Command::Unset(args) => settings::unset(args, context).await,
        Command::Example => Ok(context.output.raw(REFERENCE.as_bytes())?),
    }
}

fn check(file: &Path, context: &mut Context) -> Result<(), Failure> {
    match Layers::open(file.into(), false) {
        Ok((layers, config)) => good(file, &layers, &config, context),
        Err(SettingsError::Config(ConfigErrors::Wrong(mistakes))) => bad(&mistakes, context),
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

fn good(file: &Path, layers: &Layers, config: &Config, context: &mut Context) -> Result<(), Failure> {
    let file = file.display().to_string();
    if context.json {
        context.output.json(&Checked { file: &file, ok: true, mistakes: Vec::new() })?;
        return Ok(());
    }
    let networks: Vec<&str> = config.networks.iter().map(|network| network.interface.as_str()).collect();
    let networks = match networks.as_slice() {
        [] => "no network yet: add [[network]] with interface = \"NAME\", or set the appliance up".to_owned(),
        networks => networks.join(", "),
    };
    let over = layers.changed().map_or_else(String::new, |path| format!(", with {} over it", path.display()));
    Ok(context.output.line(format!("{file} is fine{over}: it serves {networks}"))?)
}

fn bad(mistakes: &Mistakes, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        let list = mistakes.list.iter().map(|mistake| MistakeJson {
            line: mistake.line,
            column: mistake.column,
            message: &mistake.message,
            help: mistake.help.as_deref(),
        });
        context.output.json(&Checked { file: &mistakes.file, ok: false, mistakes: list.collect() })?;
    } else {
        context.output.line(mistakes.to_string())?;
        let count = mistakes.list.len() + mistakes.more;
        let plural = if count == 1 { "mistake" } else { "mistakes" };
        context.output.line(format!(
            "\n{count} {plural}; the file is not used until {} right",
            if count == 1 { "it is" } else { "they are" }
        ))?;
    }
    Err(Failure::Findings)
}
