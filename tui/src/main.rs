//! `ironwake-console`: the console on this terminal.
//!
//! Exit codes: 0 it was left; 1 it could not run, and says why; 2 the arguments are wrong.

use std::path::PathBuf;

use clap::Parser;
use ironwake_tui::edge::place::PlaceArgs;
use ironwake_tui::edge::tty;

/// Everything that the appliance knows and does, in a terminal
#[derive(Debug, Parser)]
#[command(name = "ironwake-console", version)]
struct Args {
    /// On this terminal, which is what it does unless told otherwise
    #[arg(long)]
    tty: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// Write everything that reaches the console to a file, as JSON lines
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Play such a file, without a daemon
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    replay: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        match args.replay {
            Some(file) => tty::replay(file).await,
            None => tty::run(args.place.client()?, args.record).await,
        }
    });
    // What is still asked for is not waited for.
    runtime.shutdown_background();
    ended
}
