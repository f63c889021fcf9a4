//! The service as it is installed, under a real systemd: a small Debian in QEMU runs `systemd/checks.sh`.
//!
//! `./dev test --all` makes the guest's root. The tree `systemd/`, the daemon and the checks are laid over it,
//! and everything runs from memory.

#[path = "lab/mod.rs"]
mod lab;
#[path = "systemd/sticks.rs"]
mod sticks;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use lab::{Piped, run};

/// The longest silence between two lines of the guest: it boots in 45 s on an idle host, and its slowest
/// check waits a minute.
const SILENCE_MAX: Duration = Duration::from_secs(150);
/// The root, everything laid over it, and room to run in.
const MEMORY_MIB: u32 = 2048;
const CHECKS: &str = include_str!("systemd/checks.sh");
/// What the guest needs for a network of its own.
const MODULE: &str = "kernel/modules/kernel/drivers/net/veth.ko.xz";

fn boot_files() -> PathBuf {
    let dirs = ironwake::artifacts::boot_dirs();
    ironwake::artifacts::boot_dir(&dirs)
        .unwrap_or_else(|| panic!("no boot files: run ./dev setup"))
        .to_owned()
}

/// The archive that `./dev` made.
fn guest_root() -> PathBuf {
    let place = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = place("IRONWAKE_CACHE").or_else(|| Some(place("HOME")?.join(".cache/ironwake")));
    let path = place("IRONWAKE_GUEST").or_else(|| Some(cache?.join("guest/root.cpio"))).expect("a HOME");
    assert!(path.is_file(), "{} is not there: ./dev test --all makes it", path.display());
    path
}

/// What is laid over the root: the installed tree, and the checks with what they need.
fn lay_out(folder: &Path, boot: &Path) -> io::Result<()> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    run(Command::new("cp").arg("-R").arg(tree).arg(folder)).map_err(io::Error::other)?;
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder"))?;
        fs::write(path, bytes)
    };
    put("usr/bin/ironwake", &fs::read(env!("CARGO_BIN_EXE_ironwake"))?)?;
    run(Command::new("chmod").arg("755").arg(folder.join("usr/bin/ironwake"))).map_err(io::Error::other)?;
    put("usr/lib/checks/checks.sh", CHECKS.as_bytes())?;
    put("usr/lib/checks/veth.ko.xz", &fs::read(boot.join(MODULE))?)?;
    for module in sticks::MODULES {
        let module = format!("modules/kernel/{module}.ko.xz");
        put(&format!("usr/lib/checks/{module}"), &fs::read(boot.join("kernel").join(&module))?)?;
    }
    put("etc/credstore/ironwake.toml", include_bytes!("systemd/ironwake.toml"))?;
    put("etc/systemd/system/checks.service", include_bytes!("systemd/checks.service"))?;
    // A machine that knows itself does not ask who it is at its first boot.
    put("etc/machine-id", b"77000000000040008000000000000001\n")?;
    put("etc/hostname", b"guest\n")?;
    let wants = folder.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    symlink("../checks.service", wants.join("checks.service"))?;
    // The kernel starts /init from an archive.
    symlink("lib/systemd/systemd", folder.join("init"))
}

/// The root and what is laid over it, as one initramfs: the kernel unpacks one archive behind the other.
fn pack(folder: &Path, boot: &Path) -> io::Result<PathBuf> {
    let over = folder.join("over");
    lay_out(&over, boot)?;
    let archive = folder.join("initramfs");
    fs::copy(guest_root(), &archive)?;
    let pack = "find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 >> ../initramfs";
    run(Command::new("sh").args(["-c", pack]).current_dir(&over)).map_err(io::Error::other)?;
    Ok(archive)
}

/// The guest, switched on, and what its checks say, line by line.
struct Guest {
    lines: Receiver<String>,
    console: PathBuf,
    _qemu: Piped,
}

impl Guest {
    fn power_on(folder: &Path) -> io::Result<Self> {
        let boot = boot_files();
        let initramfs = pack(folder, &boot)?;
        let console = folder.join("console");
        let mut command = Command::new("qemu-system-x86_64");
        let fixed = "-nodefaults -display none -no-reboot -accel tcg,thread=multi -cpu max -smp 2 \
                     -device virtio-rng-pci";
        command.args(fixed.split_whitespace()).args(["-m", &MEMORY_MIB.to_string()]);
        command.arg("-kernel").arg(boot.join("kernel/vmlinuz")).arg("-initrd").arg(initramfs);
        command.args(sticks::plugged(folder)?);
        command.args(["-append", "console=ttyS0 panic=-1 systemd.show_status=0"]);
        // The checks have the second port for themselves.
        command.arg("-serial").arg(format!("file:{}", console.display())).args(["-serial", "stdio"]);
        let mut qemu = Piped::start("qemu", command, &folder.join("qemu.log")).map_err(io::Error::other)?;
        let lines = qemu.lines();
        Ok(Self { lines, console, _qemu: qemu })
    }

    /// Everything that the checks say.
    fn report(&self) -> String {
        let mut report = String::new();
        loop {
            match self.lines.recv_timeout(SILENCE_MAX) {
                Ok(line) if line == "end" => return report,
                Ok(line) => report.push_str(&format!("{line}\n")),
                Err(error) => {
                    let console = fs::read(&self.console).unwrap_or_default();
                    let console = String::from_utf8_lossy(&console);
                    let lines: Vec<&str> = console.lines().collect();
                    let tail = lines[lines.len().saturating_sub(40)..].join("\n");
                    panic!("the guest says nothing more ({error}):\n{report}\nits console:\n{tail}");
                }
            }
        }
    }
}

/// Started by readiness, confined, configured by a credential, on passed sockets, with fields in the journal,
/// under the watchdog, and ended in time: what each check means stands in `systemd/checks.sh`.
#[test]
fn full_systemd_runs_the_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = Guest::power_on(folder.path()).expect("the guest").report();
    let expected: Vec<String> = CHECKS
        .lines()
        .filter_map(|line| line.strip_prefix("check "))
        .map(|name| format!("ok {name}"))
        .collect();
    let found: Vec<&str> = report.lines().filter(|line| line.starts_with("ok ")).collect();
    assert!(!expected.is_empty());
    assert_eq!(found, expected, "the guest said:\n{report}");
    println!("{report}");
}
