//! Images that operators import: over the socket into a whole site, and with the command into a real daemon.

#[path = "artifacts/downloads.rs"]
mod downloads;
mod loopback;
#[path = "artifacts/qcow2.rs"]
mod qcow2;
#[path = "artifacts/server.rs"]
mod server;
#[path = "artifacts/signed.rs"]
mod signed;
mod site;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ironwake::artifact::Digest;
use ironwake::http;
use ironwake::serve::Backend;
use ironwake_api::client::{Client, ClientError};
use ironwake_api::*;
use loopback::{Daemon, free_port};
use site::{PATIENCE, TestSite};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// More than fits into any buffer on the way.
const IMAGE_BYTES: usize = 20 << 20;

/// Bytes without a short period, so that any misplaced piece shows.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A range of what machines fetch, or all of it: status and body.
fn get(address: SocketAddr, path: &str, range: Option<(usize, usize)>) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let range = range.map(|(first, last)| format!("range: bytes={first}-{last}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n{range}connection: close\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let status = String::from_utf8_lossy(&answer[..end]).split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), answer[end + 4..].to_vec())
}

/// A site whose API and files are served.
struct Served {
    test: TestSite,
    client: Client,
    files: SocketAddr,
    shutdown: CancellationToken,
    parts: Vec<JoinHandle<()>>,
}

impl Served {
    async fn new(test: TestSite) -> Self {
        let socket = test.folder().join("api.sock");
        let listener = http::bind(&socket).expect("a socket");
        let shutdown = CancellationToken::new();
        let files = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback");
        let address = files.local_addr().expect("an address");
        let backend = Backend { files: test.shelf(), site: test.site.clone() };
        let token = shutdown.clone();
        let parts = vec![
            tokio::spawn(http::serve(listener, test.site.clone(), shutdown.clone())),
            tokio::spawn(
                async move { ironwake::serve::http::run(files, backend, token).await.expect("served") },
            ),
        ];
        Self { test, client: Client::new(socket), files: address, shutdown, parts }
    }

    async fn restart(self) -> Self {
        self.shutdown.cancel();
        for part in self.parts {
            part.await.expect("no panic");
        }
        Self::new(self.test.restart().await).await
    }

    async fn get(&self, path: &str, range: Option<(usize, usize)>) -> (u16, Vec<u8>) {
        let (address, path) = (self.files, path.to_owned());
        tokio::task::spawn_blocking(move || get(address, &path, range)).await.expect("no panic")
    }

    async fn import(&self, name: &str, bytes: &[u8], sha256: Option<&str>) -> Result<Artifact, ClientError> {
        let size = Some(bytes.len() as u64);
        self.client.import(name, std::io::Cursor::new(bytes.to_vec()), size, digest(sha256), |_| {}).await
    }

    /// What lies in the folder of imports.
    fn files(&self) -> Vec<String> {
        names(&self.test.folder().join("imports"))
    }
}

fn digest(sha256: Option<&str>) -> ImportQuery {
    ImportQuery { sha256: sha256.map(str::to_owned), sha512: None }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(result: Result<T, ClientError>, status: u16, text: &str) {
    match result {
        Err(ClientError::Refused(problem)) => {
            assert_eq!(problem.status, status, "{problem:?}");
            assert!(problem.detail.contains(text), "{:?} lacks {text:?}", problem.detail);
        }
        other => panic!("{other:?} is no refusal {status} with {text:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_imported_fetched_in_ranges_and_there_after_a_restart() {
    let served = Served::new(TestSite::open().await).await;
    let image = noise(IMAGE_BYTES);
    let digest = Digest::of(&image).to_string();
    let sent = Arc::new(AtomicU64::new(0));
    let told = sent.clone();
    let reader = std::io::Cursor::new(image.clone());
    // Without a size, as from standard input.
    let progress = move |bytes| told.store(bytes, Ordering::Relaxed);
    let artifact = served
        .client
        .import("debian-13", reader, None, self::digest(Some(&digest)), progress)
        .await
        .expect("imported");
    assert_eq!(sent.load(Ordering::Relaxed), IMAGE_BYTES as u64);
    assert_eq!((artifact.kind, artifact.state), (ArtifactKind::Image, ArtifactState::Done));
    assert_eq!((artifact.size, artifact.sha256.as_deref()), (Some(IMAGE_BYTES as u64), Some(&*digest)));
    assert_eq!((artifact.packing, artifact.disk_bytes), (Some(Packing::Raw), Some(IMAGE_BYTES as u64)));
    assert!(matches!(artifact.imported_by, Some(Actor::Operator(_))));
    let path = artifact.path.clone().expect("a path");
    assert_eq!(path, format!("/artifacts/{digest}/debian-13"));

    let served = served.restart().await;
    assert_eq!(served.client.artifact("debian-13").await.expect("there"), artifact);
    assert_eq!(served.client.artifacts().await.expect("a list"), [artifact]);
    let source = served.test.site.image("debian-13").expect("an image");
    assert_eq!((source.path.as_str(), source.size_bytes), (path.as_str(), IMAGE_BYTES as u64));
    assert!(served.get(&path, None).await == (200, image.clone()), "other bytes");
    let (first, last) = (IMAGE_BYTES / 3, IMAGE_BYTES / 3 + 1_000_000);
    assert!(
        served.get(&path, Some((first, last))).await == (206, image[first..=last].to_vec()),
        "other bytes"
    );

    served.client.delete_artifact("debian-13").await.expect("deleted");
    assert_eq!(served.get(&path, None).await.0, 404);
    assert_eq!(served.files(), [""; 0]);
    let kinds = served.test.events().await;
    let digest = format!("sha256:{digest}");
    let name = String::from("debian-13");
    assert_eq!(
        kinds,
        [
            EventKind::ArtifactReady { name: name.clone(), digest: digest.clone() },
            EventKind::ArtifactDeleted { name, digest },
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_what_is_refused() {
    let served = Served::new(TestSite::open().await).await;
    let mut image = noise(IMAGE_BYTES);
    let other = Digest::of(b"other").to_string();
    check_refused(served.import("image", &image, Some(&other)).await, 422, "nothing is kept");
    check_refused(served.import("image", &image, Some("12")).await, 400, "64 hex digits");
    check_refused(served.import("Image", &image, None).await, 422, "is no name for an import");
    check_refused(served.import("image", b"", None).await, 422, "no bytes");
    // Refused at its first bytes; its sender still reads why.
    image[..4].copy_from_slice(b"KDMV");
    check_refused(served.import("image", &image, None).await, 422, "qemu-img convert -O qcow2");
    let loader = Artifact::new("snponly.efi", ArtifactKind::Loader, ArtifactState::Missing);
    served.test.site.set_artifact(loader);
    check_refused(served.import("snponly.efi", b"image", None).await, 409, "boot file");
    check_refused(served.client.delete_artifact("snponly.efi").await, 409, "boot file");
    check_refused(served.client.artifact("image").await, 404, "no artifact \"image\"");
    check_refused(served.client.delete_artifact("image").await, 404, "no artifact");
    assert_eq!(served.files(), [""; 0]);
    assert_eq!(served.test.events().await, []);

    // A sender that goes away in the middle.
    let (reader, mut writer) = tokio::io::duplex(1 << 20);
    let client = served.client.clone();
    let sending = tokio::spawn(async move {
        client.import("image", reader, Some(1 << 30), digest(None), |_| {}).await.map(drop)
    });
    tokio::io::AsyncWriteExt::write_all(&mut writer, &image[4..]).await.expect("taken");
    assert_eq!(served.files().len(), 1);
    drop(writer);
    let error = sending.await.expect("no panic").expect_err("cut short");
    assert!(error.to_string().contains("bytes early"), "{error}");
    let served = served.restart().await;
    assert_eq!(served.files(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_replaced_pinned_and_share_bytes() {
    let served = Served::new(TestSite::open().await).await;
    let first = served.import("stable", b"one", None).await.expect("imported");
    served.import("testing", b"one", None).await.expect("imported");
    let (one, two) = (Digest::of(b"one").to_string(), Digest::of(b"two").to_string());
    assert_eq!(served.files(), std::slice::from_ref(&one));
    let pinned = ArtifactPatch { pinned: Some(true) };
    assert!(served.client.edit_artifact("stable", &pinned).await.expect("pinned").pinned);
    check_refused(served.client.delete_artifact("stable").await, 409, "artifact unpin stable");
    // The pin is the name's, and the bytes are those that another name has.
    assert!(served.import("stable", b"two", None).await.expect("replaced").pinned);
    let mut both = [one.clone(), two.clone()];
    both.sort();
    assert_eq!(served.files(), both);
    assert_eq!(served.get(&first.path.expect("a path"), None).await, (200, b"one".to_vec()));
    served.client.delete_artifact("testing").await.expect("deleted");
    assert_eq!(served.files(), [two]);

    let served = served.restart().await;
    check_refused(served.client.delete_artifact("stable").await, 409, "pinned");
    let unpinned = ArtifactPatch { pinned: Some(false) };
    assert!(!served.client.edit_artifact("stable", &unpinned).await.expect("unpinned").pinned);
    served.client.delete_artifact("stable").await.expect("deleted");
    assert_eq!(served.files(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_profile_names_has_folders() {
    let served = Served::new(TestSite::open().await).await;
    let name = "debian-installer-13/linux";
    let kernel = served.import(name, b"MZ kernel", None).await.expect("imported");
    assert_eq!(kernel.name, name);
    let path = kernel.path.clone().expect("a path");
    assert!(path.ends_with("/linux") && path.matches('/').count() == 3, "{path}");
    assert_eq!(served.get(&path, None).await, (200, b"MZ kernel".to_vec()));
    assert_eq!(served.client.artifact(name).await.expect("there"), kernel);
    let served = served.restart().await;
    assert_eq!(served.client.artifact(name).await.expect("there"), kernel);
    served.client.delete_artifact(name).await.expect("deleted");
    assert_eq!(served.files(), [""; 0]);
}

#[test]
fn the_command_imports_into_a_daemon_that_survives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let daemon = Daemon::start_at(folder.path(), port, "", &[]);
    let image = noise(IMAGE_BYTES);
    let file = folder.path().join("disk.qcow2.xz");
    fs::write(&file, &image).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let digest = Digest::of(&image).to_string();
    daemon.check(
        &["artifact", "import", "gold", file, "--sha256", &digest],
        0,
        "imported gold (20 MiB, raw): sha256:",
        "",
    );
    let input = b"from standard input";
    daemon.feed(&["artifact", "import", "piped", "-", "--json"], input, 0, "\"size\": 19", "");
    daemon.feed(&["artifact", "import", "gold", "-", "--sha256", &digest], input, 4, "", "nothing is kept");
    daemon.check(&["artifact", "import", "none", "/nonexistent"], 1, "", "read /nonexistent: No such file");
    daemon.check(&["artifact", "import", "none", "/"], 1, "", "it is a folder");
    daemon.check(&["artifact", "show", "none"], 3, "", "`ironwake artifact list`");
    daemon.check(&["artifact", "pin", "gold"], 0, "pinned gold", "");
    drop(daemon);

    let daemon = Daemon::start_at(folder.path(), port, "", &[]);
    let shown = daemon.check(&["artifact", "show", "gold"], 0, "ready, pinned", "");
    assert!(shown.contains(&digest) && shown.contains("import by "), "{shown}");
    let list = daemon.check(&["artifact", "list"], 0, "gold", "");
    assert!(list.lines().any(|line| line.starts_with("piped ") && line.contains("image")), "{list}");
    let path = format!("/artifacts/{digest}/gold");
    let (status, part) =
        get(SocketAddr::from(([127, 0, 0, 1], port)), &path, Some((1 << 20, (1 << 20) + 99)));
    assert_eq!((status, &part[..]), (206, &image[1 << 20..(1 << 20) + 100]));
    daemon.check(&["artifact", "delete", "gold"], 4, "", "is pinned");
    daemon.check(&["artifact", "unpin", "gold"], 0, "unpinned gold", "");
    daemon.check(&["artifact", "delete", "gold"], 0, "deleted gold", "");
    assert_eq!(names(&folder.path().join("state/imports")).len(), 1);
    daemon.check(&["events", "--json"], 0, "artifact_deleted", "");
}
