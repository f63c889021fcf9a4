//! The API over HTTPS: every route's scope, tokens from their making to their end, and real connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use ironwake_api::client::{Client, ClientError, EventQuery, Remote};
use ironwake_api::{Actor, EventKind, MachineNew, MachineQuery, Scope, TokenNew};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::site_tests::{answer, site};
use super::*;
use crate::access::FAILURES_FREE;
use crate::certificates::{Authority, Keeper, Source};

const SCOPES: [Scope; 3] = [Scope::Viewer, Scope::Operator, Scope::Admin];

struct Api {
    site: SharedSite,
    router: Router,
    state: tempfile::TempDir,
}

impl Api {
    async fn new() -> Self {
        let (site, state) = site("").await;
        Self { router: router(site.clone()), site, state }
    }

    async fn token(&self, name: &str, scope: Scope) -> String {
        let new = TokenNew { name: name.into(), scope, expires_secs: None };
        self.site.make_token(new, Actor::Operator("root".into())).await.expect("a token").secret
    }

    /// What somebody at this address is answered.
    async fn ask(
        &self,
        from: [u8; 4],
        token: Option<&str>,
        method: Method,
        path: &str,
    ) -> (StatusCode, HeaderMap, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("bearer {token}"));
        }
        let mut request = request.body(Body::from("{}")).expect("a request");
        request.extensions_mut().insert(Peer::Remote(from.into()));
        answer(&self.router, request).await
    }
}

const HERE: [u8; 4] = [10, 0, 0, 7];

#[tokio::test]
async fn every_route_demands_a_scope_and_keeps_to_it() {
    let api = Api::new().await;
    let mut tokens = Vec::new();
    for scope in SCOPES {
        tokens.push((scope, api.token(scope.name(), scope).await));
    }
    let (_, _, document) = api.ask(HERE, Some(&tokens[0].1), Method::GET, "/api/v1/openapi.json").await;
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let Some(demanded) = scopes::listed(&method, path) else {
                panic!("{method} {path} is not in the table of scopes");
            };
            assert_eq!(
                operation["security"],
                serde_json::json!([{"token": [demanded.name()]}]),
                "{method} {path}"
            );
            // Whoever reads needs no more than a viewer's token, but for tokens, keys and settings; who changes the
            // appliance itself needs an admin's.
            let appliance = method != Method::GET
                && ["/system", "/appliance/", "/update", "/setup", "/backup", "/restore"]
                    .iter()
                    .any(|part| path.contains(part))
                && !["/dry-run", "/self-test"].iter().any(|end| path.ends_with(end));
            let secret = appliance
                || ["/tokens", "/settings", "/password", "/ssh-keys"].iter().any(|part| path.contains(part));
            assert_eq!(demanded == Scope::Admin, secret, "{method} {path}");
            // What these send is a question, or about the caller alone.
            let asks = method == Method::GET
                || ["/render", "/dry-run", "/login", "/login/key", "/logout", "/renew"]
                    .iter()
                    .any(|end| path.ends_with(end));
            assert!(asks || demanded != Scope::Viewer, "{method} {path}");
            let address = path.replace("{key}", "x").replace("{id}", "1").replace("{name}", "x");
            let address = address.replace("{interface}", "x").replace("{fingerprint}", "x");
            for (scope, token) in &tokens {
                let (status, _, problem) = api.ask(HERE, Some(token), method.clone(), &address).await;
                let refused = problem["type"] == "urn:ironwake:problem:scope";
                assert_eq!(refused, *scope < demanded, "{method} {path} by a {scope}: {status} {problem}");
                assert_eq!(refused, status == StatusCode::FORBIDDEN, "{method} {path} by a {scope}");
            }
            let (status, headers, _) = api.ask(HERE, None, method.clone(), &address).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(headers["www-authenticate"], "Bearer realm=\"ironwake\"");
            count += 1;
        }
    }
    assert_eq!(count, scopes::count(), "the table has rows that are no routes");
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    // What is in no table is for nobody but an admin.
    assert_eq!(scopes::demanded(&Method::POST, Some("/api/v1/another")), Scope::Admin);
    assert_eq!(scopes::demanded(&Method::HEAD, Some("/api/v1/leases")), Scope::Viewer);
    let (status, _, _) = api.ask(HERE, Some(&tokens[0].1), Method::GET, "/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn wrong_tokens_slow_their_address_down_and_are_told() {
    let api = Api::new().await;
    let good = api.token("ci", Scope::Viewer).await;
    let wrong = format!("iwt_{}", "0".repeat(64));
    let ask = async |from, token| api.ask(from, token, Method::GET, "/api/v1/version").await;
    for token in ["", "x", wrong.as_str(), wrong.as_str(), good.as_str().split_at(60).0] {
        let (status, headers, problem) = ask(HERE, Some(token)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{problem}");
        assert_eq!(headers["www-authenticate"], "Bearer realm=\"ironwake\", error=\"invalid_token\"");
    }
    assert_eq!(ask(HERE, Some(&good)).await.0, StatusCode::OK, "{FAILURES_FREE} are free");
    assert_eq!(ask(HERE, Some(&wrong)).await.0, StatusCode::UNAUTHORIZED);
    let (status, headers, problem) = ask(HERE, Some(&good)).await;
    assert_eq!(
        (status, headers["retry-after"].as_bytes()),
        (StatusCode::TOO_MANY_REQUESTS, &b"1"[..]),
        "{problem}"
    );
    assert_eq!(ask([10, 0, 0, 8], Some(&good)).await.0, StatusCode::OK, "others do not wait");
    assert_eq!(ask([10, 0, 0, 8], None).await.0, StatusCode::UNAUTHORIZED);

    api.site.store().save(Vec::new()).await.expect("saved");
    let events = api.site.store().events_after(0, None, 100).await.expect("events");
    let slowed: Vec<_> = events.iter().filter(|e| matches!(e.kind, EventKind::AccessSlowed { .. })).collect();
    assert_eq!(slowed.len(), 1);
    assert_eq!(
        slowed[0].kind,
        EventKind::AccessSlowed { from: "10.0.0.7".into(), failures: FAILURES_FREE + 1 }
    );
    let told = serde_json::to_string(&events).expect("JSON");
    assert!(!told.contains(&good[4..]) && told.contains("token_made"), "{told}");
}

#[tokio::test]
async fn a_token_is_shown_once_stored_hashed_and_named_once() {
    let api = Api::new().await;
    let secret = api.token("ci", Scope::Admin).await;
    let admin = async |method, path: &str| api.ask(HERE, Some(&secret), method, path).await;
    let (_, _, tokens) = admin(Method::GET, "/api/v1/tokens").await;
    assert_eq!(tokens[0]["name"], "ci");
    assert!(!tokens.to_string().contains(&secret[4..]), "{tokens}");
    let root = || Actor::Operator("root".into());
    let new = |name: &str, secs| TokenNew { name: name.into(), scope: Scope::Viewer, expires_secs: secs };
    let error = api.site.make_token(new("ci", None), root()).await.expect_err("taken").to_string();
    assert!(error.contains("\"ci\" already"), "{error}");
    let error = api.site.make_token(new("a b", Some(1)), root()).await.expect_err("wrong").to_string();
    assert!(error.contains("name: \"a b\"") && error.contains("expires_secs: 1 is not"), "{error}");

    // Nothing on the disk holds it, the write-ahead log included.
    for entry in
        std::fs::read_dir(api.state.path()).expect("a folder").flatten().filter(|e| e.path().is_file())
    {
        let bytes = std::fs::read(entry.path()).expect("a file");
        let found = bytes.windows(60).any(|window| window == &secret.as_bytes()[4..64]);
        assert!(!found, "{} holds the token", entry.path().display());
    }
    assert_eq!(admin(Method::DELETE, "/api/v1/tokens/ci").await.0, StatusCode::NO_CONTENT);
    assert_eq!(admin(Method::DELETE, "/api/v1/tokens/ci").await.0, StatusCode::UNAUTHORIZED);
    let error = api.site.revoke_token("ci", root()).await.expect_err("gone").to_string();
    assert_eq!(error, "no token \"ci\"");
}

/// A server of this API on a free port.
struct Served {
    address: SocketAddr,
    roots: String,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

/// What an authority of its own has issued.
fn keeper(state: &std::path::Path) -> Arc<Keeper> {
    let authority = Arc::new(Authority::open(state, SystemTime::now()).expect("an authority"));
    let keeper = Arc::new(Keeper::new(Source::Own { authority, names: Vec::new() }));
    assert!(keeper.look(SystemTime::now()).expect("issued"));
    keeper
}

impl Served {
    async fn new(api: &Api) -> Self {
        let keeper = keeper(api.state.path());
        let roots = Authority::open(api.state.path(), SystemTime::now()).expect("it").shown().certificate;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve_secure(listener, api.site.clone(), keeper, shutdown.clone()));
        Self { address, roots, shutdown, serving }
    }

    fn client(&self, host: &str, token: &str) -> Client {
        let url = format!("https://{host}:{}", self.address.port());
        Client::remote(Remote::new(&url, self.roots.as_bytes(), token).expect("a client"))
    }
}

#[tokio::test]
async fn the_client_works_over_https_and_its_token_is_the_actor() {
    let api = Api::new().await;
    let served = Served::new(&api).await;
    let secret = api.token("ci", Scope::Operator).await;
    for host in ["127.0.0.1", "localhost"] {
        let client = served.client(host, &secret);
        assert_eq!(client.machines(&MachineQuery::default()).await.expect("machines").total, 0);
    }
    let client = served.client("127.0.0.1", &secret);
    let new = MachineNew {
        name: Some("web1".into()),
        macs: vec!["52:54:00:00:00:01".into()],
        ..MachineNew::default()
    };
    let machine = client.register(&new).await.expect("registered");
    let query = EventQuery { machine: Some(machine.id), ..EventQuery::default() };
    let events = client.events(&query).await.expect("events");
    assert_eq!(events[0].actor, Actor::Token("ci".into()));
    let refused = client.tokens().await;
    assert!(matches!(&refused, Err(ClientError::Refused(problem)) if problem.status == 403), "{refused:?}");

    // The stream ends with the token.
    let mut stream = client.follow(None, None);
    stream.connect().await.expect("connected");
    api.site.revoke_token("ci", Actor::Operator("root".into())).await.expect("revoked");
    let ended = loop {
        match stream.next().await {
            Ok(event) => assert!(matches!(event.kind, EventKind::TokenRevoked { .. }), "{event:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&ended, ClientError::Refused(problem) if problem.status == 401), "{ended:?}");

    served.shutdown.cancel();
    served.serving.await.expect("ended");
    let gone = client.version().await;
    assert!(matches!(gone, Err(ClientError::NotReachable { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_spoken_to() {
    let api = Api::new().await;
    let served = Served::new(&api).await;
    let other = Api::new().await;
    let roots =
        Authority::open(other.state.path(), SystemTime::now()).expect("an authority").shown().certificate;
    let url = format!("https://{}", served.address);
    let client = Client::remote(Remote::new(&url, roots.as_bytes(), "iwt_1").expect("a client"));
    let Err(ClientError::NotReachable { source, .. }) = client.version().await else { panic!("it was") };
    assert_eq!(source.kind(), std::io::ErrorKind::InvalidData, "{source}");
}

#[tokio::test]
async fn plain_http_is_answered_and_nothing_of_it_is_done() {
    let api = Api::new().await;
    let served = Served::new(&api).await;
    let token = api.token("ci", Scope::Admin).await;
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    let request =
        format!("DELETE /api/v1/tokens/ci HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n") && text.contains("HTTPS only"), "{text}");
    assert_eq!(api.site.tokens().len(), 1);
    // Bytes that are neither are closed, and so is who says nothing.
    let mut stream = TcpStream::connect(served.address).await.expect("connected");
    stream.write_all(&[0x16, 3, 1, 0, 2, 9, 9]).await.expect("sent");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(!bytes.starts_with(b"HTTP"));
}

#[tokio::test]
async fn one_address_leaves_places_for_others() {
    let api = Api::new().await;
    let served = Served::new(&api).await;
    let token = api.token("ci", Scope::Viewer).await;
    let mut held = Vec::new();
    for _ in 0..secure::CONNECTIONS_EACH_MAX {
        held.push(TcpStream::connect(served.address).await.expect("connected"));
    }
    // One more of 127.0.0.1 is closed without a word.
    let mut more = TcpStream::connect(served.address).await.expect("connected");
    let mut bytes = Vec::new();
    let _ = more.read_to_end(&mut bytes).await;
    assert!(bytes.is_empty());
    drop(held);
    let client = served.client("127.0.0.1", &token);
    let answered = async {
        while client.version().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), answered).await.expect("places are given back");
}

#[test]
fn a_64_of_ipv6_has_as_many_connections_as_one_address() {
    let of_caller = crate::serve::http::Places::new(secure::CONNECTIONS_EACH_MAX);
    let place = |address: String| secure::place_of(&of_caller, address.parse().expect("an address"));
    let held: Vec<_> =
        (0..secure::CONNECTIONS_EACH_MAX).map(|number| place(format!("2001:db8::{number:x}"))).collect();
    assert!(held.iter().all(Option::is_some));
    assert!(place("2001:db8::ffff:ffff:ffff:ffff".into()).is_none());
    assert!(place("2001:db8:0:1::1".into()).is_some(), "another network");
}

/// A connection of this address of loopback.
async fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).expect("an address of loopback");
    socket.connect(to).await.expect("connected")
}

#[tokio::test]
async fn whoever_connects_and_says_nothing_keeps_nobody_out() {
    let api = Api::new().await;
    let served = Served::new(&api).await;
    let token = api.token("ci", Scope::Viewer).await;
    // Every place there is, each address with all of its own.
    let mut silent = Vec::new();
    for number in 0..listen::CONNECTIONS_MAX {
        let host = 2 + (number / secure::CONNECTIONS_EACH_MAX) as u8;
        silent.push(connect_from(host, served.address).await);
    }
    // Longer than that, and places would be free since handshakes may take no longer.
    let client = served.client("127.0.0.1", &token);
    tokio::time::timeout(secure::HANDSHAKE_MAX / 2, client.version())
        .await
        .expect("at once")
        .expect("an answer");
    // It has taken the place of the first of them, and no other.
    assert_eq!(silent[0].read(&mut [0]).await.expect("closed in order"), 0);
    for stream in &silent[1..] {
        let still = stream.try_read(&mut [0]).expect_err("nothing is said");
        assert_eq!(still.kind(), std::io::ErrorKind::WouldBlock);
    }
    // Who is served keeps the place, whoever comes.
    let client = served.client("127.0.0.1", &token);
    let mut stream = client.follow(None, None);
    stream.connect().await.expect("connected");
    let more: Vec<TcpStream> = {
        drop(silent);
        let mut more = Vec::new();
        for number in 0..listen::CONNECTIONS_MAX {
            let host = 2 + (number / secure::CONNECTIONS_EACH_MAX) as u8;
            more.push(connect_from(host, served.address).await);
        }
        more
    };
    api.token("next", Scope::Viewer).await;
    let event = tokio::time::timeout(secure::HANDSHAKE_MAX, stream.next()).await.expect("in time");
    assert!(matches!(event.expect("an event").kind, EventKind::TokenMade { .. }));
    drop(more);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let limit = std::time::Duration::from_millis(50);
    let state = tempfile::tempdir().expect("a folder");
    let keeper = keeper(state.path());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    // Nothing at all; and the beginning of a TLS record of 512 bytes, whose rest never comes.
    for said in [&[][..], &[0x16, 3, 1, 2, 0, 1]] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(said).await.expect("sent");
        let (accepted, from) = listener.accept().await.expect("a connection");
        let began = std::time::Instant::now();
        assert!(secure::handshake(accepted, from.ip(), &keeper, limit).await.is_none());
        assert!(began.elapsed() >= limit, "{:?}", began.elapsed());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        assert!(bytes.is_empty(), "{bytes:?}");
    }
}
