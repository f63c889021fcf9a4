//! `/boot/v1`: what the agent calls. Enrolment, orders, reports, health.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header;
use hyper::{HeaderMap, Request, Response, StatusCode};
use ironwake_api::{
    AgentReport, ClaimRequest, EnrollRequest, FieldProblem, HealthState, PhoneHome, Problem, WorkReport,
};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answer::{self, json, nothing};
use super::body::Body;
use super::heartbeat::heartbeat;
use super::installer::{answer_file, installed, no_answer};
use super::places::Places;
use super::problem::{problem, site_problem};
use super::service::Peer;
use crate::serve::Backend;
use crate::site::SiteError;

/// The largest enrolment: an inventory of a server with hundreds of disks and functions is below 1 MiB.
pub const ENROLL_BYTES_MAX: usize = 1 << 20;
/// Enrolments that are read at once; others wait. With the largest bodies they take 64 MiB.
const ENROLLING_MAX: usize = 64;
/// Of one address; the others have their places then.
const ENROLLING_EACH_MAX: usize = 4;
/// The largest report: some disks with all their partitions.
pub const REPORT_BYTES_MAX: usize = 256 << 10;
/// The longest wait for an order; agents ask again.
pub const WAIT_SECS_MAX: u64 = 60;
/// How long a body may take to come in.
const BODY_WAIT_MAX: Duration = Duration::from_secs(30);
/// Where work is claimed, as paths are once they are clean. Its answer has a limit of its own.
pub(super) const CLAIM_PATH: &str = "boot/v1/operations/claim";
/// No other answer of these handlers is larger; health grows with the networks.
pub(super) const ANSWER_BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
pub(super) struct Shared {
    pub backend: Backend,
    shutdown: CancellationToken,
    enrolling: Arc<Semaphore>,
    enrolling_of_address: Places<Ipv4Addr>,
}

/// A refusal is an answer too; boxed, since most calls succeed.
pub(super) type Refusal = Box<Response<Body>>;
pub(super) type Answer = Result<Response<Body>, Refusal>;

/// The routes. Waiting requests end at `shutdown`.
pub fn router(backend: Backend, shutdown: CancellationToken) -> Router {
    Router::new()
        .route("/boot/v1/enroll", post(enroll))
        .route("/boot/v1/machines/{id}/orders", get(orders))
        .route("/boot/v1/machines/{id}/report", post(report))
        .route("/boot/v1/operations/claim", post(claim))
        .route("/boot/v1/operations/{id}/report", post(work_report))
        .route("/boot/v1/operations/{id}/files/{token}/{name}", get(answer_file).head(no_answer))
        .route("/boot/v1/operations/{id}/installed/{token}", post(installed))
        .route("/boot/v1/operations/{id}/phone-home/{token}", post(phone_home))
        .route("/boot/v1/operations/{id}/heartbeat/{token}", post(heartbeat))
        .route("/boot/v1/health", get(health))
        .fallback(async || {
            let detail = "there is nothing at this path".to_owned();
            axum_response(*refusal(StatusCode::NOT_FOUND, "not_found", detail))
        })
        .method_not_allowed_fallback(async || {
            let detail = "the method is not allowed here".to_owned();
            axum_response(*refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail))
        })
        .with_state(Shared {
            backend,
            shutdown,
            enrolling: Arc::new(Semaphore::new(ENROLLING_MAX)),
            enrolling_of_address: Places::new(ENROLLING_EACH_MAX),
        })
}

fn axum_response(response: Response<Body>) -> axum::response::Response {
    response.map(axum::body::Body::new)
}

pub(super) fn either(answer: Answer) -> axum::response::Response {
    axum_response(answer.unwrap_or_else(|refusal| *refusal))
}

async fn enroll(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    request: Request<axum::body::Body>,
) -> axum::response::Response {
    let answer = async {
        let Some(_own) = shared.enrolling_of_address.take(peer.from) else {
            let detail = format!("{ENROLLING_EACH_MAX} enrolments of this address are being read already");
            return Err(refusal(StatusCode::TOO_MANY_REQUESTS, "too_many", detail));
        };
        let _place =
            shared.enrolling.acquire().await.map_err(|_| {
                refusal(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the daemon ends".into())
            })?;
        let bearer = bearer(request.headers()).ok();
        let request: EnrollRequest = read(request, ENROLL_BYTES_MAX).await?;
        if !request.boot_mac.is_unicast() {
            let message = format!("{} is not the address of one interface", request.boot_mac);
            return Err(invalid(vec![FieldProblem { field: "boot_mac".into(), message }]));
        }
        // In a task of its own: a client that leaves halfway must not leave memory behind the store.
        let site = shared.backend.site.clone();
        let enrolling = tokio::spawn(async move { site.enroll(request, bearer, peer.from).await });
        let enrolled = enrolling.await.map_err(interrupted)?.map_err(refused)?;
        let status = if enrolled.new { StatusCode::CREATED } else { StatusCode::OK };
        Ok(json(status, &enrolled.answer))
    };
    either(answer.await)
}

async fn orders(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> axum::response::Response {
    let answer = async {
        let wait = wait_of(query.as_deref().unwrap_or_default())?;
        let order = tokio::select! {
            order = shared.backend.site.next_order(&id, wait) => order.map_err(refused)?,
            () = shared.shutdown.cancelled() => None,
        };
        Ok(order.map_or_else(nothing, |order| json(StatusCode::OK, &order)))
    };
    either(answer.await)
}

async fn report(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Request<axum::body::Body>,
) -> axum::response::Response {
    let answer = async {
        let report: AgentReport = read(request, REPORT_BYTES_MAX).await?;
        shared.backend.site.agent_report(&id, report).await.map_err(refused)?;
        Ok(nothing())
    };
    either(answer.await)
}

/// The work of an armed boot, for the agent that shows its token.
async fn claim(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    request: Request<axum::body::Body>,
) -> axum::response::Response {
    let answer = async {
        let (id, token) = bearer(request.headers())?;
        let request: ClaimRequest = read(request, REPORT_BYTES_MAX).await?;
        let site = shared.backend.site.clone();
        let claim =
            carried(async move { site.claim(&id, &token, &request, peer.from, peer.local).await }).await?;
        Ok(json(StatusCode::OK, &claim))
    };
    either(answer.await)
}

async fn work_report(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    request: Request<axum::body::Body>,
) -> axum::response::Response {
    let answer = async {
        let (named, token) = bearer(request.headers())?;
        if named != id {
            let detail = format!("the token is for another operation than {id}");
            return Err(refusal(StatusCode::UNAUTHORIZED, "unauthorized", detail));
        }
        let report: WorkReport = read(request, REPORT_BYTES_MAX).await?;
        let site = shared.backend.site.clone();
        carried(async move { site.work_report(&id, &token, report, peer.from).await }).await?;
        Ok(nothing())
    };
    either(answer.await)
}

/// The first boot of an installed host, as JSON or as cloud-init's form.
async fn phone_home(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path((id, token)): Path<(String, String)>,
    request: Request<axum::body::Body>,
) -> axum::response::Response {
    let answer = async {
        let call = host_call(request).await?;
        let site = shared.backend.site.clone();
        carried(async move { site.phone_home(&id, &token, call, peer.from).await }).await?;
        Ok(nothing())
    };
    either(answer.await)
}

/// What a host says of itself, as JSON or as cloud-init's form.
pub(super) async fn host_call(request: Request<axum::body::Body>) -> Result<PhoneHome, Refusal> {
    if is_json(request.headers()) {
        return read(request, REPORT_BYTES_MAX).await;
    }
    let body = whole(request, REPORT_BYTES_MAX).await?;
    serde_urlencoded::from_bytes(&body).map_err(|error| {
        let message = format!("it is neither JSON nor a form: {error}");
        invalid(vec![FieldProblem { field: "body".into(), message }])
    })
}

/// Operation and token of `Authorization: Bearer OPERATION_TOKEN`.
pub(super) fn bearer(headers: &HeaderMap) -> Result<(String, String), Refusal> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text.strip_prefix("Bearer ").and_then(|token| token.split_once('_')) {
        Some((operation, token)) => Ok((operation.to_owned(), token.to_owned())),
        None => {
            let detail = "this needs `Authorization: Bearer` with the token of an armed boot".to_owned();
            Err(refusal(StatusCode::UNAUTHORIZED, "unauthorized", detail))
        }
    }
}

async fn health(State(shared): State<Shared>) -> axum::response::Response {
    let health = shared.backend.site.health();
    let failed = health.state == HealthState::Failed;
    axum_response(json(if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, &health))
}

/// Reads `wait_secs`; without one the answer comes at once.
fn wait_of(query: &str) -> Result<Duration, Refusal> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("wait_secs="));
    match value.unwrap_or("0").parse() {
        Ok(secs) if secs <= WAIT_SECS_MAX => Ok(Duration::from_secs(secs)),
        _ => {
            let message =
                format!("{:?} is not a number from 0 to {WAIT_SECS_MAX}", value.unwrap_or_default());
            Err(invalid(vec![FieldProblem { field: "wait_secs".into(), message }]))
        }
    }
}

async fn read<T: DeserializeOwned>(
    request: Request<axum::body::Body>,
    bytes_max: usize,
) -> Result<T, Refusal> {
    if !is_json(request.headers()) {
        let detail = "the body must be application/json".to_owned();
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
    }
    let bytes = whole(request, bytes_max).await?;
    let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let message = error.inner().to_string();
        invalid(vec![FieldProblem { field: field_of(&error.path().to_string(), &message), message }])
    })
}

/// The whole body, if it is not too large and comes in time.
pub(super) async fn whole(request: Request<axum::body::Body>, bytes_max: usize) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), bytes_max);
    let Ok(collected) = tokio::time::timeout(BODY_WAIT_MAX, body.collect()).await else {
        let detail = format!("the body did not come within {BODY_WAIT_MAX:?}");
        return Err(refusal(StatusCode::REQUEST_TIMEOUT, "timeout", detail));
    };
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body has more than {bytes_max} bytes");
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail))
        }
        Err(error) => Err(refusal(StatusCode::BAD_REQUEST, "cut", error.to_string())),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The field that is wrong: serde's path ends at the object that lacks one, and the message names it.
fn field_of(path: &str, message: &str) -> String {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (path, missing) {
        (".", Some(missing)) => missing.into(),
        (path, Some(missing)) => format!("{path}.{missing}"),
        (path, None) => path.into(),
    }
}

fn invalid(errors: Vec<FieldProblem>) -> Refusal {
    let fields: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
    let problem = problem(StatusCode::BAD_REQUEST, "invalid", fields.join("; "));
    Box::new(answer::problem(&Problem { errors, ..problem }))
}

/// As operators are refused, but for one thing: agents are promised 400 for whatever is wrong in a body,
/// whether reading it shows that or the site.
pub(super) fn refused(error: SiteError) -> Refusal {
    match error {
        SiteError::Invalid(errors) => invalid(errors),
        error => Box::new(answer::problem(&site_problem(error))),
    }
}

/// Carries a call through in a task of its own: a client that leaves halfway must not leave memory behind the store.
pub(super) async fn carried<T: Send + 'static>(
    call: impl Future<Output = Result<T, SiteError>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(call).await.map_err(interrupted)?.map_err(refused)
}

/// The same for a call that only a token allows: none is good for what is not there.
pub(super) async fn carried_by_token<T: Send + 'static>(
    call: impl Future<Output = Result<T, SiteError>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(call).await.map_err(interrupted)?.map_err(|error| match error {
        SiteError::NoSuchOperation(id) => {
            let detail = format!("no token is good for operation {id:?}");
            refusal(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        }
        error => refused(error),
    })
}

fn interrupted(error: tokio::task::JoinError) -> Refusal {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("the request did not end: {error}"))
}

pub(super) fn refusal(status: StatusCode, code: &str, detail: String) -> Refusal {
    Box::new(answer::problem(&problem(status, code, detail)))
}
