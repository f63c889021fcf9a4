//! Profiles as folders: how each mistake is answered, what is shipped, and that no value breaks out of its place.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ironwake::profile::{Facts, Layers, Profile, Rendered, SHIPPED, Written, render, resolve};
use proptest::prelude::*;
use serde_json::json;

#[path = "profile_facts/mod.rs"]
mod profile_facts;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder's `profile.toml` and templates.
fn folder(path: &Path) -> (String, BTreeMap<String, String>) {
    let mut templates = BTreeMap::new();
    for entry in fs::read_dir(path).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        templates.insert(name, fs::read_to_string(&path).expect("a text"));
    }
    let text = templates.remove("profile.toml").expect("profile.toml");
    (text, templates)
}

/// What the mistakes of a folder are answered with. `UPDATE=1` rewrites the expectation.
fn check_mistakes(name: &str) {
    let data = root().join("tests/data/profile");
    let (text, templates) = folder(&data.join(name));
    let refused = Profile::parse(&text, &templates, name).expect_err("mistakes");
    let golden = data.join(format!("{name}.txt"));
    let shown = format!("{refused}\n");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &shown).expect("write the expectation");
    }
    let expected = fs::read_to_string(&golden).expect("the expectation; UPDATE=1 writes it");
    assert_eq!(shown, expected, "{name}");
}

#[test]
fn every_mistake_is_answered_at_its_place() {
    for name in ["many-mistakes", "kinds", "template-mistakes", "syntax", "steps-nowhere", "steps-local"] {
        check_mistakes(name);
    }
}

#[test]
fn what_lies_in_the_folder_is_what_is_shipped() {
    let assets = root().join("assets/profiles");
    let mut names: Vec<PathBuf> =
        fs::read_dir(&assets).expect("profiles").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    let shipped: Vec<PathBuf> = SHIPPED.iter().map(|shipped| assets.join(shipped.name)).collect();
    assert_eq!(names, shipped);
    for shipped in SHIPPED {
        assert_eq!(folder(&assets.join(shipped.name)), (shipped.profile.into(), shipped.templates()));
    }
}

#[test]
fn the_first_boot_is_the_same_everywhere() {
    let texts = |name: &str| -> Vec<String> {
        SHIPPED.iter().filter_map(|shipped| shipped.templates().remove(name)).collect()
    };
    for name in ["first-boot.sh.j2", "first-boot.service", "heartbeat.service", "heartbeat.timer.j2"] {
        let texts = texts(name);
        assert_eq!(texts.len(), 3, "{name}");
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{name} differs");
    }
}

/// A file of a shipped profile with the variables of `operation` alone, as it is rendered for `facts`.
fn file_of(profile: &str, path: &str, facts: &Facts, operation: &Written) -> String {
    let shipped = SHIPPED.iter().find(|shipped| shipped.name == profile).expect("shipped");
    let profile = Profile::parse(shipped.profile, &shipped.templates(), profile).expect("legal");
    let none = Written::new();
    let layers = Layers { site: &none, tags: &[], machine: &none, operation };
    let found = match render(&profile, &resolve(&profile, layers).expect("values"), facts).expect("renders") {
        Rendered::Image { files, .. } => {
            files.into_iter().find(|file| file.path == path).map(|file| file.content)
        }
        Rendered::Installer { files, .. } => {
            files.into_iter().find(|file| file.name == path).map(|file| file.content)
        }
        other => panic!("{other:?}"),
    };
    found.unwrap_or_else(|| panic!("no {path}"))
}

/// Takes one request, answers it with `status`, and gives its first line and body.
fn answer_one(listener: &TcpListener, status: &str) -> (String, serde_json::Value) {
    let (stream, _) = listener.accept().expect("a connection");
    let mut reader = BufReader::new(&stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length =
        lines.iter().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok()).expect("a length");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    (&stream)
        .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())
        .expect("answered");
    (lines.remove(0), serde_json::from_slice(&body).expect("JSON"))
}

#[test]
fn the_first_boot_is_reported_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let mut facts = profile_facts::facts();
    let url = format!("http://{}/boot/v1", listener.local_addr().expect("its address"));
    (facts.urls.phone_home, facts.urls.installed, facts.urls.heartbeat) =
        (format!("{url}/phone-home/t"), format!("{url}/installed/t"), format!("{url}/heartbeat/t"));
    fs::write(folder.path().join("ssh_host_ed25519_key.pub"), "ssh-ed25519 AAAA root@node-1\n")
        .expect("a key");
    let script = file_of("debian-image", "/usr/local/sbin/ironwake-first-boot", &facts, &Written::new())
        .replace("keys=/etc/ssh", &format!("keys={}", folder.path().display()))
        .replace("/var/lib/ironwake", &folder.path().join("state").display().to_string())
        .replace("command -v ssh-keygen", "false")
        .replace("/etc/os-release", &folder.path().join("os-release").display().to_string())
        .replace("/sys/class/", &format!("{}/", folder.path().display()));
    for (file, text) in [
        // What would have to be escaped is left out, and so is what firmware has where it has nothing.
        ("os-release", "ID=x\nPRETTY_NAME='A \"System\" 1'\n"),
        ("dmi/id/product_uuid", "8a3f1c52-7d0e-4b11-9f65-2f1f0e6a9b01\n"),
        ("dmi/id/product_serial", "S1\u{ff}\n"),
        ("net/eth0/device/x", ""),
        ("net/eth0/address", "52:54:00:12:34:56\n"),
        ("net/ib0/device/x", ""),
        ("net/ib0/address", "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:10:39\n"),
        ("net/br0/address", "52:54:00:12:34:57\n"),
    ] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let mark = folder.path().join("state/phoned-home");
    let run = |status: &str, word: &[&str]| {
        let mut command = Command::new("bash");
        command.args(["-c", &script, "first-boot"]).args(word).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().expect("bash");
        let (line, body) = answer_one(&listener, status);
        (child.wait().expect("its end").success(), line, body, mark.exists())
    };
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let short = json!({
        "instance_id": facts.operation.id, "hostname": host.trim_end(), "pub_key_ed25519": "ssh-ed25519 AAAA",
    });
    let line = |part: &str| format!("POST /boot/v1/{part}/t HTTP/1.1");
    let check_facts = |mut body: serde_json::Value| {
        let line_of = |path: &str| fs::read_to_string(path).expect("a line").trim_end().to_owned();
        let mut take = |name: &str| body.as_object_mut().expect("an object").remove(name).unwrap_or_default();
        assert_eq!(take("macs"), json!(["52:54:00:12:34:56"]));
        assert_eq!(take("uuid"), "8a3f1c52-7d0e-4b11-9f65-2f1f0e6a9b01");
        assert_eq!(take("kernel"), line_of("/proc/sys/kernel/osrelease"));
        assert_eq!(take("boot_id"), line_of("/proc/sys/kernel/random/boot_id"));
        assert!(take("uptime_secs").as_u64().is_some_and(|secs| secs > 0));
        for address in take("addresses").as_array().expect("a list") {
            let address: std::net::IpAddr = address.as_str().expect("a text").parse().expect("an address");
            assert!(!address.is_loopback());
        }
        assert_eq!(body, short, "and nothing else");
    };
    let check = |status: &str, word: &[&str], path: &str, succeeds: bool, marked: bool| {
        let (ended_well, first, body, mark) = run(status, word);
        assert_eq!((ended_well, first, mark), (succeeds, line(path), marked), "{status} {word:?}");
        match path {
            // An installer's system is not the host's.
            "installed" => assert_eq!(body, short),
            _ => check_facts(body),
        }
    };
    check("503 Service Unavailable", &[], "phone-home", false, false);
    check("204 No Content", &["installed"], "installed", true, false);
    let early = Command::new("bash").args(["-c", &script, "first-boot", "heartbeat"]).output().expect("bash");
    assert!(early.status.success() && early.stdout.is_empty(), "the first boot comes first: {early:?}");
    check("204 No Content", &[], "phone-home", true, true);
    check("200 OK", &["heartbeat"], "heartbeat", true, true);
    check("401 Unauthorized", &["heartbeat"], "heartbeat", true, true);
    check("503 Service Unavailable", &["heartbeat"], "heartbeat", false, true);
    fs::remove_file(&mark).expect("the mark");
    check("401 Unauthorized", &[], "phone-home", true, true);
}

/// The timer is the systemd that a host has: at each boot, and as often as the profile says, if it says so.
#[test]
fn a_timer_without_an_interval_calls_at_each_boot() {
    let path = "/etc/systemd/system/ironwake-heartbeat.timer";
    let mut facts = profile_facts::facts();
    let timer = file_of("debian-image", path, &facts, &Written::new());
    assert!(timer.contains("OnBootSec=10s\nOnUnitActiveSec=300s\n"), "{timer}");
    facts.operation.heartbeat_secs = None;
    let timer = file_of("debian-image", path, &facts, &Written::new());
    assert!(timer.contains("OnBootSec=10s\nAccuracySec"), "{timer}");
}

#[test]
fn the_guard_stops_where_the_disk_is_missing() {
    let mut facts = profile_facts::facts();
    facts.disk.as_mut().expect("a disk").serial = Some("OF-NO-HOST".into());
    let mirror = Written::from([("mirror_host".into(), json!("mirror.example.org"))]);
    let guard = file_of("debian-installer", "guard.sh", &facts, &mirror);
    let output = Command::new("sh").args(["-c", &guard]).stdin(Stdio::null()).output().expect("sh");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        said,
        "Ironwake stopped the installation: the approved disk sda with serial number OF-NO-HOST is not there\n"
    );
}

/// What a template of one filter makes of a text.
fn written_by(filter: &str, text: &str) -> String {
    let profile = "name = \"p\"\nversion = \"1\"\nkind = \"live\"\n[boot]\nkernel = \"k\"\n\
                   [[file]]\ntemplate = \"t\"\nname = \"t\"\n[variables.v]\ntype = \"text\"\n";
    let templates = BTreeMap::from([("t".to_owned(), format!("{{{{ v | {filter} }}}}"))]);
    let profile = Profile::parse(profile, &templates, "").expect("legal");
    let (none, operation) = (Written::new(), Written::from([("v".to_owned(), json!(text))]));
    let layers = Layers { site: &none, tags: &[], machine: &none, operation: &operation };
    let values = resolve(&profile, layers).expect("values");
    match render(&profile, &values, &profile_facts::facts()) {
        Ok(Rendered::Live { mut files, .. }) => files.remove(0).content,
        other => panic!("{text:?}: {other:?}"),
    }
}

/// Any text that a variable takes: no invisible characters but line breaks and tabs.
const ANY_TEXT: &str =
    "([^\\p{Cc}\\u{2028}\\u{2029}\\u{feff}\\u{fffe}\\u{ffff}]|[\n\t]|[\"'\\\\#:,\\[{}&*!|>%@`$-]){0,30}";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_text_survives_yaml_and_json(text in ANY_TEXT) {
        for filter in ["yaml", "json"] {
            let written = written_by(filter, &text);
            prop_assert!(!written.contains('\n'), "{written}");
            let document = format!("first: 1\nvalue: {written} # comment\nlast: [{written}, {{k: {written}}}]\n");
            let read: serde_json::Value = serde_saphyr::from_str(&document)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{document}")))?;
            let expected = json!({ "first": 1, "value": text, "last": [text, { "k": text }] });
            prop_assert_eq!(read, expected, "{}", document);
        }
        let json: String = serde_json::from_str(&written_by("json", &text)).expect("JSON");
        prop_assert_eq!(json, text);
    }

    /// A shipped profile with some text in place of a part of it.
    #[test]
    fn no_profile_panics(
        which in 0..SHIPPED.len(), template in any::<bool>(), from in 0.0..1.0, to in 0.0..1.0, put in "[\\[\\]{}%#=\"'a-z0-9 \n|.é-]{0,6}",
    ) {
        let shipped = &SHIPPED[which];
        let (mut text, mut templates) = (shipped.profile.to_owned(), shipped.templates());
        let broken = match templates.values_mut().next() {
            Some(first) if template => first,
            _ => &mut text,
        };
        let place = |share: f64| broken.floor_char_boundary((broken.len() as f64 * share) as usize);
        let (from, to) = (place(from), place(to));
        broken.replace_range(from.min(to)..from.max(to), &put);
        if let Err(refused) = Profile::parse(&text, &templates, "p") {
            prop_assert!(!refused.files.is_empty() && refused.files.iter().all(|file| !file.list.is_empty()));
        }
    }

    #[test]
    fn any_text_survives_a_shell(text in ANY_TEXT) {
        let script = format!("printf '%s|' {}; printf '%s' end", written_by("shell", &text));
        let mut command = Command::new("sh");
        let output = command.arg("-c").arg(&script).stdin(Stdio::null()).output().expect("sh");
        prop_assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), format!("{text}|end"), "{}", script);
    }
}
