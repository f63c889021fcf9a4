//! `ironwake setup`: the first set-up of an appliance.

use std::path::PathBuf;

use anyhow::Context as _;
use ironwake_api::{Setup, SetupDhcp, SetupQuery};

use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure, human};

/// A set-up is one document; a page of text is plenty.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Everything that may stand in it. Only `interface` has to; `"dhcp": "proxy"`, which is the default, needs no range.
const EXAMPLE: &str = r#"{
  "interface": "eth0",
  "address": { "address": "10.0.0.2/24", "gateway": "10.0.0.1", "dns": ["10.0.0.1"] },
  "dhcp": "server",
  "range": ["10.0.0.100-10.0.0.200"],
  "router": "10.0.0.1",
  "dns": ["10.0.0.1"],
  "system": {
    "hostname": "boot",
    "timezone": "Europe/Vienna",
    "ntp": true,
    "ntp_servers": ["pool.ntp.org"],
    "keyboard": "de"
  }
}
"#;

/// Commands below `setup`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show whether the appliance is set up, and which interfaces it could serve
    Show {
        /// Look for other DHCP servers on every interface with a cable
        #[arg(long)]
        ask: bool,
    },
    /// Print a document for `apply`
    Example,
    /// Set the appliance up, once, by a JSON document as the API takes it (`POST /api/v1/setup`); `setup example` prints one
    Apply {
        /// The document; - is standard input
        file: PathBuf,
        /// Say what would be done, and what is wrong with it, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Show { ask } => show(ask, context).await,
        Command::Example => Ok(context.output.raw(EXAMPLE.as_bytes())?),
        Command::Apply { file, dry_run } => {
            let setup = read(&file)?;
            if dry_run { would(&setup, context).await } else { apply(&setup, context).await }
        }
    }
}

async fn show(ask: bool, context: &mut Context) -> Result<(), Failure> {
    let state = context.client.setup(&SetupQuery { ask }).await?;
    if context.json {
        return Ok(context.output.json(&state)?);
    }
    let output = &mut context.output;
    output.line(if state.needed { "it is not set up: nothing is served" } else { "it is set up" })?;
    let mut table = Table::new(&["INTERFACE", "LINK", "MAC", "ADDRESSES", "DHCP SERVERS", "RANGE"]);
    for interface in state.interfaces {
        let link = if interface.link { ("up", Style::Good) } else { ("no cable", Style::Warning) };
        table.row([
            (interface.name, Style::Plain),
            (link.0.to_owned(), link.1),
            (interface.mac.to_string(), Style::Plain),
            (interface.addresses.join(", "), Style::Plain),
            servers(interface.dhcp.as_ref()),
            (interface.suggested_range.unwrap_or_default(), Style::Plain),
        ]);
    }
    Ok(table.write(output, "no interface with a MAC address")?)
}

fn servers(found: Option<&SetupDhcp>) -> (String, Style) {
    match found {
        None => ("not asked".into(), Style::Faint),
        Some(SetupDhcp { problem: Some(why), .. }) => (clean(why), Style::Warning),
        Some(found) if found.servers.is_empty() => ("none".into(), Style::Good),
        Some(found) => (found.servers.join(", "), Style::Plain),
    }
}

fn read(file: &PathBuf) -> Result<Setup, Failure> {
    use std::io::Read as _;
    let what = || format!("read {}", file.display());
    let mut text = String::new();
    match file.as_os_str() == "-" {
        true => std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text).with_context(what)?,
        false => {
            let opened = std::fs::File::open(file).with_context(what)?;
            opened.take(FILE_BYTES_MAX).read_to_string(&mut text).with_context(what)?
        }
    };
    let advice = || format!("{}: `ironwake setup example` prints a document", what());
    Ok(serde_json::from_str(&text).with_context(advice)?)
}

async fn would(setup: &Setup, context: &mut Context) -> Result<(), Failure> {
    let run = context.client.dry_run_setup(setup).await?;
    if context.json {
        context.output.json(&run)?;
    } else {
        let output = &mut context.output;
        for mistake in &run.mistakes {
            let line = format!("wrong: {}: {}", clean(&mistake.field), clean(&mistake.message));
            let line = output.styled(&line, Style::Bad);
            output.line(line)?;
        }
        for step in &run.steps {
            output.line(clean(step))?;
        }
    }
    if run.mistakes.is_empty() { Ok(()) } else { Err(Failure::Findings) }
}

async fn apply(setup: &Setup, context: &mut Context) -> Result<(), Failure> {
    let answer = context.client.set_up(setup).await?;
    if context.json {
        return Ok(context.output.json(&answer)?);
    }
    let output = &mut context.output;
    for step in &answer.steps {
        output.line(clean(&step.what))?;
    }
    for warning in &answer.warnings {
        let line = output.styled(&format!("look at this: {}", clean(warning)), Style::Warning);
        output.line(line)?;
    }
    if let Some(change) = &answer.network_change {
        let token = change.token.as_deref().unwrap_or_default();
        let by = human::time(change.confirm_by);
        output.line(format!(
            "the address goes back at {by} UTC, unless: ironwake system confirm {}",
            clean(token)
        ))?;
    }
    output.line(match (answer.restarts, answer.network_change.is_some()) {
        (true, true) => "the daemon starts again once the address is confirmed, and serves then",
        (true, false) => "the daemon starts again, and serves then",
        (false, _) => "start the daemon again: it serves then",
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_what_is_read() {
        let setup: Setup = serde_json::from_str(EXAMPLE).expect("a set-up");
        let again = serde_json::to_value(&setup).expect("JSON");
        let mut example: serde_json::Value = serde_json::from_str(EXAMPLE).expect("JSON");
        // The default, which is not left out.
        example["address"]["dhcp"] = false.into();
        assert_eq!(again, example, "everything is in it, and nothing else");
    }
}
