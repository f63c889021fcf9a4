use std::fs;
use std::path::Path;

use super::*;
use crate::updates::BOOT_ID;

/// An appliance below a folder: what runs, on which firmware, with these unified kernels.
struct Lab {
    folder: tempfile::TempDir,
    places: Places,
}

impl Lab {
    fn new(firmware: Firmware, ukis: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places::below(folder.path());
        let lab = Self { folder, places };
        match firmware {
            Firmware::Bios => lab.put("proc/cmdline", "quiet ironwake.boot=bios\n"),
            Firmware::Uefi => fs::create_dir_all(&lab.places.efivars).expect("made"),
        }
        fs::create_dir_all(&lab.places.state).expect("made");
        for uki in ukis {
            lab.put(&format!("efi/EFI/Linux/{uki}"), uki);
        }
        lab.put("efi/ironwake/grub.cfg", "");
        lab.boots("0.1.0", "first");
        lab
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("made");
        fs::write(path, text).expect("written");
    }

    fn boots(&self, version: &str, boot: &str) {
        self.put("usr/lib/os-release", &format!("IMAGE_ID=ironwake\nIMAGE_VERSION={version}\n"));
        self.put(BOOT_ID, boot);
    }

    fn counts(&self, from: &str, to: &str) {
        let ukis = self.places.esp.join("EFI/Linux");
        fs::rename(ukis.join(from), ukis.join(to)).expect("renamed");
    }

    fn installed(&self) {
        let record = Record {
            version: "0.2.0".into(),
            from: "0.1.0".into(),
            at: 1000,
            boot_id: "first".into(),
            state: RecordState::Installed,
            boots: None,
            why: None,
            failed_before: Vec::new(),
        };
        write_record(&self.places, &record).expect("written");
    }

    fn assess(&self, running: &str) -> Assessment {
        assess(&self.places, &version(running)).expect("assessed")
    }

    fn stock(&self) -> Option<Record> {
        take_stock(&self.places).expect("looked at")
    }

    fn state(&self) -> RecordState {
        read_record(&self.places).expect("read").expect("a record").state
    }
}

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

#[test]
fn a_version_that_is_alone_is_not_on_trial() {
    let lab = Lab::new(Firmware::Uefi, &["ironwake_0.1.0+2-1.efi"]);
    assert_eq!(lab.assess("0.1.0"), Assessment::Settled);
    assert!(!bless(&lab.places, &version("0.1.0")).expect("blessed"));
    assert!(lab.places.esp.join("EFI/Linux/ironwake_0.1.0.efi").exists());
}

#[test]
fn uefi_a_version_that_is_healthy_stays() {
    let lab = Lab::new(Firmware::Uefi, &["ironwake_0.1.0.efi", "ironwake_0.2.0+3-0.efi"]);
    lab.installed();
    assert_eq!(lab.stock(), None, "it has not been started yet");
    assert_eq!(lab.assess("0.1.0"), Assessment::Settled);
    lab.counts("ironwake_0.2.0+3-0.efi", "ironwake_0.2.0+2-1.efi");
    lab.boots("0.2.0", "second");
    assert_eq!(lab.stock(), None);
    assert_eq!(lab.assess("0.2.0"), Assessment::Trial { boots: 1 });
    assert!(bless(&lab.places, &version("0.2.0")).expect("blessed"));
    assert_eq!((lab.assess("0.2.0"), lab.state()), (Assessment::Settled, RecordState::Good));
    assert_eq!(BootFiles::open(&lab.places).expect("an ESP").grubenv().get("good"), Some("0.2.0"));
}

#[test]
fn uefi_a_version_that_is_not_healthy_is_told_by_the_one_before() {
    let lab = Lab::new(Firmware::Uefi, &["ironwake_0.1.0.efi", "ironwake_0.2.0+2-1.efi"]);
    lab.installed();
    lab.boots("0.2.0", "second");
    note_unhealthy(&lab.places, &version("0.2.0"), "the daemon does not answer", 2000).expect("noted");
    // Chosen in the boot menu: the next start is a try of the other one again.
    lab.boots("0.1.0", "third");
    assert_eq!(lab.stock(), None);
    lab.counts("ironwake_0.2.0+2-1.efi", "ironwake_0.2.0+0-3.efi");
    let told = lab.stock().expect("it fell back");
    assert_eq!((told.state, told.boots), (RecordState::FellBack, Some(3)));
    assert_eq!(told.why.as_deref(), Some("the daemon does not answer"));
    assert_eq!(lab.stock(), None, "once");
    bless(&lab.places, &version("0.1.0")).expect("blessed");
    assert_eq!(lab.state(), RecordState::FellBack);
}

#[test]
fn bios_a_trial_is_counted_in_the_environment_block() {
    let lab = Lab::new(Firmware::Bios, &["ironwake_0.1.0.efi", "ironwake_0.2.0+3-0.efi"]);
    lab.installed();
    let files = BootFiles::open(&lab.places).expect("an ESP");
    let mut block = files.grubenv();
    block.bless(&version("0.1.0"));
    block.try_version(&version("0.2.0"));
    files.write_grubenv(&block).expect("written");
    // One that waits for its first start is left waiting.
    bless(&lab.places, &version("0.1.0")).expect("blessed");
    assert_eq!(files.grubenv().trial(), Some(("0.2.0", 3)));
    let counted = |left: u32| {
        let text = files.grubenv().encode().expect("a block");
        let text = String::from_utf8(text.to_vec()).expect("text");
        let text = ["tries=3", "tries=2", "tries=1"]
            .iter()
            .fold(text, |text, old| text.replace(old, &format!("tries={left}")));
        lab.put("efi/ironwake/grubenv", &text);
    };
    counted(1);
    lab.boots("0.2.0", "second");
    assert_eq!(lab.assess("0.2.0"), Assessment::Trial { boots: 2 });
    counted(0);
    lab.boots("0.1.0", "third");
    assert_eq!(lab.assess("0.1.0"), Assessment::Settled);
    let told = lab.stock().expect("it fell back");
    assert_eq!(
        (told.state, told.boots, told.why.as_deref()),
        (RecordState::FellBack, Some(3), Some(UNKNOWN))
    );
    bless(&lab.places, &version("0.1.0")).expect("blessed");
    assert_eq!((files.grubenv().trial(), files.grubenv().get("good")), (None, Some("0.1.0")));
}

#[test]
fn what_was_cut_short_is_told() {
    let lab = Lab::new(Firmware::Uefi, &["ironwake_0.1.0.efi"]);
    lab.installed();
    let mut record = read_record(&lab.places).expect("read").expect("a record");
    record.state = RecordState::Installing;
    write_record(&lab.places, &record).expect("written");
    lab.boots("0.1.0", "second");
    assert_eq!(lab.stock().map(|record| record.state), Some(RecordState::Failed));
}

/// GRUB takes the other version where it cannot read the good one, and somebody may choose it: for that start.
#[test]
fn a_version_that_is_started_in_place_of_the_good_one_does_not_become_it() {
    let lab = Lab::new(Firmware::Bios, &["ironwake_0.1.0.efi", "ironwake_0.2.0.efi"]);
    let good = || BootFiles::open(&lab.places).expect("an ESP").grubenv().get("good").map(str::to_owned);
    for name in ["0.1.0.vmlinuz", "0.1.0.initrd", "0.1.0.cfg", "0.2.0.vmlinuz", "0.2.0.initrd", "0.2.0.cfg"] {
        lab.put(&format!("efi/ironwake/ironwake_{name}"), "");
    }
    bless(&lab.places, &version("0.1.0")).expect("blessed");
    assert_eq!(good().as_deref(), Some("0.1.0"), "none was good before");
    // UEFI's counter is gone when this is done.
    lab.installed();
    lab.boots("0.2.0", "second");
    bless(&lab.places, &version("0.2.0")).expect("blessed");
    assert_eq!((good().as_deref(), lab.state()), (Some("0.2.0"), RecordState::Good));
    lab.boots("0.1.0", "third");
    bless(&lab.places, &version("0.1.0")).expect("looked at");
    assert_eq!(good().as_deref(), Some("0.2.0"));
    // One that is not there any more starts nobody.
    fs::remove_file(lab.places.esp.join("ironwake/ironwake_0.2.0.initrd")).expect("removed");
    bless(&lab.places, &version("0.1.0")).expect("blessed");
    assert_eq!(good().as_deref(), Some("0.1.0"));
}
