//! The client and the commands above it, against a double of the daemon on a Unix socket.

mod double;

use std::time::Duration;

use double::{Double, problem};
use ironwake_api::client::{Client, ClientError, EventQuery, Signal};
use ironwake_api::*;

const MACHINE: &str = r#"{"id":"0190-aa","name":"n1","enrolment":"unenrolled","macs":["52:54:00:12:34:56"],
    "tags":["rack1"],"secure_boot":"auto","discover_next":false,"created_at":1,"seen_at":1773500966000,
    "product":"Standard PC","manufacturer":"QEMU"#;

fn machine(more: &str) -> String {
    format!("{MACHINE}\"{more}}}")
}

fn event(id: i64) -> String {
    let json = format!(r#"{{"id":{id},"at":1,"actor":"daemon","kind":"daemon_started","version":"1"}}"#);
    format!(": comment\n\nid: {id}\nevent: daemon_started\ndata: {json}\n\n")
}

fn show_double() -> Double {
    let one = machine(
        r#","inventory":{"schema":1,"system":{"manufacturer":"QEMU","serial":"S1"},
        "memory":{"total_bytes":536870912},"disks":[{"name":"vda","size_bytes":10737418240}]}"#,
    );
    let attempt = r#"{"id":7,"machine":"0190-aa","mac":"52:54:00:12:34:56","arch":"uefi-x64","started_at":1000,
        "last_at":13500,"outcome":"failed","diagnosis":{"code":"c1","message":"it fell silent","remedy":"look at the cable"},
        "stages":[{"at":1000,"client":"firmware","stage":"dhcp","message":"DISCOVER","answer":"OFFER",
        "address":"10.0.0.100","file":"snponly.efi","why":"uefi-x64: its loader","repeats":2},
        {"at":13500,"client":"firmware","stage":"tftp","file":"snponly.efi","bytes":1024,"size":2048,"duration_ms":900,
        "retries":1,"aborted":"timeout"}]}"#;
    Double::new(&[
        ("GET /api/v1/machines/n1", "200 OK", &[&one]),
        (
            "GET /api/v1/machines/0190-aa/values",
            "200 OK",
            &[r#"{"hostname":"node-7","values":{"password_hash":"***","keys":["a"]}}"#],
        ),
        ("GET /api/v1/machines/0190-aa/attempts", "200 OK", &[&format!("[{attempt}]")]),
    ])
}

#[tokio::test]
async fn each_kind_of_answer_is_told_apart() {
    let double = Double::new(&[
        ("GET /api/v1/version", "200 OK", &[r#"{"version":"1.2.3","schema":4}"#]),
        ("POST /api/v1/machines", "409 Conflict", &[&problem(409, "exists")]),
        ("GET /api/v1/leases", "200 OK", &["{]"]),
        ("DELETE /api/v1/machines/a%2Fb", "204 No Content", &[""]),
        ("GET /api/v1/events?after=5&limit=2", "200 OK", &["[]"]),
        ("GET /api/v1/artifacts", "200 OK", &[r#"{"items":[],"total":0,"limit":1,"offset":0}"#]),
    ]);
    let client = double.client();
    assert_eq!(client.version().await.expect("answered").version, "1.2.3");
    let refused = client.register(&MachineNew { serial: Some("S".into()), ..MachineNew::default() }).await;
    assert!(matches!(refused, Err(ClientError::Refused(problem)) if problem.status == 409));
    assert_eq!(double.seen()[1].body, r#"{"macs":[],"serial":"S","tags":[]}"#);
    assert!(matches!(client.leases().await, Err(ClientError::Protocol(_))));
    client.delete("a/b").await.expect("deleted");
    let query = EventQuery { after: Some(5), limit: Some(2), ..EventQuery::default() };
    assert_eq!(client.events(&query).await.expect("answered"), []);
    assert_eq!(client.artifacts().await.expect("answered"), []);
    let gone = Client::new("/nonexistent/s").version().await;
    assert!(matches!(gone, Err(ClientError::NotReachable { .. })));
}

#[tokio::test]
async fn every_page_is_fetched() {
    let page =
        |offset: u32| format!(r#"{{"items":[{}],"total":2,"limit":1000,"offset":{offset}}}"#, machine(""));
    let double = Double::new(&[
        ("GET /api/v1/machines?limit=1000&offset=0", "200 OK", &[&page(0)]),
        ("GET /api/v1/machines?limit=1000&offset=1", "200 OK", &[&page(1)]),
    ]);
    let machines = double.client().machines_all(&MachineQuery::default()).await.expect("answered");
    assert_eq!(machines.len(), 2);
}

#[tokio::test]
async fn the_stream_continues_behind_the_last_event() {
    let first = event(1) + &event(2);
    // The double says event 2 again, as a daemon may that cannot know what arrived.
    let second = event(2) + &event(3);
    let double = Double::new(&[
        ("GET /api/v1/events/stream?after=0", "200 OK", &[&first]),
        ("GET /api/v1/events/stream?after=2", "200 OK", &[&second]),
    ]);
    let mut stream = double.client().follow(Some(0), None);
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        ids.push(next.expect("in time").expect("an event").id);
    }
    assert_eq!(ids, [1, 2, 3]);
    let asked: Vec<Option<String>> = double.seen().into_iter().map(|seen| seen.last_event_id).collect();
    assert_eq!(asked, [Some("0".into()), Some("2".into())]);
}

#[tokio::test]
async fn a_stream_tells_that_it_broke_and_that_it_is_back() {
    let double = Double::new(&[
        ("GET /api/v1/events/stream?after=0&kind=daemon_started", "200 OK", &[&event(1)]),
        ("GET /api/v1/events/stream?after=1&kind=daemon_started", "200 OK", &[&event(2)]),
    ]);
    let mut stream = double.client().follow(Some(0), None).of_kinds(&["daemon_started"]);
    let mut told = Vec::new();
    while told.len() < 4 {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.next_signal()).await;
        told.push(match next.expect("in time").expect("a signal") {
            Signal::Event(event) => event.id.to_string(),
            Signal::Lost { why } => why,
            Signal::Back => "back".to_owned(),
        });
    }
    assert_eq!(told, ["1", "the daemon has ended the event stream", "back", "2"]);
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_first_event_loses_none() {
    let double = Double::new(&[
        ("GET /api/v1/events/stream", "200 OK", &["id: 5\nretry: 2000\n\n"]),
        ("GET /api/v1/events/stream?after=5", "200 OK", &[&event(6)]),
    ]);
    let mut stream = double.client().follow(None, None);
    stream.connect().await.expect("connected");
    assert_eq!(stream.last_id(), Some(5));
    let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    assert_eq!(next.expect("in time").expect("an event").id, 6);
}

#[test]
fn an_operation_is_read_once_its_stream_stands() {
    let operation = |state: &str| {
        format!(
            r#"{{"id":"o1","machine":"m1","kind":"inspect","state":"{state}","state_since":1,"created_at":1,
            "created_by":"daemon","disks":[],"history":[],"steps":[],"may_have_written":false}}"#
        )
    };
    let double = Double::new(&[
        ("GET /api/v1/operations/o1", "200 OK", &[&operation("installing"), &operation("ready")]),
        ("GET /api/v1/events/stream?machine=m1", "200 OK", &["id: 5\nretry: 2000\n\n"]),
    ]);
    let output = double.run(&["operation", "follow", "o1"]);
    assert!(output.status.success(), "{output:?}");
    let lines = double.lines();
    assert_eq!(lines[1], "GET /api/v1/events/stream?machine=m1", "{lines:?}");
    assert_eq!(lines[2], lines[0]);
}

#[test]
fn lists_are_tables_for_people_and_arrays_for_scripts() {
    let page = format!(r#"{{"items":[{}],"total":1,"limit":1000,"offset":0}}"#, machine(""));
    let double = Double::new(&[("GET /api/v1/machines?limit=1000&offset=0", "200 OK", &[&page])]);
    let table = double.run(&["machine", "list"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.starts_with("ID       NAME  STATE       MAC                ADDRESS  PRODUCT           "),
        "{table}"
    );
    assert!(table.contains("0190-aa  n1    unenrolled  52:54:00:12:34:56"), "{table}");
    let json = double.run(&["machine", "list", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json[0]["id"], "0190-aa");
}

#[test]
fn a_wide_list_says_what_machines_are_made_of_and_what_goes_on() {
    let one = machine(
        r#","hardware":{"model":"Dell Inc. PowerEdge R640","cpu":"Xeon Gold 6230","cpus":2,"cores":40,"threads":80,
        "ram_bytes":103079215104,"disks":2,"disk_bytes":1099511627776,"nics":4},
        "profile":{"name":"debian-image","version":"1","standing":"installed","operation":"o1","since":1},
        "last_attempt":{"id":7,"started_at":1,"last_at":1,"outcome":"failed","diagnosis":"no_loader_for_arch"},
        "operation":{"id":"o2","kind":"rebuild","state":"installing","state_since":1,"secs_left":125,
        "progress":{"done_bytes":34,"total_bytes":100,"bytes_per_sec":1}}"#,
    );
    let page = format!(r#"{{"items":[{one}],"total":1,"limit":1000,"offset":0}}"#);
    let double = Double::new(&[("GET /api/v1/machines?limit=1000&offset=0", "200 OK", &[&page])]);
    let table = double.run(&["machine", "list"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for part in [
        "Dell Inc. PowerEdge R640  2 × Xeon Gold 6230, 40 cores  96 GiB  2, 1 TiB",
        "no_loader_for_arch, ",
        "debian-image 1  rebuild, installing 34 %, 2 m 05 s left",
    ] {
        assert!(table.contains(part), "{part:?} is missing in\n{table}");
    }
}

#[test]
fn a_machine_is_shown_with_its_inventory_and_its_latest_boot() {
    let double = show_double();
    let shown = double.run(&["machine", "show", "n1"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in [
        "name        n1",
        "hostname    node-7",
        "values\n  keys = [\"a\"]\n  password_hash = ***\n",
        "512 MiB",
        "vda: 10 GiB",
        "boot attempt 7 at 1970-01-01 00:00:01 (52:54:00:12:34:56, uefi-x64): failed in 12.5 s",
        "+   0.000 s  firmware  DHCP DISCOVER → OFFER 10.0.0.100 snponly.efi (uefi-x64: its loader) (3 times)",
        "+  12.500 s  firmware  TFTP snponly.efi: 1 KiB of 2 KiB in 900 ms, 1 windows sent again, ended: timeout",
        "c1: it fell silent",
        "next: look at the cable",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    let json = double.run(&["machine", "show", "n1", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["inventory"]["system"]["serial"], "S1");
}

#[test]
fn changes_are_sent_as_the_contract_says() {
    let done = machine("");
    let double = Double::new(&[
        ("PATCH /api/v1/machines/n1", "200 OK", &[&done]),
        ("POST /api/v1/machines", "422 Unprocessable Content", &[&problem(422, "1 field is wrong")]),
        ("POST /api/v1/machines/n1/orders", "202 Accepted", &[""]),
        ("POST /api/v1/machines/n1/enroll", "200 OK", &[&done]),
    ]);
    let output = double.run(&["machine", "edit", "n1", "--name", "", "--tag", "a", "--tag", "b"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "changed n1\n");
    assert_eq!(double.seen()[0].body, r#"{"name":null,"tags":["a","b"]}"#);
    let output = double.run(&["machine", "add", "--mac", "525400123456"]);
    assert_eq!(output.status.code(), Some(4));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(stderr, "error: 1 field is wrong\n  macs[0]: is taken\n");
    assert!(double.run(&["machine", "order", "n1", "power-off", "--reason", "r"]).status.success());
    assert_eq!(double.seen()[2].body, r#"{"order":"power_off","reason":"r"}"#);
    assert!(double.run(&["machine", "enroll", "n1"]).status.success());
    assert_eq!(double.run(&["machine", "show", "n2"]).status.code(), Some(3));
}

#[test]
fn events_and_operations_name_machines_as_people_do() {
    let of = |id: u8, machine: &str, kind: &str| {
        format!(r#"{{"id":{id},"at":1,"actor":"daemon","machine":"{machine}",{kind}}}"#)
    };
    let events = [
        of(1, "0190-aa", r#""kind":"machine_registered""#),
        of(2, "0190-aa", r#""kind":"identity_conflict","other":"0190-bb","key":"serial","value":"S1""#),
        of(3, "0190-cc", r#""kind":"machine_deleted""#),
    ];
    let operation = r#"[{"id":"o1","machine":"0190-aa","kind":"inspect","state":"ready","state_since":1,"created_at":1,
        "created_by":"daemon","disks":[],"history":[],"steps":[],"may_have_written":false}]"#;
    let other = r#"{"id":"0190-bb","enrolment":"unenrolled","macs":["52:54:00:00:00:02"],"tags":[],
        "secure_boot":"auto","discover_next":false,"created_at":1}"#;
    let double = Double::new(&[
        ("GET /api/v1/events", "200 OK", &[&format!("[{}]", events.join(","))]),
        ("GET /api/v1/operations", "200 OK", &[operation]),
        ("GET /api/v1/machines/0190-aa", "200 OK", &[&machine("")]),
        ("GET /api/v1/machines/0190-bb", "200 OK", &[other]),
    ]);
    let shown = double.run(&["events"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in [
        "1970-01-01 00:00:00  n1                 registered\n",
        "  n1                 claims the serial S1 of 52:54:00:00:00:02; nothing was merged\n",
        // Of which there is no record any more.
        "  cc                 deleted\n",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    assert_eq!(double.lines().len(), 4, "each machine is asked for once: {:?}", double.lines());
    let listed = double.run(&["operation", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("o1  n1       inspect  ready"), "{listed}");
}

#[test]
fn keys_are_listed_added_deleted_and_found() {
    let key = |place: &str| {
        format!(r#"{{"fingerprint":"SHA256:a/b","kind":"ssh-ed25519","comment":"anna@laptop"{place}}}"#)
    };
    let listed = key(r#","place":"file","path":"/etc/ironwake/authorized_keys","line":3"#);
    let added = key(r#","place":"added","at":1,"by":{"token":"ci"}"#);
    let found = key(r#","line":"ssh-ed25519 AAAA anna@laptop","listed":false"#);
    let double = Double::new(&[
        ("GET /api/v1/ssh-keys", "200 OK", &[&format!("[{listed},{added}]")]),
        ("POST /api/v1/ssh-keys", "200 OK", &[&format!(r#"{{"added":[{}],"present":[]}}"#, key(""))]),
        ("DELETE /api/v1/ssh-keys/SHA256%3Aa%2Fb", "204 No Content", &[""]),
        (
            "GET /api/v1/ssh-keys/found",
            "200 OK",
            &[&format!(
                r#"[{{"label":"STICK","files":[{{"path":"a.pub","keys":[{found}],
                "problems":[{{"field":"line 2","message":"no key"}}]}}]}}]"#
            )],
        ),
        (
            "POST /api/v1/ssh-keys/one-time-password",
            "201 Created",
            &[r#"{"password":"abcd-efgh","expires_at":1,"ssh_port":2222}"#],
        ),
    ]);
    let said = |arguments: &[&str]| {
        let output = double.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let table = said(&["key", "list"]);
    assert!(table.contains("SHA256:a/b   ssh-ed25519  /etc/ironwake/authorized_keys:3 "), "{table}");
    assert!(table.contains(" by token ci") && table.contains("anna@laptop"), "{table}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "ssh-ed25519 AAAA anna@laptop\n").expect("written");
    let path = file.path().to_str().expect("UTF-8");
    assert_eq!(said(&["key", "add", path]), "SHA256:a/b (anna@laptop) added\n");
    assert_eq!(double.seen()[1].body, r#"{"keys":"ssh-ed25519 AAAA anna@laptop\n"}"#);
    assert!(said(&["key", "add", path, "--json"]).contains("\"present\": []"));
    said(&["key", "delete", "SHA256:a/b"]);
    let shown = "STICK\n  a.pub\n    SHA256:a/b (anna@laptop) not listed\n    line 2: no key\n";
    assert_eq!(said(&["key", "found"]), shown);
    // Alone, for a script.
    assert_eq!(said(&["key", "one-time-password"]), "abcd-efgh\n");
}

#[test]
fn a_failing_daemon_is_a_finding() {
    let health = r#"{"state":"failed","checks":[{"name":"store","state":"failed","message":"disk full",
        "remedy":"make room"}],"networks":[]}"#;
    let double = Double::new(&[("GET /api/v1/health", "503 Service Unavailable", &[health])]);
    let output = double.run(&["health"]);
    assert_eq!(output.status.code(), Some(6));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("failed    store: disk full\n          next: make room"), "{shown}");
}
