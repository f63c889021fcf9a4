//! What an installed host calls for as long as it runs.

use axum::extract::{Extension, Path, State};
use hyper::{Request, StatusCode};

use super::answer::json;
use super::boot_v1::{Shared, carried_by_token, either, host_call};
use super::service::Peer;

/// A host runs. The answer is short: a host without tools reads its first line alone.
pub(super) async fn heartbeat(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    Path((id, token)): Path<(String, String)>,
    request: Request<axum::body::Body>,
) -> axum::response::Response {
    let answer = async {
        let call = host_call(request).await?;
        let site = shared.backend.site.clone();
        carried_by_token(async move { site.heartbeat(&id, &token, call, peer.from).await }).await?;
        Ok(json(StatusCode::OK, &serde_json::json!({})))
    };
    either(answer.await)
}
