//! Errors for programs (RFC 9457): how refusals of the site and the store read, for agents and operators alike.

use hyper::StatusCode;
use ironwake_api::Problem;

use crate::artifacts::ImportError;
use crate::backup::BackupError;
use crate::site::SiteError;
use crate::store::StoreError;
use crate::systemd::BusError;

/// A problem of this status; `code` is stable, since programs rely on it.
pub fn problem(status: StatusCode, code: &str, detail: impl Into<String>) -> Problem {
    Problem::new(status.as_u16(), status.canonical_reason().unwrap_or("Error"), code, detail)
}

/// How a refusal of the site reads.
pub fn site_problem(error: SiteError) -> Problem {
    let (status, code) = match &error {
        SiteError::NoSuchMachine(_) => (StatusCode::NOT_FOUND, "no_such_machine"),
        SiteError::NoSuchOperation(_) => (StatusCode::NOT_FOUND, "no_such_operation"),
        SiteError::NoSuchWebhook(_) => (StatusCode::NOT_FOUND, "no_such_webhook"),
        SiteError::NoSuchProfile(_) => (StatusCode::NOT_FOUND, "no_such_profile"),
        SiteError::NoSuchBuild(_) => (StatusCode::NOT_FOUND, "no_such_build"),
        SiteError::NoSuchArtifact(_) => (StatusCode::NOT_FOUND, "no_such_artifact"),
        SiteError::NoSuchFile(_) => (StatusCode::NOT_FOUND, "no_such_file"),
        SiteError::Import(error) => import_status(error),
        SiteError::Unauthorized(_) | SiteError::TokenEnded => (StatusCode::UNAUTHORIZED, "unauthorized"),
        SiteError::LoginRefused(_) => (StatusCode::UNAUTHORIZED, "login_refused"),
        SiteError::LoginSlowed { .. } => (StatusCode::TOO_MANY_REQUESTS, "slowed_down"),
        SiteError::NoPassword => (StatusCode::CONFLICT, "no_password"),
        SiteError::SessionEnded => (StatusCode::UNAUTHORIZED, "session_ended"),
        SiteError::Password(_) => (StatusCode::INTERNAL_SERVER_ERROR, "password"),
        SiteError::NoSuchToken(_) => (StatusCode::NOT_FOUND, "no_such_token"),
        SiteError::NoSuchSshKey(_) => (StatusCode::NOT_FOUND, "no_such_ssh_key"),
        SiteError::Settings(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_settings"),
        SiteError::NoRandomness(_) => (StatusCode::INTERNAL_SERVER_ERROR, "no_randomness"),
        SiteError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        SiteError::Conflict(_) | SiteError::NotMade(_) => (StatusCode::CONFLICT, "conflict"),
        // Worth asking again: an agent that writes goes on, and is heard once its address is its own.
        SiteError::AddressInDoubt(_) => (StatusCode::SERVICE_UNAVAILABLE, "address_in_doubt"),
        SiteError::TooManyCalls { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
        SiteError::Full { .. } => (StatusCode::SERVICE_UNAVAILABLE, "full"),
        SiteError::NoSuchUnit(_) => (StatusCode::NOT_FOUND, "no_such_unit"),
        SiteError::System(error) => system_status(error),
        SiteError::SystemUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "system_unavailable"),
        SiteError::SystemFile(_) => (StatusCode::INTERNAL_SERVER_ERROR, "system_file"),
        SiteError::Backup(error) => backup_status(error),
        SiteError::Store(error) => return store_problem(error),
    };
    let detail = match &error {
        SiteError::Import(error) => with_source(error.as_ref()),
        SiteError::Backup(error) => with_source(error.as_ref()),
        _ => error.to_string(),
    };
    let problem = problem(status, code, detail);
    match error {
        SiteError::Invalid(errors) => Problem { errors, ..problem },
        _ => problem,
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// The daemon asks systemd for others, as a gateway does.
fn system_status(error: &BusError) -> (StatusCode, &'static str) {
    match error {
        BusError::NoBus { .. } | BusError::NoService { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "system_unavailable")
        }
        BusError::Denied { .. } => (StatusCode::BAD_GATEWAY, "system_denied"),
        BusError::Slow { .. } => (StatusCode::GATEWAY_TIMEOUT, "system_slow"),
        BusError::Lost { .. } | BusError::Refused { .. } => (StatusCode::BAD_GATEWAY, "system_failed"),
    }
}

fn backup_status(error: &BackupError) -> (StatusCode, &'static str) {
    match error {
        BackupError::Passphrase => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_passphrase"),
        BackupError::Foreign(_) | BackupError::Damaged(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad_backup"),
        BackupError::Newer { .. } => (StatusCode::CONFLICT, "newer_backup"),
        BackupError::Settings(_) | BackupError::Credential => (StatusCode::CONFLICT, "backup_does_not_fit"),
        BackupError::BrokenOff => (StatusCode::BAD_REQUEST, "bad_body"),
        BackupError::NoRoom { .. } => (StatusCode::INSUFFICIENT_STORAGE, "no_room"),
        BackupError::Busy => (StatusCode::CONFLICT, "backup_busy"),
        BackupError::Image(_)
        | BackupError::File { .. }
        | BackupError::Private(_)
        | BackupError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "backup"),
    }
}

fn import_status(error: &ImportError) -> (StatusCode, &'static str) {
    match error {
        ImportError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "image_too_large"),
        ImportError::Empty => (StatusCode::UNPROCESSABLE_ENTITY, "image_empty"),
        ImportError::Foreign(_) | ImportError::Qcow2(_) | ImportError::WebPage => {
            (StatusCode::UNPROCESSABLE_ENTITY, "image_format")
        }
        ImportError::Signature(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad_signature"),
        ImportError::Cancelled => (StatusCode::CONFLICT, "cancelled"),
        ImportError::Mismatch { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "digest_mismatch"),
        ImportError::NoRoom { .. } | ImportError::OverLimit { .. } => {
            (StatusCode::INSUFFICIENT_STORAGE, "no_room")
        }
        ImportError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "full"),
        ImportError::File(_) => (StatusCode::INTERNAL_SERVER_ERROR, "artifact_file"),
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
