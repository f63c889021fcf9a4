//! Requests as machines send them: each from an address of its own, of which loopback has millions.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

/// A daemon that says nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    body: Vec<u8>,
}

impl Answer {
    /// Its body as text; only where that is asked for, for kernels are none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of a success as JSON.
    pub fn json(&self) -> Result<Value> {
        if self.status >= 300 {
            bail!("{}: {}", self.status, self.text());
        }
        serde_json::from_slice(&self.body).with_context(|| format!("{} is no JSON", self.text()))
    }
}

/// Sends one request from an address of loopback, and reads to the end of the answer.
pub async fn request(
    server: SocketAddr,
    from: Ipv4Addr,
    line: &str,
    bearer: Option<&str>,
    body: Option<&Value>,
) -> Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let bearer = bearer.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{bearer}\r\n",
        body.len()
    );
    let exchange = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let mut stream = socket.connect(server).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(SILENCE_MAX, exchange).await.with_context(|| format!("{line}: no answer"))?;
    let mut answer = answer.with_context(|| line.to_owned())?;
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without an end")?;
    let status = std::str::from_utf8(&answer[..split])?.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.context("an answer without a status")?;
    Ok(Answer { status, body: answer.split_off(split + 4) })
}
