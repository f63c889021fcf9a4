//! Nothing stays behind: what a lab made is written down here, and removed however the program ends.
//!
//! Values clean up in their `Drop`, which covers success, errors and panics. A signal runs
//! [`remove_all`]. SIGKILL runs nothing: children then die of their parent-death signal, except those that change
//! their own credentials (dnsmasq does, and the kernel forgets the signal), and the next lab calls [`remove_stale`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use super::names;

/// Where `ip netns` keeps its names.
const NETNS_DIR: &str = "/run/netns";

#[derive(Default)]
struct Live {
    children: Vec<u32>,
    namespaces: Vec<String>,
    folders: Vec<PathBuf>,
}

static LIVE: Mutex<Live> =
    Mutex::new(Live { children: Vec::new(), namespaces: Vec::new(), folders: Vec::new() });
static WATCH: Once = Once::new();

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child and writes it down in one step, so that no signal falls between.
pub fn spawn_child(command: &mut Command) -> std::io::Result<std::process::Child> {
    let mut live = live();
    let child = command.spawn()?;
    live.children.push(child.id());
    Ok(child)
}

/// Reaps a child and strikes it off in one step: its number may be another process's right after.
pub fn reap_child(
    child: &mut std::process::Child,
    reap: impl FnOnce(&mut std::process::Child) -> std::io::Result<Option<std::process::ExitStatus>>,
) -> std::io::Result<Option<std::process::ExitStatus>> {
    let mut live = live();
    let status = reap(child)?;
    if status.is_some() {
        live.children.retain(|pid| *pid != child.id());
    }
    Ok(status)
}

/// Writes down a namespace.
pub fn add_namespace(name: &str) {
    live().namespaces.push(name.to_owned());
}

/// Removes a namespace.
pub fn remove_namespace(name: &str) {
    let mut live = live();
    delete_namespace(name);
    live.namespaces.retain(|other| other != name);
}

/// Writes down a folder.
pub fn add_folder(path: &Path) {
    live().folders.push(path.to_owned());
}

/// Removes a folder with everything in it.
pub fn remove_folder(path: &Path) {
    let mut live = live();
    let _ = fs::remove_dir_all(path);
    live.folders.retain(|other| other != path);
}

/// Removes everything that is written down: children first, since they hold the rest.
fn remove_all() {
    let live = live();
    for pid in &live.children {
        let _ = kill(Pid::from_raw(*pid as i32), Signal::SIGKILL);
    }
    for name in &live.namespaces {
        delete_namespace(name);
    }
    for path in &live.folders {
        let _ = fs::remove_dir_all(path);
    }
}

/// Cleans up and ends the program on SIGINT, SIGTERM and SIGHUP. Repeated calls do nothing.
pub fn watch_signals() {
    WATCH.call_once(|| {
        std::thread::spawn(|| {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return;
            };
            let number = runtime.block_on(async {
                let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
                let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
                    return None;
                };
                let kind = tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                    _ = hangup.recv() => SignalKind::hangup(),
                };
                Some(kind.as_raw_value())
            });
            if let Some(number) = number {
                remove_all();
                std::process::exit(128 + number);
            }
        });
    });
}

/// Removes what labs of dead processes left: processes in their namespaces, namespaces and folders.
pub fn remove_stale() {
    for name in entries(Path::new(NETNS_DIR)).filter(|name| names::is_stale(name)) {
        kill_inside(&name);
        delete_namespace(&name);
    }
    let folder = std::env::temp_dir();
    for name in entries(&folder).filter(|name| names::is_stale(name)) {
        let _ = fs::remove_dir_all(folder.join(name));
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// Kills every process in a namespace. Nothing but the lab that made it was ever started there.
fn kill_inside(name: &str) {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).stdin(Stdio::null()).output() else {
        return;
    };
    for pid in String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn delete_namespace(name: &str) {
    let _ = Command::new("ip")
        .args(["netns", "del", name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
