//! What the daemon has and how it is: leases, health, version.

use axum::extract::State;
use axum::http::StatusCode;
use ironwake_api::{Health, HealthState, Lease, SimulateQuery, SimulatedStep, Version};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::problem::Refusal;
use crate::site::SharedSite;
use crate::store::{SCHEMA_VERSION, Store};

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(leases))
        .routes(routes!(health))
        .routes(routes!(version))
        .routes(routes!(simulate))
}

/// DHCP leases, in the order of their addresses.
#[utoipa::path(get, path = "/api/v1/leases", tag = "daemon", operation_id = "leases",
    responses((status = 200, body = Vec<Lease>)))]
async fn leases(State(store): State<Store>) -> Result<axum::Json<Vec<Lease>>, Refusal> {
    Ok(axum::Json(store.leases().await?))
}

/// What a machine would get at each step of its boot, and why. Nothing is sent or noted.
#[utoipa::path(get, path = "/api/v1/simulate", tag = "daemon", operation_id = "simulate", params(SimulateQuery),
    responses((status = 200, body = Vec<SimulatedStep>)))]
async fn simulate(
    State(site): State<SharedSite>,
    Query(query): Query<SimulateQuery>,
) -> Result<axum::Json<Vec<SimulatedStep>>, Refusal> {
    Ok(axum::Json(site.simulate(&query)?))
}

/// How the daemon is, check by check.
#[utoipa::path(get, path = "/api/v1/health", tag = "daemon", operation_id = "health",
    responses(
        (status = 200, body = Health, description = "Works, at least in part"),
        (status = 503, body = Health, description = "Does not work")
    ))]
async fn health(State(site): State<SharedSite>) -> (StatusCode, axum::Json<Health>) {
    let health = site.health();
    let status = match health.state {
        HealthState::Ok | HealthState::Degraded => StatusCode::OK,
        HealthState::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, axum::Json(health))
}

/// Versions of the daemon and of its store.
#[utoipa::path(get, path = "/api/v1/version", tag = "daemon", operation_id = "version",
    responses((status = 200, body = Version)))]
async fn version() -> axum::Json<Version> {
    axum::Json(Version { version: env!("CARGO_PKG_VERSION").into(), schema: SCHEMA_VERSION })
}
