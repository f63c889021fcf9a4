use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ironwake_api::{InstallPhase, InstallThen};
use uuid::Uuid;

use super::boot_code::{self, SECTOR};
use super::layout::{BIOS_BOOT, ESP, Layout, OTHER_ROOT, ROOT, VAR};
use super::source::{Place, partitions};
use super::*;
use crate::store::Store;

const VERSION: &str = "0.1.0";
const STICK_BYTES: u64 = 2_000_000_000;
const TARGET_BYTES: u64 = 4_100_000_256;
const MARK: Uuid = Uuid::from_bytes([0x42; 16]);
/// So much of the slot is a filesystem; the rest is empty.
const SYSTEM_BYTES: usize = 9 << 20;

/// An appliance on the stick `sda` with an empty disk `sdb`, made of plain files.
struct Bench {
    folder: tempfile::TempDir,
    host: Host,
    _store: Store,
}

fn run_tool(command: &mut Command) -> String {
    let output = command.output().expect("the program is here");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Bytes that are no pattern.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let put = |name: &str, bytes: &[u8]| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        };
        put("usr/lib/os-release", format!("IMAGE_ID=ironwake\nIMAGE_VERSION={VERSION}\n").as_bytes());
        put("proc/1/mountinfo", b"22 1 8:3 / / ro - squashfs /dev/sda3 ro\n");
        put("var/lib/ironwake/site.key", b"a key");
        put("var/lib/appliance/etc/upper/machine-id", b"an id");
        put("var/log/journal/x", b"not this");
        fs::create_dir_all(root.join("run")).expect("a folder");
        let store = Store::open(&root.join("var/lib/ironwake/ironwake.db")).expect("a database");
        let host = Host { run: root.join("run"), work: root.join("var/work"), root, now: 1 };
        let bench = Self { folder, host, _store: store };
        bench.add_disk("sda", STICK_BYTES, "STICK");
        bench.set("sda", "sda3/partition", "3");
        bench.set("sda", "sda3/dev", "8:3");
        bench.add_disk("sdb", TARGET_BYTES, "TARGET");
        bench.flash();
        bench
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn node(&self, disk: &str) -> PathBuf {
        self.root().join("dev").join(disk)
    }

    fn set(&self, disk: &str, attribute: &str, value: &str) {
        let path = self.root().join("sys/block").join(disk).join(attribute);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, value).expect("an attribute");
    }

    fn add_disk(&self, name: &str, size_bytes: u64, serial: &str) {
        self.set(name, "size", &(size_bytes / 512).to_string());
        self.set(name, "queue/logical_block_size", "512");
        self.set(name, "serial", serial);
        self.set(name, "dev", "8:0");
        fs::create_dir_all(self.root().join("dev")).expect("a folder");
        let node = File::options().create(true).write(true).truncate(false).open(self.node(name));
        node.and_then(|node| node.set_len(size_bytes)).expect("a node");
    }

    /// Puts an image onto the stick, as the image's build does.
    fn flash(&self) {
        let layout = Layout::make(&self.host.work, STICK_BYTES, VERSION).expect("a table");
        let stick = File::options().write(true).open(self.node("sda")).expect("the stick");
        let write = |at: u64, bytes: &[u8]| stick.write_all_at(bytes, at).expect("written");
        let core_at = layout.spans[BIOS_BOOT].start;
        let mut front = layout.front.clone();
        let code = boot_code::first_sector(&noise(512, 7), core_at / 512).expect("code");
        front[..code.len()].copy_from_slice(&code);
        write(0, &front);
        write(STICK_BYTES - layout.back.len() as u64, &layout.back);
        write(core_at, &boot_code::core(noise(100_000, 8), core_at / 512).expect("a core"));
        write(layout.spans[ROOT].start, &noise(SYSTEM_BYTES, 9));
        let files = self.root().join("esp");
        for name in [
            "EFI/BOOT/BOOTX64.EFI",
            "EFI/Linux/ironwake_0.1.0+2-1.efi",
            "EFI/Linux/ironwake_0.0.9.efi",
            "loader/loader.conf",
            "loader/random-seed",
            "ironwake/grub.cfg",
            "ironwake/grubenv",
            "ironwake/ironwake_0.1.0.vmlinuz",
            "ironwake/ironwake_0.0.9.vmlinuz",
            "ironwake/0.0.9/initrd",
        ] {
            let path = files.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, name).expect("a file");
        }
        super::esp::write(&files, &self.node("sda"), layout.spans[ESP]).expect("an ESP");
    }

    fn digest(&self, disk: &str) -> String {
        let disks = read_disks(self.root(), 1);
        disks.disks.iter().find(|found| found.disk.name == disk).expect("it is there").digest.clone()
    }

    fn refused(&self, disk: &str) -> Option<String> {
        let disks = read_disks(self.root(), 1);
        disks.disks.into_iter().find(|found| found.disk.name == disk).expect("it is there").refused
    }

    fn bytes(&self, disk: &str, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        File::open(self.node(disk)).and_then(|file| file.read_exact_at(&mut bytes, at)).expect("read");
        bytes
    }

    /// What is on the target, where a table or a filesystem would be.
    fn target_is_blank(&self) -> bool {
        let ends = [(0, 1 << 20), (TARGET_BYTES - (1 << 20), 1 << 20)];
        ends.iter().all(|(at, length)| self.bytes("sdb", *at, *length).iter().all(|byte| *byte == 0))
    }
}

#[test]
fn an_installed_disk_has_what_the_stick_has_and_this_version_alone() {
    let bench = Bench::new();
    let disks = read_disks(bench.root(), 5);
    assert_eq!((disks.booted_from.disk.as_deref(), disks.read_at), (Some("sda"), 5));
    assert_eq!(bench.refused("sda").as_deref(), Some("the appliance runs from it"));
    assert_eq!(bench.refused("sdb"), None);
    let stick = partitions(&bench.node("sda")).expect("a table");

    run(&bench.host, "sdb", &bench.digest("sdb"), MARK).expect("installed");
    let state = load_state(&bench.host.run).expect("read").expect("a state");
    assert_eq!((state.phase, state.percent()), (InstallPhase::Done, 100));
    assert_eq!(state.done_bytes, state.total_bytes);

    // The table: the same partitions, /var larger, and every identifier fresh.
    let found = partitions(&bench.node("sdb")).expect("a table");
    let names = |entries: &[ironwake_agent::inventory::disk::Entry]| -> Vec<Option<String>> {
        entries.iter().map(|entry| entry.name.clone()).collect()
    };
    assert_eq!(names(&found), names(&stick));
    assert_eq!(found[OTHER_ROOT].name.as_deref(), Some("_empty"));
    for (ours, theirs) in found.iter().zip(&stick) {
        assert_ne!(ours.guid, theirs.guid);
        assert_eq!((ours.start_bytes, &ours.kind), (theirs.start_bytes, &theirs.kind));
        assert!(ours.size_bytes == theirs.size_bytes || ours.name.as_deref() == Some("ironwake-var"));
    }
    assert!(found[VAR].end() > TARGET_BYTES - (3 << 20), "it takes the rest");
    run_tool(Command::new("sfdisk").arg("--verify").arg(bench.node("sdb")));

    // GRUB and the slot are the same bytes, for partitions are where they were.
    assert_eq!(bench.bytes("sdb", 0, 440), bench.bytes("sda", 0, 440));
    assert_eq!(bench.bytes("sdb", 510, 2), [0x55, 0xaa]);
    for partition in [BIOS_BOOT, ROOT] {
        let (at, length) = (found[partition].start_bytes, found[partition].size_bytes as usize);
        assert!(bench.bytes("sdb", at, length) == bench.bytes("sda", at, length), "partition {partition}");
    }
    assert_eq!(bench.bytes("sdb", found[ROOT].start_bytes, SYSTEM_BYTES), noise(SYSTEM_BYTES, 9));

    // The ESP has the version that runs, blessed.
    let span = super::layout::Span { start: found[ESP].start_bytes, size: found[ESP].size_bytes };
    let esp = Place { path: bench.node("sdb"), span };
    let out = bench.root().join("out");
    fs::create_dir(&out).expect("a folder");
    let mut copy = Command::new("mcopy");
    copy.env("MTOOLS_SKIP_CHECK", "1").args(["-s", "-n", "-i", &esp.for_mtools(), "::*"]).arg(&out);
    run_tool(&mut copy);
    let listed = run_tool(Command::new("find").args([".", "-type", "f"]).current_dir(&out));
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    let expected = [
        "./EFI/BOOT/BOOTX64.EFI",
        "./EFI/Linux/ironwake_0.1.0.efi",
        "./ironwake/grub.cfg",
        "./ironwake/grubenv",
        "./ironwake/ironwake_0.1.0.vmlinuz",
        "./loader/loader.conf",
    ];
    assert_eq!(listed, expected);
    let grubenv = fs::read_to_string(out.join("ironwake/grubenv")).expect("grubenv");
    assert!(grubenv.starts_with("# GRUB Environment Block\ngood=0.1.0\n#") && grubenv.len() == 1024);
    let plain = bench.root().join("esp.img");
    fs::write(&plain, bench.bytes("sdb", span.start, span.size as usize)).expect("written");
    run_tool(Command::new("fsck.vfat").arg("-n").arg(&plain));

    // /var is whole, and has the state as it was.
    let var = format!("{}?offset={}", bench.node("sdb").display(), found[VAR].start_bytes);
    run_tool(Command::new("e2fsck").args(["-f", "-n", &var]));
    let dump = bench.root().join("dump");
    fs::create_dir(&dump).expect("a folder");
    let request = format!("rdump /lib {}", dump.display());
    run_tool(Command::new("debugfs").args(["-R", &request, &var]));
    let text = |name: &str| fs::read_to_string(dump.join("lib").join(name)).expect(name);
    assert_eq!(
        (text("ironwake/site.key"), text("appliance/etc/upper/machine-id")),
        ("a key".into(), "an id".into())
    );
    Store::open(&dump.join("lib/ironwake/ironwake.db")).expect("the database opens");
    let ls = run_tool(Command::new("debugfs").args(["-R", "ls -p /", &var]));
    assert!(!ls.contains("/log/"), "no journal: {ls}");
    let written = read_disks(bench.root(), 1);
    let target = written.disks.iter().find(|found| found.disk.name == "sdb").expect("it is there");
    assert_eq!(target.disk.partitions[VAR].uuid, Some(MARK.to_string()));
    assert_eq!(target.disk.partitions[VAR].filesystem.as_deref(), Some("ext4"));
    assert!(!bench.host.work.exists(), "what was gathered is gone");

    // It may be installed over, with another approval.
    assert!(run(&bench.host, "sdb", "sha256:0", MARK).is_err());
    run(&bench.host, "sdb", &target.digest, MARK).expect("installed again");
}

#[test]
fn what_was_not_approved_is_not_written() {
    let bench = Bench::new();
    let approved = bench.digest("sdb");
    let check = |name: &str, digest: &str, expected: &str| {
        let error = run(&bench.host, name, digest, MARK).expect_err("a refusal").to_string();
        assert!(error.contains(expected) && error.ends_with("nothing was written"), "{error}");
        let state = load_state(&bench.host.run).expect("read").expect("a state");
        assert_eq!((state.phase, state.problem), (InstallPhase::Failed, Some(error)));
        assert!(bench.target_is_blank());
    };
    check("sdb", "sha256:00", "no disk is what was approved as sdb");
    check("sda", &bench.digest("sda"), "sda: the appliance runs from it");

    // Another disk in its place, another size, something on it that nobody saw.
    bench.set("sdb", "serial", "OTHER");
    check("sdb", &approved, "no disk is what was approved");
    bench.set("sdb", "serial", "TARGET");
    bench.set("sdb", "size", &(TARGET_BYTES / 512 - 8).to_string());
    check("sdb", &approved, "no disk is what was approved");
    bench.set("sdb", "size", &(TARGET_BYTES / 512).to_string());
    let node = File::options().write(true).open(bench.node("sdb")).expect("the disk");
    node.write_all_at(&[0x53, 0xef], 1080).expect("a filesystem");
    let error = run(&bench.host, "sdb", &approved, MARK).expect_err("a refusal").to_string();
    assert!(error.contains("no disk is what was approved"), "{error}");
    node.write_all_at(&[0, 0], 1080).expect("gone");

    // In use, one way or the other.
    bench.set("sdb", "sdb1/partition", "1");
    bench.set("sdb", "sdb1/dev", "8:17");
    bench.set("sdb", "sdb1/holders/md0", "");
    check("sdb", &approved, "it is in use: held by md0");
    fs::remove_dir_all(bench.root().join("sys/block/sdb/sdb1/holders")).expect("let go");
    bench.set("sdb", "sdb1/holders/dm-0", "");
    bench.set("dm-0", "dm/name", "vg-root");
    check("sdb", &approved, "it is in use: held by dm-0");
    fs::remove_dir_all(bench.root().join("sys/block/sdb/sdb1/holders")).expect("let go");
    let mounts = bench.root().join("proc/self");
    fs::create_dir_all(&mounts).expect("a folder");
    fs::write(mounts.join("mountinfo"), "40 1 8:17 / /mnt rw - ext4 /dev/sdb1 rw\n").expect("a mount");
    check("sdb", &approved, "it is in use: mounted at /mnt");
    fs::remove_file(mounts.join("mountinfo")).expect("unmounted");
    fs::write(bench.root().join("proc/swaps"), "Filename Type Size\n/dev/sdb1 partition 1 0 -2\n")
        .expect("swap");
    check("sdb", &approved, "it is in use: swap is on it");
    fs::remove_file(bench.root().join("proc/swaps")).expect("off");

    bench.set("sdb", "ro", "1");
    check("sdb", &approved, "sdb: it is write-protected");
    bench.set("sdb", "ro", "0");
    bench.set("sdb", "queue/logical_block_size", "4096");
    check("sdb", &approved, "its sectors have 4096 bytes");
    bench.set("sdb", "queue/logical_block_size", "512");
    bench.add_disk("sdc", TARGET_BYTES, "TARGET");
    check("sdb", &approved, "two disks are what was approved");
    fs::remove_dir_all(bench.root().join("sys/block/sdc")).expect("taken out");
    bench.add_disk("sdd", BYTES_MIN - 512, "SMALL");
    check("sdd", &bench.digest("sdd"), "sdd: it is too small");

    // What does not fit is known before the disk is touched.
    let image = bench.root().join("var/lib/ironwake/large");
    File::create(&image).and_then(|file| file.set_len(1 << 40)).expect("a large file");
    check("sdb", &approved, "delete images");
}

#[test]
fn what_breaks_off_leaves_no_table() {
    let bench = Bench::new();
    let slot = partitions(&bench.node("sda")).expect("a table")[ROOT].clone();
    let approved = bench.digest("sdb");
    // The stick fails in the middle of the system.
    let node = File::options().write(true).open(bench.node("sda")).expect("the stick");
    node.set_len(slot.start_bytes + slot.size_bytes / 4).expect("shorter");
    let error = run(&bench.host, "sdb", &approved, MARK).expect_err("it fails").to_string();
    assert!(error.contains("copy the system") && error.contains("has no partition table now"), "{error}");
    assert!(bench.target_is_blank());
    let disks = read_disks(bench.root(), 1);
    let target = disks.disks.iter().find(|found| found.disk.name == "sdb").expect("it is there");
    assert_eq!((&target.disk.table, &target.disk.partitions[..]), (&None, &[][..]));
}

#[test]
fn an_order_is_taken_once_and_may_hold_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("install.json");
    let order = Order { disk: "sdb".into(), digest: "sha256:aa".into(), then: InstallThen::Reboot };
    order.save(&path).expect("saved");
    assert_eq!(Order::take(&path).expect("taken"), order);
    assert!(Order::take(&path).is_err() && !path.exists());
    for wrong in [
        "",
        "{}",
        r#"{"disk":"../sdb","digest":"a","then":"wait"}"#,
        r#"{"disk":"","digest":"a","then":"wait"}"#,
        r#"{"disk":"sdb","digest":"a","then":"explode"}"#,
        r#"{"disk":"sdb","digest":"a","then":"wait","more":1}"#,
    ] {
        fs::write(&path, wrong).expect("written");
        assert!(Order::take(&path).is_err() && !path.exists(), "{wrong}");
    }
    fs::write(&path, vec![b' '; 5000]).expect("written");
    assert!(Order::take(&path).expect_err("too long").to_string().contains("more than 4096 bytes"));
    let secret = folder.path().join("secret");
    fs::write(&secret, "{}").expect("written");
    std::os::unix::fs::symlink(&secret, &path).expect("a link");
    assert!(Order::take(&path).is_err());
    assert!(
        secret.exists() && fs::symlink_metadata(&path).is_err(),
        "the link is gone, not what it leads to"
    );
}

#[test]
fn definitions_are_those_of_the_image() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("appliance");
    let values = |text: &str| -> Vec<String> {
        let keys = ["Type=", "Label=", "SizeMinBytes=", "SizeMaxBytes="];
        let wanted = |line: &&str| keys.iter().any(|key| line.starts_with(key));
        text.lines().filter(wanted).map(|line| line.replace("@VERSION@", VERSION)).collect()
    };
    let image = [
        "disk/10-bios.conf",
        "disk/20-esp.conf",
        "disk/30-root-a.conf",
        "files/usr/lib/repart.d/60-root-b.conf",
        "files/usr/lib/repart.d/70-var.conf",
    ];
    for (name, (_, ours)) in image.iter().zip(super::layout::texts(VERSION)) {
        let theirs = fs::read_to_string(folder.join(name)).expect("a definition");
        assert_eq!(values(&ours), values(&theirs), "{name}");
    }
}

/// `appliance/make/mbr.py` makes the disk boot that is flashed: it and this make the same bytes.
#[test]
fn boot_code_is_that_of_the_images_build() {
    let folder = tempfile::tempdir().expect("a folder");
    let size = 2_000_000_000;
    let layout = Layout::make(folder.path(), size, VERSION).expect("a table");
    let (boot, core) = (noise(512, 3), noise(70_001, 4));
    let at = layout.spans[BIOS_BOOT].start;
    let path = folder.path().join("disk");
    let disk = File::create(&path).expect("a disk");
    disk.set_len(size).expect("its size");
    disk.write_all_at(&layout.front, 0).expect("its table");
    let mut padded = core.clone();
    padded.resize(core.len().next_multiple_of(SECTOR), 0);
    disk.write_all_at(&padded, at).expect("its core");
    fs::write(folder.path().join("boot.img"), &boot).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("appliance/make/mbr.py");
    run_tool(Command::new("python3").arg("-I").arg(script).arg(&path).arg(folder.path().join("boot.img")));
    let (mut first, mut theirs) = (vec![0; SECTOR], vec![0; padded.len()]);
    let disk = File::open(&path).expect("the disk");
    disk.read_exact_at(&mut first, 0).and_then(|()| disk.read_exact_at(&mut theirs, at)).expect("read");
    let code = boot_code::first_sector(&boot, at / 512).expect("code");
    assert_eq!(first[..440], code);
    assert_eq!(first[440..], layout.front[440..SECTOR]);
    assert!(boot_code::core(core, at / 512).expect("a core") == theirs);
}
