//! Shells on machines in rescue: an operator's wish is handed to the agent that waits for one, and every shell is noted
//! when it opens and when it closes.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ironwake_api::{Actor, EventKind, Operation, OperationKind, OperationState, ShellFrame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Site, SiteError};
use crate::operation::{Record, Trigger};
use crate::store::Change;

/// Shells on one machine at once: two operators with two each.
pub const SHELLS_MAX: usize = 4;
/// How long an operator waits for the agent: it may be between two questions, or its last one may have died with
/// its connection.
const OPENING_MAX: Duration = Duration::from_secs(20);
/// How long one answer of the agent may take.
const READY_MAX: Duration = Duration::from_secs(8);

/// Why there is no rescue.
pub(super) const NO_SHELL: &str =
    "the discovery image has no shell: its boot files lack busybox, which `./dev setup --refresh` fetches";

/// A connection to an agent.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What an operator waits for: whoever has it may send a connection once.
pub type Wish = oneshot::Sender<Box<dyn Wire>>;

/// Where operators and the agent of one operation meet.
struct Door {
    wishes: mpsc::Sender<Wish>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Wish>>,
    places: Arc<Semaphore>,
    /// Cancelled when the operation ends.
    ended: CancellationToken,
}

/// The doors of all operations, by id.
#[derive(Default)]
pub(super) struct Shells {
    doors: Mutex<HashMap<String, Arc<Door>>>,
    opened: AtomicU64,
    /// One for each shell, from the wish for it until its end is noted.
    tasks: TaskTracker,
}

impl Shells {
    fn door(&self, operation: &str) -> Arc<Door> {
        let mut doors = self.doors.lock().expect("no panic while held");
        let made = || {
            let (wishes, waiting) = mpsc::channel(SHELLS_MAX);
            Arc::new(Door {
                wishes,
                waiting: tokio::sync::Mutex::new(waiting),
                places: Arc::new(Semaphore::new(SHELLS_MAX)),
                ended: CancellationToken::new(),
            })
        };
        doors.entry(operation.to_owned()).or_insert_with(made).clone()
    }

    /// The operation has ended: so do its shells.
    pub fn close(&self, operation: &str) {
        if let Some(door) = self.doors.lock().expect("no panic while held").remove(operation) {
            door.ended.cancel();
        }
    }
}

/// A shell that is open; [`Site::shell_closed`] is owed for it.
pub struct Shell {
    /// The connection to the agent, past its [`ShellFrame::Ready`].
    pub wire: Box<dyn Wire>,
    /// Cancelled when the operation ends.
    pub ended: CancellationToken,
    /// What is noted of it.
    pub note: ShellNote,
}

/// Who opened which shell, and when. It holds the shell's place until the end is noted.
#[derive(Debug)]
pub struct ShellNote {
    place: OwnedSemaphorePermit,
    operation: String,
    machine: String,
    shell: u64,
    actor: Actor,
    opened_at: Instant,
}

/// What went over a shell, and why it closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellTraffic {
    /// Bytes that the operator sent.
    pub sent_bytes: u64,
    /// Bytes that the machine sent.
    pub received_bytes: u64,
    /// A sentence without a full stop.
    pub reason: &'static str,
}

impl Site {
    /// Whether the discovery image has a shell; one that is not built yet will show.
    pub(super) fn has_shell(&self) -> bool {
        let discovery = self.discovery.read().expect("no panic while held");
        discovery.as_ref().is_none_or(|image| image.files.rescue.is_some())
    }

    /// Takes an operation back. A rescue in which a shell was opened is done instead: nobody knows that nothing was
    /// written.
    pub async fn cancel(&self, id: &str, actor: Actor) -> Result<Operation, SiteError> {
        let (operation, effects) = {
            let _gate = self.gate.lock().await;
            let record = self.stored(id).await?;
            let trigger = match record.operation.may_have_written && running(&record).is_ok() {
                true => Trigger::Finished { what: "an operator ended it".into() },
                false => Trigger::Cancel { why: None },
            };
            self.advance(record, &trigger, &actor, |_| {}).await?
        };
        self.perform(&operation, &effects).await;
        Ok(operation)
    }

    /// For an agent in rescue: waits for an operator who wants a shell. `None` where nobody does within `wait`.
    pub async fn shell_wanted(
        &self,
        id: &str,
        token: &str,
        from: Ipv4Addr,
        wait: Duration,
    ) -> Result<Option<Wish>, SiteError> {
        let record = self.stored(id).await?;
        if !self.is_work_token(&record, id, token) {
            return Err(self.token_refused(&record, from, "a shell was offered with a wrong token"));
        }
        if record.taker.is_none_or(|taker| taker.from != from) {
            let reason = "a shell was offered from an address that did not take the work";
            return Err(self.token_refused(&record, from, reason));
        }
        running(&record)?;
        let door = self.shells.door(id);
        let next = async {
            let mut waiting = door.waiting.lock().await;
            loop {
                match waiting.recv().await {
                    // An operator who has gone does not wait.
                    Some(wish) if wish.is_closed() => {}
                    wish => return wish,
                }
            }
        };
        tokio::select! {
            wish = tokio::time::timeout(wait, next) => Ok(wish.ok().flatten()),
            () = door.ended.cancelled() => Err(SiteError::Conflict(format!("operation {id} has ended"))),
        }
    }

    /// Runs a shell's task, which [`Self::shells_ended`] waits for: whoever wanted the shell may be gone any moment, and what
    /// was noted as opened is noted as closed all the same.
    pub fn spawn_shell(&self, shell: impl Future<Output = ()> + Send + 'static) {
        self.shells.tasks.spawn(shell);
    }

    /// Waits for the shells that there are. What ends them is up to who spawned them.
    pub async fn shells_ended(&self) {
        self.shells.tasks.close();
        self.shells.tasks.wait().await;
    }

    /// Opens a shell on a machine in rescue, once its agent has answered; until then `closed` ends the wish, with the reason.
    /// That it was opened is in the store when this returns.
    pub async fn open_shell(
        &self,
        machine: &str,
        actor: Actor,
        closed: impl Future<Output = &'static str>,
    ) -> Result<Shell, SiteError> {
        let machine = self.machine(machine)?;
        let (called, machine) = (machine.called(), machine.id);
        let rescue = self.operations.of_machine(&machine);
        let rescue = rescue.filter(|record| record.operation.kind == OperationKind::Rescue);
        let record = rescue.ok_or_else(|| {
            SiteError::Conflict(format!(
                "machine {called} is not in rescue: `ironwake rescue {called}` lets its next boot be one"
            ))
        })?;
        running(&record)?;
        let operation = record.operation.id;
        let door = self.shells.door(&operation);
        let place = door.places.clone().try_acquire_owned();
        let place =
            place.map_err(|_| SiteError::Full { what: "shells on this machine", limit: SHELLS_MAX })?;
        let wire = tokio::select! {
            wire = tokio::time::timeout(OPENING_MAX, ready_wire(&door)) => wire,
            reason = closed => return Err(SiteError::Conflict(format!("the shell was not opened: {reason}"))),
        };
        let wire = wire.ok().flatten().ok_or_else(|| {
            SiteError::Conflict(format!("the agent of machine {called} does not answer: is it still on?"))
        })?;
        let shell = self.shells.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let note = ShellNote { place, operation, machine, shell, actor, opened_at: Instant::now() };
        self.shell_opened(&note).await?;
        Ok(Shell { wire, ended: door.ended.clone(), note })
    }

    /// From here on the machine's disks may change, and it stands in the records who could have changed them.
    async fn shell_opened(&self, note: &ShellNote) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        let mut record = self.stored(&note.operation).await?;
        running(&record)?;
        record.operation.may_have_written = true;
        let kind = EventKind::ShellOpened { operation: note.operation.clone(), shell: note.shell };
        let event = self.event(note.actor.clone(), Some(&note.machine), kind);
        self.store.save(vec![Change::Operation(Box::new(record.clone())), event]).await?;
        self.operations.put(record);
        Ok(())
    }

    /// Notes that a shell is closed.
    pub async fn shell_closed(&self, note: ShellNote, traffic: ShellTraffic) -> Result<(), SiteError> {
        let ShellNote { place, operation, machine, shell, actor, opened_at } = note;
        let ShellTraffic { sent_bytes, received_bytes, reason } = traffic;
        let secs = opened_at.elapsed().as_secs();
        let reason = reason.to_owned();
        let kind = EventKind::ShellClosed { operation, shell, secs, sent_bytes, received_bytes, reason };
        drop(place);
        Ok(self.store.save(vec![self.event(actor, Some(&machine), kind)]).await?)
    }
}

/// A connection whose other end has just shown that it is there.
async fn ready_wire(door: &Door) -> Option<Box<dyn Wire>> {
    let ready = ShellFrame::Ready.encode();
    loop {
        let (wish, wire) = oneshot::channel();
        door.wishes.send(wish).await.ok()?;
        let answered = async {
            let mut wire = wire.await.ok()?;
            let mut first = vec![0; ready.len()];
            wire.read_exact(&mut first).await.ok()?;
            (first == ready).then_some(wire)
        };
        if let Ok(Some(wire)) = tokio::time::timeout(READY_MAX, answered).await {
            return Some(wire);
        }
    }
}

fn running(record: &Record) -> Result<(), SiteError> {
    let operation = &record.operation;
    match (operation.kind, operation.state) {
        (OperationKind::Rescue, OperationState::Installing) => Ok(()),
        (kind, state) => Err(SiteError::Conflict(format!(
            "{kind} {} is {state}: there is a shell once rescue runs, which is state {}",
            operation.id,
            OperationState::Installing
        ))),
    }
}
