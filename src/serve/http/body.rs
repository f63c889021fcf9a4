//! Bodies: slices of published bytes, sent without a copy, and the record that is made when the last
//! byte was handed to the network or the client went away.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::HeaderMap;
use ironwake_api::{ClientStage, MacAddr, StageKind};

use super::link::Written;
use crate::recorder::Observation;
use crate::site::SharedSite;

/// Bytes in one frame: enough to fill any socket buffer, small enough that an aborted fetch pins little.
const FRAME_BYTES: usize = 256 << 10;
/// The status line, and the `date` that hyper adds.
const STATUS_AND_DATE_BYTES: u64 =
    "HTTP/1.1 200 OK\r\n\r\n".len() as u64 + "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n".len() as u64;

/// The body of an answer.
#[derive(Default)]
pub struct Body {
    bytes: Bytes,
    delivery: Option<Arc<Delivery>>,
}

impl Body {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, delivery: None }
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Has the delivery recorded, once it ended.
    pub(super) fn record(&mut self, delivery: Delivery) {
        self.delivery = Some(Arc::new(delivery));
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.bytes.len().min(FRAME_BYTES);
        let bytes = self.bytes.split_to(length);
        let frame = match &self.delivery {
            Some(delivery) => Bytes::from_owner(Chunk { bytes, _delivery: delivery.clone() }),
            None => bytes,
        };
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

/// A frame on its way. hyper drops it once it is written, or with its connection.
struct Chunk {
    bytes: Bytes,
    _delivery: Arc<Delivery>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// One answer on its way; observed when it is dropped, which the last frame's end does.
pub(super) struct Delivery {
    pub site: SharedSite,
    pub from: Ipv4Addr,
    /// Where the request names its machine; otherwise the address does.
    pub mac: Option<MacAddr>,
    pub client: ClientStage,
    pub method: String,
    pub path: String,
    pub status: u16,
    pub plan: Option<String>,
    pub started: Instant,
    /// Bytes of the head, as [`head_bytes`] has it.
    pub head_bytes: u64,
    pub body_bytes: u64,
    /// The connection's count, and what it was before this answer.
    pub written: Written,
    pub written_before: u64,
}

impl Delivery {
    /// Body bytes that the kernel took: exact for whole answers, to a few bytes of the head for aborted ones.
    fn delivered(&self) -> u64 {
        let written = self.written.load(Ordering::Relaxed).saturating_sub(self.written_before);
        written.saturating_sub(self.head_bytes).min(self.body_bytes)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(mac) = self.mac.or_else(|| self.site.mac_of(self.from)) else { return };
        let kind = StageKind::Http {
            method: std::mem::take(&mut self.method),
            path: std::mem::take(&mut self.path),
            status: self.status,
            bytes: self.delivered(),
            duration_ms: self.started.elapsed().as_millis() as u64,
            plan: self.plan.take(),
        };
        let (at, client) = (self.site.now(), self.client);
        self.site.observe(Observation { at, mac, client, arch: None, kind });
    }
}

/// How long an answer's head is on the wire, at least.
pub(super) fn head_bytes(headers: &HeaderMap) -> u64 {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    STATUS_AND_DATE_BYTES + fields.sum::<usize>() as u64
}
