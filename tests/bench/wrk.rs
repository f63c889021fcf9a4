//! wrk, the HTTP load generator: how it is run and what it prints.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::wire::{SERVER, succeed};
use super::{Bench, ours};

/// Prints the summary on one line; appended to each script.
const SUMMARY: &str = r#"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("summary %d %d %d %d %f\n", summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99)))
end
"#;
/// One thread generates more than any server here can answer while it shares two cores with it.
const THREADS: usize = 1;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests answered per second.
    pub per_second: f64,
    /// Millions of bytes received per second, headers included.
    pub megabytes_per_second: f64,
    /// 99 of 100 were answered within this many milliseconds.
    pub p99_millis: f64,
}

/// Asks for `path` over `connections` for `time`; `lua` may change the requests. Any error fails the run.
pub fn run(bench: &Bench, path: &str, connections: usize, time: Duration, lua: &str) -> Result<Load> {
    let script = bench.dirs.state("wrk")?.join("load.lua");
    fs::write(&script, format!("{lua}{SUMMARY}"))?;
    let mut wrk = bench.wire.on_client("wrk");
    wrk.args(["--threads", &THREADS.to_string(), "--connections", &connections.to_string()]);
    wrk.args(["--duration", &format!("{}s", time.as_secs()), "--timeout", "20s", "--script"]).arg(script);
    wrk.arg(format!("http://{SERVER}:{}{path}", ours::HTTP_PORT));
    let output = succeed(wrk).context("run wrk (package wrk)")?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Result<Load> {
    let line = text.lines().find_map(|line| line.strip_prefix("summary "));
    let line = line.with_context(|| format!("wrk printed no summary: {text}"))?;
    let numbers: Vec<f64> =
        line.split(' ').map(str::parse).collect::<Result<_, _>>().context("wrk's summary")?;
    let [requests, bytes, micros, errors, p99] = numbers[..] else { bail!("wrk's summary is {line}") };
    if errors > 0.0 {
        bail!("{errors} of {requests} requests failed");
    }
    let secs = micros / 1e6;
    Ok(Load { per_second: requests / secs, megabytes_per_second: bytes / 1e6 / secs, p99_millis: p99 / 1e3 })
}
