//! A whole installation, on a machine of plain files and against a double of the daemon.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ironwake_api::{Claim, ImageSource, OperationKind, Packing, PartitionChoice, Work, WorkReport};
use sha2::{Digest, Sha256};

use super::*;
use crate::work::{
    Next, perform,
    testing::{Answer, Double, Fixture, dos_table, image_bytes, reports},
    unpack::pack,
};

const DISK_BYTES: u64 = 32 << 20;
const IMAGE_BYTES: usize = 10 << 20;

fn image() -> Vec<u8> {
    let mut image = image_bytes(IMAGE_BYTES);
    image[..512].copy_from_slice(&dos_table());
    image
}

/// A machine whose disk `sda` holds something, and another that nobody approved.
fn machine() -> Fixture {
    let machine = Fixture::new();
    for (name, serial) in [("sda", "S1"), ("sdb", "S2")] {
        machine.add_disk(name, Some(serial), DISK_BYTES);
        machine.write(name, 0, &vec![0xa5; DISK_BYTES as usize]);
        machine.write(name, 0, &dos_table());
    }
    machine
}

pub fn work(machine: &Fixture, packed: &[u8]) -> ImageWork {
    let image = ImageSource {
        path: "/artifacts/image".into(),
        packing: Packing::Zstd,
        size_bytes: packed.len() as u64,
        sha256: Sha256::digest(packed).iter().map(|byte| format!("{byte:02x}")).collect(),
        disk_bytes: Some(IMAGE_BYTES as u64),
    };
    ImageWork { disk: machine.approve("sda"), image, grow: false, files: Vec::new(), boot_entry: None }
}

/// Does the work against a daemon that takes every report.
pub fn done(machine: &Fixture, work: ImageWork, packed: Vec<u8>) -> (Next, Vec<WorkReport>) {
    let double = Double::start(move |request| match request.line.as_str() {
        "GET /artifacts/image" => Answer::file(request, &packed),
        _ => Answer::new(204, ""),
    });
    (perform_against(machine, work, &double), double.reports())
}

fn perform_against(machine: &Fixture, work: ImageWork, double: &Double) -> Next {
    let work = Work::Image(Box::new(work));
    let claim = Claim { operation: "o1".into(), kind: OperationKind::Rebuild, work };
    perform(&claim, machine.root(), &reports(&double.url, machine.root()), &mut |_| {})
}

#[track_caller]
fn check_failed(machine: &Fixture, work: ImageWork, packed: Vec<u8>, began: bool, expected: &str) -> String {
    let (next, reports) = done(machine, work, packed);
    assert_eq!(next, Next::Wait);
    assert_eq!(reports[..reports.len() - 1], vec![WorkReport::Began; usize::from(began)]);
    let Some(WorkReport::Failed { reason }) = reports.last() else { panic!("{reports:?}") };
    assert!(reason.contains(expected), "{reason}");
    reason.clone()
}

#[test]
fn an_image_is_written_and_reported() {
    let (machine, image) = (machine(), image());
    let packed = pack(Packing::Zstd, &image);
    let other = machine.read("sdb");
    let (next, reports) = done(&machine, work(&machine, &packed), packed);
    assert_eq!((next, reports), (Next::Reboot, vec![WorkReport::Began, WorkReport::Done]));
    let disk = machine.read("sda");
    assert!(disk[..IMAGE_BYTES] == image);
    assert!(disk[disk.len() - (1 << 20)..].iter().all(|byte| *byte == 0), "a table of before at the end");
    assert!(machine.read("sdb") == other);
}

/// What is on the disk afterwards is told, so that the next operation can be guarded by it; before the end, which the
/// daemon takes for the last word.
#[test]
fn the_disk_is_reported_as_it_is_then() {
    let (machine, image) = (machine(), image());
    let packed = pack(Packing::Zstd, &image);
    let work = ImageWork { grow: true, ..work(&machine, &packed) };
    let before = work.disk.clone();
    let double = Double::start(move |request| match request.line.as_str() {
        "GET /artifacts/image" => Answer::file(request, &packed),
        _ => Answer::new(204, ""),
    });
    perform_against(&machine, work, &double);
    let [disk] = &double.disks()[..] else { panic!("{:?}", double.disks()) };
    assert_eq!(ironwake_api::ApprovedDisk::from(disk), machine.approve("sda"));
    assert_ne!(machine.approve("sda"), before, "the image has another table");
}

#[test]
fn the_table_grows_with_the_disk() {
    let (machine, image) = (machine(), image());
    let packed = pack(Packing::Zstd, &image);
    let work = ImageWork { grow: true, ..work(&machine, &packed) };
    let (next, _) = done(&machine, work, packed);
    assert_eq!(next, Next::Reboot);
    let partitions = machine.approve("sda").partitions;
    assert_eq!(partitions.len(), 1);
    assert_eq!((partitions[0].number, partitions[0].size_bytes), (1, DISK_BYTES - (64 << 10)));
    assert!(machine.read("sda")[512..IMAGE_BYTES] == image[512..]);
}

#[test]
fn the_first_write_waits_for_permission() {
    let (machine, image) = (machine(), image());
    let packed = pack(Packing::Zstd, &image);
    let work = work(&machine, &packed);
    let before = machine.read("sda");
    let node = machine.root().join("dev/sda");
    let refusals = Arc::new(AtomicUsize::new(0));
    let (asked, untouched) = (Arc::clone(&refusals), before.clone());
    let double = Double::start(move |request| {
        if request.line.ends_with("/report") && request.line.contains("operations") {
            assert!(std::fs::read(&node).expect("the disk") == untouched, "written before it was allowed");
            let again = asked.fetch_add(1, Ordering::Relaxed) == 0;
            return if again {
                Answer::new(503, "busy")
            } else {
                Answer::new(409, "the operation has ended")
            };
        }
        Answer::new(204, "")
    });
    assert_eq!(perform_against(&machine, work, &double), Next::Wait);
    assert_eq!(refusals.load(Ordering::Relaxed), 2);
    assert!(machine.read("sda") == before);
    let lines: Vec<String> = double.requests().into_iter().map(|request| request.line).collect();
    assert!(lines.iter().all(|line| !line.starts_with("GET")), "{lines:?}");
    let token = double.requests()[0].headers.get("authorization").cloned();
    assert_eq!(token.as_deref(), Some("Bearer 0123456789abcdef0123456789abcdef"));
}

#[test]
fn another_disk_than_the_approved_one_is_never_written() {
    let (machine, image) = (machine(), image());
    let packed = pack(Packing::Zstd, &image);
    let work = work(&machine, &packed);
    machine.write("sda", 446 + 12, &[1]);
    machine.resize("sda", DISK_BYTES * 2);
    let before = machine.read("sda");
    let reason = check_failed(&machine, work, packed, false, "sda is not as it was approved");
    assert!(reason.contains("table_fingerprint") && reason.contains("size_bytes"), "{reason}");
    assert!(machine.read("sda") == before);
}

#[test]
fn wishes_that_cannot_come_true_are_refused_before_anything_is_written() {
    let (machine, image) = (machine(), image());
    let packed = pack(Packing::Zstd, &image);
    let before = machine.read("sda");
    let check = |change: &dyn Fn(&mut ImageWork), expected: &str| {
        let mut work = work(&machine, &packed);
        change(&mut work);
        check_failed(&machine, work, packed.clone(), false, expected);
        assert!(machine.read("sda") == before);
    };
    check(&|work| work.image.disk_bytes = Some(DISK_BYTES + 1), "more than the disk's");
    check(&|work| work.image.sha256 = "x".repeat(64), "is no SHA-256");
    check(&|work| work.image.path = "artifacts".into(), "is no path on the server");
    check(&|work| work.image.size_bytes = 0, "the image is empty");
    let file = |path: &str| InjectedFile {
        partition: PartitionChoice::Number(1),
        path: path.into(),
        mode: 0o600,
        content: String::new(),
    };
    check(&|work| work.files.push(file("/../etc/shadow")), "a path has no empty");
}

#[test]
fn what_fails_leaves_no_table() {
    let (machine, image) = (machine(), image());
    let packed = pack(Packing::Zstd, &image);
    let check = |change: &dyn Fn(&mut ImageWork), served: Vec<u8>, expected: &str| {
        machine.write("sda", 0, &dos_table());
        let mut work = work(&machine, &packed);
        change(&mut work);
        let reason = check_failed(&machine, work, served, true, expected);
        assert!(
            reason.ends_with("sda's partition table was wiped, so that nothing half-written boots"),
            "{reason}"
        );
        let disk = machine.read("sda");
        assert!(disk[..1 << 20].iter().chain(&disk[disk.len() - (1 << 20)..]).all(|byte| *byte == 0));
    };
    check(&|work| work.image.sha256 = "0".repeat(64), packed.clone(), "SHA-256");
    check(&|_| {}, packed[..1000].to_vec(), "bytes instead of");
    check(&|_| {}, vec![7; packed.len()], "cannot be unpacked");
    check(&|work| work.image.disk_bytes = Some(5 << 20), packed.clone(), "were promised");
    // Written in full, but a file has no place.
    let file = InjectedFile {
        partition: PartitionChoice::Label("root".into()),
        path: "/etc/x".into(),
        mode: 0o600,
        content: "secret".into(),
    };
    check(
        &|work| work.files.push(file.clone()),
        packed.clone(),
        "0 partitions of the written disk are labelled",
    );
}

#[test]
fn an_order_of_writes_that_survives_a_power_cut() {
    use crate::work::testing::{Act, Recorder};
    let (machine, image) = (machine(), image());
    let packed = pack(Packing::Zstd, &image);
    let work = work(&machine, &packed);
    let approved = guard::check(machine.root(), &work.disk).expect("approved");
    let double = Double::start(move |request| Answer::file(request, &packed));
    let mut target = Recorder::new(DISK_BYTES);
    let meter = crate::work::meter::Meter::default();
    write_disk(&work, &double.url, &approved, &mut target, &meter).expect("written");
    // The old table goes before the first block comes, and the first block of the image comes last.
    let first: Vec<usize> = target
        .acts
        .iter()
        .enumerate()
        .filter(|(_, act)| matches!(act, Act::Wrote(0, _) | Act::Zeroed(0, _)))
        .map(|(index, _)| index)
        .collect();
    let written = target.acts.iter().position(|act| matches!(act, Act::Wrote(_, _))).expect("a write");
    let last = target.acts.len() - 1;
    assert!(first.len() == 2 && first[0] < written && first[1] == last - 1, "{:?}", target.acts);
    assert_eq!((&target.acts[last - 2], &target.acts[last]), (&Act::Flushed, &Act::Flushed));
    assert!(target.bytes[..IMAGE_BYTES] == image);
}
