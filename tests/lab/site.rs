//! The lab itself, and machines that are switched on in it.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ironwake_api::{Event, EventKind, Inventory, MacAddr, Millis};

use super::cleanup;
use super::daemon::{Cli, Daemon, Dhcp, Settings, configure};
use super::error::LabError;
use super::events::{Concern, EventLog};
use super::http::{self, Response};
use super::machine::Machine;
use super::names::LabName;
use super::net::{Bridge, Namespace};
use super::peers::{Dnsmasq, Relay, record};
use super::process::Process;
use super::report;

/// The longest wait for anything: a boot takes 20 s on an idle host, and tests run on loaded ones.
pub const WAIT_MAX: Duration = Duration::from_secs(180);
/// The discovery image is built in seconds; a loaded host gets a minute.
const DISCOVERY_MAX: Duration = Duration::from_secs(60);

/// What kind of lab.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// The program `ironwake`.
    pub binary: PathBuf,
    /// How DHCP is served; with [`Dhcp::Proxy`] a dnsmasq gives the addresses.
    pub dhcp: Dhcp,
    /// `auto`, `on` or `off`: the network's Secure Boot policy.
    pub secure_boot: &'static str,
    /// A second network behind a DHCP relay.
    pub relay: bool,
    /// Further text for the daemon's file.
    pub config: String,
    /// Where logs and captures go when the lab fails; `$IRONWAKE_LAB_KEEP` by default, else they are not kept.
    pub keep: Option<PathBuf>,
}

impl LabOptions {
    /// A lab for `binary` and a DHCP mode.
    pub fn new(binary: impl Into<PathBuf>, dhcp: Dhcp) -> Self {
        Self {
            binary: binary.into(),
            dhcp,
            secure_boot: "auto",
            relay: false,
            config: String::new(),
            keep: std::env::var_os("IRONWAKE_LAB_KEEP").map(PathBuf::from),
        }
    }
}

/// A running lab. Fields are dropped in order: children before the namespaces that they are in.
#[derive(Debug)]
pub struct Lab {
    options: LabOptions,
    log: RefCell<EventLog>,
    daemon: RefCell<Daemon>,
    config: PathBuf,
    cli: Cli,
    recorder: Option<Process>,
    dnsmasq: Option<Dnsmasq>,
    relay: Option<Relay>,
    client: Namespace,
    site: Namespace,
    bridge: Bridge,
    failed: Cell<bool>,
    folder: Folder,
    name: LabName,
}

/// The lab's folder, removed when dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create(name: &LabName) -> Result<Self, LabError> {
        let path = std::env::temp_dir().join(name.to_string());
        cleanup::add_folder(&path);
        fs::create_dir_all(&path).map_err(LabError::io(format!("make {}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        cleanup::remove_folder(&self.0);
    }
}

impl Lab {
    /// Builds the networks, starts the daemon and its peers, and waits until a machine can be discovered.
    pub fn new(options: LabOptions) -> Result<Self, LabError> {
        cleanup::watch_signals();
        cleanup::remove_stale();
        let name = LabName::unique();
        let folder = Folder::create(&name)?;
        let site = Namespace::create(&name, "site")?;
        let bridge = site.bridge("br0", "10.77.0.1/24")?;
        let client = Namespace::create(&name, "client")?;
        client.join("eth0", "10.77.0.9/24", &site, &bridge)?;
        let recorder = match options.keep {
            Some(_) => {
                Some(record(&site, &bridge, &folder.0.join("br0.pcap"), &folder.0.join("tcpdump.log"))?)
            }
            None => None,
        };
        let dnsmasq = match options.dhcp {
            Dhcp::Proxy => Some(Dnsmasq::start(&name, &site, &bridge, &folder.0, &[])?),
            Dhcp::Server => None,
        };
        let relay = options.relay.then(|| Relay::start(&name, &site, &bridge, &folder.0)).transpose()?;
        let settings = Settings {
            dhcp: options.dhcp,
            secure_boot: options.secure_boot,
            relayed: options.relay,
            extra: &options.config,
        };
        let (config, cli) = configure(&options.binary, &folder.0, &settings)?;
        let daemon = RefCell::new(Daemon::start(&options.binary, &config, &site, &folder.0)?);
        let mut log = EventLog::new(&folder.0.join("events.log"));
        log.follow(cli.command())?;
        let log = RefCell::new(log);
        let failed = Cell::new(false);
        let lab = Self {
            options,
            log,
            daemon,
            config,
            cli,
            recorder,
            dnsmasq,
            relay,
            client,
            site,
            bridge,
            failed,
            folder,
            name,
        };
        lab.wait_discovery()?;
        Ok(lab)
    }

    /// Waits until the discovery image can be served: a machine that came earlier would get local boot.
    fn wait_discovery(&self) -> Result<(), LabError> {
        let began = Instant::now();
        loop {
            let seen = self.log.borrow().len();
            let artifacts = self.cli.json(&["artifact", "list"])?;
            let state_of = |name: &str| {
                let rows = artifacts.as_array().into_iter().flatten();
                rows.filter(|row| row["name"] == name)
                    .find_map(|row| row["state"].as_str())
                    .unwrap_or("absent")
            };
            let states = ["discovery/vmlinuz", "discovery/initramfs"].map(state_of);
            if states == ["done"; 2] {
                return Ok(());
            }
            if states.iter().any(|state| ["failed", "missing"].contains(state))
                || began.elapsed() > DISCOVERY_MAX
            {
                let why = format!("its parts are {states:?}");
                return Err(self.failure("the discovery image", began, why, &artifacts.to_string()));
            }
            let _ = self.log.borrow().wait(seen, began + DISCOVERY_MAX);
        }
    }

    /// The command line of this lab's daemon.
    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// The lab's name.
    pub fn name(&self) -> &LabName {
        &self.name
    }

    /// Where the daemon and the machines are.
    pub fn site(&self) -> &Namespace {
        &self.site
    }

    /// A namespace with one interface, `eth0` (10.77.0.9), for clients.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// The site's bridge.
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// The relay's namespace and the bridge behind it, where the lab has one.
    pub fn relay_network(&self) -> Option<(&Namespace, &Bridge)> {
        self.relay.as_ref().map(|relay| (&relay.namespace, &relay.bridge))
    }

    /// The lab's folder, which holds every log.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Asks the daemon by HTTP from the client's namespace.
    pub fn get(&self, path: &str) -> Result<Response, LabError> {
        http::request(&self.client, ([10, 77, 0, 1], 8080).into(), "GET", path, "", "")
    }

    /// Posts JSON to the daemon from the client's namespace.
    pub fn post(&self, path: &str, body: &str) -> Result<Response, LabError> {
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        http::request(&self.client, ([10, 77, 0, 1], 8080).into(), "POST", path, &headers, body)
    }

    /// Kills the daemon as a power loss would and starts it again; its state stays.
    pub fn crash_daemon(&self) -> Result<(), LabError> {
        self.daemon.borrow_mut().kill();
        let daemon = Daemon::start(&self.options.binary, &self.config, &self.site, &self.folder.0)?;
        *self.daemon.borrow_mut() = daemon;
        self.log.borrow_mut().follow(self.cli.command())
    }

    /// Machines as `ironwake machine list` shows them.
    pub fn machines(&self) -> Result<Vec<ironwake_api::Machine>, LabError> {
        let value = self.cli.json(&["machine", "list"])?;
        serde_json::from_value(value.clone()).map_err(|error| LabError::Unexpected {
            what: format!("ironwake machine list: {error}"),
            text: value.to_string(),
        })
    }

    /// The record with an address.
    pub fn record_of(&self, mac: MacAddr) -> Result<ironwake_api::Machine, LabError> {
        let machines = self.machines()?;
        let found = machines.iter().find(|machine| machine.macs.contains(&mac)).cloned();
        found.ok_or_else(|| LabError::Unexpected {
            what: format!("a machine with address {mac}"),
            text: format!("{machines:?}"),
        })
    }

    /// Switches a machine on. One that was on before keeps its disks and its firmware's variables.
    pub fn power_on(&self, machine: &Machine) -> Result<PoweredOn<'_>, LabError> {
        let (namespace, bridge) = match (&self.relay, machine.behind_relay) {
            (Some(relay), true) => (&relay.namespace, &relay.bridge),
            _ => (&self.site, &self.bridge),
        };
        for number in 0..machine.nics.len() {
            namespace.tap(&machine.tap(number), bridge)?;
        }
        let serial = self.folder.0.join(format!("{}.serial", machine.name));
        let _ = fs::remove_file(&serial);
        let mut command = namespace.command("qemu-system-x86_64");
        command.args(machine.arguments(&self.folder.0, &serial)?);
        let from = self.log.borrow().len();
        let powered_at = now_ms();
        let qemu = Process::start("qemu", command, &self.folder.0.join(format!("{}.qemu", machine.name)))?;
        let macs = machine.nics.iter().map(|nic| nic.mac).collect();
        Ok(PoweredOn {
            lab: self,
            machine: machine.clone(),
            namespace,
            qemu: RefCell::new(qemu),
            serial,
            powered_at,
            from,
            next: Cell::new(from),
            concern: RefCell::new(Concern::new(macs)),
        })
    }

    fn failure(&self, what: &str, began: Instant, why: String, extra: &str) -> LabError {
        self.failed.set(true);
        let mut text = extra.to_owned();
        text.push_str(&report::part("the daemon's log", &self.daemon.borrow().log_tail()));
        if let Some(dnsmasq) = &self.dnsmasq {
            text.push_str(&report::part("dnsmasq", &dnsmasq.log_tail(20)));
        }
        if let Some(relay) = &self.relay {
            text.push_str(&report::part("dhcrelay", &relay.log_tail(20)));
        }
        let odd = self.log.borrow().odd_lines();
        if !odd.is_empty() {
            text.push_str(&report::part("lines of the event stream that are no events", &odd.join("\n")));
        }
        LabError::Waited { what: what.into(), seconds: began.elapsed().as_secs(), why, report: text }
    }

    /// Whether the daemon runs and its events come; a stream that ended is taken up again.
    fn check(&self) -> Result<(), String> {
        if let Some(status) = self.daemon.borrow_mut().ended() {
            return Err(format!("the daemon ended: {status}"));
        }
        if self.log.borrow().ended() {
            let mut log = self.log.borrow_mut();
            log.follow(self.cli.command()).map_err(|error| format!("the event stream broke: {error}"))?;
        }
        Ok(())
    }

    /// Copies logs, captures and serial ports to where failures are kept.
    fn keep_files(&self) {
        let Some(keep) = self.options.keep.as_ref().map(|keep| keep.join(self.name.to_string())) else {
            return;
        };
        if fs::create_dir_all(&keep).is_err() {
            return;
        }
        for entry in fs::read_dir(&self.folder.0).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            if [".log", ".pcap", ".serial", ".qemu", ".toml"].iter().any(|end| text.ends_with(end)) {
                let _ = fs::copy(entry.path(), keep.join(&name));
            }
        }
        eprintln!("the lab's logs and capture are kept in {}", keep.display());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.failed.get() || std::thread::panicking() {
            if let Some(recorder) = &mut self.recorder {
                recorder.stop(Duration::from_secs(2));
            }
            self.keep_files();
        }
    }
}

/// A machine that is on. Dropping it cuts its power.
#[derive(Debug)]
pub struct PoweredOn<'a> {
    lab: &'a Lab,
    machine: Machine,
    namespace: &'a Namespace,
    qemu: RefCell<Process>,
    serial: PathBuf,
    powered_at: Millis,
    from: usize,
    next: Cell<usize>,
    concern: RefCell<Concern>,
}

impl PoweredOn<'_> {
    /// When it was switched on.
    pub fn powered_at(&self) -> Millis {
        self.powered_at
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Waits for the first event of this machine, behind the last one expected, that fits.
    pub fn expect(&self, what: &str, fits: impl Fn(&EventKind) -> bool) -> Result<Event, LabError> {
        self.follow(what, WAIT_MAX, |event| fits(&event.kind))
    }

    /// Hands every event of this machine, from the last one on, to `done` until that says so.
    pub fn follow(
        &self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&Event) -> bool,
    ) -> Result<Event, LabError> {
        let began = Instant::now();
        let deadline = began + limit;
        loop {
            let at = self.next.get();
            let found = self.lab.log.borrow().wait(at, deadline);
            if let Some(event) = found {
                self.next.set(at + 1);
                if self.concern.borrow_mut().with(&event) && done(&event) {
                    return Ok(event);
                }
                continue;
            }
            let mut why = self.lab.check().err();
            let mut qemu = self.qemu.borrow_mut();
            if let Some(status) = qemu.ended() {
                why = Some(format!("the machine ended: {status}: {}", qemu.log_tail(5)));
            }
            drop(qemu);
            if Instant::now() >= deadline {
                why = why.or(Some("it did not come".into()));
            }
            if let Some(why) = why {
                return Err(self.lab.failure(what, began, why, &self.report()));
            }
        }
    }

    /// Waits until the inventory is in, and returns the machine's record and inventory.
    pub fn wait_inventory(&self) -> Result<(ironwake_api::Machine, Inventory), LabError> {
        self.expect("the inventory", |kind| matches!(kind, EventKind::Inventory { .. }))?;
        self.record()
    }

    /// The machine's record with its inventory, as `ironwake machine show` has it.
    pub fn record(&self) -> Result<(ironwake_api::Machine, Inventory), LabError> {
        let id = self.lab.record_of(self.machine.nics[0].mac)?.id;
        let value = self.lab.cli.json(&["machine", "show", &id])?;
        let record: Result<ironwake_api::Machine, _> = serde_json::from_value(value.clone());
        match record {
            Ok(mut record) => match record.inventory.take() {
                Some(inventory) => Ok((record, *inventory)),
                None => Err(LabError::Unexpected { what: "an inventory".into(), text: value.to_string() }),
            },
            Err(error) => Err(LabError::Unexpected {
                what: format!("ironwake machine show {id}: {error}"),
                text: value.to_string(),
            }),
        }
    }

    /// Waits until the serial port shows `text`.
    pub fn wait_screen(&self, text: &str) -> Result<(), LabError> {
        let began = Instant::now();
        loop {
            let at = self.lab.log.borrow().len();
            if fs::read(&self.serial).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)) {
                return Ok(());
            }
            if began.elapsed() > WAIT_MAX || self.qemu.borrow_mut().ended().is_some() {
                let what = format!("{text:?} on the serial port");
                return Err(self.lab.failure(&what, began, "it did not come".into(), &self.report()));
            }
            // The file has no event: look again at the pace at which health is looked at.
            let _ = self.lab.log.borrow().wait(at, began + WAIT_MAX);
        }
    }

    /// Its events so far.
    pub fn events(&self) -> Vec<Event> {
        let mut concern = self.concern.borrow().clone();
        self.lab.log.borrow().since(self.from).into_iter().filter(|event| concern.with(event)).collect()
    }

    /// The end of what it shows on its serial port.
    pub fn screen(&self) -> String {
        report::serial(&self.serial)
    }

    fn report(&self) -> String {
        let mut text =
            report::part("timeline since power-on", &report::timeline(&self.events(), self.powered_at));
        text.push_str(&report::part(&format!("serial port of {}", self.machine.name), &self.screen()));
        text
    }

    /// Cuts its power.
    pub fn power_off(self) {}
}

impl Drop for PoweredOn<'_> {
    fn drop(&mut self) {
        self.qemu.borrow_mut().kill();
        for number in 0..self.machine.nics.len() {
            let _ = self.namespace.remove_tap(&self.machine.tap(number));
        }
    }
}

fn now_ms() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}
