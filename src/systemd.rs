//! The service manager: readiness, watchdog, passed sockets and credentials, and the journal.
//!
//! Without systemd everything here does nothing, so the daemon runs the same in a shell.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Largest secret that is read from a credential: keys and tokens are far smaller, systemd's limit is 1 MiB.
const CREDENTIAL_BYTES_MAX: u64 = 1 << 20;
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
    /// `IRONWAKE_LOG`: a filter such as `info,ironwake::dhcp=debug`.
    pub log: Option<String>,
}

impl Environment {
    /// Reads the process's environment.
    pub fn read() -> Self {
        Self {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            journal_stream: std::env::var("JOURNAL_STREAM").ok(),
            watchdog: sd_notify::watchdog_enabled(),
            log: std::env::var("IRONWAKE_LOG").ok(),
        }
    }

    /// How often to call [`watchdog`]: half of what systemd waits, as sd_watchdog_enabled(3) advises.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2).filter(|interval| !interval.is_zero())
    }

    /// A secret that the unit passes with `LoadCredential=`; `None` where there is none of this name.
    pub fn credential(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        use std::io::Read;
        let Some(folder) = &self.credentials else { return Ok(None) };
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(std::io::Error::other(format!("{name:?} is not a credential's name")));
        }
        match std::fs::File::open(folder.join(name)) {
            Ok(file) => {
                let mut secret = Vec::new();
                file.take(CREDENTIAL_BYTES_MAX).read_to_end(&mut secret)?;
                Ok(Some(secret))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
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

/// The daemon serves; `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// What `systemctl status` shows.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(&one_line(status))]);
}

/// The daemon ends, in good order.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The daemon is alive. To be called by the loop that does the work, so that a hung loop is noticed.
pub fn watchdog() {
    notify(&[NotifyState::Watchdog]);
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

/// Sockets that a `.socket` unit passed, by their `FileDescriptorName=`: `http`, `api`.
#[derive(Debug, Default)]
pub struct PassedSockets {
    by_name: HashMap<String, OwnedFd>,
}

impl PassedSockets {
    /// Takes what was passed to this process; the second time there is nothing left.
    pub fn take() -> std::io::Result<Self> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let mut by_name = HashMap::new();
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Ok(Self { by_name });
        }
        for (number, name) in sd_notify::listen_fds_with_names()? {
            // SAFETY: systemd opened these numbers before it started this process (LISTEN_PID names it), the
            // kernel has just confirmed that they are open, nothing else in this program takes over inherited
            // descriptors, and `TAKEN` lets this run once.
            let socket = unsafe { OwnedFd::from_raw_fd(number) };
            by_name.insert(name, socket);
        }
        Ok(Self { by_name })
    }

    /// The socket of a name, which is handed over.
    pub fn remove(&mut self, name: &str) -> Option<OwnedFd> {
        self.by_name.remove(name)
    }

    /// Names of sockets that nobody asked for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
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
    fn credentials_are_read_by_plain_names_only() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "secret").expect("written");
        let environment = Environment { credentials: Some(folder.path().into()), ..Environment::default() };
        assert_eq!(environment.credential("token").expect("read"), Some(b"secret".to_vec()));
        assert_eq!(environment.credential("other").expect("read"), None);
        assert!(environment.credential("../token").is_err());
        assert_eq!(Environment::default().credential("token").expect("read"), None);
    }

    #[test]
    fn a_status_cannot_begin_another_assignment() {
        assert_eq!(one_line("a\nREADY=1"), "a READY=1");
    }
}
