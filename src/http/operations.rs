//! Operations: made, listed, armed, disarmed, cancelled, tried again.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ironwake_api::{Actor, ArmRequest, DryRun, Operation, OperationNew, OperationQuery};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Path, Query};
use super::machines::{find, to_its_end};
use super::problem::{BadRequest, Conflict, Invalid, NotFound, Refusal};
use crate::operation::Trigger;
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(make))
        .routes(routes!(dry_run))
        .routes(routes!(show))
        .routes(routes!(arm))
        .routes(routes!(disarm))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}

/// Operations that meet all conditions given, newest first, without their histories.
#[utoipa::path(get, path = "/api/v1/operations", tag = "operations", operation_id = "operations",
    params(OperationQuery), responses((status = 200, body = [Operation]), BadRequest, Invalid))]
async fn list(
    State(site): State<SharedSite>,
    Query(query): Query<OperationQuery>,
) -> Result<axum::Json<Vec<Operation>>, Refusal> {
    Ok(axum::Json(site.operations(&query).await?))
}

/// Makes an operation for an enrolled machine that none runs on. Unless it is armed, nothing happens yet: the answer shows
/// the disks that would be written, for confirmation.
#[utoipa::path(post, path = "/api/v1/machines/{key}/operations", tag = "operations", operation_id = "operation_make",
    params(("key" = String, Path)), request_body = OperationNew,
    responses(
        (status = 202, body = Operation, headers(("Location" = String, description = "Path of the operation"))),
        BadRequest, NotFound, Conflict, Invalid
    ))]
async fn make(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Operator(actor): Operator,
    Json(new): Json<OperationNew>,
) -> Result<Response, Refusal> {
    let machine = find(&site, &key)?;
    let operation = to_its_end(async move { site.operate(&machine.id, new, actor).await }).await?;
    Ok(accepted(operation))
}

/// What the same request to `…/operations` would record, with every mistake at once. Nothing is saved, no event is made.
#[utoipa::path(post, path = "/api/v1/machines/{key}/operations/dry-run", tag = "operations",
    operation_id = "operation_dry_run", params(("key" = String, Path)), request_body = OperationNew,
    responses((status = 200, body = DryRun), BadRequest, NotFound))]
async fn dry_run(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Json(new): Json<OperationNew>,
) -> Result<axum::Json<DryRun>, Refusal> {
    Ok(axum::Json(site.dry_run(&key, &new).await?))
}

/// One operation with its history.
#[utoipa::path(get, path = "/api/v1/operations/{id}", tag = "operations", operation_id = "operation",
    params(("id" = String, Path)), responses((status = 200, body = Operation), NotFound))]
async fn show(
    State(site): State<SharedSite>,
    Path(id): Path<String>,
) -> Result<axum::Json<Operation>, Refusal> {
    Ok(axum::Json(site.operation(&id).await?))
}

/// Lets the machine's next boot from the network begin the operation: once, and for a limited time.
#[utoipa::path(post, path = "/api/v1/operations/{id}/arm", tag = "operations", operation_id = "operation_arm",
    params(("id" = String, Path)), request_body = ArmRequest,
    responses((status = 202, body = Operation), BadRequest, NotFound, Conflict, Invalid))]
async fn arm(
    State(site): State<SharedSite>,
    Path(id): Path<String>,
    Operator(actor): Operator,
    Json(request): Json<ArmRequest>,
) -> Result<Response, Refusal> {
    Ok(accepted(to_its_end(async move { site.arm(&id, request.armed_secs, actor).await }).await?))
}

/// Takes the arming back, as long as the machine has not booted with it.
#[utoipa::path(post, path = "/api/v1/operations/{id}/disarm", tag = "operations", operation_id = "operation_disarm",
    params(("id" = String, Path)), responses((status = 200, body = Operation), NotFound, Conflict))]
async fn disarm(
    State(site): State<SharedSite>,
    Path(id): Path<String>,
    Operator(actor): Operator,
) -> Result<axum::Json<Operation>, Refusal> {
    happen(site, id, Trigger::Disarm, actor).await
}

/// Takes an operation back, as long as nothing can have been written; ends a rescue.
#[utoipa::path(post, path = "/api/v1/operations/{id}/cancel", tag = "operations", operation_id = "operation_cancel",
    params(("id" = String, Path)), responses((status = 200, body = Operation), NotFound, Conflict))]
async fn cancel(
    State(site): State<SharedSite>,
    Path(id): Path<String>,
    Operator(actor): Operator,
) -> Result<axum::Json<Operation>, Refusal> {
    Ok(axum::Json(to_its_end(async move { site.cancel(&id, actor).await }).await?))
}

/// Makes and arms an operation like one that failed or was cancelled.
#[utoipa::path(post, path = "/api/v1/operations/{id}/retry", tag = "operations", operation_id = "operation_retry",
    params(("id" = String, Path)), request_body = ArmRequest,
    responses((status = 202, body = Operation), BadRequest, NotFound, Conflict, Invalid))]
async fn retry(
    State(site): State<SharedSite>,
    Path(id): Path<String>,
    Operator(actor): Operator,
    Json(request): Json<ArmRequest>,
) -> Result<Response, Refusal> {
    Ok(accepted(to_its_end(async move { site.retry(&id, request.armed_secs, actor).await }).await?))
}

async fn happen(
    site: SharedSite,
    id: String,
    trigger: Trigger,
    actor: Actor,
) -> Result<axum::Json<Operation>, Refusal> {
    Ok(axum::Json(to_its_end(async move { site.happen(&id, trigger, &actor).await }).await?))
}

fn accepted(operation: Operation) -> Response {
    let location = format!("/api/v1/operations/{}", operation.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], axum::Json(operation)).into_response()
}
