//! Heartbeats: a host that runs says so, at each boot and as often as its profile has it. Most of these calls change
//! nothing that anybody cares about: they are saved behind, and no event tells of them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use ironwake_api::{Actor, EventKind, Host, Machine, Millis, OperationKind, OperationState, PhoneHome};

use super::phone_home::{host, other_machine};
use super::{Site, SiteError};
use crate::operation::{HostRecord, News, Purpose, Record};
use crate::store::Change;

/// Calls of one address in a minute: a host calls once in that time at most, and a few may stand behind one address.
pub const CALLS_PER_MINUTE_MAX: u32 = 30;
/// Addresses that are counted in a minute: as many as a /16 has.
const ADDRESSES_MAX: usize = 65_536;
const MINUTE: Millis = 60_000;
/// A call that says nothing else than one that was saved so shortly before is not saved.
const PAUSE: Millis = 5_000;
/// Operations of a machine that are looked at for the one that wrote last.
const LOOKED_AT_MAX: u32 = 50;

/// How often who calls.
#[derive(Default)]
pub(super) struct Calls(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    minute: u64,
    by_address: HashMap<Ipv4Addr, u32>,
}

impl Calls {
    /// Whether an address may call once more in this minute.
    fn admit(&self, from: Ipv4Addr, now: Millis) -> bool {
        let mut counts = self.0.lock().expect("no panic while held");
        if counts.minute != now / MINUTE {
            counts.minute = now / MINUTE;
            counts.by_address.clear();
        }
        if counts.by_address.len() >= ADDRESSES_MAX && !counts.by_address.contains_key(&from) {
            return false;
        }
        let calls = counts.by_address.entry(from).or_default();
        *calls += 1;
        *calls <= CALLS_PER_MINUTE_MAX
    }
}

impl Site {
    /// Notes that a host runs, and what it says of itself. What an operator cares about is in the store when this returns.
    pub async fn heartbeat(
        &self,
        id: &str,
        token: &str,
        call: PhoneHome,
        from: Ipv4Addr,
    ) -> Result<(), SiteError> {
        let now = self.now();
        if !self.calls.admit(from, now) {
            return Err(SiteError::TooManyCalls { limit: CALLS_PER_MINUTE_MAX });
        }
        let _gate = self.gate.lock().await;
        let known = self.hosts.of_operation(id);
        let is_good = |known: &HostRecord| self.key.is_token(token, Purpose::Heartbeat, id, known.arming);
        let before = match known.clone().filter(is_good) {
            Some(known) => known,
            None => self.unheard(id, token, from).await?,
        };
        let machine = self.machine(&before.machine)?;
        if let Some(reason) =
            other_machine(&machine, &call).or_else(|| self.other_address(&machine, &call, from))
        {
            return Err(self.refuse_token(id, &before.machine, from, &reason));
        }
        let (after, news) = before.heard(host(&call, from, now));
        self.present(&machine.id, None);
        if news.is_empty() {
            if known.is_none() || now.saturating_sub(before.host.at) >= PAUSE {
                // Lost with a crash: the next call says it again.
                self.save_behind(vec![Change::Host(Box::new(after.clone()))]);
                self.hosts.put(after);
            }
            return Ok(());
        }
        let mut changes = vec![Change::Host(Box::new(after.clone()))];
        changes.extend(self.told(&after, news));
        self.store.save(changes).await?;
        self.hosts.put(after);
        Ok(())
    }

    fn told(&self, after: &HostRecord, news: News) -> Vec<Change> {
        let operation = after.operation.clone();
        let News { booted, changes, silent_for } = news;
        let back = silent_for
            .map(|silent| EventKind::HostBack { operation: operation.clone(), silent_secs: silent / 1000 });
        let changed = match booted {
            Some(boot_id) => Some(EventKind::HostBooted { operation, boot_id, changes }),
            None if changes.is_empty() => None,
            None => Some(EventKind::HostChanged { operation, changes }),
        };
        let kinds = back.into_iter().chain(changed);
        kinds.map(|kind| self.event(Actor::Machine, Some(&after.machine), kind)).collect()
    }

    /// A host that nothing was heard of yet, though it is what runs: its operation failed before it phoned home.
    async fn unheard(&self, id: &str, token: &str, from: Ipv4Addr) -> Result<HostRecord, SiteError> {
        let record = self.stored(id).await?;
        let machine = &record.operation.machine;
        if !self.key.is_token(token, Purpose::Heartbeat, id, record.armings) {
            return Err(self.refuse_token(id, machine, from, "a host called with a wrong token"));
        }
        if !self.runs(&record).await? {
            let reason = "what it has installed is not what runs on the machine";
            return Err(self.refuse_token(id, machine, from, reason));
        }
        if !record.operation.state.has_ended() {
            let message = format!("the host of operation {id} has not reported its first boot");
            return Err(SiteError::Conflict(message));
        }
        Ok(HostRecord::new(&record, Host::default()))
    }

    /// Whether what an operation has installed is what runs on its machine: no other one has begun to write since.
    async fn runs(&self, record: &Record) -> Result<bool, SiteError> {
        let operation = &record.operation;
        let installed = operation.history.iter().any(|event| event.to == OperationState::Installed);
        if operation.kind != OperationKind::Rebuild || !installed {
            return Ok(false);
        }
        let all = self.store.operations(Some(operation.machine.clone()), None, LOOKED_AT_MAX).await?;
        let last = all.iter().find(|other| other.operation.kind.writes() && other.operation.may_have_written);
        Ok(last.is_some_and(|last| last.operation.id == operation.id))
    }

    /// Why a call that does not say whose it is came from another machine's address.
    fn other_address(&self, machine: &Machine, call: &PhoneHome, from: Ipv4Addr) -> Option<String> {
        if !says_nothing(call) {
            return None;
        }
        let mac = self.not_of(machine, from)?;
        let records = self.read();
        let other = records.id_of(mac).filter(|other| *other != machine.id).map(|id| records.called(id))?;
        Some(format!("a host called from {from}, which is the address of machine {other}"))
    }
}

/// Whether a call does not say whose it is.
fn says_nothing(call: &PhoneHome) -> bool {
    call.uuid.is_none() && call.serial.is_none() && call.macs.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Ipv4Addr = Ipv4Addr::LOCALHOST;

    #[test]
    fn an_address_calls_so_often_in_a_minute() {
        let calls = Calls::default();
        for _ in 0..CALLS_PER_MINUTE_MAX {
            assert!(calls.admit(FROM, 0));
        }
        assert!(!calls.admit(FROM, MINUTE - 1));
        assert!(calls.admit(Ipv4Addr::BROADCAST, MINUTE - 1), "others are not concerned");
        assert!(calls.admit(FROM, MINUTE));
    }
}
