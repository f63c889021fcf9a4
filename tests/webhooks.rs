//! Events that are sent to others, against real HTTP servers that fail, are slow, close, and speak TLS.

mod site;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use ironwake_api::*;
use sha2::Sha256;
use site::{PATIENCE, TestSite};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "a secret of many characters";

/// What a receiver does with one request.
#[derive(Debug, Clone, Copy)]
enum Does {
    Answer(u16),
    /// Answers when the test lets it.
    Held(u16),
    /// Hangs up without a word.
    Close,
    /// Says less than it promised.
    Cut,
}

#[derive(Debug, Clone)]
struct Got {
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).unwrap_or_default().1
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A server that does these things in turn, and takes everything behind them.
struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    arrived: Arc<Notify>,
    release: Arc<Notify>,
    serving: JoinHandle<()>,
}

impl Receiver {
    async fn start(does: &[Does], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (got, arrived) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (inner, notify, does) = (got.clone(), arrived.clone(), does.to_vec());
        let release = Arc::new(Notify::new());
        let released = release.clone();
        let serving = tokio::spawn(async move {
            let take = |request: Got| {
                inner.lock().expect("no panic while held").push(request);
                notify.notify_one();
            };
            let mut does = does.into_iter();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let what = does.next().unwrap_or(Does::Answer(204));
                match &tls {
                    None => serve(stream, what, &take, &released).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => serve(stream, what, &take, &released).await,
                        Err(_) => continue,
                    },
                }
            }
        });
        Self { port, got, arrived, release, serving }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().expect("no panic while held").clone()
    }

    /// Everything that came, once there are so many.
    async fn wait(&self, count: usize) -> Vec<Got> {
        let all = async {
            while self.got().len() < count {
                self.arrived.notified().await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            panic!("{} requests came, not {count}: {:?}", self.got().len(), self.got());
        }
        self.got()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Tells of one request, then does what is to be done with it.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    does: Does,
    take: &impl Fn(Got),
    released: &Notify,
) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.expect("a request");
        assert!(length > 0, "a whole request");
        bytes.extend_from_slice(&part[..length]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
        let length: usize =
            Got { head: head.clone(), body: Vec::new() }.header("content-length").parse().expect("a length");
        if bytes.len() >= end + 4 + length {
            break (head, bytes[end + 4..end + 4 + length].to_vec());
        }
    };
    take(Got { head, body });
    let answer =
        |status: u16| format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let said = match does {
        Does::Answer(status) => answer(status),
        Does::Held(status) => {
            released.notified().await;
            answer(status)
        }
        Does::Close => String::new(),
        Does::Cut => "HTTP/1.1 2".into(),
    };
    stream.write_all(said.as_bytes()).await.expect("answered");
    let _ = stream.shutdown().await;
}

struct Sending {
    test: TestSite,
    sending: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Sending {
    async fn start(test: TestSite) -> Self {
        let shutdown = CancellationToken::new();
        let sending = tokio::spawn(test.site.clone().deliver_webhooks(shutdown.clone()));
        let sending = Self { test, sending, shutdown };
        // Events count from here on.
        loop {
            let hooks = sending.test.site.webhooks().await.expect("webhooks");
            let mut placed = true;
            for hook in &hooks {
                placed &=
                    sending.test.site.store().webhook_cursor(&hook.name).await.expect("a store").is_some();
            }
            if placed {
                return sending;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) -> TestSite {
        self.shutdown.cancel();
        self.sending.await.expect("it ends");
        self.test
    }
}

fn operator() -> Actor {
    Actor::Operator("test".into())
}

async fn register(test: &TestSite, name: &str) {
    let new = MachineNew {
        name: Some(name.into()),
        serial: Some(format!("serial-{name}")),
        ..MachineNew::default()
    };
    test.site.register(new, operator()).await.expect("registered");
}

async fn site(top: &str) -> TestSite {
    TestSite::load_with(tempfile::tempdir().expect("a folder"), top).await
}

fn hook(port: u16, more: &str) -> String {
    format!("[[webhook]]\nname = \"chat\"\nurl = \"http://127.0.0.1:{port}/hook/token\"\n{more}\n")
}

/// Parity ME18: the true name of the event, an HMAC over time and body, tries until it is taken, and a secret that is never shown.
#[tokio::test(flavor = "multi_thread")]
async fn parity_me18_events_are_signed_and_sent_until_they_are_taken() {
    let does = [Does::Close, Does::Answer(500), Does::Cut, Does::Held(200)];
    let receiver = Receiver::start(&does, None).await;
    let more = format!("secret = \"{SECRET}\"\nevents = \"machine_registered\"");
    let sending = Sending::start(site(&hook(receiver.port, &more)).await).await;
    register(&sending.test, "a").await;
    let got = receiver.wait(4).await;
    let last = &got[3];
    assert!(last.head.starts_with("POST /hook/token HTTP/1.1\r\n"), "{}", last.head);
    assert!(got.iter().all(|request| request.body == last.body), "the same each time");
    assert_eq!(last.json()["kind"], "machine_registered");
    assert_eq!(last.header("x-ironwake-event"), "machine_registered");
    assert_eq!(last.header("x-ironwake-delivery"), last.json()["id"].to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{}.", last.header("x-ironwake-timestamp")).as_bytes());
    mac.update(&last.body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(last.header("x-ironwake-signature"), format!("sha256={hex}"));

    // A try that nobody has answered is none yet, however long that takes.
    let log = sending.test.site.webhook_deliveries("chat").await.expect("a log");
    assert_eq!(log.len(), 3, "{log:?}");
    assert_eq!(sending.test.site.webhooks().await.expect("webhooks")[0].behind, 1);
    let released_at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as Millis;
    receiver.release.notify_one();
    let tried = loop {
        let tried = sending.test.site.webhook_deliveries("chat").await.expect("a log");
        if tried.len() == 4 {
            break tried;
        }
        tokio::task::yield_now().await;
    };
    use DeliveryOutcome::*;
    let log: Vec<_> = tried.iter().map(|tried| (tried.try_number, tried.outcome, tried.status)).collect();
    assert_eq!(
        log,
        [(4, Delivered, Some(200)), (3, Retried, None), (2, Retried, Some(500)), (1, Retried, None)]
    );
    // Both ends are cut to milliseconds.
    assert!(tried[0].at + tried[0].took_ms + 1 >= released_at, "it took until it was answered: {tried:?}");
    assert!(tried[3].problem.is_some(), "{tried:?}");
    let shown = serde_json::to_string(&sending.test.site.webhooks().await.expect("webhooks")).expect("JSON");
    assert!(
        shown.contains(&format!("http://127.0.0.1:{}\"", receiver.port)) && shown.contains("\"signed\":true"),
        "{shown}"
    );
    assert!(!shown.contains(SECRET) && !shown.contains("/hook"), "{shown}");
    let tested = sending.test.site.test_webhook("chat", operator()).await.expect("sent");
    assert_eq!((tested.outcome, tested.kind.as_str()), (Delivered, "webhook_test"));
    assert_eq!(receiver.wait(5).await[4].header("x-ironwake-event"), "webhook_test");
    assert!(sending.test.site.test_webhook("none", operator()).await.is_err());
}

/// What one refuses is not sent again, what it does not want is not sent, and the order is that of the events.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_given_up_and_the_next_one_is_sent() {
    let receiver = Receiver::start(&[Does::Answer(410), Does::Answer(302)], None).await;
    let sending = Sending::start(site(&hook(receiver.port, "events = [\"machine_reg*\"]")).await).await;
    for name in ["a", "b", "c"] {
        register(&sending.test, name).await;
    }
    let got = receiver.wait(3).await;
    let ids: Vec<i64> = got.iter().map(|request| request.json()["id"].as_i64().expect("a number")).collect();
    assert!(ids.is_sorted() && ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    assert_eq!(got[0].header("x-ironwake-signature"), "", "there is no secret");
    sending.stop().await;
}

/// Nothing is lost by a restart: what was not taken is sent again, what came in between too, what was taken is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_and_repeats_nothing() {
    let receiver = Receiver::start(&[Does::Answer(200), Does::Answer(503)], None).await;
    let sending = Sending::start(site(&hook(receiver.port, "events = \"machine_registered\"")).await).await;
    register(&sending.test, "a").await;
    receiver.wait(1).await;
    register(&sending.test, "b").await;
    receiver.wait(2).await;
    let test = sending.stop().await;
    register(&test, "c").await;
    let sending = Sending::start(test.restart().await).await;
    let got = receiver.wait(4).await;
    let ids: Vec<i64> = got.iter().map(|request| request.json()["id"].as_i64().expect("a number")).collect();
    assert!(ids[0] < ids[1] && ids[1] == ids[2] && ids[2] < ids[3], "{ids:?}");
    sending.stop().await;
}

/// TLS is checked against the system's certificates and the file, and nothing is sent to whom neither vouches for.
#[tokio::test(flavor = "multi_thread")]
async fn https_needs_a_certificate_that_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).expect("written");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate with its key");
    let receiver = Receiver::start(&[], Some(TlsAcceptor::from(Arc::new(config)))).await;
    let url = |name: &str, more: &str| {
        let port = receiver.port;
        format!(
            "[[webhook]]\nname = \"{name}\"\nurl = \"https://127.0.0.1:{port}/\"\nevents = \"daemon_started\"\n{more}\n"
        )
    };
    let ca: &Path = &file;
    let test = site(&(url("trusted", &format!("ca_file = {ca:?}")) + &url("unknown", ""))).await;
    let unknown = test.site.test_webhook("unknown", operator()).await.expect("tried");
    assert!(
        unknown.problem.as_deref().expect("a reason").starts_with("connect to 127.0.0.1:"),
        "{unknown:?}"
    );
    assert_eq!(receiver.got().len(), 0);
    let trusted = test.site.test_webhook("trusted", operator()).await.expect("tried");
    assert_eq!(trusted.outcome, DeliveryOutcome::Delivered, "{trusted:?}");
    assert_eq!(receiver.wait(1).await[0].json()["kind"], "webhook_test");
}

/// Parity PV13: a host that is ready is registered elsewhere, again until that is taken; nothing without the section.
#[tokio::test(flavor = "multi_thread")]
async fn parity_pv13_a_ready_host_is_registered() {
    assert!(site("").await.site.webhooks().await.expect("webhooks").is_empty(), "off unless configured");
    let receiver = Receiver::start(&[Does::Answer(503)], None).await;
    let folder = tempfile::tempdir().expect("a folder");
    let headers = folder.path().join("headers");
    std::fs::write(&headers, "Authorization: Token hidden\n").expect("written");
    let top = format!(
        "[registration]\nurl = \"http://127.0.0.1:{}/hosts/{{{{ machine.id }}}}/{{{{ host.hostname }}}}\"\nmethod = \"PUT\"\n\
         headers = [\"X-Site: lab\"]\nheaders_file = {headers:?}\n\
         template = '{{\"name\": {{{{ host.hostname | json }}}}, \"ip\": {{{{ host.from | json }}}}}}'\n",
        receiver.port
    );
    let sending = Sending::start(site(&top).await).await;
    let machine = MachineNew { serial: Some("S1".into()), ..MachineNew::default() };
    let machine = sending.test.site.register(machine, operator()).await.expect("registered").id;
    ready(&sending.test, &machine, 1).await;
    let got = receiver.wait(2).await;
    for request in &got {
        assert!(
            request.head.starts_with(&format!("PUT /hosts/{machine}/..%2Fnode-%221%22 ")),
            "{}",
            request.head
        );
        assert_eq!((request.header("authorization"), request.header("x-site")), ("Token hidden", "lab"));
        assert_eq!(request.json(), serde_json::json!({ "name": "../node-\"1\"", "ip": "10.0.0.7" }));
    }
    let shown = serde_json::to_string(&sending.test.site.webhooks().await.expect("webhooks")).expect("JSON");
    assert!(shown.contains(&format!("\"target\":\"http://127.0.0.1:{}\"", receiver.port)), "{shown}");
    assert!(shown.contains("\"registration\"") && !shown.contains("hidden"), "{shown}");
}

/// A host whose machine was deleted before it was registered keeps none behind it waiting, and neither does one whose
/// template fails: each is tried once.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_registered_is_given_up_at_once() {
    let receiver = Receiver::start(&[], None).await;
    let top = format!(
        "[registration]\nurl = \"http://127.0.0.1:{}/hosts/{{{{ machine.id }}}}\"\n\
         template = '{{{{ {{\"S3\": \"ok\"}}[machine.serial] | length }}}}'\n",
        receiver.port
    );
    let test = Sending::start(site(&top).await).await.stop().await;
    let mut machines = Vec::new();
    for number in 1..=3 {
        let machine = MachineNew { serial: Some(format!("S{number}")), ..MachineNew::default() };
        let machine = test.site.register(machine, operator()).await.expect("registered").id;
        ready(&test, &machine, number).await;
        machines.push(machine);
    }
    test.site.delete(&machines[0], operator()).await.expect("deleted");
    let sending = Sending::start(test).await;
    let got = receiver.wait(1).await;
    assert!(got[0].head.starts_with(&format!("POST /hosts/{} ", machines[2])), "{}", got[0].head);
    let tries = sending.test.site.webhook_deliveries("registration").await.expect("deliveries");
    let problem =
        |at: usize| tries.iter().rev().nth(at).and_then(|tried| tried.problem.clone()).expect("a problem");
    assert!(problem(0).contains("machine was deleted"), "{tries:?}");
    assert!(problem(1).starts_with("the template of the body fails"), "{tries:?}");
    for tried in tries.iter().rev().take(2) {
        assert_eq!((tried.try_number, tried.outcome), (1, DeliveryOutcome::GivenUp), "{tried:?}");
    }
    sending.stop().await;
}

/// Saves the end of a rebuild, as the site does.
async fn ready(test: &TestSite, machine: &str, number: u32) {
    use ironwake::operation::{Deadlines, Draft, Record, register};
    use ironwake::store::{Change, NewEvent};
    let draft = Draft {
        machine: machine.into(),
        kind: OperationKind::Rebuild,
        profile: None,
        disks: Vec::new(),
        retry_of: None,
    };
    let deadlines = Deadlines::default();
    let mut operation =
        register(format!("01900000-0000-7000-8000-{number:012}"), draft, operator(), 1, &deadlines);
    operation.state = OperationState::Ready;
    operation.host =
        Some(Host { from: "10.0.0.7".into(), hostname: Some("../node-\"1\"".into()), ..Host::default() });
    let kind = EventKind::OperationChanged {
        operation: operation.id.clone(),
        work: OperationKind::Rebuild,
        from: OperationState::Joining,
        to: OperationState::Ready,
        cause: "the profile's last steps are done".into(),
    };
    let record = Record {
        operation,
        deadlines,
        armings: 1,
        taker: None,
        fetched: Default::default(),
        reported: Default::default(),
        installed: None,
        rebuild: None,
        login: None,
    };
    let event = NewEvent { at: 1, actor: Actor::Daemon, machine: Some(machine.into()), kind };
    let changes = vec![Change::Operation(Box::new(record)), Change::Event(Box::new(event))];
    test.site.store().save(changes).await.expect("saved");
}
