//! The operator's side of a shell on a machine in rescue.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use ironwake_api::SHELL_PROTOCOL;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::{Closing, closed};
use super::extract::{Operator, Path};
use super::machines::find;
use super::problem::{Conflict, NotFound, Refusal};
use crate::serve::http::wants_shell;
use crate::site::{SharedSite, Shell, ShellTraffic, Standing};

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
    standing: Option<Extension<Standing>>,
    request: Request,
) -> Result<Response, Refusal> {
    let machine = find(&site, &key)?;
    if !wants_shell(request.headers()) {
        let detail = format!("this needs `Upgrade: {SHELL_PROTOCOL}`");
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail));
    }
    // It fails once the connection is gone, whenever that is.
    let upgrade = hyper::upgrade::on(request);
    let (answer, answered) = oneshot::channel();
    let opening = site.clone();
    site.spawn_shell(async move {
        let mut closed = pin!(closed(closing, standing));
        let shell = match opening.open_shell(&machine.id, actor, closed.as_mut()).await {
            Ok(shell) => shell,
            // An operator who has gone does not hear it.
            Err(error) => return drop(answer.send(Err(error))),
        };
        let _ = answer.send(Ok(()));
        let Shell { wire, ended, note } = shell;
        let traffic = match upgrade.await {
            Ok(upgraded) => relay(TokioIo::new(upgraded), wire, &ended, closed, IDLE_MAX).await,
            Err(_) => ShellTraffic { sent_bytes: 0, received_bytes: 0, reason: "the operator left" },
        };
        if let Err(error) = opening.shell_closed(note, traffic).await {
            tracing::warn!(%error, "that a shell was closed was not noted");
        }
    });
    let fault = |_| {
        let detail = "opening the shell met a fault of the daemon; its log has more";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    };
    answered.await.map_err(fault)??;
    let upgraded = [(header::CONNECTION, "upgrade"), (header::UPGRADE, SHELL_PROTOCOL)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgraded).into_response())
}

/// Hands bytes from one to the other until one of them ends, or `closed` gives the reason to end both.
async fn relay(
    operator: impl AsyncRead + AsyncWrite + Unpin,
    machine: impl AsyncRead + AsyncWrite + Unpin,
    ended: &CancellationToken,
    closed: impl Future<Output = &'static str>,
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
        reason = closed => reason,
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
    use std::future::pending;
    use std::net::{IpAddr, Ipv4Addr};

    use axum::Router;
    use ironwake_api::{Actor, EventKind, Scope, ShellFrame, TokenNew};
    use tokio::io::DuplexStream;

    use super::*;
    use crate::http::listen::Connection;
    use crate::http::peer::Peer;
    use crate::http::router;
    use crate::site::tests::shells::site_in_rescue;
    use crate::site::{SHELLS_MAX, Wish};

    /// Where the agent took the work.
    const AGENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const WAIT: Duration = Duration::from_secs(60);

    /// The API of a site with a machine in rescue.
    struct Rescue {
        site: SharedSite,
        router: Router,
        shutdown: CancellationToken,
        machine: String,
        operation: String,
        work: String,
        _state: tempfile::TempDir,
    }

    impl Rescue {
        async fn new() -> Self {
            let (site, machine, operation, work, _state) = site_in_rescue().await;
            let router = router(site.clone());
            Self { site, router, shutdown: CancellationToken::new(), machine, operation, work, _state }
        }

        /// A connection on which a shell was asked for.
        async fn ask(&self, peer: Peer, more: &str) -> DuplexStream {
            let (mut operator, stream) = tokio::io::duplex(4096);
            let connection = Connection { router: self.router.clone(), shutdown: self.shutdown.clone() };
            tokio::spawn(connection.serve(stream, peer));
            let request = format!(
                "POST /api/v1/machines/{}/shell HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n\
                 Upgrade: {SHELL_PROTOCOL}\r\nContent-Length: 0\r\n{more}\r\n",
                self.machine
            );
            operator.write_all(request.as_bytes()).await.expect("sent");
            operator
        }

        /// What the agent hears of it.
        async fn wish(&self) -> Wish {
            let wish = self.site.shell_wanted(&self.operation, &self.work, AGENT, WAIT).await;
            wish.expect("heard").expect("a wish")
        }

        /// Both ends of a shell.
        async fn open(&self, peer: Peer, more: &str) -> (DuplexStream, DuplexStream) {
            let mut operator = self.ask(peer, more).await;
            let machine = answer(self.wish().await).await;
            let head = head(&mut operator).await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            (operator, machine)
        }

        /// How many shells were opened, and why those ended that did.
        async fn noted(&self) -> (usize, Vec<String>) {
            let events = self.site.store().events_after(0, None, 1000).await.expect("events");
            let opened = |kind: &EventKind| matches!(kind, EventKind::ShellOpened { .. });
            let opened = events.iter().filter(|event| opened(&event.kind)).count();
            let closed = events.into_iter().filter_map(|event| match event.kind {
                EventKind::ShellClosed { reason, .. } => Some(reason),
                _ => None,
            });
            (opened, closed.collect())
        }
    }

    /// The agent takes a wish up.
    async fn answer(wish: Wish) -> DuplexStream {
        let (wire, mut end) = tokio::io::duplex(1024);
        assert!(wish.send(Box::new(wire)).is_ok(), "the operator waits");
        end.write_all(&ShellFrame::Ready.encode()).await.expect("sent");
        end
    }

    /// The head of an answer.
    async fn head(stream: &mut DuplexStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        String::from_utf8(head).expect("text")
    }

    fn anna() -> Peer {
        Peer::Operator("anna".into())
    }

    #[tokio::test]
    async fn shells_of_a_machine_are_limited_for_as_long_as_they_are_open() {
        let rescue = Rescue::new().await;
        let mut open = Vec::new();
        for _ in 0..SHELLS_MAX {
            open.push(rescue.open(anna(), "").await);
        }
        let refused = head(&mut rescue.ask(anna(), "").await).await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        let mut events = rescue.site.store().subscribe();
        open.pop();
        let (_operator, _machine) = loop {
            let event = tokio::time::timeout(WAIT, events.recv()).await.expect("in time").expect("an event");
            if matches!(event.kind, EventKind::ShellClosed { .. }) {
                break rescue.open(anna(), "").await;
            }
        };
        assert_eq!(rescue.noted().await.0, SHELLS_MAX + 1);
    }

    #[tokio::test]
    async fn a_shell_ends_with_the_token_that_opened_it() {
        let rescue = Rescue::new().await;
        let new = TokenNew { name: "ci".into(), scope: Scope::Operator, expires_secs: None };
        let root = || Actor::Operator("root".into());
        let secret = rescue.site.make_token(new, root()).await.expect("a token").secret;
        let header = format!("Authorization: Bearer {secret}\r\n");
        let remote = Peer::Remote(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (mut operator, mut machine) = rescue.open(remote, &header).await;
        rescue.site.revoke_token("ci", root()).await.expect("revoked");
        let both = async { (operator.read(&mut [0]).await, machine.read(&mut [0]).await) };
        let (operator, machine) = tokio::time::timeout(WAIT, both).await.expect("it ends");
        assert_eq!((operator.expect("closed"), machine.expect("closed")), (0, 0));
        rescue.site.shells_ended().await;
        assert_eq!(rescue.noted().await, (1, vec!["the operator's token is good no more".to_owned()]));
    }

    #[tokio::test]
    async fn what_is_opened_for_an_operator_who_has_gone_is_closed() {
        let rescue = Rescue::new().await;
        let operator = rescue.ask(anna(), "").await;
        let wish = rescue.wish().await;
        drop(operator);
        let _machine = answer(wish).await;
        rescue.site.shells_ended().await;
        assert_eq!(rescue.noted().await, (1, vec!["the operator left".to_owned()]));
    }

    #[tokio::test]
    async fn the_end_of_the_daemon_is_noted_and_ends_the_wait_for_an_agent() {
        let rescue = Rescue::new().await;
        let (_operator, _machine) = rescue.open(anna(), "").await;
        let mut waiting = rescue.ask(anna(), "").await;
        let _wish = rescue.wish().await;
        rescue.shutdown.cancel();
        rescue.site.shells_ended().await;
        assert_eq!(rescue.noted().await, (1, vec!["the daemon ended".to_owned()]));
        let refused = head(&mut waiting).await;
        assert!(refused.starts_with("HTTP/1.1 409 "), "{refused}");
    }

    #[tokio::test]
    async fn a_shell_that_nobody_uses_is_closed_and_its_bytes_are_counted() {
        let (operator, mut operator_end) = tokio::io::duplex(64);
        let (machine, mut machine_end) = tokio::io::duplex(64);
        let ended = CancellationToken::new();
        let relaying = tokio::spawn(async move {
            relay(operator, machine, &ended, pending(), Duration::from_millis(50)).await
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
            let closed = closed(Some(Extension(Closing(closing))), None);
            assert_eq!(relay(operator, machine, &ended, closed, IDLE_MAX).await.reason, expected);
        };
        check(|ended, _| ended.cancel(), "the operation ended").await;
        check(|_, closing| closing.cancel(), "the daemon ended").await;
        check(|_, _| {}, "the operator left").await;
    }
}
