//! The service manager: readiness, watchdog, passed sockets and credentials, and the journal; and over D-Bus, systemd's
//! services that change the appliance's own system.
//!
//! Without systemd everything here does nothing or says so, and the daemon runs the same in a shell.

mod bus;
mod keymaps;
pub mod method;
mod network_files;
mod requests;
mod units;

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::io::IsTerminal;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use ironwake_api::SSH_PORT_VARIABLE;
use nix::sys::socket::{getsockopt, sockopt};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

pub use bus::{Bus, BusError, CALL_TIME_MAX};
pub use keymaps::{KeyboardKind, keyboards};
pub use network_files::{NetworkFiles, interface_of, is_own};
pub use requests::{Time, Unit};
pub use units::{
    DAEMON, DISKS, FACTORY_RESET, INSTALL, OWN_UNITS, OwnUnit, RESTARTABLE, STARTABLE, UNATTENDED,
    UPDATE_INSTALL,
};

/// What is logged where `IRONWAKE_LOG` says nothing.
const LOG_FILTER: &str = "info";

/// What the service manager told this process in its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `CREDENTIALS_DIRECTORY`
    pub credentials: Option<PathBuf>,
    /// `JOURNAL_STREAM`
    pub journal_stream: Option<String>,
    /// `WATCHDOG_USEC`, if it is meant for this process.
    pub watchdog: Option<Duration>,
    /// `LISTEN_FDS`: whether sockets were passed.
    pub sockets_passed: bool,
    /// `IRONWAKE_LOG`: a filter such as `info,ironwake::dhcp=debug`.
    pub log: Option<String>,
    /// `IRONWAKE_SSH_PORT`: where the console over SSH listens, if that is another port than usual.
    pub ssh_port: Option<u16>,
}

impl Environment {
    /// Reads the process's environment.
    pub fn read() -> Self {
        Self {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            journal_stream: std::env::var("JOURNAL_STREAM").ok(),
            watchdog: sd_notify::watchdog_enabled(),
            sockets_passed: std::env::var_os("LISTEN_FDS").is_some_and(|count| count != "0"),
            log: std::env::var("IRONWAKE_LOG").ok(),
            ssh_port: std::env::var(SSH_PORT_VARIABLE).ok().and_then(|port| port.parse().ok()),
        }
    }

    /// How often [`watchdog`] speaks: half of what systemd waits, as sd_watchdog_enabled(3) advises.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2).filter(|interval| !interval.is_zero())
    }

    /// Where a credential of this name lies, if the unit passes one (`LoadCredential=` and the like).
    pub fn credential(&self, name: &str) -> Option<PathBuf> {
        let path = self.credentials.as_ref()?.join(name);
        // One that is there but cannot be looked at is left to whoever reads it, to say why.
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            _ => Some(path),
        }
    }

    /// Whether standard error is the journal: its device and inode are those that systemd names.
    pub fn stderr_is_journal(&self) -> bool {
        let Some(stream) = &self.journal_stream else { return false };
        std::fs::metadata("/proc/self/fd/2").is_ok_and(|found| is_stream(stream, found.dev(), found.ino()))
    }
}

fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

/// Has the program of this process begin anew, with the same arguments: for systemd it is the same process still.
pub fn execute_again() -> std::io::Result<Infallible> {
    let arguments: Result<Vec<CString>, _> =
        std::env::args_os().map(|argument| CString::new(argument.into_vec())).collect();
    // The program that runs, even where an update has put another one in its place.
    Ok(nix::unistd::execv(c"/proc/self/exe", &arguments?)?)
}

/// The daemon serves; `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// The daemon ends, in good order.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Tells systemd that the runtime still runs its tasks, as often as it asks, until the shutdown begins.
pub async fn watchdog(shutdown: CancellationToken) {
    let Some(interval) = Environment::read().watchdog_interval() else { return };
    let mut ticks = tokio::time::interval(interval);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => notify(&[NotifyState::Watchdog]),
        }
    }
}

/// A newline would begin another assignment of the notification.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "notify the service manager");
    }
}

/// Descriptors that a `.socket` unit passed, by their `FileDescriptorName=`. Each is handed out once.
static PASSED: LazyLock<Mutex<HashMap<String, OwnedFd>>> = LazyLock::new(|| Mutex::new(passed()));

fn passed() -> HashMap<String, OwnedFd> {
    let named = match sd_notify::listen_fds_with_names() {
        Ok(named) => named,
        Err(error) => {
            tracing::warn!(%error, "sockets that the service manager passed cannot be used");
            return HashMap::new();
        }
    };
    named
        .map(|(number, name)| {
            // SAFETY: systemd opened these numbers before it started this process (LISTEN_PID names it), the
            // kernel has just confirmed that they are open, nothing else here takes over inherited
            // descriptors, and `PASSED` runs this once.
            (name, unsafe { OwnedFd::from_raw_fd(number) })
        })
        .collect()
}

/// Takes the passed socket of a name, if it listens and has an address of the right family.
fn take_listener<L>(name: &str, address: impl FnOnce(OwnedFd) -> std::io::Result<L>) -> Option<L> {
    // A panic elsewhere leaves the map as it was: it is only ever taken from.
    let socket = PASSED.lock().unwrap_or_else(PoisonError::into_inner).remove(name)?;
    let listens = getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false);
    let taken = if listens { address(socket) } else { Err(std::io::Error::other("it does not listen")) };
    taken.inspect_err(|error| tracing::warn!(%error, name, "a passed socket is left aside")).ok()
}

/// The TCP socket that systemd listens on for us under this name, if it does. Needs a tokio runtime.
pub fn tcp_listener(name: &str) -> Option<tokio::net::TcpListener> {
    take_listener(name, |socket| {
        let listener = std::net::TcpListener::from(socket);
        listener.local_addr()?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    })
}

/// The Unix socket that systemd listens on for us under this name, if it does. Needs a tokio runtime.
pub fn unix_listener(name: &str) -> Option<tokio::net::UnixListener> {
    take_listener(name, |socket| {
        let listener = std::os::unix::net::UnixListener::from(socket);
        listener.local_addr()?;
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    })
}

/// Sends what is logged to the journal, field by field, where there is one, else to standard error.
///
/// `IRONWAKE_LOG` filters. A second call in one process has no effect.
pub fn init_tracing(environment: &Environment) {
    let wanted = environment.log.as_deref().unwrap_or(LOG_FILTER);
    let (filter, wrong) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(LOG_FILTER), Some(error)),
    };
    let journal = environment.stderr_is_journal().then(tracing_journald::layer).and_then(Result::ok);
    let layer = match journal {
        Some(journal) => journal.with_field_prefix(None).boxed(),
        None => {
            let terminal = std::io::stderr().is_terminal();
            let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(terminal).boxed()
        }
    };
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    if let Some(error) = wrong {
        tracing::warn!(%error, "IRONWAKE_LOG is not a filter; logging {LOG_FILTER}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_asked() {
        let check = |limit: Option<u64>, expected: Option<u64>| {
            let environment =
                Environment { watchdog: limit.map(Duration::from_micros), ..Environment::default() };
            assert_eq!(environment.watchdog_interval(), expected.map(Duration::from_micros));
        };
        check(Some(30_000_000), Some(15_000_000));
        check(Some(0), None);
        check(None, None);
    }

    #[test]
    fn the_journal_is_told_by_device_and_inode() {
        assert!(is_stream("8:1234", 8, 1234));
        assert!(!is_stream("8:1234", 8, 1235));
        assert!(!is_stream("8", 8, 8) && !is_stream("", 0, 0) && !is_stream("a:b", 0, 0));
        assert!(!Environment::default().stderr_is_journal());
    }

    #[test]
    fn a_credential_is_where_systemd_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let token = folder.path().join("token");
        std::fs::write(&token, "secret").expect("written");
        let environment = Environment { credentials: Some(folder.path().into()), ..Environment::default() };
        assert_eq!(environment.credential("token"), Some(token));
        assert_eq!(environment.credential("other"), None);
        assert_eq!(Environment::default().credential("token"), None);
    }

    #[test]
    fn a_status_cannot_begin_another_assignment() {
        assert_eq!(one_line("a\nREADY=1"), "a READY=1");
    }
}
