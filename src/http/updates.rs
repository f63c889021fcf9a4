//! The appliance as an image, and its updates.

use std::time::Duration;

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use ironwake_api::{ApplianceStatus, SelfTest, Update, UpdateQuery, UpdateRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::artifacts::discard;
use super::extract::{Json, Operator, Query};
use super::guard::while_good;
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NoSystem, Refusal};
use crate::site::{Reception, SharedSite, Standing};
use crate::store::StoreError;

/// How long nothing of a bundle may come.
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(appliance))
        .routes(routes!(self_test))
        .routes(routes!(show, begin, upload))
        .routes(routes!(check))
}

/// What the appliance is: its version, the disk that it was booted from, and its slots.
#[utoipa::path(get, path = "/api/v1/appliance", tag = "system", operation_id = "appliance",
    responses((status = 200, body = ApplianceStatus), NoSystem))]
async fn appliance(State(site): State<SharedSite>) -> Result<axum::Json<ApplianceStatus>, Refusal> {
    Ok(axum::Json(site.appliance().await?))
}

/// Whether a machine that boots would be answered, on each network that is served: a DISCOVER of its kind goes the way of one
/// from the wire, and nothing is noted or given of it.
#[utoipa::path(post, path = "/api/v1/appliance/self-test", tag = "system", operation_id = "self_test",
    responses((status = 200, body = SelfTest)))]
async fn self_test(State(site): State<SharedSite>) -> axum::Json<SelfTest> {
    axum::Json(site.self_test().await)
}

/// How updates stand: what is available, what is under way, and what became of the last one.
#[utoipa::path(get, path = "/api/v1/update", tag = "system", operation_id = "update",
    responses((status = 200, body = Update), NoSystem))]
async fn show(State(site): State<SharedSite>) -> Result<axum::Json<Update>, Refusal> {
    Ok(axum::Json(site.update().await?))
}

/// Asks the channel (`[update] url`) for its newest version. Nothing is installed.
#[utoipa::path(post, path = "/api/v1/update/check", tag = "system", operation_id = "update_check",
    responses((status = 200, body = Update), Conflict, NoSystem))]
async fn check(State(site): State<SharedSite>) -> Result<axum::Json<Update>, Refusal> {
    Ok(axum::Json(to_its_end(async move { site.check_update().await }).await?))
}

/// Begins to install a version: from a URL, a stick, or the channel. `GET` shows how far it is. The next restart tries it.
#[utoipa::path(post, path = "/api/v1/update", tag = "system", operation_id = "update_begin",
    request_body = UpdateRequest,
    responses((status = 202, body = Update), BadRequest, Conflict, Invalid, NoSystem))]
async fn begin(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(request): Json<UpdateRequest>,
) -> Result<(StatusCode, axum::Json<Update>), Refusal> {
    let begun = to_its_end(async move { site.begin_update(request, actor).await }).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(begun)))
}

/// Begins to install the version whose bundle is the body. `GET` shows how far it is. The next restart tries it.
#[utoipa::path(put, path = "/api/v1/update", tag = "system", operation_id = "update_upload",
    params(UpdateQuery),
    request_body(content_type = "application/octet-stream", description = "The bundle"),
    responses((status = 202, body = Update), BadRequest, Conflict, Invalid, NoSystem))]
async fn upload(
    State(site): State<SharedSite>,
    Query(query): Query<UpdateQuery>,
    Operator(actor): Operator,
    standing: Option<Extension<Standing>>,
    request: Request,
) -> Result<(StatusCode, axum::Json<Update>), Refusal> {
    let standing = standing.map(|Extension(standing)| standing);
    let mut body = request.into_body();
    let received = match site.receive_update(body.size_hint().exact()).await {
        Ok(reception) => while_good(standing.as_ref(), receive(reception, &mut body)).await,
        Err(error) => Err(error.into()),
    };
    let reception = match received {
        Ok(reception) => reception,
        Err(refusal) => {
            discard(body);
            return Err(refusal);
        }
    };
    let begun =
        to_its_end(async move { site.install_received(reception, query.allow_older, actor).await }).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(begun)))
}

/// Writes a body to the disk as it comes.
async fn receive(mut reception: Reception, body: &mut Body) -> Result<Reception, Refusal> {
    loop {
        let refused = |status, code, detail: String| Err(Refusal::new(status, code, detail));
        let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Err(_) => {
                let detail = format!("nothing came for {} s", SILENCE_MAX.as_secs());
                return refused(StatusCode::REQUEST_TIMEOUT, "timeout", detail);
            }
            Ok(None) => return Ok(reception),
            Ok(Some(Err(error))) => {
                return refused(StatusCode::BAD_REQUEST, "bad_body", format!("the body broke off: {error}"));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(piece) = frame.into_data() else { continue };
        let write = move || {
            let written = reception.write(&piece);
            (reception, written)
        };
        let (kept, written) = tokio::task::spawn_blocking(write).await.map_err(|_| StoreError::Closed)?;
        if let Err(why) = written {
            kept.fail(why.clone());
            return refused(StatusCode::INSUFFICIENT_STORAGE, "no_room", why);
        }
        reception = kept;
    }
}
