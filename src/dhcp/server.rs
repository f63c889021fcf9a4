//! The DHCP server: RFC 2131's tables, authoritative for its subnets, for clients here and behind relays.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use ironwake_api::{ClientStage, MacAddr, Millis};

use super::lease::Unbound;
use super::packet::{FLAG_BROADCAST, Packet};
use super::reply::{self, Answer, Mode};
use super::subnet::SubnetIndex;
use super::{Conflict, Destination, LeaseTable, MessageKind, Outcome, PORT_PXE, Request, Settings, Source};
use super::{code, proxy};
use crate::appliance::Jump;
use crate::boot::{Handoff, Sighting};

/// A client may ask for a shorter lease, but not for one that would have it renew all the time.
const LEASE_SECS_MIN: u32 = 120;
/// Suboption "link selection" of option 82 (RFC 3527).
const LINK_SELECTION: u8 = 5;

/// Answers on a network whose addresses it gives.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    leases: LeaseTable,
}

/// Which of RFC 2131's states a REQUEST comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Selecting,
    InitReboot,
    Renewing,
}

/// What to do about a claim.
enum Verdict {
    Bind,
    Nak(Cow<'static, str>),
    Silent(&'static str),
}

impl Server {
    /// A server with the leases that are known.
    pub fn new(settings: Settings, leases: LeaseTable) -> Self {
        Self { settings, leases }
    }

    /// The lease table.
    pub fn leases(&self) -> &LeaseTable {
        &self.leases
    }

    /// The clock was set.
    pub fn clock_jumped(&mut self, jump: &Jump) {
        self.leases.clock_jumped(jump);
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
            return proxy::boot_service(&self.settings, request, source, handoff, now);
        }
        let Some(subnet) = self.subnet(request, source) else {
            return Outcome::refused(request, "the relay is in no subnet that is served here", now);
        };
        match request.kind {
            MessageKind::Discover => self.discover(request, source, subnet, handoff, now),
            MessageKind::Request => self.request(request, source, subnet, handoff, now),
            MessageKind::Release => self.release(request, subnet, now),
            MessageKind::Decline => self.decline(request, subnet, now),
            MessageKind::Inform => self.inform(request, source, subnet, handoff, now),
            MessageKind::Offer | MessageKind::Ack | MessageKind::Nak => Outcome::silent("a server's message"),
        }
    }

    /// Notes that `mac` answered an address probe.
    pub fn in_use(&mut self, address: Ipv4Addr, mac: MacAddr, now: Millis) -> Outcome {
        match self.leases.in_use(address, mac, now) {
            Some(lease) => Outcome {
                save: Some(lease),
                conflict: Some(Conflict { address, mac: Some(mac) }),
                ..Outcome::silent(format!("{mac} uses {address}"))
            },
            None => Outcome::silent("the address is not on offer"),
        }
    }

    /// The subnet whose addresses fit the client: the relay's, or the interface's own.
    fn subnet(&self, request: &Request<'_>, source: &Source) -> Option<SubnetIndex> {
        let selected = request.relay_information.and_then(link_selection);
        // A renewal comes by unicast, through routers too, and names its subnet by ciaddr alone.
        let renewal = request.client.filter(|_| source.unicast && request.relay.is_none());
        match selected.or(request.relay) {
            Some(link) => self.leases.subnet_of(link),
            None => renewal
                .and_then(|client| self.leases.subnet_of(client))
                .or_else(|| self.leases.subnet_of(self.settings.server)),
        }
    }

    fn discover(
        &mut self,
        request: &Request<'_>,
        source: &Source,
        subnet: SubnetIndex,
        handoff: impl FnOnce(&Sighting) -> Handoff,
        now: Millis,
    ) -> Outcome {
        let handoff = match self.handoff(request, handoff) {
            Ok(handoff) => handoff,
            Err(why) => return Outcome::refused(request, why, now),
        };
        let key = request.client_key();
        let offer = match self.leases.offer(subnet, &key, request.mac, request.requested, now) {
            Ok(offer) => offer,
            Err(error) => return Outcome::refused(request, error.to_string(), now),
        };
        let mut outcome =
            self.give(request, source, MessageKind::Offer, subnet, Some(offer.address), handoff, now);
        outcome.probe = Some(offer.address).filter(|_| offer.unproven && subnet.is_own());
        outcome
    }

    fn request(
        &mut self,
        request: &Request<'_>,
        source: &Source,
        subnet: SubnetIndex,
        handoff: impl FnOnce(&Sighting) -> Handoff,
        now: Millis,
    ) -> Outcome {
        let key = request.client_key();
        if let Some(server) = request.server_id.filter(|server| *server != self.settings.server) {
            self.leases.withdraw(subnet, &key, now);
            let mut outcome =
                Outcome::silent("the client chose another server").observed(request, None, None, now);
            outcome.chosen_server = Some(server);
            return outcome;
        }
        let (claim, address) = match (request.server_id, request.requested, request.client) {
            (Some(_), Some(address), _) | (Some(_), None, Some(address)) => (Claim::Selecting, address),
            (None, _, Some(address)) => (Claim::Renewing, address),
            (None, Some(address), None) => (Claim::InitReboot, address),
            (_, None, None) => return Outcome::refused(request, "the request names no address", now),
        };
        match self.judge(request, source, subnet, claim, address, now) {
            Verdict::Silent(why) => return Outcome::refused(request, why, now),
            Verdict::Nak(why) => return self.nak(request, source, why, now),
            Verdict::Bind => {}
        }
        let handoff = match self.handoff(request, handoff) {
            Ok(handoff) => handoff,
            Err(why) => return Outcome::refused(request, why, now),
        };
        let millis = Millis::from(self.lease_secs(request)) * 1000;
        let given = !self.leases.has(&key, address, now);
        match self.leases.bind(subnet, &key, request.mac, address, request.hostname, millis, now) {
            Ok(lease) => {
                let mut outcome =
                    self.give(request, source, MessageKind::Ack, subnet, Some(address), handoff, now);
                if outcome.reply.is_some() {
                    outcome.learnt = Some((request.mac, address));
                    outcome.save = Some(lease);
                    outcome.given = given;
                }
                outcome
            }
            Err(unbound) => self.nak(request, source, unbound.to_string().into(), now),
        }
    }

    /// RFC 2131 section 4.3.2. A client without a record here may belong to another server, so only
    /// what is certainly wrong gets a NAK.
    fn judge(
        &self,
        request: &Request<'_>,
        source: &Source,
        subnet: SubnetIndex,
        claim: Claim,
        address: Ipv4Addr,
        now: Millis,
    ) -> Verdict {
        if !self.leases.settings(subnet).network.contains(&address) {
            return Verdict::Nak("the address is not on this network".into());
        }
        if claim == Claim::Selecting {
            // An offer made before a restart is forgotten; if the address is free the client gets it.
            return Verdict::Bind;
        }
        let reserved = self.leases.reservation(subnet, request.mac).map(|one| one.address);
        let known = self.leases.find(subnet, &request.client_key(), now).map(|(address, _)| address);
        match reserved.or(known) {
            Some(own) if own == address => Verdict::Bind,
            Some(own) => match known {
                Some(known) if known == address => Verdict::Bind,
                _ => Verdict::Nak(format!("the client's address is {own}").into()),
            },
            None if claim == Claim::Renewing && source.unicast => {
                Verdict::Nak(Unbound::Foreign(address).to_string().into())
            }
            None => Verdict::Silent("no record of this client; the address may be another server's"),
        }
    }

    fn release(&mut self, request: &Request<'_>, subnet: SubnetIndex, now: Millis) -> Outcome {
        let Some(address) = request.client.filter(|_| self.is_addressed(request)) else {
            return Outcome::silent("the release is for another server");
        };
        let save = self.leases.release(subnet, &request.client_key(), address, now);
        Outcome { save, ..Outcome::silent("released") }.observed(request, Some(address), None, now)
    }

    fn decline(&mut self, request: &Request<'_>, subnet: SubnetIndex, now: Millis) -> Outcome {
        let Some(address) = request.requested.filter(|_| self.is_addressed(request)) else {
            return Outcome::silent("the decline is for another server");
        };
        let save = self.leases.decline(subnet, &request.client_key(), address, now);
        let conflict = save.is_some().then_some(Conflict { address, mac: None });
        Outcome { save, conflict, ..Outcome::silent("the client found its address in use") }.observed(
            request,
            Some(address),
            None,
            now,
        )
    }

    fn inform(
        &mut self,
        request: &Request<'_>,
        source: &Source,
        subnet: SubnetIndex,
        handoff: impl FnOnce(&Sighting) -> Handoff,
        now: Millis,
    ) -> Outcome {
        let Some(client) = request.client else {
            return Outcome::refused(request, "an INFORM without the client's address", now);
        };
        let handoff = match self.handoff(request, handoff) {
            Ok(handoff) => handoff,
            Err(why) => return Outcome::refused(request, why, now),
        };
        let mut outcome = self.give(request, source, MessageKind::Ack, subnet, None, handoff, now);
        outcome.learnt = outcome.reply.is_some().then_some((request.mac, client));
        outcome
    }

    fn is_addressed(&self, request: &Request<'_>) -> bool {
        request.server_id.is_none_or(|server| server == self.settings.server)
    }

    /// What the client boots; operating systems are not asked about, since they boot already.
    fn handoff(
        &self,
        request: &Request<'_>,
        ask: impl FnOnce(&Sighting) -> Handoff,
    ) -> Result<Handoff, String> {
        if request.stage == ClientStage::Os {
            return Ok(Handoff::AddressOnly);
        }
        match ask(&request.sighting(self.settings.next_server, &self.settings.network)) {
            Handoff::Refused(reason) => Err(format!("{}: {}", reason.code, reason.message)),
            handoff => Ok(handoff),
        }
    }

    fn lease_secs(&self, request: &Request<'_>) -> u32 {
        let most = self.settings.lease_secs;
        request.lease_secs.map_or(most, |asked| asked.clamp(LEASE_SECS_MIN.min(most), most))
    }

    /// An OFFER or ACK. Without `address` it is the answer to an INFORM, which carries no lease.
    #[allow(clippy::too_many_arguments, reason = "each is one fact of the answer")]
    fn give(
        &self,
        request: &Request<'_>,
        source: &Source,
        kind: MessageKind,
        subnet: SubnetIndex,
        address: Option<Ipv4Addr>,
        handoff: Handoff,
        now: Millis,
    ) -> Outcome {
        let why = match &handoff {
            Handoff::File { why, .. } | Handoff::Url { why, .. } => Cow::Owned(why.clone()),
            Handoff::AddressOnly | Handoff::Refused(_) => Cow::Borrowed("it needs an address only"),
        };
        let mut answer = Answer::begin(&self.settings, request, kind);
        let yours = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        answer.packet.yiaddr = yours;
        if kind == MessageKind::Ack {
            answer.packet.ciaddr = request.client.unwrap_or(Ipv4Addr::UNSPECIFIED);
        }
        if address.is_some() {
            let secs = self.lease_secs(request);
            let options = &mut answer.packet.options;
            options.set(code::LEASE_TIME, secs.to_be_bytes().to_vec());
            options.set(code::RENEWAL_TIME, (secs / 2).to_be_bytes().to_vec());
            options.set(code::REBINDING_TIME, (secs - secs / 8).to_be_bytes().to_vec());
        }
        self.describe_network(&mut answer.packet, request, subnet);
        answer.point(handoff, Mode::Server);
        let destination = Destination::of_answer(request, source, yours);
        answer.finish(destination, address.or(request.client), why, now)
    }

    fn describe_network(&self, packet: &mut Packet<'_>, request: &Request<'_>, subnet: SubnetIndex) {
        let network = self.leases.settings(subnet);
        let options = &mut packet.options;
        options.set(code::SUBNET_MASK, network.network.netmask().octets().to_vec());
        options.set(code::BROADCAST, network.network.broadcast().octets().to_vec());
        if let Some(routers) = reply::addresses(&network.routers) {
            options.set(code::ROUTERS, routers);
        }
        if let Some(dns) = reply::addresses(&self.settings.dns) {
            options.set(code::DNS, dns);
        }
        if let Some(domain) = &self.settings.domain {
            options.set(code::DOMAIN, domain.clone().into_bytes());
        }
        let reservation = self.leases.reservation(subnet, request.mac);
        if let Some(hostname) = reservation.and_then(|one| one.hostname.as_ref()) {
            options.set(code::HOSTNAME, hostname.clone().into_bytes());
        }
    }

    fn nak(&self, request: &Request<'_>, source: &Source, why: Cow<'static, str>, now: Millis) -> Outcome {
        let mut answer = Answer::begin(&self.settings, request, MessageKind::Nak);
        if request.relay.is_some() {
            // RFC 2131 section 4.3.2: the relay must broadcast it, as the client's address is wrong.
            answer.packet.flags |= FLAG_BROADCAST;
        }
        answer.packet.options.set(code::MESSAGE, why.as_bytes().to_vec());
        answer.finish(Destination::of_nak(request, source), None, why, now)
    }
}

/// The link that a relay selects inside option 82.
fn link_selection(mut list: &[u8]) -> Option<Ipv4Addr> {
    while let [suboption, bytes, rest @ ..] = list {
        let (value, rest) = rest.split_at_checked(usize::from(*bytes))?;
        if *suboption == LINK_SELECTION {
            return <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
        }
        list = rest;
    }
    None
}
