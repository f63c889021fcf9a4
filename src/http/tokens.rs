//! Tokens of the API, and the authority that its certificate is checked by.

use axum::extract::State;
use axum::http::StatusCode;
use ironwake_api::{Authority, Token, TokenMade, TokenNew};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Operator, Path};
use super::machines::to_its_end;
use super::problem::{BadRequest, Conflict, Invalid, NotFound, Refusal};
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(list, make)).routes(routes!(revoke)).routes(routes!(authority))
}

/// Tokens by name, ended ones included, without what is shown to the API.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access", operation_id = "tokens",
    responses((status = 200, body = Vec<Token>)))]
async fn list(State(site): State<SharedSite>) -> axum::Json<Vec<Token>> {
    axum::Json(site.tokens())
}

/// Makes a token. Its secret is in this answer, and nowhere else ever after.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "access", operation_id = "token_make", request_body = TokenNew,
    responses((status = 201, body = TokenMade), BadRequest, Conflict, Invalid))]
async fn make(
    State(site): State<SharedSite>,
    Operator(actor): Operator,
    Json(new): Json<TokenNew>,
) -> Result<(StatusCode, axum::Json<TokenMade>), Refusal> {
    let made = to_its_end(async move { site.make_token(new, actor).await }).await?;
    Ok((StatusCode::CREATED, axum::Json(made)))
}

/// Ends a token at once, event streams that were asked for with it included.
#[utoipa::path(delete, path = "/api/v1/tokens/{name}", tag = "access", operation_id = "token_revoke",
    params(("name" = String, Path)), responses((status = 204, description = "Revoked"), NotFound))]
async fn revoke(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Operator(actor): Operator,
) -> Result<StatusCode, Refusal> {
    to_its_end(async move { site.revoke_token(&name, actor).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The appliance's own certificate authority: clients check the API's certificate by it, unless an operator gave
/// the daemon another certificate.
#[utoipa::path(get, path = "/api/v1/authority", tag = "access", operation_id = "authority",
    responses((status = 200, body = Authority)))]
async fn authority(State(site): State<SharedSite>) -> Result<axum::Json<Authority>, Refusal> {
    let none =
        || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_authority", "the daemon has no authority");
    site.authority().map(axum::Json).ok_or_else(none)
}
