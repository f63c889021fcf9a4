//! On a real block device, a loop device over a file: exclusive opening, the device's own zeros, a mounted and
//! grown filesystem. Needs root: `cargo test -p ironwake-agent -- --ignored`.

use std::{
    fs,
    io::Write,
    os::unix::fs::{FileExt, OpenOptionsExt, symlink},
    process::{Command, Stdio},
};

use ironwake_api::{Packing, PartitionChoice};

use super::{tests::done, *};
use crate::work::{Next, testing::Fixture, unpack::pack};

const DISK_BYTES: u64 = 256 << 20;
const IMAGE_BYTES: u64 = 64 << 20;
const MIB: u64 = 1 << 20;

/// Runs a program of the system and gives back what it printed.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let paths = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut child = Command::new(program)
        .env("PATH", paths)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect(program);
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("its input");
    let output = child.wait_with_output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/losetup").args(["-d", &self.0]).status();
    }
}

/// A GPT with an empty partition and an ext4 filesystem behind it.
fn image(folder: &Path) -> Vec<u8> {
    let (disk, filesystem) = (folder.join("image"), folder.join("filesystem"));
    let path = |path: &Path| path.to_str().expect("text").to_owned();
    fs::File::create(&disk).and_then(|file| file.set_len(IMAGE_BYTES)).expect("a file");
    run("sfdisk", &["--quiet", &path(&disk)], "label: gpt\nsize=4MiB, type=uefi\nsize=40MiB, name=system\n");
    fs::File::create(&filesystem).and_then(|file| file.set_len(40 * MIB)).expect("a file");
    run("mkfs.ext4", &["-q", "-F", "-L", "root", &path(&filesystem)], "");
    let file = fs::File::options().write(true).open(&disk).expect("the image");
    file.write_all_at(&fs::read(&filesystem).expect("the filesystem"), 5 * MIB).expect("written");
    fs::read(&disk).expect("the image")
}

#[test]
#[ignore = "needs root and a loop device"]
fn a_real_device_is_written_grown_and_filled() {
    let machine = Fixture::new();
    machine.add_disk("sda", Some("S1"), DISK_BYTES);
    machine.write("sda", 0, &vec![0xa5; DISK_BYTES as usize]);
    let root = machine.root();
    let backing = root.join("backing");
    fs::rename(root.join("dev/sda"), &backing).expect("moved");
    let attach = |offset: u64, size: u64| {
        let (offset, size) = (offset.to_string(), size.to_string());
        let arguments =
            ["-f", "-P", "--show", "-o", &offset, "--sizelimit", &size, backing.to_str().expect("text")];
        Loop(run("losetup", &arguments, ""))
    };
    let device = attach(0, DISK_BYTES);
    // Some kernels give loop devices no partitions: a second one stands in for where the partition will be.
    let partition = attach(5 * MIB, DISK_BYTES - 6 * MIB);
    symlink(&device.0, root.join("dev/sda")).expect("a link");
    symlink(&partition.0, root.join("dev/sda2")).expect("a link");
    let kernel_name = device.0.trim_start_matches("/dev/");
    let sequence = fs::read_to_string(format!("/sys/block/{kernel_name}/diskseq")).expect("a number");
    machine.set("sda", "diskseq", &sequence);
    let image = image(root);
    let packed = pack(Packing::Zstd, &image);
    let file = |path: &str, partition| InjectedFile {
        partition,
        path: path.into(),
        mode: 0o600,
        content: "x".into(),
    };
    let mut work = super::tests::work(&machine, &packed);
    work.image.disk_bytes = Some(IMAGE_BYTES);
    work.grow = true;
    work.files = vec![
        file("/etc/ironwake/token", PartitionChoice::Label("root".into())),
        file("/etc/hostname", PartitionChoice::Label("system".into())),
    ];
    let (next, reports) = done(&machine, work, packed.clone());
    assert_eq!(next, Next::Reboot, "{reports:?}");
    run("sfdisk", &["--verify", "--quiet", &device.0], "");
    let disk = volume::read(root, "sda").expect("the disk");
    assert_eq!(disk.partitions[1].size_bytes, DISK_BYTES - 6 * MIB);
    assert_eq!(disk.partitions[1].label.as_deref(), Some("root"));
    let volume = Volume::mount(root, "sda", &disk.partitions[1], &mut |_| {}).expect("mounted");
    match volume.grow(disk.partitions[1].size_bytes) {
        Ok(()) => {
            let state = nix::sys::statvfs::fstatvfs(volume.root().expect("open")).expect("a filesystem");
            assert!(state.blocks() * state.fragment_size() > 200 * MIB, "{state:?}");
        }
        // Some sandboxes withhold from root the capability to grow a filesystem.
        Err(error) => assert!(error.to_string().contains("Operation not permitted"), "{error}"),
    }
    assert_eq!(fs::read(root.join("run/ironwake-volume/etc/ironwake/token")).expect("a file"), b"x");
    volume.close().expect("unmounted");
    run("e2fsck", &["-f", "-n", &partition.0], "");
    // What somebody else holds is not opened for writing.
    let holder = fs::File::options().read(true).custom_flags(libc::O_EXCL).open(&device.0).expect("held");
    let work = super::tests::work(&machine, &packed);
    let (next, reports) = done(&machine, work, packed);
    assert_eq!(next, Next::Wait);
    assert!(format!("{:?}", reports.last()).contains("sda is in use"), "{reports:?}");
    drop(holder);
    // Pulled out and put back, it is another device.
    machine.set("sda", "diskseq", "1");
    let approved = guard::check(root, &machine.approve("sda")).expect("approved");
    let error = DiskTarget::open(&approved).expect_err("a refusal").to_string();
    assert!(error.contains("another device"), "{error}");
}
