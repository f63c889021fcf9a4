//! TFTP and HTTP clients that others wrote, against the real daemon.

#[path = "lab/mod.rs"]
mod lab;
#[path = "peers/mod.rs"]
mod peers;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lab::{Dhcp, Lab, LabError, LabOptions};
use peers::output_of;

/// A loader that is published on TFTP and HTTP wherever boot files are.
const LOADER: &str = "snponly.efi";

fn lab() -> Result<Lab, LabError> {
    Lab::new(LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server))
}

/// The loader as curl fetches it whole; every other way has to give the same bytes.
fn whole(lab: &Lab) -> Vec<u8> {
    let path = lab.folder().join("whole");
    let mut curl = curl(lab);
    curl.arg("--output").arg(&path).arg(url());
    output_of(curl);
    let bytes = fs::read(path).expect("curl has written it");
    assert!(bytes.len() > 100_000, "a loader of {} bytes", bytes.len());
    bytes
}

fn url() -> String {
    format!("http://10.77.0.1:8080/boot/files/{LOADER}")
}

fn curl(lab: &Lab) -> Command {
    let mut curl = lab.client().command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "60"]);
    curl
}

fn fetched(path: PathBuf) -> Vec<u8> {
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every block and window size that clients ask for gives the same file.
#[test]
fn atftp_fetches_in_windows() -> Result<(), LabError> {
    let lab = lab()?;
    let whole = whole(&lab);
    let rows = [("512", "1"), ("1468", "1"), ("1468", "4"), ("1428", "16"), ("8192", "64"), ("65464", "2")];
    for (block, window) in rows {
        let to = lab.folder().join(format!("atftp-{block}-{window}"));
        let mut atftp = lab.client().command("atftp");
        atftp.args(["--option", &format!("blksize {block}"), "--option", &format!("windowsize {window}")]);
        atftp
            .args(["--option", "tsize 0", "--get", "--remote-file", LOADER, "--local-file"])
            .arg(&to)
            .arg("10.77.0.1");
        output_of(atftp);
        assert!(fetched(to) == whole, "blksize {block} windowsize {window}");
    }
    Ok(())
}

/// A client without any option, and a file that is not there.
#[test]
fn tftp_hpa_fetches_and_is_refused() -> Result<(), LabError> {
    let lab = lab()?;
    let whole = whole(&lab);
    let to = lab.folder().join("tftp-hpa");
    let tftp = |file: &str| {
        let mut tftp = lab.client().command("tftp");
        tftp.args(["-4", "-m", "binary", "10.77.0.1", "-c", "get", file]).arg(&to);
        tftp
    };
    output_of(tftp(LOADER));
    assert!(fetched(to.clone()) == whole);

    for file in ["absent.efi", "../ironwake.toml", "/etc/hostname"] {
        let output = tftp(file).output().expect("tftp runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains("Error code"), "{file}: {said}");
    }
    Ok(())
}

/// Pieces, resumed downloads and what is already there.
#[test]
fn curl_fetches_ranges() -> Result<(), LabError> {
    let lab = lab()?;
    let whole = whole(&lab);
    let length = whole.len();
    let rows = [
        ("0-99".to_owned(), 0..100),
        ("1000-1000".to_owned(), 1000..1001),
        (format!("{}-", length - 10), length - 10..length),
        ("-500".to_owned(), length - 500..length),
        (format!("100-{}", length * 2), 100..length),
    ];
    for (range, expected) in rows {
        let to = lab.folder().join("range");
        let mut curl = curl(&lab);
        curl.args(["--range", &range, "--write-out", "%{http_code}", "--output"]).arg(&to).arg(url());
        assert_eq!(output_of(curl), "206", "{range}");
        assert!(fetched(to) == whole[expected], "{range}");
    }
    let mut beyond = lab.client().command("curl");
    beyond.args(["--silent", "--range", &format!("{length}-"), "--write-out", "\n%{http_code}", &url()]);
    let answer = output_of(beyond);
    assert!(answer.ends_with("\n416") && answer.len() > "\n416".len(), "an error has a body: {answer:?}");
    Ok(())
}

/// HEAD says how long and what it is; an ETag spares the second transfer; doubled slashes do no harm.
#[test]
fn curl_asks_about_files() -> Result<(), LabError> {
    let lab = lab()?;
    let whole = whole(&lab);
    let mut head = curl(&lab);
    head.args(["--head", &url()]);
    let headers = output_of(head).to_ascii_lowercase();
    assert!(headers.contains(&format!("content-length: {}\r\n", whole.len())), "{headers}");
    assert!(headers.contains("content-type: application/efi\r\n"), "{headers}");

    let etags = lab.folder().join("etag");
    let mut first = curl(&lab);
    first.arg("--etag-save").arg(&etags).args(["--output", "/dev/null", &url()]);
    output_of(first);
    let mut second = curl(&lab);
    second.arg("--etag-compare").arg(&etags);
    second.args(["--output", "/dev/null", "--write-out", "%{http_code} %{size_download}", &url()]);
    assert_eq!(output_of(second), "304 0");

    let mut doubled = curl(&lab);
    doubled.args(["--path-as-is", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    doubled.arg(format!("http://10.77.0.1:8080//boot//files//{LOADER}"));
    assert_eq!(output_of(doubled), "200");
    Ok(())
}
