//! A connection that counts what the kernel took, and ends when its client stops reading. Bytes that are
//! mapped from a file go from the page cache to the socket without passing through this process.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::artifacts::file_behind;

/// How long a client may take nothing while bytes wait for it. Firmware that unpacks a kernel pauses for
/// seconds; a machine that was switched off never comes back.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Shorter slices are copied: one call with the head beside them costs less than two.
const SEND_FILE_BYTES_MIN: usize = 64 << 10;

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

    /// Has `attempt` write once the socket takes bytes.
    fn poll_attempt(
        &mut self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut(&TcpStream) -> nix::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(context) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return self.wait(context),
            }
            let stream = &self.stream;
            match stream.try_io(Interest::WRITABLE, || attempt(stream).map_err(io::Error::from)) {
                Ok(written) => return self.count(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
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
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(Ok(written)) => self.count(written),
            Poll::Pending => self.wait(context),
            failed => failed,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match parts {
            [file, ..] if let Some((source, offset)) = large_file(file) => {
                return self.poll_attempt(context, |stream| {
                    let mut offset = offset as i64;
                    match sendfile64(stream, &source, Some(&mut offset), file.len()) {
                        // A file that is shorter than its map would be asked for again for ever.
                        Ok(0) => Err(nix::Error::EIO),
                        sent => sent,
                    }
                });
            }
            [head, file, ..] if large_file(file).is_some() => {
                // More follows at once: the head must not leave in a segment of its own.
                let flags =
                    MsgFlags::from_bits_retain(libc::MSG_MORE | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
                return self.poll_attempt(context, |stream| send(stream.as_raw_fd(), head, flags));
            }
            _ => {}
        }
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

fn large_file(bytes: &[u8]) -> Option<(Arc<File>, u64)> {
    if bytes.len() < SEND_FILE_BYTES_MIN { None } else { file_behind(bytes) }
}
