//! Boot scripts: rendered for 10,000 known machines in turn, against a static file of the same size.

use std::fs;

use anyhow::{Context, Result};

use super::http::SMALL_CONNECTIONS;
use super::report::{Goal, Report};
use super::{Bench, http, machines, ours, peers, wrk};

/// A script's usual size, for when there is no daemon to ask.
const SCRIPT_BYTES: u64 = 700;
/// The static file's name in the published folder.
const STATIC_FILE: &str = "bench-script.ipxe";

/// Asks for each machine's script in turn. The MACs are those of [`machines::mac`].
const ROTATE: &str = r#"
local machine = 0
function request()
  machine = (machine + 1) % MACHINES
  return wrk.format("GET", string.format("/ipxe/52-54-01-00-%02x-%02x", math.floor(machine / 256), machine % 256))
end
"#;

/// Measures every contender, in rounds.
pub fn measure(bench: &Bench, report: &mut Report) {
    let mut bytes = SCRIPT_BYTES;
    for _ in 0..bench.effort.rounds {
        if bench.ironwake.is_some() {
            let outcome = ours_round(bench, report);
            bytes = report.keep("scripts", ours::NAME, outcome).unwrap_or(bytes);
        }
        let outcome = nginx_round(bench, bytes, report);
        report.keep("scripts", "nginx", outcome);
    }
}

/// Also gives the size of a script.
fn ours_round(bench: &Bench, report: &mut Report) -> Result<u64> {
    let server = ours::files(bench)?;
    report.add("scripts", "memory at rest", "MB", ours::AT_REST, ours::NAME, server.private_megabytes()?);
    let registered = machines::register(&ours::socket(&server.state))?;
    report.add("scripts", "machines registered", "/s", Goal::None, ours::NAME, registered);
    let memory = server.private_megabytes()?;
    report.add("scripts", "memory with 10,000 machines", "MB", ours::AFTER, ours::NAME, memory);
    let path = format!("/ipxe/{}", machines::mac(0));
    let bytes =
        http::size(bench, &path)?.with_context(|| format!("GET {path} is not answered with a script"))?;
    let lua = ROTATE.replace("MACHINES", &machines::COUNT.to_string());
    let load = wrk::run(bench, "/", SMALL_CONNECTIONS, bench.effort.http_run, &lua)?;
    note(&load, ours::NAME, report);
    report.add("scripts", "memory after", "MB", ours::AFTER, ours::NAME, server.private_megabytes()?);
    server.stop()?;
    Ok(bytes)
}

fn nginx_round(bench: &Bench, bytes: u64, report: &mut Report) -> Result<()> {
    fs::write(bench.dirs.published.join(STATIC_FILE), "#".repeat(bytes as usize))?;
    let server = peers::nginx(bench)?;
    let path = format!("{}/{STATIC_FILE}", ours::FILES);
    let load = wrk::run(bench, &path, SMALL_CONNECTIONS, bench.effort.http_run, "")?;
    note(&load, "nginx", report);
    server.stop()
}

fn note(load: &wrk::Load, name: &'static str, report: &mut Report) {
    let goal = Goal::Ratio { peers: &["nginx"], at_least: 0.5 };
    report.add("scripts", "scripts, 10,000 machines known", "/s", goal, name, load.per_second);
    report.add("scripts", "99 % of those within", "ms", Goal::None, name, load.p99_millis);
}
