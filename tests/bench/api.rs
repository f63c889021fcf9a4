//! The operators' API, asked over one of the daemon's Unix sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// A daemon that takes longer over one request hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A connection, which takes one request after the other.
pub struct Connection {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Connection {
    /// Connects.
    pub fn open(socket: &Path) -> Result<Self> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("connect to {}", socket.display()))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let answers = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, answers })
    }

    /// Sends a request below `/api/v1`; status and body of the answer.
    pub fn ask(&mut self, method: &str, path: &str, body: &Value) -> Result<(u16, String)> {
        let body = body.to_string();
        write!(
            self.stream,
            "{method} /api/v1{path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
        )?;
        answer(&mut self.answers)
    }
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
