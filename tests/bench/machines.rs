//! Makes 10,000 machines known, through the operators' API.

use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use serde_json::json;

use super::api::Connection;

/// How many.
pub const COUNT: u32 = 10_000;
/// Requests at a time: each waits until its machine is on disk, and those that wait together share a commit.
const CONNECTIONS: u32 = 32;

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
    let mut connection = Connection::open(socket)?;
    for machine in (first..COUNT).step_by(CONNECTIONS as usize) {
        let body = json!({ "name": format!("bench-{machine}"), "macs": [mac(machine)] });
        let (status, text) = connection.ask("POST", "/machines", &body)?;
        if status != 201 {
            bail!("POST /api/v1/machines: {status}: {text}");
        }
    }
    Ok(())
}
