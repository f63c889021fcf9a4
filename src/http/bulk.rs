//! Many machines at once, with a result for each.

use axum::extract::State;
use axum::http::StatusCode;
use ironwake_api::{BatchNew, BulkAnswer, BulkRequest, BulkResult, Operation};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator};
use super::machines::to_its_end;
use super::problem::{BadRequest, Invalid, Refusal};
use crate::serve::http::site_problem;
use crate::site::{BulkOutcome, SharedSite};

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(bulk)).routes(routes!(batch))
}

/// Does the same with each machine of a selection. What is refused for one machine is done for the others.
#[utoipa::path(post, path = "/api/v1/bulk", tag = "machines", operation_id = "bulk",
    request_body = BulkRequest, responses((status = 200, body = BulkAnswer), BadRequest, Invalid))]
async fn bulk(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(request): Json<BulkRequest>,
) -> Result<axum::Json<BulkAnswer>, Refusal> {
    let outcomes = to_its_end(async move { site.bulk(request, actor).await }).await?;
    let results: Vec<BulkResult> = outcomes.into_iter().map(result).collect();
    let refused = results.iter().filter(|result| result.problem.is_some()).count() as u64;
    Ok(axum::Json(BulkAnswer { done: results.len() as u64 - refused, refused, results }))
}

fn result(outcome: BulkOutcome) -> BulkResult {
    let BulkOutcome { machine, name, called, result } = outcome;
    let (operation, problem) = match result {
        Ok(operation) => (operation.map(Box::new), None),
        Err(error) => (None, Some(Box::new(site_problem(error)))),
    };
    BulkResult { machine, name, called, operation, problem }
}

/// Arms operations, so many at a time: the next one when one has ended. After a failure those that wait are cancelled,
/// unless the batch keeps going.
#[utoipa::path(post, path = "/api/v1/batches", tag = "operations", operation_id = "batch",
    request_body = BatchNew, responses((status = 202, body = [Operation]), BadRequest, Invalid))]
async fn batch(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(new): Json<BatchNew>,
) -> Result<(StatusCode, axum::Json<Vec<Operation>>), Refusal> {
    let operations = to_its_end(async move { site.arm_batch(new, actor).await }).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(operations)))
}
