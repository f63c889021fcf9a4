//! Orders to agents that wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ironwake_api::{
    Actor, AgentReport, ClientStage, EventKind, Millis, Operation, OperationState, Order, OrderKind,
    StageKind,
};
use tokio::sync::Notify;
use tracing::warn;

use super::{Site, SiteError};
use crate::recorder::Observation;

/// Agents that wait at once: as many as attempts that are followed.
const WAITING_MAX: usize = crate::recorder::RUNNING_MAX;
/// An agent that has not asked for this long does not wait: it asks every 30 seconds.
const WAITS_FOR: Millis = 60_000;
/// A report's text in bytes; the rest is cut.
const REPORT_BYTES_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Orders(Mutex<HashMap<String, Slot>>);

/// What is known of one agent that asks for orders.
#[derive(Default)]
struct Slot {
    /// Kept until the agent is heard doing it, for an answer may be lost on its way.
    order: Option<Order>,
    given: Arc<Notify>,
    /// When it last began to ask, or was answered.
    asked_at: Millis,
    /// The armed operation that this boot of the agent was told to restart for.
    restarts_for: Option<String>,
}

impl Orders {
    /// The agent does what it was told: it reports, or it enrols anew.
    pub fn done(&self, machine: &str) {
        if let Some(slot) = self.0.lock().expect("no panic while held").get_mut(machine) {
            slot.order = None;
        }
    }

    /// An agent enrolled: it may be another boot of the machine, which was told nothing yet.
    pub fn enrolled(&self, machine: &str) {
        if let Some(slot) = self.0.lock().expect("no panic while held").get_mut(machine) {
            slot.order = None;
            slot.restarts_for = None;
        }
    }

    /// Whether a waiting agent has yet to be told to restart for this operation; it counts as told from here on.
    fn owes_restart(&self, machine: &str, operation: &str, now: Millis) -> bool {
        let mut slots = self.0.lock().expect("no panic while held");
        let Some(slot) = slots.get_mut(machine) else { return false };
        let told = slot.restarts_for.as_deref() == Some(operation);
        if told || now.saturating_sub(slot.asked_at) >= WAITS_FOR {
            return false;
        }
        slot.restarts_for = Some(operation.to_owned());
        true
    }

    /// The machine is gone.
    pub fn forget(&self, machine: &str) {
        self.0.lock().expect("no panic while held").remove(machine);
    }

    /// Notes that an agent asks; an order from before it fell silent does not count any more.
    fn asks(&self, machine: &str, now: Millis) -> Result<Arc<Notify>, SiteError> {
        let mut slots = self.0.lock().expect("no panic while held");
        if slots.len() >= WAITING_MAX && !slots.contains_key(machine) {
            slots.retain(|_, slot| now.saturating_sub(slot.asked_at) < WAITS_FOR);
        }
        if slots.len() >= WAITING_MAX && !slots.contains_key(machine) {
            return Err(SiteError::Full { what: "waiting agents", limit: WAITING_MAX });
        }
        let slot = slots.entry(machine.to_owned()).or_default();
        if now.saturating_sub(slot.asked_at) >= WAITS_FOR {
            slot.order = None;
        }
        slot.asked_at = now;
        Ok(slot.given.clone())
    }

    fn order_of(&self, machine: &str) -> Option<Order> {
        self.0.lock().expect("no panic while held").get(machine)?.order.clone()
    }

    fn waits(&self, machine: &str, now: Millis) -> bool {
        let slots = self.0.lock().expect("no panic while held");
        slots.get(machine).is_some_and(|slot| now.saturating_sub(slot.asked_at) < WAITS_FOR)
    }

    fn give(&self, machine: &str, order: Order) {
        let mut slots = self.0.lock().expect("no panic while held");
        if let Some(slot) = slots.get_mut(machine) {
            slot.order = Some(order);
            slot.given.notify_waiters();
        }
    }
}

impl Site {
    /// Waits up to `wait` for an order. The same order comes again until the agent is heard doing it.
    pub async fn next_order(&self, machine: &str, wait: Duration) -> Result<Option<Order>, SiteError> {
        if !self.read().machines.contains_key(machine) {
            return Err(SiteError::NoSuchMachine(machine.to_owned()));
        }
        self.present(machine, None);
        let given = self.orders.asks(machine, self.now())?;
        // It was armed before the agent began to ask, or the daemon was started anew since.
        if let Some(armed) = self.operations.of_machine(machine)
            && armed.operation.state == OperationState::PxeReady
        {
            self.restart_waiting(&armed.operation).await;
        }
        let taken = tokio::time::timeout(wait, async {
            loop {
                let notified = given.notified();
                tokio::pin!(notified);
                notified.as_mut().enable();
                if let Some(order) = self.orders.order_of(machine) {
                    return order;
                }
                notified.await;
            }
        });
        Ok(taken.await.ok())
    }

    /// Gives an order to a waiting agent.
    pub async fn order(&self, id: &str, order: Order, actor: Actor) -> Result<(), SiteError> {
        let machine = self.machine(id)?;
        if !self.orders.waits(&machine.id, self.now()) {
            return Err(SiteError::Conflict(format!(
                "no agent of machine {} waits for orders: it is not in discovery",
                machine.called()
            )));
        }
        let event = self.event(actor, Some(&machine.id), EventKind::OrderGiven { order: order.order });
        self.store.save(vec![event]).await?;
        self.orders.give(&machine.id, order);
        Ok(())
    }

    /// Tells an agent that waits on the machine of an armed operation to restart, once; without one, its next boot does.
    pub(super) async fn restart_waiting(&self, operation: &Operation) {
        let machine = &operation.machine;
        if !self.orders.owes_restart(machine, &operation.id, self.now()) {
            return;
        }
        let reason = Some(format!("it is armed for {}", operation.kind));
        match self.order(machine, Order { order: OrderKind::Reboot, reason }, Actor::Daemon).await {
            Ok(()) | Err(SiteError::Conflict(_)) => {}
            Err(error) => warn!(machine, %error, "the waiting agent was not told to restart"),
        }
    }

    /// Notes what an agent says it does.
    pub async fn agent_report(&self, machine: &str, report: AgentReport) -> Result<(), SiteError> {
        if !self.read().machines.contains_key(machine) {
            return Err(SiteError::NoSuchMachine(machine.to_owned()));
        }
        if !report.boot_mac.is_unicast() {
            return Err(SiteError::invalid("boot_mac", "it is not the address of one interface"));
        }
        self.orders.done(machine);
        let mut message: String = report.message.chars().filter(|c| !c.is_control()).collect();
        message.truncate(message.floor_char_boundary(REPORT_BYTES_MAX));
        self.observe(Observation {
            at: self.now(),
            mac: report.boot_mac,
            client: ClientStage::Agent,
            arch: None,
            kind: StageKind::Agent { message, failed: report.failed },
        });
        Ok(())
    }
}
