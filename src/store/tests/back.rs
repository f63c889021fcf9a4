//! Going back to a copy from before a later version's migration.

use super::*;

/// Has the database at this path look as a later version leaves it, with one more event.
fn later(path: &Path) {
    let db = Connection::open(path).expect("opened");
    db.pragma_update(None, "user_version", SCHEMA_VERSION + 1).expect("set");
    db.execute("CREATE TABLE of_later (id INTEGER)", []).expect("made");
}

async fn tell(store: &Store, version: &str) {
    let kind = EventKind::DaemonStarted { version: version.into() };
    let event = NewEvent { at: 7, actor: Actor::Daemon, machine: None, kind };
    store.save(vec![Change::Event(Box::new(event))]).await.expect("saved");
}

async fn versions(store: &Store) -> Vec<String> {
    let events = store.events_after(0, None, 100).await.expect("read");
    let version = |event: Event| match event.kind {
        EventKind::DaemonStarted { version } => version,
        other => panic!("{other:?}"),
    };
    events.into_iter().map(version).collect()
}

/// A store that has told "a", a snapshot of that by version 0.1.0, and "b" told behind it.
async fn with_a_snapshot(folder: &Folder) -> (Store, PathBuf) {
    let snapshots = folder.folder.path().join("update");
    let store = folder.open();
    tell(&store, "a").await;
    store.snapshot(snapshot_path(&snapshots, "0.1.0")).await.expect("made while it is in use");
    tell(&store, "b").await;
    (store, snapshots)
}

#[tokio::test]
async fn an_earlier_version_takes_up_its_snapshot_and_keeps_what_a_later_one_wrote() {
    let folder = Folder::new();
    let (store, snapshots) = with_a_snapshot(&folder).await;
    store.close().await.expect("closed");
    drop(store);
    later(&folder.path());
    let error = Store::open(&folder.path()).err().expect("refused").to_string();
    assert!(error.contains("run the later Ironwake"), "{error}");

    let (store, went_back) = Store::open_or_go_back(&folder.path(), &snapshots).expect("opened");
    let went_back = went_back.expect("it went back");
    assert_eq!((went_back.last_event, went_back.events_lost), (Some((1, 7)), 1));
    assert_eq!(went_back.from, snapshot_path(&snapshots, "0.1.0"));
    assert_eq!(versions(&store).await, ["a"]);
    store.close().await.expect("closed");
    drop(store);
    let aside = Connection::open(&went_back.aside).expect("it is kept");
    let events: i64 = aside.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).expect("read");
    assert_eq!(events, 2);
    let (store, went_back) = Store::open_or_go_back(&folder.path(), &snapshots).expect("opened");
    assert_eq!(went_back, None, "once");
    drop(store);
}

#[tokio::test]
async fn the_copy_before_a_migration_counts_where_it_knows_more() {
    let folder = Folder::new();
    let (store, snapshots) = with_a_snapshot(&folder).await;
    store.snapshot(migrate::copy_path(&folder.path(), SCHEMA_VERSION)).await.expect("made");
    drop(store);
    later(&folder.path());
    let (store, went_back) = Store::open_or_go_back(&folder.path(), &snapshots).expect("opened");
    assert_eq!(went_back.expect("it went back").events_lost, 0);
    assert_eq!(versions(&store).await, ["a", "b"]);
}

#[tokio::test]
async fn the_same_schema_is_left_alone_and_no_copy_is_an_error() {
    let folder = Folder::new();
    let (store, snapshots) = with_a_snapshot(&folder).await;
    drop(store);
    let (store, went_back) = Store::open_or_go_back(&folder.path(), &snapshots).expect("opened");
    assert_eq!((went_back, versions(&store).await.len()), (None, 2));
    drop(store);
    fs::remove_dir_all(&snapshots).expect("removed");
    later(&folder.path());
    let error = Store::open_or_go_back(&folder.path(), &snapshots).err().expect("refused");
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    assert!(folder.path().exists());
}

#[tokio::test]
async fn going_back_goes_on_where_the_power_went() {
    let folder = Folder::new();
    let store = folder.open();
    tell(&store, "a").await;
    drop(store);
    let mut restoring = folder.path().into_os_string();
    restoring.push(".restoring");
    fs::rename(folder.path(), &restoring).expect("renamed");
    let (store, _) = Store::open_or_go_back(&folder.path(), folder.folder.path()).expect("opened");
    assert_eq!(versions(&store).await, ["a"]);
}

#[tokio::test]
async fn two_snapshots_are_kept() {
    let folder = Folder::new();
    let snapshots = folder.folder.path().join("update");
    let store = folder.open();
    for version in ["1", "2", "3"] {
        store.snapshot(snapshot_path(&snapshots, version)).await.expect("made");
    }
    assert_eq!(fs::read_dir(&snapshots).expect("a folder").count(), 2);
    assert!(snapshot_path(&snapshots, "3").exists());
}
