//! The API's answers to what is wrong, what comes from the store, and a real Unix socket.

use std::os::unix::fs::PermissionsExt;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use futures_util::StreamExt;
use ironwake_api::{Actor, EventKind, Lease, LeaseState, MacAddr, MachineNew, Problem};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::extract::Json;
use super::site_tests::{answer, site};
use super::*;
use crate::store::{Change, NewEvent};

struct Api {
    router: Router,
    store: Store,
    _state: tempfile::TempDir,
}

impl Api {
    async fn new() -> Self {
        let (site, state) = site("").await;
        Self { store: site.store().clone(), router: router(site), _state: state }
    }

    /// As root would.
    async fn call(&self, method: Method, path: &str, body: &str) -> (StatusCode, String, Value) {
        let mut request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned()));
        if let Ok(request) = &mut request {
            request.extensions_mut().insert(Peer::Operator("root".into()));
        }
        typed(&self.router, request.expect("a request")).await
    }

    async fn get(&self, path: &str) -> (StatusCode, String, Value) {
        self.call(Method::GET, path, "").await
    }
}

/// What a request is answered: status, type of the body, and the body where it is JSON.
async fn typed(router: &Router, request: Request) -> (StatusCode, String, Value) {
    let (status, headers, body) = answer(router, request).await;
    let media_type = headers.get("content-type").map(|value| value.to_str().expect("text").to_owned());
    (status, media_type.unwrap_or_default(), body)
}

fn event(version: u32) -> Change {
    let kind = EventKind::DaemonStarted { version: version.to_string() };
    Change::Event(Box::new(NewEvent { at: 1, actor: Actor::Daemon, machine: None, kind }))
}

/// The answer is a problem document of this status, whose code and detail hold these texts.
async fn check_problem(api: &Api, (method, path, body): (Method, &str, &str), status: u16, texts: [&str; 2]) {
    let (found, media_type, document) = api.call(method, path, body).await;
    let problem: Problem = serde_json::from_value(document).expect("a problem document");
    assert_eq!(
        (found.as_u16(), problem.status, media_type.as_str()),
        (status, status, problem::MEDIA_TYPE),
        "{path}"
    );
    assert_eq!(problem.kind, format!("urn:ironwake:problem:{}", texts[0]));
    assert!(problem.detail.contains(texts[1]), "{:?} lacks {:?}", problem.detail, texts[1]);
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let api = Api::new().await;
    let check = |request, status, texts| check_problem(&api, request, status, texts);
    let get = |path| (Method::GET, path, "");
    check(get("/api/v1/nothing"), 404, ["no_such_route", "/api/v1/nothing"]).await;
    check(get("/"), 404, ["no_such_route", "openapi.json"]).await;
    check((Method::PUT, "/api/v1/leases", ""), 405, ["method_not_allowed", "PUT"]).await;
    check(get("/api/v1/attempts/x"), 400, ["bad_path", "x"]).await;
    check(get("/api/v1/attempts/7"), 404, ["no_such_attempt", "7"]).await;
    check(get("/api/v1/events?limit=0"), 400, ["bad_query", "1 to 1000"]).await;
    check(get("/api/v1/events?aftr=0"), 400, ["bad_query", "aftr"]).await;
    check(get("/api/v1/events?after=x"), 400, ["bad_query", "after"]).await;
    check(
        get("/api/v1/events?kind=enrolment,machine_sen"),
        400,
        ["bad_query", "did you mean `machine_seen`?"],
    )
    .await;
    check(get("/api/v1/events/stream?kind=,"), 400, ["bad_query", "is no kind of event"]).await;
    check(get("/api/v1/events?order=up"), 400, ["bad_query", "up"]).await;
    api.store.close().await.expect("closed");
    check(get("/api/v1/leases"), 503, ["closing", "closed"]).await;
}

#[tokio::test]
async fn a_panic_is_answered_and_names_the_request() {
    let broken = async || -> StatusCode { panic!("a fault that this test makes") };
    let router = Router::new().route("/broken", get(broken)).layer(middleware::from_fn(guard::caught));
    let request = Request::builder().uri("/broken").body(Body::empty()).expect("a request");
    let (status, _, problem) = answer(&router, request).await;
    assert_eq!((status.as_u16(), &problem["type"]), (500, &Value::from("urn:ironwake:problem:internal")));
    assert!(problem["detail"].as_str().is_some_and(|text| text.starts_with("GET /broken ")), "{problem}");
}

#[tokio::test]
async fn the_header_allow_names_what_a_path_knows() {
    let api = Api::new().await;
    let mut request =
        Request::builder().method(Method::PUT).uri("/api/v1/leases").body(Body::empty()).expect("it");
    request.extensions_mut().insert(Peer::Operator("root".into()));
    let response = api.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.headers()["allow"], "GET,HEAD");
}

/// What the extractor for JSON says to a body.
async fn check_body(media_type: Option<&str>, body: impl Into<Body>, status: u16, code: &str, detail: &str) {
    let router = Router::new().route("/", post(async |Json(_): Json<MachineNew>| StatusCode::NO_CONTENT));
    let mut request = Request::builder().method(Method::POST).uri("/");
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type);
    }
    let (found, _, problem) = answer(&router, request.body(body.into()).expect("a request")).await;
    assert_eq!(found.as_u16(), status, "{problem}");
    let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    assert!(text("type").ends_with(code) && text("detail").contains(detail), "{problem}");
}

#[tokio::test]
async fn bodies_are_bounded_and_wrong_json_is_answered_with_its_place() {
    check_body(None, "{}", 204, "", "").await;
    check_body(Some("Application/JSON; charset=utf-8"), "{}", 204, "", "").await;
    check_body(Some("text/plain"), "{}", 415, "unsupported_media_type", "text/plain").await;
    check_body(None, "{\n  \"macs\": [\"a\",", 400, "bad_json", "line 2, column 15: EOF").await;
    check_body(None, "{\n \"mac\": []}", 400, "bad_json", "line 2, column 6: unknown field `mac`").await;
    check_body(None, "", 400, "bad_json", "line 1, column 0: EOF").await;
    check_body(None, vec![b' '; BODY_BYTES_MAX + 1], 413, "body_too_large", "1048576").await;
    let broken = futures_util::stream::iter([Ok("{"), Err(std::io::Error::other("gone"))]);
    check_body(None, Body::from_stream(broken), 400, "bad_body", "gone").await;
}

#[tokio::test]
async fn a_request_without_credentials_or_with_the_wrong_ones_gets_nothing() {
    let api = Api::new().await;
    for peer in [None, Some(Peer::Refused("anna is no member".into()))] {
        for path in ["/api/v1/leases", "/api/v1/openapi.json", "/nothing"] {
            let mut request = Request::builder().uri(path).body(Body::empty()).expect("a request");
            if let Some(peer) = peer.clone() {
                request.extensions_mut().insert(peer);
            }
            let (status, media_type, problem) = typed(&api.router, request).await;
            assert_eq!((status, media_type.as_str()), (StatusCode::FORBIDDEN, problem::MEDIA_TYPE));
            assert_eq!(problem["type"], "urn:ironwake:problem:forbidden");
        }
    }
}

#[tokio::test]
async fn leases_events_and_the_version_come_from_the_store() {
    let api = Api::new().await;
    let lease = Lease {
        address: "10.0.0.7".into(),
        network: "br0".into(),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        client_id: None,
        hostname: Some("web1".into()),
        state: LeaseState::Bound,
        renewed_at: 1,
        expires_at: 2,
    };
    let changes = vec![Change::Lease(Box::new(lease.clone())), event(1), event(2), event(3)];
    api.store.save(changes).await.expect("saved");
    let (status, _, leases) = api.get("/api/v1/leases").await;
    assert_eq!((status, leases), (StatusCode::OK, serde_json::json!([lease])));
    let (_, _, events) = api.get("/api/v1/events?after=1&limit=1").await;
    assert_eq!(events.as_array().map(Vec::len), Some(1));
    assert_eq!((&events[0]["id"], &events[0]["kind"]), (&Value::from(2), &Value::from("daemon_started")));
    let (_, _, version) = api.get("/api/v1/version").await;
    assert_eq!(version["schema"], crate::store::SCHEMA_VERSION);
}

/// Reads the stream until `count` events are there; the text as it came.
async fn read_stream(api: &Api, path: &str, last_event_id: Option<&str>, count: usize) -> String {
    let mut request = Request::builder().uri(path);
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    request.extensions_mut().insert(Peer::Operator("root".into()));
    let response = api.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    while text.matches("data: ").count() < count {
        let chunk = body.next().await.expect("more").expect("a chunk");
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
    text
}

#[tokio::test]
async fn parity_pv14_the_stream_goes_on_after_last_event_id() {
    let api = Api::new().await;
    api.store.save((1..=5).map(event).collect()).await.expect("saved");
    let text = read_stream(&api, "/api/v1/events/stream?after=1", Some("3"), 2).await;
    assert!(text.starts_with("id: 3\nretry: 2000\n\n"), "{text}");
    let expected = "id: 4\nevent: daemon_started\ndata: {\"actor\":\"daemon\",\"at\":1,\"id\":4,\
                    \"kind\":\"daemon_started\",\"version\":\"4\"}\n\n";
    assert!(text.contains(expected) && text.contains("id: 5\n"), "{text}");
    let text = read_stream(&api, "/api/v1/events/stream?after=4", None, 1).await;
    assert!(text.starts_with("id: 4\nretry: 2000\n\nid: 5\n"), "{text}");
    check_problem(&api, (Method::GET, "/api/v1/events/stream?x=1", ""), 400, ["bad_query", "x"]).await;
}

#[tokio::test]
async fn every_documented_operation_is_routed_and_documents_its_errors() {
    let api = Api::new().await;
    let (status, media_type, document) = api.get("/api/v1/openapi.json").await;
    assert_eq!((status, media_type.as_str()), (StatusCode::OK, "application/json"));
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let what = format!("{method} {path}");
            let address = path.replace("{key}", "x").replace("{id}", "1").replace("{name}", "x");
            if path != "/api/v1/events/stream" {
                let verb = method.to_uppercase().parse().expect("a method");
                let (status, _, answer) = api.call(verb, &address, "{}").await;
                assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
                assert_ne!(answer["type"], "urn:ironwake:problem:no_such_route", "{what}");
            }
            let responses = operation["responses"].as_object().expect("responses");
            // 101 is no error: the connection goes on as something else.
            let errors = responses.iter().filter(|(status, _)| !status.starts_with(['1', '2']));
            for (status, response) in errors {
                let schema = &response["content"][problem::MEDIA_TYPE]["schema"]["$ref"];
                let health = path == "/api/v1/health" && status == "503";
                assert!(health || schema == "#/components/schemas/Problem", "{what} {status}: {response}");
            }
            assert!(
                responses.contains_key("401")
                    && responses.contains_key("403")
                    && responses.contains_key("default"),
                "{what}"
            );
            // What is put need not be there.
            assert_eq!(responses.contains_key("404"), path.contains('{') && method != "put", "{what}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("a name");
                let place = if path.contains(&format!("{{{name}}}")) {
                    "path"
                } else if name == "Last-Event-ID" {
                    "header"
                } else {
                    "query"
                };
                assert_eq!(parameter["in"], place, "{what} {name}");
            }
            assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{what}");
            count += 1;
        }
    }
    assert_eq!(count, 90);
    check_references(&document, &document);
}

/// Every `$ref` leads to a schema.
fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let pointer = reference.trim_start_matches('#');
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            fields.values().for_each(|value| check_references(value, document));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(value, document)),
        _ => {}
    }
}

#[tokio::test]
async fn the_socket_serves_its_peer_and_closes_when_told() {
    let api = Api::new().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("api.sock");
    let listener = bind(&path).expect("a socket");
    let mode = std::fs::metadata(&path).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(matches!(bind(&path), Err(HttpError::InUse { .. })), "a live socket stays");

    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(listen::accept(listener, api.router.clone(), None, shutdown.clone()));
    let ask = async |request: &str| {
        let mut stream = UnixStream::connect(&path).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        text
    };
    let text = ask("GET /api/v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\"schema\":"), "{text}");

    // An event stream ends with the daemon, not with the limit of the drain.
    let mut following = UnixStream::connect(&path).await.expect("connected");
    following.write_all(b"GET /api/v1/events/stream HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut begin = Vec::new();
    while !String::from_utf8_lossy(&begin).contains("retry: 2000") {
        assert_ne!(following.read_buf(&mut begin).await.expect("the opening"), 0);
    }
    shutdown.cancel();
    let mut rest = String::new();
    following.read_to_string(&mut rest).await.expect("the end");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    serving.await.expect("ended");

    // Nobody answers there any more: the next daemon takes the socket over.
    drop(bind(&path).expect("a stale socket is replaced"));
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, "notes").expect("a file");
    assert!(matches!(bind(&path), Err(HttpError::InTheWay { .. })), "a file stays");
    let missing = folder.path().join("no/api.sock");
    assert!(matches!(bind(&missing), Err(HttpError::Listen { .. })));
}

#[tokio::test]
async fn who_has_connected_before_the_end_is_answered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("api.sock");
    let router = Router::new().route("/", get(async || "here"));
    let shutdown = CancellationToken::new();
    let serving =
        tokio::spawn(listen::accept(bind(&path).expect("a socket"), router, None, shutdown.clone()));
    let mut first = UnixStream::connect(&path).await.expect("connected");
    let mut text = String::new();
    // An answer to the second says that the first is taken too.
    let mut second = UnixStream::connect(&path).await.expect("connected");
    second.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("sent");
    second.read_to_string(&mut text).await.expect("an answer");
    shutdown.cancel();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    text.clear();
    first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    first.read_to_string(&mut text).await.expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("here"), "{text}");
    serving.await.expect("ended");
}

#[tokio::test]
async fn the_peer_of_a_connection_is_told_to_the_handler() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("api.sock");
    let router = Router::new()
        .route("/who", get(async |extract::Operator(actor): extract::Operator| axum::Json(actor)))
        .layer(middleware::from_fn_with_state(site("").await.0, guard::admitted));
    let shutdown = CancellationToken::new();
    let serving =
        tokio::spawn(listen::accept(bind(&path).expect("a socket"), router, None, shutdown.clone()));
    let mut stream = UnixStream::connect(&path).await.expect("connected");
    stream.write_all(b"GET /who HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    let Peer::Operator(name) =
        Peer::resolve(nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    else {
        panic!("the daemon's own user may call")
    };
    assert!(text.ends_with(&format!("{{\"operator\":\"{name}\"}}")), "{text}");
    shutdown.cancel();
    serving.await.expect("ended");
}
