//! `ironwake serve`: the daemon.

use std::path::PathBuf;

use anyhow::Context as _;

use super::Failure;
use crate::backup;
use crate::config::{self, ConfigErrors, DhcpMode, Layers, Network, SettingsError};
use crate::daemon::Ended;
use crate::systemd::{self, Environment, NetworkFiles};
use crate::{tftp, vitals};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file; without it, the credential `ironwake.toml` if systemd passes one, else
    /// /etc/ironwake/ironwake.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Answers no DHCP on any network, whatever the configuration says. It needs no capability then; TFTP is served
    /// where this process may have port 69
    #[arg(long, value_name = "off")]
    dhcp: Option<Without>,
}

/// The one thing that can be asked of DHCP here: modes are the configuration's.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Without {
    Off,
}

impl Args {
    /// The file, and whether it is a credential. A file that is named wins; a unit that passes a credential means it
    /// for this daemon alone.
    fn file(&self, environment: &Environment) -> (PathBuf, bool) {
        match (self.config.clone(), environment.credential(config::CREDENTIAL)) {
            (Some(file), _) => (file, false),
            (None, Some(credential)) => (credential, true),
            (None, None) => (config::FILE.into(), false),
        }
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    let environment = Environment::read();
    let (file, credential) = args.file(&environment);
    systemd::init_tracing(&environment);
    // Before anything of the state is opened, its settings included.
    let state = opened(Layers::state(&file))?;
    backup::take_up(&state, &NetworkFiles::installed()).context("go on from the backup that was restored")?;
    let (layers, mut config) = opened(Layers::open(file, credential))?;
    if args.dhcp.is_some() {
        leave_out_dhcp(&mut config.networks, vitals::may_listen_on(tftp::PORT));
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let served = runtime.block_on(crate::daemon::run(config, layers));
    // What still runs has had its time: a build on a blocking thread would hold up the end.
    runtime.shutdown_background();
    match served? {
        Ended::Asked => Ok(()),
        Ended::Again => Err(again(&environment)),
    }
}

/// What was opened; what is wrong with it is printed.
fn opened<T>(opened: Result<T, SettingsError>) -> Result<T, Failure> {
    match opened {
        Ok(opened) => Ok(opened),
        Err(SettingsError::Config(ConfigErrors::Wrong(mistakes))) => {
            eprintln!("{mistakes}");
            Err(Failure::Findings)
        }
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

/// Starts again. Where systemd passed sockets it has to, for a program that takes the place of this one has none of them;
/// anywhere else nobody might.
fn again(environment: &Environment) -> Failure {
    if environment.sockets_passed {
        return Failure::Again;
    }
    match systemd::execute_again() {
        Ok(never) => match never {},
        Err(error) => anyhow::Error::from(error).context("start again").into(),
    }
}

/// What is left of the networks without DHCP: boot scripts and files, and TFTP if the port is to be had.
fn leave_out_dhcp(networks: &mut [Network], tftp: bool) {
    for network in networks {
        network.dhcp = DhcpMode::Off;
        if network.tftp && !tftp {
            let interface = &network.interface;
            tracing::warn!(%interface, "no TFTP: port {} needs CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start", tftp::PORT);
            network.tftp = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn check(config: Option<&str>, environment: &Environment, expected: &Path) {
        let args = Args { config: config.map(PathBuf::from), dhcp: None };
        let (file, credential) = args.file(environment);
        assert_eq!(file, expected);
        assert_eq!(credential, config.is_none() && environment.credential("ironwake.toml").is_some());
    }

    #[test]
    fn the_file_that_is_named_wins_over_the_credential_and_that_over_the_installed_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let none = Environment::default();
        let passed = Environment { credentials: Some(folder.path().into()), ..none.clone() };
        let installed = Path::new(config::FILE);
        check(None, &none, installed);
        check(None, &passed, installed);
        let credential = folder.path().join("ironwake.toml");
        std::fs::write(&credential, "").expect("written");
        check(None, &passed, &credential);
        check(Some("/a/b.toml"), &passed, Path::new("/a/b.toml"));
    }

    #[test]
    fn the_help_names_the_file_that_is_read() {
        use clap::Args as _;
        let command = Args::augment_args(clap::Command::new("serve"));
        let help =
            command.get_arguments().find_map(|argument| argument.get_help()).expect("help").to_string();
        assert!(help.contains(config::FILE) && help.contains(config::CREDENTIAL), "{help}");
    }
}
