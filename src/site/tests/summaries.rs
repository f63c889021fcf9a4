//! What lists say of machines: without the store, and after a restart too.

use std::time::Instant;

use ironwake_api::WorkReport;

use super::operations::{FROM, disk, operator};
use super::rebuild::{installing, rebuild, with_machine};
use super::*;
use crate::machine::{LIMIT_MAX, summary};
use crate::store::Change;

/// Machines of a large site.
const MANY: u32 = 10_000;

fn listed(lab: &Fixture) -> Machine {
    let page = lab.site.list(&MachineQuery::default()).expect("a list");
    page.items.into_iter().next().expect("a machine")
}

fn standing(lab: &Fixture) -> Option<(String, ProfileStanding)> {
    listed(lab).profile.map(|profile| (profile.operation, profile.standing))
}

#[tokio::test]
async fn a_list_says_what_a_machine_is_made_of_and_how_it_booted_last() {
    let lab = Fixture::new().await;
    lab.enrolled(vec![disk("sda", "A"), disk("sdb", "B")]).await;
    let check = |machine: Machine| {
        let hardware = machine.hardware.expect("a summary");
        assert_eq!((hardware.ram_bytes, hardware.disks, hardware.disk_bytes), (Some(4 << 30), 2, 2_000_000));
        let attempt = machine.last_attempt.expect("an attempt");
        assert_eq!((attempt.outcome, attempt.started_at), (AttemptOutcome::Inventoried, clock()));
    };
    check(listed(&lab));
    let lab = lab.restart().await;
    check(listed(&lab));
    let report = EnrollRequest {
        inventory: Inventory { schema: 1, ..report("S1", &[1]).inventory },
        ..report("S1", &[1])
    };
    lab.site.enroll(report, None, FROM).await.expect("an inventory");
    assert_eq!(listed(&lab).hardware.expect("a summary").disks, 0, "it follows the last inventory");
}

#[tokio::test]
async fn a_list_follows_an_operation_and_what_it_has_written() {
    let (lab, machine) = with_machine().await;
    assert_eq!(standing(&lab), None);
    let (first, token, work) = installing(&lab, &machine).await;
    assert_eq!(standing(&lab), Some((first.clone(), ProfileStanding::Installing)));
    let progress = Progress { done_bytes: 250, total_bytes: Some(1000), bytes_per_sec: 50 };
    let report = WorkReport::Progress { progress, what: "writing".into() };
    lab.site.work_report(&first, &work, report, FROM).await.expect("noted");
    let image = lab.site.artifact("thirteen").expect("there");
    assert!(!image.deletable && image.undeletable.expect("why").contains(&first));
    let running = listed(&lab).operation.expect("an operation");
    assert_eq!((running.progress, running.secs_left), (Some(progress), Some(15)));
    assert_eq!(running.profile.as_deref(), Some("cloud-image"));

    lab.site.work_report(&first, &work, WorkReport::Done, FROM).await.expect("noted");
    lab.site.phone_home(&first, &token, PhoneHome::default(), FROM).await.expect("heard");
    let lab = lab.restart().await;
    assert_eq!(standing(&lab), Some((first.clone(), ProfileStanding::Installed)));
    let armed = lab.site.operate(&machine, rebuild("thirteen"), operator()).await.expect("an operation");
    assert_eq!(standing(&lab), Some((first, ProfileStanding::Installed)), "nothing is written yet");
    lab.site.cancel(&armed.id, operator()).await.expect("cancelled");

    lab.enrolled(vec![Disk { size_bytes: 8_000_000_000, ..disk("sda", "A") }]).await;
    let (second, _, work) = installing(&lab, &machine).await;
    let failed = WorkReport::Failed { reason: "the disk is broken".into() };
    lab.site.work_report(&second, &work, failed, FROM).await.expect("noted");
    assert_eq!(standing(&lab), Some((second, ProfileStanding::Failed)));
}

/// A record of before it said what its machine is made of, and what was written to it.
#[tokio::test]
async fn records_that_lack_a_summary_get_it_at_the_start() {
    let (lab, machine) = with_machine().await;
    let (operation, ..) = installing(&lab, &machine).await;
    let before = lab.site.machine(&machine).expect("a record");
    let bare = Machine { hardware: None, profile: None, ..before.clone() };
    lab.site.store().save(vec![Change::Machine(Box::new(bare))]).await.expect("saved");
    let lab = lab.restart().await;
    let after = listed(&lab);
    assert_eq!(after.hardware, before.hardware);
    assert_eq!(standing(&lab), Some((operation, ProfileStanding::Installing)));
    let stored = lab.site.store().machines().await.expect("machines");
    assert_eq!(stored[0].hardware, before.hardware, "once and for all");
}

/// No query at all: the store is closed, and would refuse each.
#[tokio::test]
async fn ten_thousand_machines_are_listed_without_the_store() {
    let lab = Fixture::new().await;
    let hardware = summary(&report("S1", &[1]).inventory);
    let machine = |n: u32| {
        let [a, b, c, d] = n.to_be_bytes();
        Change::Machine(Box::new(Machine {
            macs: vec![MacAddr([2, 0, a, b, c, d])],
            hardware: Some(Box::new(hardware.clone())),
            inventory_at: Some(1),
            ..Machine::new(format!("m{n:05}"), 1)
        }))
    };
    lab.site.store().save((0..MANY).map(machine).collect()).await.expect("saved");
    let lab = lab.restart().await;
    lab.site.store().close().await.expect("closed");
    let began = Instant::now();
    let mut found = 0;
    while found < MANY {
        let query = MachineQuery { limit: Some(LIMIT_MAX), offset: Some(found), ..MachineQuery::default() };
        let page = lab.site.list(&query).expect("a page");
        assert_eq!((page.total, page.items.len()), (u64::from(MANY), LIMIT_MAX as usize));
        assert!(page.items.iter().all(|machine| machine.hardware.is_some()));
        found += LIMIT_MAX;
    }
    println!("{MANY} machines in {} ms", began.elapsed().as_millis());
}
