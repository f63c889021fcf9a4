//! Updates from the bundle to the other slot: GnuPG, tar, GRUB's and systemd's own tools, and the daemon with root side behind it.

mod bus;
mod loopback;
#[path = "updates/lab.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod lab;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use bus::{PrivateBus, StandIns};
use ironwake::appliance::Grubenv;
use ironwake::artifact::Digest;
use ironwake::updates::{
    BootFiles, RecordState, bless, check_file, install, keyring, read_progress, read_record, take_stock,
};
use ironwake_api::client::Client;
use ironwake_api::{ApplianceKind, EventKind, UpdateOutcome, UpdateRequest, UpdateStep};
use lab::{Keys, Lab, NOW, bundle, in_tree, parts, put, root_of, run, tree_with};
use loopback::Daemon;

#[test]
fn a_bundle_is_a_tar_whose_list_gnupg_verifies() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    let output = folder.path().join("ironwake-0.2.0-amd64.update");
    let mut made = Command::new(env!("CARGO_BIN_EXE_ironwake"));
    made.args(["appliance", "bundle", "--version", "0.2.0", "--built", "1780000000", "--key"])
        .arg(keys.secret());
    made.arg("--output").arg(&output).arg(parts(folder.path(), "0.2.0"));
    assert!(run(&mut made).contains("version 0.2.0, "));
    let (signature, manifest) =
        (folder.path().join("manifest.json.asc"), folder.path().join("manifest.json"));
    let verified = run(keys.gpg().args(["--status-fd", "1", "--verify"]).arg(&signature).arg(&manifest));
    assert!(verified.contains("GOODSIG"), "{verified}");
    let listed = run(Command::new("tar").arg("-tf").arg(&output));
    let names = [
        "manifest.json",
        "manifest.json.asc",
        "root.squashfs.zst",
        "kernel.efi",
        "vmlinuz",
        "initrd",
        "boot.cfg",
    ];
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
    let trusted = keyring(&lab.root).expect("keys");
    let (read, signer) = check_file(&output, &trusted, NOW).expect("good");
    assert_eq!(read.version.as_str(), "0.2.0");
    assert!(signer.ends_with("Ironwake's tests <tests@example.org>"), "{signer}");
    // tar's own archive of the same files is one as well.
    let again = folder.path().join("again.update");
    let unpacked = folder.path().join("unpacked");
    fs::create_dir(&unpacked).expect("made");
    run(Command::new("tar").arg("-xf").arg(&output).arg("-C").arg(&unpacked));
    let mut tar = Command::new("tar");
    run(tar.args(["--format=ustar", "-cf"]).arg(&again).arg("-C").arg(&unpacked).args(names));
    check_file(&again, &trusted, NOW).expect("good");
    let order = [
        "manifest.json",
        "manifest.json.asc",
        "kernel.efi",
        "root.squashfs.zst",
        "vmlinuz",
        "initrd",
        "boot.cfg",
    ];
    let mut tar = Command::new("tar");
    run(tar.args(["--format=ustar", "-cf"]).arg(&again).arg("-C").arg(&unpacked).args(order));
    let error = check_file(&again, &trusted, NOW).expect_err("out of order").to_string();
    assert!(error.contains("has \"kernel.efi\" where \"root.squashfs.zst\" comes"), "{error}");
    put(unpacked.join("more"), b"hidden");
    let mut tar = Command::new("tar");
    run(tar.args(["--format=ustar", "-rf"]).arg(&output).arg("-C").arg(&unpacked).arg("more"));
    let error = check_file(&output, &trusted, NOW).expect_err("something behind it").to_string();
    assert!(error.contains("where \"the end\" comes"), "{error}");
}

/// Which of two is newer decides what systemd-boot starts: systemd's own tool is the judge.
#[test]
fn versions_are_compared_as_systemd_does() {
    let versions = [
        "0",
        "0.1.0",
        "0.1.00",
        "0.1.0~rc1",
        "0.1.0~rc2",
        "0.1.0-1",
        "0.1.0^1",
        "0.1.0.1",
        "0.1.0a",
        "0.2.0",
        "0.10.0",
        "1",
        "1-1",
        "1^1",
        "1.1",
        "1a",
        "a",
        "ab",
        "b1",
        "01",
        "1~",
        "1-",
        "10a2",
        "10a10",
    ];
    for a in versions {
        for b in versions {
            let said = run(Command::new("sh").args([
                "-c",
                "systemd-analyze compare-versions \"$0\" \"$1\" || :",
                a,
                b,
            ]));
            let expected = match ironwake::appliance::compare(a, b) {
                std::cmp::Ordering::Less => "<",
                std::cmp::Ordering::Equal => "==",
                std::cmp::Ordering::Greater => ">",
            };
            assert_eq!(said.trim(), format!("{a} {expected} {b}"));
        }
    }
}

/// A byte anywhere that differs is noticed, by whoever reads the bundle, before anything of the slot is touched.
#[test]
fn a_tampered_bundle_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    lab.stand_in("echo touched >\"$root/touched\"");
    let good = fs::read(bundle(folder.path(), &keys, "0.2.0")).expect("a bundle");
    let trusted = keyring(&lab.root).expect("keys");
    let bad = folder.path().join("bad.update");
    let before = lab.esp();
    let places = [3, 130, 600, 800, 1700, 2600, 4000, good.len() / 2, good.len() - 9000, good.len() - 1];
    for at in places {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&bad, &bytes).expect("written");
        check_file(&bad, &trusted, NOW).expect_err("tampered");
        lab.order(&bad, false);
        install(&lab.places, NOW).expect_err("tampered");
        let told = read_progress(&lab.places).expect("read").expect("told").progress;
        assert!(told.step == UpdateStep::Failed && told.error.is_some(), "{told:?}");
    }
    for length in [0, 100, 512, 2000, good.len() / 2, good.len() - 1024] {
        fs::write(&bad, &good[..length]).expect("written");
        check_file(&bad, &trusted, NOW).expect_err("cut short");
    }
    let others = tempfile::tempdir().expect("a folder");
    let stranger = Keys::new(others.path());
    let foreign = bundle(others.path(), &stranger, "0.3.0");
    lab.order(&foreign, false);
    let error = install(&lab.places, NOW).expect_err("a stranger's").to_string();
    assert!(error.contains("is not signed by a key that this appliance trusts"), "{error}");
    assert_eq!((lab.esp(), lab.root.join("touched").exists()), (before, false));
    assert_eq!(read_record(&lab.places).expect("read"), None);
    // The operator's own keys count in place of those of the image.
    put(lab.root.join("etc/ironwake/update-keys.asc"), &fs::read(stranger.public()).expect("keys"));
    install(&lab.places, NOW).expect("it is trusted now");
    let own = lab.root.join("etc/ironwake/update-keys.asc");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o666)).expect("changed");
    let error = install(&lab.places, NOW).expect_err("anybody's").to_string();
    assert!(error.starts_with("use the keys of updates in"), "{error}");
    // No link leads elsewhere.
    fs::set_permissions(&own, fs::Permissions::from_mode(0o644)).expect("changed");
    fs::remove_file(lab.places.inbox.join("bundle.update")).expect("removed");
    symlink(&foreign, lab.places.inbox.join("bundle.update")).expect("a link");
    install(&lab.places, NOW).expect_err("a link");
}

#[test]
fn a_version_is_installed_tried_and_stays_or_is_gone_back_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    lab.stand_in("echo 'Imported 50%.' >&2");
    lab.order(&bundle(folder.path(), &keys, "0.2.0"), false);
    install(&lab.places, NOW).expect("installed");
    assert_eq!(fs::read(lab.root.join("slot/ironwake_0.2.0.root")).expect("a slot"), root_of("0.2.0"));
    assert!(
        lab.esp().contains(&"ironwake_0.2.0+3-0.efi".to_owned())
            && lab.esp().contains(&"ironwake_0.1.0.efi".to_owned())
    );
    assert!(!lab.places.state.join("source").exists(), "what was unpacked is gone");
    let grubenv = BootFiles::open(&lab.places).expect("an ESP").grubenv();
    assert_eq!(grubenv.trial(), Some(("0.2.0", 3)));
    let record = read_record(&lab.places).expect("read").expect("a record");
    assert_eq!((record.state, record.from.as_str()), (RecordState::Installed, "0.1.0"));
    let told = read_progress(&lab.places).expect("read").expect("told");
    assert_eq!((told.order.as_str(), told.progress.step), ("1", UpdateStep::Done));

    // It is started, and installs nothing as long as it is on trial.
    let ukis = lab.root.join("efi/EFI/Linux");
    fs::rename(ukis.join("ironwake_0.2.0+3-0.efi"), ukis.join("ironwake_0.2.0+2-1.efi")).expect("counted");
    lab.boots("0.2.0", "second");
    lab.order(&bundle(folder.path(), &keys, "0.3.0"), false);
    let error = install(&lab.places, NOW).expect_err("on trial").to_string();
    assert!(error.contains("is on trial"), "{error}");
    bless(&lab.places, &"0.2.0".parse().expect("a version")).expect("blessed");
    assert_eq!(read_record(&lab.places).expect("read").expect("a record").state, RecordState::Good);

    // One that fails half-way leaves nothing that boots but what runs.
    lab.stand_in(
        "cp \"$source/ironwake_$version.vmlinuz\" \"$root/efi/ironwake/\"; echo 'no room' >&2; exit 1",
    );
    let error = install(&lab.places, NOW).expect_err("it failed").to_string();
    assert!(error.ends_with("exit status: 1: no room"), "{error}");
    assert!(
        !lab.esp()
            .iter()
            .any(|name| name.contains("0.1.0") || name.contains("0.3.0") && name.ends_with(".efi"))
    );
    assert_eq!(BootFiles::open(&lab.places).expect("an ESP").grubenv().trial(), None);

    // An older one only where it is asked for; systemd-boot then takes the newer one last.
    lab.stand_in("");
    let older = bundle(folder.path(), &keys, "0.1.5");
    lab.order(&older, false);
    let error = install(&lab.places, NOW).expect_err("older").to_string();
    assert!(error.contains("0.1.5 is older than 0.2.0, which runs"), "{error}");
    lab.order(&older, true);
    install(&lab.places, NOW).expect("installed");
    let efi: Vec<_> = lab.esp().into_iter().filter(|name| name.ends_with(".efi")).collect();
    assert_eq!(efi, ["ironwake_0.1.5+3-0.efi", "ironwake_0.2.0+0.efi"]);
    // Another one after that, without a restart: what runs is what it would be gone back to.
    lab.order(&bundle(folder.path(), &keys, "0.4.0"), false);
    install(&lab.places, NOW).expect("installed");
    let efi: Vec<_> = lab.esp().into_iter().filter(|name| name.ends_with(".efi")).collect();
    assert_eq!(efi, ["ironwake_0.2.0.efi", "ironwake_0.4.0+3-0.efi"]);
    lab.order(&older, true);
    install(&lab.places, NOW).expect("installed");
    fs::rename(ukis.join("ironwake_0.1.5+3-0.efi"), ukis.join("ironwake_0.1.5+0-3.efi")).expect("counted");
    lab.boots("0.2.0", "third");
    let told = take_stock(&lab.places).expect("looked at").expect("it fell back");
    assert_eq!((told.state, told.boots, told.version.as_str()), (RecordState::FellBack, Some(3), "0.1.5"));
    bless(&lab.places, &"0.2.0".parse().expect("a version")).expect("blessed");
    assert!(lab.esp().contains(&"ironwake_0.2.0.efi".to_owned()));
}

/// Against GRUB's own tool.
#[test]
fn the_environment_block_is_grubs() {
    let tree = tree_with("usr/bin/grub-editenv");
    let folder = tempfile::tempdir().expect("a folder");
    let shell = |words: &str| run(Command::new("sh").arg("-c").arg(in_tree(&tree, folder.path(), words)));
    let path = folder.path().join("grubenv");
    let mut ours = Grubenv::default();
    ours.bless(&"0.1.0".parse().expect("a version"));
    ours.try_version(&"0.2.0-rc1".parse().expect("a version"));
    fs::write(&path, ours.encode().expect("a block")).expect("written");
    assert_eq!(shell("grub-editenv /mnt/grubenv list"), "good=0.1.0\ntrial=0.2.0-rc1\ntries=3\n");
    shell("grub-editenv /mnt/grubenv set tries=2");
    let read = Grubenv::parse(&fs::read(&path).expect("read")).expect("a block");
    assert_eq!((read.trial(), read.get("good")), (Some(("0.2.0-rc1", 2)), Some("0.1.0")));
    fs::remove_file(&path).expect("removed");
    shell("grub-editenv /mnt/grubenv create");
    shell("grub-editenv /mnt/grubenv set good=0.1.0");
    let mut read = Grubenv::parse(&fs::read(&path).expect("read")).expect("a block");
    assert_eq!(read.get("good"), Some("0.1.0"));
    read.bless(&"0.2.0".parse().expect("a version"));
    fs::write(&path, read.encode().expect("a block")).expect("written");
    assert_eq!(shell("grub-editenv /mnt/grubenv list"), "good=0.2.0\n");
}

const SLOT_SECTORS: u64 = 16 << 11;
const SLOT_A: u64 = 20_480;
const SLOT_B: u64 = SLOT_A + SLOT_SECTORS;

/// A disk image with the appliance's partitions, 0.1.0 in the first slot.
fn make_disk(path: &Path) {
    let disk = fs::File::create(path).expect("made");
    disk.set_len(96 << 20).expect("as long");
    let table = format!(
        "label: gpt\nstart=2048,size=2048,type=21686148-6449-6E6F-744E-656564454649,name=bios-boot\n\
         start=4096,size=16384,type=U,name=ironwake-esp\n\
         start={SLOT_A},size={SLOT_SECTORS},type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709,name=ironwake_0.1.0\n\
         start={SLOT_B},size={SLOT_SECTORS},type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709,name=_empty\n"
    );
    let mut sfdisk = Command::new("sfdisk");
    let mut child = sfdisk.arg("--quiet").arg(path).stdin(Stdio::piped()).spawn().expect("sfdisk");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), table.as_bytes()).expect("told");
    assert!(child.wait().expect("it ends").success());
    std::os::unix::fs::FileExt::write_all_at(
        &fs::File::options().write(true).open(path).expect("it"),
        &root_of("0.1.0"),
        SLOT_A * 512,
    )
    .expect("written");
}

fn slot(disk: &Path, start: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let file = fs::File::open(disk).expect("it");
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, start * 512).expect("read");
    bytes
}

fn labels(disk: &Path) -> Vec<String> {
    let json = run(Command::new("sfdisk").arg("--json").arg(disk));
    let table: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let partitions = table["partitiontable"]["partitions"].as_array().expect("partitions").clone();
    partitions.iter().map(|partition| partition["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// systemd-sysupdate itself, with the transfer files that are installed; `limit` kills it after so many seconds.
fn real_sysupdate(lab: &Lab, tree: &Path, limit: Option<&str>) {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/usr/lib/sysupdate.d");
    let place = lab.root.join("usr/lib/sysupdate.d");
    fs::create_dir_all(&place).expect("made");
    for file in fs::read_dir(installed).expect("transfer files") {
        let file = file.expect("a file");
        fs::copy(file.path(), place.join(file.file_name())).expect("copied");
    }
    let limit = limit.map(|secs| format!("timeout --signal=KILL {secs} ")).unwrap_or_default();
    let words = format!("{limit}/usr/lib/systemd/systemd-sysupdate --root=/mnt update \"$3\"");
    let script = format!("#!/bin/sh\nexec {} \"$4\"\n", in_tree(tree, &lab.root, &words));
    put(lab.places.sysupdate.clone(), script.as_bytes());
    fs::set_permissions(&lab.places.sysupdate, fs::Permissions::from_mode(0o755)).expect("executable");
}

#[test]
fn systemd_sysupdate_writes_the_other_slot_and_never_the_one_that_runs() {
    let tree = tree_with("usr/lib/systemd/systemd-sysupdate");
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    let disk = lab.places.run.join("disk");
    make_disk(&disk);
    real_sysupdate(&lab, &tree, None);
    let length = root_of("0.1.0").len();
    for (version, before) in [("0.2.0", "_empty"), ("0.3.0", "ironwake_0.2.0")] {
        assert_eq!(labels(&disk)[3], before);
        lab.order(&bundle(folder.path(), &keys, version), false);
        install(&lab.places, NOW).expect("installed");
        assert_eq!(
            labels(&disk),
            ["bios-boot", "ironwake-esp", "ironwake_0.1.0", &format!("ironwake_{version}")]
        );
        assert!(
            slot(&disk, SLOT_A, length) == root_of("0.1.0")
                && slot(&disk, SLOT_B, length) == root_of(version)
        );
        let kernel = lab.root.join(format!("efi/EFI/Linux/ironwake_{version}+3-0.efi"));
        assert!(
            fs::read(kernel).expect("a kernel").starts_with(format!("kernel.efi of {version}").as_bytes())
        );
        let of = |version: &str| {
            lab.esp().iter().filter(|name| name.contains(&format!("ironwake_{version}"))).count()
        };
        assert_eq!((of("0.1.0"), of(version), lab.esp().len()), (4, 4, 9), "{:?}", lab.esp());
    }
    // The other way round: what runs is in the second slot.
    lab.boots("0.3.0", "second");
    bless(&lab.places, &"0.3.0".parse().expect("a version")).expect("blessed");
    lab.order(&bundle(folder.path(), &keys, "0.2.5"), true);
    install(&lab.places, NOW).expect("installed");
    assert_eq!(labels(&disk)[2..], ["ironwake_0.2.5", "ironwake_0.3.0"]);
    assert!(
        slot(&disk, SLOT_A, length) == root_of("0.2.5") && slot(&disk, SLOT_B, length) == root_of("0.3.0")
    );
}

/// How long an update takes that nobody kills, in seconds.
fn takes(tree: &Path) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    make_disk(&lab.places.run.join("disk"));
    real_sysupdate(&lab, tree, None);
    lab.order(&bundle(folder.path(), &keys, "0.2.0"), false);
    let began = Instant::now();
    install(&lab.places, NOW).expect("installed");
    began.elapsed().as_secs_f64()
}

/// Killed at many moments: what boots is the version that runs, or, whole, the one that was installed.
#[test]
fn full_an_update_that_is_killed_leaves_what_runs() {
    let tree = tree_with("usr/lib/systemd/systemd-sysupdate");
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    let disk = lab.places.run.join("disk");
    make_disk(&disk);
    // In turn, so that a slot that was written in part has something of both.
    let updates = ["0.2.0", "0.2.1"].map(|version| (version, bundle(folder.path(), &keys, version)));
    let length = root_of("0.1.0").len();
    let took = takes(&tree);
    let mut whole = 0;
    for (step, (version, update)) in (1..=60).zip(updates.iter().cycle()) {
        lab.boots("0.1.0", &format!("boot {step}"));
        // An older one may be in the slot, or a newer one.
        lab.order(update, true);
        // Unpacking is in that time: the last of the steps are long enough.
        real_sysupdate(&lab, &tree, Some(&format!("{:.4}", took * f64::from(step) / 50.0)));
        let installed = install(&lab.places, NOW).is_ok();
        assert!(slot(&disk, SLOT_A, length) == root_of("0.1.0"), "the slot that runs was written");
        let esp = lab.esp();
        assert!(
            esp.contains(&"ironwake_0.1.0.efi".to_owned())
                && esp.contains(&"ironwake_0.1.0.vmlinuz".to_owned())
        );
        // Either of them, whichever would boot.
        for (version, _) in &updates {
            let name = format!("ironwake_{version}");
            if esp.iter().any(|file| file.starts_with(&name) && file.ends_with(".efi")) {
                assert!(
                    slot(&disk, SLOT_B, length) == root_of(version),
                    "step {step}: it boots and is not whole"
                );
                assert_eq!(labels(&disk)[3], name, "step {step}");
            }
        }
        assert!(!installed || slot(&disk, SLOT_B, length) == root_of(version), "step {step}");
        whole += usize::from(installed);
        // What GRUB would try is installed.
        let trial = BootFiles::open(&lab.places).expect("an ESP").grubenv().trial().is_some();
        assert_eq!(trial, installed, "step {step}");
    }
    assert!((1..60).contains(&whole), "{whole} of 60 were whole: some have to be, and not all");
    real_sysupdate(&lab, &tree, None);
    let (version, update) = &updates[0];
    lab.order(update, true);
    install(&lab.places, NOW).expect("after all of that");
    assert!(slot(&disk, SLOT_B, length) == root_of(version));
}

/// A boot file where the daemon looks for them.
fn put_loader(folder: &Path) {
    let bytes = b"a loader";
    let digest = Digest::of(bytes).to_string();
    let manifest = serde_json::json!({ "layout": 1, "files": [{
        "name": "loaders/ipxe.efi", "package": "ipxe", "version": "1", "size": bytes.len(),
        "sha256": digest, "deb_sha256": digest,
    }] });
    put(folder.join("loaders/ipxe.efi"), bytes);
    put(folder.join("manifest.json"), manifest.to_string().as_bytes());
}

/// The daemon beside root side, which the stand-in for systemd has started by this test.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_goes_from_the_command_to_the_other_slot() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    lab.stand_in("");
    fs::remove_dir_all(lab.root.join("var/lib/ironwake")).expect("removed");
    fs::create_dir_all(folder.path().join("state")).expect("made");
    symlink(folder.path().join("state"), lab.root.join("var/lib/ironwake")).expect("a link");
    let private = PrivateBus::start(folder.path());
    let systemd = StandIns::new();
    let _serving = systemd.serve_all(&private).await;
    let start = || {
        Daemon::start_at(folder.path(), loopback::free_port(), "", &[("IRONWAKE_ROOT", lab.root.as_path())])
    };
    let daemon = start();
    let client = Client::new(folder.path().join("api.sock"));
    let appliance = client.appliance().await.expect("shown");
    assert_eq!((appliance.kind, appliance.version.as_str()), (ApplianceKind::Appliance, "0.1.0"));
    let tested = client.self_test().await.expect("tested");
    assert!(tested.passed && tested.message.contains("there is nothing to test"), "{tested:?}");
    daemon.check(&["appliance", "self-test"], 0, "there is nothing to test", "");
    daemon.check(&["update"], 0, "running     0.1.0", "");
    daemon.check(&["update", "check"], 4, "", "no channel is set");
    daemon.check(&["update", "install"], 4, "", "nothing is known of a new version");

    // What was tampered with ends at the daemon: root side is not started.
    let good = bundle(folder.path(), &keys, "0.2.0");
    let mut bytes = fs::read(&good).expect("a bundle");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let bad = folder.path().join("bad.update");
    fs::write(&bad, &bytes).expect("written");
    let bad = bad.display().to_string();
    daemon.check(&["update", "install", "--wait", &bad], 1, "", "is not the file that was signed");
    assert!(!systemd.calls().iter().any(|call| call.starts_with("StartUnit")));
    let older = bundle(folder.path(), &keys, "0.0.9").display().to_string();
    daemon.check(&["update", "install", "--wait", &older], 1, "", "`--allow-older`");

    let mut waiting = daemon.command(&["update", "install", "--wait", &good.display().to_string()]);
    let waiting = waiting.stdout(Stdio::piped()).spawn().expect("it starts");
    systemd.asked("StartUnit ironwake-update-install.service").await;
    let mut root_side = Command::new(env!("CARGO_BIN_EXE_ironwake"));
    run(root_side.args(["appliance", "install-update"]).env("IRONWAKE_ROOT", &lab.root));
    let done = waiting.wait_with_output().expect("it ends");
    assert!(
        String::from_utf8_lossy(&done.stdout)
            .contains("0.2.0 is installed: `ironwake system reboot` tries it"),
        "{done:?}"
    );
    let update = client.update().await.expect("shown");
    assert!(update.restart_needed);
    assert_eq!(update.last.as_ref().map(|last| last.outcome), Some(UpdateOutcome::Installed));
    assert!(folder.path().join("state/update/ironwake-0.1.0.db").is_file(), "the snapshot");
    assert!(!folder.path().join("state/update/bundle.update").exists());
    daemon.check(&["update", "--json"], 0, "\"restart_needed\"", "");

    // It is started three times in vain, and the one before tells of it.
    daemon.terminate();
    let ukis = lab.root.join("efi/EFI/Linux");
    fs::rename(ukis.join("ironwake_0.2.0+3-0.efi"), ukis.join("ironwake_0.2.0+0-3.efi")).expect("counted");
    lab.boots("0.1.0", "later");
    // Nobody answers, which is no health; that is kept for the version that comes back.
    let healthy = |within: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.env("IRONWAKE_SOCKET", folder.path().join("api.sock")).env("IRONWAKE_ROOT", &lab.root);
        command.args(["appliance", "healthy", "--within", within]).output().expect("it runs")
    };
    let said = healthy("1");
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let kept = fs::read_to_string(lab.places.state.join("unhealthy.json")).expect("kept");
    assert!(kept.contains("the daemon does not answer"), "{kept}");
    // Nor is a daemon that has nothing which boots a machine.
    let without = start();
    let said = healthy("5");
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let kept = fs::read_to_string(lab.places.state.join("unhealthy.json")).expect("kept");
    assert!(kept.contains("no loader is usable"), "{kept}");
    without.terminate();
    put_loader(folder.path());
    let daemon = start();
    // Nor is a version that could not be marked as good.
    let (efi, away) = (lab.root.join("efi"), lab.root.join("away"));
    fs::rename(&efi, &away).expect("gone");
    let said = healthy("5");
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let kept = fs::read_to_string(lab.places.state.join("unhealthy.json")).expect("kept");
    assert!(kept.contains("find the ESP by its folder"), "{kept}");
    fs::rename(&away, &efi).expect("back");
    let said = healthy("30");
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let mut blessed = daemon.command(&["appliance", "bless"]);
    run(blessed.env("IRONWAKE_ROOT", &lab.root));
    let fell = |kind: &EventKind| matches!(kind, EventKind::UpdateFellBack { version, running, boots: Some(3), .. } if version == "0.2.0" && running == "0.1.0");
    let mut events = client.follow(Some(0), None).of_kinds(&["update_fell_back"]);
    let told =
        tokio::time::timeout(loopback::PATIENCE, events.next()).await.expect("it is told").expect("an event");
    assert!(fell(&told.kind), "{told:?}");
    daemon.check(&["update"], 0, "0.2.0 failed 3 starts, this is 0.1.0 again", "");
    let request = UpdateRequest { stick: Some("../x.update".into()), ..UpdateRequest::default() };
    client.begin_update(&request).await.expect_err("no such stick");
}

/// Whoever is between could answer with another version that was signed once: what was shown is what is installed.
#[test]
fn a_channel_hands_over_the_version_that_it_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = Keys::new(folder.path());
    let lab = Lab::new(folder.path(), &keys);
    let (old, new) = (bundle(folder.path(), &keys, "0.3.0"), bundle(folder.path(), &keys, "0.4.0"));
    fs::rename(&old, &new).expect("put in its place");
    let mut web = Command::new("python3");
    web.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
        .arg(folder.path().join("bundles"));
    let mut web = web.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let mut said = String::new();
    BufReader::new(web.stdout.take().expect("a pipe")).read_line(&mut said).expect("it says its port");
    let port = said.split(' ').skip_while(|word| *word != "port").nth(1).expect("a port");
    let channel = format!("[update]\nurl = \"http://127.0.0.1:{port}/\"\n");
    let root = [("IRONWAKE_ROOT", lab.root.as_path())];
    let daemon = Daemon::start_at(folder.path(), loopback::free_port(), &channel, &root);
    daemon.check(&["update", "check"], 0, "0.4.0", "");
    let refused = "the channel named 0.4.0, and what came is 0.3.0";
    daemon.check(&["update", "install", "--wait"], 1, "", refused);
    web.kill().expect("ended");
    web.wait().expect("gone");
}

/// What runs on somebody else's system has no slots, and says what updates it.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_updated_by_its_packages() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    put(root.join("usr/lib/os-release"), b"ID=debian\n");
    let daemon =
        Daemon::start_at(folder.path(), loopback::free_port(), "", &[("IRONWAKE_ROOT", root.as_path())]);
    let client = Client::new(folder.path().join("api.sock"));
    let appliance = client.appliance().await.expect("shown");
    assert_eq!((appliance.kind, appliance.slots.len(), appliance.trial), (ApplianceKind::Host, 0, false));
    daemon.check(&["update"], 0, "its packages are updated by apt", "");
    let file = folder.path().join("ironwake.toml").display().to_string();
    daemon.check(&["update", "install", &file], 4, "", "its packages are updated by apt");
}
