//! The operators' socket of a whole site, asked by root and by a stranger.

mod site;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ironwake::http;
use site::TestSite;
use tokio_util::sync::CancellationToken;

/// Tells the child where the socket is.
const SOCKET: &str = "IRONWAKE_TEST_OPERATORS_SOCKET";
/// A user that is nobody's.
const STRANGER: u32 = 3_999_999_999;

/// What a user gets to `GET /api/v1/version`: this binary runs itself as that user and asks.
async fn ask_as(user: u32, socket: &Path) -> String {
    // The link leads to the binary even where the user may not walk to it.
    let mut child = Command::new("/proc/self/exe");
    child.args(["--exact", "child_that_asks", "--nocapture"]).env(SOCKET, socket).uid(user).gid(user);
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic");
    String::from_utf8_lossy(&output.expect("the child ran").stdout).into_owned()
}

#[tokio::test]
async fn a_stranger_is_refused_even_where_the_socket_lets_them_in() {
    // Only root can ask as somebody else.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let test = TestSite::open().await;
    let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    open(test.folder(), 0o755).expect("a folder for all");
    let socket = test.folder().join("api.sock");
    let listener = http::bind(&socket).expect("a socket");
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(http::serve(listener, test.site.clone(), shutdown.clone()));

    let text = ask_as(STRANGER, &socket).await;
    assert!(text.contains("denied by the mode"), "{text}");
    open(&socket, 0o666).expect("a socket for all");
    let text = ask_as(STRANGER, &socket).await;
    assert!(text.contains("403 Forbidden") && text.contains("urn:ironwake:problem:forbidden"), "{text}");
    let text = ask_as(0, &socket).await;
    assert!(text.contains("200 OK") && text.contains("\"schema\":"), "{text}");
    shutdown.cancel();
    serving.await.expect("ended");
}

/// Does nothing unless the test above runs it.
#[test]
fn child_that_asks() {
    let Ok(socket) = std::env::var(SOCKET) else { return };
    let mut text = String::new();
    match UnixStream::connect(socket) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => text.push_str("denied by the mode"),
        Err(error) => panic!("connect: {error}"),
        Ok(mut stream) => {
            stream.write_all(b"GET /api/v1/version HTTP/1.0\r\n\r\n").expect("sent");
            stream.read_to_string(&mut text).expect("an answer");
        }
    }
    writeln!(std::io::stdout(), "{text}").expect("told");
}
