//! The appliance's own address: changed through systemd-networkd's files, confirmed, or taken back when its time is up or
//! the daemon ends.

mod bus;
mod loopback;
mod site;

use std::fs;
use std::path::{Path, PathBuf};

use bus::{PrivateBus, Serving, StandIns};
use ironwake::config::{Api, DhcpMode, Network};
use ironwake::site::{Appliance, SiteError};
use ironwake::systemd::{Bus, CALL_TIME_MAX, NetworkFiles};
use ironwake::vitals;
use ironwake_api::client::Client;
use ironwake_api::{Actor, EventKind, NetworkConfirm, OwnAddress, SystemInterface};
use loopback::Daemon;
use site::{LATER, TestSite};
use zbus::fdo;

/// The kernel's number of the interface that is there.
const INDEX: i32 = 7;
/// A minute, in which it has to be confirmed, and a bit.
const LONG: u64 = 60_001;

fn interfaces() -> Vec<SystemInterface> {
    let interface = |name: &str| SystemInterface {
        name: name.into(),
        mac: None,
        up: true,
        link: true,
        addresses: Vec::new(),
    };
    vec![interface("eth0"), interface("eth1")]
}

struct Bench {
    site: TestSite,
    systemd: StandIns,
    private: PrivateBus,
    _serving: Serving,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("network")).expect("made");
        let private = PrivateBus::start(folder.path());
        let systemd = StandIns::new();
        let _serving = systemd.serve_all(&private).await;
        let bench = Self { site: TestSite::open().await, systemd, private, _serving, folder };
        bench.set_up();
        bench
    }

    fn set_up(&self) {
        let network = self.folder.path().join("network");
        self.site.site.set_appliance(Appliance {
            bus: Bus::at(self.private.address(), CALL_TIME_MAX),
            files: NetworkFiles::at(&network, &network),
            state: self.folder.path().into(),
            host_files: Vec::new(),
            key: None,
            networks: vec![Network { dhcp: DhcpMode::Server, ..Network::on("eth1") }],
            api: Api { listen: Some(([10, 0, 0, 1], 8443).into()), ..Api::default() },
            root: self.folder.path().into(),
            interfaces,
            index_of: |name| (name == "eth0").then_some(INDEX),
            ask_dhcp: |_| Box::pin(async { Ok(Vec::new()) }),
        });
    }

    /// Ends the site, as kill -9 would, and opens another one on what it left.
    async fn restart(self) -> Self {
        let bench = Self { site: self.site.restart().await, ..self };
        bench.set_up();
        bench
    }

    fn file(&self) -> Option<String> {
        fs::read_to_string(self.folder.path().join("network/05-ironwake-eth0.network")).ok()
    }

    async fn change(&self, address: &str) -> Result<String, SiteError> {
        let asked = OwnAddress { address: Some(address.into()), ..OwnAddress::default() };
        let changed = self.site.site.change_own_address("eth0", asked, anna()).await;
        changed.map(|change| change.token.expect("a token"))
    }

    async fn confirm(&self, token: &str) -> Result<(), SiteError> {
        let confirm = NetworkConfirm { token: token.into() };
        self.site.site.confirm_own_address(confirm, anna()).await
    }

    fn holds(&self, address: &str) -> bool {
        self.file().is_some_and(|text| text.contains(&format!("Address={address}\n")))
    }

    /// What became of addresses, in a word each.
    async fn events(&self) -> Vec<&'static str> {
        let word = |kind| match kind {
            EventKind::NetworkChanging { .. } => Some("changing"),
            EventKind::NetworkConfirmed { .. } => Some("confirmed"),
            EventKind::NetworkTakenBack { .. } => Some("taken back"),
            _ => None,
        };
        self.site.events().await.into_iter().filter_map(word).collect()
    }
}

fn anna() -> Actor {
    Actor::Operator("anna".into())
}

#[track_caller]
fn check<T>(result: Result<T, SiteError>, part: &str) {
    let Err(error) = result else { panic!("it was done") };
    assert!(error.to_string().contains(part), "{error}");
}

#[tokio::test]
async fn a_confirmed_address_stays() {
    let bench = Bench::new().await;
    let token = bench.change("10.0.0.2/24").await.expect("changed");
    assert!(bench.holds("10.0.0.2/24"));
    assert_eq!(bench.systemd.calls(), ["Reload", "ReconfigureLink 7"]);
    check(bench.change("10.0.0.3/24").await, "eth0 waits for 10.0.0.2/24 to be confirmed");
    check(bench.confirm("guessed").await, "it is not the one that the change was answered with");
    bench.confirm(&token).await.expect("confirmed");
    check(bench.confirm(&token).await, "no address waits for its confirmation");
    LATER.set(LONG);
    bench.site.site.tend_system().await;
    let bench = bench.restart().await;
    bench.site.site.tend_system().await;
    assert!(bench.holds("10.0.0.2/24"));
    assert_eq!(bench.events().await, ["changing", "confirmed"]);
    // What is changed from here on goes back to what was confirmed.
    bench.change("10.0.0.3/24").await.expect("changed");
    LATER.set(2 * LONG);
    bench.site.site.tend_system().await;
    assert!(bench.holds("10.0.0.2/24"));
}

#[tokio::test]
async fn an_address_that_nobody_confirms_goes_back_when_its_time_is_up() {
    let bench = Bench::new().await;
    let token = bench.change("10.0.0.2/24").await.expect("changed");
    LATER.set(59_000);
    bench.site.site.tend_system().await;
    assert!(bench.holds("10.0.0.2/24"), "it has a second left");
    let shown = bench.site.site.own_system().await.expect("shown");
    assert_eq!(shown.url.as_deref(), Some("https://10.0.0.1:8443"), "by the settings");
    let shown = shown.network_change.expect("it waits");
    assert_eq!((shown.to.as_str(), shown.token), ("10.0.0.2/24", None));
    LATER.set(LONG);
    check(bench.confirm(&token).await, "its time is up");
    bench.site.site.tend_system().await;
    assert_eq!(bench.file(), None, "there was none before");
    assert_eq!(bench.systemd.calls(), ["Reload", "ReconfigureLink 7", "Reload", "ReconfigureLink 7"]);
    assert_eq!(bench.events().await, ["changing", "taken back"]);
    bench.site.site.tend_system().await;
    assert_eq!(bench.systemd.calls().len(), 4, "once is enough");
}

#[tokio::test]
async fn a_daemon_that_is_killed_in_between_takes_it_back_at_its_start() {
    let bench = Bench::new().await;
    let token = bench.change("10.0.0.2/24").await.expect("changed");
    let bench = bench.restart().await;
    check(bench.confirm(&token).await, "its time is up");
    bench.site.site.tend_system().await;
    assert_eq!((bench.file(), bench.events().await), (None, vec!["changing", "taken back"]));
}

#[tokio::test]
async fn a_change_that_systemd_refuses_is_taken_back_at_once() {
    let bench = Bench::new().await;
    let denied = fdo::Error::AccessDenied("no".into());
    bench.systemd.state().refused = [("Reload".into(), denied)].into();
    check(bench.change("10.0.0.2/24").await, "Reload of org.freedesktop.network1: polkit refused");
    assert_eq!((bench.file(), bench.events().await), (None, vec!["changing", "taken back"]));
    bench.systemd.state().refused.clear();
    bench.change("10.0.0.2/24").await.expect("nothing is in the way of another one");
}

/// What it goes back to cannot be written down, so it is not changed either.
#[tokio::test]
async fn a_change_that_could_not_be_taken_back_is_not_made() {
    let bench = Bench::new().await;
    // A folder is in the way of the file.
    fs::create_dir_all(bench.folder.path().join("network-change.json/x")).expect("made");
    check(bench.change("10.0.0.2/24").await, "write ");
    assert_eq!((bench.file(), bench.systemd.calls().len()), (None, 0));
    assert_eq!(bench.events().await, ["changing", "taken back"]);
}

/// A systemd that does not answer is asked again, and the file is right meanwhile.
#[tokio::test]
async fn taking_back_goes_on_until_systemd_has_heard_of_it() {
    let bench = Bench::new().await;
    bench.change("10.0.0.2/24").await.expect("changed");
    let slow = fdo::Error::NoReply("busy".into());
    bench.systemd.state().refused = [("Reload".into(), slow)].into();
    LATER.set(LONG);
    bench.site.site.tend_system().await;
    assert_eq!((bench.file(), bench.events().await), (None, vec!["changing"]));
    bench.systemd.state().refused.clear();
    bench.site.site.tend_system().await;
    assert_eq!(bench.events().await, ["changing"], "not before some seconds are over");
    LATER.set(LONG + 10_000);
    bench.site.site.tend_system().await;
    assert_eq!(bench.events().await, ["changing", "taken back"]);
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_written() {
    let bench = Bench::new().await;
    check(bench.change("10.0.0.0/24").await, "address: 10.0.0.0 names the network itself");
    let dhcp = OwnAddress { dhcp: true, ..OwnAddress::default() };
    let refused = bench.site.site.change_own_address("eth1", dhcp, anna()).await;
    check(refused, "eth1 is served with addresses");
    fs::remove_dir(bench.folder.path().join("network")).expect("removed");
    check(bench.change("10.0.0.2/24").await, "made by systemd-tmpfiles");
    assert_eq!((bench.systemd.calls().len(), bench.events().await.len()), (0, 0));
}

/// The files of a real daemon that is killed.
struct Killed {
    file: PathBuf,
    interface: String,
}

impl Killed {
    fn new(folder: &Path) -> Option<Self> {
        let interface = vitals::interfaces().into_iter().next()?;
        let name = format!("network/05-ironwake-{}.network", interface.name);
        Some(Self { file: folder.join(name), interface: interface.name })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_leaves_the_address_of_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(killed) = Killed::new(folder.path()) else {
        eprintln!("SKIPPED: this host has no interface but the loopback one");
        return;
    };
    fs::create_dir(folder.path().join("network")).expect("made");
    fs::write(&killed.file, "[Network]\nDHCP=yes\n").expect("written");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    let _serving = systemd.serve_all(&private).await;
    let daemon = Daemon::start(folder.path(), "");
    // No network of any host overlaps TEST-NET-1 (RFC 5737).
    let words =
        ["system", "network", &killed.interface, "--address", "192.0.2.9/24", "--gateway", "192.0.2.1"];
    daemon.check(&words, 0, "unless: ironwake system confirm ", "");
    assert!(fs::read_to_string(&killed.file).expect("a file").contains("Gateway=192.0.2.1\n"));
    // Dropping it is kill -9.
    drop(daemon);
    let _daemon = Daemon::start(folder.path(), "");
    let client = Client::new(folder.path().join("api.sock"));
    let mut events = client.follow(Some(0), None);
    loop {
        let event =
            tokio::time::timeout(bus::PATIENCE, events.next()).await.expect("in time").expect("an event");
        if let EventKind::NetworkTakenBack { interface, .. } = event.kind {
            assert_eq!(interface, killed.interface);
            break;
        }
    }
    assert_eq!(fs::read_to_string(&killed.file).expect("a file"), "[Network]\nDHCP=yes\n");
}
