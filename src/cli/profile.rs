//! `ironwake profile`: what machines can be made into.

use std::path::PathBuf;

use ironwake_api::{ProfileFit, ProfileSummary, ProfileVariable, RenderRequest};

use super::assignment::Variables;
use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure};
use crate::catalog;

/// Commands below `profile`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List profiles, and folders that are refused
    List {
        /// Say which of them fit this machine, and why not: id, name, MAC, UUID or serial
        #[arg(long)]
        machine: Option<String>,
    },
    /// Show a profile with its variables
    Show {
        /// Its name
        name: String,
    },
    /// Check a profile's folder: every mistake with its place and what would be right
    Check {
        /// The folder, which holds profile.toml
        folder: PathBuf,
    },
    /// Print what a profile gives for a machine, with *** for each secret
    Render {
        /// Its name
        name: String,
        /// Machine: id, name, MAC, UUID or serial
        #[arg(long)]
        machine: String,
        #[command(flatten)]
        variables: Variables,
        /// Which disk, by a rule; the only one unless given
        #[arg(long, value_name = "RULE")]
        disk: Option<String>,
    },
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::List { machine: Some(machine) } => fitting(&machine, context).await,
        Command::List { machine: None } => list(context).await,
        Command::Show { name } => {
            let profile = context.client.profile(&name).await?;
            if context.json { Ok(context.output.json(&profile)?) } else { Ok(show(&profile, context)?) }
        }
        Command::Check { folder } => check(&folder, context),
        Command::Render { name, machine, variables, disk } => {
            let request = RenderRequest { machine, variables: variables.read()?, disk };
            let files = context.client.render(&name, &request).await?;
            if context.json {
                return Ok(context.output.json(&files)?);
            }
            for file in &files {
                let title = context.output.styled(&format!("==> {}", clean(&file.place)), Style::Faint);
                context.output.line(title)?;
                for line in file.content.lines() {
                    context.output.line(clean(line))?;
                }
            }
            Ok(())
        }
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let all = context.client.profiles().await?;
    if context.json {
        return Ok(context.output.json(&all)?);
    }
    let mut table = Table::new(&["NAME", "VERSION", "KIND", "FROM", "WHAT"]);
    for profile in &all.profiles {
        let cells = [&profile.name, &profile.version, &profile.kind, &profile.origin, &profile.summary];
        table.row(cells.map(|cell| (cell.clone(), Style::Plain)));
    }
    table.write(&mut context.output, "no profiles")?;
    for refused in &all.refused {
        let title = context.output.styled(&format!("\nrefused: {}", clean(&refused.folder)), Style::Bad);
        context.output.line(title)?;
        for line in refused.mistakes.lines() {
            context.output.line(clean(line))?;
        }
    }
    Ok(())
}

/// The profiles, and of each what is in the way of making a machine into it.
async fn fitting(machine: &str, context: &mut Context) -> Result<(), Failure> {
    let all = context.client.fitting_profiles(machine).await?;
    if context.json {
        return Ok(context.output.json(&all)?);
    }
    let mut table =
        Table::new(&["NAME", "VERSION", "KIND", "FITS", "DISKS", "WHY NOT, OR WHAT IT STILL NEEDS"]);
    for fit in &all {
        let (fits, style) = if fit.fits { ("yes", Style::Good) } else { ("no", Style::Bad) };
        let plain = |text: &str| (text.to_owned(), Style::Plain);
        table.row([
            plain(&fit.name),
            plain(&fit.version),
            plain(&fit.kind),
            (fits.to_owned(), style),
            plain(&fit.disks.join(",")),
            plain(&lacks(fit)),
        ]);
    }
    Ok(table.write(&mut context.output, "no profiles")?)
}

/// Everything that stands between a machine and a profile, in one line.
fn lacks(fit: &ProfileFit) -> String {
    let named = fit.variables.iter().map(|problem| format!("{}: {}", problem.field, problem.message));
    let all: Vec<String> = fit.reasons.iter().chain(&fit.missing).cloned().chain(named).collect();
    all.join("; ")
}

fn show(profile: &ProfileSummary, context: &mut Context) -> std::io::Result<()> {
    let ProfileSummary { name, version, kind, summary, origin, .. } = profile;
    context.output.line(format!("{name} {version}, {kind}, {origin}: {}", clean(summary)))?;
    let mut table = Table::new(&["VARIABLE", "TYPE", "", "DEFAULT", "WHAT"]);
    for variable in &profile.variables {
        let marks = [(variable.required, "required"), (variable.secret, "secret")];
        let marks: Vec<&str> = marks.into_iter().filter_map(|(on, word)| on.then_some(word)).collect();
        let default = variable.default.as_ref().map(written).unwrap_or_default();
        let cells =
            [variable.name.clone(), limited(variable), marks.join(", "), default, variable.help.clone()];
        table.row(cells.map(|cell| (cell, Style::Plain)));
    }
    table.write(&mut context.output, "it has no variables")
}

/// A type with its limits: `integer 1..9`, `string like "$*$*"`, `choice of trixie, bookworm`
fn limited(variable: &ProfileVariable) -> String {
    let ProfileVariable { kind, choices, min, max, pattern, .. } = variable;
    let mut text = kind.clone();
    if !choices.is_empty() {
        text.push_str(&format!(" of {}", choices.join(", ")));
    }
    if min.is_some() || max.is_some() {
        let number = |limit: &Option<i64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        text.push_str(&format!(" {}..{}", number(min), number(max)));
    }
    if let Some(pattern) = pattern {
        text.push_str(&format!(" like {pattern:?}"));
    }
    text
}

/// A value as one would write it.
fn written(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn check(folder: &std::path::Path, context: &mut Context) -> Result<(), Failure> {
    match catalog::read(folder) {
        Ok(entry) => {
            let line =
                format!("{} is fine: {} {}", folder.display(), entry.profile.name, entry.profile.version);
            Ok(context.output.line(line)?)
        }
        Err(mistakes) => {
            context.output.line(mistakes)?;
            Err(Failure::Findings)
        }
    }
}
