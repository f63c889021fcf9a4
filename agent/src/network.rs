//! Gets the machine onto the network and keeps it there: the NIC this boot came through first, then the others.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    sync::mpsc::Sender,
    thread,
    time::{Duration, Instant},
};

use ironwake_api::{MacAddr, Nic};

use crate::{
    chance,
    dhcp::{Effect, Exchange, Identity, Lease, Reply, Socket, decode_frame, encode_frame},
    inventory, lldp, nic_control,
    screen::Screen,
    worker::Event,
};

/// The NIC this boot came through worked a moment ago: the others are only asked when it has had this long.
const BOOT_NIC_WAIT: Duration = Duration::from_secs(20);
/// One NIC's turn where there are several.
const TURN: Duration = Duration::from_secs(8);
/// Drivers and links appear within milliseconds or seconds; there is no event for a link that works everywhere.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// How long a NIC may be without a link before it is said.
const LINK_PATIENCE: Duration = Duration::from_secs(5);
/// Switches speak every 30 seconds.
const LLDP_WAIT: Duration = Duration::from_secs(65);
const IPV4: u16 = 0x0800;

/// Who keeps the machine on the network.
#[derive(Debug)]
pub struct Network {
    /// For lines about what happens.
    pub screen: Screen,
    /// The NIC this boot came through.
    pub boot_mac: Option<MacAddr>,
    /// For option 97.
    pub uuid: Option<[u8; 16]>,
    /// Where leases and neighbours are told.
    pub events: Sender<Event>,
}

/// What stays between turns.
#[derive(Default)]
struct Memory {
    exchanges: HashMap<MacAddr, Exchange>,
    up: HashMap<String, bool>,
}

impl Network {
    /// Runs until the worker ends.
    pub fn run(self) {
        let started = Instant::now();
        let mut memory = Memory::default();
        let mut said_missing = false;
        loop {
            let nics = inventory::nic::read(Path::new("/"), self.boot_mac);
            self.bring_up(&nics, &mut memory);
            let only_boot = self.boot_mac.is_some() && started.elapsed() < BOOT_NIC_WAIT;
            let candidates: Vec<&Nic> = nics.iter().filter(|nic| nic.boot || !only_boot).collect();
            if candidates.is_empty() {
                if started.elapsed() > LINK_PATIENCE && !std::mem::replace(&mut said_missing, true) {
                    self.screen.say("no network device yet: is its driver in the image?");
                }
                thread::sleep(LOOK_AGAIN);
                continue;
            }
            let turn = if candidates.len() == 1 { BOOT_NIC_WAIT } else { TURN };
            // Those with a link first, and among them the one that was booted from.
            let mut ordered = candidates;
            ordered.sort_by_key(|nic| (!nic_control::has_link(Path::new("/"), &nic.name), !nic.boot));
            for nic in ordered {
                if let Err(error) = self.take_turn(nic, turn, started, &mut memory) {
                    self.screen.say(format!("{}: {error}", nic.name));
                    thread::sleep(LOOK_AGAIN);
                }
            }
        }
    }

    fn bring_up(&self, nics: &[Nic], memory: &mut Memory) {
        for nic in nics {
            if memory.up.contains_key(&nic.name) {
                continue;
            }
            let up = nic_control::up(&nic.name);
            if let Err(error) = &up {
                self.screen.say(format!("{} cannot be brought up: {error}", nic.name));
            }
            memory.up.insert(nic.name.clone(), up.is_ok());
            let (name, events) = (nic.name.clone(), self.events.clone());
            thread::spawn(move || {
                if let Some(neighbour) = hear_neighbour(&name) {
                    let _ = events.send(Event::Heard { nic: name, neighbour });
                }
            });
        }
    }

    /// Tries one NIC for a while; once it has a lease, stays with it until that is lost.
    fn take_turn(&self, nic: &Nic, turn: Duration, clock: Instant, memory: &mut Memory) -> io::Result<()> {
        let Some(mac) = nic.mac else { return Ok(()) };
        if !self.wait_for_link(nic, turn) {
            return Ok(());
        }
        let index = nic_control::index(&nic.name)?;
        let mut socket = Socket::open(index, IPV4)?;
        // Nobody reads from it: it keeps the kernel from refusing the server's answers to an address in use.
        let _client_port = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68));
        let deadline = clock.elapsed() + turn;
        let exchange = memory.exchanges.entry(mac).or_insert_with(|| {
            let identity = Identity { mac, uuid: self.uuid };
            Exchange::new(identity, chance::bits() as u32, clock.elapsed())
        });
        let mut is_online = false;
        loop {
            let now = clock.elapsed();
            let mut effects = exchange.tick(now, chance::jitter());
            if !effects.is_empty() && !is_online && exchange.unanswered() > 1 {
                self.screen.say(format!("no DHCP answer on {} ({mac}): asking again", nic.name));
            }
            if effects.is_empty() {
                let wait = exchange.due().saturating_sub(now);
                let wait = if is_online { wait } else { wait.min(deadline.saturating_sub(now)) };
                if let Some(reply) = receive(&mut socket, mac, wait.max(Duration::from_millis(1)))? {
                    effects = exchange.receive(&reply, clock.elapsed());
                }
            }
            for effect in effects {
                match effect {
                    Effect::Send { message, from } => socket.send(&encode_frame(mac, from, &message))?,
                    Effect::Bound(lease) => {
                        nic_control::apply(&nic.name, &lease)?;
                        if !std::mem::replace(&mut is_online, true) {
                            self.say_online(nic, mac, &lease);
                        }
                    }
                    Effect::Lost => {
                        is_online = false;
                        let _ = nic_control::clear(&nic.name);
                        self.screen.say(format!("{} has lost its address", nic.name));
                    }
                }
            }
            if !is_online && clock.elapsed() >= deadline {
                return Ok(());
            }
        }
    }

    fn wait_for_link(&self, nic: &Nic, turn: Duration) -> bool {
        let began = Instant::now();
        let mut said = false;
        while !nic_control::has_link(Path::new("/"), &nic.name) {
            if began.elapsed() > LINK_PATIENCE && !std::mem::replace(&mut said, true) {
                self.screen.say(format!("no link on {}: is its cable in, and the switch on?", nic.name));
            }
            if began.elapsed() > turn {
                return false;
            }
            thread::sleep(LOOK_AGAIN);
        }
        true
    }

    fn say_online(&self, nic: &Nic, mac: MacAddr, lease: &Lease) {
        let Lease { address, prefix_length, server, .. } = lease;
        self.screen.say(format!("{} has {address}/{prefix_length} from {server}", nic.name));
        let _ = self.events.send(Event::Online { mac });
    }
}

fn receive(socket: &mut Socket, mac: MacAddr, wait: Duration) -> io::Result<Option<Reply>> {
    match socket.receive(wait) {
        Ok(frame) => Ok(frame.and_then(decode_frame).and_then(|message| Reply::parse(message, mac))),
        // The link went away for a moment; the exchange's own deadlines decide what follows.
        Err(error) if error.kind() == io::ErrorKind::NetworkDown => {
            thread::sleep(LOOK_AGAIN);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Listens until the switch at the other end has said who it is.
fn hear_neighbour(name: &str) -> Option<ironwake_api::Lldp> {
    let index = nic_control::index(name).ok()?;
    let mut socket = Socket::open(index, lldp::ETHER_TYPE).ok()?;
    socket.join(index, lldp::MULTICAST).ok()?;
    let deadline = Instant::now() + LLDP_WAIT;
    while Instant::now() < deadline {
        match socket.receive(deadline.saturating_duration_since(Instant::now())) {
            Ok(Some(frame)) => {
                if let Some(neighbour) = lldp::parse_frame(frame) {
                    return Some(neighbour);
                }
            }
            Ok(None) => {}
            Err(_) => thread::sleep(LOOK_AGAIN),
        }
    }
    None
}
