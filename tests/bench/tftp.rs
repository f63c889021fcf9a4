//! TFTP: one large file at windowsize 1 and 16, and 50 clients at once, with atftp as the client of all servers.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::dirs::{Payload, TFTP_FILE, TFTP_SMALL};
use super::report::{Goal, Report};
use super::wire::SERVER;
use super::{Bench, Contender, ours, peers};

const CONTENDERS: [Contender; 3] = [
    Contender { name: ours::NAME, start: ours::files },
    Contender { name: "atftpd", start: peers::atftpd },
    Contender { name: "tftpd-hpa", start: peers::tftpd_hpa },
];
const GOAL: Goal = Goal::Ratio { peers: &["atftpd", "tftpd-hpa"], at_least: 1.0 };
/// What OVMF asks for: as much as fits an Ethernet frame.
const BLOCK_BYTES: u16 = 1468;
/// A rack that is powered on together.
const CLIENTS: usize = 50;

/// Measures every contender, in rounds.
pub fn measure(bench: &Bench, report: &mut Report) {
    for _ in 0..bench.effort.rounds {
        for contender in bench.contenders(&CONTENDERS) {
            let outcome = round(bench, contender, report);
            report.keep("tftp", contender.name, outcome);
        }
    }
}

fn round(bench: &Bench, contender: &Contender, report: &mut Report) -> Result<()> {
    let name = contender.name;
    let server = (contender.start)(bench)?;
    let one = fetch_all(bench, TFTP_FILE, 1, 1)?;
    report.add("tftp", "one client, windowsize 1", "MB/s", GOAL, name, one);
    let sixteen = fetch_all(bench, TFTP_FILE, 16, 1)?;
    report.add("tftp", "one client, windowsize 16", "MB/s", GOAL, name, sixteen);
    let many = fetch_all(bench, TFTP_SMALL, 16, CLIENTS)?;
    report.add("tftp", "50 clients, windowsize 16", "MB/s", GOAL, name, many);
    report.add("tftp", "memory after", "MB", ours::AFTER, name, server.private_megabytes()?);
    server.stop()
}

/// Whether the server sends a small file.
pub fn answers(bench: &Bench) -> Result<bool> {
    let to = bench.dirs.received().join("probe");
    let mut client = fetch(bench, super::dirs::HTTP_SMALL, 1, &to);
    // Without this, atftp waits 5 seconds before it asks again.
    client.args(["--tftp-timeout", "1"]);
    let output = client.output().context("run atftp (package atftp)")?;
    Ok(output.status.success() && arrived(&to, super::dirs::HTTP_SMALL))
}

/// MB/s of `clients` that fetch the same file at once, from the first packet to the last client's end.
fn fetch_all(bench: &Bench, payload: Payload, window: u16, clients: usize) -> Result<f64> {
    let paths: Vec<_> = (0..clients).map(|client| bench.dirs.received().join(client.to_string())).collect();
    let start = Instant::now();
    let mut running = Vec::with_capacity(clients);
    for path in &paths {
        running.push(fetch(bench, payload, window, path).spawn().context("run atftp (package atftp)")?);
    }
    for mut client in running {
        client.wait()?;
    }
    let secs = start.elapsed().as_secs_f64();
    for path in &paths {
        if !arrived(path, payload) {
            bail!("atftp did not get all of {} at windowsize {window}", payload.name);
        }
        fs::remove_file(path)?;
    }
    Ok(payload.bytes as f64 * clients as f64 / 1e6 / secs)
}

fn fetch(bench: &Bench, payload: Payload, window: u16, to: &Path) -> Command {
    let mut client = bench.wire.on_client("atftp");
    client.args(["--option", &format!("blksize {BLOCK_BYTES}"), "--option", &format!("windowsize {window}")]);
    client.args(["--get", "--remote-file", payload.name, "--local-file"]).arg(to).arg(SERVER.to_string());
    client.stdout(Stdio::null()).stderr(Stdio::null());
    client
}

fn arrived(path: &Path, payload: Payload) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() == payload.bytes)
}
