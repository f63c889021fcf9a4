//! The first set-up of an appliance: a daemon without a network says that it is needed, and one document does it all.

mod bus;
mod loopback;
mod site;

use std::fs;

use bus::{PrivateBus, Serving, StandIns};
use ironwake::config::{Api, Layers, Network};
use ironwake::site::{Appliance, SiteError};
use ironwake::systemd::{Bus, CALL_TIME_MAX, NetworkFiles};
use ironwake::vitals;
use ironwake_api::client::{Client, ClientError};
use ironwake_api::{Actor, EventKind, MacAddr, NetworkConfirm, Setup, SetupQuery, SystemInterface};
use loopback::Daemon;
use serde_json::{Value, json};
use site::{LATER, TestSite};
use zbus::fdo;

fn interfaces() -> Vec<SystemInterface> {
    let interface = |name: &str, number: u8, link: bool, address: &str| SystemInterface {
        name: name.into(),
        mac: (number > 0).then_some(MacAddr([0x52, 0x54, 0, 0, 0, number])),
        up: true,
        link,
        addresses: vec![address.to_owned()],
    };
    vec![
        interface("eth0", 1, true, "10.0.0.1/24"),
        interface("eth1", 2, false, "10.1.0.1/24"),
        interface("tun0", 0, true, "10.2.0.1/24"),
    ]
}

struct Bench {
    site: TestSite,
    systemd: StandIns,
    folder: tempfile::TempDir,
    _private: PrivateBus,
    _serving: Serving,
}

fn anna() -> Actor {
    Actor::Operator("anna".into())
}

impl Bench {
    async fn new(networks: Vec<Network>) -> Self {
        let all = ["hostname1", "timedate1", "timesync1", "locale1", "network1", "login1", "systemd1"];
        Self::with(networks, &all).await
    }

    /// On a host with these services.
    async fn with(networks: Vec<Network>, services: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let network = folder.path().join("network");
        fs::create_dir(&network).expect("made");
        let file = folder.path().join("ironwake.toml");
        fs::write(&file, format!("state = {:?}\n", folder.path())).expect("written");
        let private = PrivateBus::start(folder.path());
        let systemd = StandIns::new();
        systemd.state().units = [("ironwake.service".into(), "active".into())].into();
        let _serving = systemd.serve(&private, services).await;
        let site = TestSite::open().await;
        site.site.set_layers(Layers::open(file, false).expect("legal").0);
        site.site.set_appliance(Appliance {
            bus: Bus::at(private.address(), CALL_TIME_MAX),
            files: NetworkFiles::at(&network, &network),
            state: folder.path().into(),
            host_files: Vec::new(),
            key: None,
            networks,
            api: Api::default(),
            root: folder.path().into(),
            interfaces,
            index_of: |_| Some(7),
            ask_dhcp: |interface| {
                Box::pin(async move {
                    match interface.as_str() {
                        "eth0" => Ok(vec![[10, 0, 0, 254].into()]),
                        other => panic!("{other} has no cable and no MAC address"),
                    }
                })
            },
        });
        Self { site, systemd, folder, _private: private, _serving }
    }

    async fn set_up(&self, setup: &Value) -> Result<ironwake_api::SetupAnswer, SiteError> {
        let setup: Setup = serde_json::from_value(setup.clone()).expect("a set-up");
        self.site.site.set_up(setup, anna()).await
    }

    async fn dry_run(&self, setup: &Value) -> ironwake_api::SetupDryRun {
        let setup: Setup = serde_json::from_value(setup.clone()).expect("a set-up");
        self.site.site.dry_run_setup(&setup).await.expect("told")
    }

    fn settings(&self) -> String {
        fs::read_to_string(self.folder.path().join("settings.toml")).unwrap_or_default()
    }

    /// What became of each step.
    async fn steps(&self) -> Vec<(String, bool)> {
        let step = |kind| match kind {
            EventKind::SetupStep { what, problem } => Some((what, problem.is_none())),
            _ => None,
        };
        self.site.events().await.into_iter().filter_map(step).collect()
    }
}

/// Server mode, with everything that can be said.
fn everything() -> Value {
    json!({"interface": "eth0", "dhcp": "server", "range": ["10.5.0.100-10.5.0.200"], "router": "10.5.0.1",
        "dns": ["9.9.9.9"], "address": {"address": "10.5.0.2/24", "gateway": "10.5.0.1", "dns": ["9.9.9.9"]},
        "system": {"hostname": "boot1", "timezone": "Europe/Vienna", "ntp": true, "keyboard": "us"}})
}

#[tokio::test]
async fn one_document_sets_everything_up_and_the_daemon_serves_once_the_address_is_confirmed() {
    let bench = Bench::new(Vec::new()).await;
    let answer = bench.set_up(&everything()).await.expect("done");
    assert!(answer.restarts && answer.steps.iter().all(|step| step.problem.is_none()), "{answer:?}");
    let change = answer.network_change.expect("an address");
    for part in [
        "interface = \"eth0\"",
        "dhcp = \"server\"",
        "range = [\"10.5.0.100-10.5.0.200\"]",
        "router = \"10.5.0.1\"",
    ] {
        assert!(bench.settings().contains(part), "{}", bench.settings());
    }
    let calls = [
        "SetStaticHostname boot1",
        "SetTimezone Europe/Vienna",
        "SetNTP true",
        "SetVConsoleKeyboard us",
        "Reload",
        "ReconfigureLink 7",
    ];
    assert_eq!(bench.systemd.calls(), calls);
    // The same once more changes nothing: an answer may be lost.
    let again = bench.set_up(&everything()).await.expect("done");
    assert_eq!((again.network_change, bench.systemd.calls().len()), (None, 10));
    LATER.set(5_000);
    bench.site.site.tend_system().await;
    assert_eq!(bench.systemd.calls().len(), 10, "the address is not confirmed yet");
    let confirm = NetworkConfirm { token: change.token.expect("a token") };
    bench.site.site.confirm_own_address(confirm, anna()).await.expect("confirmed");
    bench.site.site.tend_system().await;
    assert_eq!(bench.systemd.calls().last().map(String::as_str), Some("RestartUnit ironwake.service"));
    let steps = bench.steps().await;
    let expected = [
        "host name boot1; time zone Europe/Vienna; clock set from the network; keyboard us",
        "eth0 is served, DHCP server",
        "eth0 gets 10.5.0.2/24 behind 10.5.0.1",
    ];
    assert_eq!(steps[..3].iter().map(|step| step.0.as_str()).collect::<Vec<_>>(), expected);
    assert!(steps.iter().all(|step| step.1));
}

/// Whoever cannot be reached at the new address is not served with it either.
#[tokio::test]
async fn a_set_up_whose_address_is_not_confirmed_is_asked_for_again() {
    let bench = Bench::new(Vec::new()).await;
    assert!(bench.set_up(&everything()).await.expect("done").network_change.is_some());
    LATER.set(60_001);
    bench.site.site.tend_system().await;
    LATER.set(70_000);
    bench.site.site.tend_system().await;
    assert!(
        !bench.systemd.calls().iter().any(|call| call.starts_with("RestartUnit")),
        "{:?}",
        bench.systemd.calls()
    );
    assert!(bench.site.site.setup_state(false).await.expect("told").needed);
    assert!(bench.set_up(&everything()).await.expect("done").network_change.is_some());
}

#[tokio::test]
async fn every_mistake_is_told_at_once_and_nothing_is_done() {
    let bench = Bench::new(Vec::new()).await;
    let setup = json!({"interface": "eth0", "dhcp": "server", "range": ["10.5.0.9-10.5.0.1"],
        "address": {"dhcp": true}, "system": {"hostname": "a_b", "timezone": "Nowhere"}});
    let Err(SiteError::Invalid(wrong)) = bench.set_up(&setup).await else { panic!("it was done") };
    let fields: Vec<&str> = wrong.iter().map(|mistake| mistake.field.as_str()).collect();
    assert_eq!(fields, ["system.hostname", "system.timezone", "range[0]", "address.dhcp"]);
    // What only the settings know is wrong with it is told before anything is done, too.
    let wide =
        json!({"interface": "eth0", "dhcp": "server", "range": ["10.0.0.2-10.0.0.5", "10.0.0.4-10.0.0.9"]});
    let refused = bench.set_up(&wide).await.expect_err("refused").to_string();
    assert!(refused.contains("overlaps the range"), "{refused}");
    assert_eq!(
        (bench.systemd.calls().len(), bench.settings().as_str(), bench.steps().await.len()),
        (0, "", 0)
    );
}

/// What a dry run tells is what is done then, in the same words.
#[tokio::test]
async fn a_dry_run_tells_what_would_be_done_and_does_nothing() {
    let bench = Bench::new(Vec::new()).await;
    let run = bench.dry_run(&everything()).await;
    assert!(run.mistakes.is_empty() && run.confirms && run.restarts, "{run:?}");
    assert_eq!(run.suggested_range.as_deref(), Some("10.5.0.128-10.5.0.254"));
    let nothing = (bench.systemd.calls().len(), bench.settings(), bench.steps().await.len());
    assert_eq!(nothing, (0, String::new(), 0));
    bench.set_up(&everything()).await.expect("done");
    let done: Vec<String> = bench.steps().await.into_iter().map(|step| step.0).collect();
    assert_eq!(run.steps, done);
    // The address is there: nothing of it would be changed.
    let again = bench.dry_run(&everything()).await;
    assert_eq!((again.confirms, again.steps.len()), (false, 2));

    let bench = Bench::new(Vec::new()).await;
    let wrong = json!({"interface": "eth0", "dhcp": "server", "range": ["10.5.0.9-10.5.0.1"],
        "address": {"dhcp": true}, "system": {"hostname": "a_b"}});
    let run = bench.dry_run(&wrong).await;
    let fields: Vec<&str> = run.mistakes.iter().map(|mistake| mistake.field.as_str()).collect();
    assert_eq!((fields, run.steps.len()), (vec!["system.hostname", "range[0]", "address.dhcp"], 0));
    // What only the settings know is wrong has no field of its own.
    let wide =
        json!({"interface": "eth0", "dhcp": "server", "range": ["10.0.0.2-10.0.0.5", "10.0.0.4-10.0.0.9"]});
    let run = bench.dry_run(&wide).await;
    assert_eq!((run.mistakes.len(), run.mistakes[0].field.as_str()), (1, "network"));
}

/// What a host cannot do is told for each thing that is asked of it.
#[tokio::test]
async fn a_dry_run_tells_what_this_host_cannot_do() {
    let bench = Bench::with(Vec::new(), &["hostname1", "systemd1"]).await;
    let run = bench.dry_run(&everything()).await;
    let fields: Vec<&str> = run.mistakes.iter().map(|mistake| mistake.field.as_str()).collect();
    assert_eq!(fields, ["system.timezone", "system.ntp", "system.keyboard", "address"]);
    let some = json!({"interface": "eth0", "system": {"hostname": "boot1"}});
    let run = bench.dry_run(&some).await;
    assert_eq!(run.steps, ["host name boot1", "eth0 is served, DHCP proxy"]);
}

#[tokio::test]
async fn what_fails_in_the_middle_is_told_and_can_be_asked_for_again() {
    let bench = Bench::new(Vec::new()).await;
    bench.systemd.state().refused = [("Reload".into(), fdo::Error::AccessDenied("no".into()))].into();
    let refused = bench.set_up(&everything()).await.expect_err("refused").to_string();
    assert!(refused.contains("polkit refused"), "{refused}");
    let steps = bench.steps().await;
    assert_eq!(steps.last(), Some(&("the address of eth0".to_owned(), false)));
    assert!(bench.settings().contains("eth0"), "what came before it is done");
    bench.systemd.state().refused.clear();
    assert!(bench.set_up(&everything()).await.expect("done").network_change.is_some());
}

#[tokio::test]
async fn an_appliance_that_is_set_up_is_not_set_up_again() {
    let bench = Bench::new(vec![Network::on("eth1")]).await;
    let refused = bench.set_up(&everything()).await.expect_err("refused").to_string();
    assert!(refused.contains("set up already"), "{refused}");
    assert!(!bench.site.site.setup_state(false).await.expect("told").needed);
}

#[tokio::test]
async fn interfaces_are_told_with_who_gives_addresses_there_and_what_could_be_given() {
    let bench = Bench::new(Vec::new()).await;
    let told = bench.site.site.setup_state(false).await.expect("told");
    assert!(told.needed && told.interfaces.iter().all(|found| found.dhcp.is_none()));
    let told = bench.site.site.setup_state(true).await.expect("told");
    let names: Vec<&str> = told.interfaces.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["eth0", "eth1"], "what has no MAC address boots nothing");
    let asked = told.interfaces[0].dhcp.clone().expect("asked");
    assert_eq!((asked.servers, told.interfaces[1].dhcp.is_none()), (vec!["10.0.0.254".to_owned()], true));
    assert_eq!(told.interfaces[0].suggested_range.as_deref(), Some("10.0.0.128-10.0.0.254"));
    assert_eq!(serde_json::to_value(told.interfaces[0].suggested).expect("JSON"), "proxy");
    // It is asked again once that is old.
    LATER.set(29_000);
    let again = bench.site.site.setup_state(true).await.expect("told").interfaces[0].dhcp.clone();
    assert_eq!(again.expect("asked").asked_at, asked.asked_at);
    LATER.set(31_000);
    let again = bench.site.site.setup_state(true).await.expect("told").interfaces[0].dhcp.clone();
    assert!(again.expect("asked").asked_at > asked.asked_at);
}

/// What systemd-networkd tells of an interface whose IPv4 address came so.
fn link(source: &str) -> String {
    json!({"Index": 7, "Addresses": [{"Family": 2, "Address": [10, 0, 0, 1], "ConfigSource": source}]})
        .to_string()
}

/// The first set-up and the settings look at the same: whoever gives addresses keeps its own.
#[tokio::test]
async fn addresses_are_given_only_where_the_own_one_stays() {
    let bench = Bench::new(Vec::new()).await;
    let change = async |mode: &str| {
        let network = json!([{"interface": "eth0", "dhcp": mode, "range": ["10.0.0.100-10.0.0.200"]}]);
        let patch = match mode {
            "server" => json!({"network": network}),
            mode => json!({"network": [{"interface": "eth0", "dhcp": mode}]}),
        };
        bench.site.site.change_settings(patch, anna()).await
    };
    bench.systemd.state().link = link("DHCPv4");
    let server = json!({"interface": "eth0", "dhcp": "server", "range": ["10.0.0.100-10.0.0.200"]});
    let Err(SiteError::Invalid(wrong)) = bench.set_up(&server).await else { panic!("it was done") };
    assert_eq!(wrong[0].field, "address");
    assert!(wrong[0].message.contains("eth0 comes from another DHCP server"), "{wrong:?}");
    let Err(SiteError::Invalid(wrong)) = change("server").await else { panic!("it was done") };
    assert_eq!(wrong[0].field, "network[0].dhcp");
    for part in ["eth0 comes from another DHCP server", "`ironwake system network eth0 --address "] {
        assert!(wrong[0].message.contains(part), "{wrong:?}");
    }
    assert_eq!(bench.settings(), "", "nothing is written");
    assert_eq!(change("proxy").await.expect("changed").warnings, [""; 0], "a proxy gives none");
    let other = bench.site.site.change_settings(json!({"discovery": {"enabled": false}}), anna()).await;
    assert_eq!(other.expect("changed").warnings, [""; 0]);

    bench.systemd.state().link = link("foreign");
    let warnings = change("server").await.expect("changed").warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("eth0 is its own is not known"), "{warnings:?}");
    assert!(bench.set_up(&server).await.expect("done").warnings == warnings);

    bench.systemd.state().link = link("static");
    assert_eq!(change("server").await.expect("changed").warnings, [""; 0]);
    // An address that may go back to what another server gives is none to count on.
    let asked = serde_json::from_value(json!({"address": "10.0.0.9/24"})).expect("an address");
    let given = bench.site.site.change_own_address("eth0", asked, anna()).await.expect("given");
    let Err(SiteError::Invalid(wrong)) = change("off").await.and(change("server").await) else {
        panic!("it was done")
    };
    assert!(wrong[0].message.contains("unless it is confirmed"), "{wrong:?}");
    let confirm = NetworkConfirm { token: given.token.expect("a token") };
    bench.site.site.confirm_own_address(confirm, anna()).await.expect("confirmed");
    assert_eq!(change("server").await.expect("changed").warnings, [""; 0]);
}

/// The real daemon without a network: it has its API, says what is missing, and is set up by the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_a_network_is_set_up_through_its_api() {
    let folder = tempfile::tempdir().expect("a folder");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    systemd.state().units = [("ironwake.service".into(), "active".into())].into();
    let _serving = systemd.serve_all(&private).await;
    let daemon = Daemon::start_unconfigured(folder.path());
    daemon.check(&["health"], 6, "no network is configured: nothing is served", "");
    daemon.check(&["setup", "show"], 0, "it is not set up", "");
    let client = Client::new(folder.path().join("api.sock"));
    assert!(client.setup(&SetupQuery::default()).await.expect("told").needed);
    let unknown = Setup { interface: "nowhere0".into(), ..Setup::default() };
    let Err(ClientError::Refused(problem)) = client.set_up(&unknown).await else { panic!("it was done") };
    assert_eq!((problem.status, problem.errors[0].field.as_str()), (422, "interface"));
    let Some(interface) = vitals::interfaces().into_iter().find(|found| found.mac.is_some()) else {
        eprintln!("SKIPPED: this host has no interface with a MAC address");
        return;
    };
    let setup = json!({"interface": interface.name, "system": {"hostname": "boot1"}}).to_string();
    let dry = ["setup", "apply", "--dry-run", "-"];
    daemon.feed(&dry, setup.as_bytes(), 0, "host name boot1", "");
    let wrong = json!({"interface": interface.name, "system": {"hostname": "a_b"}}).to_string();
    daemon.feed(&dry, wrong.as_bytes(), 6, "wrong: system.hostname: \"a_b\" is not", "");
    assert!(!folder.path().join("state/settings.toml").exists());
    let said = daemon.feed(&["setup", "apply", "-"], setup.as_bytes(), 0, "the daemon starts again", "");
    assert!(said.contains("is served, DHCP proxy"), "{said}");
    systemd.asked("RestartUnit ironwake.service").await;
    let settings = fs::read_to_string(folder.path().join("state/settings.toml")).expect("it");
    assert!(settings.contains("dhcp = \"proxy\"") && settings.contains(&interface.name), "{settings}");
    assert_eq!(systemd.state().hostname, "boot1");
    daemon.check(&["events"], 0, "set-up: ", "");
}
