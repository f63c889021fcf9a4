//! Extractors whose refusals are problem documents. Their names are axum's: utoipa looks for them.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ironwake_api::Actor;
use serde::de::DeserializeOwned;

use super::BODY_BYTES_MAX;
use super::guard::while_good;
use super::peer::Peer;
use super::problem::Refusal;
use crate::site::Standing;

/// How long a client may take to send a body.
const BODY_WAIT_MAX: Duration = Duration::from_secs(30);

/// A JSON body.
pub(super) struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let media_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
        if let Some(found) = media_type.filter(|value| !is_json(value)) {
            let found = String::from_utf8_lossy(found);
            let detail = format!("content type {found:?}: expected application/json");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
        }
        let standing = request.extensions().get::<Standing>().cloned();
        let body = while_good(standing.as_ref(), whole(request.into_body())).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| bad_json(&error))
    }
}

/// A body in memory.
async fn whole(body: Body) -> Result<Bytes, Refusal> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_WAIT_MAX, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail))
        }
        Ok(Err(error)) => {
            let detail = format!("the body broke off: {error}");
            Err(Refusal::new(StatusCode::BAD_REQUEST, "bad_body", detail))
        }
        Err(_) => {
            let detail = format!("the body did not come within {} s", BODY_WAIT_MAX.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail))
        }
    }
}

fn is_json(media_type: &[u8]) -> bool {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
}

fn bad_json(error: &serde_json::Error) -> Refusal {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    // The position comes first here, as in every message about what a person typed.
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    Refusal::new(StatusCode::BAD_REQUEST, "bad_json", format!("line {line}, column {column}: {text}"))
}

/// The query string.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "bad_query", error.body_text()))
    }
}

/// What the path holds.
pub(super) struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "bad_path", error.body_text()))
    }
}

/// Who asks; admission has put it there.
pub(super) struct Operator(pub Actor);

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match parts.extensions.get::<Peer>() {
            Some(Peer::Operator(name)) => Ok(Self(Actor::Operator(name.clone()))),
            Some(Peer::Token(name, _)) => Ok(Self(Actor::Token(name.clone()))),
            Some(Peer::Session(held)) => Ok(Self(Actor::Operator(held.session.name.clone()))),
            _ => Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", "the connection has no credentials")),
        }
    }
}
