//! The appliance's disks, its installation on one of them and factory reset, as the daemon orders them of units that are root;
//! the test is the root.

mod bus;
mod site;

use std::fs;
use std::path::PathBuf;

use bus::{PrivateBus, Serving, StandIns};
use ironwake::config::Api;
use ironwake::disk_install::{self, Order, load_state, order_path, run_folder};
use ironwake::site::{Appliance, SiteError};
use ironwake::systemd::{Bus, CALL_TIME_MAX, DISKS, FACTORY_RESET, INSTALL, NetworkFiles, UNATTENDED};
use ironwake_api::{
    Actor, ApplianceDisk, ApplianceDisks, BootMedium, Disk, EventKind, FactoryReset, InstallNew,
    InstallPhase, InstallState, InstallThen,
};
use site::{LATER, TestSite};

struct Bench {
    site: TestSite,
    systemd: StandIns,
    _private: PrivateBus,
    _serving: Serving,
    folder: tempfile::TempDir,
}

fn anna() -> Actor {
    Actor::Operator("anna".into())
}

fn found(name: &str, refused: Option<&str>) -> ApplianceDisk {
    let disk =
        Disk { name: name.into(), serial: Some(name.to_uppercase()), size_bytes: 1 << 35, ..Disk::default() };
    let digest = disk_install::digest(&disk);
    ApplianceDisk { disk, digest, refused: refused.map(Into::into) }
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let private = PrivateBus::start(folder.path());
        let systemd = StandIns::new();
        systemd.state().units = [DISKS, INSTALL].map(|unit| (unit.to_owned(), "inactive".to_owned())).into();
        let _serving = systemd.serve_all(&private).await;
        for name in ["run/ironwake", "run/ironwake-install", "usr/lib", "network"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        let release = "IMAGE_ID=ironwake\nIMAGE_VERSION=0.1.0\n";
        fs::write(folder.path().join("usr/lib/os-release"), release).expect("a file");
        let site = TestSite::open().await;
        let network = folder.path().join("network");
        site.site.set_appliance(Appliance {
            bus: Bus::at(private.address(), CALL_TIME_MAX),
            files: NetworkFiles::at(&network, &network),
            state: folder.path().into(),
            networks: Vec::new(),
            host_files: Vec::new(),
            key: None,
            api: Api::default(),
            root: folder.path().into(),
            interfaces: Vec::new,
            index_of: |_| None,
            ask_dhcp: |_| Box::pin(async { Ok(Vec::new()) }),
        });
        Self { site, systemd, _private: private, _serving, folder }
    }

    fn run(&self) -> PathBuf {
        run_folder(self.folder.path())
    }

    /// What ironwake-disks.service would write.
    fn tell(&self, disks: Vec<ApplianceDisk>) {
        let read_at = u64::MAX / 2;
        let booted_from = BootMedium { disk: Some("sda".into()), removable: true };
        let told = ApplianceDisks { read_at, booted_from, disks, ..ApplianceDisks::default() };
        disk_install::write_disks(&self.run(), &told).expect("written");
    }

    fn state(&self, phase: InstallPhase, problem: Option<&str>) {
        let state = InstallState {
            phase,
            problem: problem.map(Into::into),
            begun_at: u64::MAX / 2,
            ..InstallState::default()
        };
        fs::write(self.run().join(disk_install::STATE), serde_json::to_vec(&state).expect("JSON"))
            .expect("written");
    }

    fn unit(&self, name: &str, active: &str) {
        self.systemd.state().units.insert(name.into(), active.into());
    }

    async fn install(&self, disk: &str, digest: &str, confirm: &str) -> Result<InstallState, SiteError> {
        let new = InstallNew {
            disk: disk.into(),
            digest: digest.into(),
            confirm: confirm.into(),
            then: InstallThen::Reboot,
        };
        self.site.site.install_on_disk(new, anna()).await
    }

    fn calls(&self) -> Vec<String> {
        let calls = self.systemd.calls();
        calls.into_iter().filter(|call| call.starts_with("StartUnit")).collect()
    }

    async fn events(&self) -> Vec<EventKind> {
        let ours = |kind: &EventKind| {
            matches!(
                kind,
                EventKind::InstallBegun { .. } | EventKind::InstallEnded { .. } | EventKind::FactoryReset
            )
        };
        self.site.events().await.into_iter().filter(ours).collect()
    }
}

#[tokio::test]
async fn disks_are_read_by_a_unit_and_told_for_a_moment() {
    let bench = Bench::new().await;
    let telling = async {
        bench.systemd.asked(&format!("StartUnit {DISKS}")).await;
        bench.tell(vec![found("sda", Some("the appliance runs from it")), found("sdb", None)]);
    };
    let (disks, ()) = tokio::join!(bench.site.site.appliance_disks(), telling);
    let disks = disks.expect("told");
    let targets: Vec<&str> = disks.targets().map(|found| found.disk.name.as_str()).collect();
    assert_eq!((targets, disks.booted_from.removable), (vec!["sdb"], true));
    bench.site.site.appliance_disks().await.expect("told again");
    assert_eq!(bench.calls().len(), 1, "what was read just now is not read again");

    // A unit that fails is told, and the host of a daemon that is no appliance has none.
    fs::remove_file(bench.run().join(disk_install::FACTS)).expect("gone");
    bench.systemd.state().units.insert(DISKS.into(), "failed".into());
    let error = bench.site.site.appliance_disks().await.expect_err("it failed").to_string();
    assert!(error.contains("journalctl -u ironwake-disks"), "{error}");
    fs::write(bench.folder.path().join("usr/lib/os-release"), "ID=debian\n").expect("a file");
    let error = bench.site.site.appliance_disks().await.expect_err("no appliance").to_string();
    assert!(error.contains("not the appliance's image"), "{error}");
}

#[tokio::test]
async fn an_installation_is_ordered_once_and_its_end_is_an_event() {
    let bench = Bench::new().await;
    let target = found("sdb", None);
    bench.tell(vec![found("sda", Some("the appliance runs from it")), target.clone()]);
    let check = async |disk: &str, digest: &str, confirm: &str, expected: &str| {
        let error = bench.install(disk, digest, confirm).await.expect_err("a refusal").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("sdc", &target.digest, "sdc", "the appliance has no disk \"sdc\"").await;
    check("sda", &target.digest, "sda", "the appliance runs from it").await;
    check("sdb", &target.digest, "sda", "sdb has to be typed").await;
    check("sdb", &target.digest, "", "sdb has to be typed").await;
    check("sdb", "sha256:00", "sdb", "is not as it was shown").await;
    assert!(!order_path(bench.folder.path()).exists() && bench.calls().is_empty());

    let begun = bench.install("sdb", &target.digest, "sdb").await.expect("begun");
    assert_eq!((begun.phase, begun.disk.as_deref()), (InstallPhase::Ordered, Some("sdb")));
    assert_eq!(bench.calls(), [format!("StartUnit {INSTALL}")]);
    let order = Order::take(&order_path(bench.folder.path())).expect("an order");
    assert_eq!(order, Order { disk: "sdb".into(), digest: target.digest.clone(), then: InstallThen::Reboot });

    // Between the order and the first word of the unit, while it runs, and at its end.
    let phase = async || bench.site.site.install_state().await.expect("told").phase;
    assert_eq!(phase().await, InstallPhase::Ordered, "it was asked for just now");
    bench.unit(INSTALL, "activating");
    bench.state(InstallPhase::System, None);
    assert_eq!(phase().await, InstallPhase::System);
    check("sdb", &target.digest, "sdb", "being installed already").await;
    bench.site.site.tend_system().await;
    assert_eq!(bench.events().await, [EventKind::InstallBegun { disk: "sdb".into() }]);
    bench.unit(INSTALL, "inactive");
    bench.unit(UNATTENDED, "activating");
    assert_eq!(phase().await, InstallPhase::System, "a file on the stick ordered one");
    bench.unit(UNATTENDED, "inactive");
    assert_eq!(phase().await, InstallPhase::Failed, "one that ended without a word");
    bench.state(InstallPhase::Failed, Some("copy the system: it broke"));
    bench.site.site.tend_system().await;
    bench.site.site.tend_system().await;
    let problem = Some("copy the system: it broke".to_owned());
    let ended = EventKind::InstallEnded { disk: "sdb".into(), problem };
    assert_eq!(bench.events().await, [EventKind::InstallBegun { disk: "sdb".into() }, ended]);

    // Another one may follow; one whose unit never says a word ends too.
    fs::remove_file(bench.run().join(disk_install::STATE)).expect("gone");
    bench.install("sdb", &target.digest, "sdb").await.expect("begun");
    assert_eq!(phase().await, InstallPhase::Ordered);
    LATER.set(31_000);
    assert_eq!(phase().await, InstallPhase::Failed);
    bench.state(InstallPhase::Done, None);
    bench.site.site.tend_system().await;
    assert_eq!(
        bench.events().await.last(),
        Some(&EventKind::InstallEnded { disk: "sdb".into(), problem: None })
    );
    assert!(load_state(&bench.run()).expect("read").is_some());
}

#[tokio::test]
async fn a_factory_reset_takes_the_appliances_name() {
    let bench = Bench::new().await;
    let reset = async |confirm: &str| {
        let reset = FactoryReset { confirm: confirm.into() };
        bench.site.site.factory_reset(reset, anna()).await
    };
    for wrong in ["", "iron", "IRONWAKE"] {
        let error = reset(wrong).await.expect_err("a refusal").to_string();
        assert!(error.contains("its name, ironwake, has to be typed"), "{error}");
    }
    assert!(bench.calls().is_empty() && bench.events().await.is_empty());
    reset("ironwake").await.expect("begun");
    assert_eq!(bench.calls(), [format!("StartUnit {FACTORY_RESET}")]);
    assert_eq!(bench.events().await, [EventKind::FactoryReset]);
}
