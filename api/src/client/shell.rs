//! A shell on a machine: a request whose connection goes on as the shell's.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::calls::machine_path;
use super::{Client, ClientError, protocol, read, refusal};
use crate::{SHELL_PROTOCOL, ShellFrame, ShellFrames};

/// Bytes taken in at once.
const PIECE_BYTES: usize = 16 << 10;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a shell says.
pub struct ShellReader {
    stream: ReadHalf<Box<dyn Stream>>,
    frames: ShellFrames,
}

/// Where a shell is told.
pub struct ShellWriter(WriteHalf<Box<dyn Stream>>);

impl Client {
    /// Opens a shell on a machine in rescue. The first frame to send is [`ShellFrame::Start`].
    pub async fn shell(&self, key: &str) -> Result<(ShellReader, ShellWriter), ClientError> {
        let stream = self.connect().await?;
        let request =
            Request::builder().method(Method::POST).uri(format!("/api/v1{}", machine_path(key, "/shell")));
        let request = self
            .introduced(request)
            .header("connection", "upgrade")
            .header("upgrade", SHELL_PROTOCOL)
            .body(Full::new(Bytes::new()))
            .map_err(|error| protocol("write the request", &error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| protocol("speak HTTP", &error))?;
        tokio::spawn(connection.with_upgrades());
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| protocol("send the request", &error))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (status, body) = read(answer).await?;
            return Err(refusal(status, &body));
        }
        let upgraded =
            hyper::upgrade::on(answer).await.map_err(|error| protocol("open the shell", &error))?;
        let stream: Box<dyn Stream> = Box::new(TokioIo::new(upgraded));
        let (read, write) = tokio::io::split(stream);
        Ok((ShellReader { stream: read, frames: ShellFrames::default() }, ShellWriter(write)))
    }
}

impl ShellReader {
    /// The next frame; `None` at the connection's end. May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Result<Option<ShellFrame>, ClientError> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let frame = self.frames.next_frame();
            if let Some(frame) = frame.map_err(|error| ClientError::Protocol(error.to_string()))? {
                return Ok(Some(frame));
            }
            match self.stream.read(&mut piece).await {
                Ok(0) => return Ok(None),
                Ok(length) => self.frames.push(&piece[..length]),
                Err(error) => return Err(protocol("read from the shell", &error)),
            }
        }
    }
}

impl ShellWriter {
    /// Sends a frame.
    pub async fn send(&mut self, frame: &ShellFrame) -> Result<(), ClientError> {
        let sent = async {
            self.0.write_all(&frame.encode()).await?;
            self.0.flush().await
        };
        sent.await.map_err(|error| protocol("write to the shell", &error))
    }
}
