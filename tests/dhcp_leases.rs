//! RFC 2131's tables against the server, in virtual time: rows, then random histories.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ironwake::appliance::Jump;
use ironwake::boot::Handoff;
use ironwake::dhcp::{
    BOOT_REQUEST, Destination, FLAG_BROADCAST, LeaseTable, LinkTarget, MessageKind, Outcome, Packet, Request,
    ReservationSettings, Server, Settings, Source, SubnetSettings, code,
};
use ironwake_api::{LeaseState, MacAddr, Millis};
use proptest::prelude::*;

const SERVER: Ipv4Addr = ip(1);
const LEASE_SECS: u32 = 600;

const fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn mac(client: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, client])
}

fn settings(range: RangeInclusive<Ipv4Addr>) -> Settings {
    Settings {
        network: "br0".into(),
        server: SERVER,
        next_server: SERVER,
        mtu: 1500,
        lease_secs: LEASE_SECS,
        dns: vec![SERVER, ip(2)],
        domain: Some("lab.example".into()),
        subnets: vec![
            SubnetSettings {
                network: "10.0.0.0/24".parse().unwrap(),
                ranges: vec![range],
                routers: vec![ip(1)],
            },
            SubnetSettings {
                network: "10.9.0.0/24".parse().unwrap(),
                ranges: vec![Ipv4Addr::new(10, 9, 0, 10)..=Ipv4Addr::new(10, 9, 0, 20)],
                routers: vec![Ipv4Addr::new(10, 9, 0, 1)],
            },
        ],
        reservations: vec![ReservationSettings {
            mac: mac(200),
            address: ip(5),
            hostname: Some("rack1".into()),
        }],
    }
}

/// A server, and clients that speak to it.
struct Lab {
    server: Server,
    now: Millis,
}

/// One message of a client.
#[derive(Clone, Default)]
struct Message {
    client: u8,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    ciaddr: Option<Ipv4Addr>,
    relay: Option<Ipv4Addr>,
    unicast: bool,
    broadcast: bool,
    options: Vec<(u8, Vec<u8>)>,
}

impl Lab {
    fn new(range: RangeInclusive<Ipv4Addr>) -> Self {
        let settings = settings(range);
        let leases = LeaseTable::new("br0", SERVER, &settings.subnets, &settings.reservations);
        Self { server: Server::new(settings, leases), now: 1_000_000 }
    }

    fn send(&mut self, kind: MessageKind, message: &Message) -> Outcome {
        let mut packet = Packet::new(BOOT_REQUEST, 7);
        packet.chaddr[..6].copy_from_slice(&mac(message.client).0);
        packet.flags = if message.broadcast { FLAG_BROADCAST } else { 0 };
        packet.ciaddr = message.ciaddr.unwrap_or(Ipv4Addr::UNSPECIFIED);
        packet.giaddr = message.relay.unwrap_or(Ipv4Addr::UNSPECIFIED);
        packet.options.set(code::MESSAGE_KIND, vec![kind as u8]);
        for (code, address) in
            [(code::REQUESTED_ADDRESS, message.requested), (code::SERVER_ID, message.server)]
        {
            if let Some(address) = address {
                packet.options.set(code, address.octets().to_vec());
            }
        }
        for (code, value) in &message.options {
            packet.options.set(*code, value.clone());
        }
        let bytes = packet.encode();
        let packet = Packet::decode(&bytes).unwrap();
        let request = Request::try_from(&packet).unwrap();
        let source = Source {
            mac: mac(message.client),
            address: message.ciaddr.unwrap_or(Ipv4Addr::UNSPECIFIED),
            port: 68,
            to_port: 67,
            unicast: message.unicast,
        };
        self.server.handle(&request, &source, |_| Handoff::AddressOnly, self.now)
    }

    fn discover(&mut self, client: u8) -> Option<Ipv4Addr> {
        let outcome = self.send(MessageKind::Discover, &Message { client, ..Message::default() });
        outcome.reply.map(|reply| Packet::decode(&reply.payload).unwrap().yiaddr)
    }

    fn select(&mut self, client: u8, address: Ipv4Addr) -> Outcome {
        let message =
            Message { client, requested: Some(address), server: Some(SERVER), ..Message::default() };
        self.send(MessageKind::Request, &message)
    }

    fn bind(&mut self, client: u8) -> Ipv4Addr {
        let address = self.discover(client).expect("an offer");
        assert_eq!(verdict(&self.select(client, address)), format!("ACK {address}"));
        address
    }
}

fn verdict(outcome: &Outcome) -> String {
    match &outcome.reply {
        None => "silence".into(),
        Some(reply) => {
            let packet = Packet::decode(&reply.payload).unwrap();
            match reply.kind {
                MessageKind::Nak => "NAK".into(),
                kind => format!("{} {}", kind.name(), packet.yiaddr),
            }
        }
    }
}

/// Client 1 has 10.0.0.10; `kind` comes from `message.client`.
fn check(kind: MessageKind, message: Message, expected: &str) {
    let mut lab = Lab::new(ip(10)..=ip(20));
    assert_eq!(lab.bind(1), ip(10));
    assert_eq!(verdict(&lab.send(kind, &message)), expected);
}

#[test]
fn requests_are_judged_by_the_state_they_come_from() {
    use MessageKind::Request;
    let m = |client| Message { client, ..Message::default() };
    let foreign = Ipv4Addr::new(192, 168, 7, 7);
    // SELECTING
    check(Request, Message { requested: Some(ip(11)), server: Some(SERVER), ..m(2) }, "ACK 10.0.0.11");
    check(Request, Message { requested: Some(ip(10)), server: Some(SERVER), ..m(2) }, "NAK");
    check(Request, Message { requested: Some(ip(99)), server: Some(SERVER), ..m(2) }, "NAK");
    check(Request, Message { requested: Some(ip(1)), server: Some(SERVER), ..m(2) }, "NAK");
    check(Request, Message { requested: Some(ip(11)), server: Some(ip(2)), ..m(2) }, "silence");
    // INIT-REBOOT
    check(Request, Message { requested: Some(ip(10)), ..m(1) }, "ACK 10.0.0.10");
    check(Request, Message { requested: Some(ip(11)), ..m(1) }, "NAK");
    check(Request, Message { requested: Some(ip(11)), ..m(2) }, "silence");
    check(Request, Message { requested: Some(foreign), ..m(2) }, "NAK");
    // RENEWING and REBINDING
    check(Request, Message { ciaddr: Some(ip(10)), unicast: true, ..m(1) }, "ACK 10.0.0.10");
    check(Request, Message { ciaddr: Some(ip(10)), ..m(1) }, "ACK 10.0.0.10");
    check(Request, Message { ciaddr: Some(ip(10)), unicast: true, ..m(2) }, "NAK");
    check(Request, Message { ciaddr: Some(ip(12)), ..m(2) }, "silence");
    check(Request, Message { ciaddr: Some(foreign), ..m(1) }, "NAK");
    // Nothing asked for.
    check(Request, m(1), "silence");
    check(Request, Message { server: Some(SERVER), ..m(1) }, "silence");
    // INFORM carries no address back.
    check(MessageKind::Inform, Message { ciaddr: Some(ip(77)), ..m(3) }, "ACK 0.0.0.0");
    check(MessageKind::Inform, m(3), "silence");
    // Through a relay, and through one in no subnet.
    let relay = Some(Ipv4Addr::new(10, 9, 0, 1));
    check(MessageKind::Discover, Message { relay, ..m(2) }, "OFFER 10.9.0.10");
    check(Request, Message { relay, requested: Some(ip(11)), ..m(2) }, "NAK");
    check(MessageKind::Discover, Message { relay: Some(foreign), ..m(2) }, "silence");
    // Option 82 selects the link (RFC 3527).
    let selection = vec![(82, vec![5, 4, 10, 9, 0, 0])];
    check(
        MessageKind::Discover,
        Message { relay: Some(foreign), options: selection, ..m(2) },
        "OFFER 10.9.0.10",
    );
}

fn check_destination(kind: MessageKind, message: Message, expected: (LinkTarget, [u8; 4], u16)) {
    let mut lab = Lab::new(ip(10)..=ip(20));
    lab.bind(1);
    let Destination { link, address, port, from_port } =
        lab.send(kind, &message).reply.expect("an answer").destination;
    assert_eq!((link, address.octets(), port, from_port), (expected.0, expected.1, expected.2, 67));
}

#[test]
fn answers_go_where_rfc_2131_says() {
    let m = |client| Message { client, ..Message::default() };
    let station = |client| LinkTarget::Station(mac(client));
    let (discover, request) = (MessageKind::Discover, MessageKind::Request);
    let everybody = [255; 4];
    check_destination(discover, m(2), (station(2), [10, 0, 0, 11], 68));
    check_destination(discover, Message { broadcast: true, ..m(2) }, (LinkTarget::Broadcast, everybody, 68));
    check_destination(
        request,
        Message { ciaddr: Some(ip(10)), unicast: true, broadcast: true, ..m(1) },
        (station(1), [10, 0, 0, 10], 68),
    );
    check_destination(
        request,
        Message { requested: Some(ip(50)), ..m(1) },
        (LinkTarget::Broadcast, everybody, 68),
    );
    let relay = Some(Ipv4Addr::new(10, 9, 0, 1));
    check_destination(discover, Message { relay, ..m(2) }, (station(2), [10, 9, 0, 1], 67));
}

/// However the clock is set, a lease is its client's as long as it was given for, and not longer.
#[test]
fn a_lease_lasts_as_long_when_the_clock_is_set() {
    const YEAR: Millis = 365 * 86_400_000;
    const START: Millis = 10 * YEAR;
    for to in [START + 8 * YEAR, START - 8 * YEAR] {
        let mut lab = Lab::new(ip(10)..=ip(11));
        lab.now = START;
        assert_eq!(lab.bind(1), ip(10));
        lab.now += Millis::from(LEASE_SECS) * 500;
        lab.server.clock_jumped(&Jump { from: lab.now, to, booted_at: Some(START - 1) });
        lab.now = to;
        assert_eq!((lab.bind(2), lab.discover(3)), (ip(11), None));
        lab.now += Millis::from(LEASE_SECS) * 500 - 1;
        assert_eq!(lab.discover(3), None);
        lab.now += 1;
        assert_eq!(lab.discover(3), Some(ip(10)));
        // One from before the start of the system, by a clock that was years ahead: it holds no address for years.
        let until = lab.now + Millis::from(LEASE_SECS) * 1000;
        lab.server.clock_jumped(&Jump { from: lab.now, to: lab.now - YEAR, booted_at: Some(lab.now) });
        assert_eq!(lab.server.leases().addresses_bound(lab.now - YEAR), 1);
        assert_eq!(lab.server.leases().addresses_bound(until - YEAR), 0);
    }
}

#[test]
fn a_nak_through_a_relay_is_broadcast_by_it() {
    let mut lab = Lab::new(ip(10)..=ip(20));
    let message = Message {
        client: 1,
        relay: Some(Ipv4Addr::new(10, 9, 0, 1)),
        requested: Some(ip(10)),
        ..Message::default()
    };
    let reply = lab.send(MessageKind::Request, &message).reply.unwrap();
    assert_eq!(Packet::decode(&reply.payload).unwrap().flags, FLAG_BROADCAST);
}

#[test]
fn an_answer_describes_the_network_and_echoes_option_82_last() {
    let mut lab = Lab::new(ip(10)..=ip(20));
    let options = vec![(82, b"\x01\x03abc".to_vec()), (61, b"\xffid".to_vec()), (57, vec![2, 64])];
    let relayed = Message { client: 200, options, ..Message::default() };
    let reply = lab.send(MessageKind::Discover, &relayed).reply.unwrap();
    let packet = Packet::decode(&reply.payload).unwrap();
    let options: Vec<_> = packet.options.iter().map(|(code, _)| code).collect();
    assert_eq!(options, [53, 54, 51, 58, 59, 1, 28, 3, 6, 15, 12, 61, 82]);
    assert_eq!(packet.yiaddr, ip(5), "the reservation");
    assert_eq!(packet.options.u32(51), Some(LEASE_SECS));
    assert_eq!((packet.options.u32(58), packet.options.u32(59)), (Some(300), Some(525)));
    assert_eq!(packet.options.address(28), Some(ip(255)));
    assert_eq!(packet.options.get(12), Some(&b"rack1"[..]));
}

#[test]
fn a_long_answer_is_made_to_fit_the_client() {
    let mut settings = settings(ip(10)..=ip(20));
    settings.domain = Some("d".repeat(250));
    let leases = LeaseTable::new("br0", SERVER, &settings.subnets, &[]);
    let mut lab = Lab { server: Server::new(settings, leases), now: 1 };
    let mut bytes = |size: Option<u16>| {
        let mut options = vec![(82, vec![7; 60])];
        options.extend(size.map(|size| (57, size.to_be_bytes().to_vec())));
        let reply = lab
            .send(MessageKind::Discover, &Message { client: 9, options, ..Message::default() })
            .reply
            .unwrap();
        let packet = Packet::decode(&reply.payload).unwrap();
        assert_eq!(packet.options.iter().last().unwrap().0, 82);
        (reply.payload.len(), packet.options.get(15).is_some())
    };
    assert!(bytes(None).0 <= 548 && !bytes(None).1);
    assert!(!bytes(Some(1)).1, "less than 576 is not a limit that a client may set");
    assert!(bytes(Some(1472)).1);
    // OVMF claims 65280 bytes; the link takes less.
    assert!(bytes(Some(0xff00)).0 <= 1472);
}

#[test]
fn a_released_address_comes_back_to_its_client_and_goes_to_others_last() {
    let mut lab = Lab::new(ip(10)..=ip(12));
    let address = lab.bind(1);
    let release = Message { client: 1, ciaddr: Some(address), server: Some(SERVER), ..Message::default() };
    let saved = lab.send(MessageKind::Release, &release).save.expect("saved");
    assert_eq!((saved.address.as_str(), saved.state), ("10.0.0.10", LeaseState::Released));
    assert_eq!((lab.bind(2), lab.bind(3)), (ip(11), ip(12)));
    assert_eq!(lab.discover(1), Some(address));
    assert_eq!(lab.discover(4), None, "all are held");
    lab.now += 60_001;
    assert_eq!(lab.discover(4), Some(address), "the offer to client 1 ran out");
}

#[test]
fn an_exhausted_pool_is_named_and_recovers() {
    let mut lab = Lab::new(ip(10)..=ip(11));
    lab.bind(1);
    lab.bind(2);
    let outcome = lab.send(MessageKind::Discover, &Message { client: 3, ..Message::default() });
    assert_eq!(
        (verdict(&outcome).as_str(), &*outcome.why),
        ("silence", "all 2 addresses of 10.0.0.0/24 are in use")
    );
    lab.now += Millis::from(LEASE_SECS) * 1000 + 1;
    assert_eq!(lab.discover(3), Some(ip(10)));
}

#[test]
fn an_address_that_answers_the_probe_is_naked_and_set_aside() {
    let mut lab = Lab::new(ip(10)..=ip(20));
    let outcome = lab.send(MessageKind::Discover, &Message { client: 1, ..Message::default() });
    assert_eq!(outcome.probe, Some(ip(10)));
    assert_eq!(lab.server.in_use(ip(10), mac(1), lab.now).conflict, None, "the client itself answers");
    let conflict = lab.server.in_use(ip(10), mac(99), lab.now);
    assert_eq!(conflict.save.map(|lease| lease.state), Some(LeaseState::Declined));
    assert_eq!(verdict(&lab.select(1, ip(10))), "NAK");
    assert_eq!(lab.bind(1), ip(11));
    let again = lab.send(MessageKind::Discover, &Message { client: 1, ..Message::default() });
    assert_eq!((verdict(&again).as_str(), again.probe), ("OFFER 10.0.0.11", None));
    assert_eq!(lab.server.in_use(ip(11), mac(99), lab.now).conflict, None, "a bound address is its client's");
}

#[test]
fn a_declined_address_is_set_aside() {
    let mut lab = Lab::new(ip(10)..=ip(20));
    lab.bind(1);
    let decline = Message { client: 1, requested: Some(ip(10)), server: Some(SERVER), ..Message::default() };
    let outcome = lab.send(MessageKind::Decline, &decline);
    assert!(outcome.conflict.is_some() && outcome.save.is_some());
    assert_eq!(lab.bind(1), ip(11));
}

#[test]
fn stored_leases_are_taken_up_again() {
    let mut lab = Lab::new(ip(10)..=ip(20));
    let id = vec![(61, b"\x01client".to_vec())];
    let offer =
        lab.send(MessageKind::Discover, &Message { client: 1, options: id.clone(), ..Message::default() });
    assert_eq!(verdict(&offer), "OFFER 10.0.0.10");
    let select = Message {
        client: 1,
        requested: Some(ip(10)),
        server: Some(SERVER),
        options: id.clone(),
        ..Message::default()
    };
    let lease = lab.send(MessageKind::Request, &select).save.unwrap();
    assert_eq!(lease.client_id.as_deref(), Some("01636c69656e74"));

    let settings = settings(ip(10)..=ip(20));
    let mut leases = LeaseTable::new("br0", SERVER, &settings.subnets, &settings.reservations);
    assert!(leases.load(&lease));
    let foreign = ironwake_api::Lease { address: "192.168.9.9".into(), ..lease };
    assert!(!leases.load(&foreign));
    let mut lab = Lab { server: Server::new(settings, leases), now: lab.now };
    assert_eq!(lab.bind(2), ip(11), "10.0.0.10 is taken");
    let renew = Message { client: 1, ciaddr: Some(ip(10)), unicast: true, options: id, ..Message::default() };
    assert_eq!(verdict(&lab.send(MessageKind::Request, &renew)), "ACK 10.0.0.10");
}

#[test]
fn a_lease_ends_once_unless_it_is_renewed_and_its_address_is_taken_until_then() {
    let settings = settings(ip(10)..=ip(20));
    let mut leases = LeaseTable::new("br0", SERVER, &settings.subnets, &[]);
    let own = leases.subnet_of(SERVER).unwrap();
    let key = |client| ironwake::dhcp::ClientKey::Mac(mac(client));
    for client in [1, 2] {
        let offer = leases.offer(own, &key(client), mac(client), None, 0).unwrap();
        assert!(!leases.has(&key(client), offer.address, 1), "an offer is not a lease");
        leases.bind(own, &key(client), mac(client), offer.address, None, 1000, 0).unwrap();
        assert!(leases.has(&key(client), offer.address, 1));
    }
    leases.offer(own, &key(3), mac(3), None, 0).unwrap();
    assert_eq!((leases.addresses_bound(1), leases.addresses_taken(1)), (2, 3));
    let (first, _) = leases.find(own, &key(1), 1).unwrap();
    leases.bind(own, &key(1), mac(1), first, None, 1000, 500).unwrap();
    let ended = |from, to| leases.expired(from, to).map(|lease| lease.mac).collect::<Vec<_>>();
    assert_eq!((ended(0, 999), ended(999, 1000)), (vec![], vec![mac(2)]));
    assert_eq!((ended(1000, 1499), ended(1499, 1500), ended(1500, 9999)), (vec![], vec![mac(1)], vec![]));
}

#[test]
fn a_whole_sixteen_is_leased_and_its_end_is_named() {
    let mut settings = settings(ip(10)..=ip(20));
    settings.subnets[0] = SubnetSettings {
        network: "10.0.0.0/16".parse().unwrap(),
        ranges: vec![ip(2)..=Ipv4Addr::new(10, 0, 255, 254)],
        routers: Vec::new(),
    };
    let mut leases = LeaseTable::new("br0", SERVER, &settings.subnets, &[]);
    let own = leases.subnet_of(SERVER).unwrap();
    let mut seen = std::collections::HashSet::new();
    for number in 0..65_533_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let mac = MacAddr([2, 0, 0, a, b, c]);
        let key = ironwake::dhcp::ClientKey::Mac(mac);
        let offer = leases.offer(own, &key, mac, None, 1).unwrap();
        assert!(seen.insert(offer.address));
        leases.bind(own, &key, mac, offer.address, None, 1000, 1).unwrap();
    }
    assert_eq!(leases.addresses_bound(2), 65_533);
    let late = MacAddr([6, 0, 0, 0, 0, 1]);
    let key = ironwake::dhcp::ClientKey::Mac(late);
    assert!(leases.offer(own, &key, late, None, 500).is_err());
    assert!(leases.offer(own, &key, late, None, 1_001).is_ok());
}

#[derive(Debug, Clone)]
enum Step {
    Discover(u8),
    Select(u8),
    Renew(u8),
    Release(u8),
    Decline(u8),
    Stranger(u8),
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Step::Discover),
        4 => (0..12_u8).prop_map(Step::Select),
        2 => (0..12_u8).prop_map(Step::Renew),
        1 => (0..12_u8).prop_map(Step::Release),
        1 => (0..12_u8).prop_map(Step::Decline),
        1 => (10..18_u8).prop_map(Step::Stranger),
        2 => (1..400_000_u32).prop_map(Step::Pass),
    ]
}

/// What the clients and the network know, to be held against the server.
#[derive(Default)]
struct World {
    offered: HashMap<u8, Ipv4Addr>,
    held: HashMap<u8, (Ipv4Addr, Millis)>,
    set_aside: HashMap<Ipv4Addr, Millis>,
}

impl World {
    fn acknowledged(&mut self, client: u8, address: Ipv4Addr, now: Millis) {
        assert!((ip(10)..=ip(17)).contains(&address), "{address} is outside the range");
        for (other, (held, until)) in &self.held {
            let clash = other != &client && *held == address && *until > now;
            assert!(!clash, "{address} was given to {client} while {other} holds it");
        }
        let aside = self.set_aside.get(&address).is_some_and(|until| *until > now);
        assert!(!aside, "{address} was given to {client} while it is set aside");
        self.held.insert(client, (address, now + Millis::from(LEASE_SECS) * 1000));
    }
}

fn play(lab: &mut Lab, world: &mut World, step: &Step) {
    let set_aside_until = lab.now + 3_600_000;
    match *step {
        Step::Pass(millis) => lab.now += Millis::from(millis),
        Step::Discover(client) => {
            if let Some(address) = lab.discover(client) {
                world.offered.insert(client, address);
            }
        }
        Step::Select(client) => {
            let Some(address) = world.offered.remove(&client) else { return };
            if verdict(&lab.select(client, address)).starts_with("ACK") {
                world.acknowledged(client, address, lab.now);
            }
        }
        Step::Renew(client) => {
            let Some((address, _)) = world.held.get(&client).copied() else { return };
            let renew = Message { client, ciaddr: Some(address), unicast: true, ..Message::default() };
            match verdict(&lab.send(MessageKind::Request, &renew)) {
                ack if ack.starts_with("ACK") => world.acknowledged(client, address, lab.now),
                _ => drop(world.held.remove(&client)),
            }
        }
        Step::Release(client) => {
            let Some((address, _)) = world.held.remove(&client) else { return };
            let release = Message { client, ciaddr: Some(address), ..Message::default() };
            lab.send(MessageKind::Release, &release);
        }
        Step::Decline(client) => {
            let Some((address, _)) = world.held.remove(&client) else { return };
            let decline = Message { client, requested: Some(address), ..Message::default() };
            if lab.send(MessageKind::Decline, &decline).conflict.is_some() {
                world.set_aside.insert(address, set_aside_until);
            }
        }
        Step::Stranger(last) => {
            if lab.server.in_use(ip(last), mac(99), lab.now).conflict.is_some() {
                world.set_aside.insert(ip(last), set_aside_until);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_gives_an_address_to_two(steps in proptest::collection::vec(step(), 1..200)) {
        let mut lab = Lab::new(ip(10)..=ip(17));
        let mut world = World::default();
        for step in &steps {
            play(&mut lab, &mut world, step);
        }
    }
}
