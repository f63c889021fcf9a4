//! The agent's side of a shell: it asks whether one is wanted, and where that is so, the connection becomes it.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ironwake_api::SHELL_PROTOCOL;

use super::answer::{self, nothing, refusal};
use super::body::Body;
use super::boot_v1::bearer;
use super::problem::site_problem;
use super::service::{Peer, Service};

/// How long a question is held open; the agent asks again. Shorter than what proxies and address translation keep.
const WANTED_WAIT: Duration = Duration::from_secs(30);

/// Whether a request wants to go on as a shell.
pub(crate) fn wants_shell(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(SHELL_PROTOCOL.as_bytes()))
}

/// The operation of the path of a shell.
pub(super) fn shell_of(path: &str) -> Option<&str> {
    path.strip_prefix("boot/v1/operations/")?.strip_suffix("/shell").filter(|id| !id.contains('/'))
}

impl Service {
    pub(super) async fn shell(
        &self,
        mut request: Request<Incoming>,
        id: &str,
        peer: &Peer,
    ) -> Response<Body> {
        if request.method() != Method::POST {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed here");
        }
        if !wants_shell(request.headers()) {
            let reason = format!("this needs `Upgrade: {SHELL_PROTOCOL}`");
            return refusal(StatusCode::UPGRADE_REQUIRED, &reason);
        }
        let token = match bearer(request.headers()) {
            Ok((named, token)) if named == id => token,
            Ok(_) => return refusal(StatusCode::UNAUTHORIZED, "the token is for another operation"),
            Err(refused) => return *refused,
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let wish = tokio::select! {
            wish = self.backend.site.shell_wanted(id, &token, peer.from, WANTED_WAIT) => wish,
            () = self.shutdown.cancelled() => Ok(None),
        };
        let wish = match wish {
            Ok(Some(wish)) => wish,
            Ok(None) => return nothing(),
            Err(error) => return answer::problem(&site_problem(error)),
        };
        tokio::spawn(async move {
            match upgrade.await {
                // An operator who has gone lets it fall, which ends the connection.
                Ok(upgraded) => drop(wish.send(Box::new(TokioIo::new(upgraded)))),
                Err(error) => tracing::debug!(%error, "a shell's connection did not come about"),
            }
        });
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(SHELL_PROTOCOL));
        response
    }
}
