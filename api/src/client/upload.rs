//! A body that is read as it is sent, and the wait for its answer.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::http::request::Builder;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::JoinHandle;

use super::{Client, ClientError, parse, read, refusal};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 << 10;
/// How long nothing may move: a slow disk takes minutes for what it was handed.
pub(super) const STALL_MAX: Duration = Duration::from_secs(10 * 60);

impl Client {
    /// Sends what `reader` gives, `size` bytes where that is known, as the body of a request; the answer. `progress` is told how
    /// many bytes were handed to the connection.
    pub(super) async fn upload<T: DeserializeOwned>(
        &self,
        request: Builder,
        reader: impl AsyncRead + Send + Unpin + 'static,
        size: Option<u64>,
        progress: impl FnMut(u64) + Send + Unpin + 'static,
    ) -> Result<T, ClientError> {
        let upload = Upload::new(reader, size, progress);
        let sent = upload.sent();
        let exchanged = async {
            let (answer, connection) = self.send_body(request, upload).await?;
            // An early refusal leaves the rest unsent.
            let _connection = Connection(connection);
            read(answer).await
        };
        let (status, body) = unless_stalled(&sent, exchanged).await?;
        if status.is_success() { parse(&body) } else { Err(refusal(status, &body)) }
    }
}

/// The bytes of a reader as a request's body.
struct Upload<R, F> {
    reader: R,
    piece: Vec<u8>,
    /// What is to come, where that is known.
    left: Option<u64>,
    sent: Arc<AtomicU64>,
    progress: F,
}

impl<R, F> Upload<R, F> {
    fn new(reader: R, size: Option<u64>, progress: F) -> Self {
        Self { reader, piece: vec![0; PIECE_BYTES], left: size, sent: Arc::default(), progress }
    }

    /// How many bytes were handed to the connection.
    fn sent(&self) -> Arc<AtomicU64> {
        self.sent.clone()
    }
}

impl<R: AsyncRead + Unpin, F: FnMut(u64) + Unpin> Body for Upload<R, F> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        // What was announced is what is sent, even of a file that grows.
        let wanted = this.left.map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES as u64) as usize);
        let mut buffer = ReadBuf::new(&mut this.piece[..wanted]);
        if let Err(error) = ready!(Pin::new(&mut this.reader).poll_read(context, &mut buffer)) {
            return Poll::Ready(Some(Err(error)));
        }
        let piece = buffer.filled();
        if piece.is_empty() {
            return Poll::Ready(match this.left {
                Some(left @ 1..) => {
                    let what = format!("what was sent ended {left} bytes early");
                    Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, what)))
                }
                _ => None,
            });
        }
        let length = piece.len() as u64;
        this.left = this.left.map(|left| left - length);
        let sent = this.sent.fetch_add(length, Ordering::Relaxed) + length;
        (this.progress)(sent);
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// A connection that ends when its answer is read, whatever it still has to send.
struct Connection(JoinHandle<hyper::Result<()>>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits as long as bytes are sent.
async fn unless_stalled<T>(
    sent: &AtomicU64,
    exchange: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let mut exchange = pin!(exchange);
    let mut before = 0;
    loop {
        if let Ok(done) = tokio::time::timeout(STALL_MAX, &mut exchange).await {
            return done;
        }
        let sent = sent.load(Ordering::Relaxed);
        if sent == before {
            let what = format!("nothing moved for {} s, {sent} bytes were sent", STALL_MAX.as_secs());
            return Err(ClientError::Protocol(what));
        }
        before = sent;
    }
}
