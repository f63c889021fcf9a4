//! Orders to agents that wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ironwake_api::{Actor, AgentReport, ClientStage, EventKind, Order, StageKind};
use tokio::sync::Notify;

use super::{Site, SiteError};
use crate::recorder::Observation;

/// Agents that wait at once: as many as attempts that are followed.
const WAITING_MAX: usize = crate::recorder::RUNNING_MAX;
/// A report's text in bytes; the rest is cut.
const REPORT_BYTES_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Orders(Mutex<HashMap<String, Slot>>);

#[derive(Default)]
struct Slot {
    order: Option<Order>,
    given: Arc<Notify>,
    waiting: usize,
}

/// Leaves the slot when the agent's request ends, however it ends.
struct Waiting<'a> {
    orders: &'a Orders,
    machine: &'a str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut slots = self.orders.0.lock().expect("no panic while held");
        if let Some(slot) = slots.get_mut(self.machine) {
            slot.waiting -= 1;
            if slot.waiting == 0 && slot.order.is_none() {
                slots.remove(self.machine);
            }
        }
    }
}

impl Site {
    /// Waits up to `wait` for an order.
    pub async fn next_order(&self, machine: &str, wait: Duration) -> Result<Option<Order>, SiteError> {
        if !self.read().machines.contains_key(machine) {
            return Err(SiteError::NoSuchMachine(machine.to_owned()));
        }
        self.present(machine, None);
        let given = {
            let mut slots = self.orders.0.lock().expect("no panic while held");
            if slots.len() >= WAITING_MAX && !slots.contains_key(machine) {
                return Err(SiteError::Full { what: "waiting agents", limit: WAITING_MAX });
            }
            let slot = slots.entry(machine.to_owned()).or_default();
            slot.waiting += 1;
            slot.given.clone()
        };
        let waiting = Waiting { orders: &self.orders, machine };
        let taken = tokio::time::timeout(wait, async {
            loop {
                let notified = given.notified();
                if let Some(order) = waiting.take() {
                    return order;
                }
                notified.await;
            }
        });
        Ok(taken.await.ok())
    }

    /// Gives an order to a waiting agent.
    pub async fn order(&self, id: &str, order: Order, actor: Actor) -> Result<(), SiteError> {
        let machine = self.found(id)?;
        let waits = || self.orders.0.lock().expect("no panic while held").contains_key(&machine.id);
        if !waits() {
            return Err(SiteError::Conflict(format!(
                "no agent of machine {} waits for orders: it is not in discovery",
                machine.id
            )));
        }
        let event = self.event(actor, Some(&machine.id), EventKind::OrderGiven { order: order.order });
        self.store.save(vec![event]).await?;
        let mut slots = self.orders.0.lock().expect("no panic while held");
        let slot = slots.entry(machine.id.clone()).or_default();
        slot.order = Some(order);
        slot.given.notify_one();
        Ok(())
    }

    /// Notes what an agent says it does.
    pub async fn agent_report(&self, machine: &str, report: AgentReport) -> Result<(), SiteError> {
        if !self.read().machines.contains_key(machine) {
            return Err(SiteError::NoSuchMachine(machine.to_owned()));
        }
        if !report.boot_mac.is_unicast() {
            return Err(SiteError::invalid("boot_mac", "it is not the address of one interface"));
        }
        let mut message: String = report.message.chars().filter(|c| !c.is_control()).collect();
        let mut end = message.len().min(REPORT_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
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

impl Waiting<'_> {
    fn take(&self) -> Option<Order> {
        self.orders.0.lock().expect("no panic while held").get_mut(self.machine)?.order.take()
    }
}
