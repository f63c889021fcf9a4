//! Ironwake itself, as one more contender.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::report::Goal;
use super::server::{LOOK_EVERY, Server};
use super::wire::{INTERFACE, LEASE_FIRST, LEASE_LAST, SERVER};
use super::{Bench, perfdhcp};

/// As it is called in the report.
pub const NAME: &str = "ironwake";
/// Private memory before anything is asked.
pub const AT_REST: Goal = Goal::AtMost(32.0);
/// Private memory after a part.
pub const AFTER: Goal = Goal::AtMost(64.0);
/// Where it serves HTTP.
pub const HTTP_PORT: u16 = 8080;
/// Where published files are, on HTTP.
pub const FILES: &str = "/boot/files";

/// Serving addresses. Its leases are durable before they are acknowledged.
pub fn dhcp(bench: &Bench) -> Result<Server> {
    let server = start(bench, &format!("dhcp = \"server\"\nrange = \"{LEASE_FIRST}-{LEASE_LAST}\"\n"))?;
    server.ready(|| perfdhcp::answers(&bench.wire))
}

/// Serving files and boot scripts only.
pub fn files(bench: &Bench) -> Result<Server> {
    start(bench, "dhcp = \"off\"\n")
}

/// Its operators' socket.
pub fn socket(state: &Path) -> PathBuf {
    state.join("api.sock")
}

/// The socket of the SSH server, where people log in.
pub fn ssh_socket(state: &Path) -> PathBuf {
    state.join("ssh.sock")
}

fn start(bench: &Bench, network: &str) -> Result<Server> {
    let program = bench.ironwake.as_ref().context("no daemon is given")?;
    let state = bench.dirs.state(NAME)?;
    let config = state.join("ironwake.toml");
    fs::write(&config, configuration(&state, network))?;
    let notify = state.join("notify.sock");
    let ready = UnixDatagram::bind(&notify).with_context(|| format!("bind {}", notify.display()))?;
    ready.set_read_timeout(Some(LOOK_EVERY))?;
    let mut command: Command = bench.wire.on_server(program);
    command.args(["serve", "--config"]).arg(&config);
    command.env("NOTIFY_SOCKET", &notify).env("IRONWAKE_BOOT", &bench.dirs.boot);
    let operators = socket(&state);
    // The first start builds the discovery image, which takes both cores for a second.
    let server = Server::start(NAME, state, command)?.ready(|| Ok(says_ready(&ready)))?;
    server.ready(|| discovery_is_built(program, &operators))
}

fn discovery_is_built(program: &Path, socket: &Path) -> Result<bool> {
    let mut list = Command::new(program);
    let output = list.arg("--socket").arg(socket).args(["artifact", "list", "--json"]).output()?;
    let artifacts: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let of = |artifact: &&serde_json::Value| artifact["name"] == "discovery/initramfs";
    let initramfs = artifacts.as_array().into_iter().flatten().find(of);
    Ok(initramfs.is_some_and(|artifact| artifact["state"] == "done"))
}

/// What `Type=notify` units send; nothing within the socket's timeout is "not yet".
fn says_ready(socket: &UnixDatagram) -> bool {
    let mut message = [0; 4096];
    let length = socket.recv(&mut message).unwrap_or(0);
    String::from_utf8_lossy(&message[..length]).lines().any(|line| line == "READY=1")
}

fn configuration(state: &Path, network: &str) -> String {
    format!(
        "state = {:?}\nsocket = {:?}\n[http]\nlisten = \"{SERVER}:{HTTP_PORT}\"\n[[network]]\ninterface = \"{INTERFACE}\"\n{network}",
        state.join("state"),
        socket(state),
    )
}
