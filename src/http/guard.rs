//! What stands around every route: admission, the answer to a panic, and to what is no route.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use ironwake_api::{Entrance, Scope};

use super::peer::Peer;
use super::problem::Refusal;
use super::scopes;
use crate::site::{Denied, InSession, SharedSite, SiteError, Standing};

/// What is said where no token is shown (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer realm=\"ironwake\"";

/// Lets through who may do what is asked, and nobody else.
pub(super) async fn admitted(State(site): State<SharedSite>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    match peer {
        Some(Peer::Operator(_)) => next.run(request).await,
        Some(Peer::Remote(from)) => match by_token(&site, from, &mut request) {
            Ok(()) => next.run(request).await,
            Err(refused) => *refused,
        },
        Some(Peer::Viewer(entrance)) => match by_session(&site, entrance, &mut request) {
            Ok(()) => next.run(request).await,
            Err(refused) => *refused,
        },
        Some(Peer::Refused(why)) => forbidden(why),
        // A token is shown with each request; nothing else makes a peer of one.
        Some(Peer::Token(..) | Peer::Session(_)) | None => forbidden("the connection has no credentials"),
    }
}

/// Takes up the session that a request shows, where people log in. Without one they may look.
fn by_session(site: &SharedSite, entrance: Entrance, request: &mut Request) -> Result<(), Box<Response>> {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let is = |(method, path): (&Method, &str)| request.method() == method && route.as_deref() == Some(path);
    let (logs_in, sets_password) = (is(scopes::LOGIN), is(scopes::PASSWORD));
    let demanded = scopes::demanded(request.method(), route.as_deref());
    let held = match bearer(request.headers()).map(|shown| site.in_session(entrance, shown)) {
        Some(Ok(held)) => Some(held),
        // Who logs in anew need not have noticed that the session before is over.
        Some(Err(_)) if logs_in => None,
        Some(Err(ended)) => return Err(Box::new(Refusal::from(ended).into_response())),
        None => None,
    };
    let may = match &held {
        Some(InSession { session, .. }) => {
            scopes::session_may(session.with, session.scope, request.method(), route.as_deref())
        }
        None => demanded <= Scope::Viewer,
    };
    // Whoever stands in front of an appliance without a password is the one to set it; the site looks once more.
    let first = held.is_none() && entrance == Entrance::Console && sets_password && !site.has_password();
    let peer = match held {
        Some(held) => {
            // Reading is no sign of somebody who is there: consoles read by themselves.
            if demanded > Scope::Viewer && may && !request.method().is_safe() {
                site.renew_session(&held.id);
            }
            request.extensions_mut().insert(held.standing.clone());
            Peer::Session(Box::new(held))
        }
        None => Peer::Viewer(entrance),
    };
    if !may && !first {
        let asked = (request.method(), request.uri().path());
        return Err(Box::new(locked(scopes::locked(&peer, asked, demanded))));
    }
    request.extensions_mut().insert(peer);
    Ok(())
}

/// With 401, how to log in is asked for as with tokens.
fn locked(refusal: Refusal) -> Response {
    let mut response = refusal.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    response
}

/// Takes up the token that a request shows.
fn by_token(site: &SharedSite, from: IpAddr, request: &mut Request) -> Result<(), Box<Response>> {
    let admitted = site.admit(from, bearer(request.headers())).map_err(denied)?;
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let demanded = scopes::demanded(request.method(), route);
    if admitted.scope < demanded {
        let (method, path) = (request.method(), request.uri().path());
        let detail = format!(
            "{method} {path} needs a token of scope {demanded}, and {} has scope {}",
            admitted.name, admitted.scope
        );
        return Err(Box::new(Refusal::new(StatusCode::FORBIDDEN, "scope", detail).into_response()));
    }
    request.extensions_mut().insert(Peer::Token(admitted.name, admitted.scope));
    request.extensions_mut().insert(admitted.standing);
    Ok(())
}

/// Waits for what a client sends, as long as the token or session is good that it was admitted by.
pub(super) async fn while_good<T>(
    standing: Option<&Standing>,
    coming: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let Some(standing) = standing else { return coming.await };
    tokio::select! {
        biased;
        () = standing.ended() => Err(SiteError::TokenEnded.into()),
        came = coming => came,
    }
}

/// What a request shows as its token (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn denied(denied: Denied) -> Box<Response> {
    let detail = denied.to_string();
    Box::new(match denied {
        Denied::Missing => {
            let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
            let challenge = HeaderValue::from_static(CHALLENGE);
            ([(header::WWW_AUTHENTICATE, challenge)], refusal).into_response()
        }
        Denied::Wrong | Denied::Expired { .. } => {
            Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response()
        }
        Denied::Slowed { secs } => {
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "slowed_down", detail);
            ([(header::RETRY_AFTER, HeaderValue::from(secs))], refusal).into_response()
        }
    })
}

fn forbidden(detail: impl Into<String>) -> Response {
    Refusal::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response()
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
