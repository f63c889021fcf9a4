//! Where people log in: the sockets of the console and of SSH, who may with a key, and when a session locks.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::value;
use crate::document::value::{Wrong, duration};
use crate::document::{Field, Findings, Reader, Section};

/// A lock that comes while somebody reads would only be switched off; one that comes after a day never comes.
const LOCK_AFTER: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(86_400);

/// `console_socket`, `ssh_socket` and `[console]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Socket of the console on a screen.
    pub socket: PathBuf,
    /// Socket of the server of the console over SSH.
    pub ssh_socket: PathBuf,
    /// Public keys of those who may log in over SSH, in the format of OpenSSH; it need not be there.
    pub authorized_keys: PathBuf,
    /// A session in which nothing is done for so long ends; never, where absent.
    pub lock_after: Option<Duration>,
}

/// The sockets' names, in the folder of the operators' one unless they are set.
const SOCKETS: [&str; 2] = ["console.sock", "ssh.sock"];

impl Console {
    /// Every default, beside the operators' socket.
    pub fn beside(socket: &Path) -> Self {
        let [console, ssh] = SOCKETS.map(|name| socket.with_file_name(name));
        Self {
            socket: console,
            ssh_socket: ssh,
            authorized_keys: PathBuf::from("/etc/ironwake/authorized_keys"),
            lock_after: Some(Duration::from_secs(10 * 60)),
        }
    }
}

/// `[console]`
pub(super) struct RawConsole {
    pub authorized_keys: Field<PathBuf>,
    pub lock_after: Field<Option<Duration>>,
}

pub(super) fn read(section: Option<Section<'_, '_>>, findings: &mut Findings) -> RawConsole {
    let mut reader = Reader::new(section, findings);
    let console = RawConsole {
        authorized_keys: reader.text("authorized_keys", "/etc/ironwake/authorized_keys", value::path),
        lock_after: reader.text("lock_after", "10m", lock_after),
    };
    reader.finish();
    console
}

/// `socket` is the operators'; the other two are in the top of the file.
pub(super) fn check(
    raw: RawConsole,
    socket: &Path,
    [console, ssh]: [Field<PathBuf>; 2],
    findings: &mut Findings,
) -> Console {
    let defaults = Console::beside(socket);
    let spans = [&console, &ssh].map(|field| field.given().map(|at| at.span.clone()));
    let (console, ssh) = (console.value_or(defaults.socket), ssh.value_or(defaults.ssh_socket));
    // The blamed one is the later, which is given where both are not defaults.
    for (path, span, others) in
        [(&console, &spans[0], &[socket][..]), (&ssh, &spans[1], &[socket, console.as_path()][..])]
    {
        if let Some(span) = span.clone().or(spans[0].clone()).filter(|_| others.contains(&path.as_path())) {
            let message = format!("{} is the path of another socket", path.display());
            findings.add(span, message, "a path for each: socket, console_socket, ssh_socket".to_owned());
        }
    }
    Console {
        socket: console,
        ssh_socket: ssh,
        authorized_keys: raw.authorized_keys.value_or(defaults.authorized_keys),
        lock_after: raw.lock_after.value_or(defaults.lock_after),
    }
}

/// A duration, or `off`.
fn lock_after(text: &str) -> Result<Option<Duration>, Wrong> {
    if text == "off" {
        return Ok(None);
    }
    let read =
        duration(text, LOCK_AFTER).map_err(|(message, help)| (message, format!("{help}, or \"off\"")))?;
    Ok(Some(read))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[track_caller]
    fn check(top: &str, section: &str, expected: &[&str]) {
        let text = format!("{top}\n[[network]]\ninterface = \"br0\"\n[console]\n{section}\n");
        let said = match Config::parse(&text, "f") {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.list.into_iter().map(|mistake| mistake.message).collect(),
        };
        assert_eq!(said, expected, "{top} {section}");
    }

    #[test]
    fn the_lock_has_a_time_or_is_off() {
        check("", "lock_after = \"10m\"", &[]);
        check("", "lock_after = \"off\"", &[]);
        check("", "lock_after = \"10s\"", &["\"10s\" is too short"]);
        check("", "lock_after = \"2d\"", &["\"2d\" is too long"]);
        check("", "lock_after = \"never\"", &["\"never\" is not a duration"]);
    }

    #[test]
    fn the_sockets_lie_beside_the_operators_one_and_are_three() {
        let text = "socket = \"/tmp/a/api.sock\"\n[[network]]\ninterface = \"br0\"\n";
        let config = Config::parse(text, "f").expect("legal");
        assert_eq!(config.console.socket, Path::new("/tmp/a/console.sock"));
        assert_eq!(config.console.ssh_socket, Path::new("/tmp/a/ssh.sock"));
        let taken = "/run/ironwake/api.sock is the path of another socket";
        check("console_socket = \"/run/ironwake/api.sock\"", "", &[taken]);
        check("ssh_socket = \"/run/ironwake/api.sock\"", "", &[taken]);
        check("console_socket = \"/a\"\nssh_socket = \"/a\"", "", &["/a is the path of another socket"]);
        let taken = "/run/ironwake/ssh.sock is the path of another socket";
        check("console_socket = \"/run/ironwake/ssh.sock\"", "", &[taken]);
    }
}
