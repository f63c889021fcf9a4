//! A private D-Bus with stand-ins of systemd's services, which note what they are asked.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use zbus::{Connection, OwnedObjectPath, connection, fdo, interface};

/// How long anything may take on a loaded test host.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A bus of one test; ends when dropped.
pub struct PrivateBus {
    child: Child,
    address: String,
}

impl PrivateBus {
    /// Starts one whose socket is in `folder`; after one that ended, at the same address.
    pub fn start(folder: &Path) -> Self {
        let address = format!("unix:path={}", folder.join("bus").display());
        let _ = fs::remove_file(folder.join("bus"));
        let config = folder.join("bus.conf");
        let text = format!(
            "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>\
             <allow user=\"*\"/></policy></busconfig>"
        );
        fs::write(&config, text).expect("a file");
        let mut command = Command::new("dbus-daemon");
        command.args(["--nofork", "--nopidfile", "--print-address"]);
        command.arg(format!("--config-file={}", config.display())).stdout(Stdio::piped());
        let mut child = command.spawn().expect("dbus-daemon (package dbus-daemon) starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("its address");
        assert!(line.starts_with("unix:"), "{line}");
        Self { child, address }
    }

    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the stand-ins have, and how they answer.
#[derive(Debug, Default)]
pub struct State {
    pub hostname: String,
    pub timezone: String,
    pub ntp: bool,
    pub keyboard: String,
    /// What systemd-networkd tells of each interface.
    pub link: String,
    /// Units that are installed, and how they are.
    pub units: HashMap<String, String>,
    /// Members that are refused, and as which error.
    pub refused: HashMap<String, fdo::Error>,
    /// Members that are never answered.
    pub held: HashSet<String>,
}

/// Stand-ins on one bus.
#[derive(Clone)]
pub struct StandIns {
    state: Arc<Mutex<State>>,
    calls: Arc<watch::Sender<Vec<String>>>,
}

/// Stand-ins that are on a bus, as long as this is kept.
pub struct Serving(#[allow(dead_code, reason = "held, so that they go on")] Vec<Connection>);

impl StandIns {
    pub fn new() -> Self {
        let state = State { hostname: "ironwake".into(), timezone: "Etc/UTC".into(), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), calls: Arc::new(watch::Sender::new(Vec::new())) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// What was asked, in order: the member, and its arguments.
    pub fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// Waits until something was asked that begins so.
    pub async fn asked(&self, beginning: &str) {
        let mut calls = self.calls.subscribe();
        let asked = calls.wait_for(|calls| calls.iter().any(|call| call.starts_with(beginning)));
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        asked.unwrap_or_else(|_| panic!("no {beginning}")).expect("the sender is held");
    }

    /// Puts the services of these names on a bus.
    pub async fn serve(&self, bus: &PrivateBus, services: &[&str]) -> Serving {
        let mut connections = Vec::new();
        for service in services {
            let (name, path) = (format!("org.freedesktop.{service}"), format!("/org/freedesktop/{service}"));
            let builder = connection::Builder::address(bus.address());
            let builder = match *service {
                "hostname1" => builder.serve_at(path, Hostname(self.clone())),
                "timedate1" => builder.serve_at(path, Time(self.clone())),
                "timesync1" => builder.serve_at(path, Clock(self.clone())),
                "locale1" => builder.serve_at(path, Locale(self.clone())),
                "network1" => builder.serve_at(path, Network(self.clone())),
                "login1" => builder.serve_at(path, Login(self.clone())),
                "systemd1" => builder.serve_at(path, Units(self.clone())),
                other => panic!("there is no stand-in of {other}"),
            };
            connections.push(builder.name(name).build().await.expect("on the bus"));
        }
        Serving(connections)
    }

    /// Every service that there is a stand-in of.
    pub async fn serve_all(&self, bus: &PrivateBus) -> Serving {
        let all = ["hostname1", "timedate1", "timesync1", "locale1", "network1", "login1", "systemd1"];
        self.serve(bus, &all).await
    }

    /// Notes a call, and answers it as the test wants it.
    async fn answer(&self, member: &str, arguments: &str) -> fdo::Result<()> {
        self.calls.send_modify(|calls| calls.push(format!("{member} {arguments}").trim_end().to_owned()));
        let (held, refused) = {
            let state = self.state();
            (state.held.contains(member), state.refused.get(member).cloned())
        };
        if held {
            std::future::pending::<()>().await;
        }
        refused.map_or(Ok(()), Err)
    }
}

struct Hostname(StandIns);

#[interface(name = "org.freedesktop.hostname1")]
impl Hostname {
    #[zbus(property)]
    fn static_hostname(&self) -> String {
        self.0.state().hostname.clone()
    }

    async fn set_static_hostname(&self, name: &str, _interactive: bool) -> fdo::Result<()> {
        self.0.answer("SetStaticHostname", name).await?;
        self.0.state().hostname = name.to_owned();
        Ok(())
    }
}

struct Time(StandIns);

#[interface(name = "org.freedesktop.timedate1")]
impl Time {
    #[zbus(property)]
    fn timezone(&self) -> String {
        self.0.state().timezone.clone()
    }

    #[zbus(property, name = "NTP")]
    fn ntp(&self) -> bool {
        self.0.state().ntp
    }

    #[zbus(property, name = "NTPSynchronized")]
    fn synchronized(&self) -> bool {
        self.0.state().ntp
    }

    async fn list_timezones(&self) -> Vec<String> {
        ["Europe/Vienna", "Etc/UTC"].map(str::to_owned).into()
    }

    async fn set_timezone(&self, zone: &str, _interactive: bool) -> fdo::Result<()> {
        self.0.answer("SetTimezone", zone).await?;
        self.0.state().timezone = zone.to_owned();
        Ok(())
    }

    #[zbus(name = "SetNTP")]
    async fn set_ntp(&self, on: bool, _interactive: bool) -> fdo::Result<()> {
        self.0.answer("SetNTP", &on.to_string()).await?;
        self.0.state().ntp = on;
        Ok(())
    }
}

struct Clock(StandIns);

#[interface(name = "org.freedesktop.timesync1.Manager")]
impl Clock {
    #[zbus(name = "SetRuntimeNTPServers")]
    async fn set_servers(&self, servers: Vec<String>) -> fdo::Result<()> {
        self.0.answer("SetRuntimeNTPServers", &servers.join(" ")).await
    }
}

struct Locale(StandIns);

#[interface(name = "org.freedesktop.locale1")]
impl Locale {
    #[zbus(property, name = "VConsoleKeymap")]
    fn keymap(&self) -> String {
        self.0.state().keyboard.clone()
    }

    #[zbus(name = "SetVConsoleKeyboard")]
    async fn set_keyboard(
        &self,
        keymap: &str,
        _toggle: &str,
        _convert: bool,
        _interactive: bool,
    ) -> fdo::Result<()> {
        self.0.answer("SetVConsoleKeyboard", keymap).await?;
        self.0.state().keyboard = keymap.to_owned();
        Ok(())
    }

    #[zbus(name = "SetX11Keyboard")]
    async fn set_x11_keyboard(
        &self,
        layout: &str,
        _model: &str,
        _variant: &str,
        _options: &str,
        _convert: bool,
        _interactive: bool,
    ) -> fdo::Result<()> {
        self.0.answer("SetX11Keyboard", layout).await?;
        self.0.state().keyboard = layout.to_owned();
        Ok(())
    }
}

struct Network(StandIns);

#[interface(name = "org.freedesktop.network1.Manager")]
impl Network {
    async fn reload(&self) -> fdo::Result<()> {
        self.0.answer("Reload", "").await
    }

    async fn describe_link(&self, _index: i32) -> String {
        self.0.state().link.clone()
    }

    async fn reconfigure_link(&self, index: i32) -> fdo::Result<()> {
        self.0.answer("ReconfigureLink", &index.to_string()).await
    }
}

struct Login(StandIns);

#[interface(name = "org.freedesktop.login1.Manager")]
impl Login {
    async fn can_reboot(&self) -> String {
        "yes".into()
    }

    async fn can_power_off(&self) -> String {
        "yes".into()
    }

    async fn reboot(&self, _interactive: bool) -> fdo::Result<()> {
        self.0.answer("Reboot", "").await
    }

    async fn power_off(&self, _interactive: bool) -> fdo::Result<()> {
        self.0.answer("PowerOff", "").await
    }
}

struct Units(StandIns);

type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Units {
    async fn list_units_by_names(&self, names: Vec<String>) -> Vec<Listed> {
        let state = self.0.state();
        let root = || OwnedObjectPath::try_from("/").expect("a path");
        let unit = |name: String| {
            let active = state.units.get(&name).cloned();
            let load = if active.is_some() { "loaded" } else { "not-found" };
            let active = active.unwrap_or_else(|| "inactive".into());
            (
                name,
                String::new(),
                load.into(),
                active,
                String::new(),
                String::new(),
                root(),
                0,
                String::new(),
                root(),
            )
        };
        names.into_iter().map(unit).collect()
    }

    async fn restart_unit(&self, name: &str, _mode: &str) -> fdo::Result<OwnedObjectPath> {
        self.0.answer("RestartUnit", name).await?;
        Ok(OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1").expect("a path"))
    }

    async fn start_unit(&self, name: &str, _mode: &str) -> fdo::Result<OwnedObjectPath> {
        self.0.answer("StartUnit", name).await?;
        Ok(OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/2").expect("a path"))
    }
}
