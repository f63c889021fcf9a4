//! On a machine of plain files.

use ironwake_api::{Claim, OperationKind, Work, WorkReport};

use super::*;
use crate::work::{
    Next, perform,
    testing::{Answer, Double, Fixture, dos_table, reports},
};

const DISK_BYTES: usize = 8 << 20;

fn machine() -> Fixture {
    let machine = Fixture::new();
    for (name, serial) in [("sda", "S1"), ("sdb", "S2"), ("sdc", "S3")] {
        machine.add_disk(name, Some(serial), DISK_BYTES as u64);
        machine.write(name, 0, &vec![0xa5; DISK_BYTES]);
        machine.write(name, 0, &dos_table());
    }
    machine
}

fn wiped(machine: &Fixture, work: WipeWork) -> (Next, Vec<WorkReport>) {
    let double = Double::start(|_| Answer::new(204, ""));
    let claim = Claim { operation: "o1".into(), kind: OperationKind::Wipe, work: Work::Wipe(work) };
    let next = perform(&claim, machine.root(), &reports(&double.url, machine.root()), &mut |_| {});
    (next, double.reports())
}

#[test]
fn every_sector_of_the_approved_disks_is_zeroed() {
    let machine = machine();
    let other = machine.read("sdc");
    let disks = vec![machine.approve("sda"), machine.approve("sdb")];
    let (next, reports) = wiped(&machine, WipeWork { disks, every_sector: true });
    assert_eq!((next, reports), (Next::Reboot, vec![WorkReport::Began, WorkReport::Done]));
    for name in ["sda", "sdb"] {
        assert!(machine.read(name).iter().all(|byte| *byte == 0), "{name}");
    }
    assert!(machine.read("sdc") == other);
}

#[test]
fn signatures_go_and_the_rest_stays() {
    let machine = machine();
    let disks = vec![machine.approve("sda")];
    let (next, _) = wiped(&machine, WipeWork { disks, every_sector: false });
    assert_eq!(next, Next::Reboot);
    let disk = machine.read("sda");
    let (start, end) = (1 << 20, DISK_BYTES - (1 << 20));
    assert!(disk[..start].iter().chain(&disk[end..]).all(|byte| *byte == 0));
    assert!(disk[start + (64 << 10)..end].iter().all(|byte| *byte == 0xa5));
}

#[test]
fn one_disk_that_differs_protects_them_all() {
    let machine = machine();
    let disks = vec![machine.approve("sda"), machine.approve("sdb")];
    machine.write("sdb", 450, &[0x82]);
    let before = (machine.read("sda"), machine.read("sdb"));
    let (next, reports) = wiped(&machine, WipeWork { disks, every_sector: true });
    assert_eq!(next, Next::Wait);
    let [WorkReport::Failed { reason }] = &reports[..] else { panic!("{reports:?}") };
    assert!(reason.starts_with("sdb is not as it was approved"), "{reason}");
    assert!((machine.read("sda"), machine.read("sdb")) == before);
    let (_, reports) = wiped(&machine, WipeWork { disks: Vec::new(), every_sector: false });
    assert!(matches!(&reports[..], [WorkReport::Failed { .. }]), "{reports:?}");
}

#[test]
fn a_held_disk_is_released_or_refused() {
    let machine = machine();
    let disks = vec![machine.approve("sda")];
    machine.set("sda", "holders/bcache0", "");
    let before = machine.read("sda");
    let (next, reports) = wiped(&machine, WipeWork { disks, every_sector: true });
    assert_eq!(next, Next::Wait);
    let Some(WorkReport::Failed { reason }) = reports.last() else { panic!("{reports:?}") };
    assert!(reason.contains("sda is held by bcache0"), "{reason}");
    assert!(machine.read("sda") == before);
}

#[test]
fn a_shell_is_offered_by_the_discovery_image_alone_and_an_inspection_waits() {
    let machine = machine();
    let double = Double::start(|_| Answer::new(204, ""));
    let next = |work| {
        let claim = Claim { operation: "o1".into(), kind: OperationKind::Rescue, work };
        perform(&claim, machine.root(), &reports(&double.url, machine.root()), &mut |_| {})
    };
    assert_eq!((next(Work::Rescue), next(Work::Inspect)), (Next::Wait, Next::Wait));
    let [WorkReport::Failed { reason }] = &double.reports()[..] else { panic!("{:?}", double.reports()) };
    assert!(reason.starts_with("there is no shell: "), "{reason}");
}
