//! What systemd's services are asked over a real D-Bus, and what becomes of every way in which that fails.

mod bus;

use std::time::Duration;

use bus::{PrivateBus, StandIns};
use ironwake::systemd::{Bus, BusError, CALL_TIME_MAX, KeyboardKind};
use zbus::fdo;

/// Short, where an answer never comes.
const SOON: Duration = Duration::from_millis(300);

#[track_caller]
fn check<T: std::fmt::Debug>(result: Result<T, BusError>, parts: &[&str]) {
    let said = result.expect_err("refused").to_string();
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

#[tokio::test]
async fn what_is_asked_is_done_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    systemd.state().units = [("ironwake.service".into(), "active".into())].into();
    let _serving = systemd.serve_all(&private).await;
    let bus = Bus::at(private.address(), CALL_TIME_MAX);
    assert_eq!(bus.hostname().await.expect("told").as_deref(), Some("ironwake"));
    bus.set_hostname("boot1").await.expect("set");
    assert_eq!(bus.hostname().await.expect("told").as_deref(), Some("boot1"));
    assert_eq!(bus.timezones().await.expect("told"), ["Europe/Vienna", "Etc/UTC"]);
    bus.set_timezone("Europe/Vienna").await.expect("set");
    bus.set_ntp(true).await.expect("set");
    let time = bus.time().await.expect("told");
    assert_eq!((time.timezone.as_deref(), time.ntp), (Some("Europe/Vienna"), Some(true)));
    bus.set_ntp_servers(&["10.0.0.1".into(), "ntp.example.org".into()]).await.expect("set");
    assert_eq!(bus.keyboard().await.expect("told"), None);
    bus.set_keyboard("at", KeyboardKind::X11).await.expect("set");
    bus.set_keyboard("de-latin1", KeyboardKind::Console).await.expect("set");
    assert_eq!(bus.keyboard().await.expect("told").as_deref(), Some("de-latin1"));
    bus.reconfigure(7).await.expect("done");
    bus.restart_unit("ironwake-ssh.service").await.expect("done");
    let units = bus.units(&["ironwake.service", "none.service"]).await.expect("told");
    let states: Vec<_> = units.iter().map(|unit| (unit.load.as_str(), unit.active.as_str())).collect();
    assert_eq!(states, [("loaded", "active"), ("not-found", "inactive")]);
    assert_eq!(bus.can_reboot().await.expect("told"), "yes");
    bus.reboot().await.expect("done");
    bus.power_off().await.expect("done");
    assert!(bus.services().await.expect("told").contains("org.freedesktop.login1"));
    let calls = [
        "SetStaticHostname boot1",
        "SetTimezone Europe/Vienna",
        "SetNTP true",
        "SetRuntimeNTPServers 10.0.0.1 ntp.example.org",
        "SetX11Keyboard at",
        "SetVConsoleKeyboard de-latin1",
        "Reload",
        "ReconfigureLink 7",
        "RestartUnit ironwake-ssh.service",
        "Reboot",
        "PowerOff",
    ];
    assert_eq!(systemd.calls(), calls);
}

#[tokio::test]
async fn a_refusal_of_polkit_names_the_rule_that_may_be_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    let _serving = systemd.serve(&private, &["hostname1", "timedate1"]).await;
    let bus = Bus::at(private.address(), CALL_TIME_MAX);
    for error in [
        fdo::Error::AccessDenied("Permission denied".into()),
        fdo::Error::InteractiveAuthorizationRequired("Interactive authentication required.".into()),
    ] {
        systemd.state().refused = [("SetStaticHostname".into(), error)].into();
        let parts =
            ["SetStaticHostname of org.freedesktop.hostname1: polkit refused", "rules.d/50-ironwake.rules"];
        check(bus.set_hostname("boot1").await, &parts);
    }
    systemd.state().refused = [("SetTimezone".into(), fdo::Error::InvalidArgs("no such zone".into()))].into();
    let parts =
        ["SetTimezone of org.freedesktop.timedate1: org.freedesktop.timedate1 answered", "no such zone"];
    check(bus.set_timezone("Nowhere").await, &parts);
    assert_eq!(systemd.state().hostname, "ironwake");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let bus = Bus::at(private.address(), CALL_TIME_MAX);
    check(bus.set_hostname("boot1").await, &["there is no org.freedesktop.hostname1 on this host"]);
    check(bus.units(&[]).await, &["org.freedesktop.systemd1 answered"]);
    assert!(!bus.services().await.expect("told").contains("org.freedesktop.hostname1"));
}

#[tokio::test]
async fn a_bus_that_is_not_there_is_said_and_found_once_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("unix:path={}", folder.path().join("bus").display());
    let bus = Bus::at(address.as_str(), CALL_TIME_MAX);
    check(bus.set_hostname("boot1").await, &["out of reach: no D-Bus at unix:path=/", "in a container"]);
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    let _serving = systemd.serve(&private, &["hostname1"]).await;
    bus.set_hostname("boot1").await.expect("set");
}

#[tokio::test]
async fn a_bus_that_was_lost_is_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    let serving = systemd.serve(&private, &["hostname1"]).await;
    let bus = Bus::at(private.address(), CALL_TIME_MAX);
    bus.set_hostname("boot1").await.expect("set");
    drop((serving, private));
    check(bus.set_hostname("boot2").await, &["out of reach"]);
    let private = PrivateBus::start(folder.path());
    let _serving = systemd.serve(&private, &["hostname1"]).await;
    bus.set_hostname("boot3").await.expect("set");
    assert_eq!(systemd.calls(), ["SetStaticHostname boot1", "SetStaticHostname boot3"]);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_so_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    let _serving = systemd.serve(&private, &["hostname1"]).await;
    systemd.state().held = ["SetStaticHostname".into()].into();
    let bus = Bus::at(private.address(), SOON);
    check(bus.set_hostname("boot1").await, &["no answer within 0.3 s"]);
    systemd.state().held.clear();
    bus.set_hostname("boot2").await.expect("the connection is good");
}

/// Whether a reboot was heard is not known where the connection breaks: it is asked for once.
#[tokio::test]
async fn a_reboot_is_asked_for_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    systemd.state().held = ["Reboot".into(), "SetStaticHostname".into()].into();
    let serving = systemd.serve(&private, &["login1", "hostname1"]).await;
    let bus = Bus::at(private.address(), CALL_TIME_MAX);
    bus.can_reboot().await.expect("a connection of earlier");
    let (asked, ()) = tokio::join!(bus.reboot(), async {
        systemd.asked("Reboot").await;
        drop((serving, private));
    });
    check(asked, &["Reboot of org.freedesktop.login1", "look at the state before asking again"]);
    assert_eq!(systemd.calls(), ["Reboot"]);
}
