//! Requests that are under way when their token ends.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use ironwake_api::{Actor, ArtifactState, BuildNew, Scope, TokenNew};
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::site_tests::{LATER, site};
use super::*;

const TOKEN: &str = "ci";
const EXPIRES_SECS: u64 = 60;
const IMAGE: &str = "/api/v1/artifacts/disk.img";

fn root() -> Actor {
    Actor::Operator("root".into())
}

struct Api {
    site: SharedSite,
    router: Router,
    secret: String,
    state: tempfile::TempDir,
}

impl Api {
    async fn new() -> Self {
        let (site, state) = site("").await;
        let new = TokenNew { name: TOKEN.into(), scope: Scope::Operator, expires_secs: Some(EXPIRES_SECS) };
        let secret = site.make_token(new, root()).await.expect("a token").secret;
        Self { router: router(site.clone()), site, secret, state }
    }

    /// The answer to a request by the token.
    fn ask(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: Body,
    ) -> impl Future<Output = Response> + use<> {
        let request = Request::builder().method(method).uri(path).header("content-type", media_type);
        let request = request.header("authorization", format!("Bearer {}", self.secret));
        let mut request = request.body(body).expect("a request");
        request.extensions_mut().insert(Peer::Remote([10, 0, 0, 7].into()));
        self.router.clone().oneshot(request).map(|answer| answer.expect("an answer"))
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.state.path().join("imports")).expect("a folder").count()
    }

    async fn revoke(&self) {
        self.site.revoke_token(TOKEN, root()).await.expect("revoked");
    }
}

/// A body that comes as it is sent.
fn body() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let pieces = stream::unfold(receiver, |mut receiver| async {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    (sender, Body::from_stream(pieces))
}

#[track_caller]
fn check_refused(answer: &Response) {
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let challenge = &answer.headers()["www-authenticate"];
    assert_eq!(challenge, "Bearer realm=\"ironwake\", error=\"invalid_token\"");
}

/// An image of which a part has come when `end` ends the token.
async fn check_upload(end: impl AsyncFnOnce(&Api)) {
    let later = LATER.replace(0);
    let api = Api::new().await;
    LATER.set(later);
    let (pieces, image) = body();
    let answer = tokio::spawn(api.ask(Method::PUT, IMAGE, "application/octet-stream", image));
    pieces.send(vec![7; 4096].into()).expect("it is read");
    while api.files() == 0 && !answer.is_finished() {
        tokio::task::yield_now().await;
    }
    end(&api).await;
    check_refused(&answer.await.expect("answered"));
    // The rest comes nevertheless, and is of no use.
    let _ = pieces.send(vec![7; 4096].into());
    drop(pieces);
    assert_eq!(api.files(), 0);
    assert!(api.site.artifact("disk.img").is_err());
}

#[tokio::test]
async fn an_upload_is_refused_once_its_token_is_revoked_and_leaves_nothing() {
    check_upload(async |api: &Api| api.revoke().await).await;
}

#[tokio::test]
async fn an_upload_is_refused_once_its_token_has_expired_and_leaves_nothing() {
    // What is left of it passes by itself while the image comes.
    LATER.set(EXPIRES_SECS * 1000 - 200);
    check_upload(async |_: &Api| {}).await;
}

#[tokio::test]
async fn an_image_that_has_come_gets_no_name_by_a_token_that_has_ended() {
    let api = Api::new().await;
    let admitted = api.site.admit([10, 0, 0, 7].into(), Some(&api.secret)).expect("admitted");
    let mut upload = api.site.receive_import("disk.img", None).expect("begun");
    upload.write(&[7; 512]).expect("written");
    let received = upload.finish(None).expect("whole");
    api.revoke().await;
    let refused = api.site.import("disk.img", received, root(), Some(&admitted.standing)).await;
    assert!(matches!(refused, Err(crate::site::SiteError::TokenEnded)), "{refused:?}");
    assert_eq!(api.files(), 0);
}

#[tokio::test]
async fn what_is_asked_for_in_json_is_not_done_once_the_token_is_revoked() {
    let api = Api::new().await;
    let (pieces, json) = body();
    let mut answer = pin!(api.ask(Method::POST, "/api/v1/machines", "application/json", json));
    pieces.send(Bytes::from_static(b"{\"name\": \"web1\", ")).expect("it is read");
    assert!(answer.as_mut().now_or_never().is_none(), "it waits for the rest");
    api.revoke().await;
    let _ = pieces.send(Bytes::from_static(b"\"macs\": [\"52:54:00:00:00:01\"]}"));
    drop(pieces);
    check_refused(&answer.await);
    assert!(api.site.machine("web1").is_err());
}

#[tokio::test]
async fn a_builder_that_waits_gets_nothing_to_build_once_its_token_is_revoked() {
    let api = Api::new().await;
    let path = "/api/v1/builds/next?wait_secs=20";
    let mut answer = pin!(api.ask(Method::POST, path, "application/json", Body::empty()));
    assert!(answer.as_mut().now_or_never().is_none(), "it waits for an order");
    api.revoke().await;
    order(&api).await;
    check_refused(&answer.await);
    assert_eq!(api.site.builds()[0].state, ArtifactState::Queued);
}

async fn order(api: &Api) {
    let new = BuildNew { name: "debian-image/trixie-amd64".into(), mirror: None };
    api.site.order_build(new, root()).await.expect("ordered");
}

#[tokio::test]
async fn an_order_goes_to_another_builder_when_the_first_that_waits_is_refused() {
    let api = Api::new().await;
    let path = "/api/v1/builds/next?wait_secs=20";
    let mut refused = pin!(api.ask(Method::POST, path, "application/json", Body::empty()));
    assert!(refused.as_mut().now_or_never().is_none(), "it waits for an order");
    // Longer than anybody waits for the test.
    let mut other = pin!(api.site.next_build(Duration::from_secs(3600), root(), None));
    assert!(other.as_mut().now_or_never().is_none(), "it waits too");
    api.revoke().await;
    order(&api).await;
    check_refused(&refused.await);
    let taken = other.await.expect("an answer").expect("the order");
    assert_eq!(taken.state, ArtifactState::Working);
}

#[tokio::test]
async fn an_upload_that_stalls_is_ended_by_its_name() {
    let api = Api::new().await;
    let (pieces, image) = body();
    let answer = tokio::spawn(api.ask(Method::PUT, IMAGE, "application/octet-stream", image));
    pieces.send(vec![7; 4096].into()).expect("it is read");
    while api.files() == 0 && !answer.is_finished() {
        tokio::task::yield_now().await;
    }
    api.site.delete_import("disk.img", root()).await.expect("ended");
    // Nothing more is sent.
    assert!(answer.await.expect("answered").status().is_client_error());
    assert_eq!(api.files(), 0);
    drop(pieces);
}
