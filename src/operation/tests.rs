use ironwake_api::{Actor, Disk, Inventory, Millis, Operation, OperationKind, OperationState, Partition};
use proptest::prelude::*;

use super::*;

const NOW: Millis = 1_800_000_000_000;
const KINDS: [OperationKind; 4] =
    [OperationKind::Inspect, OperationKind::Rebuild, OperationKind::Wipe, OperationKind::Rescue];

fn registered(kind: OperationKind) -> Operation {
    let draft = Draft { machine: "m".into(), kind, profile: None, disks: Vec::new(), retry_of: None };
    register("o".into(), draft, Actor::Operator("root".into()), NOW, &Deadlines::default())
}

/// What a happening is about, where that does not matter; armed at a time for [`ARMED_FOR`].
pub(crate) fn trigger(happening: Happening, at: Millis) -> Trigger {
    match happening {
        Happening::Armed => Trigger::Arm { until: at + ARMED_FOR },
        Happening::Disarmed => Trigger::Disarm,
        Happening::Served => Trigger::Served { what: "vmlinuz".into() },
        Happening::Began => Trigger::Began,
        Happening::Wrote => Trigger::Wrote,
        Happening::BootedDisk => Trigger::BootedDisk,
        Happening::PhonedHome => Trigger::PhonedHome { who: "node-1".into() },
        Happening::Joined => Trigger::Joined,
        Happening::Finished => Trigger::Finished { what: "the inventory is in".into() },
        Happening::Failed => Trigger::Fail { reason: "the disk is full".into() },
        Happening::Expired => Trigger::Expire,
        Happening::Cancelled => Trigger::Cancel { why: None },
    }
}

fn act(operation: &Operation, happening: Happening) -> Result<Step, Illegal> {
    apply(operation, &trigger(happening, NOW), &Actor::Daemon, NOW + 1, &Deadlines::default())
}

#[track_caller]
fn check(kind: OperationKind, happenings: &[Happening], expected: &[OperationState]) -> Operation {
    let mut operation = registered(kind);
    let mut states = vec![operation.state];
    for happening in happenings {
        let step = act(&operation, *happening).unwrap_or_else(|illegal| panic!("{illegal}"));
        states.extend(step.events.iter().map(|event| event.to));
        operation = step.operation;
    }
    assert_eq!(states, expected);
    operation
}

#[test]
fn a_rebuild_goes_through_the_whole_chain() {
    use Happening::*;
    use OperationState::*;
    let chain = [Registered, PxeReady, PxeBooted, Installing, Installed, FirstBoot, Joining, Ready];
    check(
        OperationKind::Rebuild,
        &[Armed, Served, Began, Wrote, Happening::BootedDisk, PhonedHome, Joined],
        &chain,
    );
    // A machine whose firmware boots the disk first never asks again.
    check(OperationKind::Rebuild, &[Armed, Served, Began, Wrote, PhonedHome, Joined], &chain);
    // One whose word that all is written was lost, too.
    check(OperationKind::Rebuild, &[Armed, Served, Began, PhonedHome, Joined], &chain);
}

#[test]
fn the_other_kinds_have_their_own_chains() {
    use Happening::*;
    use OperationState::*;
    check(OperationKind::Inspect, &[Armed, Served, Finished], &[Registered, PxeReady, PxeBooted, Ready]);
    let in_ram = [Registered, PxeReady, PxeBooted, Installing, Ready];
    check(OperationKind::Wipe, &[Armed, Served, Began, Finished], &in_ram);
    check(OperationKind::Rescue, &[Armed, Served, Began, Finished], &in_ram);
    check(OperationKind::Rescue, &[Armed, Served, Began, Expired], &in_ram);
}

#[test]
fn an_arming_is_for_one_boot_and_ends_by_itself() {
    let armed = act(&registered(OperationKind::Rebuild), Happening::Armed).unwrap();
    assert_eq!(armed.operation.deadline, Some(NOW + ARMED_FOR));
    assert_eq!(armed.effects, [Effect::RestartWaitingAgent]);
    let served = act(&armed.operation, Happening::Served).unwrap().operation;
    assert_eq!(served.arming, None);
    assert!(act(&served, Happening::Served).is_err(), "what was served once is not served again");
    let expired = act(&armed.operation, Happening::Expired).unwrap();
    assert_eq!(expired.operation.arming, None);
    let failure = expired.operation.failure.unwrap();
    assert_eq!(failure.stage, OperationState::PxeReady);
    assert!(failure.reason.contains("did not boot"), "{}", failure.reason);
}

#[test]
fn what_may_have_written_can_fail_and_not_be_cancelled() {
    use Happening::*;
    use OperationState::{Installing, PxeBooted, PxeReady, Registered};
    let writing = check(
        OperationKind::Rebuild,
        &[Armed, Served, Began],
        &[Registered, PxeReady, PxeBooted, Installing],
    );
    assert!(writing.may_have_written);
    let refused = act(&writing, Cancelled).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cancelled is not possible while rebuild is installing; what is: wrote, phoned_home, failed, expired"
    );
    let failed = act(&writing, Failed).unwrap();
    assert_eq!(failed.operation.failure.unwrap().reason, "the disk is full");
    assert_eq!(failed.effects, []);
}

/// Every state of every kind that can be reached ends some time, and nothing leads out of an end.
#[test]
fn every_state_that_can_be_reached_has_a_deadline_and_can_fail() {
    for kind in KINDS {
        let mut reached = vec![registered(kind)];
        let mut seen = vec![OperationState::Registered];
        while let Some(operation) = reached.pop() {
            let steps: Vec<Step> =
                Happening::ALL.into_iter().filter_map(|h| act(&operation, h).ok()).collect();
            assert_eq!(steps.is_empty(), operation.state.has_ended(), "{kind} {}", operation.state);
            assert_eq!(
                operation.deadline.is_none(),
                operation.state.has_ended(),
                "{kind} {}",
                operation.state
            );
            if !operation.state.has_ended() {
                assert!(act(&operation, Happening::Expired).unwrap().operation.state.has_ended());
                assert_eq!(
                    act(&operation, Happening::Failed).unwrap().operation.state,
                    OperationState::Failed
                );
            }
            for step in steps {
                if !seen.contains(&step.operation.state) {
                    seen.push(step.operation.state);
                    reached.push(step.operation);
                }
            }
        }
        let unreached = match kind {
            OperationKind::Rebuild => 0,
            OperationKind::Inspect => 4,
            OperationKind::Wipe | OperationKind::Rescue => 3,
        };
        assert_eq!(seen.len(), OperationState::ALL.len() - unreached, "{kind}: {seen:?}");
    }
}

proptest! {
    /// Whatever happens in whatever order, history is a chain of legal steps.
    #[test]
    fn history_is_a_chain(kind in 0usize..4, happenings in proptest::collection::vec(0usize..12, 0..40)) {
        let mut operation = registered(KINDS[kind]);
        let mut history = Vec::new();
        for happening in happenings {
            let before = operation.clone();
            match act(&operation, Happening::ALL[happening]) {
                Ok(step) => {
                    history.extend(step.events);
                    operation = step.operation;
                }
                Err(_) => prop_assert_eq!(&before, &operation),
            }
        }
        let mut at = OperationState::Registered;
        for event in &history {
            prop_assert_eq!(event.from, at);
            at = event.to;
        }
        prop_assert_eq!(at, operation.state);
        let installs = history.iter().filter(|event| event.to == OperationState::Installing).count();
        prop_assert!(installs <= 1, "one operation installs once");
        if operation.may_have_written {
            prop_assert_ne!(operation.state, OperationState::Cancelled);
        }
    }
}

fn inventory() -> Inventory {
    let disk = |name: &str, serial: &str, gigabytes: u64| Disk {
        name: name.into(),
        serial: Some(serial.into()),
        wwn: Some(format!("naa.{serial}")),
        size_bytes: gigabytes * 1_000_000_000,
        removable: Some(false),
        ..Disk::default()
    };
    let labelled = Partition { number: 1, label: Some("ROOT".into()), ..Partition::default() };
    Inventory {
        disks: vec![
            Disk { partitions: vec![labelled], ..disk("sda", "A", 480) },
            disk("sdb", "B", 481),
            disk("nvme0n1", "C", 1920),
            Disk { removable: Some(true), ..disk("sdc", "STICK", 16) },
            Disk { transport: Some("usb".into()), ..disk("sdd", "USB", 4000) },
            Disk { size_bytes: 0, ..disk("sde", "EMPTY", 0) },
        ],
        ..Inventory::default()
    }
}

#[track_caller]
fn check_rule(rule: &str, expected: Result<&str, &str>) {
    let rule: DiskRule = rule.parse().unwrap();
    match (resolve(&rule, &inventory()), expected) {
        (Ok(disk), Ok(name)) => assert_eq!(disk.name, name),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
        (got, _) => panic!("{rule}: {got:?}"),
    }
}

#[test]
fn rules_name_one_disk_or_none() {
    check_rule("serial=B", Ok("sdb"));
    check_rule("wwn=NAA.C", Ok("nvme0n1"));
    check_rule("name=/dev/sda", Ok("sda"));
    check_rule("label=ROOT", Ok("sda"));
    check_rule("smallest", Ok("sda"));
    check_rule("smallest>=480.5G", Ok("sdb"));
    check_rule("largest", Ok("nvme0n1"));
    check_rule("size=1.92T", Ok("nvme0n1"));
    check_rule("size=480G", Err("several disks fit"));
    check_rule("size=480.5G..1T", Ok("sdb"));
    check_rule("only", Err("several disks fit only: sda A"));
    check_rule("serial=Z", Err("no disk fits serial=Z; there are: sda A (480000000000 bytes)"));
    check_rule("size=16G", Err("no disk fits"));
    check_rule("serial=STICK", Ok("sdc"));
    check_rule("serial=USB", Ok("sdd"));
    check_rule("name=sde", Err("no disk fits"));
}

#[test]
fn two_smallest_disks_are_not_guessed_between() {
    let disk = Disk { name: "sda".into(), size_bytes: 5, ..Disk::default() };
    let twins =
        Inventory { disks: vec![disk.clone(), Disk { name: "sdb".into(), ..disk }], ..Inventory::default() };
    let smallest = DiskRule::Smallest { at_least: 1 };
    assert!(matches!(resolve(&smallest, &twins), Err(Unresolved::Several { .. })));
}

#[test]
fn a_disk_that_refuses_writing_is_refused() {
    let disk = Disk { name: "sda".into(), size_bytes: 5, read_only: Some(true), ..Disk::default() };
    let inventory = Inventory { disks: vec![disk], ..Inventory::default() };
    assert!(matches!(resolve(&DiskRule::Only, &inventory), Err(Unresolved::ReadOnly { .. })));
}

#[test]
fn texts_that_are_no_rules_are_told_what_is_one() {
    for text in [
        "",
        "sda",
        "serial=",
        "size=",
        "size=1X",
        "size=2G..1G",
        "smallest>=",
        "disk=a",
        "size=1.G.",
        "size=-1",
    ] {
        let error = text.parse::<DiskRule>().unwrap_err();
        assert!(error.to_string().contains("serial=TEXT"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_rule_or_refused(text in "[a-z=<>.0-9KMGTiB -]{0,24}") {
        if let Ok(rule) = text.parse::<DiskRule>() {
            prop_assert_eq!(rule.to_string().parse::<DiskRule>(), Ok(rule));
        }
    }
}
