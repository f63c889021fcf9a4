//! The API over a real site: what an operator does with machines, and what comes back.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use ironwake_api::{EnrollRequest, Inventory, MacAddr, Nic, OrderKind};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::artifacts::{Imports, Shelf};
use crate::config::Config;
use crate::site::Site;

struct Api {
    site: SharedSite,
    router: Router,
    _state: tempfile::TempDir,
}

thread_local! {
    /// How much later it is than at the beginning of a test; in milliseconds.
    pub(super) static LATER: Cell<u64> = const { Cell::new(0) };
}

/// A site on a store in a temporary folder, configured with `more`.
pub(super) async fn site(more: &str) -> (SharedSite, tempfile::TempDir) {
    let state = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&state.path().join("ironwake.db")).expect("a store");
    let text = format!("[[network]]\ninterface = \"lo\"\n{more}");
    let config = Config::parse(&text, "test").expect("a configuration");
    let imports = Imports::open(state.path(), Shelf::default()).expect("a folder");
    let site = Site::load(
        &config,
        store,
        || 1_800_000_000_000 + LATER.get(),
        Box::new(|_| {}),
        crate::operation::SiteKey::new([7; 32]),
        imports,
    )
    .await
    .expect("a site");
    (SharedSite::new(site), state)
}

/// What a request is answered: status, headers, and the body where it is JSON.
pub(super) async fn answer(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    // An event stream does not end.
    if parts.headers.get("content-type").is_some_and(|value| value == "text/event-stream") {
        return (parts.status, parts.headers, Value::Null);
    }
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or_default())
}

impl Api {
    async fn new() -> Self {
        Self::with("").await
    }

    /// An API whose site is configured with `more`.
    async fn with(more: &str) -> Self {
        let (site, state) = site(more).await;
        Self { router: router(site.clone()), site, _state: state }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, HeaderMap, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("content-type", "application/json")
            .body(body)
            .expect("a request");
        request.extensions_mut().insert(Peer::Operator("anna".into()));
        let (status, headers, body) = answer(&self.router, request).await;
        (status.as_u16(), headers, body)
    }

    async fn get(&self, path: &str) -> Value {
        let (status, _, body) = self.call(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// A call that is refused with this status and code.
    async fn check_refused(&self, method: Method, path: &str, body: Value, status: u16, code: &str) -> Value {
        let (found, _, problem) = self.call(method, path, body).await;
        assert_eq!(
            (found, &problem["type"]),
            (status, &json!(format!("urn:ironwake:problem:{code}"))),
            "{path}"
        );
        problem
    }

    /// The agent reports an inventory whose firmware has this version.
    async fn report(&self, version: &str) -> String {
        let mac = MacAddr([0x52, 0x54, 0, 0, 0, 9]);
        let mut inventory = Inventory {
            schema: 1,
            nics: vec![Nic { name: "eth0".into(), mac: Some(mac), ..Nic::default() }],
            ..Inventory::default()
        };
        inventory.firmware.version = Some(version.into());
        inventory.system.serial = Some("7CX1Q93".into());
        let request = EnrollRequest { agent: "test".into(), boot_mac: mac, inventory };
        self.site.enroll(request, None, Ipv4Addr::new(10, 0, 0, 9)).await.expect("enrolled").answer.machine
    }
}

#[tokio::test]
async fn a_machine_is_registered_shown_edited_and_deleted() {
    let api = Api::new().await;
    let new = json!({"name": "web1", "macs": ["52-54-00-00-00-01"], "tags": ["rack1"]});
    let (status, headers, machine) = api.call(Method::POST, "/machines", new.clone()).await;
    let id = machine["id"].as_str().expect("an id").to_owned();
    assert_eq!((status, &machine["enrolment"]), (201, &json!("registered")));
    assert_eq!(headers["location"].to_str().expect("text"), format!("/api/v1/machines/{id}"));
    api.check_refused(Method::POST, "/machines", new, 409, "conflict").await;
    let problem = api.check_refused(Method::POST, "/machines", json!({"macs": ["x"]}), 422, "invalid").await;
    assert_eq!(problem["errors"][0]["field"], "macs[0]");

    for key in ["web1", "52:54:00:00:00:01", &id] {
        assert_eq!(api.get(&format!("/machines/{key}")).await["id"], *id);
    }
    let page = api.get("/machines?tag=rack1&limit=10").await;
    assert_eq!((&page["total"], &page["items"][0]["id"]), (&json!(1), &json!(id)));
    assert_eq!(api.get("/machines?tag=rack2").await["total"], 0);

    let patch = json!({"name": null, "notes": "left rack"});
    let (status, _, machine) = api.call(Method::PATCH, "/machines/web1", patch).await;
    assert_eq!((status, &machine["name"], &machine["notes"]), (200, &Value::Null, &json!("left rack")));
    let path = format!("/machines/{id}");
    api.check_refused(Method::PATCH, &path, json!({"nam": "x"}), 400, "bad_json").await;
    let (status, _, machine) = api.call(Method::POST, &format!("{path}/enroll"), Value::Null).await;
    assert_eq!((status, &machine["enrolment"]), (200, &json!("enrolled")));

    let (status, _, _) = api.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!(status, 204);
    for (method, end) in [(Method::GET, ""), (Method::DELETE, ""), (Method::POST, "/enroll")] {
        let path = format!("{path}{end}");
        api.check_refused(method, &path, Value::Null, 404, "no_such_machine").await;
    }
    let events = api.get("/events").await;
    let kinds: Vec<_> =
        events.as_array().expect("a list").iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(json!(kinds), json!(["machine_registered", "machine_edited", "enrolment", "machine_deleted"]));
    assert_eq!(events[0]["actor"], json!({"operator": "anna"}));
    let newest =
        api.get("/events?order=desc&limit=2&kind=machine_registered,machine_deleted,enrolment").await;
    assert_eq!((&newest[0]["kind"], &newest[1]["kind"]), (&json!("machine_deleted"), &json!("enrolment")));
    let before = newest[1]["id"].as_i64().expect("an id");
    let next = api.get(&format!("/events?order=desc&before={before}&machine={id}")).await;
    assert_eq!(
        (&next[0]["kind"], &next[1]["kind"]),
        (&json!("machine_edited"), &json!("machine_registered"))
    );
}

#[tokio::test]
async fn tags_that_fit_a_rule_enrol() {
    let rules = "[enrolment]\npolicy = \"rules\"\n[[enrolment.rule]]\nname = \"lab\"\ntags = [\"lab\"]\nadd_tags = [\"rack1\"]\n";
    for (registered, patched) in [(Some(json!(["lab"])), None), (None, Some(json!(["lab"])))] {
        let api = Api::with(rules).await;
        if let Some(tags) = registered {
            let new = json!({"serial": "7CX1Q93", "tags": tags});
            assert_eq!(api.call(Method::POST, "/machines", new).await.0, 201);
        }
        let id = api.report("1.0").await;
        if let Some(tags) = patched {
            assert_eq!(api.get(&format!("/machines/{id}")).await["enrolment"], "unenrolled");
            let patch = json!({"tags": tags});
            let (status, _, answer) = api.call(Method::PATCH, &format!("/machines/{id}"), patch).await;
            assert_eq!((status, &answer["enrolment"]), (200, &json!("enrolled")));
        }
        let machine = api.get(&format!("/machines/{id}")).await;
        assert_eq!((&machine["enrolment"], &machine["tags"]), (&json!("enrolled"), &json!(["lab", "rack1"])));
        let events = api.get("/events").await;
        let enrolment = events.as_array().expect("a list").iter().find(|event| event["kind"] == "enrolment");
        let enrolment = enrolment.expect("an event");
        assert_eq!((&enrolment["actor"], &enrolment["by"]), (&json!("daemon"), &json!("rule lab")));
    }
}

#[tokio::test]
async fn inventories_are_kept_and_compared() {
    let api = Api::new().await;
    let id = api.report("1.0").await;
    let path = format!("/machines/{id}");
    api.check_refused(
        Method::GET,
        &format!("{path}/inventories/diff"),
        Value::Null,
        404,
        "no_such_inventory",
    )
    .await;
    assert_eq!(api.report("1.1").await, id);
    assert_eq!(api.report("1.2").await, id);
    assert_eq!(api.get(&path).await["inventory"]["firmware"]["version"], "1.2");
    let history = api.get(&format!("{path}/inventories?limit=2")).await;
    assert_eq!(history.as_array().map(Vec::len), Some(2));
    assert_eq!(history[0]["inventory"]["firmware"]["version"], "1.2");
    let newest = api.get(&format!("{path}/inventories/diff")).await;
    assert_eq!(newest, json!([{"path": "firmware.version", "before": "1.1", "after": "1.2"}]));
    let (from, to) = (history[1]["id"].clone(), history[0]["id"].clone());
    assert_eq!(api.get(&format!("{path}/inventories/diff?from={from}&to={to}")).await, newest);
    let back = api.get(&format!("{path}/inventories/diff?from={to}&to={from}")).await;
    assert_eq!(back[0]["before"], "1.2");
    api.check_refused(Method::GET, &format!("{path}/inventories?limit=0"), Value::Null, 400, "bad_query")
        .await;
}

#[tokio::test]
async fn health_artifacts_attempts_and_orders_answer() {
    let api = Api::new().await;
    let id = api.report("1.0").await;
    let (status, _, health) = api.call(Method::GET, "/health", Value::Null).await;
    let expected = if health["state"] == "failed" { 503 } else { 200 };
    assert_eq!(status, expected, "{health}");
    assert!(api.get("/artifacts").await.is_array());
    assert!(api.get(&format!("/machines/{id}/attempts?limit=3")).await.is_array());
    let path = format!("/machines/{id}/orders");
    let reboot = json!({"order": "reboot"});
    // Nobody waits on that machine.
    api.check_refused(Method::POST, &path, reboot.clone(), 409, "conflict").await;
    let waiting = api.site.next_order(&id, Duration::from_secs(20));
    let (order, (status, _, _)) = tokio::join!(waiting, api.call(Method::POST, &path, reboot));
    assert_eq!(status, 202);
    assert_eq!(order.expect("waited").map(|order| order.order), Some(OrderKind::Reboot));
    api.check_refused(Method::POST, &path, json!({"order": "dance"}), 400, "bad_json").await;
}

#[tokio::test]
async fn a_change_is_carried_through_when_the_client_goes_away() {
    let api = Api::new().await;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/machines")
        .body(Body::from(r#"{"name":"web1","serial":"7CX1Q93"}"#))
        .expect("a request");
    request.extensions_mut().insert(Peer::Operator("anna".into()));
    let mut published = api.site.store().subscribe();
    let mut answer = Box::pin(api.router.clone().oneshot(request));
    // Polled until the change is on its way to the store, then dropped, as hyper does when a client leaves.
    let started = futures_util::future::poll_immediate(&mut answer).await;
    assert!(started.is_none(), "no answer before the commit");
    drop(answer);
    published.recv().await.expect("saved all the same");
    while api.site.machine("web1").is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.get("/machines/web1").await["serial"], "7CX1Q93");
}

#[tokio::test]
async fn a_console_is_told_what_it_would_otherwise_guess() {
    let api = Api::new().await;
    let id = api.report("1.0").await;
    let machine = &api.get("/machines").await["items"][0];
    assert_eq!(machine["hardware"]["nics"], 1);
    assert_eq!(machine["last_attempt"]["outcome"], "inventoried");

    let path = format!("/machines/{id}/operations/dry-run");
    let wipe = json!({"kind": "wipe", "disks": ["only"]});
    let (status, _, run) = api.call(Method::POST, &path, wipe.clone()).await;
    assert_eq!((status, &run["machine"]), (200, &json!(id)));
    let fields: Vec<&Value> =
        run["mistakes"].as_array().expect("a list").iter().map(|m| &m["field"]).collect();
    assert_eq!(fields, ["machine", "disks[0]"]);
    assert_eq!(api.get("/operations").await, json!([]));
    api.check_refused(Method::POST, &path, json!({"kind": "wip"}), 400, "bad_json").await;
    api.check_refused(Method::POST, "/machines/x/operations/dry-run", wipe, 404, "no_such_machine").await;

    let fits = api.get(&format!("/machines/{id}/profiles")).await;
    let local = fits.as_array().expect("a list").iter().find(|fit| fit["name"] == "local").expect("it");
    assert_eq!((&local["fits"], &local["operation"]), (&json!(true), &Value::Null));
    api.check_refused(Method::GET, "/machines/x/profiles", Value::Null, 404, "no_such_machine").await;

    let usage = api.get("/cache").await;
    assert_eq!((&usage["imports"], &usage["bytes"]), (&json!(0), &json!(0)));
    assert!(usage["bytes_max"].as_u64().expect("a limit") > 0);
}
