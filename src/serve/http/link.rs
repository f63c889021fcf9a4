//! A connection that counts what the kernel took, and ends when its client stops reading.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may take nothing while bytes wait for it. Firmware that unpacks a kernel pauses for
/// seconds; a machine that was switched off never comes back.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Bytes that the kernel took on one connection.
pub(super) type Written = Arc<AtomicU64>;

pub(super) struct Link {
    stream: TcpStream,
    written: Written,
    /// Made at the first wait; runs while `stalled`.
    stall: Option<Pin<Box<Sleep>>>,
    stalled: bool,
}

impl Link {
    pub fn new(stream: TcpStream) -> (Self, Written) {
        let written = Written::default();
        (Self { stream, written: written.clone(), stall: None, stalled: false }, written)
    }

    fn count(&mut self, written: usize) -> Poll<io::Result<usize>> {
        self.stalled = false;
        self.written.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL_MAX)));
        if !self.stalled {
            stall.as_mut().reset(Instant::now() + STALL_MAX);
            self.stalled = true;
        }
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")))
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(Ok(written)) => self.count(written),
            Poll::Pending => self.wait(context),
            failed => failed,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, parts) {
            Poll::Ready(Ok(written)) => self.count(written),
            Poll::Pending => self.wait(context),
            failed => failed,
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
