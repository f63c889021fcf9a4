//! The real daemon in the lab's namespace, and its command line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::error::LabError;
use super::events::LOOK_EVERY;
use super::net::Namespace;
use super::process::{Process, run};

/// A daemon that is not ready after this long never will be.
const READY_MAX: Duration = Duration::from_secs(60);

/// How DHCP is served in the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dhcp {
    /// The daemon gives addresses.
    Server,
    /// dnsmasq gives addresses, the daemon boot information.
    Proxy,
}

impl Dhcp {
    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Proxy => "proxy",
        }
    }
}

impl std::str::FromStr for Dhcp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Server, Self::Proxy]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| format!("DHCP mode {text:?} is not known: server, proxy"))
    }
}

/// The command line `ironwake`, talking to the lab's daemon.
#[derive(Debug, Clone)]
pub struct Cli {
    binary: PathBuf,
    socket: PathBuf,
}

impl Cli {
    /// A command without arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--socket").arg(&self.socket).env("NO_COLOR", "1");
        command
    }

    /// Runs it and returns what it printed.
    pub fn run(&self, words: &[&str]) -> Result<String, LabError> {
        run(self.command().args(words))
    }

    /// Runs it with `--json` and returns the value.
    pub fn json(&self, words: &[&str]) -> Result<serde_json::Value, LabError> {
        let text = run(self.command().args(words).arg("--json"))?;
        serde_json::from_str(&text).map_err(|error| LabError::Unexpected {
            what: format!("ironwake {} --json: {error}", words.join(" ")),
            text,
        })
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
}

impl Daemon {
    /// Starts `ironwake serve` in `namespace` and waits until it says that it is ready.
    pub fn start(
        binary: &Path,
        config: &Path,
        namespace: &Namespace,
        folder: &Path,
    ) -> Result<Self, LabError> {
        let notify = folder.join("notify");
        let _ = fs::remove_file(&notify);
        let socket =
            UnixDatagram::bind(&notify).map_err(LabError::io(format!("bind {}", notify.display())))?;
        // A daemon that is nobody tells it too.
        fs::set_permissions(&notify, fs::Permissions::from_mode(0o777))
            .map_err(LabError::io("let everybody write to it"))?;
        socket.set_read_timeout(Some(LOOK_EVERY)).map_err(LabError::io("set a timeout"))?;
        let mut command = namespace.command(binary);
        command.arg("serve").arg("--config").arg(config);
        command.env("NOTIFY_SOCKET", &notify).env("NO_COLOR", "1").env_remove("JOURNAL_STREAM");
        let process = Process::start("ironwake serve", command, &folder.join("daemon.log"))?;
        let mut daemon = Self { process };
        daemon.wait_ready(&socket)?;
        Ok(daemon)
    }

    /// `READY=1` on the notification socket is what service managers wait for (sd_notify(3)).
    fn wait_ready(&mut self, socket: &UnixDatagram) -> Result<(), LabError> {
        let began = Instant::now();
        let mut message = [0; 4096];
        loop {
            if let Ok(length) = socket.recv(&mut message)
                && message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
            {
                return Ok(());
            }
            let ended = self.ended();
            if ended.is_some() || began.elapsed() > READY_MAX {
                return Err(LabError::Waited {
                    what: "the daemon to be ready".into(),
                    seconds: began.elapsed().as_secs(),
                    why: ended.map_or("it said nothing".into(), |status| format!("it ended: {status}")),
                    report: self.process.log_tail(LOG_LINES),
                });
            }
        }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Kills it as a power loss would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end; `None` if it has not after `limit`.
    pub fn stop(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.stop(limit)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail(LOG_LINES)
    }
}

/// Lines of a log in a report: enough for a start with all its interfaces.
const LOG_LINES: usize = 60;

/// What the daemon's file says in a lab.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Mode on `br0`.
    pub dhcp: Dhcp,
    /// `auto`, `on` or `off`.
    pub secure_boot: &'a str,
    /// Machines come through a relay too.
    pub relayed: bool,
    /// Further text for the file.
    pub extra: &'a str,
}

/// Writes the daemon's file into `folder` and returns its path and the command line for its socket.
pub fn configure(binary: &Path, folder: &Path, settings: &Settings<'_>) -> Result<(PathBuf, Cli), LabError> {
    let socket = folder.join("api.sock");
    let mut text = format!(
        "state = {:?}\nsocket = {:?}\nprofiles = {:?}\n\n[http]\nlisten = \"10.77.0.1:8080\"\n\n[[network]]\ninterface = \"br0\"\n\
         dhcp = {:?}\nsecure_boot = {:?}\n",
        folder.join("state"),
        socket,
        folder.join("profiles"),
        settings.dhcp.name(),
        settings.secure_boot
    );
    if settings.dhcp == Dhcp::Server {
        text.push_str("range = \"10.77.0.100-10.77.0.250\"\n");
    }
    if settings.relayed {
        text.push_str(
            "\n[[network.relayed]]\nsubnet = \"10.78.0.0/24\"\nrange = \"10.78.0.100-10.78.0.200\"\n",
        );
        text.push_str("router = \"10.78.0.1\"\n");
    }
    text.push('\n');
    text.push_str(settings.extra);
    let config = folder.join("ironwake.toml");
    fs::write(&config, text).map_err(LabError::io(format!("write {}", config.display())))?;
    Ok((config, Cli { binary: binary.to_owned(), socket }))
}
