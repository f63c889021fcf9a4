//! Images by URL: real servers, broken connections, a daemon that is killed midway.

use std::fs;
use std::process::Command;

use sha2::Digest as _;

use super::loopback::expect;
use super::server::{Act, Moody, Peer};
use super::*;

/// A folder with a daemon, and one that is served.
struct Place {
    folder: tempfile::TempDir,
    served: tempfile::TempDir,
    home: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder");
        Self { folder: folder(), served: folder(), home: folder(), port: free_port() }
    }

    fn daemon(&self) -> Daemon {
        self.daemon_with(&[])
    }

    fn daemon_with(&self, environment: &[(&str, &Path)]) -> Daemon {
        Daemon::start_at(self.folder.path(), self.port, "", environment)
    }

    /// Puts a file where it is served.
    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.served.path().join(name), bytes).expect("a file");
    }

    fn imports(&self) -> Vec<String> {
        names(&self.folder.path().join("state/imports"))
    }

    /// What machines get of an import.
    fn fetched(&self, path: &str) -> Vec<u8> {
        let (status, bytes) = get(SocketAddr::from(([127, 0, 0, 1], self.port)), path, None);
        assert_eq!(status, 200);
        bytes
    }
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn sha512(bytes: &[u8]) -> String {
    sha2::Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(daemon: &Daemon, name: &str) -> serde_json::Value {
    let text = daemon.check(&["artifact", "show", name, "--json"], 0, "", "");
    serde_json::from_str(&text).expect("JSON")
}

/// Every event of the daemon, as text.
fn events(daemon: &Daemon) -> String {
    daemon.check(&["events", "--limit", "1000"], 0, "", "")
}

#[test]
fn an_image_comes_from_a_server_without_ranges_by_any_digest() {
    let place = Place::new();
    let image = noise(IMAGE_BYTES);
    place.put("disk.img", &image);
    place.put("SHA512SUMS", format!("{}  disk.img\n", sha512(&image)).as_bytes());
    let (server, daemon) = (Peer::python(place.served.path()), place.daemon());
    let url = server.url("disk.img");
    let import = |name: &'static str, option: &str, value: &str, code, out: &str, err: &str| {
        daemon.check(&["artifact", "import", name, &url, option, value, "--wait"], code, out, err);
    };
    let digest = sha256(&image);
    let line = |name: &str| format!("imported {name} (20 MiB, raw): sha256:{digest}");
    import("one", "--sha256", &digest, 0, &line("one"), "");
    import("two", "--sha512", &sha512(&image), 0, &line("two"), "");
    import("three", "--checksums", &server.url("SHA512SUMS"), 0, &line("three"), "");
    let artifact = shown(&daemon, "three");
    assert_eq!(artifact["origin"]["url"], *url);
    assert_eq!(artifact["origin"]["expected"], format!("sha512:{}", sha512(&image)));
    assert!(place.fetched(artifact["path"].as_str().expect("a path")) == image, "other bytes");

    import("bad", "--sha256", &sha256(b"other"), 1, "", "nothing is kept");
    import(
        "bad",
        "--checksums",
        &server.url("none"),
        1,
        "",
        "the list of checksums: the server answered 404",
    );
    import("bad", "--checksums", &url, 1, "", "the list of checksums");
    daemon.check(&["artifact", "import", "bad", &url], 4, "", "--checksums with the URL of its list");
    let none = server.url("none.img");
    daemon.check(&["artifact", "import", "bad", &none, "--sha256", &digest, "--wait"], 1, "", "answered 404");
    assert_eq!(shown(&daemon, "bad")["state"], "failed");
    daemon.check(&["artifact", "delete", "bad"], 0, "ended the download of bad", "");
    assert_eq!(place.imports(), [digest]);
    let events = events(&daemon);
    assert!(events.contains("bad is not imported: ") && events.contains("one is to be imported"), "{events}");
}

#[test]
fn a_connection_that_breaks_is_gone_on_with_from_the_bytes_that_came() {
    let place = Place::new();
    let image = noise(IMAGE_BYTES);
    let acts = vec![
        Act::CutAt(3_000_000),
        Act::CutAt(7_000_000),
        Act::Raw("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".into()),
    ];
    let (server, daemon) = (Moody::new(image.clone(), acts), place.daemon());
    let digest = sha256(&image);
    let words = ["artifact", "import", "disk", &server.url(), "--sha256", &digest, "--wait"];
    daemon.check(&words, 0, "imported disk (20 MiB, raw)", "");
    let ranges = server.ranges();
    assert_eq!(ranges.len(), 4, "{ranges:?}");
    let from = |range: &Option<String>| -> usize {
        range
            .as_ref()
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
            .expect("a range")
    };
    assert_eq!(ranges[0], None);
    assert_eq!([&ranges[1], &ranges[2], &ranges[3]].map(from), [3_000_000, 7_000_000, 7_000_000]);
    let events = events(&daemon);
    for part in ["broke off after 3000000 bytes of 20971520", "again in 1 s", "answered 503", "disk is ready"]
    {
        assert!(events.contains(part), "{events} lacks {part}");
    }
    assert!(!events.contains("secret"), "{events}");
    assert!(!shown(&daemon, "disk").to_string().contains("secret"));
}

#[test]
fn what_is_no_image_is_told_of_and_leaves_nothing() {
    let place = Place::new();
    let image = noise(1 << 20);
    let page = "<!DOCTYPE html><title>Sign in</title>";
    let http = |head: &str, body: &str| Act::Raw(format!("HTTP/1.1 {head}\r\n\r\n{body}"));
    let length = page.len();
    let acts = vec![
        http(&format!("200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}"), page),
        http(&format!("200 OK\r\ncontent-length: {length}"), page),
        http("200 OK\r\ncontent-length: 99999999999999", ""),
        http("302 Found\r\nlocation: ftp://example.org/\r\ncontent-length: 0", ""),
        http("403 Forbidden\r\ncontent-length: 0", ""),
        // A server with other bytes by then sends all of them again.
        Act::CutAt(500_000),
        Act::ServeWhole,
    ];
    let (server, daemon) = (Moody::new(image.clone(), acts), place.daemon());
    let digest = sha256(&image);
    let url = server.url();
    let check = |code, out: &str, err: &str| {
        daemon.check(&["artifact", "import", "disk", &url, "--sha256", &digest, "--wait"], code, out, err);
    };
    check(1, "", "a web page came");
    check(1, "", "a web page came");
    check(1, "", "68719476736 is the limit");
    check(1, "", "disk is not imported");
    check(1, "", "wants a permission");
    assert_eq!(place.imports(), [""; 0]);
    check(0, "imported disk", "");
    assert_eq!(place.imports(), std::slice::from_ref(&digest));
}

/// Waits until so many bytes of a download have come.
fn wait_for_bytes(daemon: &Daemon, name: &str, bytes: u64) -> u64 {
    let began = std::time::Instant::now();
    loop {
        let artifact = shown(daemon, name);
        let done = artifact["download"]["progress"]["done_bytes"].as_u64().expect("bytes");
        if done >= bytes {
            return done;
        }
        assert!(began.elapsed() < PATIENCE, "{artifact}");
    }
}

#[test]
fn parity_fl2_mechanism_a_download_survives_kill_9_and_goes_on() {
    let place = Place::new();
    let image = noise(IMAGE_BYTES);
    place.put("disk.img", &image);
    // Some five seconds.
    let server = Peer::nginx(place.served.path(), "4m", place.home.path());
    let daemon = place.daemon();
    let digest = sha256(&image);
    let url = server.url("disk.img");
    let begin = ["artifact", "import", "disk", &url, "--sha256", &digest, "--no-wait"];
    daemon.check(&begin, 0, "disk is being downloaded", "");
    daemon.check(&begin, 4, "", "is being downloaded already");
    let before = wait_for_bytes(&daemon, "disk", 4 << 20);
    // Dropped, it is killed with SIGKILL.
    drop(daemon);
    assert!(place.imports().iter().any(|name| name.ends_with(".download")));

    let daemon = place.daemon();
    let began = std::time::Instant::now();
    while shown(&daemon, "disk")["state"] != "done" {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(place.imports(), std::slice::from_ref(&digest));
    assert!(place.fetched(&format!("/artifacts/{digest}/disk")) == image, "other bytes");
    let log = fs::read_to_string(place.home.path().join("access.log")).expect("a log");
    let statuses: Vec<&str> =
        log.lines().filter_map(|line| line.split('"').nth(2)?.split(' ').nth(1)).collect();
    assert_eq!(statuses.last(), Some(&"206"), "{log}");
    let sent: u64 = log
        .lines()
        .filter(|line| line.contains("\" 206 "))
        .filter_map(|line| line.split("\" 206 ").nth(1)?.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(sent <= IMAGE_BYTES as u64 - before, "{sent} bytes came again, and {before} were there");
}

#[test]
fn bytes_that_a_power_loss_spoilt_are_fetched_again() {
    let place = Place::new();
    let image = noise(IMAGE_BYTES);
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
    let server = Moody::new(image.clone(), vec![Act::CutAt(3_000_000), Act::Raw(busy.into())]);
    let daemon = place.daemon();
    let digest = sha256(&image);
    let words = ["artifact", "import", "disk", &server.url(), "--sha256", &digest, "--no-wait"];
    daemon.check(&words, 0, "is being downloaded", "");
    let began = std::time::Instant::now();
    while shown(&daemon, "disk")["download"]["step"] != "retrying" || server.ranges().len() < 2 {
        assert!(began.elapsed() < PATIENCE);
    }
    drop(daemon);
    let partial = place.imports().into_iter().find(|name| name.ends_with(".download")).expect("a part");
    let path = place.folder.path().join("state/imports").join(partial);
    let mut part = fs::read(&path).expect("a part");
    assert_eq!(part.len(), 3_000_000);
    part[2_999_000..].fill(0);
    fs::write(&path, part).expect("written");

    let daemon = place.daemon();
    while shown(&daemon, "disk")["state"] != "done" {
        assert!(began.elapsed() < PATIENCE, "{}", events(&daemon));
    }
    let ranges: Vec<bool> = server.ranges().iter().map(Option::is_some).collect();
    assert_eq!(ranges, [false, true, true, false]);
    assert_eq!(place.imports(), [digest]);
    assert!(events(&daemon).contains("it came in parts"));
}

#[test]
fn a_download_is_taken_back_and_what_the_name_had_stays() {
    let place = Place::new();
    let image = noise(IMAGE_BYTES);
    place.put("disk.img", &image);
    let server = Peer::nginx(place.served.path(), "1m", place.home.path());
    let daemon = place.daemon();
    daemon.feed(&["artifact", "import", "disk", "-"], b"from standard input", 0, "imported disk", "");
    let url = server.url("disk.img");
    daemon.check(&["artifact", "import", "disk", &url, "--sha256", &sha256(&image), "--no-wait"], 0, "", "");
    wait_for_bytes(&daemon, "disk", 1);
    let list = daemon.check(&["artifact", "list"], 0, "disk: fetching", "");
    assert!(list.contains("ready"), "{list}");
    daemon.check(&["artifact", "delete", "disk"], 0, "", "");
    let artifact = shown(&daemon, "disk");
    assert_eq!((&artifact["state"], &artifact["download"]), (&"done".into(), &serde_json::Value::Null));
    let began = std::time::Instant::now();
    while place.imports().len() > 1 {
        assert!(began.elapsed() < PATIENCE, "{:?}", place.imports());
    }
    assert!(events(&daemon).contains("the import of disk is cancelled"));
}

#[test]
fn https_is_trusted_as_the_host_trusts() {
    let place = Place::new();
    place.put("disk.img", b"some image");
    let home = place.home.path();
    let issue = |words: &str| {
        let same = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        let mut openssl = Command::new("openssl");
        openssl.current_dir(home).args(same.split(' ')).args(words.split(' '));
        expect(openssl, 0, "", "");
    };
    issue("-subj /CN=test -keyout ca.key -out ca.pem");
    issue(
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext \
         basicConstraints=critical,CA:FALSE -CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem",
    );
    let script = "import http.server,ssl,sys\n\
        s=http.server.HTTPServer(('127.0.0.1',int(sys.argv[1])),http.server.SimpleHTTPRequestHandler)\n\
        c=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER);c.load_cert_chain(sys.argv[2],sys.argv[3])\n\
        s.socket=c.wrap_socket(s.socket,server_side=True);s.serve_forever()\n";
    let server = Peer::script(script, &[home.join("cert.pem"), home.join("key.pem")], place.served.path());
    let url = format!("https://127.0.0.1:{}/disk.img", server.port);
    let digest = sha256(b"some image");
    let words = ["artifact", "import", "disk", &url, "--sha256", &digest, "--wait"];
    let daemon = place.daemon();
    daemon.check(&words, 1, "", "store of trusted ones");
    drop(daemon);
    // A host that trusts nobody at all, as one without a store is.
    let plain = Peer::python(place.served.path());
    let nowhere = home.join("nowhere");
    let nobody = [("SSL_CERT_FILE", nowhere.as_path()), ("SSL_CERT_DIR", nowhere.as_path())];
    let distrusting = place.daemon_with(&nobody);
    distrusting.check(&words, 1, "", "store of trusted ones");
    let over_http = ["artifact", "import", "plain", &plain.url("disk.img"), "--sha256", &digest, "--wait"];
    distrusting.check(&over_http, 0, "imported plain", "");
    drop(distrusting);
    let trusting = place.daemon_with(&[("SSL_CERT_FILE", home.join("ca.pem").as_path())]);
    trusting.check(&words, 0, "imported disk", "");
}
