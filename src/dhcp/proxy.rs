//! Boot information beside another DHCP server (PXE 2.1's proxyDHCP), and PXE's port 4011.
//!
//! Only PXE and HTTP Boot clients are answered, and none of them gets an address.

use std::net::Ipv4Addr;

use ironwake_api::Millis;

use super::packet::FLAG_BROADCAST;
use super::reply::{Answer, Mode};
use super::{Destination, MessageKind, Outcome, PORT_PXE, Request, Settings, Source};
use crate::boot::{Handoff, Sighting};

/// Answers on a network where another server gives the addresses.
#[derive(Debug)]
pub struct Proxy {
    settings: Settings,
}

impl Proxy {
    /// A proxy for one network; ranges and reservations in `settings` are not used.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// No answer is longer than `mtu` from here on.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.settings.mtu = mtu;
    }

    /// Answers one request.
    pub fn handle(
        &mut self,
        request: &Request<'_>,
        source: &Source,
        handoff: impl FnOnce(&Sighting) -> Handoff,
        now: Millis,
    ) -> Outcome {
        if source.to_port == PORT_PXE {
            return boot_service(&self.settings, request, source, handoff, now);
        }
        let chosen = request.server_id == Some(self.settings.server);
        match request.kind {
            MessageKind::Discover if request.is_netboot() => {
                self.offer(request, source, MessageKind::Offer, handoff, now)
            }
            MessageKind::Request if chosen && request.is_netboot() => {
                self.offer(request, source, MessageKind::Ack, handoff, now)
            }
            MessageKind::Request if !chosen => overhear(request, now),
            _ => Outcome::silent("a proxy answers only clients that boot from the network"),
        }
    }

    fn offer(
        &self,
        request: &Request<'_>,
        source: &Source,
        kind: MessageKind,
        handoff: impl FnOnce(&Sighting) -> Handoff,
        now: Millis,
    ) -> Outcome {
        let none = Ipv4Addr::UNSPECIFIED;
        let destination = Destination::of_answer(request, source, none);
        answer(&self.settings, request, kind, destination, FLAG_BROADCAST, handoff, now)
    }
}

/// Answers on port 4011, where EDK2 and iPXE ask a proxy for the boot file once they have an address.
pub(super) fn boot_service(
    settings: &Settings,
    request: &Request<'_>,
    source: &Source,
    handoff: impl FnOnce(&Sighting) -> Handoff,
    now: Millis,
) -> Outcome {
    if !request.is_netboot() || !matches!(request.kind, MessageKind::Request | MessageKind::Inform) {
        return Outcome::silent("port 4011 answers only requests of PXE clients");
    }
    // OVMF leaves option 54 out here.
    if request.server_id.is_some_and(|server| server != settings.server) {
        return Outcome::silent("the request is for another boot server");
    }
    if source.address.is_unspecified() {
        return Outcome::refused(request, "a client without an address asks port 4011", now);
    }
    let destination = Destination::of_pxe(source);
    let mut outcome = answer(settings, request, MessageKind::Ack, destination, 0, handoff, now);
    outcome.learnt = Some((request.mac, source.address));
    outcome
}

fn answer(
    settings: &Settings,
    request: &Request<'_>,
    kind: MessageKind,
    destination: Destination,
    flags: u16,
    handoff: impl FnOnce(&Sighting) -> Handoff,
    now: Millis,
) -> Outcome {
    let handoff = handoff(&request.sighting(settings.next_server, &settings.network));
    let why = match &handoff {
        Handoff::File { why, .. } | Handoff::Url { why, .. } => why.clone(),
        Handoff::AddressOnly => return Outcome::refused(request, "it needs no boot file", now),
        Handoff::Refused(reason) => {
            return Outcome::refused(request, format!("{}: {}", reason.code, reason.message), now);
        }
    };
    let mut answer = Answer::begin(settings, request, kind);
    answer.packet.flags |= flags;
    answer.packet.ciaddr = request.client.unwrap_or(Ipv4Addr::UNSPECIFIED);
    answer.point(handoff, Mode::Proxy);
    answer.finish(destination, request.client, why, now)
}

/// A broadcast REQUEST to the other server tells which address the machine takes.
fn overhear(request: &Request<'_>, now: Millis) -> Outcome {
    let address = request.requested.or(request.client);
    let why = match (address, request.server_id) {
        _ if request.stage == ironwake_api::ClientStage::Os => "another server gives the addresses".into(),
        (Some(address), Some(server)) => format!("it takes {address} from the DHCP server {server}").into(),
        _ => std::borrow::Cow::from("another server gives the addresses"),
    };
    let mut outcome = Outcome::silent(why).observed(request, address, None, now);
    outcome.learnt = address.map(|address| (request.mac, address));
    outcome.chosen_server = request.server_id;
    outcome
}
