//! A caching Debian mirror for machines of the lab, which reach nothing but the lab's network: it listens there, and
//! fetches from the mirror that this host uses.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::LabError;
use super::net::Namespace;

/// Where machines find it: the default port, for a preseeded mirror has no other.
const ADDRESS: &str = "10.77.0.1:80";
/// The folder of Debian there.
pub const FOLDER: &str = "/debian";

/// What was asked for: path, and whether it was there.
type Log = Arc<(Mutex<Vec<(String, bool)>>, Condvar)>;

/// A running mirror.
#[derive(Debug)]
pub struct Mirror {
    log: Log,
}

/// What it serves from.
struct Source {
    upstream: String,
    cache: PathBuf,
    /// One lock for each file, so that each is fetched once.
    fetching: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    log: Log,
}

impl Mirror {
    /// Listens inside `site`; `upstream` is the mirror's URL, and what is fetched is kept in `cache`.
    pub fn start(site: &Namespace, upstream: &str, cache: &Path) -> Result<Self, LabError> {
        let listener = site.enter(|| TcpListener::bind(ADDRESS))?;
        let listener = listener.map_err(LabError::io(format!("listen on {ADDRESS}")))?;
        fs::create_dir_all(cache).map_err(LabError::io(format!("make {}", cache.display())))?;
        let log = Log::default();
        let source = Arc::new(Source {
            upstream: upstream.trim_end_matches('/').to_owned(),
            cache: cache.to_owned(),
            fetching: Mutex::default(),
            log: log.clone(),
        });
        // Outside of the namespace, where the upstream is reached; the listener stays where it was opened.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let source = source.clone();
                std::thread::spawn(move || source.serve(stream));
            }
        });
        Ok(Self { log })
    }

    /// Waits until a path that ends so was asked for; whether it was there.
    pub fn wait_asked(&self, end: &str, limit: Duration) -> Option<bool> {
        let began = Instant::now();
        let (log, changed) = &*self.log;
        let mut seen = log.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((_, found)) = seen.iter().find(|(path, _)| path.ends_with(end)) {
                return Some(*found);
            }
            let left = limit.checked_sub(began.elapsed())?;
            seen = changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Every path that was asked for, with whether it was there.
    pub fn asked(&self) -> Vec<(String, bool)> {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Source {
    fn serve(&self, stream: TcpStream) {
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        // Several requests may come by one connection.
        while let Some((method, path)) = head(&mut reader) {
            let body = self.file(&path);
            let (log, changed) = &*self.log;
            log.lock().unwrap_or_else(PoisonError::into_inner).push((path, body.is_some()));
            changed.notify_all();
            let (status, body) = match body {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", b"not on this mirror\n".to_vec()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            let body = if method == "HEAD" { &[][..] } else { &body[..] };
            if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body)).is_err() {
                return;
            }
        }
    }

    /// The file of a path below [`FOLDER`], from the cache or from upstream.
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let below = path.strip_prefix(FOLDER)?.trim_start_matches('/');
        if below.is_empty() || below.split('/').any(|part| part.is_empty() || part == "..") {
            return None;
        }
        let lock = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.entry(below.to_owned()).or_default().clone()
        };
        let _only = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.cache.join(below.replace('/', "%"));
        // Lists change from day to day and must fit together; packages never change.
        if below.starts_with("pool/")
            && let Ok(bytes) = fs::read(&kept)
        {
            return Some(bytes);
        }
        let url = format!("{}/{below}", self.upstream);
        let fetched = Command::new("curl")
            .args(["--silent", "--fail", "--location", "--max-time", "300", &url])
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let part = kept.with_extension(format!("{}.part", std::process::id()));
        if fs::write(&part, &fetched.stdout).is_ok() {
            let _ = fs::rename(&part, &kept);
        }
        Some(fetched.stdout)
    }
}

/// Method and path of the next request.
fn head(reader: &mut impl BufRead) -> Option<(String, String)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|length| *length > 0)?;
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line.trim().is_empty() => break,
            Ok(_) => {}
        }
    }
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    // Asked as a proxy, it gets a whole URL.
    let path = match target.strip_prefix("http://") {
        Some(rest) => &rest[rest.find('/')?..],
        None => target,
    };
    Some((method.to_owned(), path.to_owned()))
}
