//! Clients that others wrote: how they are run, and how what they say is waited for.

// Each program that includes this uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ironwake_api::Health;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Lab, LabError};

/// The longest wait for a client: it takes a second or two on an idle host.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often something is asked for that sends no event.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What udhcpc calls: configures the interface, which a renewal needs, and says what happened.
pub const UDHCPC: &str = r#"#!/bin/sh
case $1 in
bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    for gateway in $router; do
        ip route replace default via "$gateway"
    done
    echo "$1 $ip"
    echo "router $router"
    ;;
*) echo "$1" ;;
esac
"#;

/// What dhclient calls: says what happened, and leaves the interface alone.
pub const DHCLIENT: &str = r#"#!/bin/sh
echo "$reason $new_ip_address"
"#;

/// Writes an executable script into the lab's folder.
pub fn script(lab: &Lab, name: &str, text: &str) -> Result<PathBuf, LabError> {
    let path = lab.folder().join(name);
    let write = || -> std::io::Result<()> {
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    };
    write().map_err(|source| LabError::Io { what: format!("write {}", path.display()), source })?;
    Ok(path)
}

/// Runs a command to its end; anything but exit code 0 fails the test with what it said.
pub fn output_of(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}{errors}", output.status);
    text
}

/// Asks until the answer is yes.
pub fn eventually(what: &str, mut ask: impl FnMut() -> Result<bool, LabError>) -> Result<(), LabError> {
    let end = Instant::now() + WAIT_MAX;
    while !ask()? {
        assert!(Instant::now() < end, "waited {WAIT_MAX:?} for {what}");
        thread::park_timeout(ASK_EVERY);
    }
    Ok(())
}

/// Waits until DHCP answers on every network: server mode first listens for another server, and a client that asks
/// once would ask too early.
pub fn serving(lab: &Lab) -> Result<(), LabError> {
    eventually("DHCP to be served", || {
        let mut command = lab.cli().command();
        // Its exit code is about everything, also about what such a client does not need.
        let output = command.args(["health", "--json"]).output().expect("the command line runs");
        let Ok(health) = serde_json::from_slice::<Health>(&output.stdout) else { return Ok(false) };
        Ok(!health.networks.is_empty()
            && health.networks.iter().all(|network| network.message.starts_with("serves ")))
    })
}

/// A client that runs on and says what happens to it, line by line; killed when dropped.
#[derive(Debug)]
pub struct Talker {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Talker {
    /// Starts a client; what it prints, errors too, is what it says.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = channel();
        let output = child.stdout.take().expect("a pipe was asked for");
        let errors = child.stderr.take().expect("a pipe was asked for");
        let from_errors = sender.clone();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        thread::spawn(move || {
            BufReader::new(errors).lines().map_while(Result::ok).try_for_each(|l| from_errors.send(l))
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits until it says a line that begins so, and gives the rest of the line. Lines before are passed over.
    pub fn wait(&mut self, beginning: &str) -> String {
        let end = Instant::now() + WAIT_MAX;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let rest = line.strip_prefix(beginning).map(|rest| rest.trim().to_owned());
                    self.said.push(line);
                    if let Some(rest) = rest {
                        return rest;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{beginning:?} was not said; but: {:#?}", self.said),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended without {beginning:?}: {:#?}", self.said)
                }
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the client runs");
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
