//! Measures Ironwake and its peers alternately, in the same run, on one veth pair.
//!
//! Exit codes: 0 measured (whether or not a goal is met), 1 something could not be measured, 2 wrong arguments.

mod api;
mod appliance;
mod console;
mod dhcp;
mod dirs;
mod disk;
mod effort;
#[path = "../appliance/mod.rs"]
mod flashed;
mod http;
#[path = "../lab/mod.rs"]
pub mod lab;
mod logins;
mod machines;
mod native;
mod ours;
mod peers;
mod perfdhcp;
mod report;
mod scripts;
mod server;
#[path = "../terminal/mod.rs"]
mod terminal;
mod tftp;
mod wire;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use dirs::Dirs;
use effort::Effort;
use report::Report;
use server::Server;
use wire::Wire;

/// Measures Ironwake beside Kea, dnsmasq, atftpd, tftpd-hpa, nginx and dd, in namespaces of its own.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Only these parts; all but `appliance` when none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// One short round instead of three long ones.
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Measure the peers alone.
    #[arg(long)]
    peers_only: bool,
    /// The daemon to measure.
    #[arg(long, env = "IRONWAKE_BIN", default_value = "target/release/ironwake")]
    ironwake: PathBuf,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Exchanges per second and latency, and what wrong logins take of it.
    Dhcp,
    /// Transfer rates at windowsize 1 and 16, and of 50 clients at once.
    Tftp,
    /// Transfer rate of a large file and requests per second of a small one.
    Http,
    /// Boot scripts per second with 10,000 machines known.
    Scripts,
    /// Writing of a disk image in a machine of the lab.
    Disk,
    /// Frames of the console with 10,000 machines, its idle time, and the memory of a session over SSH.
    Console,
    /// The image that `./dev image` makes: how long it takes until a machine is answered, and its memory at rest.
    Appliance,
}

/// What needs no image.
const PARTS: [Part; 6] = [Part::Dhcp, Part::Tftp, Part::Http, Part::Scripts, Part::Disk, Part::Console];

/// What every part needs.
struct Bench {
    dirs: Dirs,
    wire: Wire,
    effort: Effort,
    /// The daemon; none when only peers are measured.
    ironwake: Option<PathBuf>,
}

/// How one server is started for a part.
struct Contender {
    name: &'static str,
    start: fn(&Bench) -> Result<Server>,
}

impl Bench {
    /// The contenders that take part in this run.
    fn contenders<'a>(&self, all: &'a [Contender]) -> Vec<&'a Contender> {
        all.iter().filter(|c| c.name != ours::NAME || self.ironwake.is_some()).collect()
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match wire::outside() {
        Some(outcome) => outcome,
        None => run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let ironwake = if arguments.peers_only {
        None
    } else {
        let path = arguments.ironwake.canonicalize();
        Some(path.with_context(|| format!("no daemon at {}", arguments.ironwake.display()))?)
    };
    let bench = Bench {
        dirs: Dirs::prepare()?,
        wire: Wire::join()?,
        effort: if arguments.quick { effort::QUICK } else { effort::FULL },
        ironwake,
    };
    let parts = if arguments.parts.is_empty() { &PARTS[..] } else { &arguments.parts[..] };
    let mut report = Report::new(load_average()?);
    for part in parts {
        match part {
            Part::Dhcp => dhcp::measure(&bench, &mut report),
            Part::Tftp => tftp::measure(&bench, &mut report),
            Part::Http => http::measure(&bench, &mut report),
            Part::Scripts => scripts::measure(&bench, &mut report),
            Part::Disk => disk::measure(&bench, &mut report),
            Part::Console => console::measure(&bench, &mut report),
            Part::Appliance => appliance::measure(&bench, &mut report),
        }
    }
    if arguments.json {
        println!("{:#}", report.json())
    } else {
        print!("{report}")
    }
    Ok(if report.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load_average() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().with_context(|| format!("/proc/loadavg says {text:?}"))
}
