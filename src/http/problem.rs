//! Refusals as RFC 9457 problem documents.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ironwake_api::{FieldProblem, Problem};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};

use crate::serve::http::{problem, site_problem, store_problem};
use crate::site::SiteError;
use crate::store::StoreError;

/// RFC 9457, section 3.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// What is said with 401 (RFC 6750, section 3), unless no token was shown at all.
const TOKEN_NOT_GOOD: &str = "Bearer realm=\"ironwake\", error=\"invalid_token\"";

/// A refusal on its way to the client.
#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

impl Refusal {
    /// `code` is stable: programs rely on it.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(problem(status, code, detail)))
    }

    /// Names the fields that are wrong.
    pub fn fields(mut self, errors: Vec<FieldProblem>) -> Self {
        self.0.errors = errors;
        self
    }

    /// A value of the query that is not possible.
    pub fn query(field: &str, message: String) -> Self {
        let detail = format!("{field}: {message}");
        let errors = vec![FieldProblem { field: field.to_owned(), message }];
        Self::new(StatusCode::BAD_REQUEST, "bad_query", detail).fields(errors)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), detail = self.0.detail, "request failed");
        }
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        let mut response = (status, [(header::CONTENT_TYPE, media_type)], axum::Json(self.0)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(TOKEN_NOT_GOOD));
        }
        response
    }
}

impl From<SiteError> for Refusal {
    fn from(error: SiteError) -> Self {
        Self(Box::new(site_problem(error)))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self(Box::new(store_problem(&error)))
    }
}

/// A problem document as a response of the OpenAPI document.
pub(super) fn documented(description: &str) -> RefOr<utoipa::openapi::Response> {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build().into()
}

macro_rules! documented_problems {
    ($($name:ident $status:literal $description:literal;)*) => {$(
        #[doc = $description]
        pub(super) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
                BTreeMap::from([($status.to_owned(), documented($description))])
            }
        }
    )*};
}

documented_problems! {
    BadRequest "400" "The query, the path or the JSON cannot be read; `detail` says where.";
    NotFound "404" "Nothing has this key or number.";
    Conflict "409" "Another machine has this name or identity, or the state does not allow it.";
    NoSystem "503" "systemd of this host is out of reach, or has no such service; `detail` says what is missing.";
    Invalid "422" "Fields are wrong; `errors` names each.";
}
