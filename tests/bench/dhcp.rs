//! DHCP: the highest rate of full exchanges that a server completes, and how long they take.

use std::time::Duration;

use anyhow::{Result, bail};

use super::logins::Guessing;
use super::perfdhcp::{self, Load};
use super::report::{Goal, Report};
use super::server::Server;
use super::{Bench, Contender, ours, peers};

const CONTENDERS: [Contender; 3] = [
    Contender { name: ours::NAME, start: ours::dhcp },
    Contender { name: "kea", start: peers::kea },
    Contender { name: "dnsmasq", start: peers::dnsmasq },
];

/// More drops than this are too many.
const DROP_PERCENT_MAX: f64 = 1.0;
/// Slower than any server here: where the search starts.
const RATE_FIRST: u32 = 125;
/// Beyond what the generator can send.
const RATE_LAST: u32 = 128_000;
/// The search ends when the rate is known this closely.
const CLOSE_ENOUGH: f64 = 1.08;
/// A long run at a rate that a short one bore may drop: try lower, so often.
const LOWER_TRIES: usize = 10;
/// By so much.
const LOWER: f64 = 0.85;
/// What a failed step left in the server's queues is worked off when it bears the lowest rate again: asked so long, so often.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_TRIES: usize = 10;

/// Measures every contender, in rounds.
pub fn measure(bench: &Bench, report: &mut Report) {
    let contenders = bench.contenders(&CONTENDERS);
    let mut rates = Vec::new();
    for contender in &contenders {
        let rate = (contender.start)(bench).and_then(|server| {
            let rate = highest_rate(bench)?;
            server.stop()?;
            Ok(rate)
        });
        rates.push(report.keep("dhcp", contender.name, rate));
    }
    for _ in 0..bench.effort.rounds {
        for (contender, rate) in contenders.iter().zip(&mut rates) {
            let Some(rate) = rate else { continue };
            let outcome = round(bench, contender, rate, report);
            report.keep("dhcp", contender.name, outcome);
            if contender.name == ours::NAME {
                let outcome = beside_logins(bench, contender, *rate, report);
                report.keep("dhcp", contender.name, outcome);
            }
        }
    }
}

/// One counted run on a fresh server; lowers `rate` for this and later rounds when it proves too high.
fn round(bench: &Bench, contender: &Contender, rate: &mut u32, report: &mut Report) -> Result<()> {
    for _ in 0..LOWER_TRIES {
        let server = (contender.start)(bench)?;
        if contender.name == ours::NAME {
            report.add(
                "dhcp",
                "memory at rest",
                "MB",
                ours::AT_REST,
                contender.name,
                server.private_megabytes()?,
            );
        }
        let load = perfdhcp::run(&bench.wire, *rate, bench.effort.dhcp_run)?;
        if load.drop_percent() <= DROP_PERCENT_MAX {
            return note(&load, contender, &server, report).and_then(|()| server.stop());
        }
        server.stop()?;
        *rate = (f64::from(*rate) * LOWER) as u32;
    }
    bail!("still drops more than {DROP_PERCENT_MAX} % at {rate} exchanges/s")
}

fn note(load: &Load, contender: &Contender, server: &Server, report: &mut Report) -> Result<()> {
    let name = contender.name;
    let goal = Goal::Ratio { peers: &["kea"], at_least: 1.5 };
    report.add("dhcp", "exchanges, 40,000 clients", "/s", goal, name, load.per_second());
    report.add("dhcp", "mean latency at that rate", "ms", Goal::None, name, load.mean_millis);
    report.add("dhcp", "max latency at that rate", "ms", Goal::None, name, load.max_millis);
    report.add("dhcp", "drops at that rate", "%", Goal::None, name, load.drop_percent());
    report.add("dhcp", "memory after", "MB", ours::AFTER, name, server.private_megabytes()?);
    Ok(())
}

/// The same rate while somebody guesses passwords, which take a processor each.
fn beside_logins(bench: &Bench, contender: &Contender, rate: u32, report: &mut Report) -> Result<()> {
    let server = (contender.start)(bench)?;
    let guessing = Guessing::begin(&server.state)?;
    let load = perfdhcp::run(&bench.wire, rate, bench.effort.dhcp_run);
    let guesses = guessing.end()?;
    let (load, name) = (load?, contender.name);
    let mut add = |what, unit, value| report.add("dhcp", what, unit, Goal::None, name, value);
    add("exchanges beside wrong logins", "/s", load.per_second());
    add("mean latency beside them", "ms", load.mean_millis);
    add("drops beside them", "%", load.drop_percent());
    add("wrong passwords compared", "/s", guesses.compared as f64 / load.secs);
    add("wrong logins answered", "/s", guesses.answered as f64 / load.secs);
    server.stop()
}

/// Waits until the server has worked off its queues.
fn settle(bench: &Bench) -> Result<()> {
    for _ in 0..SETTLE_TRIES {
        if perfdhcp::run(&bench.wire, RATE_FIRST, SETTLE)?.drop_percent() <= DROP_PERCENT_MAX {
            return Ok(());
        }
    }
    bail!("still drops more than {DROP_PERCENT_MAX} % at {RATE_FIRST} exchanges/s after a failed step")
}

/// Doubles the rate until a short run drops too much, then narrows it down.
fn highest_rate(bench: &Bench) -> Result<u32> {
    let bears = |rate: u32| -> Result<bool> {
        let load = perfdhcp::run(&bench.wire, rate, bench.effort.dhcp_step)?;
        let bears = load.drop_percent() <= DROP_PERCENT_MAX && load.kept_up(rate);
        if !bears {
            settle(bench)?;
        }
        Ok(bears)
    };
    if !bears(RATE_FIRST)? {
        bail!("drops more than {DROP_PERCENT_MAX} % even at {RATE_FIRST} exchanges/s");
    }
    let (mut good, mut bad) = (RATE_FIRST, RATE_FIRST * 2);
    while bad < RATE_LAST && bears(bad)? {
        (good, bad) = (bad, bad * 2);
    }
    while f64::from(bad) / f64::from(good) > CLOSE_ENOUGH {
        let middle = (f64::from(good) * f64::from(bad)).sqrt() as u32;
        if bears(middle)? { good = middle } else { bad = middle }
    }
    Ok(good)
}
