//! The clock of the real daemon is set while something is armed, by libfaketime: the clock that counts from the start of the
//! system goes on, as it does on a host.

mod loopback;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ironwake_api::client::Client;
use ironwake_api::{EventKind, Millis, OperationKind, OperationNew, OperationState};
use loopback::{Daemon, PATIENCE, free_port};

/// Debian's libfaketime.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const HOUR: Millis = 3_600_000;
const YEAR: Millis = 365 * 24 * HOUR;
/// Between two questions, on a loaded host.
const SLACK: Millis = 60_000;

struct Clock(PathBuf);

impl Clock {
    /// Sets it by so much against the host's.
    fn set(&self, by: &str) {
        let partial = self.0.with_extension("partial");
        fs::write(&partial, format!("{by}\n")).expect("written");
        fs::rename(&partial, &self.0).expect("renamed");
    }
}

fn start(folder: &Path, clock: &Clock) -> Daemon {
    let environment = [
        ("LD_PRELOAD", Path::new(LIBRARY)),
        ("FAKETIME_TIMESTAMP_FILE", &clock.0),
        ("FAKETIME_NO_CACHE", Path::new("1")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", Path::new("1")),
    ];
    Daemon::start_at(folder, free_port(), "", &environment)
}

/// The last jump, once there are so many.
async fn jump(client: &Client, count: usize) -> (Millis, Millis) {
    let end = Instant::now() + PATIENCE;
    loop {
        let events = client.events(&Default::default()).await.expect("events");
        let jumps = events.into_iter().filter_map(|event| match event.kind {
            EventKind::ClockJumped { from, to } => Some((from, to)),
            _ => None,
        });
        let jumps: Vec<_> = jumps.collect();
        if jumps.len() >= count {
            return *jumps.last().expect("one");
        }
        assert!(Instant::now() < end, "{} jumps", jumps.len());
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arming_outlasts_no_clock_that_is_set() {
    assert!(
        Path::new(LIBRARY).exists(),
        "{LIBRARY} is not there: ./dev setup installs the package libfaketime"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock(folder.path().join("faketime"));
    clock.set("+0");
    let daemon = start(folder.path(), &clock);
    let client = Client::new(folder.path().join("api.sock"));
    daemon.check(&["machine", "add", "--mac", "52:54:00:00:00:01", "--name", "node-1"], 0, "", "");
    daemon.check(&["machine", "enroll", "node-1"], 0, "", "");
    let new = OperationNew {
        kind: OperationKind::Inspect,
        profile: None,
        variables: Default::default(),
        disks: Vec::new(),
        arm: true,
        armed_secs: Some(3600),
    };
    let armed = client.operate("node-1", &new).await.expect("armed");
    let ends = |armed: &ironwake_api::Operation| armed.arming.as_ref().expect("an arming").expires_at;
    let first = ends(&armed);

    clock.set("+365d");
    let (from, to) = jump(&client, 1).await;
    assert!((to - from).abs_diff(YEAR) < SLACK, "{from} {to}");
    let moved = client.operation(&armed.id).await.expect("an operation");
    assert_eq!(moved.state, OperationState::PxeReady);
    assert_eq!(ends(&moved) - first, to - from, "it lasts as long as it did");

    // While no daemon runs, it is set back.
    daemon.terminate();
    clock.set("+0");
    let daemon = start(folder.path(), &clock);
    let (from, to) = jump(&client, 2).await;
    assert!((from - to).abs_diff(YEAR) < SLACK, "{from} {to}");
    let back = client.operation(&armed.id).await.expect("an operation");
    assert_eq!(back.state, OperationState::PxeReady);
    assert!(ends(&back).abs_diff(first) < 2_000, "{} {first}", ends(&back));

    // By years: it is armed still, and ids of what is made are behind those before.
    clock.set("-7200d");
    jump(&client, 3).await;
    assert_eq!(client.operation(&armed.id).await.expect("it").state, OperationState::PxeReady);
    client.cancel(&armed.id).await.expect("cancelled");
    let later = client.operate("node-1", &OperationNew { arm: false, ..new }).await.expect("made");
    assert!(later.id > armed.id, "{} {}", later.id, armed.id);
    daemon.check(&["events"], 0, "the clock was set from", "");
}
