//! The appliance on another disk, and factory reset: what is destroyed is shown, and nothing but the whole name permits it.

use ironwake_api::{
    ApplianceDisk, ApplianceDisks, BootMedium, Disk, InstallPhase, InstallState, Partition, Problem,
};
use ironwake_tui::message::{Answer, Asked, Message};
use ironwake_tui::request::Request;

use super::fleet::three;
use super::harness::{Console, NOW};
use super::keys::changes;

/// A stick that was booted, an empty disk and one with a system on it.
pub fn disks() -> Answer {
    let disk = |name: &str, gib: u64, model: &str| Disk {
        name: name.into(),
        model: Some(model.into()),
        serial: Some(format!("S-{name}")),
        size_bytes: gib << 30,
        ..Disk::default()
    };
    let found = |disk: Disk, refused: Option<&str>| ApplianceDisk {
        digest: format!("sha256:{}", disk.name),
        refused: refused.map(Into::into),
        disk,
    };
    let part = |number, filesystem: &str, label: &str, gib: u64| Partition {
        number,
        size_bytes: gib << 30,
        filesystem: Some(filesystem.into()),
        label: Some(label.into()),
        ..Partition::default()
    };
    let used = Disk {
        table: Some("gpt".into()),
        partitions: vec![part(1, "vfat", "EFI", 1), part(2, "ext4", "root", 400)],
        ..disk("nvme0n1", 447, "Micron 7450")
    };
    Answer::ApplianceDisks(Box::new(ApplianceDisks {
        read_at: NOW,
        booted_from: BootMedium { disk: Some("sda".into()), removable: true },
        bytes_min: 4_000_000_000,
        disks: vec![
            found(used, None),
            found(disk("sda", 14, "SanDisk Ultra"), Some("the appliance runs from it")),
            found(disk("sdb", 1, "QEMU"), Some("it is too small")),
            found(disk("vda", 20, "virtio"), None),
        ],
        notes: Vec::new(),
    }))
}

pub fn state(phase: InstallPhase, done_gib: u64) -> Answer {
    Answer::InstallState(InstallState {
        phase,
        begun_at: NOW,
        disk: Some("nvme0n1".into()),
        done_bytes: done_gib << 30,
        total_bytes: 4 << 30,
        ..InstallState::default()
    })
}

fn console() -> Console {
    let mut console = Console::with(120, 40, three());
    console.keys("6");
    console.asked();
    console
}

#[test]
fn nothing_but_the_disks_whole_name_installs() {
    let mut console = console();
    console.answer(disks());
    console.shows("runs from").shows("sda, which can be taken out: i installs it on a disk");
    console.keys("i");
    assert!(console.asked().contains(&Request::ApplianceDisks), "they are read again");
    console.answer(disks());
    console.shows("Install it on").shows("nvme0n1").shows("vda").hides("sdb").keys("enter");
    console.shows("Install the appliance on nvme0n1: this is overwritten").shows("2: ext4 \"root\", 400 GiB");
    console.keys("enter").shows("Nothing is written").types("nvme0n").keys("enter");
    assert_eq!(changes(&mut console), []);
    console.types("1").keys("enter").hides("this is overwritten");
    match changes(&mut console).as_slice() {
        [Request::Install { disk, confirmation }] => {
            assert_eq!(
                (disk.as_str(), confirmation.operations()),
                ("nvme0n1", &["sha256:nvme0n1".to_owned()][..])
            );
        }
        other => panic!("{other:?}"),
    }
    console.answer(state(InstallPhase::System, 1));
    console
        .shows("Installation on a disk")
        .shows("the system is copied")
        .shows("25 %")
        .shows("1 GiB of 4 GiB");
    console.keys("i").shows("It is being installed on nvme0n1");
    assert!(!console.asked().contains(&Request::ApplianceDisks));
    console.take(Message::Tick { now: NOW + 1_500 });
    assert!(console.asked().contains(&Request::InstallState), "it is asked for while it runs");
    console.answer(state(InstallPhase::Done, 4));
    console.shows("The appliance is installed on nvme0n1").shows("take out what it was booted from");
    console.take(Message::Tick { now: NOW + 3_500 });
    assert!(!console.asked().contains(&Request::InstallState), "it has ended");
}

#[test]
fn a_host_that_is_no_appliance_says_so_only_when_asked() {
    let mut console = console();
    let refused = || Message::Refused {
        asked: Asked::Disks,
        problem: Box::new(Problem::new(
            409,
            "Conflict",
            "conflict",
            "this host is not the appliance's image",
        )),
    };
    console.take(refused());
    console.hides("not the appliance's image");
    console.keys("i");
    console.take(refused());
    console.shows("this host is not the appliance's image");
}

#[test]
fn a_factory_reset_takes_the_appliances_whole_name() {
    let mut console = console();
    console.keys("X").shows("Factory reset of boot-1: this is destroyed").types("boot").keys("enter");
    console.shows("Nothing is destroyed");
    assert_eq!(changes(&mut console), []);
    console.types("-1").keys("enter");
    match changes(&mut console).as_slice() {
        [Request::FactoryReset(confirmation)] => assert_eq!(confirmation.operations(), ["boot-1"]),
        other => panic!("{other:?}"),
    }
}
