//! Shells at the end of a real daemon: whoever has one open is told, and it is noted.

mod loopback;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use ironwake::operation::{Purpose, SiteKey};
use ironwake_api::{Operation, SHELL_PROTOCOL, ShellFrame};
use loopback::{Daemon, PATIENCE, free_port};

const MACHINE: &str = r#"{"agent":"test","boot_mac":"52:54:00:00:00:01","inventory":{"schema":1,
    "system":{"serial":"S1"},"nics":[{"mac":"52:54:00:00:00:01"}],"memory":{"total_bytes":4294967296}}}"#;

/// Sends a request of a machine; the connection, behind the head of an answer of this status.
fn request(port: u16, head: &str, body: &str, status: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let head = format!("{head}\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}\n{answer}");
    stream
}

/// A machine that runs something in RAM, and its agent's part of a shell: machine, and the request that offers one.
fn in_rescue(daemon: &Daemon, folder: &std::path::Path, port: u16) -> (String, String) {
    let enrolment = "POST /boot/v1/enroll HTTP/1.1\r\ncontent-type: application/json\r\nconnection: close";
    let mut answer = String::new();
    request(port, enrolment, MACHINE, 201).read_to_string(&mut answer).expect("an answer");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let machine = answer["machine"].as_str().expect("an id").to_owned();
    daemon.check(&["machine", "enroll", &machine], 0, "", "");
    let file = folder.join("memtest");
    fs::write(&file, "a kernel").expect("a file");
    let path = file.display().to_string();
    daemon.check(&["artifact", "import", "memtest86+/memtest86+x64.bin", &path], 0, "", "");
    let made = daemon.check(&["rescue", &machine, "--profile", "memtest", "--json"], 0, "", "");
    let id = serde_json::from_str::<Operation>(&made).expect("an operation").id;
    let key = fs::read(folder.join("state/site.key")).expect("a key");
    let key = SiteKey::new(key.try_into().expect("32 bytes"));
    let token = |purpose| key.token(purpose, &id, 1);
    let kernel = format!("GET /boot/v1/operations/{id}/{}/vmlinuz HTTP/1.1", token(Purpose::Kernel));
    request(port, &kernel, "", 200);
    let offer = format!(
        "POST /boot/v1/operations/{id}/shell HTTP/1.1\r\nconnection: upgrade\r\nupgrade: {SHELL_PROTOCOL}\r\n\
         authorization: Bearer {id}_{}",
        token(Purpose::Work)
    );
    (machine, offer)
}

/// Reads what is shown until this is in it.
fn read_until(child: &mut Child, part: &str) {
    let mut shown = String::new();
    let stdout = child.stdout.as_mut().expect("a pipe");
    while !shown.contains(part) {
        let mut bytes = [0; 64];
        let length = stdout.read(&mut bytes).expect("read");
        assert!(length > 0, "it ended, and showed {shown:?}");
        shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
}

#[test]
fn a_shell_ends_with_its_daemon_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let daemon = Daemon::start_at(folder.path(), port, "", &[]);
    let (machine, offer) = in_rescue(&daemon, folder.path(), port);
    let agent = std::thread::spawn(move || {
        let mut wire = request(port, &offer, "", 101);
        wire.write_all(&ShellFrame::Ready.encode()).expect("sent");
        wire.write_all(&ShellFrame::Output(b"it runs\n".into()).encode()).expect("sent");
        let mut typed = Vec::new();
        // Nobody ends it but the daemon.
        wire.read_to_end(&mut typed).expect("an end");
        typed
    });
    let mut command = daemon.command(&["shell", &machine, "--", "top"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = command.spawn().expect("it starts");
    let keyboard = shell.stdin.take();
    read_until(&mut shell, "it runs\n");
    daemon.terminate();
    let output = shell.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("the connection to the machine ended") && errors.contains("or the daemon"),
        "{errors}"
    );
    assert!(String::from_utf8_lossy(&agent.join().expect("no panic")).contains("top"));
    drop(keyboard);
    let daemon = Daemon::start_at(folder.path(), port, "", &[]);
    daemon.check(&["events", "--json", "--limit", "1000"], 0, "the daemon ended", "");
}
