//! Rescue: shells for operators, until the daemon says that it is over. Disks are not mounted; what is written to
//! them is what operators type.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, thread, time::Duration};

use ironwake_api::{SHELL_PROTOCOL, human::short};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use super::{Failure, Site, shell};
use crate::{backoff::Backoff, chance, upgrade};

/// The program that all commands of a shell are, below the root.
const BUSYBOX: &str = "bin/busybox";
/// The daemon holds a question open for half a minute.
const ANSWER_WAIT: Duration = Duration::from_secs(45);
/// What operators look for on disks, and character sets that FAT needs.
const FILESYSTEMS: &str = "btrfs crc32c_generic ext4 nls_ascii nls_cp437 nls_iso8859_1 nls_utf8 vfat xfs";
/// What the agent itself has mounted.
const OWN_MOUNTS: [&str; 6] = ["/", "/proc", "/sys", "/dev", "/dev/pts", "/run"];

/// Offers shells until the operation has ended; why it has.
pub(super) fn run(site: &mut Site<'_>) -> Result<String, Failure> {
    prepare(site)?;
    let reports = site.reports;
    reports.began()?;
    let machine = short(&reports.machine);
    reports.screen.say(format!("rescue: `ironwake shell {machine}` on the server opens a shell here"));
    let path = format!("/boot/v1/operations/{}/shell", reports.operation);
    let mut backoff = Backoff::default();
    let ended = loop {
        match upgrade::ask(site.base_url, &path, &reports.token, SHELL_PROTOCOL, ANSWER_WAIT) {
            Ok(None) => backoff.reset(),
            Ok(Some(stream)) => {
                backoff.reset();
                let screen = reports.screen.clone();
                thread::spawn(move || {
                    screen.say("rescue: a shell is opened");
                    let how = shell::serve(stream);
                    screen.say(format!("rescue: a shell is closed: {how}"));
                });
            }
            Err(error) if error.is_final() => break error.to_string(),
            Err(error) => {
                let wait = backoff.next(chance::jitter());
                reports.screen.say(format!("rescue: {error}; again in {:.0} s", wait.as_secs_f32()));
                thread::sleep(wait);
            }
        }
    };
    unmount();
    Ok(ended)
}

/// What a shell needs around it.
fn prepare(site: &mut Site<'_>) -> Result<(), Failure> {
    // Its links go into the folder beside it, so it must be this machine's own and not the one of whoever runs a test.
    let busybox = site.root.join(BUSYBOX);
    if site.root != Path::new("/") || !busybox.exists() || !is_discovery() {
        return Err(Failure::Reason(format!(
            "there is no shell: {} is not the discovery image's",
            busybox.display()
        )));
    }
    let installed = Command::new(&busybox).args(["--install", "-s", "/bin"]).status();
    if !installed.as_ref().is_ok_and(|status| status.success()) {
        return Err(Failure::Reason(format!("{} could not be set up: {installed:?}", busybox.display())));
    }
    // Scripts name their shell by other places too.
    let _ = symlink("/bin", "/sbin");
    let _ = fs::create_dir_all("/dev/pts");
    let options = Some("mode=600,ptmxmode=666");
    match mount(Some("devpts"), "/dev/pts", Some("devpts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, options)
    {
        Ok(()) | Err(Errno::EBUSY) => {}
        Err(error) => return Err(Failure::Reason(format!("no terminals: /dev/pts: {error}"))),
    }
    for module in FILESYSTEMS.split(' ') {
        (site.load)(module);
    }
    Ok(())
}

/// Whether this is the system in RAM whose first process is this very program.
fn is_discovery() -> bool {
    nix::unistd::getppid().as_raw() == 1 && Path::new("/lib/modules/index").exists()
}

/// What operators mounted is taken off before the machine restarts, the last first: a filesystem that is cut off is one
/// that has to be checked.
fn unmount() {
    nix::unistd::sync();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let targets: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    for target in targets.into_iter().rev().filter(|target| !OWN_MOUNTS.contains(target)) {
        if umount2(target, MntFlags::empty()).is_err() {
            let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            let _ = mount(None::<&str>, target, None::<&str>, read_only, None::<&str>);
        }
    }
}
