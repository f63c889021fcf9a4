//! Makes 10,000 machines known, through the operators' API.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// How many.
pub const COUNT: u32 = 10_000;
/// Requests at a time: each waits until its machine is on disk, and those that wait together share a commit.
const CONNECTIONS: u32 = 32;
/// A daemon that takes longer over one machine hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The MAC of a machine, as iPXE's `${mac:hexhyp}` spells it.
pub fn mac(machine: u32) -> String {
    let [_, _, high, low] = machine.to_be_bytes();
    format!("52-54-01-00-{high:02x}-{low:02x}")
}

/// Registers all machines and gives how many a second were registered.
pub fn register(socket: &Path) -> Result<f64> {
    let start = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..CONNECTIONS).map(|first| scope.spawn(move || register_every(socket, first))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a thread that registers panicked"))?)
    })?;
    Ok(f64::from(COUNT) / start.elapsed().as_secs_f64())
}

fn register_every(socket: &Path, first: u32) -> Result<()> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("connect to {}", socket.display()))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    for machine in (first..COUNT).step_by(CONNECTIONS as usize) {
        let body =
            serde_json::json!({ "name": format!("bench-{machine}"), "macs": [mac(machine)] }).to_string();
        write!(
            stream,
            "POST /api/v1/machines HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
        )?;
        let (status, text) = answer(&mut answers)?;
        if status != 201 {
            bail!("POST /api/v1/machines: {status}: {text}");
        }
    }
    Ok(())
}

/// Reads one answer that says how long it is.
fn answer(stream: &mut impl BufRead) -> Result<(u16, String)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("not a status line: {line:?}"))?;
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().with_context(|| format!("content-length {value}"))?;
        }
    }
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
