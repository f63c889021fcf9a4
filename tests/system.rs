//! The appliance's own system through the API and the command, the real daemon on one side and stand-ins of systemd's
//! services on the other.

mod bus;
mod loopback;

use std::path::Path;

use bus::{PrivateBus, StandIns};
use ironwake_api::client::{Client, ClientError, EventQuery};
use ironwake_api::{Actor, EventKind, Problem, ServiceState, SystemAction, SystemPatch};
use loopback::Daemon;
use zbus::fdo;

fn client(folder: &Path) -> Client {
    Client::new(folder.join("api.sock"))
}

/// What was written down of the system, in order.
async fn events(client: &Client) -> Vec<EventKind> {
    let events = client.events(&EventQuery::default()).await.expect("events");
    let by_operator = events.into_iter().filter(|event| matches!(event.actor, Actor::Operator(_)));
    by_operator.map(|event| event.kind).collect()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(
    result: Result<T, ClientError>,
    status: u16,
    code: &str,
    part: &str,
) -> Problem {
    let Err(ClientError::Refused(problem)) = result else { panic!("{result:?}") };
    let kind = format!("urn:ironwake:problem:{code}");
    assert_eq!((problem.status, &problem.kind), (status, &kind), "{problem:?}");
    assert!(problem.detail.contains(part), "{problem:?}");
    problem
}

fn named(name: &str) -> SystemPatch {
    SystemPatch { hostname: Some(name.into()), ..SystemPatch::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_is_shown_and_changed_and_each_change_is_an_event_with_its_actor() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("network")).expect("made");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    systemd.state().units = [
        ("ironwake.service".to_owned(), "active".to_owned()),
        ("ironwake-ssh.service".into(), "failed".into()),
    ]
    .into();
    let _serving = systemd.serve_all(&private).await;
    let daemon = Daemon::start(folder.path(), "");
    let client = client(folder.path());

    let system = client.system().await.expect("shown");
    assert_eq!((system.hostname.as_str(), system.clock.timezone.as_deref()), ("ironwake", Some("Etc/UTC")));
    assert!(system.memory.total_bytes > system.memory.available_bytes && system.disk.total_bytes > 0);
    assert!(system.cpu.count > 0 && system.cpu.used_percent <= 100 && system.started_at <= system.now);
    let state = |name: &str| {
        let found = system.services.iter().find(|service| service.name == name).expect("shown");
        (found.state, found.restartable)
    };
    assert_eq!(state("ironwake"), (ServiceState::Active, true));
    assert_eq!(state("ironwake-ssh"), (ServiceState::Failed, true));
    assert_eq!(state("ironwake-builder"), (ServiceState::Absent, false));
    assert!(system.changes.iter().all(|change| change.unavailable.is_none()), "{:?}", system.changes);

    let patch = SystemPatch { timezone: Some("Europe/Vienna".into()), ntp: Some(true), ..named("Boot1") };
    let changed = client.change_system(&patch).await.expect("changed");
    assert_eq!((changed.hostname.as_str(), changed.clock.ntp), ("boot1", Some(true)));
    let problem = refused(
        client.change_system(&SystemPatch { timezone: Some("Vienna".into()), ..named("a_b") }).await,
        422,
        "invalid",
        "did you mean \"Europe/Vienna\"?",
    );
    assert_eq!(
        problem.errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(),
        ["hostname", "timezone"]
    );
    client.restart_unit("ironwake-ssh").await.expect("restarted");
    refused(client.restart_unit("ironwake-builder").await, 409, "conflict", "is not installed here");
    refused(client.restart_unit("ssh.service").await, 404, "no_such_unit", "no unit \"ssh.service\"");
    client.reboot_system().await.expect("begun");
    client.power_off_system().await.expect("begun");
    let calls = [
        "SetStaticHostname boot1",
        "SetTimezone Europe/Vienna",
        "SetNTP true",
        "RestartUnit ironwake-ssh.service",
        "Reboot",
        "PowerOff",
    ];
    assert_eq!(systemd.calls(), calls);
    let expected = [
        EventKind::SystemChanging {
            what: ["host name boot1", "time zone Europe/Vienna", "clock set from the network"]
                .map(str::to_owned)
                .into(),
        },
        EventKind::UnitRestarting { unit: "ironwake-ssh.service".into() },
        EventKind::SystemEnding { power_off: false },
        EventKind::SystemEnding { power_off: true },
    ];
    assert_eq!(events(&client).await, expected);

    daemon.check(&["system", "show"], 0, "Europe/Vienna", "");
    daemon.check(&["system", "choices"], 0, "Etc/UTC", "");
    daemon.check(&["system", "set", "--hostname", "boot2", "--keyboard", "us"], 0, "boot2", "");
    daemon.check(&["system", "set"], 2, "", "--hostname");
    daemon.check(&["system", "set", "--hostname", "a b"], 4, "", "hostname: \"a b\" is not a host name");
    daemon.check(&["system", "restart", "sshd"], 3, "", "`ironwake system show` shows what there is");
    daemon.check(&["system", "restart", "ironwake-ssh"], 0, "", "");
    daemon.check(&["system", "show", "--json"], 0, "\"used_percent\"", "");
    assert_eq!(systemd.state().keyboard, "us");
}

/// A change is in the store before systemd hears of it: what is asked last is there after kill -9.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_saved_before_it_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    systemd.state().held = ["Reboot".into()].into();
    let _serving = systemd.serve_all(&private).await;
    let daemon = Daemon::start(folder.path(), "");
    let asking = tokio::spawn({
        let client = client(folder.path());
        async move { client.reboot_system().await }
    });
    systemd.asked("Reboot").await;
    // Dropping it is kill -9.
    drop(daemon);
    asking.await.expect("it ends").expect_err("nobody is left to answer");
    let _daemon = Daemon::start(folder.path(), "");
    assert_eq!(events(&client(folder.path())).await, [EventKind::SystemEnding { power_off: false }]);
    assert_eq!(systemd.calls(), ["Reboot"], "the next daemon does not ask again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_systemd_refuses_is_a_problem_that_says_so_and_an_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    let _serving = systemd.serve(&private, &["hostname1", "login1"]).await;
    let daemon = Daemon::start(folder.path(), "");
    let client = client(folder.path());
    let denied = fdo::Error::InteractiveAuthorizationRequired("Interactive authentication required.".into());
    systemd.state().refused = [("SetStaticHostname".into(), denied)].into();
    let denied = client.change_system(&named("boot1")).await;
    refused(
        denied,
        502,
        "system_denied",
        "polkit refused (org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    );
    daemon.check(&["system", "set", "--hostname", "boot1"], 4, "", "rules.d/50-ironwake.rules");
    // What is not there is said before anything is written down or done.
    let patch = SystemPatch { ntp: Some(true), ..named("boot1") };
    refused(client.change_system(&patch).await, 503, "system_unavailable", "org.freedesktop.timedate1");
    let system = client.system().await.expect("shown");
    let unavailable: Vec<_> = system
        .changes
        .iter()
        .filter(|change| change.unavailable.is_some())
        .map(|change| change.what)
        .collect();
    use SystemAction::{Keyboard, Network, Ntp, NtpServers, Restart, Timezone};
    assert_eq!(unavailable, [Timezone, Ntp, NtpServers, Keyboard, Network, Restart]);
    let events = events(&client).await;
    let failed = |kind: &&EventKind| matches!(kind, EventKind::SystemChangeFailed { what, .. } if what == "host name boot1");
    assert_eq!((events.len(), events.iter().filter(failed).count()), (4, 2), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_systemd_the_system_is_shown_with_why_nothing_can_be_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(folder.path(), "");
    let client = client(folder.path());
    let system = client.system().await.expect("shown");
    assert_eq!(system.changes.len(), SystemAction::ALL.len());
    for change in &system.changes {
        let why = change.unavailable.as_deref().expect("unavailable");
        assert!(why.contains("out of reach: no D-Bus at unix:path=/"), "{why}");
    }
    assert!(
        system.services.iter().all(|service| service.state == ServiceState::Unknown && !service.restartable)
    );
    assert!(!system.hostname.is_empty() && system.clock.ntp.is_none());
    refused(client.change_system(&named("boot1")).await, 503, "system_unavailable", "out of reach");
    refused(client.reboot_system().await, 503, "system_unavailable", "out of reach");
    daemon.check(
        &["system", "show"],
        0,
        "reboot cannot be changed here: this host's systemd is out of reach",
        "",
    );
    daemon.check(&["system", "reboot"], 4, "", "in a container, change the host");
    assert_eq!(events(&client).await, [], "nothing was begun");
}

/// systemd-timesyncd forgets what it was told at each of its starts, and so it is told again at each of the daemon's.
#[tokio::test(flavor = "multi_thread")]
async fn time_servers_are_named_again_at_each_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    let _serving = systemd.serve_all(&private).await;
    let daemon = Daemon::start(folder.path(), "");
    daemon.check(
        &["system", "set", "--ntp-server", "10.0.0.1", "--ntp-server", "ntp.example.org"],
        0,
        "",
        "",
    );
    drop(daemon);
    let again = StandIns::new();
    drop(_serving);
    let _serving = again.serve_all(&private).await;
    let daemon = Daemon::start(folder.path(), "");
    again.asked("SetRuntimeNTPServers 10.0.0.1 ntp.example.org").await;
    daemon.check(&["system", "set", "--ntp-server", ""], 0, "", "");
    assert_eq!(again.calls().last().map(String::as_str), Some("SetRuntimeNTPServers"));
    assert_eq!(client(folder.path()).system().await.expect("shown").clock.ntp_servers, [""; 0]);
}
