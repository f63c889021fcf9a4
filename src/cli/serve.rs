//! `ironwake serve`: the daemon.

use std::path::PathBuf;

use anyhow::Context as _;

use super::Failure;
use crate::config::{self, Config, ConfigErrors};
use crate::systemd;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file
    #[arg(long, default_value = config::FILE, value_name = "FILE")]
    config: PathBuf,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(ConfigErrors::Wrong(mistakes)) => {
            eprintln!("{mistakes}");
            return Err(Failure::Findings);
        }
        Err(error) => return Err(anyhow::Error::from(error).into()),
    };
    systemd::init_tracing(&systemd::Environment::read());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let served = runtime.block_on(crate::daemon::run(config));
    // What still runs has had its time: a build on a blocking thread would hold up the end.
    runtime.shutdown_background();
    Ok(served?)
}
