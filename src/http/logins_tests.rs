//! Where people log in: what a viewer may, what begins a session, and what ends it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use ironwake_api::{Actor, Entrance, EventKind, LoggedIn, LoginWith, Scope, Secret};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::site_tests::{LATER, site};
use super::*;
use crate::access::{FAILURES_FREE, SESSION_TIME_MAX};
use crate::site::{SettingPassword, SiteError};

pub(super) const PASSWORD: &str = "correct horse battery";
pub(super) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
pub(super) const MINUTE: u64 = 60 * 1000;
const ENTRANCES: [Entrance; 2] = [Entrance::Console, Entrance::Ssh];

pub(super) struct Api {
    pub(super) site: SharedSite,
    router: Router,
    state: tempfile::TempDir,
    /// The file of keys.
    pub(super) listed: PathBuf,
    _folder: tempfile::TempDir,
}

impl Api {
    /// One without a password.
    pub(super) async fn new() -> Self {
        Self::with("", None).await
    }

    /// The same, configured with `console`; of these keys.
    async fn with(console: &str, keys: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listed = folder.path().join("authorized_keys");
        if let Some(keys) = keys {
            std::fs::write(&listed, keys).expect("written");
        }
        let (site, state) = site(&format!("[console]\nauthorized_keys = {listed:?}\n{console}\n")).await;
        site.keep_password(state.path()).expect("no password yet");
        Self { router: router(site.clone()), site, state, listed, _folder: folder }
    }

    pub(super) async fn with_password() -> Self {
        let api = Self::with("", Some(&format!("{KEY} anna@laptop\n"))).await;
        api.set_password(PASSWORD).await.expect("set");
        api
    }

    pub(super) async fn set_password(&self, password: &str) -> Result<(), SiteError> {
        let root = Actor::Operator("root".into());
        self.site.set_password(Secret(password.into()), SettingPassword::Anew(None), root).await
    }

    fn request(&self, peer: Peer, token: Option<&str>, method: Method, path: &str, body: Body) -> Request {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut request = request.body(body).expect("a request");
        request.extensions_mut().insert(peer);
        request
    }

    pub(super) async fn ask(
        &self,
        entrance: Entrance,
        token: Option<&str>,
        (method, path): (Method, &str),
        body: Value,
    ) -> (StatusCode, HeaderMap, Value) {
        let body = Body::from(if body.is_null() { "{}".to_owned() } else { body.to_string() });
        let request = self.request(Peer::Viewer(entrance), token, method, path, body);
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        // An event stream does not end.
        let streams = parts.headers.get("content-type").is_some_and(|value| value == "text/event-stream");
        let body =
            if streams { Vec::new() } else { body.collect().await.expect("a body").to_bytes().to_vec() };
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(super) async fn log_in(&self, entrance: Entrance, body: Value) -> (StatusCode, HeaderMap, Value) {
        self.ask(entrance, None, (Method::POST, "/api/v1/login"), body).await
    }

    pub(super) async fn session(&self, entrance: Entrance, body: Value) -> LoggedIn {
        let (status, _, begun) = self.log_in(entrance, body).await;
        assert_eq!(status, StatusCode::OK, "{begun}");
        serde_json::from_value(begun).expect("a session")
    }

    pub(super) async fn by_password(&self, entrance: Entrance) -> LoggedIn {
        self.session(entrance, json!({"password": PASSWORD})).await
    }

    /// The status of a request that only somebody who has logged in may make.
    pub(super) async fn changes(&self, entrance: Entrance, token: &str) -> StatusCode {
        let what = (Method::DELETE, "/api/v1/machines/nobody");
        self.ask(entrance, Some(token), what, Value::Null).await.0
    }

    pub(super) async fn events(&self) -> Vec<ironwake_api::Event> {
        self.site.store().save(Vec::new()).await.expect("saved");
        self.site.store().events_after(0, None, 100).await.expect("events")
    }
}

pub(super) fn code(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.strip_prefix("urn:ironwake:problem:")).unwrap_or_default()
}

pub(super) fn later(millis: u64) {
    LATER.set(LATER.get() + millis);
}

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing_on_any_route() {
    let api = Api::with_password().await;
    for entrance in ENTRANCES {
        // Only the SSH server has keys to show.
        let operator = match entrance {
            Entrance::Ssh => Some(api.session(entrance, json!({"key": KEY})).await.token),
            Entrance::Console => None,
        };
        let admin = api.by_password(entrance).await.token;
        let none = crate::access::spell([7; 32]);
        let read = (Method::GET, "/api/v1/openapi.json");
        let (_, _, document) = api.ask(entrance, None, read, Value::Null).await;
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("an item").keys() {
                let method: Method = method.to_uppercase().parse().expect("a method");
                let demanded = scopes::listed(&method, path).expect("in the table");
                let address = path.replace("{key}", "x").replace("{id}", "1").replace("{name}", "x");
                let what = format!("{method} {path} at {entrance}");
                let ask = async |token| {
                    api.ask(entrance, token, (method.clone(), address.as_str()), Value::Null).await
                };
                let (status, headers, problem) = ask(None).await;
                assert_eq!(
                    code(&problem) == "locked",
                    demanded > Scope::Viewer,
                    "{what}: {status} {problem}"
                );
                if demanded > Scope::Viewer {
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
                    assert_eq!(headers["www-authenticate"], "Bearer realm=\"ironwake\"");
                    let detail = problem["detail"].as_str().expect("text");
                    assert!(detail.contains("needs a login with the administrator's password"), "{detail}");
                }
                // A session that is none is told, and not taken for a viewer.
                let (_, _, problem) = ask(Some(none.as_str())).await;
                assert_eq!(code(&problem) == "session_ended", path != "/api/v1/login", "{what}: {problem}");
                // It would end what the next ones ask with.
                if path == "/api/v1/logout" {
                    continue;
                }
                if let Some(operator) = &operator {
                    let (status, _, problem) = ask(Some(operator.as_str())).await;
                    assert_eq!(code(&problem) == "locked", demanded > Scope::Operator, "{what}: {problem}");
                    assert!(demanded <= Scope::Operator || status == StatusCode::FORBIDDEN, "{what}");
                }
                let (_, _, problem) = ask(Some(admin.as_str())).await;
                assert!(!["locked", "session_ended"].contains(&code(&problem)), "{what}: {problem}");
            }
        }
    }
}

#[tokio::test]
async fn a_password_makes_an_admin_and_a_key_an_operator_each_on_its_socket() {
    let api = Api::with_password().await;
    let console = api.by_password(Entrance::Console).await;
    assert_eq!((console.scope, console.name.as_str()), (Scope::Admin, "administrator (console)"));
    assert_eq!(console.lock_after_secs, Some(600));
    let body = json!({"password": PASSWORD, "user": "bo", "from": "10.0.0.7"});
    let ssh = api.session(Entrance::Ssh, body).await;
    assert_eq!((ssh.scope, ssh.name.as_str()), (Scope::Admin, "bo (ssh, password)"));
    // Not on another socket.
    assert_eq!(api.changes(Entrance::Ssh, &ssh.token).await, StatusCode::NOT_FOUND);
    assert_eq!(api.changes(Entrance::Console, &ssh.token).await, StatusCode::UNAUTHORIZED);
    assert_eq!(api.changes(Entrance::Ssh, &console.token).await, StatusCode::UNAUTHORIZED);

    let events = api.events().await;
    let kind = EventKind::LoggedIn {
        name: "bo (ssh, password)".into(),
        entrance: Entrance::Ssh,
        with: LoginWith::Password,
        scope: Scope::Admin,
        from: Some("10.0.0.7".into()),
    };
    let event = events.iter().find(|event| event.kind == kind).expect("told");
    assert_eq!(event.actor, Actor::Operator("bo (ssh, password)".into()));
    let first = events.iter().find(|event| event.kind == EventKind::PasswordChanged { first: true });
    assert_eq!(first.expect("told").actor, Actor::Operator("root".into()));
}

#[tokio::test]
async fn only_listed_keys_open_and_only_where_the_ssh_server_asks() {
    let api = Api::new().await;
    let offer = async |entrance| {
        api.ask(entrance, None, (Method::POST, "/api/v1/login/key"), json!({"key": KEY})).await
    };
    let login = async |entrance| {
        let body = json!({"key": KEY, "user": "admin", "from": "10.0.0.7"});
        api.log_in(entrance, body).await
    };
    // There is no such file.
    assert_eq!(offer(Entrance::Ssh).await.2, json!({"listed": false}));
    let (status, _, problem) = login(Entrance::Ssh).await;
    assert_eq!((status, code(&problem)), (StatusCode::UNAUTHORIZED, "login_refused"));
    std::fs::write(&api.listed, format!("{KEY} anna@laptop\n")).expect("written");
    assert_eq!(offer(Entrance::Ssh).await.2, json!({"listed": true}));
    let (_, _, begun) = login(Entrance::Ssh).await;
    assert_eq!((&begun["name"], &begun["scope"]), (&json!("anna@laptop (ssh)"), &json!("operator")));
    let other = json!({"key": KEY.replace("OIeZJ", "OIeZI")});
    assert_eq!(code(&api.log_in(Entrance::Ssh, other).await.2), "login_refused");
    // Whoever stands in front of the appliance has no key to show.
    assert_eq!(code(&offer(Entrance::Console).await.2), "login_elsewhere");
    assert_eq!(code(&login(Entrance::Console).await.2), "invalid");
    for body in [json!({}), json!({"key": "x"}), json!({"key": KEY, "password": PASSWORD})] {
        assert_eq!(code(&api.log_in(Entrance::Ssh, body).await.2), "invalid");
    }
    let (_, _, whoami) = api.ask(Entrance::Ssh, None, (Method::GET, "/api/v1/whoami"), Value::Null).await;
    let expected = json!({
        "scope": "viewer", "how": "socket", "entrance": "ssh", "password_set": false, "keys_listed": true,
        "one_time_password_set": false
    });
    assert_eq!(whoami, expected);
}

#[tokio::test]
async fn who_logged_in_with_a_key_becomes_an_admin_by_the_password_and_keeps_the_name() {
    let api = Api::with_password().await;
    let before = api.session(Entrance::Ssh, json!({"key": KEY, "from": "10.0.0.7"})).await.token;
    let asked = (Method::POST, "/api/v1/login");
    let (_, _, begun) = api.ask(Entrance::Ssh, Some(&before), asked, json!({"password": PASSWORD})).await;
    assert_eq!((&begun["name"], &begun["scope"]), (&json!("anna@laptop (ssh, password)"), &json!("admin")));
    assert_eq!(api.changes(Entrance::Ssh, &before).await, StatusCode::UNAUTHORIZED, "it took its place");
}

#[tokio::test]
async fn a_session_locks_when_nothing_is_done_and_reading_is_nothing() {
    let api = Api::with_password().await;
    let token = api.by_password(Entrance::Console).await.token;
    let ask =
        async |method, path| api.ask(Entrance::Console, Some(&token), (method, path), Value::Null).await;
    later(9 * MINUTE);
    let (_, _, whoami) = ask(Method::GET, "/api/v1/whoami").await;
    assert_eq!(whoami["locks_at"], json!(api.site.now() + MINUTE));
    assert_eq!(whoami["name"], "administrator (console)");
    assert_eq!(ask(Method::POST, "/api/v1/renew").await.0, StatusCode::NO_CONTENT);
    later(9 * MINUTE);
    assert_eq!(api.changes(Entrance::Console, &token).await, StatusCode::NOT_FOUND, "a change renews too");
    later(9 * MINUTE);
    assert_eq!(ask(Method::GET, "/api/v1/machines").await.0, StatusCode::OK);
    later(MINUTE);
    let (status, _, problem) = ask(Method::GET, "/api/v1/machines").await;
    assert_eq!((status, code(&problem)), (StatusCode::UNAUTHORIZED, "session_ended"));
    assert_eq!(api.changes(Entrance::Console, &token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_ends_after_a_day_however_much_is_done() {
    let api = Api::with_password().await;
    let begun = api.by_password(Entrance::Console).await;
    assert_eq!(begun.expires_at, api.site.now() + SESSION_TIME_MAX);
    let end = LATER.get() + SESSION_TIME_MAX;
    while LATER.get() + 5 * MINUTE < end {
        later(5 * MINUTE);
        assert_eq!(api.changes(Entrance::Console, &begun.token).await, StatusCode::NOT_FOUND);
    }
    LATER.set(end);
    assert_eq!(api.changes(Entrance::Console, &begun.token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_lock_can_be_off() {
    let api = Api::with("lock_after = \"off\"", None).await;
    api.set_password("123456").await.expect("a PIN");
    let begun = api.session(Entrance::Console, json!({"password": "123456"})).await;
    assert_eq!(begun.lock_after_secs, None);
    later(SESSION_TIME_MAX - 1);
    api.site.end_sessions();
    assert_eq!(api.changes(Entrance::Console, &begun.token).await, StatusCode::NOT_FOUND);
}

/// A stream and a body that is still coming end when `end` ends their session.
async fn check_end(end: impl AsyncFnOnce(&Api, &str)) {
    let api = Api::with_password().await;
    let token = api.by_password(Entrance::Ssh).await.token;
    let viewer = || Peer::Viewer(Entrance::Ssh);
    let path = "/api/v1/events/stream";
    let following = api.request(viewer(), Some(&token), Method::GET, path, Body::empty());
    let following = api.router.clone().oneshot(following).await.expect("an answer");
    assert_eq!(following.status(), StatusCode::OK);
    let (pieces, receiver) = mpsc::unbounded_channel();
    let coming = stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<Bytes>| async {
        let piece = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    let body = Body::from_stream(coming);
    let half = api.request(viewer(), Some(&token), Method::POST, "/api/v1/machines", body);
    let mut half = pin!(api.router.clone().oneshot(half));
    pieces.send(Bytes::from_static(b"{\"name\": \"web1\", ")).expect("it is read");
    assert!(half.as_mut().now_or_never().is_none(), "it waits for the rest");
    end(&api, &token).await;
    let _ = pieces.send(Bytes::from_static(b"\"macs\": [\"52:54:00:00:00:01\"]}"));
    drop(pieces);
    assert_eq!(half.await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    assert!(api.site.machine("web1").is_err());
    let mut stream = following.into_body().into_data_stream();
    while stream.next().await.is_some() {}
    assert_eq!(api.changes(Entrance::Ssh, &token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logout_ends_what_was_asked_for() {
    check_end(async |api: &Api, token: &str| {
        let asked = (Method::POST, "/api/v1/logout");
        let (status, ..) = api.ask(Entrance::Ssh, Some(token), asked, Value::Null).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    })
    .await;
}

#[tokio::test]
async fn the_lock_ends_what_was_asked_for() {
    check_end(async |api: &Api, _: &str| {
        later(10 * MINUTE);
        api.site.end_sessions();
    })
    .await;
}

#[tokio::test]
async fn another_password_ends_what_was_asked_for() {
    check_end(async |api: &Api, _: &str| api.set_password("another password").await.expect("set")).await;
}

#[tokio::test]
async fn whoever_changes_the_password_goes_on_and_so_do_keys() {
    let api = Api::with_password().await;
    let (own, other) = (api.by_password(Entrance::Console).await, api.by_password(Entrance::Console).await);
    let asked = (Method::PUT, "/api/v1/password");
    let body = json!({"password": "another password"});
    let (status, ..) = api.ask(Entrance::Console, Some(&own.token), asked, body).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(api.changes(Entrance::Console, &own.token).await, StatusCode::NOT_FOUND);
    assert_eq!(api.changes(Entrance::Console, &other.token).await, StatusCode::UNAUTHORIZED);
    assert_eq!(code(&api.log_in(Entrance::Console, json!({"password": PASSWORD})).await.2), "login_refused");
    let changed = api.events().await.into_iter().rev();
    let changed = changed.into_iter().find(|event| event.kind == EventKind::PasswordChanged { first: false });
    assert_eq!(changed.expect("told").actor, Actor::Operator("administrator (console)".into()));
}

#[tokio::test]
async fn the_first_password_is_set_in_front_of_the_appliance_and_nowhere_else_without_a_login() {
    let api = Api::new().await;
    let set = async |entrance, password: &str| {
        let asked = (Method::PUT, "/api/v1/password");
        api.ask(entrance, None, asked, json!({"password": password})).await
    };
    assert_eq!(code(&api.log_in(Entrance::Console, json!({"password": "x"})).await.2), "no_password");
    assert_eq!(code(&set(Entrance::Ssh, PASSWORD).await.2), "locked");
    let (status, _, problem) = set(Entrance::Console, "12345").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(set(Entrance::Console, PASSWORD).await.0, StatusCode::NO_CONTENT);
    assert_eq!(code(&set(Entrance::Console, "another password").await.2), "locked");
    api.by_password(Entrance::Console).await;
    // Of two who come at once, one sets it.
    let root = || Actor::Operator("console".into());
    let second =
        api.site.set_password(Secret("another password".into()), SettingPassword::First, root()).await;
    assert!(matches!(second, Err(SiteError::Conflict(_))), "{second:?}");
}

#[tokio::test]
async fn wrong_passwords_are_slowed_down_by_socket_and_address() {
    let api = Api::with_password().await;
    let wrong = async |entrance, from: Option<&str>| {
        let mut body = json!({"password": "not the password"});
        if let Some(from) = from {
            body["from"] = json!(from);
        }
        api.log_in(entrance, body).await
    };
    for _ in 0..=FAILURES_FREE {
        let (status, headers, problem) = wrong(Entrance::Ssh, Some("10.0.0.7")).await;
        assert_eq!((status, code(&problem)), (StatusCode::UNAUTHORIZED, "login_refused"));
        assert!(!headers.contains_key("retry-after"));
    }
    let right = json!({"password": PASSWORD, "from": "10.0.0.7"});
    let (status, headers, problem) = api.log_in(Entrance::Ssh, right.clone()).await;
    assert_eq!((status, code(&problem)), (StatusCode::TOO_MANY_REQUESTS, "slowed_down"));
    assert_eq!(headers["retry-after"], "1");
    // Others do not wait, and neither does whoever stands in front of the appliance.
    api.session(Entrance::Ssh, json!({"password": PASSWORD, "from": "10.0.0.8"})).await;
    api.by_password(Entrance::Console).await;
    later(1000);
    api.session(Entrance::Ssh, right).await;
    let events = api.events().await;
    let refused: Vec<_> =
        events.iter().filter(|event| matches!(event.kind, EventKind::LoginRefused { .. })).collect();
    let expected = EventKind::LoginRefused {
        entrance: Entrance::Ssh,
        from: Some("10.0.0.7".into()),
        failures: FAILURES_FREE + 1,
    };
    assert_eq!(refused.iter().map(|event| &event.kind).collect::<Vec<_>>(), [&expected]);
    let told = serde_json::to_string(&events).expect("JSON");
    assert!(!told.contains(PASSWORD) && !told.contains("not the password"), "{told}");
}

#[tokio::test]
async fn wrong_passwords_from_everywhere_slow_ssh_down_and_not_the_console() {
    let api = Api::with_password().await;
    let body = |last: u32| {
        let from = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + last));
        json!({"password": "not the password", "from": from.to_string()})
    };
    let mut last = 0;
    while code(&api.log_in(Entrance::Ssh, body(last)).await.2) == "login_refused" {
        last += 1;
        assert!(last < 1000, "nobody is slowed down");
    }
    assert_eq!(last, 51);
    let all = EventKind::LoginRefused { entrance: Entrance::Ssh, from: None, failures: 51 };
    assert!(api.events().await.iter().any(|event| event.kind == all));
    api.by_password(Entrance::Console).await;
}

#[tokio::test]
async fn those_who_come_at_once_are_no_faster_than_one_after_the_other() {
    let api = Api::with_password().await;
    let body = || json!({"password": "not the password", "from": "10.0.0.7"});
    let answers = futures_util::future::join_all((0..40).map(|_| api.log_in(Entrance::Ssh, body()))).await;
    let count = |wanted: &str| answers.iter().filter(|answer| code(&answer.2) == wanted).count();
    assert_eq!(count("login_refused"), FAILURES_FREE as usize + 1);
    assert!(count("full") > 0 && count("slowed_down") > 0);
    assert_eq!(count("login_refused") + count("full") + count("slowed_down"), 40);
}

#[tokio::test]
async fn a_password_survives_a_restart_as_a_hash_and_no_session_does() {
    let api = Api::with_password().await;
    let token = api.by_password(Entrance::Console).await.token;
    api.site.store().close().await.expect("closed");
    for entry in std::fs::read_dir(api.state.path()).expect("a folder").flatten() {
        let Ok(bytes) = std::fs::read(entry.path()) else { continue };
        for secret in [PASSWORD, &token[4..]] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds it", entry.path().display());
        }
    }
    let file = api.state.path().join(crate::site::PASSWORD_FILE);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("it").permissions());
    assert_eq!(mode & 0o777, 0o600);

    let again = Api::new().await;
    again.site.keep_password(api.state.path()).expect("the same");
    assert_eq!(again.changes(Entrance::Console, &token).await, StatusCode::UNAUTHORIZED);
    again.by_password(Entrance::Console).await;
    std::fs::write(&file, "secret").expect("written");
    let error = again.site.keep_password(api.state.path()).expect_err("no hash").to_string();
    assert!(error.contains("delete it, and set another") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn operators_and_tokens_do_not_log_in_and_are_told_who_they_are() {
    let api = Api::with_password().await;
    let root = || Peer::Operator("root".into());
    let ask = async |peer, method, path, body: &'static str| {
        let request = api.request(peer, None, method, path, Body::from(body));
        let response = api.router.clone().oneshot(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice::<Value>(&body).unwrap_or_default()
    };
    let login = "{\"password\": \"correct horse battery\"}";
    for (method, path) in [(Method::POST, "/api/v1/login"), (Method::POST, "/api/v1/logout")] {
        assert_eq!(code(&ask(root(), method, path, login).await), "login_elsewhere");
    }
    let whoami = ask(root(), Method::GET, "/api/v1/whoami", "").await;
    let expected = json!({
        "name": "root", "scope": "admin", "how": "socket", "password_set": true, "keys_listed": true,
        "one_time_password_set": false
    });
    assert_eq!(whoami, expected);
}
