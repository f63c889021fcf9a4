//! The console: how long a frame takes with 10,000 machines, what it costs while nothing happens, and what a session over SSH
//! has of memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::report::{Goal, Report};
use super::server::Server;
use super::terminal::Terminal;
use super::wire::succeed;
use super::{Bench, machines, ours};

const PART: &str = "console";
/// A screen of 60 Hz.
const FRAME: Goal = Goal::AtMost(16.0);
/// Of one core.
const IDLE: Goal = Goal::AtMost(1.0);
/// What a screen of 200×60 takes in the terminal.
const SIZE: (usize, usize) = (200, 60);
/// How long processor time is counted.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// Sessions that share what a process has anyway.
const SESSIONS: usize = 5;
/// Where sessions log in.
const SSH_PORT: u16 = 2222;
/// Of the kernel's clock of processes, on every architecture that Debian has (proc(5)).
const TICKS_PER_SEC: f64 = 100.0;

/// Measures all of it.
pub fn measure(bench: &Bench, report: &mut Report) {
    let Some(ironwake) = &bench.ironwake else { return };
    let frames = frames(ironwake, report);
    report.keep(PART, "frames", frames);
    let running = running(bench, ironwake, report);
    report.keep(PART, ours::NAME, running);
}

/// The program of `tui/examples`, which was built beside the daemon.
fn frames(ironwake: &Path, report: &mut Report) -> Result<()> {
    let output = succeed(Command::new(ironwake.with_file_name("examples").join("frames")))?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    for (key, what) in [
        ("frame_ms", "a frame, 10,000 machines, 99 % within"),
        ("scroll_ms", "a key that scrolls, with its frame"),
        ("events_ms", "200 events, with their frame"),
    ] {
        let value = said[key].as_f64().with_context(|| format!("no {key} in {said}"))?;
        report.add(PART, what, "ms", FRAME, ours::NAME, value);
    }
    Ok(())
}

fn running(bench: &Bench, ironwake: &Path, report: &mut Report) -> Result<()> {
    let server = ours::files(bench)?;
    let socket = ours::socket(&server.state);
    machines::register(&socket)?;
    let console = ironwake.with_file_name("ironwake-console");
    idle(&console, &socket, report)?;
    sessions(bench, ironwake, &server.state, report)?;
    server.stop()
}

fn idle(console: &Path, socket: &Path, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let line = format!("{} --socket {}", console.display(), socket.display());
    let terminal = Terminal::open(folder.path(), SIZE, &line)?;
    terminal.wait("10,000")?;
    let pid = terminal.pid()?;
    // Until then it asks for what is on the screen.
    thread::park_timeout(Duration::from_secs(2));
    let (before, began) = (ticks(pid)?, Instant::now());
    thread::park_timeout(IDLE_TIME);
    let used = (ticks(pid)? - before) as f64 / TICKS_PER_SEC;
    let percent = used * 100.0 / began.elapsed().as_secs_f64();
    report.add(PART, "idle, 10,000 machines", "% of a core", IDLE, ours::NAME, percent);
    Ok(())
}

/// Processor time of a process so far, its own and the kernel's for it.
fn ticks(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may have spaces; behind it, user and system time are the 12th and the 13th.
    let rest = text.rsplit(") ").next().unwrap_or_default();
    let field = |place: usize| rest.split(' ').nth(place).and_then(|word| word.parse::<u64>().ok());
    field(11).zip(field(12)).map(|(user, system)| user + system).with_context(|| format!("{text:?}"))
}

/// What each of some sessions adds to the server of consoles.
fn sessions(bench: &Bench, ironwake: &Path, state: &Path, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = |name: &str| folder.path().join(name);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place("key"));
    succeed(keygen)?;
    let mut add = Command::new(ironwake);
    add.arg("--socket").arg(ours::socket(state)).args(["key", "add"]).arg(place("key.pub"));
    succeed(add)?;
    fs::create_dir(place("state"))?;
    let mut command = bench.wire.on_server(ironwake.with_file_name("ironwake-console"));
    command
        .args(["--ssh", "--listen", &format!("127.0.0.1:{SSH_PORT}"), "--host-key"])
        .arg(place("host_key"));
    command.arg("--socket").arg(ours::ssh_socket(state));
    let log = place("state").join("log");
    let server = Server::start("ironwake-console --ssh", place("state"), command)?
        .ready(|| Ok(fs::read_to_string(&log)?.contains("listens on")))?;
    let before = server.private_megabytes()?;
    let terminals = (0..SESSIONS).map(|number| visit(bench, folder.path(), &place("key"), number));
    let terminals = terminals.collect::<Result<Vec<Terminal>>>()?;
    for terminal in &terminals {
        terminal.wait("10,000")?;
    }
    let each = (server.private_megabytes()? - before) / SESSIONS as f64;
    report.add(PART, "memory of an SSH session, 10,000 machines", "MB", Goal::None, ours::NAME, each);
    drop(terminals);
    server.stop()
}

/// Logs in from a terminal of its own.
fn visit(bench: &Bench, folder: &Path, key: &Path, number: usize) -> Result<Terminal> {
    let own: PathBuf = folder.join(format!("session-{number}"));
    fs::create_dir(&own)?;
    let mut ssh = bench.wire.on_server("ssh");
    ssh.args(["-tt", "-p", &SSH_PORT.to_string(), "-o", "StrictHostKeyChecking=no"]);
    ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i"])
        .arg(key)
        .arg("127.0.0.1");
    let words = std::iter::once(ssh.get_program()).chain(ssh.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    if words.iter().any(|word| word.contains([' ', '\''])) {
        bail!("{words:?} cannot be a line of a shell as it is");
    }
    Terminal::open(&own, SIZE, &words.join(" "))
}
