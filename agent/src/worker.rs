//! The agent's course: drivers, inventory, network at the same time; then report, do what the boot was armed for,
//! and wait for orders.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use ironwake_api::{
    AgentReport, Claim, ClaimRequest, EnrollAnswer, EnrollRequest, Inventory, Lldp, MacAddr, Order,
    OrderKind, human::short,
};

use crate::{
    backoff::Backoff,
    chance,
    cmdline::{Cmdline, Token},
    drivers::Drivers,
    idle::Idle,
    inventory::{self, smbios::Facts},
    network::Network,
    power,
    screen::Screen,
    server::{Server, ServerError},
    summary,
    uevent::Uevents,
    work::{self, Next, Reports},
};

/// The inventory is read once more this long after the first is in: links that were down may have been
/// negotiating, which no uevent tells.
const LINKS_PAUSE: Duration = Duration::from_secs(5);
/// Devices that come together are read together.
const HARDWARE_PAUSE: Duration = Duration::from_secs(1);
/// Neighbours of several NICs are heard within moments of each other.
const NEIGHBOUR_PAUSE: Duration = Duration::from_secs(2);
/// How often the screen says how long until the machine reboots.
const COUNTDOWN: Duration = Duration::from_secs(60);
/// A daemon that does not hold the question for orders open is not asked more often than this.
const ORDERS_PAUSE: Duration = Duration::from_secs(1);

/// What the other threads tell.
#[derive(Debug)]
pub enum Event {
    /// A NIC has an address.
    Online {
        /// The NIC's address.
        mac: MacAddr,
    },
    /// A switch said who it is.
    Heard {
        /// The NIC that heard it.
        nic: String,
        /// What it said.
        neighbour: Lldp,
    },
    /// A device came or went.
    Hardware,
    /// The daemon wants something.
    Ordered(Order),
    /// The daemon does not know this machine any more.
    Forgotten,
}

/// Runs for ever, or until something breaks beyond repair; the supervisor then starts it again.
pub fn run() {
    // The first process has blocked them for itself, and a child inherits that.
    let _ = nix::sys::signal::SigSet::all().thread_unblock();
    let cmdline = Cmdline::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let screen = Screen::open(Path::new("/"));
    screen.say(format!("Ironwake agent {}", env!("CARGO_PKG_VERSION")));
    let facts = inventory::read_smbios(Path::new("/"));
    let (sender, receiver) = channel();
    let network = Network {
        screen: screen.clone(),
        boot_mac: cmdline.boot_mac,
        uuid: facts.uuid_raw,
        events: sender.clone(),
    };
    thread::spawn(move || network.run());
    let uevents = Uevents::open();
    if let Err(error) = &uevents {
        screen.say(format!("devices that appear later will not be noticed: {error}"));
    }
    let uevents = uevents.ok();
    let mut drivers = Drivers::open(&screen);
    let failed = drivers.settle(uevents.as_ref(), &facts);
    screen.say(format!("{} modules loaded, devices have settled", drivers.loaded()));
    let mut worker = Worker::new(screen, cmdline, drivers, sender.clone());
    worker.failed_modules = failed;
    worker.read_inventory(facts);
    worker.show();
    if let Some(uevents) = uevents {
        thread::spawn(move || watch(&uevents, &sender));
    }
    worker.wait_and_obey(&receiver);
}

fn watch(uevents: &Uevents, events: &Sender<Event>) {
    const WAIT: Duration = Duration::from_secs(60);
    loop {
        let event = uevents.next(WAIT);
        if event.is_some_and(|event| event.changes_hardware()) && events.send(Event::Hardware).is_err() {
            return;
        }
    }
}

struct Worker {
    screen: Screen,
    cmdline: Cmdline,
    drivers: Drivers,
    server: Option<Server>,
    events: Sender<Event>,
    failed_modules: Vec<String>,
    inventory: Inventory,
    neighbours: HashMap<String, Lldp>,
    /// The NIC that has an address.
    online: Option<MacAddr>,
    answer: Option<EnrollAnswer>,
    /// The machine's id, for the thread that asks for orders.
    machine: Arc<Mutex<Option<String>>>,
    backoff: Backoff,
    /// When the inventory is to be posted.
    post_at: Option<Instant>,
    /// When the hardware is to be read again.
    read_at: Option<Instant>,
    /// When the operation of an armed boot is to be claimed.
    claim_at: Option<Instant>,
    claim_backoff: Backoff,
    idle: Idle,
    said_at: Instant,
}

impl Worker {
    fn new(screen: Screen, cmdline: Cmdline, drivers: Drivers, events: Sender<Event>) -> Self {
        let server = cmdline.url.as_deref().map(Server::new);
        if server.is_none() {
            screen.say(
                "the kernel's command line has no usable ironwake.url=http://…: nothing can be reported",
            );
        }
        let machine = Arc::new(Mutex::new(None));
        let now = Instant::now();
        let idle = Idle::new(now, cmdline.idle_secs);
        Self {
            screen,
            cmdline,
            drivers,
            server,
            events,
            failed_modules: Vec::new(),
            inventory: Inventory::default(),
            neighbours: HashMap::new(),
            online: None,
            answer: None,
            machine,
            backoff: Backoff::default(),
            post_at: Some(now),
            read_at: None,
            claim_at: None,
            claim_backoff: Backoff::default(),
            idle,
            said_at: now,
        }
    }

    fn read_inventory(&mut self, facts: Facts) {
        let root = Path::new("/");
        let mut inventory = inventory::read(root, facts, self.cmdline.boot_mac);
        inventory::ask_hardware(&mut inventory);
        inventory.notes.extend(self.failed_modules.iter().cloned());
        self.inventory = inventory;
        self.add_neighbours();
    }

    fn add_neighbours(&mut self) {
        for nic in &mut self.inventory.nics {
            nic.lldp = self.neighbours.get(&nic.name).cloned();
        }
    }

    fn show(&self) {
        self.screen.say(summary::identity(&self.inventory));
        for line in summary::hardware(&self.inventory) {
            self.screen.say(line);
        }
    }

    fn wait_and_obey(mut self, receiver: &Receiver<Event>) {
        loop {
            let now = Instant::now();
            let said = Some(self.said_at + COUNTDOWN);
            let due = [self.post_due(), self.read_at, self.claim_at, self.idle.until(), said];
            let wait = due.into_iter().flatten().min().unwrap_or(now).saturating_duration_since(now);
            match receiver.recv_timeout(wait) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.do_what_is_due();
        }
    }

    /// Without a network or a daemon nothing can be posted.
    fn post_due(&self) -> Option<Instant> {
        self.post_at.filter(|_| self.online.is_some() && self.server.is_some())
    }

    fn take(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Online { mac } => {
                self.online = Some(mac);
                // The address is news to the daemon even if the inventory is in.
                self.post_at = Some(now);
            }
            Event::Heard { nic, neighbour } => {
                let system =
                    neighbour.system.as_deref().or(neighbour.chassis.as_deref()).unwrap_or("a switch");
                let port = neighbour.port.as_deref().unwrap_or("unknown");
                self.screen.say(format!("{nic} is connected to {system}, port {port}"));
                self.neighbours.insert(nic, neighbour);
                let pause = if self.answer.is_some() { NEIGHBOUR_PAUSE } else { Duration::ZERO };
                self.post_at = self.post_at.or(Some(now + pause));
            }
            Event::Hardware => self.read_at = self.read_at.or(Some(now + HARDWARE_PAUSE)),
            Event::Forgotten => self.post_at = self.post_at.or(Some(now)),
            Event::Ordered(order) => self.obey(&order),
        }
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if self.read_at.is_some_and(|at| at <= now) {
            self.read_at = None;
            self.read_again();
        }
        if self.post_due().is_some_and(|at| at <= now) {
            self.post();
        }
        if self.claim_at.is_some_and(|at| at <= now) {
            self.claim();
        }
        if self.idle.is_over(Instant::now()) {
            self.give_up_waiting();
        }
        if self.said_at + COUNTDOWN <= now {
            self.said_at = now;
            self.say_waiting();
        }
    }

    fn read_again(&mut self) {
        self.failed_modules.extend(self.drivers.load_asked());
        let mut before = std::mem::take(&mut self.inventory);
        self.read_inventory(inventory::read_smbios(Path::new("/")));
        // Clocks change all the time, hardware does not.
        for (old, new) in before.cpus.iter_mut().zip(&self.inventory.cpus) {
            old.mhz = new.mhz;
        }
        if before != self.inventory {
            self.screen.say("the hardware has changed");
            self.show();
            self.post_at = Some(Instant::now());
        }
    }

    fn post(&mut self) {
        let (Some(server), Some(online)) = (self.server.clone(), self.online) else { return };
        self.refresh_nics();
        let request = EnrollRequest {
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            boot_mac: self.boot_mac().unwrap_or(online),
            inventory: self.inventory.clone(),
        };
        match server.enroll(&request, self.cmdline.token.as_ref()) {
            Ok(answer) => {
                self.post_at = None;
                self.backoff.reset();
                self.take_answer(answer, &server);
            }
            Err(error) => {
                let wait = self.backoff.next(chance::jitter());
                self.post_at = Some(Instant::now() + wait);
                let url = self.cmdline.url.as_deref().unwrap_or_default();
                let wait = wait.as_secs_f32();
                self.screen.say(format!("{url} does not take the inventory: {error}; again in {wait:.0} s"));
            }
        }
    }

    fn boot_mac(&self) -> Option<MacAddr> {
        self.cmdline.boot_mac.or(self.online)
    }

    /// Links and addresses have come since the inventory was read.
    fn refresh_nics(&mut self) {
        let mut nics = inventory::nic::read(Path::new("/"), self.boot_mac());
        nics.iter_mut().for_each(crate::nic_control::ask_driver);
        self.inventory.nics = nics;
        self.add_neighbours();
    }

    fn take_answer(&mut self, answer: EnrollAnswer, server: &Server) {
        let first = self.answer.is_none();
        let name = answer.name.as_deref().unwrap_or_else(|| short(&answer.machine));
        let state = if answer.enrolled { "enrolled" } else { "not enrolled yet" };
        let url = self.cmdline.url.as_deref().unwrap_or_default();
        self.screen.say(format!("inventory is in at {url}: machine {name}, {state}"));
        *self.machine.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.machine.clone());
        self.idle.answered(Instant::now(), answer.idle_reboot_secs);
        self.answer = Some(answer);
        if first {
            self.say_waiting();
            self.read_at = self.read_at.or(Some(Instant::now() + LINKS_PAUSE));
            self.claim_at = self.cmdline.token.as_ref().map(|_| Instant::now());
            let (server, machine) = (server.clone(), Arc::clone(&self.machine));
            let (events, screen) = (self.events.clone(), self.screen.clone());
            thread::spawn(move || ask_for_orders(&server, &machine, &events, &screen));
        }
    }

    /// The token is good for one claim; whatever the daemon answers, it is not shown again.
    fn claim(&mut self) {
        self.claim_at = None;
        let (Some(server), Some(answer), Some(boot_mac)) =
            (self.server.clone(), &self.answer, self.boot_mac())
        else {
            return;
        };
        let Some(token) = self.cmdline.token.take() else { return };
        let request = ClaimRequest { machine: answer.machine.clone(), boot_mac };
        match server.claim(&token, &request) {
            Ok(claim) => self.work(&claim, token, server, request),
            Err(error) if error.is_final() => {
                self.report(
                    &format!("this boot's operation cannot be claimed, nothing is written: {error}"),
                    true,
                );
                self.say_waiting();
            }
            Err(error) => {
                let wait = self.claim_backoff.next(chance::jitter());
                self.cmdline.token = Some(token);
                self.claim_at = Some(Instant::now() + wait);
                let wait = wait.as_secs_f32();
                self.screen.say(format!("the operation is not claimed yet: {error}; again in {wait:.0} s"));
            }
        }
    }

    /// Nothing else is done meanwhile: orders and changes of the hardware wait until the work has ended.
    fn work(&mut self, claim: &Claim, token: Token, server: Server, request: ClaimRequest) {
        self.screen.say(format!("operation {} is claimed: {}", claim.operation, claim.kind));
        let reports = Reports {
            server,
            token,
            operation: claim.operation.clone(),
            machine: request.machine,
            boot_mac: request.boot_mac,
            screen: self.screen.clone(),
        };
        let drivers = &mut self.drivers;
        let mut load = |name: &str| drivers.load_by_name(name);
        match work::perform(claim, Path::new("/"), &reports, &mut load) {
            Next::Reboot => self.end("the operation is done: rebooting", power::restart),
            Next::Wait => {}
        }
        self.idle.restart(Instant::now());
        self.say_waiting();
    }

    fn say_waiting(&self) {
        let what = match (&self.answer, &self.online) {
            (Some(_), _) => "waiting for an order",
            (None, Some(_)) => "waiting for the server",
            (None, None) => "waiting for the network",
        };
        let line = match self.idle.until() {
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now()).as_secs();
                format!("{what}; reboots in {} min {:02} s without one", left / 60, left % 60)
            }
            None => what.to_owned(),
        };
        self.screen.say(line);
    }

    fn obey(&mut self, order: &Order) {
        let reason = order.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let end = match order.order {
            OrderKind::Reboot => ("rebooting", power::restart as fn() -> nix::Error),
            OrderKind::PowerOff => ("switching off", power::off as fn() -> nix::Error),
            OrderKind::Inventory => {
                self.screen.say(format!("ordered to read the inventory again{reason}"));
                self.idle.restart(Instant::now());
                self.read_inventory(inventory::read_smbios(Path::new("/")));
                self.show();
                self.post_at = Some(Instant::now());
                return;
            }
        };
        self.end(&format!("ordered{reason}: {}", end.0), end.1);
    }

    fn give_up_waiting(&mut self) {
        // If the kernel refuses, it is tried again after as long a wait.
        self.idle.restart(Instant::now());
        self.end(&format!("no order within {} s: rebooting", self.idle.secs()), power::restart);
    }

    fn report(&self, message: &str, failed: bool) {
        self.screen.say(message);
        if let (Some(server), Some(answer), Some(boot_mac)) = (&self.server, &self.answer, self.boot_mac()) {
            let report = AgentReport { boot_mac, message: message.to_owned(), failed };
            if let Err(error) = server.report(&answer.machine, &report) {
                self.screen.say(format!("the server did not hear that: {error}"));
            }
        }
    }

    fn end(&self, message: &str, how: fn() -> nix::Error) {
        self.report(message, false);
        let error = how();
        self.screen.say(format!("the kernel refuses: {error}"));
    }
}

fn ask_for_orders(server: &Server, machine: &Mutex<Option<String>>, events: &Sender<Event>, screen: &Screen) {
    let mut backoff = Backoff::default();
    loop {
        let id = machine.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        let asked = Instant::now();
        let (event, wait) = match server.orders(&id) {
            Ok(order) => {
                backoff.reset();
                (order.map(Event::Ordered), ORDERS_PAUSE.saturating_sub(asked.elapsed()))
            }
            Err(error) => {
                let wait = backoff.next(chance::jitter());
                screen.say(format!(
                    "orders cannot be asked for: {error}; again in {:.0} s",
                    wait.as_secs_f32()
                ));
                (ServerError::is_unknown_machine(&error).then_some(Event::Forgotten), wait)
            }
        };
        if let Some(event) = event
            && events.send(event).is_err()
        {
            return;
        }
        thread::sleep(wait);
    }
}
