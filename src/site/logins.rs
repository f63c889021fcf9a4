//! Keys that operations log in to their hosts with: made when the work is taken or an installer is served, sealed in
//! the store, destroyed at the end.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};

use ironwake_api::{EventKind, Host, Operation, OperationEvent, OperationState};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::rebuild::broken;
use super::{Site, SiteError};
use crate::operation::{Login, Record};
use crate::profile::{RenderedLogin, login};
use crate::remote::ssh::{LoginKey, Target};
use crate::store::Change;

/// What is being done on hosts, by operation.
#[derive(Default)]
pub(super) struct Logins {
    /// Something is to be done: a host has phoned home, or an operation with a key has ended.
    wake: Notify,
    busy: Arc<Mutex<HashMap<String, Busy>>>,
}

struct Busy {
    stop: CancellationToken,
    /// Why it does not get on.
    problem: Option<String>,
    /// The profile's step that is under way.
    step: Option<String>,
}

/// The claim on an operation's host; dropping it gives it back.
pub(super) struct Attended {
    busy: Arc<Mutex<HashMap<String, Busy>>>,
    operation: String,
    /// Cancelled when the operation has ended.
    pub stop: CancellationToken,
}

impl Logins {
    pub fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Resolves once something is to be done, from the call on.
    pub fn woken(&self) -> impl Future<Output = ()> + '_ {
        let mut woken = Box::pin(self.wake.notified());
        woken.as_mut().enable();
        woken
    }

    /// Takes an operation's host for one task; `None` while another has it.
    pub fn attend(&self, operation: &str, shutdown: &CancellationToken) -> Option<Attended> {
        let mut busy = self.busy.lock().expect("no panic while held");
        if busy.contains_key(operation) {
            return None;
        }
        let stop = shutdown.child_token();
        busy.insert(operation.to_owned(), Busy { stop: stop.clone(), problem: None, step: None });
        Some(Attended { busy: self.busy.clone(), operation: operation.to_owned(), stop })
    }

    /// Ends what is being done for an operation.
    fn stop(&self, operation: &str) {
        if let Some(busy) = self.busy.lock().expect("no panic while held").get(operation) {
            busy.stop.cancel();
        }
    }

    /// The profile's step that is under way on an operation's host.
    pub fn step(&self, operation: &str) -> Option<String> {
        self.busy.lock().expect("no panic while held").get(operation)?.step.clone()
    }

    /// Why an operation does not get on with its host.
    pub fn problem(&self, operation: &str) -> Option<String> {
        self.busy.lock().expect("no panic while held").get(operation)?.problem.clone()
    }
}

impl Attended {
    /// Notes which step is under way.
    pub fn begin(&self, step: &str) {
        if let Some(busy) = self.busy.lock().expect("no panic while held").get_mut(&self.operation) {
            busy.step = Some(step.to_owned());
        }
    }

    /// Notes why it does not get on; whether that is another reason than before.
    pub fn note(&self, problem: Option<String>) -> bool {
        let mut busy = self.busy.lock().expect("no panic while held");
        busy.get_mut(&self.operation).is_some_and(|busy| {
            let changed = busy.problem != problem;
            busy.problem = problem;
            changed
        })
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.busy.lock().expect("no panic while held").remove(&self.operation);
    }
}

impl Site {
    /// What an operation does on its host; `http` is where the machine reached us.
    pub(super) async fn rendered_login(
        &self,
        record: &Record,
        http: SocketAddrV4,
    ) -> Result<RenderedLogin, SiteError> {
        let (profile, values, facts) =
            self.rendering(record, &self.machine(&record.operation.machine)?, http)?;
        login(&profile, &values, &facts).map_err(|error| broken(&profile.name, &error))
    }

    /// Gives an operation that has steps its key, once. What is returned is to be saved with the record, before the public
    /// half leaves.
    pub(super) async fn give_login(
        &self,
        record: &mut Record,
        http: SocketAddrV4,
    ) -> Result<Option<Change>, SiteError> {
        if record.rebuild.is_none() || record.login.is_some() {
            return Ok(None);
        }
        if self.rendered_login(record, http).await?.steps.is_empty() {
            return Ok(None);
        }
        let id = record.operation.id.clone();
        let random = |error: getrandom::Error| SiteError::Conflict(format!("read random bytes: {error}"));
        let key = LoginKey::generate().map_err(random)?;
        let mut nonce = [0; crate::operation::NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(random)?;
        let sealed = self.key.seal(&sealed_as(&id), key.seed(), nonce);
        record.login = Some(Login { public_key: key.public_line(&format!("ironwake-{id}")), http });
        Ok(Some(Change::LoginKey { operation: id, sealed }))
    }

    /// The key of an operation, while it has one that can be opened.
    pub(super) async fn login_key(&self, operation: &str) -> Result<Option<LoginKey>, SiteError> {
        let Some(sealed) = self.store.login_key(operation).await? else { return Ok(None) };
        let seed = self.key.open(&sealed_as(operation), &sealed);
        let seed = seed.and_then(|seed| Some(Zeroizing::new(seed.as_slice().try_into().ok()?)));
        Ok(seed.map(LoginKey::from_seed))
    }

    /// What an ended operation leaves of its key, to be saved with that end. A key that opens a host stays until the host
    /// was told (`steps`).
    pub(super) fn end_login(&self, after: &mut Record) -> Vec<Change> {
        let (operation, Some(_)) = (&after.operation, &after.login) else { return Vec::new() };
        let what = match (operation.state, &operation.host) {
            (OperationState::Ready, _) => "the operation's key was removed from the host and destroyed",
            (_, Some(_)) => return Vec::new(),
            (_, None) if operation.may_have_written => {
                "no host phoned home, so the operation's public key may be on the disk; its private half was destroyed"
            }
            (_, None) => "the operation's key was destroyed before a host had it",
        };
        if operation.state != OperationState::Ready {
            note(&mut after.operation, self.now(), what);
        }
        self.destroyed(&after.operation, what)
    }

    /// The key of an ended operation is destroyed, and history says what became of it on the host.
    pub(super) async fn forget_login(&self, id: &str, what: &str) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        let mut record = self.stored(id).await?;
        note(&mut record.operation, self.now(), what);
        let mut changes = self.destroyed(&record.operation, what);
        changes.push(Change::Operation(Box::new(record)));
        // Not put into memory: it has ended, and the machine may have another one by this time.
        Ok(self.store.save(changes).await?)
    }

    /// An operation has changed: what is done on its host ends with it, or begins.
    pub(super) fn login_changed(&self, operation: &Operation) {
        if operation.state.has_ended() {
            self.logins.stop(&operation.id);
        }
        if operation.state.has_ended() || operation.state == OperationState::Joining {
            self.logins.wake();
        }
    }

    fn destroyed(&self, operation: &Operation, what: &str) -> Vec<Change> {
        let kind = EventKind::LoginKeyRemoved { operation: operation.id.clone(), what: what.to_owned() };
        let event = self.event(ironwake_api::Actor::Daemon, Some(&operation.machine), kind);
        vec![Change::LoginKeyDestroyed(operation.id.clone()), event]
    }
}

/// Where a host is logged in to; `None` where it reported from no address.
pub(super) fn target(host: &Host, login: &RenderedLogin) -> Option<Target> {
    let address: IpAddr = host.from.parse().ok()?;
    Some(Target {
        address: SocketAddr::new(address, login.port),
        user: login.user.clone(),
        host_keys: host.ssh_keys.clone(),
    })
}

fn sealed_as(operation: &str) -> String {
    format!("login key of {operation}")
}

/// Something that happened to an operation without changing its state.
fn note(operation: &mut Operation, at: u64, what: &str) {
    operation.history.push(OperationEvent {
        at,
        actor: ironwake_api::Actor::Daemon,
        from: operation.state,
        to: operation.state,
        cause: what.to_owned(),
    });
}
