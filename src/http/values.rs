//! What profiles are filled with for one machine.

use axum::extract::State;
use ironwake_api::{MachineValues, MachineValuesPatch};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Path};
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NotFound, Refusal};
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(show, edit))
}

/// A machine's own values, with `***` for those that are or may be secret, and its host's name.
#[utoipa::path(get, path = "/api/v1/machines/{key}/values", tag = "machines", operation_id = "machine_values",
    params(("key" = String, Path)), responses((status = 200, body = MachineValues), NotFound, Conflict))]
async fn show(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
) -> Result<axum::Json<MachineValues>, Refusal> {
    Ok(axum::Json(site.machine_values(&key)?))
}

/// Changes the values given; `null` removes one. They fill the variables of every profile that has them.
#[utoipa::path(patch, path = "/api/v1/machines/{key}/values", tag = "machines",
    operation_id = "machine_values_edit", params(("key" = String, Path)), request_body = MachineValuesPatch,
    responses((status = 200, body = MachineValues), BadRequest, NotFound, Conflict, Invalid))]
async fn edit(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Operator(actor): Operator,
    Json(patch): Json<MachineValuesPatch>,
) -> Result<axum::Json<MachineValues>, Refusal> {
    let edit = async move { site.set_machine_values(&key, patch, actor).await };
    Ok(axum::Json(to_its_end(edit).await?))
}
