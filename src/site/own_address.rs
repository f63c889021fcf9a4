//! The appliance's own address: changed, and taken back unless it is confirmed.
//!
//! What goes back to what stands in a file of the state directory before the first byte of the change is written, so that
//! whatever ends the daemon in between, the next one takes the change back.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ironwake_api::{
    Actor, EventKind, Millis, NetworkChange, NetworkConfirm, OwnAddress, SystemAction, SystemInterface,
};
use tracing::{debug, error, info, warn};

use super::system::{Appliance, Own, told};
use super::{Site, SiteError};
use crate::appliance::{
    AddressOrigin, Leased, Pending, Surroundings, check_address, file_name, network_file,
};
use crate::config::{DhcpMode, Network};
use crate::private;
use crate::store::StoreError;
use crate::systemd::BusError;

/// A change that is not confirmed, in the state directory.
const PENDING: &str = "network-change.json";
/// A file of an interface, and a few words.
const PENDING_BYTES_MAX: u64 = 1 << 20;
/// How soon it is tried again to take one back.
const AGAIN_AFTER: Millis = 10_000;

/// What was begun and is neither kept nor taken back.
pub(super) fn load(appliance: &Appliance) -> Option<Pending> {
    let bytes = private::read(&appliance.state.join(PENDING), PENDING_BYTES_MAX);
    let bytes =
        bytes.inspect_err(|error| error!(%error, "a change of the address cannot be taken back")).ok()??;
    let read: Option<Pending> = serde_json::from_slice(&bytes)
        .inspect_err(|error| error!(%error, "{PENDING} cannot be read: the address stays as it is"))
        .ok();
    // Nobody has confirmed it to a daemon that ended: it is due, whatever the clock says.
    read.map(|pending| Pending { asked_at: 0, ..pending })
}

/// As it is shown to everybody.
pub(super) fn shown(pending: &Pending) -> NetworkChange {
    NetworkChange {
        interface: pending.interface.clone(),
        to: pending.to.clone(),
        confirm_by: pending.confirm_by(),
        token: None,
    }
}

impl Site {
    /// Gives an interface another address, which goes back unless it is confirmed.
    pub async fn change_own_address(
        &self,
        interface: &str,
        asked: OwnAddress,
        actor: Actor,
    ) -> Result<NetworkChange, SiteError> {
        let own = self.own()?;
        let around = surroundings(&own.appliance, own.interfaces().await?);
        let address = check_address(interface, &asked, &around).map_err(SiteError::Invalid)?;
        let index = (own.appliance.index_of)(interface)
            .ok_or_else(|| SiteError::Conflict(format!("the interface {interface} has just gone")))?;
        let _changing = own.changing.lock().await;
        if let Some(pending) = &*own.pending() {
            let message = format!(
                "{} waits for {} to be confirmed: confirm it, or wait until it is taken back",
                pending.interface, pending.to
            );
            return Err(SiteError::Conflict(message));
        }
        own.available(&[SystemAction::Network]).await?;
        let (files, name) = (own.appliance.files.clone(), file_name(interface));
        let looked = tokio::task::spawn_blocking(move || (files.unusable(), files.read(&name))).await;
        let (unusable, before) = looked.map_err(|_| StoreError::Closed)?;
        if let Some(why) = unusable {
            return Err(SiteError::SystemUnavailable(why));
        }
        let before = before.map_err(|error| SiteError::SystemFile(error.to_string()))?;
        let token = token()?;
        let pending = Pending::new(interface, address.to_string(), before, &token, self.now());
        let shown = NetworkChange { token: Some(token), ..shown(&pending) };
        let kind = EventKind::NetworkChanging {
            interface: interface.to_owned(),
            to: pending.to.clone(),
            confirm_by: pending.confirm_by(),
        };
        self.store.save(vec![self.event(actor.clone(), None, kind)]).await?;
        if let Err(error) = own.keep(Some(pending.clone())).await {
            let (interface, reason) = (interface.to_owned(), error.to_string());
            self.note(Actor::Daemon, EventKind::NetworkTakenBack { interface, reason }).await;
            return Err(error);
        }
        let text = network_file(interface, &address);
        let made = match own.put(interface, Some(text)).await {
            Ok(()) => own.appliance.bus.reconfigure(index).await.map_err(SiteError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            self.take_back(&own, &pending, &error.to_string()).await;
            return Err(error);
        }
        info!(interface, to = pending.to, "the address is changed, and waits for its confirmation");
        Ok(shown)
    }

    /// Keeps the address that was given last.
    pub async fn confirm_own_address(&self, confirm: NetworkConfirm, actor: Actor) -> Result<(), SiteError> {
        let own = self.own()?;
        let _changing = own.changing.lock().await;
        let Some(pending) = own.pending().clone() else {
            let message = "no address waits for its confirmation: it was confirmed, or taken back".to_owned();
            return Err(SiteError::Conflict(message));
        };
        if pending.due(self.now()) {
            let message = "its time is up: the address is being taken back".to_owned();
            return Err(SiteError::Conflict(message));
        }
        if !pending.confirmed_by(&confirm.token) {
            return Err(SiteError::invalid("token", "it is not the one that the change was answered with"));
        }
        let kind =
            EventKind::NetworkConfirmed { interface: pending.interface.clone(), to: pending.to.clone() };
        self.store.save(vec![self.event(actor, None, kind)]).await?;
        own.keep(None).await?;
        info!(interface = pending.interface, to = pending.to, "the address is confirmed");
        Ok(())
    }

    /// Takes back an address whose time is up.
    pub(super) async fn tend_own_address(&self, own: &Arc<Own>) {
        let due = |own: &Own| {
            let wait = own.not_before.load(Ordering::Relaxed) > self.now();
            own.pending().clone().filter(|pending| !wait && pending.due(self.now()))
        };
        if due(own).is_none() {
            return;
        }
        let _changing = own.changing.lock().await;
        if let Some(pending) = due(own) {
            self.take_back(own, &pending, "nobody confirmed it in time").await;
        }
    }

    /// Puts back what was there before. The file goes first: where systemd cannot be reached, the next start of the network
    /// reads what is right.
    async fn take_back(&self, own: &Own, pending: &Pending, reason: &str) {
        let interface = pending.interface.as_str();
        own.not_before.store(self.now() + AGAIN_AFTER, Ordering::Relaxed);
        if let Err(error) = own.put(interface, pending.before.clone()).await {
            error!(%error, interface, "the address cannot be taken back; it is tried again");
            return;
        }
        if let Some(index) = (own.appliance.index_of)(interface)
            && let Err(error) = own.appliance.bus.reconfigure(index).await
        {
            warn!(%error, interface, "the address before is in its file, and systemd has not taken it up");
            // It may be busy. One that refuses, or is not there, does not change its mind.
            if matches!(error, BusError::Slow { .. } | BusError::Lost { .. }) {
                let ended = Pending { asked_at: 0, ..pending.clone() };
                if let Err(error) = own.keep(Some(ended)).await {
                    error!(%error, interface, "that the address is taken back is not written down");
                }
                return;
            }
        }
        // A set-up that came so far is asked for again: its settings would be served with the wrong address.
        *own.restart.lock().expect("no panic while held") = None;
        let kind = EventKind::NetworkTakenBack { interface: interface.to_owned(), reason: reason.to_owned() };
        self.note(Actor::Daemon, kind).await;
        match own.keep(None).await {
            Ok(()) => own.not_before.store(0, Ordering::Relaxed),
            Err(error) => error!(%error, interface, "that the address was taken back is not written down"),
        }
    }
}

impl Own {
    /// Keeps a change, or that there is none, on the disk and in memory.
    async fn keep(&self, pending: Option<Pending>) -> Result<(), SiteError> {
        let path = self.appliance.state.join(PENDING);
        let text = pending.as_ref().map(|pending| serde_json::to_vec(pending).unwrap_or_default());
        let kept = tokio::task::spawn_blocking(move || match text {
            Some(text) => private::write(&path, &text),
            None => private::remove(&path),
        });
        let kept = kept.await.map_err(|_| StoreError::Closed)?;
        kept.map_err(|error| SiteError::SystemFile(told(&error)))?;
        *self.pending() = pending;
        Ok(())
    }

    /// Where the address of an interface comes from.
    pub async fn address_origin(&self, interface: &str) -> AddressOrigin {
        if self.pending().as_ref().is_some_and(|pending| pending.interface == interface) {
            return AddressOrigin::Unconfirmed;
        }
        let Some(index) = (self.appliance.index_of)(interface) else { return AddressOrigin::Unknown };
        let asked = self.appliance.bus.address_origin(index).await;
        let asked =
            asked.inspect_err(|error| debug!(%error, interface, "nobody knows where its address comes from"));
        asked.unwrap_or_default()
    }

    /// What a file of the interfaces holds.
    pub async fn file_of(&self, name: &str) -> Result<Option<String>, SiteError> {
        let (files, name) = (self.appliance.files.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || files.read(&name)).await;
        read.map_err(|_| StoreError::Closed)?.map_err(|error| SiteError::SystemFile(error.to_string()))
    }

    /// Has the file of an interface hold this, or removes it.
    async fn put(&self, interface: &str, text: Option<String>) -> Result<(), SiteError> {
        let (files, name) = (self.appliance.files.clone(), file_name(interface));
        let put = tokio::task::spawn_blocking(move || files.put(&name, text.as_deref())).await;
        put.map_err(|_| StoreError::Closed)?.map_err(|error| SiteError::SystemFile(error.to_string()))
    }
}

/// What an address has to get on with.
pub(super) fn surroundings(appliance: &Appliance, interfaces: Vec<SystemInterface>) -> Surroundings {
    let served = appliance.networks.iter().filter(|network| network.dhcp == DhcpMode::Server);
    let leased = |network: &Network| -> Vec<Leased> {
        let (interface, within) = (network.interface.clone(), network.subnet.is_none());
        let range =
            |range: &RangeInclusive<_>| Leased { interface: interface.clone(), range: range.clone(), within };
        network.ranges.iter().map(range).collect()
    };
    Surroundings {
        interfaces,
        origins: Default::default(),
        servers: served.clone().map(|network| network.interface.clone()).collect(),
        leased: served.flat_map(leased).collect(),
    }
}

/// 128 random bits, in hexadecimal.
fn token() -> Result<String, SiteError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| SiteError::NoRandomness(error.to_string()))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
