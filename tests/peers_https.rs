//! The API over HTTPS of the real daemon, asked by curl, by openssl, and by the command itself.

mod loopback;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use loopback::{Daemon, PATIENCE, expect, free_port};

/// curl that trusts the authority in `ca`.
fn curl(ca: &Path, words: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "60", "--noproxy", "*", "--cacert"])
        .arg(ca)
        .args(words);
    curl
}

fn openssl(words: &[&str]) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args(words);
    openssl
}

#[test]
fn curl_and_the_command_use_the_api_with_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let daemon = Daemon::start(folder.path(), &format!("[api]\nlisten = \"127.0.0.1:{port}\"\n"));
    let url = format!("https://127.0.0.1:{port}");
    let (ca, token_file) = (folder.path().join("ca.pem"), folder.path().join("token"));
    // What the command prints is a file for clients as it is, comments and all.
    fs::write(&ca, daemon.check(&["ca", "show"], 0, "-----BEGIN CERTIFICATE-----", "")).expect("a file");
    let added = ["token", "add", "ci", "--scope", "operator", "--expires", "30d"];
    let secret = daemon.check(&added, 0, "iwt_", "it is not shown again");
    fs::write(&token_file, &secret).expect("a file");
    let header = format!("Authorization: Bearer {}", secret.trim());
    let version = format!("{url}/api/v1/version");

    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    expect(curl(&ca, &["-H", &header, &version]), 0, "\"version\"", "");
    expect(curl(&ca, &[&status[..], &[&version]].concat()), 0, "401", "");
    let tokens = format!("{url}/api/v1/tokens");
    expect(curl(&ca, &[&status[..], &["-H", &header, &tokens]].concat()), 0, "403", "");
    let plain = format!("http://127.0.0.1:{port}/api/v1/version");
    expect(curl(&ca, &[&plain]), 0, "this port speaks HTTPS only", "");
    // 60: the certificate is not trusted.
    let mut untrusting = Command::new("curl");
    untrusting.args(["--silent", "--show-error", "--noproxy", "*", &version]);
    expect(untrusting, 60, "", "certificate");
    expect(
        curl(
            &ca,
            &[
                "--resolve",
                &format!("localhost:{port}:127.0.0.1"),
                "-H",
                &header,
                &format!("https://localhost:{port}/api/v1/health"),
            ],
        ),
        0,
        "\"certificate\"",
        "",
    );

    let remote = |words: &[&str]| {
        let mut command = daemon.command(words);
        command.env("IRONWAKE_URL", &url).env("IRONWAKE_CA", &ca).env_remove("IRONWAKE_TOKEN");
        command
    };
    let with_file = |words: &[&str]| {
        let mut command = remote(words);
        command.arg("--token-file").arg(&token_file);
        command
    };
    expect(remote(&["machine", "list"]), 1, "", "--url needs a token");
    expect(with_file(&["machine", "add", "--mac", "52:54:00:00:00:01", "--name", "web1"]), 0, "web1", "");
    let mut by_variable = remote(&["machine", "list"]);
    by_variable.env("IRONWAKE_TOKEN", secret.trim());
    expect(by_variable, 0, "web1", "");
    expect(with_file(&["token", "list"]), 4, "", "needs a token of scope admin, and ci has scope operator");
    let mut plain = daemon.command(&["machine", "list", "--url", &format!("http://127.0.0.1:{port}")]);
    plain.env("IRONWAKE_TOKEN", secret.trim());
    expect(plain, 1, "", "never plain HTTP");
    let mut untrusting = daemon.command(&["machine", "list", "--url", &url]);
    untrusting.env("IRONWAKE_TOKEN", secret.trim());
    expect(untrusting, 5, "", "`ironwake ca show`");

    daemon.check(&["events"], 0, "(by token ci)", "");
    daemon.check(&["token", "list"], 0, "operator  in 29 d 23 h", "");
    daemon.check(&["token", "add", "ci", "--scope", "viewer"], 4, "", "already");
    daemon.check(
        &["token", "add", "x", "--scope", "viewer", "--expires", "soon"],
        2,
        "",
        "a whole number and s, m, h or d",
    );
    daemon.check(&["token", "revoke", "ci"], 0, "", "");
    daemon.check(&["token", "revoke", "ci"], 3, "", "`ironwake token list`");
    expect(with_file(&["machine", "list"]), 4, "", "the token is not known");
    daemon.check(&["events", "--json"], 0, "token_revoked", "");
}

#[test]
fn openssl_finds_tls_1_3_alone_and_a_certificate_that_its_authority_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let more = format!("[api]\nlisten = \"127.0.0.1:{port}\"\nnames = [\"boot.example.org\"]\n");
    let daemon = Daemon::start(folder.path(), &more);
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, daemon.check(&["ca", "show"], 0, "SHA-256 ", "")).expect("a file");
    let (ca, at) = (ca.to_str().expect("UTF-8"), format!("127.0.0.1:{port}"));
    let connect =
        |more: &[&str]| openssl(&[&["s_client", "-connect", &at, "-CAfile", ca, "-brief"], more].concat());
    for name in [["-verify_hostname", "boot.example.org"], ["-verify_ip", "127.0.0.1"]] {
        let command = connect(&[&name[..], &["-verify_return_error", "-tls1_3"]].concat());
        expect(command, 0, "", "Verification: OK");
    }
    expect(connect(&["-tls1_3"]), 0, "", "TLSv1.3");
    expect(connect(&["-verify_hostname", "other.example.org", "-verify_return_error"]), 1, "", "ismatch");
    expect(connect(&["-tls1_2"]), 1, "", "protocol version");
    // The authority is the same after a restart.
    drop(daemon);
    let daemon = Daemon::start(folder.path(), &more);
    let again = daemon.check(&["ca", "show"], 0, "SHA-256 ", "");
    assert_eq!(again, fs::read_to_string(ca).expect("a file"));
}

#[test]
fn a_given_certificate_is_reloaded_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let make = |name: &str| {
        let (certificate, key) = (path(&format!("{name}.crt")), path(&format!("{name}.key")));
        let subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
        let pair = ["-keyout", &key, "-out", &certificate, "-days", "30", "-newkey", "rsa:2048", "-nodes"];
        expect(openssl(&[&["req", "-x509"], &subject[..], &pair[..]].concat()), 0, "", "");
    };
    make("first");
    make("second");
    let copy = |name: &str, what: &str| {
        // As certificate clients do: written beside, then renamed.
        let partial = path(&format!("api.{what}.new"));
        fs::copy(path(&format!("{name}.{what}")), &partial).expect("copied");
        fs::rename(partial, path(&format!("api.{what}"))).expect("renamed");
    };
    copy("first", "crt");
    copy("first", "key");
    let port = free_port();
    let (certificate, key) = (path("api.crt"), path("api.key"));
    let more =
        format!("[api]\nlisten = \"127.0.0.1:{port}\"\ncertificate = {certificate:?}\nkey = {key:?}\n");
    let daemon = Daemon::start(folder.path(), &more);
    let url = format!("https://127.0.0.1:{port}/api/v1/version");
    let trusted = |name: &str| {
        let ca = path(&format!("{name}.crt"));
        curl(Path::new(&ca), &[&url]).output().expect("curl").status.success()
    };
    assert!(trusted("first") && !trusted("second"));

    // The key of another certificate: what is served stays, and is told.
    copy("second", "key");
    let mut told = daemon.command(&["events", "--json"]);
    eventually("the bad pair to be told", || {
        let events = told.output().expect("it runs").stdout;
        String::from_utf8_lossy(&events).contains("certificate_refused")
    });
    assert!(trusted("first"));
    daemon.check(&["health"], 6, "the one before stays in use", "");
    copy("second", "crt");
    eventually("the next pair to be served", || trusted("second"));
    daemon.check(&["events"], 0, "the API shows another certificate", "");
}

fn eventually(what: &str, mut ask: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ask() {
        assert!(Instant::now() < end, "waited {PATIENCE:?} for {what}");
        std::thread::yield_now();
    }
}
