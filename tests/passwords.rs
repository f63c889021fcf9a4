//! `ironwake password set`, at a terminal (package util-linux) and without one.

mod site;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ironwake::http;
use ironwake_api::{Entrance, LoginRequest, Secret};
use nix::pty::openpty;
use site::TestSite;
use tokio_util::sync::CancellationToken;

const IRONWAKE: &str = env!("CARGO_BIN_EXE_ironwake");

/// Runs `ironwake password set --stdin`, which is given `input`.
fn by_input(socket: &Path, input: &str) -> Output {
    let mut command = Command::new(IRONWAKE);
    command.arg("--socket").arg(socket).args(["password", "set", "--stdin"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("it ends")
}

/// Runs `ironwake password set` in a terminal where these lines are typed, one for each question; gives its exit code and what
/// the terminal showed.
fn by_terminal(socket: &Path, lines: &[&str]) -> (Option<i32>, String) {
    let pair = openpty(None, None).expect("a terminal");
    let slave = File::from(pair.slave);
    let copy = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let mut command = Command::new("setsid");
    command.args(["--wait", "--ctty", IRONWAKE, "--socket"]).arg(socket).args(["password", "set"]);
    let mut child = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("setsid is there");
    drop((slave, command));
    let mut terminal = File::from(pair.master);
    let (mut shown, mut typed, mut bytes) = (String::new(), 0, [0; 4096]);
    // A terminal whose other side is gone says so with an error.
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if typed < lines.len() && shown.matches(": ").count() > typed {
            terminal.write_all(format!("{}\n", lines[typed]).as_bytes()).expect("a terminal");
            typed += 1;
        }
    }
    (child.wait().expect("it ends").code(), shown)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_read_from_standard_input_or_asked_for_twice_and_never_shown() {
    let test = TestSite::open().await;
    test.site.keep_password(test.folder()).expect("none yet");
    let socket = test.folder().join("api.sock");
    let shutdown = CancellationToken::new();
    let listener = http::bind(&socket).expect("a socket");
    let serving = tokio::spawn(http::serve(listener, test.site.clone(), shutdown.clone()));
    let opens = async |password: &str| {
        let request = LoginRequest { password: Some(Secret(password.into())), ..LoginRequest::default() };
        test.site.log_in(Entrance::Console, request, None).await.is_ok()
    };
    let at = socket.clone();
    let input = tokio::task::spawn_blocking(move || by_input(&at, "correct horse battery\n"));
    let input = input.await.expect("no panic");
    assert!(input.status.success(), "{input:?}");
    let said = String::from_utf8_lossy(&input.stderr);
    assert!(said.contains("the password is set") && !said.contains("horse"), "{said}");
    assert!(opens("correct horse battery").await);

    let at = socket.clone();
    let typed = tokio::task::spawn_blocking(move || {
        [
            by_terminal(&at, &["271828", "271828"]),
            by_terminal(&at, &["314159", "314158"]),
            by_terminal(&at, &["31415", "31415"]),
        ]
    });
    let [set, different, short] = typed.await.expect("no panic");
    assert_eq!(set.0, Some(0), "{}", set.1);
    assert_eq!(different.0, Some(1), "{}", different.1);
    assert!(different.1.contains("the two are not the same"), "{}", different.1);
    assert_eq!(short.0, Some(4), "{}", short.1);
    assert!(short.1.contains("it has 5 digits: at least 6"), "{}", short.1);
    for shown in [&set.1, &different.1, &short.1] {
        assert!(!["2718", "3141"].iter().any(|digits| shown.contains(digits)), "{shown}");
    }
    assert!(opens("271828").await && !opens("correct horse battery").await);
    shutdown.cancel();
    serving.await.expect("ended");
}
