//! Builds: ordered by operators, taken and reported on by the builder.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ironwake_api::{Build, BuildNew, BuildReport, NextBuildQuery};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Path, Query};
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NotFound, Refusal};
use crate::site::{SharedSite, Standing};

/// Longest wait for something to do, below the time that clients give an answer.
const WAIT_SECS_MAX: u64 = 20;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(list, order))
        .routes(routes!(next))
        .routes(routes!(show))
        .routes(routes!(report))
}

/// The last build of each artifact that the builder makes.
#[utoipa::path(get, path = "/api/v1/builds", tag = "artifacts", operation_id = "builds",
    responses((status = 200, body = Vec<Build>)))]
async fn list(State(site): State<SharedSite>) -> axum::Json<Vec<Build>> {
    axum::Json(site.builds())
}

/// Has an artifact built. One that is under way already is answered with as it stands.
#[utoipa::path(post, path = "/api/v1/builds", tag = "artifacts", operation_id = "build_order",
    request_body = BuildNew, responses((status = 202, body = Build), BadRequest, Invalid))]
async fn order(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(new): Json<BuildNew>,
) -> Result<Response, Refusal> {
    let build = to_its_end(async move { site.order_build(new, actor).await }).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(build)).into_response())
}

/// For the builder: what is to be built next, as soon as there is something.
#[utoipa::path(post, path = "/api/v1/builds/next", tag = "artifacts", operation_id = "build_next",
    params(NextBuildQuery),
    responses((status = 200, body = Build), (status = 204, description = "There is nothing to build")))]
async fn next(
    State(site): State<SharedSite>,
    Query(query): Query<NextBuildQuery>,
    Operator(actor): Operator,
    standing: Option<Extension<Standing>>,
) -> Result<Response, Refusal> {
    let standing = standing.map(|Extension(standing)| standing);
    let wait = Duration::from_secs(query.wait_secs.unwrap_or(0).min(WAIT_SECS_MAX));
    Ok(match site.next_build(wait, actor, standing.as_ref()).await? {
        Some(build) => axum::Json(build).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// The last build of an artifact.
#[utoipa::path(get, path = "/api/v1/builds/{name}", tag = "artifacts", operation_id = "build",
    params(("name" = String, Path)), responses((status = 200, body = Build), NotFound))]
async fn show(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
) -> Result<axum::Json<Build>, Refusal> {
    Ok(axum::Json(site.build(&name)?))
}

/// For the builder: how it gets on. The image itself is imported before its end is reported.
#[utoipa::path(post, path = "/api/v1/builds/{name}/report", tag = "artifacts", operation_id = "build_report",
    params(("name" = String, Path)), request_body = BuildReport,
    responses((status = 200, body = Build), BadRequest, NotFound, Conflict))]
async fn report(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Operator(actor): Operator,
    Json(report): Json<BuildReport>,
) -> Result<axum::Json<Build>, Refusal> {
    let report = async move { site.report_build(&name, report, actor).await };
    Ok(axum::Json(to_its_end(report).await?))
}
