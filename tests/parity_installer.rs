//! Installers as the systems that Ironwake replaces have them, seen by curl in the place of the machine: scripts, answers,
//! the word at the end, the first boot. Each test is named by its line.

#[path = "lab/mod.rs"]
mod lab;
#[path = "peers/mod.rs"]
mod peers;

use std::fs;
use std::time::Instant;

use lab::{Dhcp, Lab, LabError, LabOptions};
use serde_json::{Value, json};

const MACHINES: &str = "http://10.77.0.1:8080";
const MAC: &str = "52:54:00:00:00:01";

fn lab() -> Result<Lab, LabError> {
    Lab::new(LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server))
}

/// Runs curl where machines are; gives the status, the content type and the body.
fn curl(lab: &Lab, words: &[&str]) -> (u16, String, String) {
    let mut curl = lab.client().command("curl");
    let form = "\n%{http_code} %{content_type}";
    curl.args(["--silent", "--show-error", "--max-time", "60", "--write-out", form]).args(words);
    let text = peers::output_of(curl);
    let (body, end) = text.rsplit_once('\n').expect("a status");
    let (status, content_type) = end.split_once(' ').expect("both");
    (status.parse().expect("a number"), content_type.to_owned(), body.to_owned())
}

fn post(lab: &Lab, url: &str, body: &Value) -> u16 {
    let text = body.to_string();
    curl(lab, &["--header", "content-type: application/json", "--data", &text, url]).0
}

/// An enrolled machine with a disk that a Debian fits on; its id.
fn enrolled(lab: &Lab) -> String {
    let (status, text) = report(lab);
    assert_eq!(status, 201, "{text}");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let id = answer["machine"].as_str().expect("an id").to_owned();
    lab.cli().run(&["machine", "enroll", &id]).expect("enrolled");
    id
}

/// Reports its inventory, as its agent does, through its own card: the daemon compares cards with addresses.
fn report(lab: &Lab) -> (u16, String) {
    lab.client().ip(&format!("link set eth0 address {MAC}")).expect("a card");
    lab.site().ip(&format!("neigh flush dev {}", lab.bridge().interface)).expect("neighbours");
    let body = json!({
        "agent": "test",
        "boot_mac": MAC,
        "inventory": {
            "schema": 1,
            "system": {"manufacturer": "Dell Inc.", "product": "R640", "serial": "S1"},
            "nics": [{"name": "eth0", "mac": MAC, "boot": true}],
            "memory": {"total_bytes": 4_u64 << 30},
            "disks": [{"name": "sda", "serial": "A", "size_bytes": 9_000_000_000_u64}],
        },
    });
    let url = format!("{MACHINES}/boot/v1/enroll");
    let (status, _, text) =
        curl(lab, &["--header", "content-type: application/json", "--data", &body.to_string(), &url]);
    (status, text)
}

/// Imports bytes under a name.
fn import(lab: &Lab, name: &str) {
    let file = lab.folder().join("imported");
    fs::write(&file, name).expect("a file");
    lab.cli().run(&["artifact", "import", name, &file.display().to_string()]).expect("imported");
}

fn rebuild(lab: &Lab, machine: &str, profile: &[&str]) -> String {
    let words = [&["rebuild", machine, "--yes", "--profile"], profile].concat();
    let made = lab.cli().json(&words).expect("an operation");
    made["id"].as_str().expect("an id").to_owned()
}

fn script(lab: &Lab) -> String {
    curl(lab, &[&format!("{MACHINES}/ipxe/{MAC}")]).2
}

/// The first URL in a text that has this part, without what no URL has.
fn url(text: &str, part: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || "'\"=;".contains(c));
    let found = words.filter(|word| word.starts_with("http://")).find(|word| word.contains(part));
    found.unwrap_or_else(|| panic!("no {part} in {text}")).to_owned()
}

fn state(lab: &Lab, operation: &str) -> String {
    let shown = lab.cli().json(&["operation", "show", operation]).expect("an operation");
    shown["state"].as_str().expect("a state").to_owned()
}

/// From a confirmed rebuild to a machine whose answers were fetched: operation, `late.sh`.
fn installing(lab: &Lab, machine: &str) -> (String, String) {
    import(lab, "debian-installer-13/linux");
    import(lab, "debian-installer-13/initrd.gz");
    let id = rebuild(lab, machine, &["debian-installer", "--var", "mirror_host=deb.example.org"]);
    let armed = script(lab);
    assert_eq!(script(lab), armed, "until its kernel is taken it is the same");
    let (status, _, kernel) = curl(lab, &[&url(&armed, "/vmlinuz")]);
    assert_eq!((status, kernel.as_str()), (200, "debian-installer-13/linux"));
    assert_eq!(curl(lab, &[&url(&armed, "/initrd.gz")]).2, "debian-installer-13/initrd.gz");
    let answers = url(&armed.replace("url=", " "), "/preseed.cfg");
    assert_eq!(curl(lab, &["--head", &answers]).0, 200);
    assert_eq!(state(lab, &id), "pxe_booted", "to look is not to take");
    let (status, content_type, preseed) = curl(lab, &[&answers]);
    assert_eq!(status, 200, "{preseed}");
    assert!(content_type.starts_with("text/plain"), "{content_type}");
    assert_eq!(state(lab, &id), "installing");
    let late = curl(lab, &[&url(&preseed, "/late.sh")]).2;
    (id, late)
}

/// What the operators' API answers to a GET.
fn api(lab: &Lab, path: &str) -> Value {
    let socket = lab.folder().join("api.sock").display().to_string();
    let (status, _, text) = curl(lab, &["--unix-socket", &socket, &format!("http://ironwake/api/v1{path}")]);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Events of a machine whose kind begins so.
fn events(lab: &Lab, machine: &str, kind: &str) -> Vec<Value> {
    let all = api(lab, &format!("/events?limit=1000&machine={machine}"));
    let of_kind = |event: &&Value| event["kind"].as_str().is_some_and(|found| found.starts_with(kind));
    all.as_array().expect("events").iter().filter(of_kind).cloned().collect()
}

/// A host that has phoned home: operation, where it calls from then on.
fn at_home(lab: &Lab, machine: &str, call: &Value) -> (String, String) {
    let (id, late) = installing(lab, machine);
    assert_eq!(post(lab, &url(&late, "/installed/"), &json!({})), 200);
    assert_eq!(post(lab, &url(&late, "/phone-home/"), call), 204);
    assert_eq!(state(lab, &id), "ready");
    (id, url(&late, "/heartbeat/"))
}

/// What a host says of itself in this boot.
fn call(boot_id: &str) -> Value {
    json!({
        "hostname": "node-1", "serial": "S1", "macs": [MAC], "addresses": ["10.77.0.9"], "boot_id": boot_id,
        "kernel": "6.12.1", "os": "Debian GNU/Linux 13 (trixie)", "uptime_secs": 12,
    })
}

/// The webhook is heard with any token that the operation ever had; others are not.
#[test]
fn parity_pv9() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = enrolled(&lab);
    let (id, late) = installing(&lab, &machine);
    let webhook = url(&late, "/installed/");
    let proxmox = json!({
        "$schema": {"version": "1.2"},
        "fqdn": "node-1.example.org",
        "ssh-public-host-keys": {"ed25519": "ssh-ed25519 AAAA", "rsa": "ssh-rsa BBBB"},
    });
    let unknown = format!("{}{}", &webhook[..webhook.len() - 64], "0".repeat(64));
    assert_eq!(post(&lab, &unknown, &proxmox), 401);
    assert_eq!(state(&lab, &id), "installing");
    assert_eq!(post(&lab, &webhook, &proxmox), 200);
    assert_eq!(state(&lab, &id), "installed");
    assert_eq!(post(&lab, &webhook, &proxmox), 200, "repeated");
    let home = url(&late, "/phone-home/");
    assert_eq!(post(&lab, &home, &json!({"hostname": "node-1"})), 204);
    assert_eq!(post(&lab, &webhook, &proxmox), 200, "expired");
    let shown = lab.cli().json(&["operation", "show", &id])?;
    assert_eq!(shown["state"], "ready");
    assert_eq!(shown["host"]["ssh_keys"], json!(["ssh-ed25519 AAAA", "ssh-rsa BBBB"]));
    assert_eq!(post(&lab, &webhook.replace(&id, "no-such-operation"), &proxmox), 401);
    Ok(())
}

/// The script of the first boot is a good one, calls home once, and its token is worth nothing to anybody else.
#[test]
fn parity_pv10() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = enrolled(&lab);
    let (id, late) = installing(&lab, &machine);
    let first = late.split_once("ironwake-first-boot <<'IRONWAKE_END'\n").expect("a script").1;
    let first = first.split_once("\nIRONWAKE_END").expect("its end").0;
    let file = lab.folder().join("first-boot");
    fs::write(&file, first).expect("a file");
    let mut bash = std::process::Command::new("bash");
    bash.arg("-n").arg(&file);
    peers::output_of(bash);
    let run = |word: &str| {
        let mut command = lab.client().command("bash");
        command.arg("-c").arg(format!(
            // Not the machine that the tests run on.
            "sed -i 's,/var/lib/ironwake,{folder}/mark,; s,/sys/class/,{folder}/none/,' {file}; bash {file} {word}",
            folder = lab.folder().display(),
            file = file.display()
        ));
        peers::output_of(command)
    };
    assert!(run("installed").contains("Ironwake knows"));
    assert_eq!(state(&lab, &id), "installed");
    assert!(run("").contains("Ironwake knows"));
    assert_eq!(state(&lab, &id), "ready");
    assert!(run("").contains("Ironwake knows"), "the same host may say it again");
    // From another address it is a replay.
    let home = url(&late, "/phone-home/");
    let words = [
        "--silent",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        "--header",
        "content-type: application/json",
        "--data",
        "{}",
    ];
    let mut other = lab.site().command("curl");
    other.args(words).arg(&home);
    assert_eq!(peers::output_of(other), "401");
    Ok(())
}

/// Once its kernel is taken, the machine boots its disk, whatever becomes of the installation.
#[test]
fn parity_fl12() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = enrolled(&lab);
    let (_, late) = installing(&lab, &machine);
    let is_local = || {
        let script = script(&lab);
        assert!(script.contains("sanboot") && !script.contains("kernel"), "{script}");
    };
    is_local();
    assert_eq!(post(&lab, &url(&late, "/installed/"), &json!({})), 200);
    is_local();
    assert_eq!(post(&lab, &url(&late, "/phone-home/"), &json!({"hostname": "node-1"})), 204);
    is_local();
    Ok(())
}

/// Which disk is written is a rule's, and its installer is told that one, and to take LVM and RAID off it.
#[test]
fn parity_fl13_rendered_installer() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = enrolled(&lab);
    import(&lab, "debian-installer-13/linux");
    import(&lab, "debian-installer-13/initrd.gz");
    let shown = |rule: &str| {
        let words = [
            "profile",
            "render",
            "debian-installer",
            "--machine",
            &machine,
            "--disk",
            rule,
            "--var",
            "mirror_host=deb.example.org",
        ];
        lab.cli().run(&words)
    };
    let text = shown("size=9G")?;
    for part in [
        "serial='A'",
        "bytes=9000000000",
        "partman-lvm/device_remove_lvm boolean true",
        "partman-md/device_remove_md boolean true",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(shown("size=1T").is_err() && shown("serial=B").is_err());
    Ok(())
}

const PROFILE: &str = r#"
name = "own"
version = "1"
summary = "an installer of the operator's own"
kind = "installer"
architectures = ["amd64"]
firmware = ["bios", "uefi"]

[variables.ssh_keys]
type = "ssh_keys"
default = []

[boot]
kernel = "own/linux"
command_line = "ks={{ urls.files }}main.cfg"

[[file]]
template = "main.j2"
name = "main.cfg"
judge = "none"
content_type = "text/plain"

[[file]]
template = "post.j2"
name = "post.sh"
judge = "shell"
content_type = "text/plain"
"#;

/// Scripts and keys are served as plain text, and as they are edited, without a restart.
#[test]
fn parity_cp13() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = enrolled(&lab);
    let folder = lab.folder().join("profiles/own");
    fs::create_dir_all(&folder).expect("a folder");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me";
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("written");
    write("main.j2", "first\n{% include \"post.j2\" %}");
    write("post.j2", "{% for key in ssh_keys %}\n{{ key | line }}\n{% endfor %}");
    write("profile.toml", PROFILE);
    import(&lab, "own/linux");
    // What is edited counts within a second or so; what was confirmed before stays as it was.
    let served = |expected: &str| {
        let began = std::time::Instant::now();
        loop {
            let words =
                ["rebuild", &machine, "--yes", "--profile", "own", "--var", &format!("ssh_keys={key}")];
            let made = lab.cli().json(&words);
            if let Ok(made) = &made {
                let armed = script(&lab);
                curl(&lab, &[&url(&armed, "/vmlinuz")]);
                let (status, content_type, text) =
                    curl(&lab, &[&url(&armed.replace("ks=", " "), "/main.cfg")]);
                assert_eq!((status, content_type.starts_with("text/plain")), (200, true), "{text}");
                let id = made["id"].as_str().expect("an id");
                // Its second taker ends it: the next one may begin.
                let other = url(&armed.replace("ks=", " "), "/main.cfg");
                let mut claimant = lab.site().command("curl");
                claimant.args(["--silent", &other]);
                peers::output_of(claimant);
                assert_eq!(state(&lab, id), "failed");
                // Its disk may have been written: without a new inventory nothing is confirmed.
                assert_eq!(report(&lab).0, 200);
                if text == format!("{expected}\n{key}\n") {
                    return;
                }
            }
            assert!(began.elapsed().as_secs() < 60, "{made:?}");
            std::thread::yield_now();
        }
    };
    served("first");
    write("main.j2", "second\n{% include \"post.j2\" %}");
    served("second");
    Ok(())
}

/// Every fact and function that gives a URL.
const URLS_ANSWERS: &str = "server {{ server.url }}\nfiles {{ urls.files }}\nhome {{ urls.phone_home }}\n\
                       installed {{ urls.installed }}\nartifact {{ artifact('gold') }}\n";
const URLS_PROFILE: &str = "name = \"own\"\nversion = \"1\"\nkind = \"installer\"\n[boot]\nkernel = \"gold\"\n\
                       command_line = \"url={{ urls.files }}answers\"\n[[file]]\ntemplate = \"answers.j2\"\nname = \"answers\"\n";

/// Asks again until the answer is as it should be.
fn eventually(what: &str, ask: impl Fn() -> bool) {
    let until = Instant::now() + lab::WAIT_MAX;
    while !ask() {
        assert!(Instant::now() < until, "{what}");
    }
}

/// The server's address is in no profile and in no operation: when the setting changes, every rendered URL follows, those
/// of an operation that was armed before too.
#[test]
fn parity_fl8_every_rendered_url_follows_the_setting() -> Result<(), LabError> {
    const AFTER: &str = "http://10.77.0.1:9090";
    let lab = lab()?;
    lab::add_profile(&lab, "own", URLS_PROFILE, &[("answers.j2", URLS_ANSWERS)]);
    import(&lab, "gold");
    let machine = enrolled(&lab);
    eventually("the profile counts", || lab.cli().json(&["profile", "show", "own"]).is_ok());
    let id = rebuild(&lab, &machine, &["own"]);
    let first = script(&lab);
    let of = |text: &str, server: &str| text.matches(&format!("{server}/")).count();
    assert!(of(&first, MACHINES) >= 2 && of(&first, MACHINES) == first.matches("http://").count(), "{first}");

    let listen = AFTER.replace("http://", "http.listen=");
    let said = lab.cli().run(&["config", "set", &listen])?;
    assert!(said.contains("http.listen was changed and counts from"), "{said}");
    assert_eq!(script(&lab), first, "until the next start");
    lab.crash_daemon()?;
    let script = || curl(&lab, &[&format!("{AFTER}/ipxe/{MAC}")]).2;
    eventually("the discovery image is there again", || !script().contains("not built yet"));
    let second = script();
    assert_eq!(second, first.replace(MACHINES, AFTER), "nothing else has changed");
    assert_eq!(curl(&lab, &[&url(&second, "/vmlinuz")]).2, "gold");
    let answers = curl(&lab, &[&url(&second.replace("url=", " "), "/answers")]).2;
    assert_eq!((answers.matches("http://").count(), answers.matches(AFTER).count()), (5, 5), "{answers}");
    assert_eq!(curl(&lab, &[&url(&answers, "/artifacts/")]).2, "gold");
    assert_eq!(state(&lab, &id), "installing");
    Ok(())
}

/// CP14: an installed host says where it is and that it runs, at each boot and regularly; both are shown.
#[test]
fn parity_cp14() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = enrolled(&lab);
    let (id, beat) = at_home(&lab, &machine, &call("boot-1"));
    let shown = || api(&lab, &format!("/machines/{machine}"))["host"].clone();
    let first = shown();
    assert_eq!((&first["operation"], &first["from"]), (&json!(id), &json!("10.77.0.9")), "{first}");
    for (field, value) in call("boot-1").as_object().expect("an object") {
        if !matches!(field.as_str(), "serial" | "macs") {
            assert_eq!(&first[field], value, "{field} of {first}");
        }
    }
    assert_eq!((&first["heartbeat_secs"], &first["reachability"]), (&json!(300), &json!("calling")));

    // The same, as often as it likes, and as cloud-init writes it.
    for _ in 0..3 {
        assert_eq!(post(&lab, &beat, &call("boot-1")), 200);
    }
    assert_eq!(curl(&lab, &["--data", "hostname=node-1&fqdn=N%2FA", &beat]).0, 200);
    assert_eq!(events(&lab, &machine, "host_"), [json!(null); 0]);
    let mut second = call("boot-2");
    second["kernel"] = "6.12.2".into();
    assert_eq!(post(&lab, &beat, &second), 200);
    let booted = events(&lab, &machine, "host_");
    assert_eq!(booted.len(), 1, "{booted:?}");
    assert_eq!((&booted[0]["kind"], &booted[0]["actor"]), (&json!("host_booted"), &json!("machine")));
    assert_eq!(
        (&booted[0]["boot_id"], &booted[0]["changes"]),
        (&json!("boot-2"), &json!(["kernel: 6.12.1 → 6.12.2"]))
    );

    // Nobody else's word counts, and nothing but a call is taken.
    let before = shown();
    let wrong = format!("{}{}", &beat[..beat.len() - 64], "0".repeat(64));
    let mut other = call("boot-3");
    other["serial"] = "S2".into();
    assert_eq!(post(&lab, &wrong, &call("boot-3")), 401);
    assert_eq!(post(&lab, &beat.replace(&id, "no-such-operation"), &call("boot-3")), 401);
    assert_eq!(post(&lab, &beat, &other), 401);
    assert_eq!(post(&lab, &beat, &json!({"addresses": 7})), 400);
    let large = lab.folder().join("large");
    fs::write(&large, format!("{{\"os\": \"{}\"}}", "x".repeat(256 << 10))).expect("a file");
    let large = format!("@{}", large.display());
    let json_type = "content-type: application/json";
    assert_eq!(curl(&lab, &["--header", json_type, "--data-binary", &large, &beat]).0, 413);
    assert_eq!(curl(&lab, &[&beat]).0, 405);
    assert_eq!(shown(), before);
    let refused = events(&lab, &machine, "token_refused");
    assert_eq!(refused.len(), 2, "{refused:?}");

    lab.crash_daemon()?;
    assert_eq!(shown(), before);
    assert_eq!(post(&lab, &beat, &second), 200);
    let text = lab.cli().run(&["machine", "show", &machine])?;
    for part in ["10.77.0.9", "Debian GNU/Linux 13 (trixie)", "6.12.2", "boot-2", "every 5 m"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    let listed = lab.cli().json(&["machine", "list"])?;
    assert_eq!(listed[0]["host"]["boot_id"], "boot-2");
    // The token is in no answer, event or log.
    let token = &beat[beat.len() - 64..];
    let said = format!("{} {listed} {text}", api(&lab, "/events?limit=1000"));
    assert!(!said.contains(token));
    let state = fs::read_dir(lab.folder().join("state")).expect("the state");
    for entry in fs::read_dir(lab.folder()).expect("the folder").chain(state).flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let found = bytes.windows(token.len()).any(|part| part == token.as_bytes());
        assert!(!found, "{}", entry.path().display());
    }
    // More than a host has to say: within a minute or two the limit is reached.
    assert!((0..100).any(|_| post(&lab, &beat, &second) == 429), "no limit");
    Ok(())
}

/// ME7: each state that a machine's operation reaches is an event with its actor, good ends and bad ones; and so is what
/// its host says later.
#[test]
fn parity_me7() -> Result<(), LabError> {
    let lab = lab()?;
    let machine = enrolled(&lab);
    let (first, beat) = at_home(&lab, &machine, &call("boot-1"));
    assert_eq!(post(&lab, &beat, &call("boot-2")), 200);
    lab.cli().run(&["machine", "edit", &machine, "--discover", "true"])?;
    assert_eq!(report(&lab).0, 200, "what was written is known");
    let (second, late) = installing(&lab, &machine);
    assert_eq!(post(&lab, &beat, &call("boot-3")), 401, "its system is being overwritten");
    assert!(api(&lab, &format!("/machines/{machine}"))["host"].is_null());
    assert_eq!(post(&lab, &url(&late, "/installed/"), &json!({})), 200);
    assert_eq!(post(&lab, &url(&late, "/phone-home/"), &json!({"serial": "S2"})), 204);

    let changed = events(&lab, &machine, "operation_changed");
    let states = |operation: &str| -> Vec<String> {
        let of = changed.iter().filter(|event| event["operation"] == operation);
        of.map(|event| event["to"].as_str().expect("a state").to_owned()).collect()
    };
    let good = ["pxe_ready", "pxe_booted", "installing", "installed", "first_boot", "joining", "ready"];
    assert_eq!(states(&first), good);
    assert_eq!(states(&second), ["pxe_ready", "pxe_booted", "installing", "installed", "failed"]);
    let all = api(&lab, &format!("/events?limit=1000&machine={machine}"));
    for event in all.as_array().expect("events") {
        let actor = &event["actor"];
        let is_known = matches!(actor.as_str(), Some("machine" | "daemon")) || actor["operator"].is_string();
        assert!(is_known && event["at"].as_u64().is_some(), "{event}");
    }
    let armed = changed.iter().find(|event| event["to"] == "pxe_ready").expect("armed");
    assert!(armed["actor"]["operator"].is_string(), "{armed}");
    let booted = events(&lab, &machine, "host_booted");
    assert_eq!((booted.len(), &booted[0]["actor"]), (1, &json!("machine")), "{booted:?}");
    Ok(())
}
