//! One veth pair between two network namespaces, server and client, that vanish with the program.
//!
//! The program runs itself again in a mount and a PID namespace. The network namespaces are mounted in the
//! former only, and everything that was started dies with the latter's first process, so nothing stays behind
//! however the run ends, `kill -9` included.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::{Command, ExitCode, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Name of the interface on both sides.
pub const INTERFACE: &str = "veth0";
/// The server's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The client's address.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Both addresses' prefix: 40,000 clients need a /16.
pub const PREFIX: u8 = 16;
/// First address that DHCP servers lease.
pub const LEASE_FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 0);
/// Last address that DHCP servers lease.
pub const LEASE_LAST: Ipv4Addr = Ipv4Addr::new(10, 77, 250, 250);

const SERVER_NAMESPACE: &str = "bench-server";
const CLIENT_NAMESPACE: &str = "bench-client";
/// Set for the copy that runs inside.
const INSIDE: &str = "IRONWAKE_BENCH_INSIDE";

/// Outside of the namespaces: runs the program inside and gives its exit code. Inside: nothing to do.
pub fn outside() -> Option<Result<ExitCode>> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    Some(run_inside())
}

fn run_inside() -> Result<ExitCode> {
    let mut inside = Command::new("setpriv");
    inside
        // However this process ends, `unshare` is killed, and with it every process inside.
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"])
        .args(["--mount-proc", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1");
    let status = inside.status().context("run setpriv and unshare (package util-linux)")?;
    Ok(u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The veth pair, up, with addresses.
#[derive(Debug)]
pub struct Wire(());

impl Wire {
    /// Makes the namespaces and joins them.
    pub fn join() -> Result<Self> {
        run("mkdir -p /run/netns")?;
        run("mount -t tmpfs bench /run/netns")?;
        for namespace in [SERVER_NAMESPACE, CLIENT_NAMESPACE] {
            run(&format!("ip netns add {namespace}"))?;
            run(&format!("ip -n {namespace} link set lo up"))?;
        }
        run(&format!(
            "ip -n {SERVER_NAMESPACE} link add {INTERFACE} type veth peer name {INTERFACE} netns {CLIENT_NAMESPACE}"
        ))?;
        for (namespace, address) in [(SERVER_NAMESPACE, SERVER), (CLIENT_NAMESPACE, CLIENT)] {
            run(&format!("ip -n {namespace} address add {address}/{PREFIX} dev {INTERFACE}"))?;
            run(&format!("ip -n {namespace} link set {INTERFACE} up"))?;
        }
        Ok(Self(()))
    }

    /// A command that runs on the server's side.
    pub fn on_server(&self, program: impl AsRef<OsStr>) -> Command {
        in_namespace(SERVER_NAMESPACE, program.as_ref())
    }

    /// A command that runs on the client's side.
    pub fn on_client(&self, program: impl AsRef<OsStr>) -> Command {
        in_namespace(CLIENT_NAMESPACE, program.as_ref())
    }
}

/// `ip netns exec` becomes the program itself: its process id is the program's.
fn in_namespace(namespace: &str, program: &OsStr) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program).stdin(Stdio::null());
    command
}

fn run(words: &str) -> Result<()> {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    succeed(command).map(drop)
}

/// Runs a command to its end and insists on exit code 0.
pub fn succeed(mut command: Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}
