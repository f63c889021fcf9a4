//! A double of the daemon on a Unix socket, for the client and the commands above it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use ironwake_api::client::Client;
use ironwake_api::{FieldProblem, Problem};

/// A request as the double saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub line: String,
    pub last_event_id: Option<String>,
    pub body: String,
}

/// Answers by request line, in turn; the last one again and again.
pub struct Double {
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Double {
    pub fn new(answers: &[(&str, &str, &[&str])]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("s")).expect("bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut answers: HashMap<String, Vec<(String, String)>> = answers
            .iter()
            .map(|(line, status, bodies)| {
                let bodies = bodies.iter().rev().map(|body| (status.to_string(), body.to_string()));
                (line.to_string(), bodies.collect())
            })
            .collect();
        let log = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up early is none of the double's business.
                let _ = answer(stream, &mut answers, &log);
            }
        });
        Self { folder, seen }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub fn client(&self) -> Client {
        Client::new(self.socket())
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// Requests as they came, without what they carried.
    pub fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.args(arguments).env("IRONWAKE_SOCKET", self.socket());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the command runs")
    }
}

fn answer(
    mut stream: UnixStream,
    answers: &mut HashMap<String, Vec<(String, String)>>,
    log: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let (mut length, mut last_event_id) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "last-event-id" => last_event_id = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    log.lock().expect("not poisoned").push(Seen { line: line.clone(), last_event_id, body });
    let (status, body) = match answers.get_mut(&line) {
        Some(bodies) if bodies.len() > 1 => bodies.pop().expect("more than one"),
        Some(bodies) => bodies[0].clone(),
        None => ("404 Not Found".into(), problem(404, &format!("nothing at {line}"))),
    };
    if line.contains("/events/stream") {
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}"
        )
    } else {
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }
}

pub fn problem(status: u16, detail: &str) -> String {
    let errors = vec![FieldProblem { field: "macs[0]".into(), message: "is taken".into() }];
    let kind = "urn:ironwake:problem:x".into();
    serde_json::to_string(&Problem { kind, title: "x".into(), status, detail: detail.into(), errors })
        .expect("JSON")
}
