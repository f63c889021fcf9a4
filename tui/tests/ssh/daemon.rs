//! A daemon that has one machine and says that it is well.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// The daemon's socket, until it is dropped.
pub struct Daemon {
    socket: PathBuf,
    streams: Arc<Mutex<Vec<UnixStream>>>,
}

impl Daemon {
    /// Answers at `socket`.
    pub fn start(socket: &Path) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).expect("a socket");
        let streams: Arc<Mutex<Vec<UnixStream>>> = Arc::default();
        let kept = streams.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                kept.lock().expect("no panic").push(stream.try_clone().expect("a stream"));
                thread::spawn(move || serve(&stream));
            }
        });
        Self { socket: socket.to_owned(), streams }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nobody comes in any more, and who is there is cut off.
        let _ = std::fs::remove_file(&self.socket);
        for stream in self.streams.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn serve(stream: &UnixStream) -> Option<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let mut first = String::new();
        lines.read_line(&mut first).ok().filter(|read| *read > 0)?;
        let mut line = first.clone();
        while !line.trim().is_empty() {
            line.clear();
            lines.read_line(&mut line).ok()?;
        }
        let path = first.split_whitespace().nth(1)?.trim_start_matches("/api/v1");
        let place = path.split('?').next()?;
        if place == "/events/stream" {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: well\n\n";
            return (&mut &*stream).write_all(head.as_bytes()).ok();
        }
        let (status, kind, body) = match place {
            "/health" => ("200 OK", "json", r#"{"state":"ok","checks":[],"networks":[]}"#),
            "/machines" => ("200 OK", "json", MACHINES),
            _ => (
                "404 Not Found",
                "problem+json",
                r#"{"type":"about:blank","title":"Not here","status":404,"detail":"not here"}"#,
            ),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/{kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        (&mut &*stream).write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}

const MACHINES: &str = r#"{"items":[{"id":"0195a000-0000-7000-8000-000000000007","enrolment":"enrolled","name":"node-7",
"macs":["52:54:00:00:00:07"],"tags":[],"secure_boot":"auto","discover_next":false,"created_at":1773500000000,
"seen_at":1773500000000,"address":"10.0.0.7"}],"total":1,"limit":1000,"offset":0}"#;
