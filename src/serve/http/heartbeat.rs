//! What an installed host calls for as long as it runs.

use axum::extract::{Extension, Path, State};
use hyper::{Request, StatusCode};

use super::answer::json;
use super::boot_v1::{Shared, either, host_call, interrupted, refusal, refused};
use super::service::Peer;
use crate::site::SiteError;

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
        // In a task of its own: a client that leaves halfway must not leave memory behind the store.
        let calling = tokio::spawn(async move { site.heartbeat(&id, &token, call, peer.from).await });
        match calling.await.map_err(interrupted)? {
            Ok(()) => Ok(json(StatusCode::OK, &serde_json::json!({}))),
            // No token is good for what is not there.
            Err(SiteError::NoSuchOperation(id)) => {
                let detail = format!("no token is good for operation {id:?}");
                Err(refusal(StatusCode::UNAUTHORIZED, "unauthorized", detail))
            }
            Err(error) => Err(refused(error)),
        }
    };
    either(answer.await)
}
