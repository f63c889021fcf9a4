//! Settings: shown with their origins, and changed.

use axum::extract::State;
use ironwake_api::Settings;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator};
use super::machines::to_its_end;
use super::problem::{BadRequest, Invalid, Refusal};
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(show, change))
}

/// Every setting with its value and where it is written.
#[utoipa::path(get, path = "/api/v1/settings", tag = "daemon", operation_id = "settings",
    responses((status = 200, body = Settings), Invalid))]
async fn show(State(site): State<SharedSite>) -> Result<axum::Json<Settings>, Refusal> {
    Ok(axum::Json(site.all_settings().await?))
}

/// Changes settings by a JSON merge patch (RFC 7396) of the shape of `ironwake.toml`; `null` takes a change back. The
/// whole is checked before it is written; lists of tables, such as `network`, are replaced as a whole. Addresses are given
/// on no interface whose own comes from another DHCP server; what the daemon cannot know is among the `warnings`.
#[utoipa::path(patch, path = "/api/v1/settings", tag = "daemon", operation_id = "settings_change",
    request_body = serde_json::Value, responses((status = 200, body = Settings), BadRequest, Invalid))]
async fn change(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(patch): Json<serde_json::Value>,
) -> Result<axum::Json<Settings>, Refusal> {
    Ok(axum::Json(to_its_end(async move { site.change_settings(patch, actor).await }).await?))
}
