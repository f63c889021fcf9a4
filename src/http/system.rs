//! The appliance's own system: what it is, and changes of it.

use axum::extract::State;
use axum::http::StatusCode;
use ironwake_api::{NetworkChange, NetworkConfirm, OwnAddress, OwnSystem, SystemChoices, SystemPatch};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Path};
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NoSystem, NotFound, Refusal};
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(show, change))
        .routes(routes!(choices))
        .routes(routes!(reboot))
        .routes(routes!(power_off))
        .routes(routes!(restart))
        .routes(routes!(address))
        .routes(routes!(confirm))
}

/// What the appliance is, and what of it can be changed here, or why not.
#[utoipa::path(get, path = "/api/v1/system", tag = "system", operation_id = "system",
    responses((status = 200, body = OwnSystem), NoSystem))]
async fn show(State(site): State<SharedSite>) -> Result<axum::Json<OwnSystem>, Refusal> {
    Ok(axum::Json(site.own_system().await?))
}

/// Time zones and keyboards that can be set.
#[utoipa::path(get, path = "/api/v1/system/choices", tag = "system", operation_id = "system_choices",
    responses((status = 200, body = SystemChoices), NoSystem))]
async fn choices(State(site): State<SharedSite>) -> Result<axum::Json<SystemChoices>, Refusal> {
    Ok(axum::Json(site.system_choices().await?))
}

/// Changes host name, time zone, clock or keyboard. All of it is checked before any of it is done; what fails in the
/// middle leaves what was done before it.
#[utoipa::path(patch, path = "/api/v1/system", tag = "system", operation_id = "system_change",
    request_body = SystemPatch, responses((status = 200, body = OwnSystem), BadRequest, Invalid, NoSystem))]
async fn change(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(patch): Json<SystemPatch>,
) -> Result<axum::Json<OwnSystem>, Refusal> {
    Ok(axum::Json(to_its_end(async move { site.change_system(patch, actor).await }).await?))
}

/// Restarts the appliance. Machines that boot meanwhile are not answered.
#[utoipa::path(post, path = "/api/v1/system/reboot", tag = "system", operation_id = "system_reboot",
    responses((status = 202, description = "It begins"), NoSystem))]
async fn reboot(State(site): State<SharedSite>, Operator(actor): Operator) -> Result<StatusCode, Refusal> {
    to_its_end(async move { site.end_system(false, actor).await }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Switches the appliance off.
#[utoipa::path(post, path = "/api/v1/system/power-off", tag = "system", operation_id = "system_power_off",
    responses((status = 202, description = "It begins"), NoSystem))]
async fn power_off(State(site): State<SharedSite>, Operator(actor): Operator) -> Result<StatusCode, Refusal> {
    to_its_end(async move { site.end_system(true, actor).await }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Starts one of Ironwake's own units again, the daemon included.
#[utoipa::path(post, path = "/api/v1/system/units/{name}/restart", tag = "system", operation_id = "system_restart",
    params(("name" = String, Path)),
    responses((status = 202, description = "It begins"), NotFound, Conflict, NoSystem))]
async fn restart(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Operator(actor): Operator,
) -> Result<StatusCode, Refusal> {
    to_its_end(async move { site.restart_unit(&name, actor).await }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Gives an interface of the appliance another address. It goes back to the one before unless it is confirmed within a
/// minute with the token of this answer.
#[utoipa::path(put, path = "/api/v1/system/network/{interface}", tag = "system", operation_id = "system_network",
    params(("interface" = String, Path)), request_body = OwnAddress,
    responses((status = 202, body = NetworkChange), BadRequest, Conflict, Invalid, NoSystem))]
async fn address(
    State(site): State<SharedSite>,
    Path(interface): Path<String>,
    Operator(actor): Operator,
    Json(asked): Json<OwnAddress>,
) -> Result<(StatusCode, axum::Json<NetworkChange>), Refusal> {
    let change = async move { site.change_own_address(&interface, asked, actor).await };
    Ok((StatusCode::ACCEPTED, axum::Json(to_its_end(change).await?)))
}

/// Keeps the address that was given last.
#[utoipa::path(post, path = "/api/v1/system/network/confirm", tag = "system",
    operation_id = "system_network_confirm", request_body = NetworkConfirm,
    responses((status = 204, description = "It stays"), BadRequest, Conflict, Invalid, NoSystem))]
async fn confirm(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(confirm): Json<NetworkConfirm>,
) -> Result<StatusCode, Refusal> {
    to_its_end(async move { site.confirm_own_address(confirm, actor).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}
