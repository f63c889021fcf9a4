//! What stands around every route: admission, the answer to a panic, and to what is no route.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::peer::Peer;
use super::problem::Refusal;

/// Lets through what the kernel vouched for, and nothing else.
pub(super) async fn admitted(request: Request, next: Next) -> Response {
    let refused = |detail: &str| Refusal::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response();
    match request.extensions().get::<Peer>() {
        Some(Peer::Operator(_)) => next.run(request).await,
        Some(Peer::Refused(why)) => refused(why),
        None => refused("the connection has no credentials"),
    }
}

/// A panic of one handler ends that request only, with an answer.
pub(super) async fn caught(request: Request, next: Next) -> Response {
    let what = format!("{} {}", request.method(), request.uri().path());
    // The site guards its own state: nothing of the request outlives the unwinding.
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(request = what, "a handler panicked");
        let detail = format!("{what} met a fault of the daemon; its log has more");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
    })
}

pub(super) async fn no_such_route(uri: Uri) -> Refusal {
    let detail = format!("there is no {}; /api/v1/openapi.json lists what there is", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, "no_such_route", detail)
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let detail = format!("{} does not know {method}; the header Allow lists what it knows", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
