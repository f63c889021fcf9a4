//! A console that has met an appliance which is not set up, and what such a daemon answers.

use ironwake_api::{
    Actor, Entrance, Event, EventKind, KnownBy, OneTimePassword, Scope, Secret, Setup, Whoami,
};
use ironwake_tui::first::{Ask, Told};
use ironwake_tui::message::{Answer, Message};
use ironwake_tui::request::Request;
use serde_json::{Value, json};

use super::fleet::empty;
use super::harness::{Console, NOW};

pub fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the contract")
}

/// Three interfaces: beside another server, in a network of its own, and without a cable.
pub fn state(servers: bool) -> Told {
    let asked = |found: &[&str]| servers.then(|| json!({ "asked_at": NOW, "servers": found }));
    let mut state = json!({ "needed": true, "interfaces": [
        { "name": "enp1s0", "mac": "52:54:00:00:00:01", "up": true, "link": true, "addresses": ["10.0.0.5/24", "fe80::5/64"],
          "suggested": "proxy", "suggested_range": "10.0.0.128-10.0.0.254" },
        { "name": "enp2s0", "mac": "52:54:00:00:00:02", "up": true, "link": true, "addresses": [], "suggested": "proxy" },
        { "name": "enp3s0", "mac": "52:54:00:00:00:03", "up": false, "link": false, "addresses": [], "suggested": "proxy" },
    ] });
    for (place, found) in [asked(&["10.0.0.254"]), asked(&[])].into_iter().enumerate() {
        if let Some(found) = found {
            state["interfaces"][place]["dhcp"] = found;
        }
    }
    Told::State { servers, state: read(state) }
}

/// What may be asked of an appliance's own system.
pub const ACTIONS: [&str; 9] =
    ["hostname", "timezone", "ntp", "ntp_servers", "keyboard", "network", "restart", "reboot", "power_off"];

/// The appliance, with why it cannot do what it cannot.
pub fn system(cannot: &[&str], why: &str) -> Told {
    let change = |what: &&str| match cannot.contains(what) {
        true => json!({ "what": what, "unavailable": why }),
        false => json!({ "what": what }),
    };
    let changes: Vec<Value> = ACTIONS.iter().map(change).collect();
    Told::System(Box::new(read(json!({
        "version": "0.1.0", "hostname": "ironwake", "started_at": NOW, "now": NOW, "uptime_secs": 60,
        "clock": { "timezone": "Etc/UTC", "ntp": true, "synchronized": false, "ntp_servers": [] },
        "keyboard": "us", "interfaces": [], "cpu": { "count": 2, "used_percent": 1 },
        "memory": { "total_bytes": 1, "available_bytes": 1 }, "disk": { "total_bytes": 1, "free_bytes": 1 },
        "services": [], "changes": changes,
    }))))
}

pub fn choices() -> Told {
    let mut timezones: Vec<String> = (0..400).map(|number| format!("Area/Place_{number:03}")).collect();
    timezones.extend(["Etc/UTC", "Europe/Berlin", "Europe/Vienna", "Indian/Mahe"].map(str::to_owned));
    let keyboards = ["cz", "de", "de-latin1", "dk", "es", "fr", "it", "se", "uk", "us"];
    Told::Choices(read(json!({ "timezones": timezones, "keyboards": keyboards })))
}

/// Who is there: on the appliance's own screen, or as `entrance` says.
pub fn who(entrance: Option<Entrance>, scope: Scope, password_set: bool) -> Answer {
    let how = if scope == Scope::Viewer || entrance.is_none() { KnownBy::Socket } else { KnownBy::Session };
    Answer::Whoami(Whoami {
        name: (scope == Scope::Admin).then(|| "administrator (console)".to_owned()),
        scope,
        how,
        entrance,
        locks_at: None,
        expires_at: None,
        password_set,
        keys_listed: false,
        one_time_password_set: false,
    })
}

pub fn console_screen(password_set: bool) -> Answer {
    who(Some(Entrance::Console), Scope::Viewer, password_set)
}

/// What a set-up would do, in words; and what is wrong with it.
pub fn run(steps: &[&str], mistakes: &[(&str, &str)]) -> Value {
    let mistake = |(field, message): &(&str, &str)| json!({ "field": field, "message": message });
    let mistakes: Vec<Value> = mistakes.iter().map(mistake).collect();
    json!({ "mistakes": mistakes, "steps": steps, "confirms": false, "restarts": true })
}

/// A console that has met an appliance which is not set up.
pub struct Bench {
    /// The console.
    pub console: Console,
    /// The last document that was to be looked at.
    pub setup: Setup,
    number: u64,
}

impl Bench {
    pub fn sized(columns: u16, rows: u16, who: Answer, more: Vec<Told>) -> Self {
        let mut console = Console::new(columns, rows);
        console.take(Message::Connected { last_event: Some(0) });
        for answer in empty() {
            console.answer(answer);
        }
        console.answer(who);
        let mut bench = Self { console, setup: Setup::default(), number: 0 };
        bench.told(state(false));
        more.into_iter().for_each(|told| bench.told(told));
        bench
    }

    /// On the appliance's own screen, with a password that is to be set.
    pub fn new() -> Self {
        Self::sized(100, 36, console_screen(false), vec![system(&[], ""), choices(), state(true)])
    }

    /// By somebody who may do everything.
    pub fn permitted(columns: u16, rows: u16) -> Self {
        let who = who(Some(Entrance::Console), Scope::Admin, true);
        Self::sized(columns, rows, who, vec![system(&[], ""), choices(), state(true)])
    }

    pub fn told(&mut self, told: Told) {
        self.console.answer(Answer::First(told));
    }

    /// What changes something, of all that was asked for. Dry runs are kept.
    pub fn asked(&mut self) -> Vec<Request> {
        let mut changes = Vec::new();
        for request in self.console.asked() {
            match request {
                Request::First(Ask::DryRun { number, setup }) => {
                    (self.setup, self.number) = (*setup, number);
                }
                Request::First(ask) if !ask.changes() => {}
                request @ (Request::First(_) | Request::LogIn(_) | Request::SetPassword(_)) => {
                    changes.push(request);
                }
                _ => {}
            }
        }
        changes
    }

    /// The daemon answers the last dry run.
    pub fn runs(&mut self, run: Value) -> &mut Self {
        self.asked();
        let run = Told::DryRun { number: self.number, run: read(run) };
        self.told(run);
        self
    }

    /// It finds nothing wrong.
    pub fn right(&mut self) -> &mut Self {
        self.runs(run(&["enp1s0 is served, DHCP proxy"], &[]))
    }

    pub fn keys(&mut self, keys: &str) -> &mut Self {
        self.console.keys(keys);
        self
    }

    pub fn types(&mut self, text: &str) -> &mut Self {
        self.console.types(text);
        self
    }

    #[track_caller]
    pub fn shows(&mut self, text: &str) -> &mut Self {
        self.console.shows(text);
        self
    }

    #[track_caller]
    pub fn hides(&mut self, text: &str) -> &mut Self {
        self.console.hides(text);
        self
    }

    pub fn happens(&mut self, kind: EventKind) {
        let event = Event { id: 7, at: NOW, actor: Actor::Daemon, machine: None, kind };
        self.console.take(Message::Events(vec![event]));
    }

    /// Sets the password, as somebody in front of the appliance does.
    pub fn password(&mut self) -> &mut Self {
        self.keys("").types("correct horse").keys("enter").types("correct horse").keys("enter");
        assert_eq!(self.asked(), [Request::SetPassword(Secret("correct horse".into()))]);
        self.console.answer(Answer::LoggedIn { name: "administrator (console)".into() });
        self.console.answer(who(Some(Entrance::Console), Scope::Admin, true));
        self.right()
    }
}

/// Presses Enter until a step is open; the daemon finds nothing wrong.
pub fn until(bench: &mut Bench, step: &str) {
    for _ in 0..12 {
        if bench.console.screen().contains(&format!(": {step}")) {
            return;
        }
        bench.keys("enter").right();
    }
    panic!("{step} is not on\n{}", bench.console.screen());
}

pub fn static_address() -> Value {
    json!({ "interface": "enp1s0", "to": "10.0.0.5/24", "confirm_by": NOW + 42_000, "token": "00ff" })
}

pub fn key(comment: &str) -> Value {
    json!({ "fingerprint": "SHA256:mVPwvezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE", "kind": "ssh-ed25519", "comment": comment })
}

pub fn listed() -> Told {
    let mut key = key("anna@laptop");
    key["place"] = json!("added");
    key["at"] = json!(NOW);
    key["by"] = json!("daemon");
    Told::Keys(read(json!([key])))
}

pub fn sticks() -> Told {
    let found = |comment: &str, listed: bool| {
        let mut found = key(comment);
        found["line"] = json!(format!("ssh-ed25519 AAAA {comment}"));
        found["listed"] = json!(listed);
        found
    };
    Told::Sticks(read(json!([{ "label": "KEYS", "files": [
        { "path": "ironwake/anna.pub", "keys": [found("anna@laptop", true)] },
        { "path": "team.pub", "keys": [found("berta@desk", false)] },
    ] }])))
}

pub fn one_time() -> Told {
    let password = Secret("k7fm-2xqp-9dhw".into());
    Told::OneTimePassword(OneTimePassword { password, expires_at: NOW + 600_000, ssh_port: 2222 })
}

/// Server mode, with addresses to give being typed.
pub fn server() -> Bench {
    let mut bench = Bench::permitted(100, 36);
    until(&mut bench, "DHCP");
    bench.keys("down enter tab tab enter").right();
    bench.keys("enter").right();
    bench.shows("Addresses to give");
    bench
}

pub fn at_keys(columns: u16, rows: u16) -> Bench {
    let mut bench = Bench::permitted(columns, rows);
    until(&mut bench, "SSH keys");
    bench
}

/// At the end, with everything answered.
pub fn applied(columns: u16, rows: u16) -> Bench {
    let mut bench = Bench::permitted(columns, rows);
    until(&mut bench, "Summary");
    bench.runs(whole()).keys("enter");
    bench
}

/// What would be done in all.
pub fn whole() -> Value {
    let steps = [
        "host name boot1; time zone Europe/Vienna",
        "enp1s0 is served, DHCP server",
        "enp1s0 gets 10.0.0.5/24 behind 10.0.0.1",
    ];
    json!({ "mistakes": [], "steps": steps, "confirms": true, "restarts": true })
}

pub fn step(what: &str) -> EventKind {
    EventKind::SetupStep { what: what.into(), problem: None }
}

pub fn answer() -> Told {
    let steps: Vec<Value> =
        whole()["steps"].as_array().expect("steps").iter().map(|what| json!({ "what": what })).collect();
    Told::SetUp(read(json!({ "steps": steps, "network_change": static_address(), "restarts": true })))
}
