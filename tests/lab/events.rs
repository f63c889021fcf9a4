//! The daemon's event stream as a log that can be waited on.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ironwake_api::{Event, EventKind, MacAddr, Stage, StageKind};

use super::error::LabError;
use super::process::Piped;

/// How often a waiter looks whether the machine and the daemon still run.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    /// Lines that are no events.
    odd_lines: Vec<String>,
    /// The stream's program has ended.
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every event of the daemon, in order, since it started.
#[derive(Debug)]
pub struct EventLog {
    shared: Arc<Shared>,
    follower: Option<Piped>,
    errors: PathBuf,
}

impl EventLog {
    /// An empty log; what the stream's program says on standard error goes to `errors`.
    pub fn new(errors: &Path) -> Self {
        Self { shared: Arc::default(), follower: None, errors: errors.to_owned() }
    }

    /// Follows the stream by `command` (`ironwake events --follow --json --after N`), in place of the one before.
    pub fn follow(&mut self, mut command: Command) -> Result<(), LabError> {
        self.follower = None;
        let last = self.shared.lock().events.last().map_or(0, |event| event.id);
        command.args(["events", "--follow", "--json", "--after", &last.to_string()]);
        let mut follower = Piped::start("ironwake events", command, &self.errors)?;
        let stdout = follower.0.stdout.take();
        self.follower = Some(follower);
        self.shared.lock().ended = false;
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok)
            {
                shared.take(&line);
            }
            shared.lock().ended = true;
            shared.changed.notify_all();
        });
        Ok(())
    }

    /// Whether the stream's program has ended, so that it has to be started again.
    pub fn ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.shared.lock().events.len()
    }

    /// Events from number `from` on.
    pub fn since(&self, from: usize) -> Vec<Event> {
        self.shared.lock().events.get(from..).unwrap_or_default().to_vec()
    }

    /// Lines that were no events.
    pub fn odd_lines(&self) -> Vec<String> {
        self.shared.lock().odd_lines.clone()
    }

    /// Event number `at`, once it is there; `None` after [`LOOK_EVERY`] or at the deadline.
    pub fn wait(&self, at: usize, deadline: Instant) -> Option<Event> {
        let until = deadline.min(Instant::now() + LOOK_EVERY);
        let mut inner = self.shared.lock();
        loop {
            if let Some(event) = inner.events.get(at) {
                return Some(event.clone());
            }
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            inner = self.shared.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn take(&self, line: &str) {
        let mut inner = self.lock();
        match serde_json::from_str::<Event>(line) {
            // A stream that is taken up again may repeat its last events.
            Ok(event) if inner.events.last().is_none_or(|last| last.id < event.id) => {
                inner.events.push(event)
            }
            Ok(_) => {}
            Err(error) => inner.odd_lines.push(format!("{line} ({error})")),
        }
        drop(inner);
        self.changed.notify_all();
    }
}

/// Which events concern a machine: those of its addresses, and those of the records that these belong to.
#[derive(Debug, Clone)]
pub struct Concern {
    macs: Vec<MacAddr>,
    ids: BTreeSet<String>,
}

impl Concern {
    /// Events of a machine with these addresses.
    pub fn new(macs: Vec<MacAddr>) -> Self {
        Self { macs, ids: BTreeSet::new() }
    }

    /// Whether `event` concerns the machine; learns its record's id on the way.
    pub fn with(&mut self, event: &Event) -> bool {
        let by_mac = mac_of(&event.kind).is_some_and(|mac| self.macs.contains(&mac));
        let by_absorbed =
            matches!(&event.kind, EventKind::MachineAbsorbed { other } if self.ids.contains(other));
        if let (true, Some(id)) = (by_mac || by_absorbed, &event.machine) {
            self.ids.insert(id.clone());
        }
        by_mac || event.machine.as_ref().is_some_and(|id| self.ids.contains(id))
    }

    /// Ids of the machine's record, where known.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }
}

fn mac_of(kind: &EventKind) -> Option<MacAddr> {
    match kind {
        EventKind::MachineSeen { mac }
        | EventKind::AttemptStarted { mac, .. }
        | EventKind::AttemptStage { mac, .. } => Some(*mac),
        EventKind::AttemptEnded { attempt } => Some(attempt.mac),
        _ => None,
    }
}

/// An event as one line for people, without its time.
pub fn event_line(kind: &EventKind) -> String {
    match kind {
        EventKind::AttemptStage { stage, .. } => stage_line(stage),
        EventKind::AttemptStarted { .. } => "boot attempt begins".into(),
        EventKind::AttemptEnded { attempt } => {
            let outcome = format!("boot attempt ends: {:?}", attempt.outcome).to_lowercase();
            match &attempt.diagnosis {
                Some(found) => format!("{outcome} ({}: {}; {})", found.code, found.message, found.remedy),
                None => outcome,
            }
        }
        EventKind::MachineSeen { mac } => format!("machine seen by {mac}"),
        EventKind::Enrolment { from, to, by } => {
            format!("enrolment {from:?} → {to:?} by {by}").to_lowercase()
        }
        EventKind::Inventory { changes, first: false, .. } => {
            format!("inventory is in, {} changes", changes.len())
        }
        EventKind::Inventory { .. } => "inventory is in".into(),
        EventKind::OperationMade { work, .. } => format!("{work} is made"),
        EventKind::OperationChanged { work, from, to, cause, .. } => format!("{work} {from} → {to}: {cause}"),
        EventKind::OperationProgress { progress, what, .. } => {
            format!("{what}, {} bytes, {} MB/s", progress.done_bytes, progress.bytes_per_sec / 1_000_000)
        }
        // The command has a sentence for each.
        other => ironwake::cli::sentence(other),
    }
}

/// A stage as one line for people, without its time.
pub fn stage_line(stage: &Stage) -> String {
    let text = match &stage.kind {
        StageKind::Dhcp { message, answer, address, file, why } => {
            let answer = answer.as_deref().unwrap_or("silence");
            let what: Vec<&str> = [address, file].into_iter().flatten().map(String::as_str).collect();
            format!("dhcp {message} → {answer} {} ({why})", what.join(" "))
        }
        StageKind::Tftp { file, bytes, size, duration_ms, retries, aborted } => {
            let end = aborted.as_ref().map(|why| format!(", aborted: {why}")).unwrap_or_default();
            format!("tftp {file} {bytes} of {size} bytes in {duration_ms} ms, {retries} resends{end}")
        }
        StageKind::Http { method, path, status, bytes, duration_ms, plan } => {
            let plan = plan.as_ref().map(|plan| format!(" → {plan}")).unwrap_or_default();
            format!("http {method} {path} {status}, {bytes} bytes in {duration_ms} ms{plan}")
        }
        StageKind::Agent { message, failed } => {
            format!("agent {}{message}", if *failed { "failed: " } else { "" })
        }
        StageKind::Inventory { .. } => "inventory posted".into(),
    };
    let repeats = if stage.repeats > 0 { format!(" ×{}", stage.repeats + 1) } else { String::new() };
    format!("{:<8} {text}{repeats}", format!("{:?}", stage.client).to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str =
        r#"{"id":1,"at":5,"actor":"machine","machine":"a","kind":"machine_seen","mac":"52:54:00:00:00:01"}"#;
    const INVENTORY: &str = r#"{"id":2,"at":6,"actor":"machine","machine":"a","kind":"inventory","inventory":1,"changes":[],"first":true}"#;

    #[test]
    fn every_event_is_a_sentence() {
        let order = r#"{"kind":"order_given","order":"reboot"}"#;
        let made = r#"{"kind":"operation_waits","operation":"o-1","batch":"b-2"}"#;
        for (json, expected) in [(order, "ordered: reboot"), (made, "1 waits for its turn in batch 2")] {
            assert_eq!(event_line(&serde_json::from_str(json).expect("an event")), expected);
        }
    }

    #[test]
    fn a_machine_is_followed_by_its_address_and_then_by_its_id() {
        let shared = Shared::default();
        for line in [INVENTORY.replace("\"a\"", "\"b\"").as_str(), "odd", SEEN, SEEN, INVENTORY] {
            shared.take(&line.replace(
                "\"id\":2,\"at\":6,\"actor\":\"machine\",\"machine\":\"b\"",
                "\"id\":0,\"at\":6,\"actor\":\"machine\",\"machine\":\"b\"",
            ));
        }
        let inner = shared.lock();
        assert_eq!((inner.events.len(), inner.odd_lines.len()), (3, 1));
        let mut concern = Concern::new(vec![MacAddr([0x52, 0x54, 0, 0, 0, 1])]);
        let seen: Vec<bool> = inner.events.iter().map(|event| concern.with(event)).collect();
        assert_eq!(seen, [false, true, true]);
    }
}
