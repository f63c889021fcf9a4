//! The TFTP server on loopback against real clients: atftp, tftp-hpa, curl, our own probe, and raw packets.

mod served;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ironwake::script;
use ironwake::serve::Backend;
use ironwake::serve::tftp::probe::{ProbeError, ProbeOptions, probe};
use ironwake::serve::tftp::{Limits, bind, run_limited};
use ironwake::site::ScriptRequest;
use ironwake::tftp::{Packet, data_header};
use ironwake_api::{ClientStage, MacAddr, StageKind};
use served::{Folder, MAC, Observed, PATIENCE, backend, noise, sha256};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const HTTP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8080);

/// A server on a port of loopback.
struct Server {
    address: SocketAddrV4,
    backend: Backend,
    observed: Observed,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(folder: Folder) -> Self {
        Self::start_with(folder, Some(MAC), Limits::default()).await
    }

    async fn start_with(folder: Folder, mac: Option<MacAddr>, limits: Limits) -> Self {
        let socket = bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), None).expect("a port of loopback");
        let SocketAddr::V4(address) = socket.local_addr().expect("an address") else { panic!("not IPv4") };
        let (backend, observed) = backend(folder, mac).await;
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run_limited(socket, backend.clone(), HTTP, shutdown.clone(), limits));
        Self { address, backend, observed, shutdown, task }
    }

    fn probe_options(&self, file: &str) -> ProbeOptions {
        let timeout = Duration::from_secs(2);
        ProbeOptions { server: self.address, file: file.into(), blksize: None, windowsize: None, timeout }
    }

    /// Sends a packet and takes the first answer to it.
    async fn exchange(&self, packet: &[u8]) -> (UdpSocket, SocketAddr, Vec<u8>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port of loopback");
        socket.send_to(packet, self.address).await.expect("send");
        let (from, answer) = receive(&socket).await;
        (socket, from, answer)
    }
}

async fn receive(socket: &UdpSocket) -> (SocketAddr, Vec<u8>) {
    let mut buffer = vec![0; 70_000];
    let received = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (length, from) = received.expect("an answer in time").expect("receive");
    buffer.truncate(length);
    (from, buffer)
}

/// Runs a client in `folder` and returns what it wrote. `timeout` ends one that hangs.
async fn client(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(program).args(arguments);
    command.current_dir(folder).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let output = output.unwrap_or_else(|error| panic!("run {program}: {error}"));
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn check_tftp(kind: &StageKind, expected_file: &str, expected_bytes: u64) {
    let StageKind::Tftp { file, bytes, size, aborted, .. } = kind else { panic!("{kind:?}") };
    assert_eq!(
        (file.as_str(), *bytes, *size, aborted),
        (expected_file, expected_bytes, expected_bytes, &None)
    );
}

/// Fetches a file of `size` bytes with a real client and compares it.
async fn check_client(size: usize, program: &str, arguments: impl Fn(&str, &str) -> Vec<String>) {
    let content = noise(size);
    let mut server = Server::start(Folder::default().with("boot/loader.efi", content.clone())).await;
    let folder = tempfile::tempdir().expect("a folder");
    let port = server.address.port().to_string();
    let arguments = arguments(&server.address.ip().to_string(), &port);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = client(folder.path(), program, &arguments).await;
    let got = std::fs::read(folder.path().join("got")).unwrap_or_else(|error| panic!("{said}: {error}"));
    assert_eq!(sha256(&got), sha256(&content), "{program} {arguments:?} got {} bytes: {said}", got.len());
    let observation = server.observed.next().await;
    assert_eq!((observation.mac, observation.client), (MAC, ClientStage::Firmware));
    check_tftp(&observation.kind, "boot/loader.efi", size as u64);
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn atftp_with_windows_and_blocks() {
    for size in [0, 1, 1428 * 16, 300_001] {
        for options in ["windowsize 16", "blksize 1428", "tsize", "timeout 3"] {
            check_client(size, "atftp", |host, port| {
                let mut arguments = words("--option");
                arguments.push(options.into());
                arguments.extend(words(&format!(
                    "--get --remote-file boot/loader.efi --local-file got {host} {port}"
                )));
                arguments
            })
            .await;
        }
    }
}

#[tokio::test]
async fn atftp_with_windows_of_large_blocks() {
    check_client(3_000_000, "atftp", |host, port| {
        ["--option", "windowsize 16", "--option", "blksize 1428", "--get", "--remote-file", "boot/loader.efi"]
            .into_iter()
            .chain(["--local-file", "got", host, port])
            .map(str::to_owned)
            .collect()
    })
    .await;
}

#[tokio::test]
async fn tftp_hpa_in_binary_mode() {
    for size in [0, 512, 100_000] {
        check_client(size, "tftp", |host, port| {
            words(&format!("-m binary {host} {port} -c get boot/loader.efi got"))
        })
        .await;
    }
}

#[tokio::test]
async fn curl_with_a_block_size() {
    for blksize in [512, 1468, 65464] {
        check_client(200_000, "curl", |host, port| {
            words(&format!("-sS --tftp-blksize {blksize} -o got tftp://{host}:{port}/boot/loader.efi"))
        })
        .await;
    }
}

#[tokio::test]
async fn the_probe_sees_what_was_agreed() {
    let content = noise(1_000_000);
    let mut server = Server::start(Folder::default().with("snponly.efi", content.clone())).await;
    // Each time another spelling: a stage that only repeats the one before is not told again.
    for (file, blksize, windowsize) in [
        ("snponly.efi", None, None),
        ("/snponly.efi", Some(1468), Some(16)),
        ("//snponly.efi", Some(8), Some(64)),
        (r"\snponly.efi", Some(65464), Some(9)),
    ] {
        let options = ProbeOptions { blksize, windowsize, ..server.probe_options(file) };
        let report = probe(options).await.expect("the file");
        assert_eq!((report.sha256, report.bytes), (sha256(&content), 1_000_000));
        assert_eq!((report.acked.blksize, report.acked.windowsize), (blksize, windowsize));
        assert_eq!(report.acked.tsize, Some(1_000_000));
        check_tftp(&server.observed.next().await.kind, file, 1_000_000);
    }
}

#[tokio::test]
async fn block_numbers_roll_over() {
    let content = noise(70_000 * 8);
    let server = Server::start(Folder::default().with("large", content.clone())).await;
    let report =
        probe(ProbeOptions { blksize: Some(8), windowsize: Some(33), ..server.probe_options("large") }).await;
    assert_eq!(report.expect("the file").sha256, sha256(&content));
}

#[tokio::test]
async fn scripts_are_made_for_the_client_that_asks() {
    let mut server = Server::start(Folder::default()).await;
    let (http, from) = (SocketAddrV4::new(Ipv4Addr::LOCALHOST, HTTP.port()), Ipv4Addr::LOCALHOST);
    let client = ClientStage::Grub;
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
    let grub = server.backend.site.grub_script(&request).text;
    assert!(grub.contains("ironwake.url=http://127.0.0.1:8080"), "{grub}");
    for (file, client) in [
        ("autoexec.ipxe", ClientStage::Ipxe),
        ("some/folder/autoexec.ipxe", ClientStage::Ipxe),
        ("/grub/grub.cfg", ClientStage::Grub),
        (r"\grub\x86_64-efi\grub.cfg", ClientStage::Grub),
    ] {
        let report = probe(server.probe_options(file)).await.expect("a script");
        let expected = match client {
            ClientStage::Ipxe => script::ipxe_bootstrap(http),
            _ => grub.clone(),
        };
        assert_eq!(report.sha256, sha256(expected.as_bytes()), "{file}");
        let observation = server.observed.next().await;
        assert_eq!(observation.client, client, "{file}");
        check_tftp(&observation.kind, file, expected.len() as u64);
    }
}

#[tokio::test]
async fn a_grub_cfg_for_nobody_is_an_error_with_a_reason() {
    let server = Server::start_with(Folder::default(), None, Limits::default()).await;
    let error = probe(server.probe_options("grub/grub.cfg")).await.expect_err("no machine is known");
    assert_eq!(
        error.to_string(),
        "the server refused: error 1 \"no machine is known at 127.0.0.1, so it has no grub.cfg\""
    );
}

#[tokio::test]
async fn what_is_not_served_is_refused_with_a_reason() {
    let mut server = Server::start(Folder::default().with("a", "x")).await;
    for (packet, expected) in [
        (b"\0\x01missing\0octet\0".as_slice(), "error 1 no file missing"),
        (b"\0\x01../a\0octet\0", "error 2 the path contains \"..\""),
        (b"\0\x01..\\a\0octet\0", "error 2 the path contains \"..\""),
        (b"\0\x02a\0octet\0", "error 2 writing a is not allowed: the server only reads"),
        (b"\0\x01a\0netascii\0", "error 0 mode netascii is not served: ask in mode octet"),
        (b"\0\x01a\0mail\0", "error 4 mode \"mail\" is neither octet nor netascii"),
    ] {
        let (_, from, answer) = server.exchange(packet).await;
        let Ok(Packet::Error { code, message }) = Packet::parse(&answer) else { panic!("{answer:?}") };
        assert_eq!(format!("error {code} {message}"), expected);
        assert_ne!(from.port(), server.address.port());
    }
    let missing = server.observed.next().await;
    let StageKind::Tftp { file, aborted, .. } = missing.kind else { panic!("{missing:?}") };
    assert_eq!((file.as_str(), aborted.as_deref()), ("missing", Some("no file missing")));
}

#[tokio::test]
async fn the_same_request_from_the_same_port_is_the_same_transfer() {
    let mut server = Server::start(Folder::default().with("a", noise(600)).with("b", "b")).await;
    let request = b"\0\x01a\0octet\0";
    let (socket, transfer, first) = server.exchange(request).await;
    assert_eq!(first[..4], data_header(1));
    socket.send_to(request, server.address).await.expect("send");
    socket.send_to(b"\0\x01b\0octet\0", server.address).await.expect("send");
    // The repeated request adds nothing, so what comes next is the answer to the other one.
    let (other, answer) = receive(&socket).await;
    assert_ne!(other, transfer);
    assert_eq!(answer, [&data_header(1), b"b".as_slice()].concat());
    for peer in [other, transfer] {
        socket.send_to(&Packet::Ack(1).encode(), peer).await.expect("send");
    }
    let (from, second) = receive(&socket).await;
    assert_eq!((from, second.len()), (transfer, 4 + 600 - 512));
    socket.send_to(&Packet::Ack(2).encode(), transfer).await.expect("send");
    check_tftp(&server.observed.next().await.kind, "b", 1);
    check_tftp(&server.observed.next().await.kind, "a", 600);
}

#[tokio::test]
async fn the_size_query_of_uefi_firmware_is_recorded_as_what_it_is() {
    let mut server = Server::start(Folder::default().with("snponly.efi", noise(5000))).await;
    let request = b"\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0";
    let (socket, transfer, answer) = server.exchange(request).await;
    assert_eq!(answer, b"\0\x06blksize\x001468\0tsize\x005000\0windowsize\x004\0");
    socket.send_to(b"\0\x05\0\x08User aborted the transfer", transfer).await.expect("send");
    let observation = server.observed.next().await;
    let StageKind::Tftp { bytes, size, aborted, retries, .. } = observation.kind else { panic!() };
    assert_eq!((bytes, size, retries), (0, 5000, 0));
    assert_eq!(aborted.as_deref(), Some("the client wanted to know the size only"));
}

#[tokio::test]
async fn a_client_that_closes_its_port_ends_its_transfer() {
    let mut server = Server::start(Folder::default().with("a", noise(5000))).await;
    let (socket, _, _) = server.exchange(b"\0\x01a\0octet\0").await;
    drop(socket);
    // The resend after one second meets the closed port.
    let observation = server.observed.next().await;
    let StageKind::Tftp { aborted, retries, .. } = observation.kind else { panic!() };
    assert_eq!((aborted.as_deref(), retries), (Some("the client closed its port"), 1));
}

/// A request beyond the limits is recorded and not answered; asked again, it is once another transfer has ended.
async fn check_limits(limits: Limits, reason: &str) {
    let mut server = Server::start_with(Folder::default().with("a", "x"), Some(MAC), limits).await;
    let request = b"\0\x01a\0octet\0";
    let (first, transfer, _) = server.exchange(request).await;
    let _second = server.exchange(request).await;
    let third = UdpSocket::bind("127.0.0.1:0").await.expect("a port of loopback");
    third.send_to(request, server.address).await.expect("send");
    // Requests are taken in their order: with the answer to this one, that one has been left aside.
    let write = server.exchange(b"\0\x02a\0octet\0").await.2;
    assert!(matches!(Packet::parse(&write), Ok(Packet::Error { code: 2, .. })), "{write:?}");
    let mut nothing = [0; 16];
    let error = third.try_recv_from(&mut nothing).expect_err("no answer");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    let StageKind::Tftp { aborted, .. } = server.observed.next().await.kind else { panic!() };
    assert_eq!(aborted.as_deref(), Some(reason));
    first.send_to(&Packet::Ack(1).encode(), transfer).await.expect("send");
    let asking = async {
        let mut interval = tokio::time::interval(Duration::from_millis(100));
        loop {
            interval.tick().await;
            third.send_to(request, server.address).await.expect("send");
        }
    };
    tokio::select! {
        (_, answer) = receive(&third) => assert_eq!(answer, [&data_header(1), b"x".as_slice()].concat()),
        () = asking => {}
    }
}

#[tokio::test]
async fn requests_beyond_a_limit_wait() {
    let all = Limits { transfers_max: 2, ..Limits::default() };
    check_limits(all, "it has to wait: 2 transfers run, as many as the server takes at once").await;
    let own = Limits { client_transfers_max: 2, ..Limits::default() };
    let reason = "it has to wait: 2 transfers of this address run, as many as one may have at once";
    check_limits(own, reason).await;
}

#[tokio::test]
async fn hundreds_at_once_all_get_the_exact_bytes() {
    let content = noise(200_000);
    let server = Server::start(Folder::default().with("initrd", content.clone())).await;
    let digest = sha256(&content);
    let probes: Vec<_> = (0..200)
        .map(|number| {
            let windowsize = Some(1 + number % 8);
            let timeout = Duration::from_secs(5);
            let options =
                ProbeOptions { windowsize, blksize: Some(1468), timeout, ..server.probe_options("initrd") };
            tokio::spawn(probe(options))
        })
        .collect();
    for handle in probes {
        let report: Result<_, ProbeError> = handle.await.expect("a probe");
        assert_eq!(report.expect("the file").sha256, digest);
    }
}

#[tokio::test]
async fn shutdown_lets_running_transfers_end() {
    let server = Server::start(Folder::default().with("a", noise(600))).await;
    let (socket, transfer, _) = server.exchange(b"\0\x01a\0octet\0").await;
    server.shutdown.cancel();
    socket.send_to(&Packet::Ack(1).encode(), transfer).await.expect("send");
    let (_, last) = receive(&socket).await;
    assert_eq!(last[..4], data_header(2));
    socket.send_to(&Packet::Ack(2).encode(), transfer).await.expect("send");
    let ended = tokio::time::timeout(Duration::from_secs(8), server.task).await;
    ended.expect("it ends as soon as its transfers do").expect("no panic").expect("no error");
}
