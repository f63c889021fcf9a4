//! The operator's side of a shell on a machine in rescue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use ironwake_api::SHELL_PROTOCOL;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::Closing;
use super::extract::{Operator, Path};
use super::machines::{find, to_its_end};
use super::problem::{Conflict, NotFound, Refusal};
use crate::serve::http::wants_shell;
use crate::site::{SharedSite, Shell, ShellTraffic};

/// A shell over which nothing goes for so long is closed: whoever left it open is at lunch.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// Bytes taken over at once.
const PIECE_BYTES: usize = 16 << 10;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(open))
}

/// Opens a shell on a machine in rescue. Needs `Upgrade: ironwake-shell`; the connection then carries the frames of that
/// protocol between the operator and the machine's agent. Who opened it is an event, and so is its end; what goes over it
/// is not kept.
#[utoipa::path(post, path = "/api/v1/machines/{key}/shell", tag = "operations", operation_id = "machine_shell",
    params(("key" = String, Path)),
    responses((status = 101, description = "The connection is the shell's"), NotFound, Conflict))]
async fn open(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Operator(actor): Operator,
    closing: Option<Extension<Closing>>,
    request: Request,
) -> Result<Response, Refusal> {
    let machine = find(&site, &key)?;
    if !wants_shell(request.headers()) {
        let detail = format!("this needs `Upgrade: {SHELL_PROTOCOL}`");
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail));
    }
    let upgrade = hyper::upgrade::on(request);
    let opening = site.clone();
    let shell = to_its_end(async move { opening.open_shell(&machine.id, actor).await }).await?;
    let closing = closing.map_or_else(CancellationToken::new, |Extension(Closing(token))| token);
    tokio::spawn(async move {
        let Shell { wire, ended, note, .. } = shell;
        let traffic = match upgrade.await {
            Ok(upgraded) => relay(TokioIo::new(upgraded), wire, &ended, &closing, IDLE_MAX).await,
            Err(_) => ShellTraffic { sent_bytes: 0, received_bytes: 0, reason: "the operator left" },
        };
        if let Err(error) = site.shell_closed(note, traffic).await {
            tracing::warn!(%error, "that a shell was closed was not noted");
        }
    });
    let upgraded = [(header::CONNECTION, "upgrade"), (header::UPGRADE, SHELL_PROTOCOL)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgraded).into_response())
}

/// Hands bytes from one to the other until one of them ends.
async fn relay(
    operator: impl AsyncRead + AsyncWrite + Unpin,
    machine: impl AsyncRead + AsyncWrite + Unpin,
    ended: &CancellationToken,
    closing: &CancellationToken,
    idle_max: Duration,
) -> ShellTraffic {
    let (sent, received, moved) = (AtomicU64::new(0), AtomicU64::new(0), Notify::new());
    let (from_operator, to_operator) = tokio::io::split(operator);
    let (from_machine, to_machine) = tokio::io::split(machine);
    let idle = async { while tokio::time::timeout(idle_max, moved.notified()).await.is_ok() {} };
    let reason = tokio::select! {
        () = carry(from_machine, to_operator, &received, &moved) => "the machine ended it",
        () = carry(from_operator, to_machine, &sent, &moved) => "the operator left",
        () = ended.cancelled() => "the operation ended",
        () = closing.cancelled() => "the daemon ended",
        () = idle => "nothing was typed or shown for half an hour",
    };
    ShellTraffic {
        sent_bytes: sent.load(Ordering::Relaxed),
        received_bytes: received.load(Ordering::Relaxed),
        reason,
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
    moved: &Notify,
) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        moved.notify_one();
        if to.write_all(&piece[..length]).await.is_err() || to.flush().await.is_err() {
            return;
        }
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shell_that_nobody_uses_is_closed_and_its_bytes_are_counted() {
        let (operator, mut operator_end) = tokio::io::duplex(64);
        let (machine, mut machine_end) = tokio::io::duplex(64);
        let (ended, closing) = (CancellationToken::new(), CancellationToken::new());
        let relaying = tokio::spawn(async move {
            relay(operator, machine, &ended, &closing, Duration::from_millis(50)).await
        });
        let mut bytes = [0; 5];
        operator_end.write_all(b"hello").await.expect("sent");
        machine_end.read_exact(&mut bytes).await.expect("received");
        machine_end.write_all(b"yes").await.expect("sent");
        operator_end.read_exact(&mut bytes[..3]).await.expect("received");
        assert_eq!(&bytes, b"yeslo");
        let traffic = relaying.await.expect("the relay ends");
        assert_eq!((traffic.sent_bytes, traffic.received_bytes), (5, 3));
        assert!(traffic.reason.contains("half an hour"), "{}", traffic.reason);
    }

    #[tokio::test]
    async fn each_end_ends_the_shell() {
        let check = async |end: fn(&CancellationToken, &CancellationToken), expected: &str| {
            let (operator, operator_end) = tokio::io::duplex(64);
            let (machine, _machine_end) = tokio::io::duplex(64);
            let (ended, closing) = (CancellationToken::new(), CancellationToken::new());
            end(&ended, &closing);
            if expected.contains("operator") {
                drop(operator_end);
            }
            assert_eq!(relay(operator, machine, &ended, &closing, IDLE_MAX).await.reason, expected);
        };
        check(|ended, _| ended.cancel(), "the operation ended").await;
        check(|_, closing| closing.cancel(), "the daemon ended").await;
        check(|_, _| {}, "the operator left").await;
    }
}
