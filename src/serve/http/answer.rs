//! Answers: files, scripts, and errors, which always have a body.

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use ironwake_api::Problem;

use super::body::Body;
use super::range::{Conditions, Selection, select};
use crate::artifacts::Blob;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Scripts depend on the moment.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// A path with a digest always names the same bytes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

fn answer(status: StatusCode, content_type: HeaderValue, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(bytes));
    *response.status_mut() = status;
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(header::CONTENT_TYPE, content_type);
    // Said here and not left to hyper, so that an answer to HEAD keeps it.
    headers.insert(header::CONTENT_LENGTH, length.into());
    response
}

/// A script.
pub(super) fn script(text: String) -> Response<Body> {
    let mut response = answer(StatusCode::OK, TEXT, text.into());
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// An error for firmware and loaders: one line of text, never empty, since shim hangs on an empty 404.
pub(super) fn refusal(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = answer(status, TEXT, format!("{reason}\n").into());
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// A JSON value.
pub(super) fn json<T: serde::Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => answer(status, JSON, bytes.into()),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// 204: there is nothing, which is not an error.
pub(super) fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An error for programs.
pub(super) fn problem(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(status, PROBLEM, serde_json::to_vec(problem).unwrap_or_else(|_| b"{}".to_vec()).into())
}

/// A published file, or the part of it that the request wants. `by_digest` when its path can name
/// nothing else.
pub(super) fn file(blob: &Blob, request: &HeaderMap, ranges: bool, by_digest: bool) -> Response<Body> {
    let etag = format!("\"{}\"", blob.sha256);
    let size = blob.bytes.len() as u64;
    let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let conditions = Conditions {
        range: text(header::RANGE).filter(|_| ranges),
        if_range: text(header::IF_RANGE),
        if_none_match: text(header::IF_NONE_MATCH),
    };
    let content_type = HeaderValue::from_static(blob.media_type);
    let mut response = match select(conditions, &etag, size) {
        Selection::Whole => answer(StatusCode::OK, content_type, blob.bytes.clone()),
        Selection::Part(part) => {
            let bytes = blob.bytes.slice(part.start as usize..part.end as usize);
            let mut response = answer(StatusCode::PARTIAL_CONTENT, content_type, bytes);
            insert(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes {}-{}/{size}", part.start, part.end - 1),
            );
            response
        }
        Selection::NotModified => {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        Selection::Unsatisfiable => {
            let reason = format!("the range lies outside the {size} bytes of {}", blob.name);
            let mut response = refusal(StatusCode::RANGE_NOT_SATISFIABLE, &reason);
            insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    insert(&mut response, header::ETAG, &etag);
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if by_digest {
        response.headers_mut().insert(header::CACHE_CONTROL, IMMUTABLE);
    }
    response
}

fn insert(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    // All values here are digits and hexadecimal, which are always legal.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
