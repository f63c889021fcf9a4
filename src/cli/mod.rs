//! The command line: arguments in, text or JSON out.

mod appliance;
mod arch;
mod artifact;
mod assignment;
mod authority;
mod backup;
mod batch;
mod begin;
mod build;
mod builder;
mod called;
mod config;
mod connect;
mod console;
mod doctor;
mod dry_run;
mod events;
mod failure;
mod generate;
mod health;
mod host;
mod human;
mod import;
mod input;
mod install;
mod install_root;
mod inventory;
mod key;
mod lease;
mod machine;
mod machine_list;
mod meter;
mod operation;
mod output;
mod over_ssh;
mod password;
mod profile;
mod probe;
mod restore;
mod selection;
mod serve;
mod settings;
mod setup;
mod shell;
mod simulate;
mod step;
mod system;
mod table;
mod timeline;
mod token;
mod typed;
mod update;
mod update_root;
mod values;
mod watch;
mod webhook;
mod whoami;
mod words;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ironwake_api::client::Client;

pub use events::sentence;
pub use failure::Failure;
use output::Output;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the command failed
  2  wrong usage
  3  not found
  4  refused: not valid, or in conflict with what is there
  5  the daemon is not reachable
  6  findings: doctor, health, a check or a dry run found something wrong
130  Ctrl-C ended the watching of something that goes on";

/// A boot appliance: machines that boot from the network are recognised, inventoried and shown.
#[derive(Debug, Parser)]
#[command(name = "ironwake", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    connect: connect::Args,
    /// Write JSON, for scripts
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(serve::Args),
    /// Show and change machines
    #[command(subcommand)]
    Machine(machine::Command),
    /// Have machines report their hardware anew; nothing is written
    Inspect(begin::BeginArgs),
    /// Make machines into what a profile says
    Rebuild(begin::RebuildArgs),
    /// Run a system in RAM on machines: a shell, or what a profile of kind live says; nothing is written by itself
    Rescue(shell::RescueArgs),
    /// Open a shell on a machine in rescue, or run one command there
    Shell(shell::ShellArgs),
    /// Overwrite disks of machines, so that nothing boots from them
    Wipe(begin::WipeArgs),
    /// Show, arm and end what is done with machines
    #[command(subcommand)]
    Operation(operation::Command),
    /// Show and check what machines can be made into
    #[command(subcommand)]
    Profile(profile::Command),
    /// Show all of it live in this terminal, and change it: the console
    Console,
    /// Show what happened
    Events(events::Args),
    /// Show DHCP leases
    #[command(subcommand)]
    Lease(lease::Command),
    /// Show boot files and what is built of them; import, pin and delete disk images
    #[command(subcommand)]
    Artifact(artifact::Command),
    /// Show where events are sent, and try it
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Build images from packages, as an unprivileged user
    #[command(subcommand)]
    Builder(builder::Command),
    /// Make, list and end the tokens that the API takes over HTTPS
    #[command(subcommand)]
    Token(token::Command),
    /// Set what the administrator logs in with at the console and over SSH
    #[command(subcommand)]
    Password(password::Command),
    /// Show and change whose public keys may log in over SSH
    #[command(subcommand)]
    Key(key::Command),
    /// Show who this is to the daemon, and what that may do
    Whoami,
    /// Show the authority that clients check the API's certificate by
    #[command(subcommand)]
    Ca(authority::Command),
    /// Show and change the settings of the daemon; check a configuration file
    #[command(subcommand)]
    Config(config::Command),
    /// Set an appliance up for the first time
    #[command(subcommand)]
    Setup(setup::Command),
    /// Show and change the appliance itself: name, time, address, reboot
    #[command(subcommand)]
    System(system::Command),
    /// Show and install new versions of the appliance
    Update {
        #[command(subcommand)]
        command: Option<update::Command>,
    },
    /// The image that the appliance runs from: show and test it, install it on a disk, or make it as it was made
    #[command(subcommand)]
    Appliance(appliance::Command),
    /// Write everything that makes this appliance what it is into one encrypted file
    Backup(backup::BackupArgs),
    /// Go on from a backup, on this appliance
    Restore(restore::RestoreArgs),
    /// Print what a machine would get at each step, and why, without sending anything
    Simulate(simulate::Args),
    /// Ask as a netboot client does, and show what this network answers
    #[command(subcommand)]
    Probe(probe::Command),
    /// Find what is wrong with this host and its networks
    Doctor(doctor::Args),
    /// Show how the daemon is
    Health,
    /// Show the versions of this command and of the daemon
    Version,
    /// Print shell completions
    Completions(generate::CompletionArgs),
    /// Write man pages into a folder
    Man(generate::ManArgs),
    /// Do what somebody asks for over SSH
    #[command(name = "over-ssh", hide = true)]
    OverSsh,
}

impl Command {
    /// Whether it speaks to a daemon; the others need neither one nor its token.
    fn asks_the_daemon(&self) -> bool {
        match self {
            Self::Serve(_)
            | Self::Console
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Doctor(_)
            | Self::Probe(_)
            | Self::OverSsh
            | Self::Profile(profile::Command::Check { .. })
            | Self::Builder(builder::Command::Make(_))
            | Self::Config(config::Command::Check { .. } | config::Command::Example)
            | Self::Appliance(appliance::Command::Bundle(_)) => false,
            Self::Appliance(command) => !command.is_of_a_unit(),
            Self::Restore(args) => args.asks_the_daemon(),
            Self::Machine(_)
            | Self::Backup(_)
            | Self::Inspect(_)
            | Self::Rebuild(_)
            | Self::Rescue(_)
            | Self::Shell(_)
            | Self::Wipe(_)
            | Self::Operation(_)
            | Self::Profile(_)
            | Self::Events(_)
            | Self::Lease(_)
            | Self::Artifact(_)
            | Self::Webhook(_)
            | Self::Builder(_)
            | Self::Token(_)
            | Self::Password(_)
            | Self::Key(_)
            | Self::Whoami
            | Self::Ca(_)
            | Self::Config(_)
            | Self::Setup(_)
            | Self::System(_)
            | Self::Update { .. }
            | Self::Simulate(_)
            | Self::Health
            | Self::Version => true,
        }
    }
}

/// What every command is handed.
struct Context {
    /// Nobody's, where the command asks no daemon.
    client: Client,
    json: bool,
    output: Output,
}

/// Runs the command that the process was started with.
pub fn main() -> Result<(), Failure> {
    let cli = match Cli::parse() {
        Cli { command: Command::OverSsh, .. } => over_ssh::read()?,
        cli => cli,
    };
    let command = match cli.command {
        // It asks no daemon, and wants no token for one.
        Command::Serve(args) => return serve::run(args),
        // Which asks the daemon itself.
        Command::Console => return console::run(&cli.connect),
        command => command,
    };
    let client = match command.asks_the_daemon() {
        true => cli.connect.client()?,
        false => cli.connect.nobody(),
    };
    let mut context = Context { client, json: cli.json, output: Output::stdout() };
    let done = match command {
        Command::Completions(args) => generate::completions(&args, &mut context),
        Command::Man(args) => generate::man(&args),
        Command::Builder(builder::Command::Make(args)) => builder::make(&args, &mut context),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.context("start the runtime")?.block_on(run(command, &mut context))
        }
    };
    // What is buffered is shown even where the command fails behind it.
    let flushed = context.output.flush();
    done?;
    Ok(flushed?)
}

async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Machine(command) => machine::run(command, context).await,
        Command::Inspect(args) => begin::inspect(args, context).await,
        Command::Rebuild(args) => begin::rebuild(args, context).await,
        Command::Profile(command) => profile::run(command, context).await,
        Command::Rescue(args) => shell::rescue(args, context).await,
        Command::Shell(args) => shell::shell(args, context).await,
        Command::Wipe(args) => begin::wipe(args, context).await,
        Command::Operation(command) => operation::run(command, context).await,
        Command::Events(args) => events::run(&args, context).await,
        Command::Lease(lease::Command::List) => lease::list(context).await,
        Command::Artifact(command) => artifact::run(command, context).await,
        Command::Builder(builder::Command::Run(args)) => builder::run(&args, context).await,
        Command::Token(command) => token::run(command, context).await,
        Command::Password(command) => password::run(command, context).await,
        Command::Key(command) => key::run(command, context).await,
        Command::Whoami => whoami::run(context).await,
        Command::Config(command) => config::run(&command, context).await,
        Command::Setup(command) => setup::run(command, context).await,
        Command::System(command) => system::run(command, context).await,
        Command::Update { command } => update::run(command.unwrap_or_default(), context).await,
        Command::Appliance(command) => appliance::run(command, context).await,
        Command::Backup(args) => backup::run(args, context).await,
        Command::Restore(args) => restore::run(args, context).await,
        Command::Ca(authority::Command::Show) => authority::show(context).await,
        Command::Webhook(command) => webhook::run(command, context).await,
        Command::Simulate(args) => simulate::run(args, context).await,
        Command::Probe(command) => probe::run(command, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Health => health::health(context).await,
        Command::Version => health::version(context).await,
        Command::Serve(_)
        | Command::Console
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Builder(_)
        | Command::OverSsh => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
