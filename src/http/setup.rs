//! The first set-up of the appliance.

use axum::extract::State;
use axum::http::StatusCode;
use ironwake_api::{Setup, SetupAnswer, SetupDryRun, SetupQuery, SetupState};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Query};
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NoSystem, Refusal};
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(show, set_up)).routes(routes!(dry_run))
}

/// Whether the appliance is as it was made, and which interfaces it could serve.
#[utoipa::path(get, path = "/api/v1/setup", tag = "system", operation_id = "setup", params(SetupQuery),
    responses((status = 200, body = SetupState), BadRequest, NoSystem))]
async fn show(
    State(site): State<SharedSite>,
    Query(query): Query<SetupQuery>,
) -> Result<axum::Json<SetupState>, Refusal> {
    Ok(axum::Json(site.setup_state(query.ask).await?))
}

/// Sets the appliance up, once. All of it is checked before any of it is done. Then name, time and keyboard are set,
/// the settings written, and the address changed, which has to be confirmed as any other change of it; the daemon starts
/// again by itself. What failed in the middle may be asked for again.
#[utoipa::path(post, path = "/api/v1/setup", tag = "system", operation_id = "set_up", request_body = Setup,
    responses((status = 202, body = SetupAnswer), BadRequest, Conflict, Invalid, NoSystem))]
async fn set_up(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(setup): Json<Setup>,
) -> Result<(StatusCode, axum::Json<SetupAnswer>), Refusal> {
    let answer = to_its_end(async move { site.set_up(setup, actor).await }).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}

/// What a set-up would do if it was asked for at this moment, and everything that is wrong with it. Nothing is done.
#[utoipa::path(post, path = "/api/v1/setup/dry-run", tag = "system", operation_id = "setup_dry_run", request_body = Setup,
    responses((status = 200, body = SetupDryRun), BadRequest, Conflict, NoSystem))]
async fn dry_run(
    State(site): State<SharedSite>,
    Json(setup): Json<Setup>,
) -> Result<axum::Json<SetupDryRun>, Refusal> {
    Ok(axum::Json(site.dry_run_setup(&setup).await?))
}
