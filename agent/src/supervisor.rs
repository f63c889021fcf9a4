//! The first process. It never ends and never panics: the kernel would. It mounts what is needed, runs the work in a
//! child, reaps what is left behind, and reboots on Ctrl-Alt-Del.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    process::Command,
    time::Duration,
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::{
        reboot::set_cad_enabled,
        signal::{SigSet, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::power;

/// The argument by which the agent knows that it is the child.
pub const WORK: &str = "work";
/// A worker that dies at once is not started in a tight loop.
const RESTART_WAIT: Duration = Duration::from_secs(2);

/// Target, type, and flags of what is mounted.
const MOUNTS: [(&str, &str, MsFlags); 4] = [
    ("/proc", "proc", MsFlags::from_bits_truncate(0)),
    ("/sys", "sysfs", MsFlags::from_bits_truncate(0)),
    ("/dev", "devtmpfs", MsFlags::MS_NOSUID),
    ("/run", "tmpfs", MsFlags::MS_NOSUID),
];

/// Runs for ever.
pub fn run() -> ! {
    for (target, kind, flags) in MOUNTS {
        let _ = fs::create_dir_all(target);
        match mount(Some(kind), target, Some(kind), flags, None::<&str>) {
            // Some kernels mount /dev themselves.
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) => say(&format!("{target} could not be mounted: {error}")),
        }
    }
    // Warnings and worse only: the kernel's news would scroll the agent's own lines away.
    let _ = fs::write("/proc/sys/kernel/printk", "4");
    // Ctrl-Alt-Del then arrives as a signal instead of an immediate reset.
    let _ = set_cad_enabled(false);
    let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM]);
    // Blocked signals wait until they are asked for, so none is lost between two questions.
    let _ = signals.thread_block();
    let mut worker = start();
    loop {
        match signals.wait() {
            Ok(Signal::SIGINT) => {
                say("Ctrl-Alt-Del: rebooting");
                say(&format!("the kernel refuses to reboot: {}", power::restart()));
            }
            Ok(Signal::SIGCHLD) => {
                if let Some(how) = reap(worker) {
                    say(&format!("the agent's work ended ({how}) and is started again"));
                    std::thread::sleep(RESTART_WAIT);
                    worker = start();
                }
            }
            _ => {}
        }
    }
}

/// Keeps trying: there is nothing else that this process could do.
fn start() -> Option<Pid> {
    loop {
        // The file itself may be gone from the root's listing, but never from here.
        match Command::new("/proc/self/exe").arg(WORK).spawn() {
            Ok(child) => return i32::try_from(child.id()).ok().map(Pid::from_raw),
            Err(error) => say(&format!("the agent's work cannot be started: {error}")),
        }
        std::thread::sleep(RESTART_WAIT);
    }
}

/// Reaps all that ended; says how the worker ended, if it is among them.
fn reap(worker: Option<Pid>) -> Option<String> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            Ok(WaitStatus::Exited(pid, code)) if Some(pid) == worker => {
                ended = Some(format!("status {code}"))
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if Some(pid) == worker => {
                ended = Some(signal.to_string())
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return ended,
        }
    }
}

fn say(line: &str) {
    if let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") {
        let _ = write!(console, "ironwake-agent: {line}\r\n");
    }
}
