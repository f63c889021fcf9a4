//! One network while its interface is up: the loop that reads, decides, saves and sends.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ironwake_api::{Actor, EventKind, HealthState, Millis, NetworkHealth, OtherServer as Other, Silence};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::commits::Commits;
use super::frame::{self, Datagram};
use super::news::News;
use super::ports::HeldPorts;
use super::settings::{load, settings};
use super::socket::{Inbox, PacketSocket};
use super::{DhcpError, Interface, filter, mode_name, self_test};
use crate::config::{DhcpMode, Network};
use crate::dhcp::{
    Conflict, Destination, LinkTarget, MessageKind, OtherServer, Outcome, PORT_CLIENT, PORT_PXE, PORT_SERVER,
    Packet, Proxy, Reply, Request, Server, Service, Source, Watch, WatchAction, WatchMode, code,
};
use crate::site::{DhcpTally, SharedSite};
use crate::store::{Change, NewEvent, StoreError};

/// How often the interface and the health are looked at.
const CHECK: Duration = Duration::from_secs(5);
/// Self-tests that may wait; one takes a millisecond.
const QUESTIONS_MAX: usize = 8;

/// Why a session ended.
pub(super) enum Ended {
    /// It was told to.
    Shutdown,
    /// The interface cannot serve any more.
    Interface(String),
}

/// One network while its interface is up.
pub(super) struct Session {
    config: Network,
    interface: Interface,
    site: SharedSite,
    tally: Arc<DhcpTally>,
    socket: PacketSocket,
    arp: PacketSocket,
    _ports: HeldPorts,
    service: Service,
    watch: Watch,
    /// The watch's; what is kept and shown has wall time.
    clock: Clock,
    /// Frames that leave at once.
    outgoing: Vec<Vec<u8>>,
    commits: Commits,
    /// Addresses given and ended that were not told yet, and up to when leases were looked at that end by themselves.
    news: News,
    looked_at: Millis,
    /// Jumps of the clock that the leases have seen.
    jumps: usize,
    /// Messages and events dropped since the last look at the health, since the store is behind.
    dropped: u64,
    /// The store refused the last commit.
    store_failed: Option<String>,
    /// Who asks whether machines would be answered.
    questions: mpsc::Receiver<oneshot::Sender<Result<String, String>>>,
}

impl Session {
    /// Opens the sockets and loads the leases.
    pub async fn open(config: &Network, interface: Interface, site: SharedSite) -> Result<Self, DhcpError> {
        let open = |protocol, filter| {
            PacketSocket::open(interface.index, protocol, filter)
                .map_err(|source| DhcpError::Socket { interface: config.interface.clone(), source })
        };
        let socket = open(libc::ETH_P_IP, &filter::DHCP)?;
        let arp = open(libc::ETH_P_ARP, &filter::ARP)?;
        let settings = settings(config, &interface);
        site.set_server_address(&config.interface, settings.next_server);
        let mut seen = site.moment();
        let service = match config.dhcp {
            DhcpMode::Server => {
                let leases = loop {
                    let leases = load(config, &settings, site.store()).await?;
                    // Loaded while the clock was set, nobody knows which times they have.
                    match std::mem::replace(&mut seen, site.moment()).1 == seen.1 {
                        true => break leases,
                        false => continue,
                    }
                };
                Service::Server(Box::new(Server::new(settings, leases)))
            }
            DhcpMode::Proxy | DhcpMode::Off => Service::Proxy(Proxy::new(settings)),
        };
        let mode = match (config.dhcp, config.allow_rogue) {
            (DhcpMode::Server, false) => WatchMode::Yield,
            (DhcpMode::Server, true) => WatchMode::Tolerate,
            _ => WatchMode::Beside,
        };
        let (tester, questions) = mpsc::channel(QUESTIONS_MAX);
        site.set_self_tester(&config.interface, tester);
        let clock = Clock::start();
        let (watch, first) = Watch::start(mode, clock.now());
        let mut session = Self {
            config: config.clone(),
            socket,
            arp,
            _ports: HeldPorts::hold(&config.interface),
            service,
            watch,
            clock,
            outgoing: Vec::new(),
            commits: Commits::new(site.store().clone()),
            news: News::default(),
            looked_at: seen.0,
            jumps: seen.1,
            dropped: 0,
            store_failed: None,
            interface,
            tally: site.dhcp_tally(&config.interface),
            site,
            questions,
        };
        session.act(first);
        Ok(session)
    }

    /// Serves until `shutdown`, or until the interface fails.
    pub async fn run(mut self, shutdown: &CancellationToken) -> Ended {
        let (mut inbox, mut arp_inbox) = (Inbox::default(), Inbox::default());
        let mut check = tokio::time::interval(CHECK);
        self.report_health();
        loop {
            if let Err(error) = self.flush().await {
                return self.failed(&error);
            }
            self.commits.begin();
            let watch_due = self.watch_due();
            tokio::select! {
                () = shutdown.cancelled() => {
                    self.drain().await;
                    return Ended::Shutdown;
                }
                read = self.socket.receive(&mut inbox) => match read {
                    Ok(()) => self.receive(&inbox),
                    Err(error) => return self.failed(&error),
                },
                read = self.arp.receive(&mut arp_inbox) => match read {
                    Ok(()) => self.receive_arp(&arp_inbox),
                    Err(error) => return self.failed(&error),
                },
                (result, frames) = self.commits.done() => self.committed(result, frames),
                () = sleep_until(watch_due) => {
                    let action = self.watch.tick(self.clock.now());
                    self.act(action);
                }
                Some(answer) = self.questions.recv() => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.self_test().await);
                }
                _ = check.tick() => {
                    if let Err(why) = self.check_interface() {
                        return Ended::Interface(why);
                    }
                    self.tell_leases();
                    self.report_health();
                    self.dropped = 0;
                }
            }
        }
    }

    fn failed(&self, error: &std::io::Error) -> Ended {
        Ended::Interface(format!("interface {}: {error}", self.config.interface))
    }

    /// Sends what need not wait.
    async fn flush(&mut self) -> std::io::Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let result = self.socket.send(&self.outgoing).await;
        self.outgoing.clear();
        result
    }

    fn committed(&mut self, result: Result<(), StoreError>, mut frames: Vec<Vec<u8>>) {
        match result {
            Ok(()) => {
                self.outgoing.append(&mut frames);
                if self.store_failed.take().is_some() {
                    self.report_health();
                }
            }
            Err(error) => {
                // The clients hear nothing and ask again: an ACK must not outrun its lease.
                let (interface, answers) = (&self.config.interface, frames.len());
                tracing::error!(interface, answers, %error, "leases not saved");
                self.store_failed = Some(error.to_string());
                self.report_health();
            }
        }
    }

    /// Finishes what was accepted before a shutdown.
    async fn drain(&mut self) {
        self.tell_leases();
        while self.commits.begin() {
            let (result, frames) = self.commits.done().await;
            self.committed(result, frames);
        }
        if let Err(error) = self.flush().await {
            tracing::warn!(interface = self.config.interface, %error, "last answers not sent");
        }
    }

    /// The time, by which the leases are: a clock that was set has moved them.
    fn moment(&mut self) -> Millis {
        let (now, jumps) = self.site.moment();
        if jumps != self.jumps {
            for jump in self.site.jumps_since(self.jumps).iter().take(jumps - self.jumps) {
                if let Service::Server(server) = &mut self.service {
                    server.clock_jumped(jump);
                }
                self.looked_at = jump.moved(self.looked_at);
            }
            self.jumps = jumps;
        }
        now
    }

    fn receive(&mut self, inbox: &Inbox) {
        let now = self.moment();
        for (frame, checksum_ready) in inbox.iter() {
            let Some(datagram) = Datagram::parse(frame, checksum_ready) else { continue };
            if datagram.mac == self.interface.mac {
                continue;
            }
            let packet = match Packet::decode(datagram.payload) {
                Ok(packet) => packet,
                Err(error) => {
                    let interface = &self.config.interface;
                    tracing::debug!(interface, mac = %datagram.mac, %error, "not DHCP");
                    continue;
                }
            };
            if datagram.source.1 == PORT_SERVER && datagram.destination.1 == PORT_CLIENT {
                self.overhear(&packet, &datagram);
            } else if matches!(datagram.destination.1, PORT_SERVER | PORT_PXE) {
                self.request(&packet, &datagram, now);
            }
        }
    }

    /// A message of another server.
    fn overhear(&mut self, packet: &Packet<'_>, datagram: &Datagram<'_>) {
        let Some(other) = OtherServer::of(packet, datagram.mac) else { return };
        if other.address != self.interface.address {
            let action = self.watch.heard(other, self.clock.now());
            self.act(action);
        }
    }

    fn request(&mut self, packet: &Packet<'_>, datagram: &Datagram<'_>, now: Millis) {
        let request = match Request::try_from(packet) {
            Ok(request) => request,
            Err(ignored) => {
                tracing::debug!(interface = self.config.interface, mac = %datagram.mac, "ignored: {ignored}");
                return;
            }
        };
        let to = datagram.destination.0;
        let unicast = to == self.interface.address;
        if !unicast && to != Ipv4Addr::BROADCAST && to != self.interface.network.broadcast() {
            return;
        }
        self.tally.requested();
        if let Some(why) = self.watch.silence() {
            self.apply(Outcome::refused(&request, why, now), &request);
            return;
        }
        if self.commits.are_full() {
            self.dropped += 1;
            self.tally.dropped();
            let interface = &self.config.interface;
            tracing::debug!(interface, mac = %request.mac, "dropped: the store is behind");
            return;
        }
        let source = Source {
            mac: datagram.mac,
            address: datagram.source.0,
            port: datagram.source.1,
            to_port: datagram.destination.1,
            unicast,
        };
        let site = &self.site;
        let outcome = self.service.handle(&request, &source, |sighting| site.handoff(sighting), now);
        if let Some(server) = outcome.chosen_server {
            self.watch.hinted(server, datagram.mac, self.clock.now());
        }
        self.apply(outcome, &request);
    }

    fn apply(&mut self, outcome: Outcome, request: &Request<'_>) {
        if let Some((mac, address)) = outcome.learnt {
            self.site.learn_address(mac, address);
        }
        if outcome.observation.is_some() && outcome.reply.is_none() {
            // `message` would be taken for the text of the event.
            let kind = request.kind.name();
            let (interface, why) = (&self.config.interface, &outcome.why);
            tracing::info!(interface, mac = %request.mac, kind, "not answered: {why}");
        }
        if let Some(observation) = outcome.observation {
            self.site.observe(observation);
        }
        if let Some(address) = outcome.probe {
            self.outgoing.push(frame::encode_probe(self.interface.mac, address));
        }
        if let Some(conflict) = outcome.conflict {
            self.set_aside(conflict);
        }
        if let Some(lease) = &outcome.save {
            self.news.note(lease, outcome.given);
        }
        let saves = outcome.save.is_some();
        self.commits.save(outcome.save.map(|lease| Change::Lease(Box::new(lease))));
        if let Some(reply) = outcome.reply {
            self.send(reply, saves);
        }
    }

    /// Queues an answer: behind the commit of its lease, and no answer to a REQUEST overtakes another.
    fn send(&mut self, reply: Reply, saves: bool) {
        self.tally.answered(reply.kind);
        let frame =
            frame::encode(self.interface.mac, self.interface.address, &reply.destination, &reply.payload);
        let free = reply.kind == MessageKind::Offer || reply.destination.from_port == PORT_PXE;
        if saves || (self.commits.hold_answers() && !free) {
            self.commits.send_after(frame);
        } else {
            self.outgoing.push(frame);
        }
    }

    fn receive_arp(&mut self, inbox: &Inbox) {
        let now = self.moment();
        for (mac, address) in inbox.iter().filter_map(|(frame, _)| frame::parse_arp_reply(frame)) {
            if self.commits.are_full() {
                self.dropped += 1;
                continue;
            }
            let outcome = self.service.in_use(address, mac, now);
            let Some(conflict) = outcome.conflict else { continue };
            self.set_aside(conflict);
            self.commits.save(outcome.save.map(|lease| Change::Lease(Box::new(lease))));
        }
    }

    /// Tells of an address that somebody else uses.
    fn set_aside(&mut self, conflict: Conflict) {
        let Conflict { address, mac } = conflict;
        let interface = self.config.interface.clone();
        let user = mac.map(tracing::field::display);
        tracing::warn!(interface, %address, mac = user, "address set aside: in use");
        self.event(EventKind::AddressConflict { interface, address: address.to_string(), mac });
    }

    /// Tells what became of addresses since the last look.
    fn tell_leases(&mut self) {
        let now = self.moment();
        if let Service::Server(server) = &self.service {
            server.leases().expired(self.looked_at, now).for_each(|lease| self.news.expired(&lease));
        }
        self.looked_at = now;
        if let Some(kind) = self.news.take(&self.config.interface) {
            self.event(kind);
        }
    }

    fn event(&mut self, kind: EventKind) {
        if self.commits.are_full_of_changes() {
            self.dropped += 1;
            return;
        }
        let event = NewEvent { at: self.site.now(), actor: Actor::Daemon, machine: None, kind };
        self.commits.save([Change::Event(Box::new(event))]);
    }

    fn act(&mut self, action: Option<WatchAction>) {
        let Some(action) = action else { return };
        let interface = self.config.interface.clone();
        match action {
            WatchAction::Ask => {
                let frame = self.question();
                self.outgoing.push(frame);
                return;
            }
            WatchAction::Serve => {
                tracing::info!(interface, mode = mode_name(self.config.dhcp), "DHCP is served");
            }
            WatchAction::Appeared { other, silenced } => {
                let server = other.address.to_string();
                tracing::error!(interface, server, mac = %other.mac, silenced, "another DHCP server");
                self.event(EventKind::OtherDhcpServer { interface, server, mac: other.mac, silenced });
            }
            WatchAction::Gone(other) => {
                let server = other.address.to_string();
                let answering = self.watch.answers();
                tracing::info!(interface, server, answering, "another DHCP server is gone");
                self.event(EventKind::OtherDhcpServerGone { interface, server });
            }
        }
        self.report_health();
    }

    /// A DISCOVER of our own without netboot options, to see who else answers.
    fn question(&self) -> Vec<u8> {
        let mut packet = Packet::new(crate::dhcp::BOOT_REQUEST, uuid::Uuid::new_v4().as_u128() as u32);
        packet.flags = crate::dhcp::FLAG_BROADCAST;
        packet.chaddr[..6].copy_from_slice(&self.interface.mac.0);
        packet.options.set(code::MESSAGE_KIND, vec![MessageKind::Discover as u8]);
        let everybody = Destination {
            link: LinkTarget::Broadcast,
            address: Ipv4Addr::BROADCAST,
            port: PORT_SERVER,
            from_port: PORT_CLIENT,
        };
        frame::encode(self.interface.mac, Ipv4Addr::UNSPECIFIED, &everybody, &packet.encode())
    }

    /// Whether a machine that boots would be answered, or is rightly not: its DISCOVER is a frame as it comes from the wire,
    /// goes the way of one, to a service that is set up like this one from the same leases, and ends as a frame.
    /// Nothing is noted or given of it.
    async fn self_test(&mut self) -> Result<String, String> {
        self.check_interface()?;
        match self.watch.silence() {
            Some(why) if self.watch.yields() => return Ok(format!("not answered, and rightly so: {why}")),
            Some(why) => return Err(format!("not answered yet: {why}")),
            None => {}
        }
        let settings = settings(&self.config, &self.interface);
        let mut service = match self.config.dhcp {
            DhcpMode::Server => {
                let leases = load(&self.config, &settings, self.site.store()).await;
                Service::Server(Box::new(Server::new(settings, leases.map_err(|error| error.to_string())?)))
            }
            DhcpMode::Proxy | DhcpMode::Off => Service::Proxy(Proxy::new(settings)),
        };
        let sent = self_test::discover();
        let frame = Datagram::parse(&sent, true).ok_or("a DISCOVER is not read")?;
        let packet = Packet::decode(frame.payload).map_err(|error| error.to_string())?;
        let request = Request::try_from(&packet).map_err(|ignored| ignored.to_string())?;
        let source = Source {
            mac: frame.mac,
            address: frame.source.0,
            port: frame.source.1,
            to_port: frame.destination.1,
            unicast: false,
        };
        let (site, now) = (&self.site, self.site.now());
        let outcome = service.handle(&request, &source, |sighting| site.would_hand_off(sighting), now);
        let reply =
            outcome.reply.ok_or_else(|| format!("a machine that boots is not answered: {}", outcome.why))?;
        let answer =
            frame::encode(self.interface.mac, self.interface.address, &reply.destination, &reply.payload);
        self_test::check_offer(&answer)?;
        Ok(format!("a machine that boots is answered as {}", self.interface.address))
    }

    fn watch_due(&self) -> Option<Instant> {
        self.watch.deadline().map(|deadline| self.clock.at(deadline))
    }

    /// Goes on with another MAC address or MTU in place: a machine that boots at that moment, whose port
    /// may be the cause, must not wait for another session to listen first.
    fn check_interface(&mut self) -> Result<(), String> {
        match Interface::find(&self.config.interface, self.config.subnet) {
            Ok(found) if found == self.interface => Ok(()),
            Ok(found) if found.continues(&self.interface) => {
                let (interface, mac, mtu) = (&self.config.interface, found.mac, found.mtu);
                tracing::info!(interface, %mac, mtu, "the interface changed: going on with it");
                self.service.set_mtu(mtu);
                self.interface = found;
                Ok(())
            }
            Ok(interface) => Err(format!("{} changed to {}", self.config.interface, interface.address)),
            Err(unready) => Err(unready.to_string()),
        }
    }

    fn report_health(&self) {
        let name = &self.config.interface;
        let now = self.site.now();
        let (addresses, addresses_bound, addresses_taken) = match &self.service {
            Service::Server(server) => {
                let leases = server.leases();
                (leases.addresses(), leases.addresses_bound(now), leases.addresses_taken(now))
            }
            Service::Proxy(_) => (0, 0, 0),
        };
        let heard_at = |at: Millis| now.saturating_sub(self.clock.now().saturating_sub(at));
        let others = self.watch.others().into_iter().map(|(other, at)| Other {
            address: other.address.to_string(),
            mac: other.mac,
            heard_at: heard_at(at),
        });
        let other = self.watch.other();
        let remedy = "switch that one off, or set dhcp = \"proxy\", or allow_rogue = true";
        let (state, message) = match (&self.store_failed, self.watch.silence(), other) {
            (Some(error), _, _) => (HealthState::Failed, format!("leases cannot be saved: {error}")),
            (_, Some(why), Some(_)) => (HealthState::Degraded, format!("silent: {why}; {remedy}")),
            (_, Some(why), None) => (HealthState::Ok, why),
            _ if self.dropped > 0 => {
                (HealthState::Degraded, format!("leases are saved too slowly: {} dropped", self.dropped))
            }
            (_, _, Some(other)) if self.config.dhcp == DhcpMode::Server => {
                (HealthState::Degraded, format!("serves addresses beside {}: {remedy}", other.address))
            }
            (_, _, Some(other)) => (HealthState::Ok, format!("serves boot files beside {}", other.address)),
            _ if addresses > 0 && addresses_bound >= addresses => {
                (HealthState::Degraded, "every address is in use: add a range, or shorten lease_time".into())
            }
            _ if self.config.dhcp == DhcpMode::Server => {
                (HealthState::Ok, format!("serves addresses as {}", self.interface.address))
            }
            _ => (HealthState::Ok, format!("serves boot files as {}", self.interface.address)),
        };
        self.site.set_network_health(NetworkHealth {
            interface: name.clone(),
            dhcp: mode_name(self.config.dhcp).into(),
            state,
            answering: self.watch.answers(),
            message,
            silence: match self.watch.answers() {
                true => None,
                false if self.watch.yields() => Some(Silence::OtherServer),
                false => Some(Silence::Listening),
            },
            other_server: other.map(|other| other.address.to_string()),
            other_servers: others.collect(),
            addresses,
            addresses_bound,
            addresses_free: addresses.saturating_sub(addresses_taken),
            // The site has these.
            link: None,
            traffic: None,
        });
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
