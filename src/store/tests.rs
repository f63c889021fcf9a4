//! The store against real files in a temporary folder.

mod back;
mod events;
mod hosts;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ironwake_api::{
    ArtifactOrigin, AttemptOutcome, ClientStage, ImportRequest, LeaseState, MacAddr, Packing, Scope,
    StageKind, Token,
};
use rusqlite::Connection;

use super::*;
use crate::access::PublicKey;
use crate::artifact::Digest;

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ironwake.db")
    }

    fn open(&self) -> Store {
        Store::open(&self.path()).expect("the store opens")
    }
}

fn machine(id: &str, name: Option<&str>) -> Machine {
    Machine {
        name: name.map(str::to_owned),
        serial: Some("S1".into()),
        macs: vec![MacAddr([0x52, 0x54, 0, 0, 0, 1])],
        tags: vec!["rack1".into()],
        ..Machine::new(id, 1)
    }
}

fn attempt(id: i64, machine: Option<&str>, outcome: AttemptOutcome) -> Attempt {
    Attempt {
        id,
        machine: machine.map(str::to_owned),
        mac: MacAddr([0x52, 0x54, 0, 0, 0, 1]),
        arch: Some("uefi-x64".into()),
        started_at: 1,
        last_at: 2,
        outcome,
        diagnosis: None,
        stages: Vec::new(),
    }
}

fn stage(message: &str) -> Box<Stage> {
    let kind = StageKind::Agent { message: message.into(), failed: false };
    Box::new(Stage { at: 3, client: ClientStage::Agent, kind, repeats: 0 })
}

fn lease(number: u32) -> Box<Lease> {
    Box::new(Lease {
        address: std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string(),
        network: "br0".into(),
        mac: MacAddr([2, 0, 0, (number >> 16) as u8, (number >> 8) as u8, number as u8]),
        client_id: Some(format!("01{number:012x}")),
        hostname: None,
        state: LeaseState::Bound,
        renewed_at: 1000,
        expires_at: 2000,
    })
}

fn build(state: ironwake_api::ArtifactState) -> Box<Build> {
    let text =
        r#"{"name":"debian-image/trixie-amd64","state":"queued","ordered_by":"daemon","ordered_at":7}"#;
    let build: Build = serde_json::from_str(text).expect("a build");
    Box::new(Build { state, ..build })
}

fn import(name: &str, disk_bytes: Option<u64>) -> Box<Import> {
    Box::new(Import {
        name: name.into(),
        sha256: Digest::of(b"image"),
        size_bytes: 5,
        packing: Packing::Zstd,
        disk_bytes,
        pinned: disk_bytes.is_some(),
        imported_at: 9,
        imported_by: Actor::Operator("anna".into()),
        used_at: 11,
        origin: ArtifactOrigin { url: Some("http://example.org/a".into()), ..ArtifactOrigin::default() },
    })
}

fn download(name: &str) -> Box<Download> {
    let request = ImportRequest {
        url: format!("http://example.org/{name}"),
        sha256: Some(Digest::of(b"image").to_string()),
        ..ImportRequest::default()
    };
    Box::new(Download::new(name, request, 9, Actor::Daemon).expect("a download"))
}

fn event(machine: Option<&str>, version: &str) -> Change {
    Change::Event(Box::new(NewEvent {
        at: 7,
        actor: Actor::Operator("anna".into()),
        machine: machine.map(str::to_owned),
        kind: EventKind::DaemonStarted { version: version.into() },
    }))
}

fn put(id: &str, name: Option<&str>) -> Change {
    Change::Machine(Box::new(machine(id, name)))
}

fn inventory(id: i64, machine: &str) -> Change {
    let inventory = Box::new(Inventory { schema: 1, notes: vec![id.to_string()], ..Inventory::default() });
    Change::Inventory { id, machine: machine.into(), at: 5, inventory }
}

#[tokio::test]
async fn everything_saved_is_read_back_and_still_there_after_reopening() {
    let folder = Folder::new();
    let store = folder.open();
    assert_eq!(store.counters(), Counters::default());
    let mut full = attempt(4, Some("m1"), AttemptOutcome::Running);
    let changes = vec![
        put("m1", Some("web1")),
        inventory(8, "m1"),
        inventory(9, "m1"),
        Change::Attempt(Box::new(full.clone())),
        Change::Stage { attempt: 4, seq: 0, stage: stage("first") },
        Change::Stage { attempt: 4, seq: 1, stage: stage("second") },
        Change::Stage { attempt: 4, seq: 0, stage: stage("first, again") },
        Change::Import(import("b", None)),
        Change::Import(import("a", Some(512))),
        Change::Import(import("b", Some(1 << 40))),
        Change::Import(import("c", None)),
        Change::ImportDeleted("c".into()),
        Change::Build(build(ironwake_api::ArtifactState::Queued)),
        Change::Build(build(ironwake_api::ArtifactState::Done)),
        Change::Download(download("e")),
        Change::Download(download("d")),
        Change::DownloadDeleted("e".into()),
        Change::Lease(lease(7)),
        Change::Lease(lease(3)),
        event(Some("m1"), "1"),
    ];
    store.save(changes).await.expect("saved");
    store.close().await.expect("closed");
    assert!(matches!(store.save(vec![]).await, Err(StoreError::Closed)));
    assert!(matches!(store.machines().await, Err(StoreError::Closed)));
    assert!(!store.save_behind(vec![]));

    let store = folder.open();
    assert_eq!(store.counters(), Counters { inventory: 9, attempt: 4 });
    assert_eq!(store.machines().await.expect("machines"), [machine("m1", Some("web1"))]);
    let imports = [*import("a", Some(512)), *import("b", Some(1 << 40))];
    assert_eq!(store.imports().await.expect("imports"), imports);
    assert_eq!(store.builds().await.expect("builds"), [*build(ironwake_api::ArtifactState::Done)]);
    assert_eq!(store.downloads().await.expect("downloads"), [*download("d")]);
    let newest = store.inventory("m1").await.expect("inventory").expect("one");
    assert_eq!((newest.id, newest.at, newest.inventory.notes), (9, 5, vec!["9".to_owned()]));
    assert_eq!(store.inventories("m1", 9).await.expect("inventories").len(), 2);
    full.stages = vec![*stage("first, again"), *stage("second")];
    assert_eq!(store.attempt(4).await.expect("attempt"), Some(full.clone()));
    assert_eq!(store.attempts("m1", 9).await.expect("attempts"), [full.clone()]);
    assert_eq!(store.attempts_running().await.expect("running"), [full]);
    assert_eq!(store.leases().await.expect("leases"), [*lease(3), *lease(7)]);
    assert_eq!(store.events_after(0, None, 9).await.expect("events").len(), 1);
}

#[tokio::test]
async fn replacing_a_machine_keeps_what_belongs_to_it_and_deleting_it_does_not() {
    let folder = Folder::new();
    let store = folder.open();
    let running = Change::Attempt(Box::new(attempt(1, Some("m1"), AttemptOutcome::Running)));
    let first = Change::Stage { attempt: 1, seq: 0, stage: stage("x") };
    store.save(vec![put("m1", None), inventory(1, "m1"), running, first]).await.expect("saved");
    let ended = Change::Attempt(Box::new(attempt(1, Some("m1"), AttemptOutcome::Inventoried)));
    store.save(vec![put("m1", Some("web1")), ended]).await.expect("replaced");
    assert_eq!(store.inventories("m1", 9).await.expect("inventories").len(), 1);
    assert_eq!(store.attempt(1).await.expect("attempt").expect("kept").stages.len(), 1);
    assert!(store.attempts_running().await.expect("running").is_empty());

    store.save(vec![Change::MachineDeleted("m1".into())]).await.expect("deleted");
    assert!(store.machines().await.expect("machines").is_empty());
    assert!(store.inventory("m1").await.expect("inventory").is_none());
    assert!(store.attempt(1).await.expect("attempt").is_none());
    store.close().await.expect("closed");
    // A number that a deleted record had is not used for another one.
    assert_eq!(folder.open().counters(), Counters { inventory: 1, attempt: 1 });
}

#[tokio::test]
async fn a_save_is_whole_or_not_at_all_and_a_failing_one_fails_alone() {
    let folder = Folder::new();
    let store = folder.open();
    let mut published = store.subscribe();
    // Queued in one go on a single thread: the writer finds them together.
    let saves = (0..20).map(|n| {
        let mut changes = vec![put(&format!("m{n}"), None), event(None, &n.to_string())];
        if n == 7 {
            changes.push(inventory(n, "nobody"));
        }
        store.save(changes)
    });
    let outcomes = futures_util::future::join_all(saves).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_err(), n == 7, "save {n}: {outcome:?}");
    }
    let machines = store.machines().await.expect("machines");
    assert_eq!(machines.len(), 19);
    assert!(!machines.iter().any(|machine| machine.id == "m7"));
    let stored = store.events_after(0, None, 100).await.expect("events");
    assert_eq!(stored.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=19).collect::<Vec<_>>());
    for expected in stored {
        assert_eq!(*published.recv().await.expect("published"), expected);
    }
    let taken = store.save(vec![put("a", Some("web1")), put("b", Some("WEB1"))]).await;
    assert!(taken.is_err_and(|error| error.to_string().contains("UNIQUE")));
}

#[tokio::test]
async fn waiting_saves_share_a_commit() {
    let folder = Folder::new();
    let store = folder.open();
    let saves = (0..2000).map(|n| store.save(vec![Change::Lease(lease(n))]));
    for outcome in futures_util::future::join_all(saves).await {
        outcome.expect("saved");
    }
    assert_eq!(store.leases().await.expect("leases").len(), 2000);
    // 2000 commits would each leave at least one frame for each page they touch in the log.
    let frames = fs::metadata(folder.path().with_extension("db-wal")).expect("the log").len() / 4096;
    assert!(frames < 1000, "{frames} frames for 2000 leases");
}

#[tokio::test]
async fn a_log_that_is_read_when_a_secret_goes_is_cut_once_it_is_free() {
    let folder = Folder::new();
    let store = folder.open();
    store.save(vec![put("m1", None)]).await.expect("saved");
    let reader = Connection::open(folder.path()).expect("a reader");
    reader.execute_batch("BEGIN; SELECT count(*) FROM machines").expect("it reads");
    store.save(vec![put("m2", None), Change::LoginKeyDestroyed("none".into())]).await.expect("saved");
    let log = || fs::metadata(folder.path().with_extension("db-wal")).expect("the log").len();
    assert_ne!(log(), 0, "a reader holds it");
    reader.execute_batch("COMMIT").expect("it has read");
    let cut = async {
        while log() != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), cut).await.expect("nothing else is saved, and it is cut");
}

#[tokio::test]
async fn what_is_saved_behind_is_there_soon_in_order_and_bounded() {
    let folder = Folder::new();
    let store = folder.open();
    let mut published = store.subscribe();
    assert!(store.save_behind(vec![event(None, "behind")]));
    assert!(store.save_behind(vec![inventory(1, "nobody")]));
    assert!(store.save_behind(vec![event(None, "last")]));
    for expected in ["behind", "last"] {
        let event = published.recv().await.expect("published");
        assert_eq!(event.kind, EventKind::DaemonStarted { version: expected.into() });
    }
    assert_eq!(store.last_event(), 2);
    // What is queued when the last handle goes is saved first.
    assert!(store.save_behind(vec![put("m1", None)]));
    drop(store);
    assert_eq!(folder.open().machines().await.expect("machines").len(), 1);
}

#[test]
fn a_full_queue_refuses_instead_of_growing() {
    let queue = Queue::default();
    let job = || Job { changes: Vec::new(), answer: None };
    let taken = (0..queue::JOBS_MAX + 5).filter(|_| queue.push_behind(job())).count();
    assert_eq!(taken, queue::JOBS_MAX);
    let group = queue.take(None).expect("a group");
    assert!(queue.push_behind(job()), "room for {} again", group.len());
    queue.close();
    let mut left = 0;
    while let Some(group) = queue.take(None) {
        left += group.len();
    }
    assert_eq!(left + group.len(), queue::JOBS_MAX + 1);
}

#[tokio::test]
async fn events_are_read_after_an_id_and_by_machine() {
    let folder = Folder::new();
    let store = folder.open();
    for n in 0..10 {
        let machine = if n % 2 == 0 { "even" } else { "odd" };
        store.save(vec![event(Some(machine), &n.to_string())]).await.expect("saved");
    }
    let ids = |events: Vec<Event>| events.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(ids(store.events_after(7, None, 100).await.expect("events")), [8, 9, 10]);
    assert_eq!(ids(store.events_after(0, None, 2).await.expect("events")), [1, 2]);
    assert_eq!(ids(store.events_after(3, Some("odd".into()), 2).await.expect("events")), [4, 6]);
    assert!(store.events_after(10, None, 100).await.expect("events").is_empty());
    store.close().await.expect("closed");
    let store = folder.open();
    assert_eq!(store.last_event(), 10);
    store.save(vec![event(None, "x")]).await.expect("saved");
    assert_eq!(ids(store.events_after(10, None, 100).await.expect("events")), [11]);
}

#[tokio::test]
async fn only_so_many_inventories_and_attempts_are_kept() {
    let folder = Folder::new();
    let store = folder.open();
    store.save(vec![put("m1", None), put("m2", None), inventory(1, "m2")]).await.expect("saved");
    let attempts = i64::from(ATTEMPTS_PER_MACHINE_MAX);
    let inventories = i64::from(INVENTORIES_PER_MACHINE_MAX);
    for n in 2..inventories + 7 {
        store.save(vec![inventory(n, "m1")]).await.expect("saved");
    }
    for n in 1..attempts + 6 {
        let owned = Change::Attempt(Box::new(attempt(2 * n, Some("m1"), AttemptOutcome::Failed)));
        let lost = Change::Attempt(Box::new(attempt(2 * n + 1, None, AttemptOutcome::Failed)));
        store.save(vec![owned, lost]).await.expect("saved");
    }
    let kept = store.inventories("m1", 1000).await.expect("inventories");
    assert_eq!(kept.len() as i64, inventories);
    assert_eq!(kept[0].id, inventories + 6);
    assert_eq!(store.inventories("m2", 9).await.expect("inventories").len(), 1);
    let kept = store.attempts("m1", 1000).await.expect("attempts");
    assert_eq!(kept.len() as i64, attempts);
    assert_eq!(kept[0].id, 2 * (attempts + 5));
    assert!(store.attempt(3).await.expect("attempt").is_none(), "the oldest without a machine is gone");
    assert!(store.attempt(2 * attempts + 11).await.expect("attempt").is_some());
}

#[test]
fn parity_pv19_the_journal_is_a_write_ahead_log() {
    let folder = Folder::new();
    let store = folder.open();
    let db = Connection::open(folder.path()).expect("a second connection");
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("the mode");
    assert_eq!(mode, "wal");
    let file_mode = fs::metadata(folder.path()).expect("the file").permissions().mode();
    assert_eq!(file_mode & 0o777, 0o600);
    drop(store);
}

/// A database as version 1 left it.
fn version_1(path: &Path) {
    let db = Connection::open(path).expect("a database");
    db.execute_batch(include_str!("migrations/0001.sql")).expect("version 1");
    db.execute_batch(
        r#"PRAGMA journal_mode = wal;
           PRAGMA user_version = 1;
           INSERT INTO machines VALUES ('m1', 'web1', 1, '{"id":"m1","name":"web1","enrolment":"enrolled",
               "macs":["52:54:00:00:00:01"],"tags":[],"secure_boot":"auto","discover_next":false,
               "created_at":1}');
           INSERT INTO inventories VALUES (41, 'm1', 5, '{"schema":1}');
           INSERT INTO events VALUES (17, 6, 'm1', '"daemon"', '{"kind":"machine_registered"}');"#,
    )
    .expect("rows");
}

#[tokio::test]
async fn parity_pv19_an_older_database_is_copied_and_migrated() {
    let folder = Folder::new();
    version_1(&folder.path());
    let store = folder.open();
    assert_eq!(store.counters(), Counters { inventory: 41, attempt: 0 });
    assert_eq!(store.machines().await.expect("machines")[0].name.as_deref(), Some("web1"));
    assert_eq!(store.inventory("m1").await.expect("inventory").expect("one").id, 41);
    assert!(store.tokens().await.expect("tokens").is_empty());
    assert!(store.ssh_keys().await.expect("keys").is_empty());
    assert!(store.machine_values().await.expect("values").is_empty());
    assert!(store.hostnames().await.expect("names").is_empty());
    let events = store.events_after(0, Some("m1".into()), 9).await.expect("events");
    assert_eq!((events[0].id, &events[0].kind), (17, &EventKind::MachineRegistered));
    store.close().await.expect("closed");

    let version = |path: &Path| -> (u32, u32) {
        let db = Connection::open(path).expect("it opens");
        let version = db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("version");
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'events_by_machine'";
        (version, db.query_row(sql, [], |row| row.get(0)).expect("schema"))
    };
    assert_eq!(version(&folder.path()), (SCHEMA_VERSION, 1));
    assert_eq!(version(&migrate::copy_path(&folder.path(), 1)), (1, 0));
    drop(folder.open());
}

/// What was sent to webhooks and how far each is; the oldest tries of one go, those of another stay.
#[tokio::test]
async fn tries_of_webhooks_are_kept_to_their_limit() {
    let folder = Folder::new();
    let store = folder.open();
    let delivery = |webhook: &str, event: i64| {
        Change::WebhookDelivery(Box::new(WebhookDelivery {
            webhook: webhook.into(),
            event,
            kind: "machine_seen".into(),
            try_number: 1,
            at: 1,
            took_ms: 2,
            outcome: ironwake_api::DeliveryOutcome::Delivered,
            status: Some(200),
            problem: None,
        }))
    };
    let limit = i64::from(DELIVERIES_PER_WEBHOOK_MAX);
    store.save(vec![delivery("b", 1)]).await.expect("saved");
    store.save((1..=limit + 3).map(|event| delivery("a", event)).collect()).await.expect("saved");
    let cursor = Change::WebhookCursor { webhook: "a".into(), event: 7 };
    store.save(vec![cursor]).await.expect("saved");
    store.close().await.expect("closed");
    let store = folder.open();
    let kept = store.webhook_deliveries("a", u32::MAX).await.expect("tries");
    assert_eq!(
        kept.iter().map(|kept| kept.event).collect::<Vec<_>>(),
        (4..=limit + 3).rev().collect::<Vec<_>>()
    );
    assert_eq!(store.webhook_deliveries("b", 9).await.expect("tries").len(), 1);
    assert_eq!(store.webhook_cursor("a").await.expect("a cursor"), Some(7));
    assert_eq!(store.webhook_cursor("b").await.expect("none"), None);
}

#[tokio::test]
async fn imports_of_an_older_database_were_used_when_they_came() {
    let folder = Folder::new();
    let db = Connection::open(folder.path()).expect("a database");
    for step in [
        include_str!("migrations/0001.sql"),
        include_str!("migrations/0002.sql"),
        include_str!("migrations/0003.sql"),
        include_str!("migrations/0004.sql"),
        "PRAGMA journal_mode = wal; PRAGMA user_version = 4;",
    ] {
        db.execute_batch(step).expect("version 4");
    }
    let sql = "INSERT INTO imports VALUES ('a', ?1, 5, '\"zstd\"', 512, 1, 9, '{\"operator\":\"anna\"}')";
    db.execute(sql, [Digest::of(b"image").to_string()]).expect("a row");
    drop(db);
    let store = folder.open();
    let expected = Import { used_at: 9, origin: ArtifactOrigin::default(), ..*import("a", Some(512)) };
    assert_eq!(store.imports().await.expect("imports"), [expected]);
    assert_eq!(store.downloads().await.expect("downloads"), []);
}

fn check_refused(prepare: impl FnOnce(&Path), expected: &[&str]) {
    let folder = Folder::new();
    prepare(&folder.path());
    let before = fs::read(folder.path()).ok();
    let error = Store::open(&folder.path()).err().expect("refused").to_string();
    for part in expected {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    assert_eq!(fs::read(folder.path()).ok(), before, "the file is as it was");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_path_and_a_remedy() {
    let later = |path: &Path| {
        let db = Connection::open(path).expect("a database");
        db.execute_batch("CREATE TABLE t (x); PRAGMA user_version = 99;").expect("a later version");
    };
    check_refused(later, &["schema version 99", &format!("up to {SCHEMA_VERSION}"), "ironwake.db"]);
    check_refused(|path| fs::write(path, [b'x'; 4096]).expect("written"), &["not an Ironwake database"]);
    check_refused(|path| fs::create_dir(path).expect("made"), &["ironwake.db", "writable"]);
    let foreign = |path: &Path| {
        let db = Connection::open(path).expect("a database");
        db.execute_batch("CREATE TABLE t (x);").expect("a table");
    };
    check_refused(foreign, &["not an Ironwake database"]);
    let broken = |path: &Path| {
        version_1(path);
        let db = Connection::open(path).expect("a database");
        db.execute_batch("PRAGMA journal_mode = delete; CREATE TABLE attempts_running (x);")
            .expect("a table");
    };
    let folder = Folder::new();
    broken(&folder.path());
    let error = Store::open(&folder.path()).err().expect("refused").to_string();
    assert!(error.contains("from schema version 1") && error.contains("as it was"), "{error}");
    let db = Connection::open(folder.path()).expect("a database");
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("version");
    assert_eq!(version, 1);

    let missing = folder.path().join("no/such/folder.db");
    assert!(matches!(Store::open(&missing), Err(StoreError::Open { .. })));
}

#[test]
fn a_second_daemon_is_refused_until_the_first_is_gone() {
    let folder = Folder::new();
    let first = folder.open();
    let error = Store::open(&folder.path()).err().expect("refused").to_string();
    assert!(error.contains("in use by another daemon"), "{error}");
    drop(first);
    drop(folder.open());
}

#[tokio::test]
async fn tokens_are_kept_by_name_and_a_digest_belongs_to_one() {
    let folder = Folder::new();
    let store = folder.open();
    let kept = |name: &str, digest: u8, expires_at| Kept {
        digest: [digest; 32],
        token: Token {
            name: name.into(),
            scope: Scope::Operator,
            created_at: 5,
            created_by: Actor::Token("admin".into()),
            expires_at,
        },
    };
    let (first, second) = (kept("ci", 1, Some(9)), kept("anna", 2, None));
    for token in [&first, &second] {
        store.save(vec![Change::Token(Box::new(token.clone()))]).await.expect("saved");
    }
    for other in [kept("ci", 3, None), kept("x", 1, None)] {
        assert!(store.save(vec![Change::Token(Box::new(other))]).await.is_err());
    }
    store.close().await.expect("closed");
    drop(store);
    let store = folder.open();
    assert_eq!(store.tokens().await.expect("tokens"), [second.clone(), first]);
    store.save(vec![Change::TokenDeleted("ci".into())]).await.expect("saved");
    assert_eq!(store.tokens().await.expect("tokens"), [second]);
}

#[tokio::test]
async fn public_keys_are_kept_in_the_order_in_which_they_came() {
    let folder = Folder::new();
    let store = folder.open();
    let kept = |last: char| AddedKey {
        key: PublicKey::parse(&format!(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZ{last}"
        ))
        .expect("a key"),
        comment: "anna@laptop".into(),
        at: 5,
        by: Actor::Operator("root".into()),
    };
    let keys = [kept('M'), kept('J')];
    for key in &keys {
        store.save(vec![Change::SshKey(Box::new(key.clone()))]).await.expect("saved");
        assert!(store.save(vec![Change::SshKey(Box::new(key.clone()))]).await.is_err(), "it is there");
    }
    store.close().await.expect("closed");
    drop(store);
    let store = folder.open();
    assert_eq!(store.ssh_keys().await.expect("keys"), keys);
    store.save(vec![Change::SshKeyDeleted(keys[0].key.fingerprint())]).await.expect("saved");
    assert_eq!(store.ssh_keys().await.expect("keys"), keys[1..]);
}
