//! Profiles: listed, shown, rendered.

use axum::extract::State;
use ironwake_api::{ProfileFit, ProfileSummary, Profiles, RenderRequest, RenderedFile};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Path};
use super::problem::{BadRequest, Conflict, Invalid, NotFound, Refusal};
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(render))
        .routes(routes!(fitting))
}

/// What machines can be made into, and folders that are refused.
#[utoipa::path(get, path = "/api/v1/profiles", tag = "profiles", operation_id = "profiles",
    responses((status = 200, body = Profiles)))]
async fn list(State(site): State<SharedSite>) -> axum::Json<Profiles> {
    axum::Json(site.profiles())
}

/// One profile with its variables.
#[utoipa::path(get, path = "/api/v1/profiles/{name}", tag = "profiles", operation_id = "profile",
    params(("name" = String, Path)), responses((status = 200, body = ProfileSummary), NotFound))]
async fn show(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
) -> Result<axum::Json<ProfileSummary>, Refusal> {
    Ok(axum::Json(site.profile(&name)?))
}

/// What a profile gives for a machine. Nothing is armed, and no secret or token is in it.
#[utoipa::path(post, path = "/api/v1/profiles/{name}/render", tag = "profiles", operation_id = "profile_render",
    params(("name" = String, Path)), request_body = RenderRequest,
    responses((status = 200, body = Vec<RenderedFile>), BadRequest, NotFound, Conflict, Invalid))]
async fn render(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Json(request): Json<RenderRequest>,
) -> Result<axum::Json<Vec<RenderedFile>>, Refusal> {
    Ok(axum::Json(site.render_profile(&name, &request).await?))
}

/// Every profile, by name: whether this machine can be made into it, and why not.
#[utoipa::path(get, path = "/api/v1/machines/{key}/profiles", tag = "profiles", operation_id = "machine_profiles",
    params(("key" = String, Path)), responses((status = 200, body = [ProfileFit]), NotFound))]
async fn fitting(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
) -> Result<axum::Json<Vec<ProfileFit>>, Refusal> {
    Ok(axum::Json(site.fitting_profiles(&key).await?))
}
