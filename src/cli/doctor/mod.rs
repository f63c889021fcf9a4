//! `ironwake doctor`: what is wrong with this host, and what to do about it. Needs no daemon.
//!
//! `facts` looks at the host, `check` judges what was seen.

mod check;
mod facts;
mod ports;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::Serialize;

use super::output::{Style, clean};
use super::{Context, Failure};
use crate::config;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file
    #[arg(long, default_value = config::FILE, value_name = "FILE")]
    config: PathBuf,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at.
    check: &'static str,
    verdict: Verdict,
    message: String,
    /// What to do, where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, message: message.into(), remedy: None }
    }

    fn warn(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, message: message.into(), remedy: Some(remedy.into()) }
    }

    fn fail(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, message: message.into(), remedy: Some(remedy.into()) }
    }
}

pub async fn run(args: &Args, context: &mut Context) -> Result<(), Failure> {
    let mut facts = facts::Facts::gather(&args.config);
    facts.ask().await;
    let findings = check::all(&facts);
    if context.json {
        context.output.json(&findings)?;
    } else {
        for finding in &findings {
            let (word, style) = match finding.verdict {
                Verdict::Ok => ("ok", Style::Good),
                Verdict::Warn => ("warn", Style::Warning),
                Verdict::Fail => ("FAIL", Style::Bad),
            };
            let word = context.output.styled(&format!("{word:4}"), style);
            context.output.line(format!("{word}  {:12} {}", finding.check, clean(&finding.message)))?;
            if let Some(remedy) = &finding.remedy {
                context.output.line(format!("{:19}next: {}", "", clean(remedy)))?;
            }
        }
    }
    match findings.iter().any(|finding| finding.verdict == Verdict::Fail) {
        true => Err(Failure::Findings),
        false => Ok(()),
    }
}

/// One interface as the host shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Interface {
    name: String,
    up: bool,
    loopback: bool,
    mtu: Option<u32>,
    addresses: Vec<Ipv4Addr>,
}
