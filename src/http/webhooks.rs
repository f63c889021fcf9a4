//! Webhooks: listed, their tries, tried.

use axum::extract::State;
use ironwake_api::{Webhook, WebhookDelivery};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Operator, Path};
use super::problem::{Conflict, NotFound, Refusal};
use crate::site::SharedSite;

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(deliveries)).routes(routes!(test))
}

/// Where events are sent, and how the last try went.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "webhooks",
    responses((status = 200, body = [Webhook])))]
async fn list(State(site): State<SharedSite>) -> Result<axum::Json<Vec<Webhook>>, Refusal> {
    Ok(axum::Json(site.webhooks().await?))
}

/// The last tries to send to one, newest first.
#[utoipa::path(get, path = "/api/v1/webhooks/{name}/deliveries", tag = "webhooks", operation_id = "webhook_deliveries",
    params(("name" = String, Path)), responses((status = 200, body = [WebhookDelivery]), NotFound))]
async fn deliveries(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
) -> Result<axum::Json<Vec<WebhookDelivery>>, Refusal> {
    Ok(axum::Json(site.webhook_deliveries(&name).await?))
}

/// Sends an event `webhook_test` to one, once.
#[utoipa::path(post, path = "/api/v1/webhooks/{name}/test", tag = "webhooks", operation_id = "webhook_test",
    params(("name" = String, Path)), responses((status = 200, body = WebhookDelivery), NotFound, Conflict))]
async fn test(
    State(site): State<SharedSite>,
    Path(name): Path<String>,
    Operator(actor): Operator,
) -> Result<axum::Json<WebhookDelivery>, Refusal> {
    Ok(axum::Json(site.test_webhook(&name, actor).await?))
}
