//! perfdhcp, Kea's load generator: how it is run and what it prints.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::wire::{CLIENT, INTERFACE, SERVER, Wire};

/// So many different clients, as on the largest sites this is meant for.
pub const CLIENTS: u32 = 40_000;
/// After the last packet is sent, answers are awaited for this long.
const DRAIN: Duration = Duration::from_millis(500);

/// What one run of DISCOVER, OFFER, REQUEST, ACK exchanges came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Seconds during which exchanges were started.
    pub secs: f64,
    /// DISCOVERs sent.
    pub started: u64,
    /// OFFERs received.
    pub offered: u64,
    /// ACKs received.
    pub completed: u64,
    /// DISCOVERs and REQUESTs without an answer. An exchange whose OFFER came after the last packet was sent is
    /// neither completed nor dropped.
    pub dropped: u64,
    /// Mean of the time to the OFFER plus the time to the ACK, in milliseconds.
    pub mean_millis: f64,
    /// The larger of the two maxima, in milliseconds.
    pub max_millis: f64,
}

impl Load {
    /// Completed exchanges per second.
    pub fn per_second(&self) -> f64 {
        self.completed as f64 / self.secs
    }

    /// The share of exchanges that were dropped, in percent.
    pub fn drop_percent(&self) -> f64 {
        if self.started == 0 {
            return 100.0;
        }
        100.0 * self.dropped as f64 / self.started as f64
    }

    /// Whether the generator came near the rate that it was asked for.
    pub fn kept_up(&self, rate: u32) -> bool {
        self.started as f64 >= 0.9 * f64::from(rate) * self.secs
    }
}

/// Starts `rate` exchanges a second for `time`.
pub fn run(wire: &Wire, rate: u32, time: Duration) -> Result<Load> {
    let mut perfdhcp = wire.on_client("perfdhcp");
    perfdhcp
        // One thread: on two cores a second one would take its time from the server.
        .args(["-4", "-g", "single", "-l", INTERFACE])
        .args(["-R", &CLIENTS.to_string(), "-r", &rate.to_string()])
        .args(["-p", &time.as_secs().to_string(), "-W", &DRAIN.as_micros().to_string()]);
    let output = perfdhcp.output().context("run perfdhcp (package kea-admin)")?;
    // Exit code 3 only says that some exchanges did not complete, which is what is being measured.
    if !matches!(output.status.code(), Some(0 | 3)) {
        bail!("perfdhcp: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    parse(&String::from_utf8_lossy(&output.stdout), time.as_secs_f64())
}

/// Whether the server offers an address. Only the OFFER counts: perfdhcp sends nothing, not even a REQUEST, once it
/// has started as many exchanges as it was asked for.
pub fn answers(wire: &Wire) -> Result<bool> {
    let mut perfdhcp = wire.on_client("perfdhcp");
    perfdhcp.args(["-4", "-g", "single", "-l", INTERFACE, "-r", "10", "-n", "1", "-W", "200000"]);
    // A client outside of those that are measured.
    perfdhcp.args(["-b", "mac=00:0d:ff:ff:ff:00"]);
    let output = perfdhcp.output().context("run perfdhcp (package kea-admin)")?;
    let load = parse(&String::from_utf8_lossy(&output.stdout), 1.0);
    Ok(load.is_ok_and(|load| load.offered > 0))
}

/// Reads perfdhcp's final report.
fn parse(text: &str, secs: f64) -> Result<Load> {
    let mut load = Load { secs, ..Load::default() };
    let mut offers = false;
    for line in text.lines() {
        if let Some(section) = line.strip_prefix("***Statistics for: ") {
            offers = section.starts_with("DISCOVER");
        }
        let Some((key, value)) = line.split_once(": ") else { continue };
        let number = || {
            let first = value.trim().split(' ').next().unwrap_or_default();
            // Without a single answer the delays are printed as words.
            first.parse::<f64>().unwrap_or(0.0)
        };
        match key {
            "sent packets" if offers => load.started = number() as u64,
            "received packets" if offers => load.offered = number() as u64,
            "drops" => load.dropped += number() as u64,
            "received packets" => load.completed = number() as u64,
            "avg delay" => load.mean_millis += number(),
            "max delay" => load.max_millis = load.max_millis.max(number()),
            _ => {}
        }
    }
    if !text.contains("***Statistics for: REQUEST-ACK***") {
        bail!("perfdhcp between {CLIENT} and {SERVER} printed no statistics");
    }
    Ok(load)
}
