//! HTTP: how fast one large file goes out, and how many small ones.

use anyhow::{Context, Result};

use super::dirs::{HTTP_FILE, HTTP_SMALL, Payload};
use super::report::{Goal, Report};
use super::wire::SERVER;
use super::{Bench, Contender, ours, peers, wrk};

const CONTENDERS: [Contender; 2] =
    [Contender { name: ours::NAME, start: ours::files }, Contender { name: "nginx", start: peers::nginx }];
const GOAL: Goal = Goal::Ratio { peers: &["nginx"], at_least: 0.95 };
/// A few machines fetch their initramfs at once.
const LARGE_CONNECTIONS: usize = 4;
/// A few racks at once.
pub const SMALL_CONNECTIONS: usize = 64;

/// Measures every contender, in rounds.
pub fn measure(bench: &Bench, report: &mut Report) {
    for _ in 0..bench.effort.rounds {
        for contender in bench.contenders(&CONTENDERS) {
            let outcome = round(bench, contender, report);
            report.keep("http", contender.name, outcome);
        }
    }
}

fn round(bench: &Bench, contender: &Contender, report: &mut Report) -> Result<()> {
    let name = contender.name;
    let server = (contender.start)(bench)?;
    let large = wrk::run(bench, &path(HTTP_FILE), LARGE_CONNECTIONS, bench.effort.http_run, "")?;
    report.add("http", "200 MB file, 4 connections", "MB/s", GOAL, name, large.megabytes_per_second);
    let small = wrk::run(bench, &path(HTTP_SMALL), SMALL_CONNECTIONS, bench.effort.http_run, "")?;
    report.add("http", "4 KB file, 64 connections", "/s", GOAL, name, small.per_second);
    report.add("http", "99 % of those within", "ms", Goal::None, name, small.p99_millis);
    report.add("http", "memory after", "MB", ours::AFTER, name, server.private_megabytes()?);
    server.stop()
}

/// Whether the server sends a small file.
pub fn answers(bench: &Bench) -> Result<bool> {
    Ok(size(bench, &path(HTTP_SMALL))? == Some(HTTP_SMALL.bytes))
}

/// The size of what is at `path`; none when the answer is not 200.
pub fn size(bench: &Bench, path: &str) -> Result<Option<u64>> {
    let mut curl = bench.wire.on_client("curl");
    curl.args([
        "--silent",
        "--max-time",
        "5",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code} %{size_download}",
    ]);
    curl.arg(format!("http://{SERVER}:{}{path}", ours::HTTP_PORT));
    let output = curl.output().context("run curl (package curl)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.strip_prefix("200 ").and_then(|size| size.parse().ok()))
}

fn path(payload: Payload) -> String {
    format!("{}/{}", ours::FILES, payload.name)
}
