mod builds;
mod bulk;
mod clock;
mod deadlines;
mod downloads;
mod drafts;
mod fitting;
mod heartbeat;
mod installer;
mod keeping;
mod kept;
mod operations;
mod rebuild;
mod rules;
pub(crate) mod shells;
mod strangers;
mod summaries;
mod tokens;
mod unmade;
mod uploads;
mod values;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ironwake_api::*;
use tempfile::TempDir;

use super::*;
use crate::artifacts::Shelf;
use crate::boot::{BootPlan, Handoff, Sighting, Why};
use crate::recorder::Observation;

/// Virtual time, in milliseconds: each test thread has its own.
fn clock() -> Millis {
    NOW.with(|now| now.load(Ordering::Relaxed))
}

thread_local! {
    static NOW: AtomicU64 = const { AtomicU64::new(1_800_000_000_000) };
}

fn advance(by: Duration) {
    NOW.with(|now| now.fetch_add(by.as_millis() as u64, Ordering::Relaxed));
}

pub(super) struct Fixture {
    pub(super) site: Site,
    config: Config,
    state: TempDir,
}

impl Fixture {
    async fn with(more: &str) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let text = format!("[[network]]\ninterface = \"lo\"\n{more}");
        let config = Config::parse(&text, "test").expect("a valid configuration");
        let site = open(&config, &state).await;
        Self { site, config, state }
    }

    pub(super) async fn new() -> Self {
        Self::with("").await
    }

    async fn restart(self) -> Self {
        let Self { site, config, state } = self;
        site.store().close().await.expect("the store closes");
        drop(site);
        let site = open(&config, &state).await;
        Self { site, config, state }
    }

    async fn enroll(&self, serial: &str, macs: &[u8]) -> Enrolled {
        self.site
            .enroll(report(serial, macs), None, Ipv4Addr::new(10, 0, 0, macs[0]))
            .await
            .expect("enrolled")
    }

    /// An enrolled machine of 4 GiB of memory with these disks; its id.
    async fn enrolled(&self, disks: Vec<Disk>) -> String {
        let mut report = report("S1", &[1]);
        report.inventory.disks = disks;
        report.inventory.memory.total_bytes = Some(4 << 30);
        let id = self.site.enroll(report, None, operations::FROM).await.expect("an inventory").answer.machine;
        self.site.enroll_by_operator(&id, operations::operator()).await.expect("enrolled");
        id
    }

    /// Imports bytes under a name, in place of what it had.
    async fn import(&self, name: &str, bytes: &[u8]) {
        let mut upload = self.site.receive_import(name, None).expect("a place");
        upload.write(bytes).expect("written");
        let received = upload.finish(None).expect("whole");
        self.site.import(name, received, operations::operator(), None).await.expect("imported");
    }

    fn plan(&self, mac: u8) -> BootPlan {
        self.site.ipxe_script(&request(mac)).plan
    }

    async fn kinds(&self) -> Vec<EventKind> {
        let events = self.site.store().events_after(0, None, 1000).await.expect("events");
        events.into_iter().map(|event| event.kind).collect()
    }
}

async fn open(config: &Config, state: &TempDir) -> Site {
    let store = Store::open(&state.path().join("ironwake.db")).expect("a store");
    let imports = Imports::open(state.path(), Shelf::default()).expect("a folder");
    let site =
        Site::load(config, store, clock, Box::new(|_| {}), crate::operation::SiteKey::new([7; 32]), imports)
            .await
            .expect("a site");
    site.set_discovery_image(crate::script::DiscoveryFiles {
        kernel: "/artifacts/a/vmlinuz".into(),
        initramfs: "/artifacts/b/initramfs".into(),
        installing: "/artifacts/c/installing".into(),
        rescue: Some("/artifacts/d/rescue".into()),
    });
    site
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0, 0, last])
}

fn report(serial: &str, macs: &[u8]) -> EnrollRequest {
    let nic = |last: &u8| Nic { mac: Some(mac(*last)), ..Nic::default() };
    EnrollRequest {
        agent: "test".into(),
        boot_mac: mac(macs[0]),
        inventory: Inventory {
            schema: 1,
            system: System {
                manufacturer: Some("Dell Inc.".into()),
                serial: Some(serial.into()),
                ..System::default()
            },
            nics: macs.iter().map(nic).collect(),
            ..Inventory::default()
        },
    }
}

fn request(last: u8) -> ScriptRequest {
    ScriptRequest {
        mac: mac(last),
        uuid: None,
        serial: None,
        asset_tag: None,
        client: ClientStage::Ipxe,
        http: "10.0.0.1:8080".parse().expect("an address"),
        from: Ipv4Addr::UNSPECIFIED,
        only_looks: false,
    }
}

fn sighting(last: u8) -> Sighting {
    Sighting {
        mac: mac(last),
        uuid: None,
        arches: vec![7],
        stage: ClientStage::Firmware,
        http_boot: false,
        http_capable: true,
        server: Ipv4Addr::new(10, 0, 0, 1),
        network: "lo".into(),
    }
}

fn operator() -> Actor {
    Actor::Operator("test".into())
}

fn file(handoff: Handoff) -> String {
    match handoff {
        Handoff::File { file, .. } => file,
        other => panic!("no file: {other:?}"),
    }
}

#[tokio::test]
async fn a_machine_first_seen_by_its_packets_gets_a_record_and_discovery() {
    let lab = Fixture::new().await;
    assert_eq!(file(lab.site.handoff(&sighting(1))), "snponly.efi");
    let machine = lab.site.machine("52:54:00:00:00:01").expect("a record");
    assert_eq!(machine.enrolment, Enrolment::Unenrolled);
    assert_eq!(lab.plan(1), BootPlan::Discovery(Why::Unknown));
}

/// ME3: 201 for a new machine, 200 for a known one, the wrong field named otherwise.
#[tokio::test]
async fn enrolment_tells_new_from_known_and_names_what_is_wrong() {
    let lab = Fixture::new().await;
    lab.site.handoff(&sighting(1));
    let first = lab.enroll("A1234", &[1, 2]).await;
    assert!(first.new);
    let again = lab.enroll("A1234", &[1, 2]).await;
    assert!(!again.new);
    assert_eq!(first.answer.machine, again.answer.machine);

    let mut wrong = report("A1234", &[1]);
    wrong.inventory.schema = 7;
    let Err(SiteError::Invalid(fields)) = lab.site.enroll(wrong, None, Ipv4Addr::LOCALHOST).await else {
        panic!("schema 7 was taken");
    };
    assert_eq!(fields[0].field, "inventory.schema");
}

#[tokio::test]
async fn an_inventory_is_no_enrolment_and_its_machine_boots_its_disk_for_a_day() {
    let lab = Fixture::new().await;
    lab.enroll("A1234", &[1]).await;
    assert_eq!(lab.site.machine("A1234").expect("a record").enrolment, Enrolment::Unenrolled);
    assert!(matches!(lab.plan(1), BootPlan::LocalBoot(Why::DiscoveredLately { .. })));
    advance(Duration::from_secs(24 * 3600));
    assert_eq!(lab.plan(1), BootPlan::Discovery(Why::DiscoveredLongAgo));
}

#[tokio::test]
async fn an_operator_may_ask_for_discovery_once() {
    let lab = Fixture::new().await;
    let id = lab.enroll("A1234", &[1]).await.answer.machine;
    lab.site.enroll_by_operator(&id, operator()).await.expect("enrolled");
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
    let patch = MachinePatch { discover_next: Some(true), ..MachinePatch::default() };
    lab.site.edit(&id, patch, operator()).await.expect("edited");
    assert_eq!(lab.plan(1), BootPlan::Discovery(Why::Asked));
    lab.enroll("A1234", &[1]).await;
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
}

#[tokio::test]
async fn policy_and_rules_enrol() {
    let auto = Fixture::with("[enrolment]\npolicy = \"auto\"\n").await;
    assert!(auto.enroll("A1234", &[1]).await.answer.enrolled);

    let rules = "[enrolment]\npolicy = \"rules\"\n[[enrolment.rule]]\nname = \"dells\"\nmanufacturer = \"dell*\"\n\
                 subnet = \"10.0.0.0/29\"\nadd_tags = [\"rack1\"]\n";
    let ruled = Fixture::with(rules).await;
    assert!(ruled.enroll("A1234", &[1]).await.answer.enrolled);
    assert_eq!(ruled.site.machine("A1234").expect("a record").tags, ["rack1"]);
    assert!(!ruled.enroll("B1234", &[99]).await.answer.enrolled);
}

#[tokio::test]
async fn a_registered_machine_becomes_known_by_its_first_inventory() {
    let lab = Fixture::new().await;
    let new =
        MachineNew { serial: Some("a1234".into()), name: Some("node-1".into()), ..MachineNew::default() };
    let machine = lab.site.register(new.clone(), operator()).await.expect("registered");
    assert!(matches!(lab.site.register(new, operator()).await, Err(SiteError::Conflict(_))));
    lab.site.handoff(&sighting(1));
    let enrolled = lab.enroll("A1234", &[1]).await;
    assert_eq!(enrolled.answer.machine, machine.id);
    assert_eq!(enrolled.answer.name.as_deref(), Some("node-1"));
    assert!(enrolled.answer.enrolled);
    let all = lab.site.list(&MachineQuery::default()).expect("a list");
    assert_eq!(all.total, 1, "the record of the sighting is absorbed: {all:?}");
    assert!(lab.kinds().await.iter().any(|kind| matches!(kind, EventKind::MachineAbsorbed { .. })));
}

#[tokio::test]
async fn registering_is_checked_field_by_field() {
    let lab = Fixture::new().await;
    let new = MachineNew {
        name: Some("-bad-".into()),
        macs: vec!["52:54:00:00:00:01".into(), "nonsense".into()],
        uuid: Some("00000000-0000-0000-0000-000000000000".into()),
        serial: Some("To Be Filled By O.E.M.".into()),
        tags: vec!["a b".into()],
        notes: None,
    };
    let Err(SiteError::Invalid(fields)) = lab.site.register(new, operator()).await else {
        panic!("nonsense was taken");
    };
    let names: Vec<&str> = fields.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(names, ["macs[1]", "uuid", "serial", "name", "tags[0]"]);
}

#[tokio::test]
async fn parity_me6() {
    let lab = Fixture::new().await;
    let one = lab.enroll("To Be Filled By O.E.M.", &[1]).await;
    let two = lab.enroll("To Be Filled By O.E.M.", &[2]).await;
    assert!(one.new && two.new);
    assert_ne!(one.answer.machine, two.answer.machine);
}

/// ME4: enrolling again updates the hardware and logs the difference.
#[tokio::test]
async fn parity_me4() {
    let lab = Fixture::new().await;
    lab.enroll("A1234", &[1]).await;
    let mut changed = report("A1234", &[1]);
    changed.inventory.system.product = Some("R640".into());
    lab.site.enroll(changed, None, Ipv4Addr::LOCALHOST).await.expect("enrolled");
    let named: Vec<String> = lab
        .kinds()
        .await
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::Inventory { changes, first: false, .. } => Some(changes),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(named, ["system.product: nothing -> R640"]);
    assert_eq!(lab.site.machine("A1234").expect("a record").product.as_deref(), Some("R640"));
}

#[tokio::test]
async fn a_moved_network_card_is_a_conflict_and_no_merge() {
    let lab = Fixture::new().await;
    let one = lab.enroll("A1234", &[1]).await.answer.machine;
    let two = lab.enroll("B1234", &[1]).await.answer.machine;
    assert_ne!(one, two);
    let conflict = lab.kinds().await.into_iter().find_map(|kind| match kind {
        EventKind::IdentityConflict { other, key, .. } => Some((other, key)),
        _ => None,
    });
    assert_eq!(conflict, Some((one.clone(), "mac".to_owned())));
    assert_eq!(lab.site.machine("52:54:00:00:00:01").expect("a record").id, two);
    assert!(lab.site.machine(&one).expect("a record").macs.is_empty(), "the card is in the other machine");
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart() {
    let lab = Fixture::new().await;
    let id = lab.enroll("A1234", &[1]).await.answer.machine;
    let patch = MachinePatch { name: Some(Some("node-1".into())), ..MachinePatch::default() };
    let before = lab.site.edit(&id, patch, operator()).await.expect("edited");
    let lab = lab.restart().await;
    let after = lab.site.machine("node-1").expect("a record");
    assert_eq!((after.id, after.macs, after.inventory_at), (before.id, before.macs, before.inventory_at));
    assert!(lab.site.store().inventory(&id).await.expect("a read").is_some());
    lab.enroll("A1234", &[1]).await;
    assert_eq!(lab.site.store().inventories(&id, 10).await.expect("a read").len(), 2);
}

#[tokio::test]
async fn firmware_that_does_not_start_its_loader_is_offered_the_next_one() {
    let lab = Fixture::new().await;
    let fail = || {
        let dhcp = |message: &str, answer: &str| StageKind::Dhcp {
            message: message.into(),
            answer: Some(answer.into()),
            address: None,
            file: Some("x.efi".into()),
            why: "test".into(),
        };
        let tftp = StageKind::Tftp {
            file: "x.efi".into(),
            bytes: 9,
            size: 9,
            duration_ms: 1,
            retries: 0,
            aborted: None,
        };
        let see = |kind| {
            let client = ClientStage::Firmware;
            lab.site.observe(Observation { at: clock(), mac: mac(1), client, arch: Some("uefi-x64"), kind });
        };
        for kind in [dhcp("DISCOVER", "OFFER"), dhcp("REQUEST", "ACK"), tftp] {
            see(kind);
        }
        // Firmware takes its first offer: it must be the next loader's before the DISCOVER is recorded.
        let offer = file(lab.site.handoff(&sighting(1)));
        see(dhcp("DISCOVER", "OFFER"));
        assert_eq!(file(lab.site.handoff(&sighting(1))), offer);
    };
    assert_eq!(file(lab.site.handoff(&sighting(1))), "snponly.efi");
    fail();
    assert_eq!(file(lab.site.handoff(&sighting(1))), "shimx64.efi");
    fail();
    assert_eq!(file(lab.site.handoff(&sighting(1))), "ipxe.efi");
    fail();
    assert_eq!(file(lab.site.handoff(&sighting(1))), "snponly.efi");
    assert_eq!(file(lab.site.handoff(&sighting(2))), "snponly.efi");
}

#[tokio::test]
async fn secure_boot_seen_in_the_inventory_leads_to_shim() {
    let lab = Fixture::new().await;
    let mut secure = report("A1234", &[1]);
    secure.inventory.firmware.secure_boot = Some(true);
    // As it goes with real firmware: the first loader is refused, shim works, the inventory says why.
    lab.site.learned.loader_failed(mac(1));
    lab.site.enroll(secure, None, Ipv4Addr::LOCALHOST).await.expect("enrolled");
    assert_eq!(file(lab.site.handoff(&sighting(1))), "shimx64.efi");
    let off = MachinePatch { secure_boot: Some(SecureBoot::Off), ..MachinePatch::default() };
    lab.site.edit("A1234", off, operator()).await.expect("edited");
    assert_eq!(file(lab.site.handoff(&sighting(1))), "snponly.efi");
}

#[tokio::test]
async fn an_order_reaches_the_agent_that_waits_and_is_refused_otherwise() {
    let lab = Fixture::new().await;
    let id = lab.enroll("A1234", &[1]).await.answer.machine;
    let order = Order { order: OrderKind::Reboot, reason: None };
    assert!(matches!(lab.site.order(&id, order.clone(), operator()).await, Err(SiteError::Conflict(_))));
    let wait = lab.site.next_order(&id, Duration::from_secs(60));
    let give = async {
        while lab.site.order(&id, order.clone(), operator()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let (got, ()) = tokio::join!(wait, give);
    assert_eq!(got.expect("an answer"), Some(order.clone()));
    // The answer may have been lost on its way: it comes again until the agent is heard doing it.
    assert_eq!(lab.site.next_order(&id, Duration::ZERO).await.expect("an answer"), Some(order.clone()));
    let report = AgentReport { boot_mac: mac(1), message: "restarting".into(), failed: false };
    lab.site.agent_report(&id, report).await.expect("noted");
    assert_eq!(lab.site.next_order(&id, Duration::ZERO).await.expect("an answer"), None);
    lab.site.order(&id, order.clone(), operator()).await.expect("it asked a moment ago");
    advance(Duration::from_secs(61));
    assert!(matches!(lab.site.order(&id, order, operator()).await, Err(SiteError::Conflict(_))));
    assert_eq!(lab.site.next_order(&id, Duration::ZERO).await.expect("an answer"), None, "it is stale");
}

#[tokio::test]
async fn records_only_seen_are_limited() {
    let lab = Fixture::new().await;
    for n in 0..SEEN_MAX as u32 + 5 {
        let [a, b, c, d] = n.to_be_bytes();
        lab.site.handoff(&Sighting { mac: MacAddr([2, 0, a, b, c, d]), ..sighting(0) });
    }
    assert_eq!(lab.site.list(&MachineQuery::default()).expect("a list").total, SEEN_MAX as u64);
    assert!(lab.site.machine("02:00:00:00:00:00").is_err());
}

#[tokio::test]
async fn a_simulation_says_each_step_and_changes_nothing() {
    let lab = Fixture::new().await;
    let query =
        SimulateQuery { mac: "525400000001".into(), arch: "uefi-x64".into(), ..SimulateQuery::default() };
    let steps = lab.site.simulate(&query).expect("steps");
    assert_eq!(steps[1].gets, "TFTP file snponly.efi");
    assert!(steps.last().expect("a step").gets.contains("/artifacts/a/vmlinuz"), "{steps:?}");
    assert_eq!(lab.site.list(&MachineQuery::default()).expect("a list").total, 0);
    let refused = SimulateQuery { arch: "uefi-ia32".into(), ..query.clone() };
    assert!(lab.site.simulate(&refused).expect("steps")[1].why.starts_with("no_loader_for_arch"));
    let wrong = SimulateQuery { arch: "vax".into(), mac: "x".into(), ..query };
    assert!(matches!(lab.site.simulate(&wrong), Err(SiteError::Invalid(fields)) if fields.len() == 2));
}

#[tokio::test]
async fn the_first_boot_of_a_registered_machine_is_in_its_timeline() {
    let lab = Fixture::new().await;
    let new = MachineNew { serial: Some("A1234".into()), ..MachineNew::default() };
    let machine = lab.site.register(new, operator()).await.expect("registered");
    lab.site.handoff(&sighting(1));
    let kind = StageKind::Agent { message: "hello".into(), failed: false };
    let seen = Observation { at: clock(), mac: mac(1), client: ClientStage::Agent, arch: None, kind };
    lab.site.observe(seen.clone());
    lab.enroll("A1234", &[1]).await;
    lab.site.observe(seen);
    let lab = lab.restart().await;
    let attempts = lab.site.store().attempts(&machine.id, 10).await.expect("a read");
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].stages.len(), 3, "{attempts:?}");
    assert_eq!(attempts[0].machine.as_deref(), Some(machine.id.as_str()));
}

#[tokio::test]
async fn a_machine_deleted_while_it_boots_begins_anew() {
    let lab = Fixture::new().await;
    let id = lab.enroll("A1234", &[1]).await.answer.machine;
    lab.site.delete(&id, operator()).await.expect("deleted");
    lab.site.handoff(&sighting(1));
    let again = lab.enroll("A1234", &[1]).await;
    assert_ne!(again.answer.machine, id);
    let lab = lab.restart().await;
    let attempts = lab.site.store().attempts(&again.answer.machine, 10).await.expect("a read");
    assert_eq!(attempts.len(), 1);
}

/// Invariant 2: a machine whose discovery never reports comes back by itself.
#[tokio::test]
async fn discovery_without_an_inventory_ends_in_local_boot() {
    let lab = Fixture::new().await;
    lab.site.handoff(&sighting(1));
    let fetch = || {
        let kind = StageKind::Http {
            method: "GET".into(),
            path: "/artifacts/a/vmlinuz".into(),
            status: 200,
            bytes: 1,
            duration_ms: 1,
            plan: None,
        };
        lab.site.observe(Observation {
            at: clock(),
            mac: mac(1),
            client: ClientStage::Ipxe,
            arch: None,
            kind,
        });
    };
    for _ in 0..2 {
        assert_eq!(lab.plan(1), BootPlan::Discovery(Why::Unknown));
        fetch();
        fetch();
        advance(Duration::from_secs(600));
    }
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::Fruitless));
    let again = MachinePatch { discover_next: Some(true), ..MachinePatch::default() };
    lab.site.edit("52:54:00:00:00:01", again, operator()).await.expect("edited");
    assert_eq!(lab.plan(1), BootPlan::Discovery(Why::Asked));
}

/// A BIOS machine's iPXE names only its MAC address, and the record has none yet.
#[tokio::test]
async fn a_machine_enrolled_by_uuid_is_known_by_the_address_that_asked_with_it() {
    let lab = Fixture::new().await;
    let uuid = "8a3f1c52-7d0e-4b11-9f65-2f1f0e6a9b01";
    let new = MachineNew { uuid: Some(uuid.into()), ..MachineNew::default() };
    let machine = lab.site.register(new, operator()).await.expect("registered");
    lab.site.enroll_by_operator(&machine.id, operator()).await.expect("enrolled");
    lab.site.handoff(&Sighting { uuid: uuid.parse().ok(), ..sighting(1) });
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
    assert_eq!(lab.site.machine("52:54:00:00:00:01").expect("a record").id, machine.id);
    assert_eq!(lab.site.list(&MachineQuery::default()).expect("a list").total, 1);
}
