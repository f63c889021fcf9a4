//! `ironwake token`: who may use the API over HTTPS.

use std::time::Duration;

use ironwake_api::{Scope, Token, TokenNew};

use super::output::{Style, clean};
use super::table::Table;
use super::{Context, Failure, human};
use crate::document::value;

/// Commands below `token`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token and print it: the only time that it is shown
    Add {
        /// Its name: the actor of what is done with it
        name: String,
        /// What it may do: read; change machines, operations and artifacts; change tokens, settings and
        /// the appliance itself
        #[arg(long, value_enum)]
        scope: ScopeWord,
        /// Ends after this: 90s, 10m, 12h or 30d; it does not end unless given
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires: Option<Duration>,
    },
    /// List tokens, ended ones included
    List,
    /// End a token at once
    Revoke {
        /// Its name
        name: String,
    },
}

/// `--scope`
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum ScopeWord {
    Viewer,
    Operator,
    Admin,
}

/// A whole number and a unit, as in the configuration.
fn duration(text: &str) -> Result<Duration, String> {
    let (message, help) = match value::duration(text, Duration::ZERO..=Duration::MAX) {
        Ok(read) => return Ok(read),
        Err(wrong) => wrong,
    };
    Err(format!("{message}: {help}"))
}

pub async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Add { name, scope, expires } => {
            let scope = match scope {
                ScopeWord::Viewer => Scope::Viewer,
                ScopeWord::Operator => Scope::Operator,
                ScopeWord::Admin => Scope::Admin,
            };
            let new = TokenNew { name, scope, expires_secs: expires.map(|expires| expires.as_secs()) };
            let made = context.client.make_token(&new).await?;
            if context.json {
                return Ok(context.output.json(&made)?);
            }
            // Alone on its output, for `ironwake token add … > FILE`.
            eprintln!("keep it: it is not shown again");
            Ok(context.output.line(&made.secret)?)
        }
        Command::List => list(context).await,
        Command::Revoke { name } => Ok(context.client.revoke_token(&name).await?),
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let tokens = context.client.tokens().await?;
    if context.json {
        return Ok(context.output.json(&tokens)?);
    }
    let now = human::now();
    let mut table = Table::new(&["NAME", "SCOPE", "ENDS", "MADE", "BY"]);
    for token in tokens {
        let (ends, style) = ends(&token, now);
        let by = human::person(&token.created_by);
        let plain = |text: String| (text, Style::Plain);
        table.row([
            plain(token.name),
            plain(token.scope.to_string()),
            (ends, style),
            plain(human::ago(token.created_at, now)),
            plain(clean(&by)),
        ]);
    }
    Ok(table.write(&mut context.output, "no tokens: `ironwake token add NAME --scope SCOPE` makes one")?)
}

fn ends(token: &Token, now: u64) -> (String, Style) {
    match token.expires_at {
        None => ("never".into(), Style::Plain),
        Some(at) if at <= now => ("ended".into(), Style::Faint),
        Some(at) => (format!("in {}", human::duration(at - now)), Style::Plain),
    }
}
