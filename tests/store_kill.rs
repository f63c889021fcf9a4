//! `kill -9` in the middle of saving: this test binary runs itself as the daemon that is killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ironwake::store::{Change, NewEvent, Store};
use ironwake_api::{Actor, Event, EventKind, Lease, LeaseState, MacAddr, Machine};

/// Tells the child where its store is.
const STORE: &str = "IRONWAKE_TEST_CRASH_STORE";
/// Tells the child its first number.
const FIRST: &str = "IRONWAKE_TEST_CRASH_FIRST";
/// Saves under way at once in the child.
const SAVERS: u32 = 16;
/// Kills, each after another count of acknowledged saves.
const ROUNDS: [usize; 4] = [1, 40, 333, 1500];

#[test]
fn parity_pv19_invariant_4_kill_9_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ironwake.db");
    let mut acknowledged = BTreeSet::new();
    for (round, count) in ROUNDS.into_iter().enumerate() {
        acknowledged.extend(run_and_kill(&path, round as u32 * 1_000_000, count));
        check(&path, &acknowledged);
    }
    assert!(acknowledged.len() >= ROUNDS.iter().sum());
}

/// Kills a saving child after `count` answers; the numbers of all that it had answered.
fn run_and_kill(path: &Path, first: u32, count: usize) -> Vec<u32> {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "child_that_saves_until_it_is_killed", "--nocapture"])
        .env(STORE, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut acknowledged = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        if output.read_line(&mut line).expect("read") == 0 {
            break;
        }
        // A line without its end was cut off by the kill: the answer had not left yet.
        if let Some(number) = line.strip_prefix("saved ").and_then(|rest| rest.strip_suffix('\n')) {
            acknowledged.push(number.parse().expect("a number"));
            if acknowledged.len() == count {
                child.kill().expect("SIGKILL");
            }
        }
    }
    let status = child.wait().expect("it ended");
    assert!(!status.success() && acknowledged.len() >= count, "{status}: {} answers", acknowledged.len());
    acknowledged
}

fn check(path: &Path, acknowledged: &BTreeSet<u32>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(path).expect("it opens after a kill");
        let machines: BTreeSet<String> =
            store.machines().await.expect("machines").into_iter().map(|machine| machine.id).collect();
        let leases: BTreeSet<String> =
            store.leases().await.expect("leases").into_iter().map(|lease| lease.address).collect();
        let mut events = Vec::new();
        loop {
            let after = events.last().map_or(0, |event: &Event| event.id);
            match store.events_after(after, None, 1000).await.expect("events") {
                page if page.is_empty() => break,
                page => events.extend(page),
            }
        }
        for number in acknowledged {
            assert!(machines.contains(&number.to_string()), "machine {number} is lost");
            assert!(leases.contains(&lease(*number).address), "lease {number} is lost");
        }
        // A save is there whole or not at all, acknowledged or not.
        assert_eq!((machines.len(), leases.len()), (events.len(), events.len()));
        assert!(events.is_sorted_by(|a, b| a.id < b.id));
        store.close().await.expect("closed");
    });
}

/// Does nothing unless the test above runs it.
#[test]
fn child_that_saves_until_it_is_killed() {
    let (Ok(path), Ok(first)) = (std::env::var(STORE), std::env::var(FIRST)) else { return };
    let first: u32 = first.parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(Path::new(&path)).expect("the store opens");
        let savers = (0..SAVERS).map(|saver| {
            let store = store.clone();
            async move {
                for number in (first + saver..).step_by(SAVERS as usize) {
                    let id = number.to_string();
                    let changes = vec![machine(&id), Change::Lease(Box::new(lease(number))), event(&id)];
                    store.save(changes).await.expect("saved");
                    writeln!(std::io::stdout(), "saved {number}").expect("told");
                }
            }
        });
        futures_util::future::join_all(savers).await;
    });
}

fn machine(id: &str) -> Change {
    Change::Machine(Box::new(Machine::new(id, 1)))
}

fn lease(number: u32) -> Lease {
    Lease {
        address: std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string(),
        network: "br0".into(),
        mac: MacAddr([2, 0, 0, (number >> 16) as u8, (number >> 8) as u8, number as u8]),
        client_id: None,
        hostname: None,
        state: LeaseState::Bound,
        renewed_at: 1000,
        expires_at: 2000,
    }
}

fn event(machine: &str) -> Change {
    let kind = EventKind::MachineRegistered;
    Change::Event(Box::new(NewEvent { at: 7, actor: Actor::Daemon, machine: Some(machine.into()), kind }))
}
