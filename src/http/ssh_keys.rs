//! Public keys of those who may log in over SSH, and the one-time password that lets keys be added.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use ironwake_api::{OneTimePassword, SshKeyListed, SshKeyStick, SshKeysAdded, SshKeysNew};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Path};
use super::machines::to_its_end;
use super::peer::Peer;
use super::problem::{BadRequest, Conflict, Invalid, NotFound, Refusal};
use crate::site::{SharedSite, Standing};

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(delete))
        .routes(routes!(found))
        .routes(routes!(one_time_password))
}

/// Keys whose holders may log in over SSH: those of the operator's file, then those that were added, the oldest first.
#[utoipa::path(get, path = "/api/v1/ssh-keys", tag = "access", operation_id = "ssh_keys",
    responses((status = 200, body = Vec<SshKeyListed>)))]
async fn list(State(site): State<SharedSite>) -> Result<axum::Json<Vec<SshKeyListed>>, Refusal> {
    Ok(axum::Json(site.ssh_keys().await?))
}

/// Adds keys: every line, or, where one is no key that can be added, none. Whoever logged in with a one-time password may do
/// this once, and is logged out by it.
#[utoipa::path(post, path = "/api/v1/ssh-keys", tag = "access", operation_id = "ssh_keys_add", request_body = SshKeysNew,
    responses((status = 200, body = SshKeysAdded), BadRequest, Invalid))]
async fn add(
    State(site): State<SharedSite>,
    Extension(peer): Extension<Peer>,
    standing: Option<Extension<Standing>>,
    Operator(actor): Operator,
    Json(new): Json<SshKeysNew>,
) -> Result<axum::Json<SshKeysAdded>, Refusal> {
    let session = match peer {
        Peer::Session(held) => Some(held),
        _ => None,
    };
    let standing = standing.map(|Extension(standing)| standing);
    let added =
        to_its_end(
            async move { site.add_ssh_keys(&new, actor, session.as_deref(), standing.as_ref()).await },
        );
    Ok(axum::Json(added.await?))
}

/// Takes a key away that was added, and ends its sessions. One that stands in the operator's file is taken out there.
#[utoipa::path(delete, path = "/api/v1/ssh-keys/{fingerprint}", tag = "access", operation_id = "ssh_key_delete",
    params(("fingerprint" = String, Path, description = "`SHA256:` and base64, percent-encoded: base64 has slashes")),
    responses((status = 204, description = "Deleted"), NotFound, Conflict))]
async fn delete(
    State(site): State<SharedSite>,
    Path(fingerprint): Path<String>,
    Operator(actor): Operator,
) -> Result<StatusCode, Refusal> {
    to_its_end(async move { site.delete_ssh_key(&fingerprint, actor).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keys on USB sticks that are plugged in: in `authorized_keys`, `*.pub` and `ironwake/*.pub` of each file system.
#[utoipa::path(get, path = "/api/v1/ssh-keys/found", tag = "access", operation_id = "ssh_keys_found",
    responses((status = 200, body = Vec<SshKeyStick>), Conflict))]
async fn found(State(site): State<SharedSite>) -> Result<axum::Json<Vec<SshKeyStick>>, Refusal> {
    Ok(axum::Json(site.ssh_keys_found().await?))
}

/// Makes a password that lets keys be added over SSH, once, within ten minutes. The one before it ends.
#[utoipa::path(post, path = "/api/v1/ssh-keys/one-time-password", tag = "access",
    operation_id = "ssh_keys_one_time_password", responses((status = 201, body = OneTimePassword)))]
async fn one_time_password(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
) -> Result<(StatusCode, axum::Json<OneTimePassword>), Refusal> {
    let made = to_its_end(async move { site.make_one_time_password(actor).await }).await?;
    Ok((StatusCode::CREATED, axum::Json(made)))
}
