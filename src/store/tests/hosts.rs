//! What runs on machines: kept by machine, gone with it, and taken along from operations of an older database.

use ironwake_api::Host;

use super::*;
use crate::operation::HostRecord;

fn record(machine: &str, boot_id: &str) -> HostRecord {
    HostRecord {
        machine: machine.into(),
        operation: "o1".into(),
        arming: 2,
        host: Host { at: 7, from: "10.0.0.1".into(), boot_id: Some(boot_id.into()), ..Host::default() },
        heartbeat_secs: Some(300),
        silent: false,
    }
}

#[tokio::test]
async fn a_host_is_kept_by_its_machine_and_goes_with_it() {
    let folder = Folder::new();
    let store = folder.open();
    let host = |host: HostRecord| Change::Host(Box::new(host));
    store.save(vec![put("m1", None), put("m2", None), put("m3", None)]).await.expect("saved");
    for each in [record("m1", "a"), record("m2", "a"), record("m3", "a"), record("m1", "b")] {
        store.save(vec![host(each)]).await.expect("saved");
    }
    assert!(store.save(vec![host(record("none", "a"))]).await.is_err(), "no host without a machine");
    let gone = vec![Change::HostGone("m2".into()), Change::MachineDeleted("m3".into())];
    store.save(gone).await.expect("saved");
    store.close().await.expect("closed");
    assert_eq!(folder.open().hosts().await.expect("hosts"), [record("m1", "b")]);
}

#[tokio::test]
async fn hosts_of_an_older_database_are_those_that_nothing_has_written_over() {
    let folder = Folder::new();
    let db = Connection::open(folder.path()).expect("a database");
    for step in [
        include_str!("../migrations/0001.sql"),
        include_str!("../migrations/0002.sql"),
        include_str!("../migrations/0003.sql"),
        include_str!("../migrations/0004.sql"),
        include_str!("../migrations/0005.sql"),
        include_str!("../migrations/0006.sql"),
        include_str!("../migrations/0007.sql"),
        include_str!("../migrations/0008.sql"),
        include_str!("../migrations/0009.sql"),
        include_str!("../migrations/0010.sql"),
        "PRAGMA journal_mode = wal; PRAGMA user_version = 10;",
    ] {
        db.execute_batch(step).expect("version 10");
    }
    for machine in ["m1", "m2", "m3"] {
        db.execute("INSERT INTO machines VALUES (?1, NULL, 1, ?2)", [machine, &machine_text(machine)])
            .expect("a machine");
    }
    let host = r#"{"at": 7, "from": "10.0.0.1", "addresses": ["10.0.0.1"], "boot_id": "b"}"#;
    for (id, machine, kind, wrote, host) in [
        ("o1", "m1", "rebuild", true, "null"),
        ("o2", "m1", "rebuild", true, host),
        ("o3", "m1", "inspect", false, "null"),
        ("o4", "m2", "rebuild", true, host),
        ("o5", "m2", "wipe", true, "null"),
        ("o6", "m3", "rebuild", true, "null"),
    ] {
        let doc = format!(
            r#"{{"armings": 3, "operation": {{"kind": "{kind}", "may_have_written": {wrote}, "host": {host}}}}}"#
        );
        db.execute("INSERT INTO operations VALUES (?1, ?2, 0, ?3)", [id, machine, &doc])
            .expect("an operation");
    }
    drop(db);
    let expected = HostRecord {
        machine: "m1".into(),
        operation: "o2".into(),
        arming: 3,
        host: Host {
            at: 7,
            from: "10.0.0.1".into(),
            addresses: vec!["10.0.0.1".into()],
            boot_id: Some("b".into()),
            ..Host::default()
        },
        heartbeat_secs: None,
        silent: false,
    };
    assert_eq!(folder.open().hosts().await.expect("hosts"), [expected]);
}

fn machine_text(id: &str) -> String {
    serde_json::to_string(&machine(id, None)).expect("JSON")
}
