//! Artifacts: list and show all, import, pin and delete images.

use std::time::Duration;

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use ironwake_api::{Artifact, ArtifactPatch, ArtifactUsage, ImportQuery, ImportRequest};
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Path, Query};
use super::guard::while_good;
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NotFound, Refusal};
use crate::artifact::Expected;
use crate::artifacts::{Gauge, ImportError, Received, Upload};
use crate::site::{SharedSite, SiteError, Standing};
use crate::store::StoreError;

/// How long nothing of an image may come: whoever sends it may be fetching it from far away.
const SILENCE_MAX: Duration = Duration::from_secs(5 * 60);
/// Pieces of a body between the connection and the disk, each some hundred kilobytes.
const PIECES_WAITING_MAX: usize = 16;
/// How long the rest of a refused body is read, so that its sender gets to read the refusal.
const DISCARD_MAX: Duration = Duration::from_secs(10);

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(usage))
        .routes(routes!(show, import, edit, delete))
        .routes(routes!(download))
}

/// Artifacts as they stand: boot files, what is built of them, imported images.
#[utoipa::path(get, path = "/api/v1/artifacts", tag = "artifacts", operation_id = "artifacts",
    responses((status = 200, body = Vec<Artifact>)))]
async fn list(State(site): State<SharedSite>) -> axum::Json<Vec<Artifact>> {
    axum::Json(site.artifacts())
}

/// How much imports take of how much, and how much of it could make room.
#[utoipa::path(get, path = "/api/v1/cache", tag = "artifacts", operation_id = "artifact_usage",
    responses((status = 200, body = ArtifactUsage)))]
async fn usage(State(site): State<SharedSite>) -> axum::Json<ArtifactUsage> {
    axum::Json(site.artifact_usage())
}

/// One artifact.
#[utoipa::path(get, path = "/api/v1/artifacts/{name}", tag = "artifacts", operation_id = "artifact",
    params(("name" = String, Path)), responses((status = 200, body = Artifact), NotFound))]
async fn show(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
) -> Result<axum::Json<Artifact>, Refusal> {
    Ok(axum::Json(site.artifact(&name)?))
}

/// Imports a disk image: the body is its bytes, packed with gzip, xz, zstd or bzip2, or not at all; qcow2 is
/// converted. What had this name before is replaced; operations that were made with it keep its bytes.
#[utoipa::path(put, path = "/api/v1/artifacts/{name}", tag = "artifacts", operation_id = "artifact_import",
    params(("name" = String, Path), ImportQuery),
    request_body(content_type = "application/octet-stream", description = "The image, 64 GiB at most"),
    responses(
        (status = 201, body = Artifact, headers(("Location" = String, description = "Path of the artifact"))),
        (status = 200, body = Artifact, description = "Replaced what had this name"),
        BadRequest, Conflict, Invalid
    ))]
async fn import(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Query(query): Query<ImportQuery>,
    Operator(actor): Operator,
    standing: Option<Extension<Standing>>,
    request: Request,
) -> Result<Response, Refusal> {
    let standing = standing.map(|Extension(standing)| standing);
    let (parts, mut body) = request.into_parts();
    let received = match receive(&site, &name, &query, standing.as_ref(), &parts.headers, &mut body).await {
        Ok(received) => received,
        Err(refusal) => {
            discard(body);
            return Err(refusal);
        }
    };
    let location = format!("/api/v1/artifacts/{name}");
    let name_it = async move { site.import(&name, received, actor, standing.as_ref()).await };
    let (artifact, replaced) = to_its_end(name_it).await?;
    let status = if replaced { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, [(header::LOCATION, location)], axum::Json(artifact)).into_response())
}

/// Imports a disk image by URL: it is fetched in the background, over restarts of the daemon, and named once its
/// digest is as asked for. `GET` shows how far it is; `DELETE` ends it.
#[utoipa::path(put, path = "/api/v1/artifacts/{name}/download", tag = "artifacts",
    operation_id = "artifact_download", params(("name" = String, Path)), request_body = ImportRequest,
    responses((status = 202, body = Artifact), BadRequest, Conflict, Invalid))]
async fn download(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Operator(actor): Operator,
    Json(request): Json<ImportRequest>,
) -> Result<Response, Refusal> {
    let begin = async move { site.download(&name, request, actor).await };
    let artifact = to_its_end(begin).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(artifact)).into_response())
}

/// Changes the fields given of an import.
#[utoipa::path(patch, path = "/api/v1/artifacts/{name}", tag = "artifacts", operation_id = "artifact_edit",
    params(("name" = String, Path)), request_body = ArtifactPatch,
    responses((status = 200, body = Artifact), BadRequest, NotFound, Conflict))]
async fn edit(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Operator(actor): Operator,
    Json(patch): Json<ArtifactPatch>,
) -> Result<axum::Json<Artifact>, Refusal> {
    let edit = async move { site.edit_import(&name, patch, actor).await };
    Ok(axum::Json(to_its_end(edit).await?))
}

/// Deletes an import that is not pinned; or ends its download, or else what is being sent under this name, and leaves
/// what the name had before.
#[utoipa::path(delete, path = "/api/v1/artifacts/{name}", tag = "artifacts", operation_id = "artifact_delete",
    params(("name" = String, Path)),
    responses((status = 204, description = "Deleted"), NotFound, Conflict))]
async fn delete(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Operator(actor): Operator,
) -> Result<StatusCode, Refusal> {
    to_its_end(async move { site.delete_import(&name, actor).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes a body to the disk as it comes.
async fn receive(
    site: &SharedSite,
    name: &str,
    query: &ImportQuery,
    standing: Option<&Standing>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Received, Refusal> {
    check_media_type(headers)?;
    let expected = expected(query)?;
    let upload = site.receive_import(name, body.size_hint().exact())?;
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING_MAX);
    let gauge = upload.gauge();
    let writing = tokio::task::spawn_blocking(move || write(upload, waiting));
    let forwarded = while_good(standing, async {
        tokio::select! {
            forwarded = forward(body, pieces) => forwarded,
            // Nothing may come for long from whoever sends it.
            () = gauge.over() => Err(SiteError::from(ImportError::Cancelled).into()),
        }
    });
    let forwarded = forwarded.await;
    // Why the disk took no more tells more than that it did not.
    let upload = blocking(writing.await)?;
    forwarded?;
    // A conversion takes minutes: it ends with the token, and with its sender.
    let mut unwanted = CancelOnDrop(Some(gauge));
    let finishing = tokio::task::spawn_blocking(move || upload.finish(expected));
    let received = while_good(standing, async { blocking(finishing.await) }).await?;
    unwanted.0 = None;
    Ok(received)
}

/// Cancels the work whose gauge it holds.
struct CancelOnDrop(Option<Gauge>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(Gauge::cancel);
    }
}

/// The digest that the bytes have to have.
fn expected(query: &ImportQuery) -> Result<Option<Expected>, Refusal> {
    let (field, hex) = match (&query.sha256, &query.sha512) {
        (None, None) => return Ok(None),
        (Some(hex), None) => ("sha256", hex),
        (None, Some(hex)) => ("sha512", hex),
        (Some(_), Some(_)) => {
            return Err(Refusal::query("sha512", "sha256 and sha512 exclude each other: give one".into()));
        }
    };
    let parsed = format!("{field}:{hex}").parse();
    parsed.map(Some).map_err(|_| {
        let digits = if field == "sha256" { 64 } else { 128 };
        Refusal::query(field, format!("{hex:?} is not {digits} hex digits"))
    })
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()) {
        None | Some(b"application/octet-stream") => Ok(()),
        Some(found) => {
            let found = String::from_utf8_lossy(found);
            let detail = format!("content type {found:?}: expected application/octet-stream");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
        }
    }
}

/// Hands on what comes; ends early when nobody takes it.
pub(super) async fn forward(body: &mut Body, pieces: mpsc::Sender<Bytes>) -> Result<(), Refusal> {
    loop {
        let frame = tokio::time::timeout(SILENCE_MAX, body.frame()).await.map_err(|_| {
            let detail = format!("nothing came for {} s", SILENCE_MAX.as_secs());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
        })?;
        match frame {
            None => return Ok(()),
            Some(Err(error)) => {
                let detail = format!("the body broke off: {error}");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "bad_body", detail));
            }
            Some(Ok(frame)) => {
                // Trailers say nothing that is asked for.
                if let Ok(piece) = frame.into_data()
                    && pieces.send(piece).await.is_err()
                {
                    return Ok(());
                }
            }
        }
    }
}

fn write(mut upload: Upload, mut pieces: mpsc::Receiver<Bytes>) -> Result<Upload, ImportError> {
    while let Some(piece) = pieces.blocking_recv() {
        upload.write(&piece)?;
    }
    Ok(upload)
}

/// What a thread that may wait gave.
fn blocking<T>(ended: Result<Result<T, ImportError>, tokio::task::JoinError>) -> Result<T, Refusal> {
    match ended {
        Ok(result) => Ok(result.map_err(SiteError::from)?),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down.
            Err(_) => Err(StoreError::Closed.into()),
        },
    }
}

/// Reads on for a while: closing the connection in the middle of a body would take the refusal with it.
pub(super) fn discard(mut body: Body) {
    let reading = async move { while let Some(Ok(_)) = body.frame().await {} };
    tokio::spawn(tokio::time::timeout(DISCARD_MAX, reading));
}
