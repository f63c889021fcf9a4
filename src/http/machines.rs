//! Machines: list, register, show, edit, delete, enrol, order.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ironwake_api::{Machine, MachineNew, MachinePatch, MachineQuery, Order, Page};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Path, Query};
use super::problem::{BadRequest, Conflict, Invalid, NotFound, Refusal};
use crate::site::{SharedSite, SiteError};
use crate::store::StoreError;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(show, edit, delete))
        .routes(routes!(enroll))
        .routes(routes!(order))
}

/// Machines that meet all conditions given, a page of them.
#[utoipa::path(get, path = "/api/v1/machines", tag = "machines", operation_id = "machines",
    params(MachineQuery), responses((status = 200, body = Page<Machine>), BadRequest, Invalid))]
async fn list(
    State(site): State<SharedSite>,
    Query(query): Query<MachineQuery>,
) -> Result<axum::Json<Page<Machine>>, Refusal> {
    Ok(axum::Json(site.list(&query)?))
}

/// Registers a machine before it is seen.
#[utoipa::path(post, path = "/api/v1/machines", tag = "machines", operation_id = "machine_register",
    request_body = MachineNew,
    responses(
        (status = 201, body = Machine, headers(("Location" = String, description = "Path of the machine"))),
        BadRequest, Conflict, Invalid
    ))]
async fn register(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(new): Json<MachineNew>,
) -> Result<Response, Refusal> {
    let machine = to_its_end(async move { site.register(new, actor).await }).await?;
    let location = format!("/api/v1/machines/{}", machine.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(machine)).into_response())
}

/// One machine with its newest inventory. The key is an id, the beginning of one, a name, a MAC
/// address, a UUID or a serial number.
#[utoipa::path(get, path = "/api/v1/machines/{key}", tag = "machines", operation_id = "machine",
    params(("key" = String, Path)), responses((status = 200, body = Machine), NotFound))]
async fn show(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
) -> Result<axum::Json<Machine>, Refusal> {
    Ok(axum::Json(site.shown_machine(&key).await?))
}

/// Changes the fields given; `null` clears one.
#[utoipa::path(patch, path = "/api/v1/machines/{key}", tag = "machines", operation_id = "machine_edit",
    params(("key" = String, Path)), request_body = MachinePatch,
    responses((status = 200, body = Machine), BadRequest, NotFound, Conflict, Invalid))]
async fn edit(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Operator(actor): Operator,
    Json(patch): Json<MachinePatch>,
) -> Result<axum::Json<Machine>, Refusal> {
    let machine = find(&site, &key)?;
    let edit = async move { site.edit(&machine.id, patch, actor).await };
    Ok(axum::Json(to_its_end(edit).await?))
}

/// Deletes a machine's record, its inventories and its boot attempts.
#[utoipa::path(delete, path = "/api/v1/machines/{key}", tag = "machines", operation_id = "machine_delete",
    params(("key" = String, Path)),
    responses((status = 204, description = "Deleted"), NotFound, Conflict))]
async fn delete(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Operator(actor): Operator,
) -> Result<StatusCode, Refusal> {
    let machine = find(&site, &key)?;
    to_its_end(async move { site.delete(&machine.id, actor).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a seen machine a known one.
#[utoipa::path(post, path = "/api/v1/machines/{key}/enroll", tag = "machines",
    operation_id = "machine_enroll", params(("key" = String, Path)),
    responses((status = 200, body = Machine), NotFound, Conflict))]
async fn enroll(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Operator(actor): Operator,
) -> Result<axum::Json<Machine>, Refusal> {
    let machine = find(&site, &key)?;
    let enroll = async move { site.enroll_by_operator(&machine.id, actor).await };
    Ok(axum::Json(to_its_end(enroll).await?))
}

/// Gives an order to the agent that waits on this machine.
#[utoipa::path(post, path = "/api/v1/machines/{key}/orders", tag = "machines",
    operation_id = "machine_order", params(("key" = String, Path)), request_body = Order,
    responses((status = 202, description = "Handed to the agent"), BadRequest, NotFound, Conflict))]
async fn order(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Operator(actor): Operator,
    Json(order): Json<Order>,
) -> Result<StatusCode, Refusal> {
    let machine = find(&site, &key)?;
    to_its_end(async move { site.order(&machine.id, order, actor).await }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Carries a change through even when the client goes away: half of one would leave the site's memory
/// and its store apart.
pub(super) async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, SiteError>> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::spawn(change).await {
        Ok(result) => Ok(result?),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down.
            Err(_) => Err(StoreError::Closed.into()),
        },
    }
}

/// The machine that a key names.
pub(super) fn find(site: &SharedSite, key: &str) -> Result<Machine, Refusal> {
    Ok(site.machine(key)?)
}
