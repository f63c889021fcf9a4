//! Errors for programs (RFC 9457): how refusals of the site and the store read, for agents and operators alike.

use hyper::StatusCode;
use ironwake_api::Problem;

use crate::site::SiteError;
use crate::store::StoreError;

/// A problem of this status; `code` is stable, since programs rely on it.
pub fn problem(status: StatusCode, code: &str, detail: impl Into<String>) -> Problem {
    Problem::new(status.as_u16(), status.canonical_reason().unwrap_or("Error"), code, detail)
}

/// How a refusal of the site reads.
pub fn site_problem(error: SiteError) -> Problem {
    let (status, code) = match &error {
        SiteError::NoSuchMachine(_) => (StatusCode::NOT_FOUND, "no_such_machine"),
        SiteError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        SiteError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
        SiteError::Full { .. } => (StatusCode::SERVICE_UNAVAILABLE, "full"),
        SiteError::Store(error) => return store_problem(error),
    };
    let problem = problem(status, code, error.to_string());
    match error {
        SiteError::Invalid(errors) => Problem { errors, ..problem },
        _ => problem,
    }
}

/// How a refusal of the store reads.
pub fn store_problem(error: &StoreError) -> Problem {
    let (status, code) = match error {
        StoreError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "closing"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "store"),
    };
    problem(status, code, error.to_string())
}
