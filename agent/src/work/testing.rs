//! A machine made of plain files, for the tests of this module.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use ironwake_api::{ApprovedDisk, Disk, MacAddr, WorkReport};

use super::{Reports, target::Target};
use crate::{cmdline::Token, inventory::disk, screen::Screen, server::Server};

/// Below its root are `sys/block` and `dev`, with plain files as disks.
pub struct Fixture(tempfile::TempDir);

impl Fixture {
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("dev")).expect("a folder");
        Self(root)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    fn node(&self, disk: &str) -> PathBuf {
        self.root().join("dev").join(disk)
    }

    pub fn add_disk(&self, name: &str, serial: Option<&str>, size_bytes: u64) {
        self.resize(name, size_bytes);
        self.set(name, "queue/logical_block_size", "512");
        if let Some(serial) = serial {
            self.set_serial(name, serial);
        }
    }

    pub fn resize(&self, disk: &str, size_bytes: u64) {
        self.set(disk, "size", &(size_bytes / 512).to_string());
        self.truncate_node(disk, size_bytes);
    }

    pub fn truncate_node(&self, disk: &str, size_bytes: u64) {
        let node = fs::File::options().create(true).truncate(false).write(true).open(self.node(disk));
        node.and_then(|node| node.set_len(size_bytes)).expect("a node");
    }

    pub fn remove(&self, disk: &str) {
        fs::remove_dir_all(self.root().join("sys/block").join(disk)).expect("a disk");
        fs::remove_file(self.node(disk)).expect("a node");
    }

    pub fn set_serial(&self, disk: &str, serial: &str) {
        self.set(disk, "serial", serial);
    }

    pub fn set(&self, device: &str, attribute: &str, value: &str) {
        let path = self.root().join("sys/block").join(device).join(attribute);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, value).expect("an attribute");
    }

    pub fn get(&self, device: &str, attribute: &str) -> String {
        fs::read_to_string(self.root().join("sys/block").join(device).join(attribute)).expect("an attribute")
    }

    pub fn write(&self, disk: &str, offset: u64, bytes: &[u8]) {
        let node = fs::File::options().write(true).open(self.node(disk)).expect("a node");
        node.write_all_at(bytes, offset).expect("written");
    }

    pub fn read(&self, disk: &str) -> Vec<u8> {
        fs::read(self.node(disk)).expect("a node")
    }

    /// The disk as an operator sees and approves it.
    pub fn approve(&self, disk: &str) -> ApprovedDisk {
        let disks = disk::read(self.root(), &mut Vec::new());
        disks.iter().find(|found| found.name == disk).expect("the disk").into()
    }
}

/// A DOS table with one partition from 64 KiB to 1 MiB.
pub fn dos_table() -> Vec<u8> {
    let mut sector = vec![0; 512];
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 128, 0, 0, 0, 0x80, 7, 0, 0]);
    sector
}

/// Bytes that no packing makes much smaller, with runs of zeros between them.
pub fn image_bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What happened to a [`Recorder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Wrote(u64, usize),
    Zeroed(u64, u64),
    Flushed,
}

/// A disk in memory that remembers the order of what was done to it, and may break.
pub struct Recorder {
    pub bytes: Vec<u8>,
    pub acts: Vec<Act>,
    /// Writing from this byte on fails.
    pub broken_from: u64,
    pub sector_bytes: u32,
}

impl Recorder {
    /// It holds something everywhere.
    pub fn new(size_bytes: u64) -> Self {
        Self {
            bytes: vec![0xa5; size_bytes as usize],
            acts: Vec::new(),
            broken_from: u64::MAX,
            sector_bytes: 512,
        }
    }

    fn check(&self, offset: u64, length: u64) -> io::Result<()> {
        let sector = u64::from(self.sector_bytes);
        assert!(offset.is_multiple_of(sector) && length.is_multiple_of(sector), "{length} bytes at {offset}");
        if offset + length > self.broken_from {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(())
    }
}

impl Target for Recorder {
    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes.len() as u64)?;
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        self.acts.push(Act::Wrote(offset, bytes.len()));
        Ok(())
    }

    fn zero(&mut self, offset: u64, length: u64) -> io::Result<()> {
        self.check(offset, length)?;
        self.bytes[offset as usize..][..length as usize].fill(0);
        self.acts.push(Act::Zeroed(offset, length));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.acts.push(Act::Flushed);
        Ok(())
    }
}

/// A request that a [`Double`] got.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method and path.
    pub line: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// What a [`Double`] answers. The body is cut off after `cut` bytes, as if the daemon had died.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    pub cut: usize,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: usize::MAX }
    }

    /// As a server of files answers, with ranges.
    pub fn file(request: &Request, bytes: &[u8]) -> Self {
        let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
        let start = range.map(|range| range.trim_end_matches('-').parse::<usize>().expect("a number"));
        let mut answer = match start {
            Some(start) => {
                let mut answer = Self::new(206, &bytes[start..]);
                answer.headers.push(format!(
                    "content-range: bytes {start}-{}/{}",
                    bytes.len() - 1,
                    bytes.len()
                ));
                answer
            }
            None => Self::new(200, bytes),
        };
        answer.headers.push("etag: \"1\"".into());
        answer
    }
}

/// A double of the daemon on the loopback interface. Each connection carries one request.
pub struct Double {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Double {
    pub fn start(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (handler, seen) = (Arc::new(Mutex::new(handler)), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                thread::spawn(move || {
                    let Some(request) = read_request(&stream) else { return };
                    let answer = (handler.lock().expect("no panic"))(&request);
                    seen.lock().expect("no panic").push(request);
                    send(&stream, &answer);
                });
            }
        });
        Self { url, requests }
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }

    /// The reports that came, without progress and disks.
    pub fn reports(&self) -> Vec<WorkReport> {
        let mut reports = self.all_reports();
        reports.retain(|report| !matches!(report, WorkReport::Progress { .. } | WorkReport::Disks { .. }));
        reports
    }

    /// The disks that were reported after the work.
    pub fn disks(&self) -> Vec<Disk> {
        let disks = self.all_reports().into_iter().filter_map(|report| match report {
            WorkReport::Disks { disks } => Some(disks),
            _ => None,
        });
        disks.flatten().collect()
    }

    fn all_reports(&self) -> Vec<WorkReport> {
        self.requests()
            .iter()
            .filter(|request| request.line.starts_with("POST /boot/v1/operations/o1/report"))
            .filter_map(|request| serde_json::from_slice(&request.body).ok())
            .collect()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, headers, body })
}

fn send(mut stream: &TcpStream, answer: &Answer) {
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", answer.status);
    for header in &answer.headers {
        head += &format!("{header}\r\n");
    }
    if answer.status != 204 {
        head += &format!("content-length: {}\r\n", answer.body.len());
    }
    let body = &answer.body[..answer.body.len().min(answer.cut)];
    let sent = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(body));
    // A client that has gone is the test's doing.
    let _ = sent.and_then(|()| stream.flush());
}

/// Reports of operation `o1` to this daemon.
pub fn reports(url: &str, root: &Path) -> Reports {
    Reports {
        server: Server::new(url),
        token: Token::parse("0123456789abcdef0123456789abcdef").expect("a token"),
        operation: "o1".into(),
        machine: "m1".into(),
        boot_mac: MacAddr([0x52, 0x54, 0, 0xab, 0, 1]),
        screen: Screen::open(root),
    }
}
