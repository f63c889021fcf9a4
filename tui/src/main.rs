//! `ironwake-console`: the console on this terminal, or an SSH server that shows it to others.
//!
//! Exit codes: 0 it was left or told to end; 1 it could not run, and says why; 2 the arguments are wrong.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ironwake_api::client::PlaceError;
use ironwake_tui::edge::place::{PlaceArgs, SOCKET, SSH_SOCKET};
use ironwake_tui::edge::ssh::{self, SshArgs};
use ironwake_tui::edge::tty;
use tracing_subscriber::EnvFilter;

/// The SSH server's threads: a console that draws ten thousand machines does not hold up the others.
const SSH_THREADS: usize = 2;
/// What the SSH server logs unless RUST_LOG says otherwise.
const LOG: &str = "info";

/// Everything that the appliance knows and does, in a terminal
#[derive(Debug, Parser)]
#[command(name = "ironwake-console", version)]
struct Args {
    /// On this terminal, which is what it does unless told otherwise
    #[arg(long)]
    tty: bool,
    /// As an SSH server, for those whose public keys are listed and who have the password
    #[arg(long, conflicts_with_all = ["tty", "record", "replay"])]
    ssh: bool,
    #[command(flatten)]
    server: SshArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Write everything that reaches the console to a file, as JSON lines
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Play such a file, without a daemon
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // As the `ironwake` command says it, whatever RUST_BACKTRACE is.
            eprint!("{}", said(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, and what to do next.
fn said(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let next = match error.downcast_ref::<PlaceError>() {
        Some(PlaceError::NoToken(_)) => "`ironwake token add NAME` on the appliance makes one",
        Some(PlaceError::Token { .. } | PlaceError::TokenTooLarge(_)) => {
            "--token-file names a file with the token in one line"
        }
        Some(PlaceError::Authority { .. }) => {
            "`ironwake ca show` on the appliance prints the authority for --ca"
        }
        Some(PlaceError::Remote(_)) => "--url is https://HOST:PORT of the API, --ca its authority",
        None => "`ironwake-console --help` tells what it takes",
    };
    format!("error: {}\n  next: {next}\n", causes.join(": "))
}

fn run(args: Args) -> anyhow::Result<()> {
    let runtime = match args.ssh {
        true => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(SSH_THREADS).enable_all().build()?
        }
        false => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
    };
    let ended = runtime.block_on(async {
        match args.replay {
            Some(file) => tty::replay(file).await,
            None if args.ssh => {
                log();
                ssh::run(args.place.client(SSH_SOCKET)?, args.server).await
            }
            None => tty::run(args.place.client(SOCKET)?, args.record).await,
        }
    });
    // What is still asked for is not waited for.
    runtime.shutdown_background();
    ended
}

/// Lines on standard error, as the journal takes them: it has a clock of its own.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false);
    match std::io::stderr().is_terminal() {
        true => lines.init(),
        false => lines.without_time().init(),
    }
}
