//! The sockets of a whole site, asked by root and by a stranger.

mod site;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ironwake::http;
use ironwake_api::Entrance;
use site::TestSite;
use tokio_util::sync::CancellationToken;

/// Tells the child where the socket is.
const SOCKET: &str = "IRONWAKE_TEST_OPERATORS_SOCKET";
/// Tells the child what to ask for.
const ASKED: &str = "IRONWAKE_TEST_OPERATORS_ASKED";
/// A user that is nobody's.
const STRANGER: u32 = 3_999_999_999;

/// What a user gets to `GET /api/v1/version`: this binary runs itself as that user and asks.
async fn ask_as(user: u32, socket: &Path) -> String {
    ask_for(user, socket, "GET /api/v1/version").await
}

/// The same, for something else.
async fn ask_for(user: u32, socket: &Path, what: &str) -> String {
    // The link leads to the binary even where the user may not walk to it.
    let mut child = Command::new("/proc/self/exe");
    child
        .args(["--exact", "child_that_asks", "--nocapture"])
        .env(SOCKET, socket)
        .env(ASKED, what)
        .uid(user)
        .gid(user);
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic");
    String::from_utf8_lossy(&output.expect("the child ran").stdout).into_owned()
}

fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

/// A stranger is kept out by the mode of a socket, and refused where that lets them in; root is answered.
async fn check_strangers(socket: &Path) {
    let text = ask_as(STRANGER, socket).await;
    assert!(text.contains("denied by the mode"), "{text}");
    open_to_all(socket, 0o666);
    let text = ask_as(STRANGER, socket).await;
    assert!(text.contains("403 Forbidden") && text.contains("urn:ironwake:problem:forbidden"), "{text}");
    let text = ask_as(0, socket).await;
    assert!(text.contains("200 OK") && text.contains("\"schema\":"), "{text}");
}

#[tokio::test]
async fn a_stranger_is_refused_even_where_the_socket_lets_them_in() {
    // Only root can ask as somebody else.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let test = TestSite::open().await;
    open_to_all(test.folder(), 0o755);
    let socket = test.folder().join("api.sock");
    let listener = http::bind(&socket).expect("a socket");
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(http::serve(listener, test.site.clone(), shutdown.clone()));

    check_strangers(&socket).await;
    shutdown.cancel();
    serving.await.expect("ended");
}

#[tokio::test]
async fn where_people_log_in_a_stranger_is_refused_and_even_root_is_a_viewer() {
    // Only root can ask as somebody else.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let test = TestSite::open().await;
    open_to_all(test.folder(), 0o755);
    for entrance in [Entrance::Console, Entrance::Ssh] {
        let socket = test.folder().join(format!("{entrance}.sock"));
        let listener = http::bind_entrance(&socket, entrance).expect("a socket");
        let shutdown = CancellationToken::new();
        let serving = http::serve_entrance(listener, entrance, test.site.clone(), shutdown.clone());
        let serving = tokio::spawn(serving);
        check_strangers(&socket).await;
        let text = ask_for(0, &socket, "DELETE /api/v1/machines/x").await;
        assert!(text.contains("401 Unauthorized") && text.contains("urn:ironwake:problem:locked"), "{text}");
        shutdown.cancel();
        serving.await.expect("ended");
    }
}

/// Does nothing unless one of the tests above runs it.
#[test]
fn child_that_asks() {
    let Ok(socket) = std::env::var(SOCKET) else { return };
    let asked = std::env::var(ASKED).expect("it is told what to ask for");
    let mut text = String::new();
    match UnixStream::connect(socket) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => text.push_str("denied by the mode"),
        Err(error) => panic!("connect: {error}"),
        Ok(mut stream) => {
            stream.write_all(format!("{asked} HTTP/1.0\r\n\r\n").as_bytes()).expect("sent");
            stream.read_to_string(&mut text).expect("an answer");
        }
    }
    writeln!(std::io::stdout(), "{text}").expect("told");
}
