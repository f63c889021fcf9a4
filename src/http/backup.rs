//! Backup and restore: streams of bytes, the one out of a thread that may block, the other into one.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes};
use futures_util::stream;
use ironwake_api::{
    BACKUP_MEDIA_TYPE, BACKUP_SIZE_HEADER, BackupNew, PASSPHRASE_BYTES_MAX, PASSPHRASE_HEADER, RestoreQuery,
    Restored, Secret,
};
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::artifacts::{discard, forward};
use super::extract::{Json, Operator, Query};
use super::guard::while_good;
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NoSystem, Refusal};
use crate::backup::{BackupError, BrokenOff};
use crate::site::{Sending, SharedSite, SiteError, Standing};
use crate::store::StoreError;

/// Pieces between the thread and the connection.
const PIECES_WAITING_MAX: usize = 16;
/// Bytes that are sent at once.
const PIECE_BYTES: usize = 256 << 10;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(back_up)).routes(routes!(restore))
}

/// Makes a backup of everything that makes this appliance what it is, consistent while it serves: a tar, encrypted with the
/// passphrase as age(1) does. Its first file, `backup.json`, lists the others with their digests. An answer that
/// breaks off is no backup.
#[utoipa::path(post, path = "/api/v1/backup", tag = "system", operation_id = "backup", request_body = BackupNew,
    responses(
        (status = 200, content_type = "application/age", description = "The backup"),
        BadRequest, Conflict, Invalid, NoSystem
    ))]
async fn back_up(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    standing: Option<Extension<Standing>>,
    Json(new): Json<BackupNew>,
) -> Result<Response, Refusal> {
    let sending = to_its_end(async move { site.back_up(new, actor).await }).await?;
    let size = sending.bytes();
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING_MAX);
    tokio::task::spawn_blocking(move || send(sending, pieces));
    let standing = standing.map(|Extension(standing)| standing);
    let body = Body::from_stream(stream::unfold((waiting, standing), |(mut waiting, standing)| async move {
        let piece = match &standing {
            Some(standing) => tokio::select! {
                biased;
                () = standing.ended() => Some(Err(io::Error::other("the token has ended"))),
                piece = waiting.recv() => piece,
            },
            None => waiting.recv().await,
        };
        Some((piece?, (waiting, standing)))
    }));
    let headers = [
        ("content-type", HeaderValue::from_static(BACKUP_MEDIA_TYPE)),
        (BACKUP_SIZE_HEADER, HeaderValue::from(size)),
    ];
    Ok((StatusCode::OK, headers, body).into_response())
}

/// Goes on from a backup, in place of what this appliance knows. All of it is checked before any of it counts; then the
/// daemon answers, and starts again with it. Whatever was armed in it is cancelled. The header `ironwake-passphrase` has the
/// passphrase, its UTF-8 as hexadecimal digits.
#[utoipa::path(post, path = "/api/v1/restore", tag = "system", operation_id = "restore", params(RestoreQuery),
    request_body(content_type = "application/age", description = "The backup"),
    responses((status = 200, body = Restored), BadRequest, Conflict, Invalid, NoSystem))]
async fn restore(
    State(site): State<SharedSite>,
    Query(query): Query<RestoreQuery>,
    Operator(actor): Operator,
    standing: Option<Extension<Standing>>,
    request: Request,
) -> Result<axum::Json<Restored>, Refusal> {
    let standing = standing.map(|Extension(standing)| standing);
    let (parts, mut body) = request.into_parts();
    let unpacked = async {
        check_media_type(&parts.headers)?;
        let passphrase = passphrase(&parts.headers)?;
        let unpack = site.unpack_backup(passphrase, &query)?;
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING_MAX);
        let broken = Arc::new(AtomicBool::new(false));
        let reader = Pieces { waiting, broken: broken.clone(), piece: Bytes::new() };
        let unpacking = tokio::task::spawn_blocking(move || unpack(reader));
        let forwarded = while_good(standing.as_ref(), forward(&mut body, pieces.clone())).await;
        // Who reads must not take the end of what came for the end of the backup.
        broken.store(forwarded.is_err(), Ordering::Release);
        drop(pieces);
        let unpacked = unpacking.await.map_err(|_| StoreError::Closed)?;
        // Why it is not taken tells more than that the rest of it did not come.
        match (unpacked, forwarded) {
            (Err(BackupError::BrokenOff | BackupError::Damaged(_)), Err(refusal)) => Err(refusal),
            (unpacked, _) => Ok::<_, Refusal>(unpacked.map_err(SiteError::from)?),
        }
    };
    let unpacked = match unpacked.await {
        Ok(unpacked) => unpacked,
        Err(refusal) => {
            discard(body);
            return Err(refusal);
        }
    };
    Standing::check(standing.as_ref())?;
    let restored = async move { site.restore(unpacked, &query, actor).await };
    Ok(axum::Json(to_its_end(restored).await?))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()) {
        None | Some(b"application/age" | b"application/octet-stream") => Ok(()),
        Some(found) => {
            let found = String::from_utf8_lossy(found);
            let detail = format!("content type {found:?}: expected {BACKUP_MEDIA_TYPE}");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
        }
    }
}

/// The passphrase of a request.
fn passphrase(headers: &HeaderMap) -> Result<Secret, Refusal> {
    let wrong = |why: &str| {
        let detail =
            format!("the header {PASSPHRASE_HEADER} {why}: it is the passphrase, as hexadecimal digits");
        Refusal::new(StatusCode::BAD_REQUEST, "bad_passphrase_header", detail)
    };
    let shown = headers.get(PASSPHRASE_HEADER).ok_or_else(|| wrong("is missing"))?.as_bytes();
    if shown.len() % 2 != 0 || shown.len() > 2 * PASSPHRASE_BYTES_MAX {
        return Err(wrong("has too many digits, or one too few"));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> =
        shown.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    let text =
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| wrong("cannot be read"))?;
    Ok(Secret(text))
}

/// Writes a backup to a channel, and what it failed with at its end, so that nobody takes that for a backup.
fn send(sending: Sending, pieces: mpsc::Sender<io::Result<Bytes>>) {
    let sink = io::BufWriter::with_capacity(PIECE_BYTES, Sink(pieces.clone()));
    if let Err(error) = sending.write_to(sink) {
        tracing::warn!(%error, "a backup was not sent to its end");
        let _ = pieces.blocking_send(Err(io::Error::other(error)));
    }
}

struct Sink(mpsc::Sender<io::Result<Bytes>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes it any more");
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What comes, as a reader on a thread that may block.
struct Pieces {
    waiting: mpsc::Receiver<Bytes>,
    /// What came is not all.
    broken: Arc<AtomicBool>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.waiting.blocking_recv() {
                Some(piece) => self.piece = piece,
                None if self.broken.load(Ordering::Acquire) => return Err(io::Error::other(BrokenOff)),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece[..count]);
        self.piece.advance(count);
        Ok(count)
    }
}
