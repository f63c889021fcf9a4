//! The servers to compare with, set up as their manuals advise for speed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::server::Server;
use super::wire::{self, INTERFACE, LEASE_FIRST, LEASE_LAST, PREFIX, SERVER};
use super::{Bench, http, ours, perfdhcp, tftp};

/// Room for every client of the bench in dnsmasq's table, which holds 1000 by default.
const DNSMASQ_LEASES: u32 = 65_536;
/// atftpd refuses more than 100 threads by default; the bench has 50 clients at once.
const ATFTPD_THREADS: u32 = 256;

/// Kea with its lease file on disk, as installed: written, not synchronised.
pub fn kea(bench: &Bench) -> Result<Server> {
    let state = bench.dirs.state("kea")?;
    let config = state.join("kea.json");
    let subnet = ipnet::Ipv4Net::new(SERVER, PREFIX)?.trunc();
    let settings = serde_json::json!({ "Dhcp4": {
        "interfaces-config": { "interfaces": [INTERFACE], "dhcp-socket-type": "raw" },
        "lease-database": { "type": "memfile", "persist": true, "name": state.join("leases.csv") },
        "valid-lifetime": 4000,
        "loggers": [{ "name": "kea-dhcp4", "severity": "ERROR", "output_options": [{ "output": "stderr" }] }],
        "subnet4": [{ "subnet": subnet, "pools": [{ "pool": format!("{LEASE_FIRST} - {LEASE_LAST}") }] }],
    }});
    fs::write(&config, settings.to_string())?;
    let mut command = bench.wire.on_server("kea-dhcp4");
    command.arg("-c").arg(&config);
    for variable in ["KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR", "KEA_DHCP_DATA_DIR"] {
        command.env(variable, &state);
    }
    Server::start("kea", state, command)?.ready(|| perfdhcp::answers(&bench.wire))
}

/// dnsmasq, which rewrites its whole lease file at every change.
pub fn dnsmasq(bench: &Bench) -> Result<Server> {
    let state = bench.dirs.state("dnsmasq")?;
    let netmask = ipnet::Ipv4Net::new(SERVER, PREFIX)?.netmask();
    let mut command = bench.wire.on_server("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--port=0", "--user=root"]);
    command.args([
        "--bind-interfaces",
        "--dhcp-authoritative",
        "--no-ping",
        "--quiet-dhcp",
        "--log-facility=-",
    ]);
    command.arg(format!("--interface={INTERFACE}"));
    command.arg(format!("--dhcp-range={LEASE_FIRST},{LEASE_LAST},{netmask},1h"));
    command.arg(format!("--dhcp-lease-max={DNSMASQ_LEASES}"));
    command.arg(format!("--dhcp-leasefile={}", state.join("leases").display()));
    Server::start("dnsmasq", state, command)?.ready(|| perfdhcp::answers(&bench.wire))
}

/// atftpd on its own, without inetd.
pub fn atftpd(bench: &Bench) -> Result<Server> {
    let mut command = bench.wire.on_server("atftpd");
    command.args([
        "--daemon",
        "--no-fork",
        "--user",
        "root",
        "--group",
        "root",
        "--logfile",
        "-",
        "--verbose=3",
    ]);
    command.args(["--bind-address", &SERVER.to_string(), "--maxthread", &ATFTPD_THREADS.to_string()]);
    command.arg(&bench.dirs.published);
    Server::start("atftpd", bench.dirs.state("atftpd")?, command)?.ready(|| tftp::answers(bench))
}

/// tftpd-hpa on its own; it does not know windowsize.
pub fn tftpd_hpa(bench: &Bench) -> Result<Server> {
    let mut command = bench.wire.on_server(tftpd_hpa_program(bench)?);
    command.args([
        "--foreground",
        "--ipv4",
        "--address",
        &format!("{SERVER}:69"),
        "--user",
        "root",
        "--secure",
    ]);
    command.arg(&bench.dirs.published);
    Server::start("tftpd-hpa", bench.dirs.state("tftpd-hpa")?, command)?.ready(|| tftp::answers(bench))
}

/// Its package conflicts with atftpd's: it is unpacked beside it instead of installed.
fn tftpd_hpa_program(bench: &Bench) -> Result<PathBuf> {
    let unpacked = bench.dirs.peers.join("tftpd-hpa");
    let program = unpacked.join("usr/sbin/in.tftpd");
    if program.exists() {
        return Ok(program);
    }
    let mut download = Command::new("apt-get");
    // The download folder is root's: apt's own user could not write there.
    download.args(["-o", "APT::Sandbox::User=root", "download", "tftpd-hpa"]).current_dir(&bench.dirs.peers);
    wire::succeed(download)?;
    let package = fs::read_dir(&bench.dirs.peers)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package tftpd-hpa")?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(&package).arg(&unpacked);
    wire::succeed(unpack)?;
    fs::remove_file(package)?;
    Ok(program)
}

/// nginx with sendfile and two workers, the published files at the same path as Ironwake's.
pub fn nginx(bench: &Bench) -> Result<Server> {
    let state = bench.dirs.state("nginx")?;
    let config = state.join("nginx.conf");
    let (files, published) = (ours::FILES, bench.dirs.published.display());
    let settings = format!(
        "daemon off; user root; worker_processes 2; error_log stderr; pid {state}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  default_type application/octet-stream;
  client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
  uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
  server {{ listen {SERVER}:{port}; location {files}/ {{ alias {published}/; }} }}
}}
",
        state = state.display(),
        port = ours::HTTP_PORT,
    );
    fs::write(&config, settings)?;
    let mut command = bench.wire.on_server("nginx");
    command.arg("-e").arg("stderr").arg("-c").arg(&config);
    Server::start("nginx", state, command)?.ready(|| http::answers(bench))
}
