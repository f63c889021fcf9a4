//! The HTTP server for machines on loopback: scripts, files, ranges, the agent's calls, and what is recorded.

mod served;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::Command;
use std::time::Duration;

use ironwake::operation::Trigger;
use ironwake::script;
use ironwake::serve::Backend;
use ironwake::site::ScriptRequest;
use ironwake_api::{
    Actor, Artifact, ArtifactKind, ArtifactState, ClientStage, Disk, EnrollAnswer, EnrollRequest, Inventory,
    MacAddr, Nic, OperationKind, OperationNew, OperationState, StageKind,
};
use served::{Folder, MAC, Observed, PATIENCE, backend, noise, sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Server {
    address: SocketAddrV4,
    backend: Backend,
    observed: Observed,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

/// An answer as it came: status, head and body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Server {
    async fn start(folder: Folder) -> Self {
        Self::start_as(folder, Some(MAC)).await
    }

    async fn start_as(folder: Folder, mac: Option<MacAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback");
        let SocketAddr::V4(address) = listener.local_addr().expect("an address") else { panic!("not IPv4") };
        let (backend, observed) = backend(folder, mac).await;
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(ironwake::serve::http::run(listener, backend.clone(), shutdown.clone()));
        Self { address, backend, observed, shutdown, task }
    }

    /// The script that the site makes for [`MAC`].
    fn script(&self, client: ClientStage) -> String {
        let (http, from) = (self.address, Ipv4Addr::LOCALHOST);
        let request = ScriptRequest {
            mac: MAC,
            uuid: None,
            serial: None,
            asset_tag: None,
            client,
            http,
            from,
            only_looks: false,
        };
        match client {
            ClientStage::Grub => self.backend.site.grub_script(&request).text,
            _ => self.backend.site.ipxe_script(&request).text,
        }
    }

    /// Enrols a machine of this serial number, as the agent does.
    async fn enroll(&self, serial: &str) -> (Answer, String) {
        let path = "//boot/v1/enroll";
        let answer = self.post(path, "application/json; charset=utf-8", &enrolment(serial)).await;
        let id = serde_json::from_slice::<EnrollAnswer>(&answer.body).expect("an enrolment").machine;
        (answer, id)
    }

    /// Sends a request's head, given without its last lines, and reads the answer to the end.
    async fn ask(&self, head: &str) -> Answer {
        self.send(head, b"").await
    }

    async fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let head = format!("{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.expect("send");
        // A body that is refused early may meet a closed connection.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        read.expect("an answer in time").expect("read");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: any")).await
    }

    async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let head = format!("POST {path} HTTP/1.1\r\nhost: any\r\nuser-agent: ironwake-agent/1");
        self.send(&format!("{head}\r\ncontent-type: {content_type}"), body).await
    }
}

#[tokio::test]
async fn the_script_of_a_machine_is_found_by_any_spelling_of_its_mac() {
    let mut server = Server::start_as(Folder::default(), None).await;
    let query = "uuid=4c4c4544&serial=A%20B&asset=&arch=x86_64";
    let expected = server.script(ClientStage::Ipxe);
    assert!(expected.contains("BOOTIF=01-52-54-00-12-34-56"), "{expected}");
    for path in [
        "/ipxe/52-54-00-12-34-56",
        "/ipxe/52:54:00:12:34:56",
        "//ipxe//52-54-00-12-34-56.ipxe",
        "http://elsewhere/ipxe/525400123456",
        "/ipxe/52%3A54%3A00%3A12%3A34%3A56",
    ] {
        let answer =
            server.ask(&format!("GET {path}?{query} HTTP/1.1\r\nhost: x\r\nuser-agent: iPXE/2.0.0")).await;
        assert_eq!((answer.status, answer.text()), (200, expected.clone()), "{path}");
        let observation = server.observed.next().await;
        assert_eq!((observation.mac, observation.client), (MAC, ClientStage::Ipxe));
        let StageKind::Http { method, status, bytes, plan, .. } = observation.kind else { panic!() };
        assert_eq!((method.as_str(), status, bytes), ("GET", 200, answer.body.len() as u64));
        assert_eq!(plan.as_deref(), Some("discovery: the machine is unknown"));
    }
}

/// A machine is known by two keys together where its address is new.
#[tokio::test]
async fn what_a_script_request_says_of_its_machine_reaches_the_site() {
    let server = Server::start(Folder::default()).await;
    let uuid = "8a3f1c52-7d0e-4b11-9f65-2f1f0e6a9b01";
    let boot_mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let mut inventory = Inventory { schema: 1, ..Inventory::default() };
    inventory.system.uuid = Some(uuid.into());
    inventory.system.serial = Some("A B".into());
    inventory.chassis.asset_tag = Some("R2-17".into());
    let request = EnrollRequest { agent: "test".into(), boot_mac, inventory };
    let site = &server.backend.site;
    let machine =
        site.enroll(request, None, Ipv4Addr::new(10, 0, 0, 9)).await.expect("reported").answer.machine;
    site.enroll_by_operator(&machine, Actor::Operator("anna".into())).await.expect("enrolled");
    for (query, known) in [
        (format!("uuid={uuid}&serial=A%20B"), true),
        (format!("uuid={uuid}&asset=R2-17"), true),
        ("serial=A%20B&asset=R2-17".into(), true),
        ("serial=A%20B".into(), false),
    ] {
        let text = server.get(&format!("/ipxe/52-54-00-12-34-56?{query}")).await.text();
        assert_eq!(text.contains("enrolled and not armed"), known, "{query}: {text}");
    }
}

#[tokio::test]
async fn a_script_is_refused_with_the_field_that_is_wrong() {
    let server = Server::start(Folder::default()).await;
    for (path, expected) in [
        ("/ipxe/52-54-00-12-34", "mac: \"52-54-00-12-34\" is not a MAC address"),
        ("/ipxe/00-00-00-00-00-00", "mac: 00:00:00:00:00:00 is not the address of one interface"),
        ("/ipxe/52-54-00-12-34-56?serial=%24%7Bx%7D", "serial: the value contains \"${\""),
        ("/ipxe/52-54-00-12-34-56?uuid=a%0d%0ab", "uuid: the value contains a control character"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().starts_with(expected), "{}", answer.text());
    }
}

#[tokio::test]
async fn scripts_for_whoever_asks_are_in_every_folder() {
    let server = Server::start(Folder::default()).await;
    for path in ["/autoexec.ipxe", "/boot/files/autoexec.ipxe", "/a/b//autoexec.ipxe"] {
        let answer = server.get(path).await;
        let expected = script::ipxe_bootstrap(server.address);
        assert_eq!((answer.status, answer.text()), (200, expected), "{path}");
    }
    for path in ["/grub/grub.cfg", "/grub//x86_64-efi//grub.cfg", "/boot/files/grub/grub.cfg"] {
        let answer = server.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nuser-agent: GRUB 2.12-9")).await;
        let expected = server.script(ClientStage::Grub);
        assert_eq!((answer.status, answer.text()), (200, expected), "{path}");
    }
    let stranger = Server::start_as(Folder::default(), None).await;
    let answer = stranger.get("/grub/grub.cfg").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.text(), "no machine is known at 127.0.0.1, so it has no grub.cfg\n");
}

#[tokio::test]
async fn every_error_has_a_body() {
    let server = Server::start(Folder::default().with("a", "x")).await;
    for (request, status) in [
        ("GET /sb/revocations_sku.efi", 404),
        ("GET /", 404),
        ("GET /boot/files/../secret", 404),
        ("GET /boot/files/%2e%2e/secret", 404),
        ("GET /boot/files/a%00", 404),
        ("GET /artifacts/00/a", 404),
        ("POST /boot/files/a", 405),
        ("DELETE /ipxe/52-54-00-12-34-56", 405),
        ("GET /boot/v1/nothing", 404),
        ("GET /boot/v1/enroll", 405),
    ] {
        let answer = server.ask(&format!("{request} HTTP/1.1\r\nhost: x")).await;
        assert_eq!((answer.status, answer.body.len() > 1), (status, true), "{request}: {answer:?}");
    }
}

#[tokio::test]
async fn files_are_served_whole_and_in_parts_by_name_and_by_digest() {
    let content = noise(3_000_000);
    let digest = sha256(&content);
    let mut server = Server::start(Folder::default().with("snponly.efi", content.clone())).await;
    let upper = digest.to_uppercase();
    for path in
        ["/boot/files/snponly.efi", &format!("//artifacts/{digest}/x"), &format!("/artifacts/{upper}/y")]
    {
        let answer =
            server.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nuser-agent: UefiHttpBoot/1.0")).await;
        assert_eq!((answer.status, sha256(&answer.body)), (200, digest.clone()), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/efi"));
        assert_eq!(answer.header("content-length"), Some("3000000"));
        assert_eq!(answer.header("etag"), Some(format!("\"{digest}\"").as_str()));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        let observation = server.observed.next().await;
        assert_eq!((observation.mac, observation.client), (MAC, ClientStage::Firmware));
        let StageKind::Http { bytes, status, .. } = observation.kind else { panic!() };
        assert_eq!((bytes, status), (3_000_000, 200));
    }
    for (headers, status, body) in [
        ("range: bytes=10-19", 206, &content[10..20]),
        ("range: bytes=-5", 206, &content[content.len() - 5..]),
        (&format!("range: bytes=0-0\r\nif-range: \"{digest}\""), 206, &content[..1]),
        ("range: bytes=0-0\r\nif-range: \"other\"", 200, &content[..]),
        (&format!("if-none-match: \"{digest}\""), 304, &[]),
        ("range: bytes=3000000-", 416, b"the range lies outside the 3000000 bytes of snponly.efi\n"),
    ] {
        let answer =
            server.ask(&format!("GET /boot/files/snponly.efi HTTP/1.1\r\nhost: x\r\n{headers}")).await;
        assert_eq!((answer.status, answer.body == body), (status, true), "{headers}");
        let range = answer.header("content-range");
        assert_eq!(range.is_some(), matches!(status, 206 | 416), "{headers}: {range:?}");
    }
}

#[tokio::test]
async fn head_says_the_length_and_sends_nothing() {
    let mut server = Server::start(Folder::default().with("snponly.efi", noise(5000))).await;
    let answer =
        server.ask("HEAD /boot/files/snponly.efi HTTP/1.1\r\nhost: x\r\nuser-agent: UefiHttpBoot/1.0").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), Some("5000"));
    assert_eq!(answer.header("content-type"), Some("application/efi"));
    let StageKind::Http { method, bytes, .. } = server.observed.next().await.kind else { panic!() };
    assert_eq!((method.as_str(), bytes), ("HEAD", 0));
}

#[tokio::test]
async fn curl_continues_a_fetch() {
    let content = noise(1_000_000);
    let server = Server::start(Folder::default().with("initrd", content.clone())).await;
    let url = format!("http://{}/boot/files/initrd", server.address);
    let output = tokio::task::spawn_blocking(move || {
        Command::new("curl").args(["-sS", "--max-time", "30", "-r", "500000-", &url]).output()
    });
    let output = output.await.expect("no panic").expect("run curl");
    assert_eq!(sha256(&output.stdout), sha256(&content[500_000..]), "{:?}", output.stderr);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(Folder::default().with("a", noise(700))).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    for _ in 0..50 {
        stream.write_all(b"GET /boot/files/a HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("send");
        let mut got = Vec::new();
        while !got.ends_with(&noise(700)) {
            let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut got)).await;
            assert_ne!(read.expect("in time").expect("read"), 0, "closed after {} bytes", got.len());
        }
    }
}

#[tokio::test]
async fn an_aborted_fetch_is_recorded_with_what_was_handed_over() {
    let size = 64 << 20;
    let mut server = Server::start(Folder::default().with("initrd", vec![7; size])).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    stream
        .write_all(b"GET /boot/files/initrd HTTP/1.1\r\nhost: x\r\nuser-agent: iPXE/1\r\n\r\n")
        .await
        .expect("send");
    let mut some = vec![0; 100_000];
    stream.read_exact(&mut some).await.expect("read");
    drop(stream);
    let observation = server.observed.next().await;
    let StageKind::Http { bytes, status, path, .. } = observation.kind else { panic!() };
    assert_eq!((status, path.as_str()), (200, "/boot/files/initrd"));
    assert!(bytes > 99_000 && bytes < size as u64, "{bytes}");
}

fn enrolment(serial: &str) -> Vec<u8> {
    let text = r#"{"agent":"0.1.0","boot_mac":"52:54:00:12:34:56","inventory":{"schema":1,"system":{"serial":"SERIAL"}}}"#;
    text.replace("SERIAL", serial).into_bytes()
}

#[tokio::test]
async fn enrolment_tells_new_machines_from_known_ones() {
    let server = Server::start(Folder::default()).await;
    let (new, machine) = server.enroll("7CX1Q93").await;
    let (known, same) = server.enroll("7CX1Q93").await;
    assert_eq!((new.status, known.status), (201, 200), "{}", known.text());
    assert_eq!(machine, same);
    assert_eq!(known.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_wrong_enrolment_is_a_problem_that_names_the_field() {
    let mut server = Server::start(Folder::default()).await;
    for (body, field) in [
        (r#"{"agent":"1","boot_mac":"xx","inventory":{}}"#, "boot_mac"),
        (r#"{"agent":"1","boot_mac":"ff:ff:ff:ff:ff:ff","inventory":{}}"#, "boot_mac"),
        (r#"{"boot_mac":"52:54:00:12:34:56","inventory":{}}"#, "agent"),
        (
            r#"{"agent":"1","boot_mac":"52:54:00:12:34:56","inventory":{"disks":[{},{"removable":"x"}]}}"#,
            "inventory.disks[1].removable",
        ),
        (r#"{"agent":"1","boot_mac":"52:54:00:12:34:56","inventory":{"schema":2}}"#, "inventory.schema"),
    ] {
        let answer = server.post("/boot/v1/enroll", "application/json", body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.text().contains(&format!(r#""field":"{field}""#)), "{body}: {}", answer.text());
    }
    let StageKind::Http { status, path, .. } = server.observed.next().await.kind else { panic!() };
    assert_eq!((status, path.as_str()), (400, "/boot/v1/enroll"));
}

#[tokio::test]
async fn bodies_that_are_no_enrolment_are_refused() {
    let server = Server::start(Folder::default()).await;
    assert_eq!(server.post("/boot/v1/enroll", "text/plain", &enrolment("NEW")).await.status, 415);
    let large = vec![b' '; ironwake::serve::http::ENROLL_BYTES_MAX + 1];
    assert_eq!(server.post("/boot/v1/enroll", "application/json", &large).await.status, 413);
    assert_eq!(server.post("/boot/v1/enroll", "application/json", b"{").await.status, 400);
}

#[tokio::test]
async fn orders_reports_and_health_are_answered() {
    let server = Server::start(Folder::default()).await;
    let machine = server.enroll("7CX1Q93").await.1;
    for (of, end, status) in [
        (machine.as_str(), "", 204),
        (machine.as_str(), "?wait_secs=0", 204),
        ("nobody", "", 404),
        (machine.as_str(), "?wait_secs=61", 400),
        (machine.as_str(), "?wait_secs=x", 400),
    ] {
        let path = format!("/boot/v1/machines/{of}/orders{end}");
        assert_eq!(server.get(&path).await.status, status, "{path}");
    }
    let report = br#"{"boot_mac":"52:54:00:12:34:56","message":"disks found"}"#;
    for (of, status) in [(machine.as_str(), 204), ("nobody", 404)] {
        let path = format!("/boot/v1/machines/{of}/report");
        assert_eq!(server.post(&path, "application/json", report).await.status, status, "{path}");
    }
    assert_eq!(server.get("/boot/v1/health").await.status, 503, "there is no loader");
    let loader = Artifact::new("snponly.efi", ArtifactKind::Loader, ArtifactState::Done);
    server.backend.site.set_artifact(loader);
    assert_eq!(server.get("/boot/v1/health").await.status, 200);
}

/// An operation on [`MAC`]'s machine whose disk is written.
async fn installed(server: &Server) -> String {
    let site = &server.backend.site;
    for name in ["debian-installer-13/linux", "debian-installer-13/initrd.gz"] {
        let file = Artifact::new(name, ArtifactKind::Kernel, ArtifactState::Done);
        let (sha256, path) = (Some(sha256(name.as_bytes())), Some(format!("/artifacts/{name}")));
        site.set_artifact(Artifact { sha256, path, ..file });
    }
    let mut report: EnrollRequest = serde_json::from_slice(&enrolment("7CX1Q93")).expect("an enrolment");
    report.inventory.memory.total_bytes = Some(8 << 30);
    let disk = Disk { name: "sda".into(), serial: Some("A".into()), size_bytes: 64 << 30, ..Disk::default() };
    report.inventory.disks = vec![disk];
    report.inventory.nics = vec![Nic { mac: Some(MAC), ..Nic::default() }];
    let operator = Actor::Operator("root".into());
    let machine = site.enroll(report, None, Ipv4Addr::LOCALHOST).await.expect("an inventory").answer.machine;
    site.enroll_by_operator(&machine, operator.clone()).await.expect("enrolled");
    let new = OperationNew {
        kind: OperationKind::Rebuild,
        profile: Some("debian-installer".into()),
        variables: [("mirror_host".to_owned(), "deb.example.org".into())].into(),
        disks: vec!["only".into()],
        arm: true,
        armed_secs: None,
    };
    let id = site.operate(&machine, new, operator).await.expect("an operation").id;
    for trigger in [Trigger::Served { what: "it".into() }, Trigger::Began, Trigger::Wrote] {
        site.happen(&id, trigger, &Actor::Machine).await.expect("it goes on");
    }
    id
}

#[tokio::test]
async fn to_look_at_a_script_is_no_first_boot() {
    let server = Server::start(Folder::default()).await;
    let id = installed(&server).await;
    let state = async || server.backend.site.operation(&id).await.expect("an operation").state;
    for path in ["/ipxe/52-54-00-12-34-56", "/grub.cfg"] {
        let looked = server.ask(&format!("HEAD {path} HTTP/1.1\r\nhost: any")).await;
        assert_eq!((looked.status, state().await), (200, OperationState::Installed), "{path}");
    }
    assert_eq!(server.get("/ipxe/52-54-00-12-34-56").await.status, 200);
    assert_eq!(state().await, OperationState::FirstBoot);
}

#[tokio::test]
async fn shutdown_ends_waiting_requests_and_idle_connections() {
    let server = Server::start(Folder::default()).await;
    let machine = server.enroll("7CX1Q93").await.1;
    let _idle = TcpStream::connect(server.address).await.expect("connect");
    let mut waiting = TcpStream::connect(server.address).await.expect("connect");
    let request = format!("GET /boot/v1/machines/{machine}/orders?wait_secs=60 HTTP/1.1\r\nhost: x\r\n\r\n");
    waiting.write_all(request.as_bytes()).await.expect("send");
    // An answer on a later connection shows that the earlier ones were accepted.
    assert_eq!(server.get("/autoexec.ipxe").await.status, 200);
    server.shutdown.cancel();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.expect("read");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 204"), "{answer}");
    let ended = tokio::time::timeout(Duration::from_secs(8), server.task).await;
    ended.expect("it ends without waiting for idle connections").expect("no panic").expect("no error");
}
