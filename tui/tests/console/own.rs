//! The appliance's own system: shown, changed by keys, and said in words where it cannot be.

use ironwake_api::{
    NetworkChange, NetworkConfirm, OwnAddress, OwnSystem, Problem, SystemAction, SystemPatch, UpdateRequest,
};
use ironwake_tui::message::{Answer, Asked, Message};
use ironwake_tui::request::Request;

use super::fleet::{own_system, own_system_closed, three};
use super::harness::{Console, NOW};
use super::keys::changes;

/// An address that goes back unless it is kept within so many seconds.
pub fn change(secs: u64) -> NetworkChange {
    NetworkChange {
        interface: "br0".into(),
        to: "10.0.0.2/24 behind 10.0.0.254".into(),
        confirm_by: NOW + secs * 1000,
        token: Some("5f2c9a".into()),
    }
}

fn told(system: OwnSystem) -> Answer {
    Answer::System(Box::new(system))
}

fn console() -> Console {
    let mut console = Console::with(120, 40, three());
    console.keys("6");
    console.asked();
    console
}

/// What was done, with its `said`.
fn done(console: &mut Console, what: SystemAction) {
    console.answer(Answer::Done { asked: Asked::System(what), said: "It is done".into() });
}

fn patch(what: SystemAction, change: impl FnOnce(&mut SystemPatch)) -> (SystemAction, SystemPatch) {
    let mut patch = SystemPatch::default();
    change(&mut patch);
    (what, patch)
}

/// The change that was asked for, and nothing else.
#[track_caller]
fn patched(console: &mut Console) -> (SystemAction, SystemPatch) {
    match changes(console).as_slice() {
        [Request::ChangeSystem { what, patch, .. }] => (*what, patch.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_shown_and_asked_for_while_it_is_shown() {
    let mut console = console();
    console.shows("boot-1   Ironwake 0.1.0").shows("3 d 4 h, the daemon for 1 h 30 m");
    console.shows("Europe/Vienna").shows("set from the network").shows("https://10.0.0.1:8443/");
    console.shows("23 %  of 4 processors").shows("3 GiB of 8 GiB, 5 GiB free").shows("no cable");
    console.shows("ironwake-ssh").shows("inactive").hides("Cannot be changed here");
    console.take(Message::Tick { now: NOW + 6_000 });
    assert!(console.asked().contains(&Request::System));
    console.keys("1").take(Message::Tick { now: NOW + 12_000 });
    assert!(!console.asked().contains(&Request::System), "nobody looks");
    console.keys("6");
    assert!(console.asked().contains(&Request::System));
}

#[test]
fn where_it_cannot_be_changed_the_daemon_says_why() {
    let mut console = console();
    console.answer(told(own_system_closed()));
    console.shows("nothing of the system: reach the system bus at /run/dbus/system_bus_socket");
    console.shows("how it is set is unknown").shows("nothing on the network");
    let keys = [
        ("h", "Host name"),
        ("t", "Time zone"),
        ("a", "Address"),
        ("r", "Restart of services"),
        ("R", "Reboot"),
    ];
    for (key, what) in keys {
        console.keys(key).shows(&format!("{what}: not here")).keys("esc");
    }
    console.keys("u").shows("not reached over the network");
    assert_eq!(changes(&mut console), []);
}

#[test]
fn name_and_servers_are_typed_and_refused_where_they_can_be_put_right() {
    let mut console = console();
    console
        .keys("h")
        .shows("Host name")
        .keys("ctrl-u")
        .types("boot_2")
        .keys("enter")
        .shows("the daemon checks");
    let expected = patch(SystemAction::Hostname, |patch| patch.hostname = Some("boot_2".into()));
    assert_eq!(patched(&mut console), expected);
    let problem = Problem::new(422, "Unprocessable", "invalid", "hostname: \"_\" is not allowed");
    let asked = Asked::System(SystemAction::Hostname);
    console.take(Message::Refused { asked, problem: Box::new(problem) });
    console.shows("is not allowed").keys("backspace backspace").types("-2").hides("is not allowed");
    console.keys("enter").asked();
    done(&mut console, SystemAction::Hostname);
    console.hides("such as boot-1").shows("It is done");
    console.keys("v").types("ntp1.example.org 10.0.0.9").keys("enter");
    let servers = vec!["ntp1.example.org".to_owned(), "10.0.0.9".into()];
    let expected = patch(SystemAction::NtpServers, |patch| patch.ntp_servers = Some(servers));
    assert_eq!(patched(&mut console), expected);
}

#[test]
fn zone_and_keyboard_are_chosen_and_the_clock_is_switched() {
    let mut console = console();
    console.keys("t").shows("✓ Europe/Vienna").hides("choose several").types("paris").keys("enter");
    let expected = patch(SystemAction::Timezone, |patch| patch.timezone = Some("Europe/Paris".into()));
    assert_eq!(patched(&mut console), expected);
    console.keys("y down up enter");
    let expected = patch(SystemAction::Keyboard, |patch| patch.keyboard = Some("de".into()));
    assert_eq!(patched(&mut console), expected);
    console.keys("y esc").hides("Keyboard");
    console.keys("n");
    assert_eq!(patched(&mut console), patch(SystemAction::Ntp, |patch| patch.ntp = Some(false)));
}

#[test]
fn services_and_the_appliance_are_ended_behind_a_question() {
    let mut console = console();
    console.keys("r").shows("the builder of images").types("sysupdate").shows("nothing of that name");
    console.keys("ctrl-u down enter");
    console.shows("Start ironwake-builder again?").keys("n");
    assert_eq!(changes(&mut console), []);
    console.keys("r down enter y");
    assert_eq!(changes(&mut console), [Request::RestartUnit("ironwake-builder".into())]);
    console.keys("R").shows("Restart boot-1?").shows("1 operation").keys("y");
    assert_eq!(changes(&mut console), [Request::EndSystem { power_off: false }]);
    console.keys("O").shows("Switch boot-1 off?").keys("esc");
    assert_eq!(changes(&mut console), []);
    console.keys("O y");
    assert_eq!(changes(&mut console), [Request::EndSystem { power_off: true }]);
}

#[test]
fn an_address_is_given_and_goes_back_unless_it_is_kept() {
    let mut console = console();
    console.keys("a").shows("Another address for").keys("enter").shows("Address of br0").shows("10.0.0.1/24");
    console.keys("ctrl-u enter").shows("such as 10.0.0.2/24");
    console.types("10.0.0.2/24 10.0.0.254").keys("enter");
    let address = OwnAddress {
        address: Some("10.0.0.2/24".into()),
        gateway: Some("10.0.0.254".into()),
        ..OwnAddress::default()
    };
    assert_eq!(changes(&mut console), [Request::ChangeAddress { interface: "br0".into(), address }]);
    console.answer(Answer::AddressChanged(change(60)));
    done(&mut console, SystemAction::Network);
    console.hides("Address of br0").shows("br0 has 10.0.0.2/24 behind 10.0.0.254, and goes back in 60 s");
    console.keys("1").shows("Y keeps it").take(Message::Tick { now: NOW + 13_000 });
    console.shows("goes back in 47 s").keys("Y");
    let confirm = NetworkConfirm { token: "5f2c9a".into() };
    assert_eq!(changes(&mut console), [Request::KeepAddress(confirm)]);
    // What was asked before the change tells nothing of it.
    console.answer(told(own_system()));
    console.shows("Y keeps it").answer(Answer::AddressKept);
    console.hides("goes back").keys("Y").shows("No address waits");
}

#[test]
fn an_address_that_somebody_else_gave_is_told_everywhere_too() {
    let mut console = console();
    let waits = NetworkChange { token: None, ..change(30) };
    console.answer(told(OwnSystem { network_change: Some(waits), ..own_system() }));
    console.keys("3").shows("who changed it can keep it").keys("Y").shows("not changed from here");
    assert_eq!(changes(&mut console), []);
    console.take(Message::Tick { now: NOW + 31_000 });
    console.hides("goes back");
}

#[test]
fn the_code_lies_above_everything_until_it_is_closed() {
    let mut console = console();
    console.keys("u").shows("boot-1  https://10.0.0.1:8443/").shows("█").hides("Machines").keys("u");
    console.shows("Machines").keys("1 enter u").shows("node-1  https://10.0.0.1:8443/machines/0195a000");
    console.keys("esc").shows("Overview");
}

#[test]
fn a_change_of_the_appliance_is_asked_for_again_behind_a_login() {
    let mut console = console();
    console.answer(super::login::viewer(true));
    console.keys("R y").asked();
    console.take(super::login::locked("restart the appliance"));
    console.shows("Restart the appliance needs a login").types("secret").keys("enter").asked();
    console.answer(Answer::LoggedIn { name: "administrator".into() });
    assert_eq!(changes(&mut console), [Request::EndSystem { power_off: false }]);
}

fn update(more: serde_json::Value) -> Answer {
    let mut whole = serde_json::json!({ "running": "0.1.0", "sticks": [], "restart_needed": false });
    let fields = whole.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    Answer::Update(Box::new(serde_json::from_value(whole).expect("an update")))
}

/// One key goes on with an update: look, install, restart. What is installed or restarted is asked about first.
#[test]
fn an_update_is_looked_for_installed_and_restarted_into_by_one_key() {
    use serde_json::json;
    let mut console = console();
    console.answer(update(json!({ "unavailable": "this host is no Ironwake appliance" })));
    console.shows("this host is no Ironwake appliance").keys("U").shows("No update can be installed here");
    console.answer(update(json!({})));
    console.keys("U").shows("No update is known");
    console.answer(update(json!({ "channel": "https://example.org/ironwake/" })));
    console.shows("https://example.org/ironwake/").keys("U");
    assert_eq!(changes(&mut console), [Request::CheckUpdate]);
    let found = json!({ "version": "0.2.0", "built": NOW, "size_bytes": 150_u64 << 20, "signed_by": "AB12", "newer": true });
    console.answer(update(json!({ "channel": "https://example.org/ironwake/", "available": found })));
    console.shows("0.2.0, 150 MiB, signed by AB12").keys("U").shows("Install 0.2.0?").shows("beside 0.1.0");
    assert_eq!(changes(&mut console), []);
    console.keys("y");
    assert_eq!(changes(&mut console), [Request::InstallUpdate(UpdateRequest::default())]);
    let progress = json!({
        "version": "0.2.0", "step": "installing", "percent": 25, "secs_left": 30,
        "progress": { "done_bytes": 64_u64 << 20, "total_bytes": 256_u64 << 20, "bytes_per_sec": 0 },
    });
    console.answer(update(json!({ "progress": progress })));
    console.shows("25 %").shows("writing 0.2.0, 64 MiB of 256 MiB").shows("left");
    console.keys("U").shows("An update is under way");
    let last = |outcome: &str| json!({ "version": "0.2.0", "from": "0.1.0", "at": NOW, "outcome": outcome, "boots": 3, "why": "the daemon does not answer" });
    console.answer(update(json!({ "restart_needed": true, "last": last("installed") })));
    console
        .shows("0.2.0 is installed")
        .keys("U")
        .shows("Restart into 0.2.0?")
        .shows("0.1.0 comes back by itself");
    console.keys("y");
    assert_eq!(changes(&mut console), [Request::EndSystem { power_off: false }]);
    console.answer(update(json!({ "last": last("fell_back") })));
    console.shows("0.2.0 failed 3 starts, this is 0.1.0 again").shows("the daemon does not answer");
    console.answer(update(json!({ "sticks": [{ "path": "sdb1/b.update", "size_bytes": 1 }] })));
    console.keys("U").shows("Install sdb1/b.update?").keys("y");
    let request = UpdateRequest { stick: Some("sdb1/b.update".into()), ..UpdateRequest::default() };
    assert_eq!(changes(&mut console), [Request::InstallUpdate(request)]);
}
