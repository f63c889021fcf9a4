//! `ironwake config`: is a file legal, and what is wrong with it.

use std::path::PathBuf;

use serde::Serialize;

use super::{Context, Failure};
use crate::config::{Config, ConfigErrors, Mistakes, REFERENCE};

/// Commands below `config`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a file: every mistake with its place and what would be right
    Check {
        /// The file
        #[arg(default_value = crate::config::FILE)]
        file: PathBuf,
    },
    /// Show every setting of the daemon and where it comes from
    Show,
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

pub fn run(command: &Command, context: &mut Context) -> Result<(), Failure> {
    let file = match command {
        Command::Check { file } => file,
        // It asks the daemon, which is done elsewhere.
        Command::Show => return Ok(()),
        Command::Example => return Ok(context.output.raw(REFERENCE.as_bytes())?),
    };
    match Config::load(file) {
        Ok(config) => good(&file.display().to_string(), &config, context),
        Err(ConfigErrors::Wrong(mistakes)) => bad(&mistakes, context),
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

fn good(file: &str, config: &Config, context: &mut Context) -> Result<(), Failure> {
    if context.json {
        context.output.json(&Checked { file, ok: true, mistakes: Vec::new() })?;
        return Ok(());
    }
    let networks: Vec<&str> = config.networks.iter().map(|network| network.interface.as_str()).collect();
    Ok(context.output.line(format!("{file} is fine: it serves {}", networks.join(", ")))?)
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
