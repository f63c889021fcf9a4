//! The Debian image that `./dev` keeps: its structure as other tools judge it, and machines that are made into it.

#[path = "lab/mod.rs"]
mod lab;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ironwake_api::EventKind;
use lab::rebuild::{IMAGE, MEMORY_MIB, image, rebuild, table};
use lab::{Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, Machine};
use serde_json::json;

const GIB: u64 = 1 << 30;

fn tool(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run ./dev setup"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {}: {text}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A partition of the image as a file of its own.
fn partition(disk: &File, folder: &Path, number: usize, table: &serde_json::Value) -> PathBuf {
    let row = &table["partitiontable"]["partitions"][number];
    let bytes = |key: &str| row[key].as_u64().expect("a number") * 512;
    let path = folder.join(format!("partition{number}"));
    let mut file = File::create(&path).expect("a file");
    let (mut at, end) = (bytes("start"), bytes("start") + bytes("size"));
    let mut piece = vec![0; 1 << 20];
    while at < end {
        let part = &mut piece[..(end - at).min(1 << 20) as usize];
        disk.read_exact_at(part, at).expect("read");
        file.write_all(part).expect("written");
        at += part.len() as u64;
    }
    path
}

#[test]
fn full_the_debian_image_is_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("disk");
    tool("zstd", &["-dqf", text(&image().expect("the image")), "-o", text(&path)]);
    assert!(tool("sfdisk", &["--verify", text(&path)]).contains("No errors detected"));
    let table: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", text(&path)])).expect("a table");
    let rows = table["partitiontable"]["partitions"].as_array().expect("partitions");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["bios-boot", "esp", "root"]);
    let disk = File::open(&path).expect("the disk");

    // BIOS: the boot sector leads to the core image, whose first sector leads to the rest of it.
    let mut sector = [0; 512];
    disk.read_exact_at(&mut sector, 0).expect("a sector");
    let core_at = u64::from_le_bytes(sector[0x5c..0x64].try_into().expect("eight bytes"));
    assert_eq!(Some(core_at), rows[0]["start"].as_u64());
    let mut core = vec![0; 64 << 10];
    disk.read_exact_at(&mut core, core_at * 512).expect("the core image");
    assert_eq!(core[500..508], (core_at + 1).to_le_bytes());
    assert!(core[512..].iter().any(|byte| *byte != 0));

    let esp = partition(&disk, folder.path(), 1, &table);
    tool("fsck.fat", &["-n", text(&esp)]);
    let files = tool("mdir", &["-i", text(&esp), "-/", "-b", "::"]);
    for file in ["BOOT/BOOTX64.EFI", "BOOT/grubx64.efi", "BOOT/grub.cfg"].into_iter().chain([
        "debian/shimx64.efi",
        "debian/grubx64.efi",
        "debian/grub.cfg",
    ]) {
        assert!(files.lines().any(|line| line == format!("::/EFI/{file}")), "{file} in {files}");
    }

    let root = partition(&disk, folder.path(), 2, &table);
    tool("e2fsck", &["-f", "-n", text(&root)]);
    let show = |request: &str| tool("debugfs", &["-R", request, text(&root)]);
    let uuid = show("show_super_stats -h")
        .lines()
        .find_map(|line| line.strip_prefix("Filesystem UUID:").map(|uuid| uuid.trim().to_owned()))
        .expect("a UUID");
    for file in ["/boot/grub/grub.cfg", "/etc/fstab"] {
        assert!(show(&format!("cat {file}")).contains(&format!("UUID={uuid} ")), "{file} names another root");
    }
    for link in ["/vmlinuz", "/initrd.img", "/vmlinuz.old", "/initrd.img.old"] {
        let target = show(&format!("stat {link}"));
        let target =
            target.lines().find_map(|line| line.strip_prefix("Fast link dest: ")).unwrap_or_default();
        let target = format!("/{}", target.trim_matches('"'));
        assert!(show(&format!("stat {target}")).contains("Type: regular"), "{link} leads to {target:?}");
    }
    // What is one machine's own is in no image.
    assert!(!show("ls -p /etc/ssh").contains("ssh_host_"), "host keys");
    assert_eq!(show("cat /etc/machine-id"), "");
    assert!(!show("ls -p /etc/apt/apt.conf.d").contains("99mmdebstrap"), "this host's proxies");
    assert!(show("stat /etc/shadow").contains("Group:    42"), "owners are those of the packages");
    let mut packed = File::open(image().expect("the image")).expect("the image");
    let mut head = [0; 4];
    packed.read_exact(&mut head).expect("four bytes");
    assert!(packed.metadata().expect("its size").len() < 400 << 20, "small enough for every boot network");
}

/// A host that lost its power says so with its next boot, and what it is.
fn boots_again(lab: &Lab, machine: &Machine, id: &str) -> Result<(), LabError> {
    let host = || Ok::<_, LabError>(lab.cli().json(&["machine", "show", id])?["host"].clone());
    let before = host()?;
    let on = lab.power_on(machine)?;
    let event =
        on.expect("the call of the second boot", |kind| matches!(kind, EventKind::HostBooted { .. }))?;
    println!("{:>7.1} s from power-on to the heartbeat", (event.at - on.powered_at()) as f64 / 1000.0);
    let after = host()?;
    let EventKind::HostBooted { boot_id, changes, .. } = event.kind else { panic!("{:?}", event.kind) };
    assert_eq!(after["boot_id"].as_str(), Some(boot_id.as_str()), "{after}");
    assert!(before["boot_id"].is_string() && before["boot_id"] != after["boot_id"], "{before} {after}");
    assert_eq!(changes, [""; 0], "it is the same host");
    assert_eq!((&after["heartbeat_secs"], &after["reachability"]), (&json!(300), &json!("calling")));
    assert_eq!((&after["kernel"], &after["os"]), (&before["kernel"], &before["os"]));
    assert!(after["os"].as_str().is_some_and(|os| os.contains("trixie")), "{after}");
    assert!(after["addresses"].as_array().is_some_and(|all| all.contains(&after["from"])), "{after}");
    assert!(after["uptime_secs"].as_u64().is_some_and(|secs| secs >= 10), "{after}");
    Ok(())
}

/// From a blank disk to a host that has its name and phones home, on a root that fills the disk.
fn check(firmware: Firmware, bus: Bus) -> Result<(), LabError> {
    let mut options = LabOptions::new(env!("CARGO_BIN_EXE_ironwake"), Dhcp::Server);
    if firmware == Firmware::SecureBoot {
        options.secure_boot = "on";
    }
    let lab = Lab::new(options)?;
    lab.cli().run(&["artifact", "import", IMAGE, text(&image()?)])?;
    let mut machine = Machine::new(1, firmware).with_disk(Disk::blank(bus, "SYSTEM", 6 * GIB));
    machine.memory_mib = MEMORY_MIB;
    let on = lab.power_on(&machine)?;
    let (record, _) = on.wait_inventory()?;
    lab.cli().run(&["machine", "enroll", &record.id])?;
    lab.cli().run(&["machine", "edit", &record.id, "--name", "node-1"])?;
    let (on, steps) = rebuild(&lab, &machine, Some(on), &record.id, &mut |_| ())?;
    println!("{}", table(&steps));
    on.wait_screen("node-1 login:")?;
    let shown = lab.cli().json(&["operation", "list"])?;
    let host = &shown[0]["host"];
    assert_eq!(host["hostname"].as_str(), Some("node-1"), "{shown}");
    on.power_off();
    if firmware == Firmware::Uefi {
        boots_again(&lab, &machine, &record.id)?;
    }

    // The table of its disk has grown.
    let disk = lab.folder().join("m1.disk0");
    tool("sfdisk", &["--verify", text(&disk)]);
    let table: serde_json::Value =
        serde_json::from_str(&tool("sfdisk", &["--json", text(&disk)])).expect("a table");
    let root = table["partitiontable"]["partitions"][2]["size"].as_u64().expect("a size") * 512;
    assert!(root > 5 * GIB, "root has {root} bytes");
    Ok(())
}

#[test]
fn full_debian_rebuild_uefi() -> Result<(), LabError> {
    check(Firmware::Uefi, Bus::Nvme)
}

#[test]
fn full_debian_rebuild_bios() -> Result<(), LabError> {
    check(Firmware::Bios, Bus::Sata)
}

#[test]
fn full_debian_rebuild_secureboot() -> Result<(), LabError> {
    check(Firmware::SecureBoot, Bus::Virtio)
}
