//! What the systems that Ironwake replaces can do, seen on the real daemon by clients that know nothing of it:
//! curl for machines and for operators, and the command line. Each test is named by its line.

#[path = "lab/mod.rs"]
mod lab;
#[path = "peers/mod.rs"]
mod peers;

use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Daemon, Dhcp, Lab, LabError, LabName, LabOptions, Namespace, Process};
use serde_json::{Value, json};

const MACHINES: &str = "http://10.77.0.1:8080";
const OPERATORS: &str = "http://ironwake/api/v1";

fn lab() -> Result<Lab, LabError> {
    Lab::new(LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server))
}

/// Runs curl where machines are; gives the status and the body.
fn curl(lab: &Lab, words: &[&str]) -> (u16, String) {
    let mut curl = lab.client().command("curl");
    curl.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}"]).args(words);
    let text = peers::output_of(curl);
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// Calls the operators' API by curl.
fn api(lab: &Lab, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let socket = lab.folder().join("api.sock");
    let socket = socket.to_str().expect("a path in ASCII");
    let url = format!("{OPERATORS}{path}");
    let body = body.map(|body| body.to_string());
    let mut words = vec!["--unix-socket", socket, "--request", method, "--globoff", &url];
    if let Some(body) = &body {
        words.extend(["--header", "content-type: application/json", "--data", body]);
    }
    let (status, text) = curl(lab, &words);
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") })
}

/// Reports an inventory as the agent does.
fn enroll(lab: &Lab, mac: &str, serial: &str, product: &str) -> (u16, Value) {
    let body = json!({
        "agent": "test",
        "boot_mac": mac,
        "inventory": {
            "schema": 1,
            "system": {"manufacturer": "Dell Inc.", "product": product, "serial": serial},
            "nics": [{"name": "eth0", "mac": mac}],
        },
    });
    post_enroll(lab, &body.to_string())
}

fn post_enroll(lab: &Lab, body: &str) -> (u16, Value) {
    let url = format!("{MACHINES}/boot/v1/enroll");
    let (status, text) =
        curl(lab, &["--header", "content-type: application/json", "--data-binary", body, &url]);
    (status, serde_json::from_str(&text).expect("JSON"))
}

fn script(lab: &Lab, mac: &str) -> String {
    let (status, text) = curl(lab, &[&format!("{MACHINES}/ipxe/{mac}")]);
    assert_eq!(status, 200, "{text}");
    assert!(text.starts_with("#!ipxe\n"), "{text}");
    text
}

fn is_discovery(script: &str) -> bool {
    script.contains("kernel") && script.contains("ironwake.url=")
}

fn is_local_boot(script: &str) -> bool {
    script.contains("sanboot") && !script.contains("kernel") && !script.contains("initrd")
}

/// A machine is added without a rebuild, by MAC address, UUID or serial number; its next request finds it.
#[test]
fn parity_fl9() -> Result<(), LabError> {
    let lab = lab()?;
    let uuid = "8a3f1c52-7d0e-4b11-9f65-2f1f0e6a9b01";
    for (name, key) in [
        ("by-mac", json!({"macs": ["52-54-00-00-00-01"]})),
        ("by-uuid", json!({"uuid": uuid})),
        ("by-serial", json!({"serial": "CZJ1230ABC"})),
    ] {
        let mut new = key;
        new["name"] = name.into();
        assert_eq!(api(&lab, "POST", "/machines", Some(new)).0, 201, "{name}");
        assert_eq!(api(&lab, "POST", &format!("/machines/{name}/enroll"), None).0, 200, "{name}");
    }
    assert!(is_local_boot(&script(&lab, "52:54:00:00:00:01")));
    assert!(is_local_boot(&script(&lab, &format!("52:54:00:00:00:02?uuid={uuid}"))));
    assert!(is_local_boot(&script(&lab, "52:54:00:00:00:03?serial=czj1230abc")));
    assert!(is_discovery(&script(&lab, "52:54:00:00:00:04")));
    Ok(())
}

/// The list of machines is added to, deleted from and listed; a wrong MAC address is an exit code.
#[test]
fn parity_zb8() -> Result<(), LabError> {
    let lab = lab()?;
    let cli = lab.cli();
    cli.run(&["machine", "add", "--mac", "5254.0000.0001", "--name", "node-1"])?;
    let list = cli.json(&["machine", "list"])?;
    assert_eq!(list[0]["macs"], json!(["52:54:00:00:00:01"]));
    for wrong in ["52:54:00:00:00", "52:54:00:00:00:0g", "525400000001x", ""] {
        let status = cli.command().args(["machine", "add", "--mac", wrong]).stderr(Stdio::null()).status();
        assert!(!status.expect("it runs").success(), "{wrong:?} was taken");
    }
    cli.run(&["machine", "delete", "node-1"])?;
    assert_eq!(cli.json(&["machine", "list"])?, json!([]));
    Ok(())
}

/// The inventory half: an unknown machine gets the discovery image.
#[test]
fn parity_me1_inventory() -> Result<(), LabError> {
    let lab = lab()?;
    assert!(is_discovery(&script(&lab, "52:54:00:00:00:01")));
    assert_eq!(enroll(&lab, "52:54:00:00:00:01", "A1234", "R640").0, 201);
    assert!(is_local_boot(&script(&lab, "52:54:00:00:00:01")));
    let asked = json!({"discover_next": true});
    assert_eq!(api(&lab, "PATCH", "/machines/52:54:00:00:00:01", Some(asked)).0, 200);
    assert!(is_discovery(&script(&lab, "52:54:00:00:00:01")));
    Ok(())
}

/// Every URL in a script answers 200.
#[test]
fn parity_me2() -> Result<(), LabError> {
    let lab = lab()?;
    let text = script(&lab, "52:54:00:00:00:01");
    let urls: Vec<&str> = text.split_ascii_whitespace().filter(|word| word.starts_with("http://")).collect();
    assert!(urls.len() >= 3, "{text}");
    for url in urls {
        assert_eq!(curl(&lab, &["--head", url]).0, 200, "{url}");
        assert_eq!(curl(&lab, &["--range", "0-3", "--output", "/dev/null", url]).0 / 100, 2, "{url}");
    }
    Ok(())
}

/// 201 for a new machine, 200 for a known one, 400 with the wrong field; no answer carries a secret.
#[test]
fn parity_me3() -> Result<(), LabError> {
    let lab = lab()?;
    let (status, first) = enroll(&lab, "52:54:00:00:00:01", "A1234", "R640");
    assert_eq!(status, 201);
    let (status, again) = enroll(&lab, "52:54:00:00:00:01", "A1234", "R640");
    assert_eq!((status, &again["machine"]), (200, &first["machine"]));
    for (body, field) in [
        (r#"{"agent":"x","boot_mac":"nonsense","inventory":{"schema":1}}"#, "boot_mac"),
        (r#"{"agent":"x","boot_mac":"52:54:00:00:00:01","inventory":{"schema":9}}"#, "inventory.schema"),
        (
            r#"{"agent":"x","boot_mac":"52:54:00:00:00:01","inventory":{"schema":1,"disks":7}}"#,
            "inventory.disks",
        ),
        (r#"{"agent":"x","inventory":{"schema":1}}"#, "boot_mac"),
    ] {
        let (status, problem) = post_enroll(&lab, body);
        assert_eq!(status, 400, "{problem}");
        assert!(problem.to_string().contains(field), "{field} is not named in {problem}");
    }
    for word in ["password", "secret", "token"] {
        assert!(!first.to_string().contains(word), "{first}");
    }
    Ok(())
}

/// Machines are listed by filters and pages; the limit has a default.
#[test]
fn parity_me8() -> Result<(), LabError> {
    let lab = lab()?;
    for n in 1..=3 {
        let new = json!({
            "macs": [format!("52:54:00:00:00:0{n}")],
            "name": format!("node-{n}"),
            "tags": [if n == 3 { "rack2" } else { "rack1" }],
        });
        assert_eq!(api(&lab, "POST", "/machines", Some(new)).0, 201);
    }
    assert_eq!(enroll(&lab, "52:54:00:00:00:09", "A1234", "PowerEdge").0, 201);
    let count = |query: &str| {
        let (status, page) = api(&lab, "GET", &format!("/machines{query}"), None);
        assert_eq!(status, 200, "{page}");
        (page["items"].as_array().expect("items").len(), page["total"].as_u64().expect("a total"))
    };
    assert_eq!(count(""), (4, 4));
    assert_eq!(api(&lab, "GET", "/machines", None).1["limit"], 100);
    assert_eq!(count("?tag=rack1"), (2, 2));
    assert_eq!(count("?name=node-2"), (1, 1));
    assert_eq!(count("?mac=52-54-00-00-00-01"), (1, 1));
    assert_eq!(count("?enrolment=unenrolled"), (1, 1));
    assert_eq!(count("?manufacturer=dell%20inc."), (1, 1));
    assert_eq!(count("?product=poweredge"), (1, 1));
    assert_eq!(count("?search=ODE-"), (3, 3));
    assert_eq!(count("?limit=3&offset=2"), (2, 4));
    for wrong in ["?limit=0", "?limit=1001", "?mac=x", "?colour=red"] {
        assert_eq!(api(&lab, "GET", &format!("/machines{wrong}"), None).0 / 100, 4, "{wrong}");
    }
    Ok(())
}

/// Health is where probes ask for it, for operators and for machines.
#[test]
fn parity_me22() -> Result<(), LabError> {
    let lab = lab()?;
    let (status, health) = api(&lab, "GET", "/health", None);
    assert_eq!((status, &health["state"]), (200, &json!("ok")), "{health}");
    assert_eq!(curl(&lab, &[&format!("{MACHINES}/boot/v1/health")]).0, 200);
    Ok(())
}

/// Registering: 201, 409 for a duplicate, 422 for nonsense; MAC addresses are written in one way.
#[test]
fn parity_pv1() -> Result<(), LabError> {
    let lab = lab()?;
    let new = json!({"name": "pve-1", "macs": ["52-54-00-AB-CD-EF"], "tags": ["type=dl360"]});
    let (status, machine) = api(&lab, "POST", "/machines", Some(new.clone()));
    assert_eq!(status, 201, "{machine}");
    assert_eq!(machine["macs"], json!(["52:54:00:ab:cd:ef"]));
    assert_eq!(api(&lab, "POST", "/machines", Some(new)).0, 409);
    for wrong in [
        json!({"name": "a b", "macs": ["52:54:00:00:00:01"]}),
        json!({"name": "ok", "macs": ["52:54"]}),
        json!({"name": "ok"}),
    ] {
        let (status, problem) = api(&lab, "POST", "/machines", Some(wrong));
        assert_eq!(status, 422, "{problem}");
        assert!(problem["errors"][0]["field"].is_string(), "{problem}");
    }
    Ok(())
}

/// The part without operations: list, get, delete.
#[test]
fn parity_pv2() -> Result<(), LabError> {
    let lab = lab()?;
    let (_, machine) = api(&lab, "POST", "/machines", Some(json!({"macs": ["52:54:00:00:00:01"]})));
    let path = format!("/machines/{}", machine["id"].as_str().expect("an id"));
    assert_eq!(api(&lab, "GET", &path, None).0, 200);
    assert_eq!(api(&lab, "DELETE", &path, None).0, 204);
    assert_eq!(api(&lab, "GET", &path, None).0, 404);
    assert_eq!(api(&lab, "DELETE", &path, None).0, 404);

    let path = format!("/machines/{}", enrolled(&lab));
    let (status, operation) =
        api(&lab, "POST", &format!("{path}/operations"), Some(json!({"kind": "inspect"})));
    assert_eq!(status, 202, "{operation}");
    assert_eq!(api(&lab, "DELETE", &path, None).0, 409);
    let id = operation["id"].as_str().expect("an id");
    assert_eq!(api(&lab, "POST", &format!("/operations/{id}/cancel"), None).0, 200);
    assert_eq!(api(&lab, "DELETE", &path, None).0, 204);
    Ok(())
}

/// A machine with two disks that an operator has enrolled; its id.
fn enrolled(lab: &Lab) -> String {
    let disk = |serial: &str| json!({"name": serial, "serial": serial, "size_bytes": 1_000_000});
    let body = json!({
        "agent": "test",
        "boot_mac": "52:54:00:aa:bb:cc",
        "inventory": {"schema": 1, "system": {"serial": "PV3"}, "disks": [disk("A"), disk("B")]}
    });
    let (status, answer) = post_enroll(lab, &body.to_string());
    assert_eq!(status, 201, "{answer}");
    let id = answer["machine"].as_str().expect("an id").to_owned();
    assert_eq!(api(lab, "POST", &format!("/machines/{id}/enroll"), None).0, 200);
    id
}

/// PV3 for a wipe: 202 and the operation, a second one 409; the armed machine's script is not local boot, once.
#[test]
fn parity_pv3_and_pv5_armed_for_a_wipe() -> Result<(), LabError> {
    let lab = lab()?;
    let path = format!("/machines/{}/operations", enrolled(&lab));
    let wipe = json!({"kind": "wipe", "disks": ["serial=A"], "arm": true});
    let (status, operation) = api(&lab, "POST", &path, Some(wipe.clone()));
    assert_eq!((status, operation["state"].as_str()), (202, Some("pxe_ready")), "{operation}");
    let (status, problem) = api(&lab, "POST", &path, Some(wipe));
    let id = operation["id"].as_str().expect("an id");
    assert!(
        status == 409 && problem["detail"].as_str().is_some_and(|detail| detail.contains(id)),
        "{problem}"
    );
    for spelling in ["52:54:00:aa:bb:cc", "52-54-00-AA-BB-CC"] {
        let text = script(&lab, spelling);
        assert!(!is_local_boot(&text) && text.contains(" ironwake.operation="), "{text}");
    }
    assert!(!script(&lab, "52-54-00-00-00-01").contains("operation"), "another machine is not armed");
    let text = script(&lab, "52-54-00-aa-bb-cc");
    let kernel =
        text.split_whitespace().find(|word| word.ends_with("/vmlinuz")).expect("a kernel").to_owned();
    assert_eq!(curl(&lab, &["-I", &kernel]).0, 200, "HEAD takes nothing");
    assert_eq!(curl(&lab, &["-o", "/dev/null", &kernel]).0, 200);
    assert_eq!(curl(&lab, &["-o", "/dev/null", &kernel]).0, 409);
    assert!(is_local_boot(&script(&lab, "52-54-00-aa-bb-cc")), "served once, it boots its disk");
    Ok(())
}

/// PV4: an event that the state does not allow is refused with both named.
#[test]
fn parity_pv4_illegal_events() -> Result<(), LabError> {
    let lab = lab()?;
    let path = format!("/machines/{}/operations", enrolled(&lab));
    let (_, operation) = api(&lab, "POST", &path, Some(json!({"kind": "wipe", "disks": ["serial=B"]})));
    let id = operation["id"].as_str().expect("an id");
    let post = |event: &str| api(&lab, "POST", &format!("/operations/{id}/{event}"), Some(json!({})));
    let (status, problem) = post("disarm");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        status == 409 && detail.contains("disarmed") && detail.contains("registered"),
        "{status} {detail}"
    );
    assert_eq!(post("arm").0, 202);
    assert_eq!(post("disarm").0, 200);
    assert_eq!(post("cancel").0, 200);
    let (status, problem) = post("arm");
    assert!(
        status == 409 && problem["detail"].as_str().is_some_and(|text| text.contains("cancelled")),
        "{problem}"
    );
    let (_, shown) = api(&lab, "GET", &format!("/operations/{id}"), None);
    let states: Vec<&str> = shown["history"]
        .as_array()
        .expect("a history")
        .iter()
        .filter_map(|event| event["to"].as_str())
        .collect();
    assert_eq!(states, ["pxe_ready", "registered", "cancelled"]);
    assert!(shown["history"][0]["actor"]["operator"].is_string(), "events carry their actor");
    Ok(())
}

/// ME13: one call for a selection by tag, with a result for each machine; the command line does the same.
#[test]
fn parity_me13() -> Result<(), LabError> {
    let lab = lab()?;
    for n in 1..=3 {
        assert_eq!(enroll(&lab, &format!("52:54:00:00:13:0{n}"), &format!("ME13-{n}"), "R640").0, 201);
    }
    let said = lab.cli().run(&["machine", "edit", "ME13-1", "ME13-2", "--add-tag", "rack=13"])?;
    assert_eq!(said.lines().filter(|line| line.starts_with("changed ")).count(), 2, "{said}");
    lab.cli().run(&["machine", "enroll", "ME13-1"])?;
    let inspect = json!({"machines": {"tags": ["rack=13"]}, "action": {"operate": {"kind": "inspect"}}});
    let (status, answer) = api(&lab, "POST", "/bulk", Some(inspect));
    assert_eq!((status, &answer["done"], &answer["refused"]), (200, &json!(1), &json!(1)), "{answer}");
    let detail = answer["results"][1]["problem"]["detail"].as_str().expect("a reason");
    assert!(detail.contains("is not enrolled"), "{detail}");
    let made = answer["results"][0]["operation"]["id"].as_str().expect("an operation");
    let (status, armed) = api(&lab, "POST", "/batches", Some(json!({"operations": [made], "at_once": 1})));
    assert_eq!((status, &armed[0]["state"]), (202, &json!("pxe_ready")), "{armed}");
    let listed = lab.cli().run(&["machine", "list", "--tag", "rack=13"])?;
    assert!(listed.contains("inspect, armed for 60 min"), "{listed}");
    lab.cli().run(&["machine", "disarm", "ME13-1"])?;
    let (status, answer) =
        api(&lab, "POST", "/bulk", Some(json!({"machines": {"tags": ["rack=13"]}, "action": "delete"})));
    assert_eq!((status, &answer["done"], &answer["refused"]), (200, &json!(1), &json!(1)), "{answer}");
    assert_eq!(api(&lab, "GET", "/machines", None).1["total"], 2);
    Ok(())
}

/// The unarmed part: a known machine's script is local boot, whichever way its address is written.
#[test]
fn parity_pv5_unarmed() -> Result<(), LabError> {
    let lab = lab()?;
    api(&lab, "POST", "/machines", Some(json!({"name": "node-1", "macs": ["52:54:00:ab:cd:ef"]})));
    api(&lab, "POST", "/machines/node-1/enroll", None);
    for spelling in ["52:54:00:ab:cd:ef", "52-54-00-ab-cd-ef", "52-54-00-AB-CD-EF"] {
        assert!(is_local_boot(&script(&lab, spelling)), "{spelling}");
    }
    let (status, body) = curl(&lab, &[&format!("{MACHINES}/ipxe/nonsense")]);
    assert!(status == 400 && !body.is_empty(), "{status} {body}");
    Ok(())
}

/// With DHCP and TFTP off it runs as nobody; with them on, they are supervised.
#[test]
fn parity_pv17() -> Result<(), LabError> {
    let lab = lab()?;
    let (_, health) = api(&lab, "GET", "/health", None);
    let parts: Vec<&str> = health["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter_map(|check| check["name"].as_str())
        .collect();
    assert!(parts.contains(&"dhcp br0") && parts.contains(&"tftp br0"), "{parts:?}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let folder = tempfile::tempdir().expect("a folder");
    let nobody = nix::unistd::User::from_name("nobody").expect("a user table").expect("nobody");
    nix::unistd::chown(folder.path(), Some(nobody.uid), Some(nobody.gid)).expect("nobody's folder");
    let socket = folder.path().join("api.sock");
    let file = folder.path().join("ironwake.toml");
    let text = format!(
        "state = {:?}\nsocket = {socket:?}\n[http]\nlisten = \"127.0.0.1:{port}\"\n[discovery]\nenabled = false\n\
         [[network]]\ninterface = \"lo\"\ndhcp = \"off\"\ntftp = false\n",
        folder.path().join("state"),
    );
    std::fs::write(&file, text).expect("a file");
    // The build may lie where nobody cannot look.
    let binary = folder.path().join("ironwake");
    std::fs::copy(env!("CARGO_BIN_EXE_ironwake"), &binary).expect("a copy");
    let mut daemon = Command::new(&binary);
    daemon.args(["serve", "--config"]).arg(&file).stdin(Stdio::null());
    daemon.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    let mut child = daemon.spawn().expect("it starts");
    let asked = peers::eventually("an answer of the unprivileged daemon", || {
        let mut health = Command::new(&binary);
        health.arg("--socket").arg(&socket).arg("health").stdout(Stdio::null()).stderr(Stdio::null());
        // Degraded is an answer too: there are no boot files in nobody's home.
        Ok(matches!(health.status().expect("it runs").code(), Some(0 | 6)))
    });
    child.kill().expect("it ends");
    child.wait().expect("it ended");
    asked
}

/// A daemon on `br0` (10.77.0.1) and `br1` (10.78.0.1) of a namespace that its test has prepared, and a client on
/// each. Fields are dropped in order.
struct Prepared {
    daemon: Daemon,
    folder: tempfile::TempDir,
    clients: [Namespace; 2],
    site: Namespace,
}

impl Prepared {
    fn start(discovery: bool, prepare: impl FnOnce(&Namespace)) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().expect("a folder");
        let name = LabName::unique();
        let site = Namespace::create(&name, "site")?;
        let client = |number: usize| -> Result<Namespace, LabError> {
            let bridge = site.bridge(&format!("br{number}"), &format!("10.7{}.0.1/24", 7 + number))?;
            let client = Namespace::create(&name, &format!("client{number}"))?;
            client.join("eth0", &format!("10.7{}.0.9/24", 7 + number), &site, &bridge)?;
            Ok(client)
        };
        let clients = [client(0)?, client(1)?];
        prepare(&site);
        let mut text = format!(
            "state = {:?}\nsocket = {:?}\n[http]\nlisten = \"10.77.0.1:8080\"\n[discovery]\nenabled = {discovery}\n",
            folder.path().join("state"),
            folder.path().join("api.sock"),
        );
        for interface in ["br0", "br1"] {
            text.push_str(&format!("[[network]]\ninterface = {interface:?}\ndhcp = \"off\"\n"));
        }
        let config = folder.path().join("ironwake.toml");
        std::fs::write(&config, text).expect("a file");
        let binary = Path::new(env!("CARGO_BIN_EXE_ironwake"));
        let daemon = Daemon::start(binary, &config, &site, folder.path())?;
        Ok(Self { daemon, folder, clients, site })
    }

    /// What the command line prints as JSON.
    fn json(&self, words: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.arg("--socket").arg(self.folder.path().join("api.sock")).args(words).arg("--json");
        // Its exit code may say that the health is bad.
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"))
    }

    fn part(&self, name: &str) -> Value {
        let health = self.json(&["health"]);
        let checks = health["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["name"] == name).unwrap_or(&Value::Null).clone()
    }

    fn wait_part(&self, name: &str, state: &str) -> Result<(), LabError> {
        peers::eventually(&format!("{name} to be {state}"), || Ok(self.part(name)["state"] == state))
    }

    fn fetch(&self, client: usize, url: &str) -> Vec<u8> {
        let mut curl = self.clients[client].command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "60", url]);
        let output = curl.stdin(Stdio::null()).output().expect("curl");
        assert!(output.status.success(), "{url}: {output:?}");
        output.stdout
    }
}

/// The supervised part: what cannot be served is said with its remedy, and is served once it can be, by the same
/// daemon.
#[test]
fn parity_pv17_supervised() -> Result<(), LabError> {
    let mut held = None;
    let mut prepared = Prepared::start(false, |site| {
        let hold = || (UdpSocket::bind("0.0.0.0:69"), TcpListener::bind("10.77.0.1:8080"));
        let (tftp, http) = site.enter(hold).expect("the namespace");
        held = Some((tftp.expect("a free port"), http.expect("a free port")));
    })?;
    for (part, message, remedy) in [
        ("tftp br0", "UDP port 69", "UDP port 69"),
        ("tftp br1", "UDP port 69", "UDP port 69"),
        ("http", "another program holds port 8080", "ss -ltnp"),
    ] {
        prepared.wait_part(part, "failed")?;
        let check = prepared.part(part);
        let says = |field: &str, words: &str| check[field].as_str().is_some_and(|text| text.contains(words));
        assert!(says("message", message) && says("remedy", remedy), "{check}");
    }
    drop(held);
    for part in ["tftp br0", "tftp br1", "http"] {
        prepared.wait_part(part, "ok")?;
    }
    assert!(prepared.fetch(0, "tftp://10.77.0.1/autoexec.ipxe").starts_with(b"#!ipxe\n"));
    assert!(prepared.fetch(1, "tftp://10.78.0.1/autoexec.ipxe").starts_with(b"#!ipxe\n"));
    assert!(prepared.fetch(0, &format!("{MACHINES}/ipxe/52:54:00:00:00:01")).starts_with(b"#!ipxe\n"));
    assert!(prepared.daemon.ended().is_none());
    Ok(())
}

/// SIGTERM ends the daemon in good order within its ten seconds, even beside a download that would take minutes.
#[test]
fn a_slow_download_does_not_hold_up_the_end() -> Result<(), LabError> {
    let mut prepared = Prepared::start(true, |_| {})?;
    // Else the kernel's buffers would hold the whole file, and the daemon be done with it.
    prepared.clients[0].set("net/ipv4/tcp_rmem", "4096 65536 65536")?;
    prepared.site.set("net/ipv4/tcp_wmem", "4096 65536 65536")?;
    let mut url = String::new();
    peers::eventually("the discovery image", || {
        let artifacts = prepared.json(&["artifact", "list"]);
        let done = artifacts
            .as_array()
            .into_iter()
            .flatten()
            .find(|artifact| artifact["name"] == "discovery/initramfs" && artifact["state"] == "done");
        url = done.and_then(|artifact| artifact["path"].as_str()).map_or(String::new(), str::to_owned);
        Ok(!url.is_empty())
    })?;
    let got: PathBuf = prepared.folder.path().join("got");
    let mut curl = prepared.clients[0].command("curl");
    curl.args(["--silent", "--limit-rate", "100k", "--output"]).arg(&got).arg(format!("{MACHINES}{url}"));
    let mut curl = Process::start("curl", curl, &prepared.folder.path().join("curl.log"))?;
    peers::eventually("the first bytes", || Ok(std::fs::metadata(&got).is_ok_and(|file| file.len() > 0)))?;
    let began = Instant::now();
    let status = prepared.daemon.stop(Duration::from_secs(10));
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", prepared.daemon.log_tail());
    assert!(began.elapsed() > Duration::from_secs(1), "the download was cut off at once");
    curl.kill();
    Ok(())
}
