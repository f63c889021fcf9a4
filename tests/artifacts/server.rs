//! Servers that images are fetched from: Python's, nginx, and one that misbehaves as it is told.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::loopback::free_port;
use super::site::PATIENCE;

/// A server in a process of its own.
pub struct Peer {
    child: Child,
    pub port: u16,
}

impl Peer {
    /// Python's: no ranges, no tags.
    pub fn python(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new("python3");
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]).current_dir(folder);
        Self::start(command, port)
    }

    /// nginx, which sends so many bytes a second; ranges and tags.
    pub fn nginx(folder: &Path, bytes_per_sec: &str, home: &Path) -> Self {
        let port = free_port();
        let text = format!(
            "daemon off; master_process off; user root; pid {home}/pid; error_log {home}/error.log;\n\
             events {{}}\n\
             http {{ access_log {home}/access.log; client_body_temp_path {home}; proxy_temp_path {home};\n\
             fastcgi_temp_path {home}; uwsgi_temp_path {home}; scgi_temp_path {home};\n\
             server {{ listen 127.0.0.1:{port}; root {folder}; limit_rate {bytes_per_sec}; }} }}\n",
            home = home.display(),
            folder = folder.display(),
        );
        let file = home.join("nginx.conf");
        fs::write(&file, text).expect("a file");
        let mut command = Command::new("nginx");
        command.arg("-e").arg(home.join("error.log")).arg("-c").arg(file);
        Self::start(command, port)
    }

    /// A script of Python: its first argument is the port.
    pub fn script(script: &str, more: &[std::path::PathBuf], folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new("python3");
        command.args(["-c", script, &port.to_string()]).args(more).current_dir(folder);
        Self::start(command, port)
    }

    fn start(mut command: Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let peer = Self { child: child.expect("it starts: ./dev setup installs it"), port };
        let began = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "it does not listen");
            std::thread::yield_now();
        }
        peer
    }

    pub fn url(&self, file: &str) -> String {
        format!("http://127.0.0.1:{}/{file}", self.port)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the misbehaving server does with one request.
#[derive(Clone)]
pub enum Act {
    /// Sends what is asked for up to this byte of the file, and cuts the connection.
    CutAt(usize),
    /// Sends all that is asked for.
    Serve,
    /// Sends everything, whatever was asked for.
    ServeWhole,
    /// Sends this as it is.
    Raw(String),
}

/// A server that serves one file, with ranges and a tag, and misbehaves in turn; well at last.
pub struct Moody {
    pub address: SocketAddr,
    /// `Range` of each request, in order.
    pub ranges: Arc<Mutex<Vec<Option<String>>>>,
}

impl Moody {
    pub fn new(file: Vec<u8>, acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = ranges.clone();
        let mut acts = VecDeque::from(acts);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let act = acts.pop_front().unwrap_or(Act::Serve);
                let _ = answer(stream, &file, act, &seen);
            }
        });
        Self { address, ranges }
    }

    pub fn url(&self) -> String {
        format!("http://{}/images/disk.img?token=secret", self.address)
    }

    pub fn ranges(&self) -> Vec<Option<String>> {
        self.ranges.lock().expect("no panic while held").clone()
    }
}

fn answer(
    mut stream: TcpStream,
    file: &[u8],
    act: Act,
    seen: &Mutex<Vec<Option<String>>>,
) -> std::io::Result<()> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("range: ") {
            range = Some(value.to_owned());
        }
        if line.is_empty() {
            break;
        }
    }
    seen.lock().expect("no panic while held").push(range.clone());
    let from = match act {
        Act::ServeWhole => 0,
        _ => {
            range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0)
        }
    };
    let total = file.len();
    let range = format!("content-range: bytes {from}-{}/{total}\r\n", total - 1);
    let head = match from {
        0 => "HTTP/1.1 200 OK\r\n".to_owned(),
        _ => format!("HTTP/1.1 206 Partial Content\r\n{range}"),
    };
    let head =
        format!("{head}content-length: {}\r\netag: \"one\"\r\nconnection: close\r\n\r\n", total - from);
    match act {
        Act::Raw(text) => stream.write_all(text.as_bytes()),
        Act::CutAt(end) => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&file[from.min(end)..end])
        }
        Act::Serve | Act::ServeWhole => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&file[from..])
        }
    }
}
