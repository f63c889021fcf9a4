//! The appliance on another disk, and factory reset.

use axum::extract::State;
use axum::http::StatusCode;
use ironwake_api::{ApplianceDisks, FactoryReset, InstallNew, InstallState};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator};
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NoSystem, Refusal};
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(disks)).routes(routes!(state, install)).routes(routes!(factory_reset))
}

/// The appliance's own disks, what is on them, and which of them it can be installed on.
#[utoipa::path(get, path = "/api/v1/appliance/disks", tag = "system", operation_id = "appliance_disks",
    responses((status = 200, body = ApplianceDisks), Conflict, NoSystem))]
async fn disks(State(site): State<SharedSite>) -> Result<axum::Json<ApplianceDisks>, Refusal> {
    Ok(axum::Json(site.appliance_disks().await?))
}

/// How far the installation on a disk is.
#[utoipa::path(get, path = "/api/v1/appliance/install", tag = "system", operation_id = "appliance_install_state",
    responses((status = 200, body = InstallState), NoSystem))]
async fn state(State(site): State<SharedSite>) -> Result<axum::Json<InstallState>, Refusal> {
    Ok(axum::Json(site.install_state().await?))
}

/// Installs the appliance on a disk, with its configuration and its state. Everything that is on the disk is destroyed.
#[utoipa::path(post, path = "/api/v1/appliance/install", tag = "system", operation_id = "appliance_install",
    request_body = InstallNew,
    responses((status = 202, body = InstallState), BadRequest, Conflict, Invalid, NoSystem))]
async fn install(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(new): Json<InstallNew>,
) -> Result<(StatusCode, axum::Json<InstallState>), Refusal> {
    let begun = to_its_end(async move { site.install_on_disk(new, actor).await }).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(begun)))
}

/// Destroys configuration, machines, keys and images of this appliance, and restarts it: it is as it was made.
#[utoipa::path(post, path = "/api/v1/appliance/factory-reset", tag = "system", operation_id = "factory_reset",
    request_body = FactoryReset,
    responses((status = 202, description = "It begins"), BadRequest, Conflict, Invalid, NoSystem))]
async fn factory_reset(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(reset): Json<FactoryReset>,
) -> Result<StatusCode, Refusal> {
    to_its_end(async move { site.factory_reset(reset, actor).await }).await?;
    Ok(StatusCode::ACCEPTED)
}
